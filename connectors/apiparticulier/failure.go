package apiparticulier

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
)

// row sorts the errors of one status (api-particulier.md, 4). The first that
// fits decides.
type row struct {
	status   int
	digits   string // last three of the code, several separated by spaces; "" any
	title    string // what the title holds, where a code has two meanings
	provider string // meta.provider, where the title is another
	class    connectors.Class
	cause    connectors.QuotientCause
}

// table is api-particulier.md, 4, in both numberings. Rows without digits catch
// what is not listed: decided on the status alone, and told (Unlisted).
var table = []row{
	{400, "401", "", "", connectors.Rejected, connectors.QuotientOurs},
	{400, "", "", "", connectors.Rejected, connectors.QuotientOurs},

	{401, "001 002 003 501 502 503 504", "", "", connectors.Rejected, connectors.QuotientToken},
	{401, "101 103 105 106 108 109", "", "", connectors.Unauthorized, connectors.QuotientRights},
	{401, "", "", "", connectors.Rejected, connectors.QuotientToken}, // it is her token that was sent

	{403, "100 107 213", "", "", connectors.Unauthorized, connectors.QuotientRights},
	{403, "", "", "", connectors.Unauthorized, connectors.QuotientRights},

	{404, "003", "dossier allocataire absent", "", connectors.NotFound, connectors.QuotientNoFile},
	{404, "003", "non référencé", "", connectors.NotFound, connectors.QuotientUnknownFund},
	{404, "003", "erreur inat", "", connectors.Temporary, connectors.QuotientDown}, // "inatendue", "inattendue"
	{404, "003", "", "CNAF & MSA", connectors.NotFound, connectors.QuotientUnknownFund},
	{404, "003", "", "", connectors.NotFound, connectors.QuotientNoFile},
	{404, "402", "", "", connectors.Rejected, connectors.QuotientOurs},
	{404, "", "", "", connectors.Rejected, connectors.QuotientOurs}, // a path or a version, not a person

	{409, "015", "", "", connectors.Temporary, connectors.QuotientBusy},
	{409, "", "", "", connectors.Temporary, connectors.QuotientBusy},

	{422, "355", "impossible d'identifier", "", connectors.NotFound, connectors.QuotientUnrecognised},
	{422, "560", "", "", connectors.NotFound, connectors.QuotientUnrecognised},
	{422, "366 561 564", "", "", connectors.Rejected, connectors.QuotientIdentity},
	{422, "203 210 212 353 354 355 356 363 365 367 400 420 422 427 428 565", "", "", connectors.Rejected, connectors.QuotientOurs},
	{422, "", "", "", connectors.Rejected, connectors.QuotientOurs},

	{429, "429", "", "", connectors.Temporary, connectors.QuotientQuota}, // RateLimited with a delay
	{429, "", "", "", connectors.Temporary, connectors.QuotientQuota},

	{502, "000 001 004 008 009 011 501 502 999", "", "", connectors.Temporary, connectors.QuotientDown},
	{502, "", "", "", connectors.Temporary, connectors.QuotientDown},
	{503, "020", "", "", connectors.Temporary, connectors.QuotientMaintenance},
	{503, "", "", "", connectors.Temporary, connectors.QuotientDown},
	{504, "002", "", "", connectors.Temporary, connectors.QuotientDown},
	{504, "", "", "", connectors.Temporary, connectors.QuotientDown},
}

// classify finds the row of an error; listed tells whether its code is in the table.
func classify(status int, said problem) (found row, listed bool) {
	title := strings.ToLower(strings.ReplaceAll(said.Title, "’", "'"))
	digits := said.Code[max(0, len(said.Code)-3):]
	for _, r := range table {
		switch {
		case r.status != status,
			r.digits != "" && (digits == "" || !strings.Contains(r.digits, digits)),
			!strings.Contains(title, r.title),
			r.provider != "" && r.provider != said.Provider:
			continue
		}
		return r, r.digits != ""
	}
	if status >= 500 || status == http.StatusRequestTimeout || status == http.StatusTooEarly {
		return row{class: connectors.Temporary, cause: connectors.QuotientDown}, false
	}
	return row{class: connectors.Rejected, cause: connectors.QuotientOurs}, false
}

// problem is the first of errors[].
type problem struct {
	Code     string
	Title    string
	Provider string
	RetryIn  time.Duration
}

var codeRule = regexp.MustCompile(`^[0-9]{5}$`)

// readProblem reads what can be read of an error, whatever its shape; the zero
// problem when there is none. details are not read: they may speak of a person.
func readProblem(body []byte) problem {
	var envelope struct {
		Errors []struct {
			Code  any            `json:"code"`
			Title any            `json:"title"`
			Meta  map[string]any `json:"meta"`
		} `json:"errors"`
	}
	if json.Unmarshal(body, &envelope) != nil || len(envelope.Errors) == 0 {
		return problem{}
	}
	first := envelope.Errors[0]
	code, _ := first.Code.(string)
	if !codeRule.MatchString(code) {
		return problem{}
	}
	out := problem{Code: code}
	out.Title, _ = first.Title.(string)
	out.Provider, _ = first.Meta["provider"].(string)
	if seconds, ok := first.Meta["retry_in"].(float64); ok && seconds > 0 {
		out.RetryIn = time.Duration(min(seconds, outbound.MaxRetryAfter.Seconds()) * float64(time.Second))
	}
	return out
}

// explain turns a failed call into the error of the table.
func explain(answer *outbound.Answer, err error, token connectors.Secret) error {
	var e *connectors.Error
	if !errors.As(err, &e) {
		return err
	}
	if answer == nil {
		cause := connectors.QuotientDown
		if e.Class == connectors.Rejected && !errors.Is(e.Err, outbound.ErrTooLarge) {
			cause = connectors.QuotientOurs // no call could be made of the question or of the URL
		}
		e.Err = &connectors.QuotientError{Cause: cause, Err: e.Err}
		return e
	}
	said := readProblem(answer.Body)
	found, listed := classify(answer.Status, said)
	e.Class, e.After = found.class, 0
	e.Detail = outbound.Redact(strings.TrimSpace(said.Code+" "+said.Title), token)
	if said.Code == "" {
		e.Detail = fmt.Sprintf("an answer %d that is not API Particulier's", answer.Status)
		if answer.Status == http.StatusNotFound || answer.Status == http.StatusUnauthorized {
			// Something in between, or the wrong address: it says nothing of her token.
			e.Class, found.cause = connectors.Rejected, connectors.QuotientOurs
		}
	}
	e.After = delay(answer, said)
	if answer.Status == http.StatusTooManyRequests && e.After > 0 {
		e.Class = connectors.RateLimited
	}
	e.Err = &connectors.QuotientError{
		Cause: found.cause, Code: said.Code, Provider: outbound.Redact(said.Provider), RequestID: requestID(answer.Header), Unlisted: said.Code != "" && !listed,
	}
	return e
}

// delay is how long API Particulier asks to wait. RateLimit-Reset is in every
// answer and counts on a refusal alone.
func delay(answer *outbound.Answer, said problem) time.Duration {
	header := answer.Header
	if answer.Status != http.StatusTooManyRequests {
		header = http.Header{"Retry-After": header["Retry-After"], "Date": header["Date"]}
	}
	if after, ok := outbound.RetryAfter(header); ok {
		return after
	}
	if answer.Status == http.StatusTooManyRequests || answer.Status >= 500 {
		return said.RetryIn
	}
	return 0
}

func (s *Source) failed(class connectors.Class, cause connectors.QuotientCause, detail string) error {
	return &connectors.Error{
		Class: class, Partner: s.deps.Name, Op: opQuotient, Detail: detail, Err: &connectors.QuotientError{Cause: cause},
	}
}

// unreadable is an answer 200 that is none: cut or replaced on the way (a moment
// may mend that), or of another shape than the one we speak.
func (s *Source) unreadable(answer *outbound.Answer, fault error) error {
	class := connectors.Temporary
	if errors.Is(fault, errShape) {
		class = connectors.Rejected
	}
	return &connectors.Error{
		Class: class, Partner: s.deps.Name, Op: opQuotient, Status: answer.Status, Detail: fault.Error(),
		Err: &connectors.QuotientError{Cause: connectors.QuotientDown, RequestID: requestID(answer.Header), Err: fault},
	}
}

package apiparticulier

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
)

const (
	opQuotient = "quotient familial"
	opHealth   = "health"

	routeFranceConnect = "/v3/dss/quotient_familial/france_connect"
	routePing          = "/api/cnaf_msa_quotient_familial/ping"

	maxRequestID = 100 // characters kept of X-Request-ID
)

// The scopes that open a part of an answer.
const (
	scopeQuotient     = "cnaf_quotient_familial"
	scopeAllocataires = "cnaf_allocataires"
	scopeEnfants      = "cnaf_enfants"
)

// Source is API Particulier. It may be used by many goroutines.
type Source struct {
	config Config
	deps   connectors.Deps
}

var _ connectors.QuotientSource = (*Source)(nil)

// ByFranceConnect makes one attempt, of 20 s at most.
func (s *Source) ByFranceConnect(ctx context.Context, q connectors.QuotientQuestion) (connectors.QuotientAnswer, error) {
	if detail := check(q); detail != "" {
		return connectors.QuotientAnswer{}, s.failed(connectors.Rejected, connectors.QuotientOurs, detail)
	}
	if !s.deps.Now().Before(q.TokenBy) {
		return connectors.QuotientAnswer{}, s.failed(connectors.Rejected, connectors.QuotientToken, "the token is too old: nothing was sent")
	}
	query := url.Values{"recipient": {q.Recipient}}
	if q.Month != nil { // both or none: a month alone is not checked against the future
		query.Set("annee", strconv.Itoa(q.Month.Year))
		query.Set("mois", strconv.Itoa(int(q.Month.Month)))
	}
	header := http.Header{"Authorization": {"Bearer " + q.Token.Reveal()}, "User-Agent": {s.config.UserAgent}}
	if q.Fresh {
		header.Set("Cache-Control", "no-cache")
	}
	answer, err := outbound.JSON(outbound.Once(ctx), s.deps.Partner, outbound.Call{
		Partner: s.deps.Name, Op: opQuotient, Method: http.MethodGet, Base: strings.TrimSuffix(s.config.URL, "/"), Route: routeFranceConnect,
		Query: query, Header: header, Expect: []int{http.StatusOK}, Secrets: []connectors.Secret{q.Token},
	})
	if err != nil {
		return connectors.QuotientAnswer{}, explain(answer, err, q.Token)
	}
	out := connectors.QuotientAnswer{RequestID: requestID(answer.Header), Cached: answer.Header.Get("X-Response-Cached") == "true"}
	if out.Family, err = readFamily(answer.Body, q.Scopes); err != nil {
		return connectors.QuotientAnswer{}, s.unreadable(answer, err)
	}
	return out, nil
}

// check says what is wrong with our own question; "" when nothing is.
func check(q connectors.QuotientQuestion) string {
	switch {
	case q.Token.IsZero():
		return "no token"
	case !isSIRET(q.Recipient):
		return "recipient is not a SIRET"
	case q.Month != nil && (q.Month.Month < time.January || q.Month.Month > time.December || q.Month.Year < 2000 || q.Month.Year > 9999):
		return "no such month"
	case !slices.ContainsFunc(q.Scopes, func(scope string) bool {
		return scope == scopeQuotient || scope == scopeAllocataires || scope == scopeEnfants
	}):
		return "no scope that opens anything"
	}
	return ""
}

// laPoste: its establishments' SIRETs do not all pass Luhn's check.
const laPoste = "356000000"

func isSIRET(text string) bool {
	if len(text) != 14 || strings.Trim(text, "0123456789") != "" {
		return false
	}
	if strings.HasPrefix(text, laPoste) {
		return true
	}
	sum := 0
	for i := range len(text) {
		digit := int(text[i] - '0')
		if i%2 == 0 {
			if digit *= 2; digit > 9 {
				digit -= 9
			}
		}
		sum += digit
	}
	return sum%10 == 0
}

// requestID is what API Particulier's people ask for; what looks like something
// else is not kept.
func requestID(h http.Header) string {
	id := h.Get("X-Request-ID")
	if len(id) > maxRequestID || strings.ContainsFunc(id, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '-' && r != '_' && r != '.'
	}) {
		return ""
	}
	return id
}

// Health reads the availability that API Particulier publishes of this API.
func (s *Source) Health(ctx context.Context) (connectors.Health, error) {
	start := s.deps.Now()
	var said struct {
		Status string `json:"status"`
	}
	_, err := outbound.JSON(ctx, s.deps.Partner, outbound.Call{
		Partner: s.deps.Name, Op: opHealth, Method: http.MethodGet, Base: strings.TrimSuffix(s.config.URL, "/"), Route: routePing,
		Header: http.Header{"User-Agent": {s.config.UserAgent}}, Out: &said,
	})
	if err == nil && said.Status != "ok" && said.Status != "unknown" {
		err = &connectors.Error{Class: connectors.Temporary, Partner: s.deps.Name, Op: opHealth, Detail: "its providers do not answer"}
	}
	return connectors.Health{Latency: s.deps.Now().Sub(start)}, err
}

package outbound

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/passerelle-hub/passerelle/connectors"
)

// Call is one REST call to a partner.
type Call struct {
	Partner string // instance name, for the error
	Op      string // what is asked, for the error: "issue"

	Method string
	Base   string            // "https://gravitee.example/management", no slash at the end
	Route  string            // template after the base: "/apis/{api}/plans"; also the name in the log
	Params map[string]string // values of the template, escaped here; never a secret
	Query  url.Values        // never a secret
	Header http.Header       // credentials

	In  any // nil: no body; url.Values: a form; []byte: as it is (set Content-Type); else JSON
	Out any // nil: the answer's body is not decoded

	// Expect lists the statuses of success; empty: any 2xx.
	Expect []int
	// Secrets are the values that this call carries: they are removed from the
	// partner's words.
	Secrets []connectors.Secret
}

// Answer is what the partner sent, errors included.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// JSON makes the call and decodes its answer. The answer is given whenever one
// came, also beside an error, for the caller who reads the partner's own codes.
// The error is a *connectors.Error:
//
//   - no complete answer, or one cut in the middle: Temporary;
//   - a status that is not expected: StatusError;
//   - a success that is no JSON: Temporary for a page or an empty body (something
//     stands between us and the partner), Rejected for JSON of another shape (not
//     the version we speak).
func JSON(ctx context.Context, doer connectors.HTTPDoer, c Call) (*Answer, error) {
	req, err := c.request(ctx)
	if err != nil {
		return nil, &connectors.Error{
			Class: connectors.Rejected, Partner: c.Partner, Op: c.Op, Detail: Redact(innermost(err), c.Secrets...), Err: err,
		}
	}
	resp, err := doer.Do(req)
	if err != nil {
		return nil, TransportError(c.Partner, c.Op, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 8*DefaultMaxBody))
	if err != nil {
		return nil, TransportError(c.Partner, c.Op, err)
	}
	answer := &Answer{Status: resp.StatusCode, Header: resp.Header, Body: body}
	if !c.expected(resp.StatusCode) {
		return answer, StatusError(c.Partner, c.Op, resp, body, c.Secrets...)
	}
	if c.Out == nil {
		return answer, nil
	}
	if err := c.decode(resp, body); err != nil {
		return answer, err
	}
	return answer, nil
}

func (c Call) expected(status int) bool {
	if len(c.Expect) > 0 {
		return slices.Contains(c.Expect, status)
	}
	return status >= 200 && status < 300
}

func (c Call) request(ctx context.Context) (*http.Request, error) {
	target, err := c.target()
	if err != nil {
		return nil, err
	}
	body, contentType, err := c.payload()
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(WithRoute(ctx, c.Route), c.Method, target, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	maps.Copy(req.Header, c.Header)
	return req, nil
}

// target fills the template. A value that is empty, "." or ".." would name
// another resource: it is refused.
func (c Call) target() (string, error) {
	var path strings.Builder
	rest := c.Route
	for {
		before, after, found := strings.Cut(rest, "{")
		path.WriteString(before)
		if !found {
			break
		}
		name, tail, closed := strings.Cut(after, "}")
		value, known := c.Params[name]
		if !closed || !known {
			return "", fmt.Errorf("route %q: no value for %q", c.Route, name)
		}
		if value == "" || value == "." || value == ".." {
			return "", fmt.Errorf("route %q: %q cannot be %q", c.Route, name, value)
		}
		path.WriteString(url.PathEscape(value))
		rest = tail
	}
	target := strings.TrimSuffix(c.Base, "/") + path.String()
	if len(c.Query) > 0 {
		target += "?" + c.Query.Encode()
	}
	return target, nil
}

func (c Call) payload() (io.Reader, string, error) {
	switch in := c.In.(type) {
	case nil:
		return nil, "", nil
	case url.Values:
		return strings.NewReader(in.Encode()), "application/x-www-form-urlencoded", nil
	case []byte:
		return bytes.NewReader(in), "", nil
	}
	encoded, err := json.Marshal(c.In)
	if err != nil {
		return nil, "", err
	}
	return bytes.NewReader(encoded), "application/json", nil
}

// decode reads exactly one JSON value. Unknown members are let through: partners
// add them between versions.
func (c Call) decode(resp *http.Response, body []byte) error {
	fail := func(class connectors.Class, text string, err error) error {
		return &connectors.Error{
			Class: class, Partner: c.Partner, Op: c.Op, Status: resp.StatusCode, Detail: Redact(text, c.Secrets...), Err: err,
		}
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return fail(connectors.Temporary, "an empty answer where JSON was expected", nil)
	}
	if isHTML(resp.Header, body) {
		return fail(connectors.Temporary, detail(resp, body), nil)
	}
	err := json.Unmarshal(body, c.Out)
	var shape *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &shape):
		return fail(connectors.Rejected, fmt.Sprintf("unexpected answer: %q is a %s", shape.Field, shape.Value), err)
	case errors.As(err, &syntax) && syntax.Offset >= int64(len(bytes.TrimSpace(body))):
		return fail(connectors.Temporary, "the answer is cut in the middle", err)
	}
	return fail(connectors.Temporary, "the answer is not JSON", err)
}

// Code finds a string member of a JSON error by the first of the given names
// that is there, such as "technicalCode"; "" otherwise.
func (a *Answer) Code(names ...string) string {
	if a == nil {
		return ""
	}
	var members map[string]any
	if json.Unmarshal(a.Body, &members) != nil {
		return ""
	}
	for _, name := range names {
		if text, ok := members[name].(string); ok {
			return text
		}
	}
	return ""
}

// Package apitest holds every exchange of a test against openapi.yaml, and every
// page of a browser against axe-core.
//
// It is for tests, and imports httpapi, kin-openapi and chromedp.
package apitest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/passerelle-hub/passerelle/httpapi"
)

// Contract is openapi.yaml, read and checked. It may be used by many goroutines.
type Contract struct {
	Document *openapi3.T
	router   routers.Router
	prefixes []string

	mu   sync.Mutex
	seen map[string]bool // "POST /hub/v1/requests 201"
}

// Load reads the contract and checks it by the rules of OpenAPI, examples
// included. prefixes are the paths below which every address must be in it.
func Load(t testing.TB, prefixes ...string) *Contract {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(httpapi.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(context.Background()); err != nil {
		t.Fatal(err)
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return &Contract{Document: doc, router: router, prefixes: prefixes, seen: map[string]bool{}}
}

// Client gives a client whose exchanges are checked: every answer, and the
// requests that were accepted.
func (c *Contract) Client(t testing.TB) *http.Client {
	return &http.Client{Transport: checked{t, c}}
}

// Seen reports whether an answer of that kind was checked: "GET /hub/v1/me 200".
func (c *Contract) Seen(what string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen[what]
}

type checked struct {
	t        testing.TB
	contract *Contract
}

// RoundTrip sends a request and checks what comes back.
func (c checked) RoundTrip(r *http.Request) (*http.Response, error) {
	var sent []byte
	if r.Body != nil && r.ContentLength >= 0 && r.ContentLength < 1<<20 {
		var err error
		if sent, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(sent))
	}
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil || r.Method == http.MethodHead || !c.covered(r.URL.Path) { // HEAD is what GET would say, unsaid
		return answer, err
	}
	received, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	if err := answer.Body.Close(); err != nil {
		return nil, err
	}
	answer.Body = io.NopCloser(bytes.NewReader(received))
	c.check(r, sent, answer, received)
	return answer, nil
}

func (c checked) covered(path string) bool {
	for _, prefix := range c.contract.prefixes {
		if strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return false
}

func (c checked) check(r *http.Request, sent []byte, answer *http.Response, received []byte) {
	c.t.Helper()
	asked := r.Clone(r.Context())
	asked.URL.Host, asked.URL.Scheme, asked.Host = "", "", ""
	asked.Body = io.NopCloser(bytes.NewReader(sent))
	route, params, err := c.contract.router.FindRoute(asked)
	if err != nil {
		if answer.StatusCode != http.StatusNotFound && answer.StatusCode != http.StatusMethodNotAllowed {
			c.t.Errorf("%s %s is not in the contract and answers %d", r.Method, r.URL.Path, answer.StatusCode)
		}
		return
	}
	input := &openapi3filter.RequestValidationInput{
		Request: asked, PathParams: params, Route: route,
		Options: &openapi3filter.Options{IncludeResponseStatus: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	}
	if answer.StatusCode < http.StatusMultipleChoices {
		if err := openapi3filter.ValidateRequest(r.Context(), input); err != nil {
			c.t.Errorf("%s %s was accepted against the contract: %v\n%s", r.Method, route.Path, err, sent)
		}
	}
	output := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: answer.StatusCode, Header: answer.Header, Options: input.Options,
	}
	output.SetBodyBytes(received)
	if err := openapi3filter.ValidateResponse(r.Context(), output); err != nil {
		c.t.Errorf("%s %s answered %d against the contract: %v\n%s", r.Method, route.Path, answer.StatusCode, err, received)
	}
	c.contract.mu.Lock()
	defer c.contract.mu.Unlock()
	c.contract.seen[r.Method+" "+route.Path+" "+answer.Status[:3]] = true
}

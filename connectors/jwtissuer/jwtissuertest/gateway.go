// Package jwtissuertest is an API behind a gateway that asks the hub about each
// token: what a provider without an API manager runs (RFC 7662, tokens.md 7.7).
//
// It lets a call pass when introspection says that the token is live, and
// refuses when the hub cannot be asked. It is imported by tests, by the demo and
// by `passerelle simulate`, and imports connectors/partnertest only.
package jwtissuertest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

// Options of the gateway. All are required.
type Options struct {
	IntrospectionURL string
	ClientID         string
	ClientSecret     string
	Clock            *partnertest.Clock // nil: a clock of its own
}

// Gateway is a running simulator.
type Gateway struct {
	*partnertest.Server
	opts Options
	url  string
	http *http.Client

	mu    sync.Mutex
	asked int
}

// Start serves on a free loopback port, or on addr.
func Start(addr string, opts Options) (*Gateway, error) {
	g := &Gateway{opts: opts, http: &http.Client{Timeout: 5 * time.Second}}
	g.Server = partnertest.New(partnertest.Options{Name: "gateway", Clock: opts.Clock, State: func() any { return g.state() }})
	u, err := g.Listen("gateway", addr, http.HandlerFunc(g.call))
	g.url = u
	return g, err
}

// URL is where the API is served.
func (g *Gateway) URL() string { return g.url }

func (g *Gateway) state() any {
	g.mu.Lock()
	defer g.mu.Unlock()
	return map[string]int{"introspections": g.asked}
}

func (g *Gateway) call(w http.ResponseWriter, r *http.Request) {
	bearer, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	active, scope, err := g.introspect(r.Context(), bearer)
	w.Header().Set("Content-Type", "application/json")
	switch {
	case err != nil: // fail closed
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, `{"message":"introspection unavailable"}`)
	case !active:
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"message":"Unauthorized"}`)
	default:
		_ = json.NewEncoder(w).Encode(map[string]string{"path": r.URL.Path, "scope": scope})
	}
}

func (g *Gateway) introspect(ctx context.Context, bearer string) (active bool, scope string, err error) {
	g.mu.Lock()
	g.asked++
	g.mu.Unlock()
	if bearer == "" {
		return false, "", nil
	}
	form := url.Values{"token": {bearer}, "token_type_hint": {"access_token"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.opts.IntrospectionURL, strings.NewReader(form.Encode()))
	if err != nil {
		return false, "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(g.opts.ClientID, g.opts.ClientSecret)
	resp, err := g.http.Do(req)
	if err != nil {
		return false, "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return false, "", fmt.Errorf("introspection answered %d", resp.StatusCode)
	}
	var answer struct {
		Active bool   `json:"active"`
		Scope  string `json:"scope"`
	}
	err = json.NewDecoder(resp.Body).Decode(&answer)
	return answer.Active, answer.Scope, err
}

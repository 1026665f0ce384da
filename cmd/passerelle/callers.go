package main

import (
	"fmt"
	"net/url"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/outbound"
	"github.com/passerelle-hub/passerelle/httpapi/auth"
	"github.com/passerelle-hub/passerelle/httpapi/editor"
	hubapi "github.com/passerelle-hub/passerelle/httpapi/hub"
	"github.com/passerelle-hub/passerelle/httpapi/v1"
	"github.com/passerelle-hub/passerelle/internal/jose"
)

// maxPersonToken bounds the life of a person's token, and issuerSkew what is
// forgiven to an issuer's clock.
const (
	maxPersonToken = 24 * time.Hour
	issuerSkew     = 30 * time.Second
)

// openCallers gives what knows callers by their tokens.
func (h *hub) openCallers() (*auth.Authenticator, error) {
	a := &auth.Authenticator{Store: h.store, Registry: h.registry, Env: h.tokenEnv(), Now: h.now}
	for _, i := range h.config.Auth.Issuers {
		client, err := outbound.Partner(i.Name, outbound.Settings{}, h.log)
		if err != nil {
			return nil, fmt.Errorf("auth.issuers: %s: %w", i.Name, err)
		}
		keys, err := jose.NewRemoteKeys(jose.RemoteConfig{URL: i.JWKS, Client: client, Now: h.now})
		if err != nil {
			return nil, fmt.Errorf("auth.issuers: %s: %w", i.Name, err)
		}
		a.Issuers = append(a.Issuers, auth.Issuer{
			TrustEmail: i.TrustEmail,
			Verifier: jose.Verifier{
				Issuer: i.Issuer, Audience: i.Audience, Keys: keys, Algs: []jose.Alg{jose.ES256, jose.EdDSA, jose.RS256},
				Types: []string{"", "jwt", "at+jwt"}, Required: []string{"sub", "email"}, Skew: issuerSkew, MaxLife: maxPersonToken, Now: h.now,
			},
		})
	}
	return a, nil
}

// apiV1 gives DataPass's API over the hub's requests.
func (h *hub) apiV1(callers *auth.Authenticator) *v1.Handler {
	sources := map[string]string{}
	for _, s := range h.config.DataPass.Sources {
		sources[s.Name] = s.API.URL
	}
	return &v1.Handler{
		Store: h.store, Registry: h.registry, Callers: callers, Catalogue: h.catalogue, Sources: sources,
		PerClient: h.config.RateLimits.PerClient, MaxBody: int64(h.config.HTTP.MaxBody), Now: h.now,
	}
}

// apiEditor gives software editors' API over the keys of their clients.
func (h *hub) apiEditor(callers *auth.Authenticator) *editor.Handler {
	return &editor.Handler{
		Store: h.store, Registry: h.registry, Catalogue: h.catalogue, Callers: callers, MaxBody: int64(h.config.HTTP.MaxBody),
		PerEditor: h.config.RateLimits.PerClient, Fetches: h.config.RateLimits.EditorFetches, Now: h.now,
	}
}

// sourcePages gives where people drive the requests of each source.
func (h *hub) sourcePages() map[string]string {
	pages := map[string]string{}
	for _, s := range h.config.DataPass.Sources {
		if u, err := url.Parse(s.API.URL); err == nil && u.Host != "" {
			pages[s.Name] = u.Scheme + "://" + u.Host
		}
	}
	return pages
}

// labelOf names a definition to people.
func (h *hub) labelOf(uid string) string {
	if d, ok := h.catalogue.Definition(uid); ok {
		return d.NameWithStage()
	}
	return uid
}

// apiHub gives the hub's own API over its requests.
func (h *hub) apiHub(callers *auth.Authenticator) *hubapi.Handler {
	return &hubapi.Handler{
		Store: h.store, Registry: h.registry, Callers: callers, Catalogue: h.catalogue, Sources: h.sourcePages(), Tester: h.tester(),
		PerClient: h.config.RateLimits.PerClient, MaxBody: int64(h.config.HTTP.MaxBody),
	}
}

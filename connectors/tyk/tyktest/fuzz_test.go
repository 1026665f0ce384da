package tyktest

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

// Whatever is sent, the control API answers, and each key of the store is under
// its own handle and opens something.
func FuzzWrites(f *testing.F) {
	f.Add("POST", "/tyk/keys/k-9001", `{"org_id":"default","apply_policies":["dgfip"],"expires":1}`)
	f.Add("PUT", "/tyk/keys/known?suppress_reset=1", `{"org_id":"default","access_rights":{"x":{}}}`)
	f.Add("POST", "/tyk/policies", `{"id":"dgfip","access_rights":null}`)
	f.Add("POST", "/tyk/oauth/clients/create", `{"policy_id":"dgfip"}`)
	f.Add("DELETE", "/tyk/keys/known?org_id=default&hashed=", ``)
	s := &Server{opts: Options{APIs: DemoAPIs(), Policies: DemoPolicies(), Secret: "s"}}
	s.Server = partnertest.New(partnertest.Options{Name: "tyk", Reset: s.reset})
	handler := s.control()
	send := func(t *testing.T, method string, address *url.URL, body string) int {
		r := httptest.NewRequestWithContext(t.Context(), method, "/", strings.NewReader(body))
		r.URL = address
		r.Header.Set("X-Tyk-Authorization", "s")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w.Code
	}
	f.Fuzz(func(t *testing.T, method, target, body string) {
		address, err := url.ParseRequestURI(target)
		switch method {
		case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete:
		default:
			return
		}
		if err != nil || !strings.HasPrefix(target, "/tyk/") {
			return
		}
		s.Reset()
		seed := &url.URL{Path: "/tyk/keys/known"}
		if code := send(t, http.MethodPost, seed, `{"org_id":"default","apply_policies":["dgfip"]}`); code != http.StatusOK {
			t.Fatalf("seed: %d", code)
		}
		if code := send(t, method, address, body); code < 200 || code > 599 {
			t.Errorf("status %d", code)
		}
		for handle, key := range s.keys {
			if keyHash(key.token) != handle || len(key.AccessRights) == 0 {
				t.Errorf("%s: %+v", handle, key)
			}
		}
	})
}

// The base64 form tells the organisation, whatever the raw form is, unless a
// quote in either breaks its JSON.
func FuzzForms(f *testing.F) {
	f.Add("default", "datapass9001k1")
	f.Add("", "eyJ")
	f.Fuzz(func(t *testing.T, org, id string) {
		token := tokenFor(org, id)
		if len(keyHash(token)) != 16 {
			t.Errorf("handle %q", keyHash(token))
		}
		plain := func(text string) bool {
			return !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' })
		}
		if plain(org) && plain(id) && orgOf(token) != org {
			t.Errorf("%q of %q: %q", org, id, orgOf(token))
		}
		if _, err := base64.StdEncoding.DecodeString(token); err != nil {
			t.Error(err)
		}
		orgOf(id)
	})
}

package keycloaktest

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

// Whatever is sent, the admin API answers, and each client is found by its id,
// its clientId and its attributes.
func FuzzWrites(f *testing.F) {
	f.Add("POST", "/clients", `{"clientId":"a","attributes":{"x":"y","z":null},"defaultClientScopes":["dgfip"]}`)
	f.Add("PUT", "/clients/known", `{"clientId":"b","attributes":{"client.secret.rotated.expiration.time":"soon"}}`)
	f.Add("POST", "/clients/known/client-secret", ``)
	f.Add("GET", "/clients?q=a:b%20%22c%22:d&first=-1&max=x", ``)
	f.Add("PUT", "/clients/known", `{"publicClient":true,"secret":""}`)
	s := &Server{opts: Options{
		Realm: "agents", AdminClient: "hub", AdminSecret: "s", Scopes: DemoScopes(), SigningKey: processKey(),
		Rotation: &RotationPolicy{}, AdminTokenLifespan: time.Hour, TokenLifespan: time.Hour,
	}}
	s.Server = partnertest.New(partnertest.Options{Name: "keycloak", Reset: s.reset})
	handler := s.main()
	f.Fuzz(func(t *testing.T, method, target, body string) {
		address, err := url.ParseRequestURI(target)
		switch method {
		case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete:
		default:
			return
		}
		if err != nil || !strings.HasPrefix(target, "/clients") {
			return
		}
		s.Reset()
		if _, err := s.AddClient(Client{ID: "known", ClientID: "known", Enabled: true, Attributes: map[string]string{"a": "b"}}); err != nil {
			t.Fatal(err)
		}
		admin := s.byClientID["hub"]
		s.tokens["admin-token"] = &token{clientID: admin.ClientID, id: admin.ID, expiresAt: s.Now().Add(time.Hour)}
		r := httptest.NewRequestWithContext(t.Context(), method, "/", strings.NewReader(body))
		address.Path = "/admin/realms/agents" + address.Path
		r.URL = address
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer admin-token")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code < 200 || w.Code > 599 {
			t.Errorf("status %d", w.Code)
		}
		attributes := 0
		for _, c := range s.order {
			if s.byID[c.ID] != c || s.byClientID[c.ClientID] != c || (!c.PublicClient && c.Secret == "") {
				t.Errorf("%q is not under its names, or has no secret", c.ClientID)
			}
			for name, value := range c.Attributes {
				if attributes++; s.byAttribute[attributeKey(name, value)][c.ID] != c {
					t.Errorf("%q is not under its attribute %q", c.ClientID, name)
				}
			}
		}
		for _, held := range s.byAttribute {
			attributes -= len(held)
		}
		if attributes != 0 || len(s.order) != len(s.byID) || len(s.order) != len(s.byClientID) {
			t.Errorf("%d attributes too many, %d in order, %d by id, %d by clientId", -attributes, len(s.order), len(s.byID), len(s.byClientID))
		}
	})
}

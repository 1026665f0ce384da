package hydratest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

// Whatever patch is sent, a client stays a client that can be shown.
func FuzzPatch(f *testing.F) {
	for _, seed := range []string{
		`[{"op":"replace","path":"/scope","value":"a"}]`, `[{"op":"add","path":"/audience/-","value":"b"}]`,
		`[{"op":"remove","path":"/audience/0"}]`, `[{"op":"add","path":"/metadata/a~1b/c","value":null}]`,
		`[{"op":"replace","path":"/client_id","value":"x"}]`, `[{"op":"add","path":"/audience/1/x","value":1}]`, `{}`, `[]`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, patch string) {
		c := Client{ID: "dp-9001", Audience: []string{"a"}, Metadata: json.RawMessage(`{"hub_ref":"dp-9001"}`)}
		if err := applyPatch([]byte(patch), &c); err != nil {
			return
		}
		if _, err := json.Marshal(c); err != nil {
			t.Errorf("%v", err)
		}
	})
}

// Whatever is sent, the admin API answers, and each client is found by its id
// and by its owner.
func FuzzWrites(f *testing.F) {
	f.Add("POST", "/admin/clients", `{"client_id":"a","owner":"b","metadata":[1]}`)
	f.Add("PUT", "/admin/clients/dp-9001", `{"owner":"c","client_secret":"abcdef"}`)
	f.Add("PATCH", "/admin/clients/dp-9001", `[{"op":"replace","path":"/owner","value":"d"}]`)
	f.Add("GET", "/admin/clients?page_size=-1&page_token=e30", ``)
	s := &Server{opts: Options{Version: Version230, Strategy: StrategyOpaque, SigningKey: processKey()}}
	s.Server = partnertest.New(partnertest.Options{Name: "hydra", Reset: s.reset})
	handler := s.adminSide()
	f.Fuzz(func(t *testing.T, method, target, body string) {
		address, err := url.ParseRequestURI(target)
		switch method {
		case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
		default:
			return
		}
		if err != nil || !strings.HasPrefix(target, "/admin/") {
			return
		}
		s.Reset()
		if err := s.AddClient(Client{ID: "dp-9001", Owner: "o"}); err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequestWithContext(t.Context(), method, "/", strings.NewReader(body))
		r.URL = address
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code < 200 || w.Code > 599 {
			t.Errorf("status %d", w.Code)
		}
		owned := 0
		for owner, list := range s.byOwner {
			for _, c := range list {
				if owned++; c.Owner != owner || s.byID[c.ID] != c {
					t.Errorf("%q is not under its id or owner", c.ID)
				}
			}
		}
		if owned != len(s.order) || owned != len(s.byID) {
			t.Errorf("%d by owner, %d in order, %d by id", owned, len(s.order), len(s.byID))
		}
	})
}

package editor_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/httpapi/auth"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// Every route before every kind of caller: who may not gets the status of the
// table and not one byte of the client's, and nothing changed.
func TestNoCallerGetsAByteOfWhatIsNotItsClients(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	us := s.machine(ourEditor)
	g, kept := s.approve(ourEditor), s.approve(ourEditor)
	f := s.fetch(us, g.id)
	s.machineJWK(us)

	provider := &registry.ChangeRoles{Email: "developpeuse@dinum.example", Grant: []string{"dinum:*:developer"}}
	s.record(provider)
	machine := &registry.AddApplication{Name: "fournisseur", OwnerID: provider.Person.ID, Scopes: auth.Scopes()}
	s.record(machine)
	issue := func(add *registry.AddApplication, scopes []string) string {
		token := &registry.IssueAccessToken{Application: store.Application{ID: add.ID, Editor: add.Editor}, Scopes: scopes}
		s.record(token)
		return token.Value.Reveal()
	}
	disabled := &registry.AddApplication{Name: "ancien", Editor: ourEditor, Scopes: auth.EditorScopes()}
	s.record(disabled)
	disabledToken := issue(disabled, auth.EditorScopes())
	s.record(&registry.DisableApplication{ID: disabled.ID})
	expired := us
	unbound := "unbound" // the editor's own token, once the request names another one

	callers := []struct {
		name, bearer string
		own          int // status of what lists or is its own
		object       int // status of what names the client's objects
	}{
		{"another editor", s.machine(other), http.StatusOK, http.StatusNotFound},
		{"an editor without a client", s.machine("jvs_mairistem"), http.StatusOK, http.StatusNotFound},
		{"a provider's machine", issue(machine, auth.Scopes()), http.StatusForbidden, http.StatusForbidden},
		{"a provider's machine with scopes that it was never given", issue(machine, auth.EditorScopes()), http.StatusForbidden, http.StatusForbidden},
		{"the editor, its token without the scopes", s.machine(ourEditor, auth.ScopeEditorHooks), http.StatusForbidden, http.StatusForbidden},
		{"an ended machine of the editor", disabledToken, http.StatusUnauthorized, http.StatusUnauthorized},
		{"nobody", "", http.StatusUnauthorized, http.StatusUnauthorized},
		{"an unknown token", "psh_test_7Qm2Zr9LxT4cVb8NwKd3Hs6YpFjG1a000000", http.StatusUnauthorized, http.StatusUnauthorized},
		{"a secret in the place of a token", machine.Secret.Reveal(), http.StatusUnauthorized, http.StatusUnauthorized},
		{"a key of the other environment", "psk_live_0000000000000000000000000000004HT7zC", http.StatusUnauthorized, http.StatusUnauthorized},
		{"the editor, unbound since", unbound, http.StatusOK, http.StatusNotFound},
		{"the editor, its token expired", expired, http.StatusUnauthorized, http.StatusUnauthorized},
	}
	habilitation := s.count(`select id from habilitation where request_id = $1`, g.request)
	bodies := map[string]struct {
		path   string
		body   any
		object bool
	}{
		"GET /me":                 {"/me", nil, false},
		"GET /clients":            {"/clients", nil, false},
		"GET /habilitations":      {"/habilitations", nil, false},
		"GET /habilitations/{id}": {fmt.Sprintf("/habilitations/%d", habilitation), nil, true},
		"GET /keys":               {"/keys", nil, false},
		"GET /keys/{id}":          {"/keys/" + g.id.String(), nil, true},
		"POST /keys/{id}/fetch":   {"/keys/" + g.id.String() + "/fetch", nil, true},
		"POST /keys/fetch":        {"/keys/fetch", map[string]any{"ids": []uuid.UUID{g.id, kept.id}}, false},
		"POST /keys/{id}/ack":     {"/keys/" + g.id.String() + "/ack", map[string]any{"fetch_id": f.FetchID, "fingerprint": f.Fingerprint}, true},
		"POST /keys/ack": {"/keys/ack", map[string]any{"acks": []any{
			map[string]any{"id": g.id, "fetch_id": f.FetchID, "fingerprint": f.Fingerprint},
		}}, false},
		"POST /keys/{id}/nack": {"/keys/" + g.id.String() + "/nack", map[string]any{"fetch_id": f.FetchID, "reason": "Non"}, true},
		"GET /jwk":             {"/jwk", nil, false},
		"PUT /jwk":             {"/jwk", publicJWK(t), false},
		"DELETE /jwk":          {"/jwk", nil, false},
		"GET /changes":         {"/changes", nil, false},
	}
	secrets := []string{g.secret, kept.secret, g.id.String(), "PLOUVENEZ", "21350998700011", "cantine"}
	state := func() string {
		return fmt.Sprint(
			s.count(`select count(*) from key_fetch`), s.count(`select count(*) from key_copy where ended_at is not null`),
			s.count(`select count(*) from key_envelope`), s.count(`select count(*) from recipient_key where recipient = 'editor/3d_ouest'`),
			s.count(`select count(*) from history where request_id = $1 and event like 'token.%'`, g.request))
	}
	for _, c := range callers {
		bearer := c.bearer
		switch c.name {
		case "the editor, unbound since":
			s.receive(g.source, "update", other, time.Now().Add(-time.Minute))
			s.receive(kept.source, "update", other, time.Now().Add(-time.Minute))
			bearer = us
		case "the editor, its token expired":
			s.later(registry.EditorTokenLifetime + time.Second)
		}
		before := state()
		for _, route := range s.handler.Routes() {
			name := route.Method + " " + route.Pattern
			call, ok := bodies[name]
			if !ok {
				t.Fatalf("%s is not in the matrix", name)
			}
			want := c.own
			if call.object {
				want = c.object
			}
			if route.Pattern == "/jwk" && want == http.StatusOK {
				continue // its own key: tested apart
			}
			a := s.call(route.Method, call.path, bearer, call.body)
			if a.status != want {
				t.Errorf("%s: %s answers %d, want %d: %s", c.name, name, a.status, want, a.body)
			}
			shown := string(a.body)
			if route.Pattern == "/keys/fetch" || route.Pattern == "/keys/ack" {
				shown = strings.ReplaceAll(strings.ReplaceAll(shown, `"`+g.id.String()+`"`, ""), `"`+kept.id.String()+`"`, "") // it named them itself
			}
			if route.Pattern == "/changes" && c.name == "the editor, unbound since" {
				continue // ids of what it saw then
			}
			for _, secret := range secrets {
				if strings.Contains(shown, secret) {
					t.Errorf("%s: %s shows %q", c.name, name, secret)
				}
			}
		}
		if after := state(); after != before {
			t.Errorf("%s: %s became %s", c.name, before, after)
		}
	}
}

func TestAForeignAndAnUnknownObjectAnswerTheSame(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	us := s.machine(ourEditor)
	foreign := s.approve(other)
	habilitation := s.count(`select id from habilitation where request_id = $1`, foreign.request)
	for _, c := range []struct{ method, foreign, unknown string }{
		{http.MethodGet, "/keys/" + foreign.id.String(), "/keys/" + uuid.NewString()},
		{http.MethodPost, "/keys/" + foreign.id.String() + "/fetch", "/keys/" + uuid.NewString() + "/fetch"},
		{http.MethodGet, fmt.Sprintf("/habilitations/%d", habilitation), "/habilitations/99999999999"},
	} {
		a, b := s.call(c.method, c.foreign, us, nil), s.call(c.method, c.unknown, us, nil)
		if without(a) != without(b) || a.status != http.StatusNotFound {
			t.Errorf("%s: %d %s\n%s: %d %s", c.foreign, a.status, a.body, c.unknown, b.status, b.body)
		}
	}
}

// without gives an answer without its correlation id.
func without(a answer) string {
	text := string(a.body)
	if i := strings.Index(text, `,"instance"`); i >= 0 {
		text = text[:i]
	}
	return fmt.Sprint(a.status, text)
}

func TestTheKeyOfARevokedRequestIsNotHandedOver(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	us := s.machine(ourEditor)
	g := s.approve(ourEditor)
	s.machineJWK(us)
	if f := s.fetch(us, g.id); f.Format != "jwe" {
		t.Fatalf("%+v", f)
	}
	s.receive(g.source, "revoke", ourEditor, time.Now())
	a := s.post("/keys/"+g.id.String()+"/fetch", us, nil)
	if got := a.problem(); got != "409 cle-over" {
		t.Error(got)
	}
	if n := s.count(`select count(*) from key_envelope`) + s.count(`select count(*) from credential where secret_sealed is not null`); n != 0 {
		t.Errorf("%d copies are left", n)
	}
	if got := s.feed(us, "").types(); !strings.Contains(got, "request.revoked") {
		t.Error(got)
	}
}

func TestAnEditorsMachineGetsNothingElsewhere(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	us := s.machine(ourEditor)
	for _, path := range []string{"/hub/v1/me", "/hub/v1/requests", "/api/v1/demandes", "/api/v1/habilitations"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+us)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s answers %d", path, resp.StatusCode)
		}
	}
}

func TestAnEditorHasFiveMachinesAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for range registry.MaxEditorClients {
		s.record(&registry.AddApplication{Name: "logiciel", Editor: ourEditor, Scopes: auth.EditorScopes()})
	}
	err := s.registry.Record(t.Context(), &registry.AddApplication{Name: "logiciel", Editor: ourEditor, Scopes: auth.EditorScopes()})
	if err == nil || s.count(`select count(*) from api_client`) != registry.MaxEditorClients {
		t.Errorf("a sixth one: %v", err)
	}
	s.record(&registry.AddApplication{Name: "logiciel", Editor: other, Scopes: auth.EditorScopes()})
}

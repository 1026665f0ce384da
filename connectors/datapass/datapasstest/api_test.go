package datapasstest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// site is a DataPass that listens, and one of its applications.
type site struct {
	*play
	base string
	app  Application
}

func newSite(t *testing.T) *site {
	t.Helper()
	p := newPlay(t)
	base, err := p.Start("")
	if err != nil {
		t.Fatal(err)
	}
	app := p.AddApplication(Application{
		Definitions: []string{"api_particulier", "api_impot_particulier_sandbox", "formulaire_qf"},
		Scopes:      []string{ScopePublic, ScopeRead, ScopeHooks},
	})
	return &site{play: p, base: base, app: app}
}

// get gives status and body of a call; an empty token sends none.
func (s *site) call(path, token string) (int, []byte) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.base+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return s.do(req)
}

func (s *site) do(req *http.Request) (int, []byte) {
	s.t.Helper()
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer.StatusCode, body
}

func (s *site) form(path string, values url.Values) (int, map[string]any) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.base+path, strings.NewReader(values.Encode()))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	status, body := s.do(req)
	out := map[string]any{}
	if err := json.Unmarshal(body, &out); err != nil {
		s.t.Fatalf("%s: %v", body, err)
	}
	return status, out
}

func (s *site) accessToken(scope string) string {
	s.t.Helper()
	values := url.Values{"grant_type": {"client_credentials"}, "client_id": {s.app.ClientID}, "client_secret": {s.app.ClientSecret}}
	if scope != "" {
		values.Set("scope", scope)
	}
	status, out := s.form("/api/v1/oauth/token", values)
	if status != http.StatusOK || out["token_type"] != "Bearer" || out["expires_in"] != float64(7200) {
		s.t.Fatalf("%d %v", status, out)
	}
	return out["access_token"].(string)
}

func (s *site) list(path, token string) []map[string]any {
	s.t.Helper()
	status, body := s.call(path, token)
	if status != http.StatusOK {
		s.t.Fatalf("%s: %d %s", path, status, body)
	}
	out := []map[string]any{}
	if err := json.Unmarshal(body, &out); err != nil {
		s.t.Fatal(err)
	}
	return out
}

func TestTokenEndpoint(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	good := url.Values{"grant_type": {"client_credentials"}, "client_id": {s.app.ClientID}, "client_secret": {s.app.ClientSecret}}
	cases := map[string]struct {
		change url.Values
		status int
		err    string
	}{
		"a wrong secret":       {url.Values{"client_secret": {"x"}}, 401, "invalid_client"},
		"an unknown client":    {url.Values{"client_id": {"x"}}, 401, "invalid_client"},
		"no grant type":        {url.Values{"grant_type": nil}, 400, "invalid_request"},
		"another grant type":   {url.Values{"grant_type": {"password"}}, 400, "unsupported_grant_type"},
		"a scope not granted":  {url.Values{"scope": {"write_authorizations"}}, 400, "invalid_scope"},
		"no scope":             {nil, 200, ""},
		"a scope it was given": {url.Values{"scope": {"read_webhooks"}}, 200, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			values := url.Values{}
			for key := range good {
				values[key] = good[key]
			}
			for key := range c.change {
				values[key] = c.change[key]
			}
			status, out := s.form("/api/v1/oauth/token", values)
			if got, _ := out["error"].(string); status != c.status || got != c.err {
				t.Errorf("%d %v", status, out)
			}
		})
	}
	if status, out := s.form("/api/oauth/token", good); status != 200 || out["scope"] != "public read_authorizations" {
		t.Errorf("%d %v", status, out)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	const (
		none    = `{"errors":[{"title":"Non autorisé","detail":"Un jeton d'accès est requis mais absent dans les en-têtes de la requête.","source":{"pointer":"headers/Authorization"},"status":"401"}]}`
		expired = `{"errors":[{"title":"Jeton expiré","detail":"Le jeton d’accès a expiré. Veuillez en obtenir un nouveau.","source":{"pointer":"headers/Authorization"},"status":"401"}]}`
		scope   = `{"errors":[{"title":"Entité non traitable","detail":"Un problème est survenu lors du traitement de la requête.","status":"422"}]}`
		missing = `{"errors":[{"title":"Non trouvé","detail":"La ressource demandée est introuvable.","status":"404"}]}`
	)
	cases := map[string]struct {
		path, token string
		status      int
		body        string
	}{
		"no token":                                 {"/demandes", "", 401, none},
		"an unknown token":                         {"/demandes", "nope", 401, none},
		"a token without the scope is a 422":       {"/demandes", "public", 422, scope},
		"a revoked token is a 422":                 {"/demandes", "revoked", 422, scope},
		"an expired token":                         {"/demandes", "expired", 401, expired},
		"a prefixed id finds nothing":              {"/demandes/D49001", "read", 404, missing},
		"a request of a definition not ours":       {"/demandes/48213", "read", 404, missing},
		"an unknown habilitation":                  {"/habilitations/1", "read", 404, missing},
		"an unknown definition has an empty body":  {"/definitions/api_entreprise", "read", 404, `{}`},
		"attempts need their scope":                {"/webhooks/41/attempts", "read", 422, scope},
		"events without a token fail":              {"/demandes/49001/events", "", 500, `{"error":"Internal Server Error","status":500}`},
		"events look for the record first":         {"/demandes/1/events", "public", 404, missing},
		"events then check the scope":              {"/demandes/49001/events", "public", 422, scope},
		"a habilitation without a token fails":     {"/habilitations/70001", "", 500, `{"error":"Internal Server Error","status":500}`},
		"a path that does not exist":               {"/organisations", "read", 404, missing},
		"any token reads /me, even without scopes": {"/me", "webhooks", 200, ""},
		"a habilitation asks for no scope":         {"/habilitations/70001", "public", 200, ""},
	}
	s := newSite(t)
	s.create(APIEntreprise())
	id := s.create(APIParticulier()).ID
	s.steps(id, EventSubmit, EventApprove)
	tokens := map[string]string{"": "", "nope": "nope"}
	tokens["expired"] = s.accessToken("")
	s.Advance(2 * time.Hour)
	tokens["revoked"] = s.accessToken("")
	s.RevokeTokens()
	tokens["read"], tokens["public"] = s.accessToken(""), s.accessToken("public")
	tokens["webhooks"] = s.accessToken("read_webhooks")
	// The expired one was revoked with the others: an end that has passed counts first only for live tokens.
	s.mu.Lock()
	s.tokens[tokens["expired"]].revoked = false
	s.mu.Unlock()
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, body := s.call("/api/v1"+c.path, tokens[c.token])
			if status != c.status {
				t.Errorf("%d %s", status, body)
			}
			if diff := sameJSON(c.body, body); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func sameJSON(want string, got []byte) string {
	if want == "" {
		return ""
	}
	var a, b any
	if err := json.Unmarshal([]byte(want), &a); err != nil {
		return err.Error()
	}
	if err := json.Unmarshal(got, &b); err != nil {
		return fmt.Sprintf("%s: %v", got, err)
	}
	return cmp.Diff(a, b)
}

func TestListsAreNewestFirstInPages(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for n := range 25 {
		s.Advance(time.Minute)
		s.create(Invented(n))
	}
	s.Advance(time.Minute)
	s.create(APIEntreprise()) // of a definition not ours
	token := s.accessToken("")
	cases := map[string]struct {
		query string
		want  []int // numbers of the invented requests
	}{
		"ten by default":             {"", span(24, 15)},
		"a limit":                    {"?limit=3", span(24, 22)},
		"an offset":                  {"?limit=3&offset=4", span(20, 18)},
		"past the end":               {"?offset=100", nil},
		"limit 0 is 10":              {"?limit=0", span(24, 15)},
		"a negative limit is 10":     {"?limit=-2", span(24, 15)},
		"limit as text is 10":        {"?limit=beaucoup", span(24, 15)},
		"beyond 1000 is 1000":        {"?limit=5000", span(24, 0)},
		"an unknown state":           {"?state=inconnu", nil},
		"by state":                   {"?state=draft&limit=2", span(24, 23)},
		"by states":                  {"?state[]=draft&state[]=submitted&limit=2", span(24, 23)},
		"by SIRET":                   {"?siret=" + Invented(7).Organization.SIRET, []int{7}},
		"by SIRET of nobody we know": {"?siret=21350998700011", nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var want, got []string
			for _, n := range c.want {
				want = append(want, Invented(n).PublicID)
			}
			for _, item := range s.list("/api/v1/demandes"+c.query, token) {
				got = append(got, item["public_id"].(string))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func span(from, to int) []int {
	var out []int
	for n := from; n >= to; n-- {
		out = append(out, n)
	}
	return out
}

func TestHabilitationsAreListed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.create(APIParticulier()).ID
	s.steps(id, EventSubmit, EventApprove, EventReopen, EventUpdate, EventSubmit)
	s.Advance(time.Hour)
	s.steps(id, EventApprove)
	token := s.accessToken("")
	got := s.list("/api/v1/habilitations", token)
	if len(got) != 2 || got[0]["state"] != "active" || got[1]["state"] != "obsolete" || got[0]["request_id"] != float64(id) {
		t.Fatalf("%v", got)
	}
	if only := s.list("/api/v1/habilitations?state[]=obsolete", token); len(only) != 1 || only[0]["id"] != got[1]["id"] {
		t.Errorf("%v", only)
	}
	// Raw data: text, nulls kept (datapass.md, 2.5).
	data := got[0]["data"].(map[string]any)
	if null, has := data["france_connect_authorization_id"]; data["modalities"] != `["params"]` || !has || null != nil {
		t.Errorf("%v", data)
	}
}

func TestHistoryCollapsesUpdatesAndTheRequestHidesBulkUpdates(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	id := s.create(APIParticulier()).ID
	s.steps(id, EventUpdate, EventUpdate, EventSubmit, EventRequestChanges, EventUpdate)
	if err := s.AddHistory(t.Context(), id, EventBulkUpdate); err != nil {
		t.Fatal(err)
	}
	token := s.accessToken("")
	var got []any
	for _, event := range s.list(fmt.Sprintf("/api/v1/demandes/%d/events", id), token) {
		got = append(got, event["name"])
	}
	want := []any{"bulk_update", "update", "request_changes", "submit", "update", "create"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	_, body := s.call(fmt.Sprintf("/api/v1/demandes/%d", id), token)
	var request struct{ Events []struct{ Name string } }
	if err := json.Unmarshal(body, &request); err != nil {
		t.Fatal(err)
	}
	if len(request.Events) != 6 {
		t.Errorf("want all but bulk_update, not collapsed: %v", request.Events)
	}
}

func TestDefinitionsShowTheirStageAndTheirScopes(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	token := s.accessToken("")
	names := map[string]any{}
	for _, d := range s.list("/api/v1/definitions", token) {
		names[d["id"].(string)] = d["name"]
	}
	want := map[string]any{
		"api_particulier": "API Particulier", "formulaire_qf": "Formulaire d'accès au Quotient Familial",
		"api_impot_particulier_sandbox": "API Impôt Particulier (Bac à sable)",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
	deprecated := func() (n int) {
		_, body := s.call("/api/v1/definitions/api_impot_particulier_sandbox", token)
		var d struct {
			Scopes []struct{ Deprecated, Disabled bool }
		}
		if err := json.Unmarshal(body, &d); err != nil {
			t.Fatal(err)
		}
		for _, scope := range d.Scopes {
			if scope.Deprecated {
				n++
			}
		}
		return n
	}
	now := deprecated()
	s.clock.Freeze(time.Date(2025, 5, 20, 10, 0, 0, 0, time.UTC)) // the day itself: not yet
	token = s.accessToken("")
	if then := deprecated(); now == 0 || then != 0 {
		t.Errorf("%d deprecated in 2026, %d on the day", now, then)
	}
}

func TestAttemptsAreReadable(t *testing.T) {
	t.Parallel()
	s, r := newSite(t), newReceiver(t)
	sub := s.AddSubscription(Subscription{Definition: "api_particulier", URL: r.URL})
	id := s.create(APIParticulier()).ID
	s.Advance(time.Hour)
	r.answer(500, "oups")
	s.steps(id, EventSubmit)
	token := s.accessToken("read_webhooks")
	path := fmt.Sprintf("/api/v1/webhooks/%d/attempts", sub.ID)
	got := s.list(path, token)
	if len(got) != 2 || got[0]["event"] != "submit" || got[0]["status_code"] != float64(500) || got[0]["response_body"] != "oups" {
		t.Fatalf("%v", got)
	}
	if recent := s.list(path+"?start_time="+url.QueryEscape(s.Now().Format(time.RFC3339)), token); len(recent) != 1 {
		t.Errorf("%v", recent)
	}
	if one := s.list(path+"?limit=1", token); len(one) != 1 {
		t.Errorf("%v", one)
	}
}

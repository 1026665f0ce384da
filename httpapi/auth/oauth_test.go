package auth_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/passerelle-hub/passerelle/httpapi/auth"
	"github.com/passerelle-hub/passerelle/internal/registry"
)

func TestATokenIsWhatDataPassesClientsExpect(t *testing.T) {
	s := newSite(t)
	app := s.application(s.person("dev@dinum.example", "dinum:*:developer"), auth.ScopePublic, auth.ScopeReadAuthorizations, auth.ScopeWriteAuthorizations)
	for name, c := range map[string]struct {
		form  url.Values
		basic bool
		scope string
	}{
		"by form":              {url.Values{}, false, "public read_authorizations"},
		"by HTTP Basic":        {url.Values{}, true, "public read_authorizations"},
		"with a scope":         {url.Values{"scope": {"write_authorizations"}}, false, "write_authorizations"},
		"with several":         {url.Values{"scope": {" write_authorizations  public public"}}, false, "public write_authorizations"},
		"with an empty scope":  {url.Values{"scope": {" "}}, false, "public read_authorizations"},
		"with unknown members": {url.Values{"resource": {"x"}}, false, "public read_authorizations"},
	} {
		t.Run(name, func(t *testing.T) {
			c.form.Set("grant_type", "client_credentials")
			a := s.authenticated("/oauth/token", app, c.form, c.basic)
			var got map[string]any
			if err := json.Unmarshal(a.body, &got); err != nil || a.status != http.StatusOK {
				t.Fatalf("%d %s", a.status, a.body)
			}
			if value, _ := got["access_token"].(string); !strings.HasPrefix(value, "psh_test_") {
				t.Errorf("access_token %q", value)
			}
			if at, _ := got["created_at"].(float64); time.Since(time.Unix(int64(at), 0)) > time.Minute {
				t.Errorf("created_at %v", got["created_at"])
			}
			delete(got, "access_token")
			delete(got, "created_at")
			want := map[string]any{"token_type": "Bearer", "expires_in": 7200.0, "scope": c.scope}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("Cache-Control %q", a.header.Get("Cache-Control"))
			}
		})
	}
}

func TestOAuthErrorsArePlain(t *testing.T) {
	s := newSite(t)
	app := s.application(s.person("dev@dinum.example", "dinum:*:developer"), auth.ScopePublic)
	gateway := &registry.AddApplication{Name: "passerelle d'API", Scopes: []string{auth.ScopeIntrospect}, Definitions: []string{"api_entreprise"}}
	s.record(gateway)
	ended := s.application(s.person("autre@dinum.example", "dinum:*:developer"))
	s.record(&registry.DisableApplication{ID: ended.ID})
	good := url.Values{"grant_type": {"client_credentials"}, "client_id": {app.ID.String()}, "client_secret": {app.Secret.Reveal()}}
	// with lays changes over the good form; "-" removes a parameter.
	with := func(changes ...string) string {
		form := url.Values{}
		for k, v := range good {
			form[k] = v
		}
		for i := 0; i < len(changes); i += 2 {
			form.Set(changes[i], changes[i+1])
			if changes[i+1] == "-" {
				form.Del(changes[i])
			}
		}
		return form.Encode()
	}
	none := with("client_id", "-", "client_secret", "-")
	for name, c := range map[string]struct {
		query, body string
		header      []string
		status      int
		code        string
	}{
		"no client":                       {"", none, nil, 401, "invalid_client"},
		"an unknown client":               {"", with("client_id", "00000000-0000-0000-0000-000000000000"), nil, 401, "invalid_client"},
		"a client that is no id":          {"", with("client_id", "é'\x00"), nil, 401, "invalid_client"},
		"a wrong secret":                  {"", with("client_secret", gateway.Secret.Reveal()), nil, 401, "invalid_client"},
		"a secret with a typo":            {"", with("client_secret", app.Secret.Reveal()+"x"), nil, 401, "invalid_client"},
		"a client that was ended":         {"", with("client_id", ended.ID.String(), "client_secret", ended.Secret.Reveal()), nil, 401, "invalid_client"},
		"a wrong HTTP Basic":              {"", none, []string{"Authorization", "Basic Og=="}, 401, "invalid_client"},
		"no grant type":                   {"", with("grant_type", "-"), nil, 400, "invalid_request"},
		"another grant type":              {"", with("grant_type", "password"), nil, 400, "unsupported_grant_type"},
		"an unknown scope":                {"", with("scope", "tout"), nil, 400, "invalid_scope"},
		"a scope that it has not":         {"", with("scope", "public write_authorizations"), nil, 400, "invalid_scope"},
		"no default scope among its own":  {"", with("client_id", gateway.ID.String(), "client_secret", gateway.Secret.Reveal()), nil, 400, "invalid_scope"},
		"two methods of authentication":   {"", with(), []string{"Authorization", "Basic YTpi"}, 400, "invalid_request"},
		"JSON instead of a form":          {"", with(), []string{"Content-Type", "application/json"}, 400, "invalid_request"},
		"no content type":                 {"", with(), []string{"Content-Type", ""}, 400, "invalid_request"},
		"a form over its limit":           {"", with("scope", strings.Repeat("a", 20_000)), nil, 413, "invalid_request"},
		"a repeated parameter":            {"", with() + "&scope=public&scope=public", nil, 400, "invalid_request"},
		"a form with a broken escape":     {"", "grant_type=%zz", nil, 400, "invalid_request"},
		"credentials in the URL's query":  {"?" + good.Encode(), "grant_type=client_credentials", nil, 401, "invalid_client"},
		"a grant type in the URL's query": {"?" + good.Encode(), with("grant_type", "-"), nil, 400, "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			a := s.post("/oauth/token"+c.query, c.body, c.header...)
			var got map[string]string
			if err := json.Unmarshal(a.body, &got); err != nil || a.status != c.status || got["error"] != c.code || got["error_description"] == "" || len(got) != 2 {
				t.Errorf("%d %s", a.status, a.body)
			}
			if challenge := a.header.Get("WWW-Authenticate"); (a.status == http.StatusUnauthorized) != (challenge != "") {
				t.Errorf("WWW-Authenticate %q", challenge)
			}
		})
	}
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
		a := s.send(method, "/oauth/token", "")
		if a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") != http.MethodPost {
			t.Errorf("%s: %d %q", method, a.status, a.header.Get("Allow"))
		}
	}
	if n := s.count(`select count(*) from access_token`); n != 0 {
		t.Errorf("%d tokens were made", n)
	}
}

func TestARevokedTokenIsNoLongerActive(t *testing.T) {
	s := newSite(t)
	owner := s.person("dev@dinum.example", "dinum:*:developer")
	app, other := s.application(owner, auth.DefaultScopes()...), s.application(owner, auth.DefaultScopes()...)
	value := s.token(app)
	active := func(asking *registry.AddApplication) map[string]any {
		t.Helper()
		a := s.authenticated("/oauth/introspect", asking, url.Values{"token": {value}}, true)
		var got map[string]any
		if err := json.Unmarshal(a.body, &got); err != nil || a.status != http.StatusOK {
			t.Fatalf("%d %s", a.status, a.body)
		}
		return got
	}
	inactive := map[string]any{"active": false}
	got := active(app)
	if got["active"] != true || got["scope"] != "public read_authorizations" || got["client_id"] != app.ID.String() || got["token_type"] != "Bearer" ||
		got["exp"].(float64)-got["iat"].(float64) != 7200 {
		t.Errorf("%v", got)
	}
	if diff := cmp.Diff(inactive, active(other)); diff != "" {
		t.Errorf("another application is told of it\n%s", diff)
	}
	s.authenticated("/oauth/revoke", other, url.Values{"token": {value}}, false)
	if active(app)["active"] != true {
		t.Error("another application ended it")
	}
	for range 2 {
		a := s.authenticated("/oauth/revoke", app, url.Values{"token": {value}, "token_type_hint": {"access_token"}}, false)
		if a.status != http.StatusOK || strings.TrimSpace(string(a.body)) != "{}" {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	if diff := cmp.Diff(inactive, active(app)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, unknown := range []string{"rien", "psh_test_000000000000000000000000000000000000", app.Secret.Reveal()} {
		if a := s.authenticated("/oauth/revoke", app, url.Values{"token": {unknown}}, false); a.status != http.StatusOK {
			t.Errorf("revoke %q: %d", unknown, a.status)
		}
	}
	if a := s.post("/oauth/revoke", url.Values{"token": {value}}.Encode()); a.status != http.StatusForbidden || !strings.Contains(string(a.body), "unauthorized_client") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := s.authenticated("/oauth/introspect", app, url.Values{}, true); a.status != http.StatusBadRequest {
		t.Errorf("introspect nothing: %d", a.status)
	}
}

func TestATokenLivesTwoHours(t *testing.T) {
	s := newSite(t)
	app := s.application(s.person("dev@dinum.example", "dinum:*:developer"))
	value := s.token(app)
	s.ahead.Store(int64(2*time.Hour - time.Minute))
	if _, err := s.identify(value); err != nil {
		t.Errorf("before two hours: %v", err)
	}
	s.ahead.Store(int64(2 * time.Hour))
	if _, err := s.identify(value); !denied(err, auth.Expired) {
		t.Errorf("after two hours: %v", err)
	}
	if n, err := s.store.PurgeAccessTokens(t.Context(), s.now().Add(-time.Hour), 100); err != nil || n != 0 {
		t.Errorf("a token that just expired was purged: %d %v", n, err)
	}
	if n, err := s.store.PurgeAccessTokens(t.Context(), s.now().Add(time.Second), 100); err != nil || n != 1 {
		t.Errorf("%d purged, %v", n, err)
	}
}

func TestNothingThatOpensADoorIsInTheDatabase(t *testing.T) {
	s := newSite(t)
	app := s.application(s.person("dev@dinum.example", "dinum:*:developer"))
	value := s.token(app)
	for _, secret := range []string{value, app.Secret.Reveal()} {
		n := s.count(`select (select count(*) from access_token t where t::text like '%' || $1 || '%') + (select count(*) from api_client c where c::text like '%' || $1 || '%')`, secret)
		if n != 0 {
			t.Errorf("%.9s… is kept in clear", secret)
		}
	}
}

func TestAMachineIntrospectsWithItsSecretOrAToken(t *testing.T) {
	s := newSite(t)
	gateway := &registry.AddApplication{Name: "passerelle d'API", Scopes: []string{auth.ScopeIntrospect}, Definitions: []string{"api_entreprise"}}
	s.record(gateway)
	owned := s.application(s.person("dev@dinum.example", "dinum:api_particulier:developer"), auth.ScopeIntrospect)
	without := s.application(s.person("dev2@dinum.example", "dinum:*:developer"), auth.ScopePublic)
	machine := func(set func(*http.Request)) (auth.Caller, error) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/token/introspect", nil)
		if err != nil {
			t.Fatal(err)
		}
		set(r)
		return s.callers.Machine(r, auth.ScopeIntrospect)
	}
	basic := func(id, secret string) func(*http.Request) {
		return func(r *http.Request) { r.SetBasicAuth(id, secret) }
	}
	bearer := func(value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+value) }
	}
	for name, c := range map[string]struct {
		set  func(*http.Request)
		want []string
	}{
		"HTTP Basic":                  {basic(gateway.ID.String(), gateway.Secret.Reveal()), []string{"api_entreprise"}},
		"its secret as a bearer":      {bearer(gateway.Secret.Reveal()), []string{"api_entreprise"}},
		"a token":                     {bearer(s.token(gateway, auth.ScopeIntrospect)), []string{"api_entreprise"}},
		"the owner's developer roles": {basic(owned.ID.String(), owned.Secret.Reveal()), []string{"api_particulier"}},
	} {
		caller, err := machine(c.set)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(c.want, caller.Introspectable(s.catalogue.Definitions())); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
	for name, c := range map[string]struct {
		set  func(*http.Request)
		want auth.Reason
	}{
		"nothing":                    {func(*http.Request) {}, auth.Missing},
		"another's id":               {basic(owned.ID.String(), gateway.Secret.Reveal()), auth.Missing},
		"no id":                      {basic("", gateway.Secret.Reveal()), auth.Missing},
		"a secret without the right": {basic(without.ID.String(), without.Secret.Reveal()), auth.ScopeMissing},
		"a token without the right":  {bearer(s.token(without, auth.ScopePublic)), auth.ScopeMissing},
	} {
		if _, err := machine(c.set); !denied(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

package gravitee

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/gravitee/graviteetest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

// subscribe asks for a plan as somebody else would.
func (h *hub) subscribeAs(app, api, plan, value string) subscription {
	h.t.Helper()
	in := map[string]string{"applicationId": app, "planId": plan}
	if value != "" {
		in["customApiKey"] = value
	}
	var made subscription
	_, err := h.do(h.t.Context(), call{
		op: "test", method: "POST", route: v2 + "/apis/{api}/subscriptions", params: map[string]string{"api": api}, in: in, out: &made,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return made
}

func (h *hub) post(s subscription, action string) {
	h.t.Helper()
	_, err := h.do(h.t.Context(), call{
		op: "test", method: "POST", route: v2 + "/apis/{api}/subscriptions/{sub}/" + action,
		params: map[string]string{"api": s.API.ID, "sub": s.ID},
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

func TestIssueStopsBeforeWhatIsNotOurs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		arrange func(h *hub)
		class   connectors.Class
		says    string
	}{
		"another application holds the value": {func(h *hub) {
			other, err := h.srv.AddApplication(graviteetest.Application{Name: "x", ClientID: "x"})
			if err != nil {
				h.t.Fatal(err)
			}
			h.subscribeAs(other.ID, graviteetest.DemoAPI, graviteetest.DemoPlan, key1)
		}, connectors.Conflict, "is not this application's"},
		"another application holds it and ours is subscribed": {func(h *hub) {
			other, err := h.srv.AddApplication(graviteetest.Application{Name: "x", ClientID: "x"})
			if err != nil {
				h.t.Fatal(err)
			}
			h.subscribeAs(other.ID, api2, plan2, key1)
			h.subscribeAs(h.app, graviteetest.DemoAPI, graviteetest.DemoPlan, "")
		}, connectors.Conflict, "is not this application's"},
		"our key was ended by a person": {func(h *hub) {
			issued := h.issued("base")
			key := h.key(key1)
			_, err := h.do(h.t.Context(), call{
				op: "test", method: "POST", route: keysRoute + "/{key}/_revoke",
				params: map[string]string{"api": graviteetest.DemoAPI, "sub": issued.Handle.Extra[extraSubscription], "key": key.ID},
			})
			if err != nil {
				h.t.Fatal(err)
			}
		}, connectors.Conflict, "was ended"},
		"our subscription was paused by a person": {func(h *hub) {
			h.post(h.subscribeAs(h.app, graviteetest.DemoAPI, graviteetest.DemoPlan, key1), "_pause")
		}, connectors.Conflict, "was paused by a person"},
		"our key was used here and closed": {func(h *hub) {
			h.post(h.subscribeAs(h.app, graviteetest.DemoAPI, graviteetest.DemoPlan, key1), "_close")
		}, connectors.Rejected, "rotate the credential"},
		"custom keys are switched off": {
			func(h *hub) { h.srv.SetCustomKeys(false) },
			connectors.Rejected, "You are not allowed to provide a custom API Key",
		},
		"the plan is closed":       {func(h *hub) { h.srv.SetPlanStatus(graviteetest.DemoPlan, "CLOSED") }, connectors.Rejected, "plan.closed"},
		"the account is refused":   {func(h *hub) { h.srv.SetToken("another") }, connectors.Unauthorized, ""},
		"the account has no right": {func(h *hub) { h.srv.Inject(partnertest.Status("", 403)) }, connectors.Unauthorized, ""},
		"a wrong organization":     {func(h *hub) { h.config.Organization = "OTHER" }, connectors.Rejected, "organization or environment is wrong"},
		"a wrong environment":      {func(h *hub) { h.config.Environment = "OTHER" }, connectors.Rejected, "organization or environment is wrong"},
		"a wrong path":             {func(h *hub) { h.config.URL += "/apim" }, connectors.Rejected, "no such path"},
		"a scope without mapping": {func(h *hub) {
			h.config.Grants["api_demo"].Scopes["x"] = nil
			delete(h.config.Grants["api_demo"].Scopes, "base")
		}, connectors.Rejected, "scope base has no mapping"},
		"an unknown definition":  {func(h *hub) { delete(h.config.Grants, "api_demo") }, connectors.Rejected, "definition api_demo has no mapping"},
		"another worker is busy": {func(h *hub) { h.memory.locks["gravitee/gravitee-test/"+h.app] = true }, connectors.RateLimited, "busy"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := start(t, graviteetest.Options{}).subject()
			c.arrange(h)
			live := h.srv.Counts().LiveKeys
			for range 2 {
				_, err := h.Issue(t.Context(), h.request("dp-9001-c1", key1, "base"))
				wantClass(t, err, c.class)
				if err != nil && (!strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), key1)) {
					t.Errorf("error %q, want %q and no secret", err, c.says)
				}
			}
			if got := h.srv.Counts().LiveKeys; got != live {
				t.Errorf("%d live keys, before %d", got, live)
			}
			for _, sub := range h.srv.Subscriptions() {
				if sub.Status == graviteetest.StatusPending {
					t.Errorf("a waiting subscription is left: %+v", sub)
				}
			}
		})
	}
}

func TestASubscriptionLeftWithoutOurKeyGetsItAndLosesTheGeneratedOne(t *testing.T) {
	t.Parallel()
	h := start(t, graviteetest.Options{}).subject()
	h.subscribeAs(h.app, graviteetest.DemoAPI, graviteetest.DemoPlan, "")
	generated := h.srv.Keys()[0].Value
	h.passes(generated, true)
	issued, err := h.Issue(t.Context(), h.request("dp-9001-c1", key1, "base"))
	if err != nil {
		t.Fatal(err)
	}
	h.passes(key1, true)
	h.passes(generated, false)
	h.counts(1, 1, 1)
	again, err := h.Issue(t.Context(), h.request("dp-9001-c1", key1, "base"))
	if err != nil || !again.Adopted {
		t.Errorf("%+v %v", again, err)
	}
	if diff := cmp.Diff(issued.Handle, again.Handle); diff != "" {
		t.Errorf("adopted as another: %s", diff)
	}
}

func TestAWaitingSubscriptionIsAcceptedWithOurKey(t *testing.T) {
	t.Parallel()
	h := start(t, graviteetest.Options{}).subject()
	// A subscription made by the consumer's side waits for the owner of the API.
	_, err := h.do(t.Context(), call{
		op: "test", method: "POST", route: v1 + "/applications/{app}/subscriptions", params: map[string]string{"app": h.app},
		query: map[string][]string{"plan": {graviteetest.DemoPlan}}, in: map[string]string{},
	})
	if err != nil {
		t.Fatal(err)
	}
	h.srv.Inject(partnertest.Answer("POST /**/_accept", 403, "application/json", `{"message":"no right","httpStatus":403}`).For(1))
	_, err = h.Issue(t.Context(), h.request("dp-9001-c1", key1, "base"))
	wantClass(t, err, connectors.Pending)
	if _, err = h.Issue(t.Context(), h.request("dp-9001-c1", key1, "base")); err != nil {
		t.Fatal(err)
	}
	h.counts(1, 1, 1)
	h.passes(key1, true)
}

func TestWhatIsGoneIsSaidToBeGone(t *testing.T) {
	t.Parallel()
	h := start(t, graviteetest.Options{}).subject()
	unknown := connectors.Handle{Ref: "dp-9001-c7", Subject: h.app}
	_, err := h.Lookup(t.Context(), unknown)
	wantClass(t, err, connectors.NotFound)
	_, err = h.Lookup(t.Context(), connectors.Handle{Ref: "dp-77-c1"})
	wantClass(t, err, connectors.NotFound)
	_, err = h.Lookup(t.Context(), connectors.Handle{Ref: "dp-9001-c1", Subject: "00000000-0000-4000-8000-000000000000"})
	wantClass(t, err, connectors.NotFound)
	wantClass(t, h.Expire(t.Context(), unknown, january.Add(time.Hour)), connectors.NotFound)
	if err := h.Revoke(t.Context(), unknown); err != nil {
		t.Errorf("revoking what never was: %v", err)
	}
	if live, err := h.VerifyRevoked(t.Context(), unknown); err != nil || live != connectors.Dead {
		t.Errorf("what was never sent is %s, %v", live, err)
	}
}

func TestACredentialIsFoundByItsReferenceAlone(t *testing.T) {
	t.Parallel()
	h := start(t, graviteetest.Options{})
	first := h.issued("base")
	if _, err := h.Issue(t.Context(), h.request("dp-9001-c2", key2, "base")); err != nil {
		t.Fatal(err)
	}
	for _, handle := range []connectors.Handle{{Ref: "dp-9001-c1", Subject: h.app}, {Ref: "dp-9001-c1"}} {
		found, err := h.Lookup(t.Context(), handle)
		if err != nil || found.Handle.ID != first.Handle.ID || found.Live != connectors.Alive {
			t.Errorf("%+v %v", found, err)
		}
	}
	h.post(subscription{ID: first.Handle.Extra[extraSubscription], API: reference{graviteetest.DemoAPI}}, "_pause")
	if found, err := h.Lookup(t.Context(), first.Handle); err != nil || found.Live != connectors.Unknown {
		t.Errorf("paused: %s %v", found.Live, err)
	}
}

func TestARevocationHoldsAfterTheApplicationIsArchived(t *testing.T) {
	t.Parallel()
	h := start(t, graviteetest.Options{})
	issued := h.issued("base")
	if _, err := h.do(t.Context(), call{op: "test", method: "DELETE", route: v1 + "/applications/{app}", params: map[string]string{"app": h.app}}); err != nil {
		t.Fatal(err)
	}
	if err := h.Revoke(t.Context(), issued.Handle); err != nil {
		t.Fatal(err)
	}
	if live, err := h.VerifyRevoked(t.Context(), issued.Handle); err != nil || live != connectors.Dead {
		t.Errorf("%s %v", live, err)
	}
}

func TestTheProbeHasTheLastWord(t *testing.T) {
	t.Parallel()
	const gateway partnertest.Route = "gateway:GET /**"
	for name, c := range map[string]struct {
		fault *partnertest.Fault
		live  connectors.Liveness
		fails bool
	}{
		"401 is dead":                      {nil, connectors.Dead, false},
		"200 is alive":                     {ptr(partnertest.Answer(gateway, 200, "text/plain", "ok")), connectors.Alive, false},
		"400 of the API behind is alive":   {ptr(partnertest.Answer(gateway, 400, "application/json", "{}")), connectors.Alive, false},
		"a page of a proxy says nothing":   {ptr(partnertest.HTML(gateway, 502)), connectors.Unknown, false},
		"404 says nothing":                 {ptr(partnertest.Status(gateway, 404)), connectors.Unknown, false},
		"429 says nothing":                 {ptr(partnertest.RateLimited(gateway, time.Minute)), connectors.Unknown, false},
		"a lost connection is tried again": {ptr(partnertest.ResetAfter(gateway)), connectors.Unknown, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := start(t, graviteetest.Options{})
			h.config.Probe = h.srv.GatewayURL() + graviteetest.DemoPath + "/{definition}/{api}"
			issued := h.issued("base")
			if err := h.Revoke(t.Context(), issued.Handle); err != nil {
				t.Fatal(err)
			}
			if c.fault != nil {
				h.srv.Inject(*c.fault)
			}
			live, err := h.VerifyRevoked(t.Context(), issued.Handle)
			if live != c.live || (err != nil) != c.fails {
				t.Errorf("%s %v, want %s", live, err, c.live)
			}
			if calls := h.srv.Calls(gateway); len(calls) != 1 || calls[0].Path != graviteetest.DemoPath+"/api_demo/"+graviteetest.DemoAPI {
				t.Errorf("calls of the gateway: %+v", calls)
			}
		})
	}
}

func ptr[T any](v T) *T { return &v }

func TestHealthIsMoreThanAStatus(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		arrange func(h *hub)
		class   connectors.Class
	}{
		"well":                   {func(*hub) {}, ""},
		"a page with 200":        {func(h *hub) { h.srv.Inject(partnertest.HTML("", 200)) }, connectors.Temporary},
		"an object with 200":     {func(h *hub) { h.srv.Inject(partnertest.Answer("", 200, "application/json", "{}")) }, connectors.Rejected},
		"the API is gone":        {func(h *hub) { h.config.Grants["api_demo"] = Grant{API: "gone", Plan: "x"} }, connectors.Rejected},
		"the token is refused":   {func(h *hub) { h.srv.SetToken("another") }, connectors.Unauthorized},
		"the manager is down":    {func(h *hub) { _ = h.srv.Close() }, connectors.Temporary},
		"the answer is cut":      {func(h *hub) { h.srv.Inject(partnertest.HalfBody("")) }, connectors.Temporary},
		"the manager is limited": {func(h *hub) { h.srv.Inject(partnertest.RateLimited("", time.Minute)) }, connectors.RateLimited},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := start(t, graviteetest.Options{})
			c.arrange(h)
			before := h.srv.Counts()
			_, err := h.Health(t.Context())
			if c.class == "" && err != nil {
				t.Error(err)
			} else if c.class != "" {
				wantClass(t, err, c.class)
			}
			if diff := cmp.Diff(before, h.srv.Counts()); diff != "" {
				t.Errorf("a question changed something: %s", diff)
			}
		})
	}
}

func TestTheSettingsAreComparedWithTheManager(t *testing.T) {
	t.Parallel()
	h := start(t, graviteetest.Options{})
	if faults, err := h.CheckConfig(t.Context()); err != nil || len(faults) != 0 {
		t.Errorf("%v %v", faults, err)
	}
	h.srv.AddAPI(graviteetest.API{ID: "api-3", Plans: []graviteetest.Plan{{ID: "keyless", Security: "KEY_LESS"}}})
	h.srv.SetPlanStatus(plan2, "DEPRECATED")
	h.config.Grants["b"] = Grant{API: "api-3", Plan: "keyless", Scopes: map[string][]PlanRef{"x": {{graviteetest.DemoAPI, "gone"}}, "y": {{"gone", "gone"}}}}
	faults, err := h.CheckConfig(t.Context())
	want := []string{
		"grants.api_demo: plan api-2/plan-2 is DEPRECATED, not PUBLISHED",
		"grants.b: plan api-3/keyless has security KEY_LESS, not API_KEY",
		"grants.b: plan " + graviteetest.DemoAPI + "/gone does not exist",
		"grants.b: API gone does not exist",
	}
	if diff := cmp.Diff(want, faults); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	wantClass(t, h.EnsureGrants(t.Context(), "x", nil, grants("further")), connectors.Rejected)
	h.srv.SetToken("another")
	if _, err := h.CheckConfig(t.Context()); !connectors.Is(err, connectors.Unauthorized) {
		t.Errorf("what cannot be read is no fault of the settings: %v", err)
	}
}

func TestAPlanIsToldWithoutACall(t *testing.T) {
	t.Parallel()
	h := start(t, graviteetest.Options{})
	steps, err := h.Plan(grants("base", "further"))
	want := []string{
		"Créer l'application de la demande, ou reprendre celle qui existe",
		"Souscrire au plan " + graviteetest.DemoPlan + " de l'API " + graviteetest.DemoAPI + " avec la clé du hub",
		"Souscrire au plan plan-2 de l'API api-2 avec la clé du hub",
		"Périmètres couverts : base, further",
	}
	if diff := cmp.Diff(want, steps); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	_, err = h.Plan(grants("unknown"))
	wantClass(t, err, connectors.Rejected)
	if n := len(h.srv.Calls("")); n != 0 {
		t.Errorf("%d calls", n)
	}
}

func TestARefusedTokenIsReadAgainFromItsFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "token")
	write := func(token string) {
		if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(graviteetest.DefaultToken)
	h := start(t, graviteetest.Options{}, func(c *Config) { c.Token, c.TokenFile = connectors.Secret{}, file })
	h.srv.SetToken("renewed-token")
	_, err := h.EnsureSubject(t.Context(), subject())
	wantClass(t, err, connectors.Unauthorized)
	if n := len(h.srv.Calls("")); n != 1 {
		t.Errorf("%d calls with the same token", n)
	}
	write("renewed-token")
	h.subject()
	h.counts(1, 0, 0)
}

func TestBasicCredentials(t *testing.T) {
	t.Parallel()
	h := start(t, graviteetest.Options{}, func(c *Config) {
		c.Token = connectors.Secret{}
		c.Username, c.Password = graviteetest.DefaultUser, connectors.NewSecret(graviteetest.DefaultPassword)
	})
	h.subject()
	h.counts(1, 0, 0)
}

func TestSettingsGiveEveryFaultAtOnce(t *testing.T) {
	t.Parallel()
	bad := Config{
		URL: "https://user:hunter2@apim.example", Token: connectors.NewSecret("t"), TokenFile: "/t", Username: "u", SyncDelay: -1,
		Grants: map[string]Grant{"a": {Scopes: map[string][]PlanRef{"s": {{"x", "1"}}, "t": {{"x", "2"}}}, Probe: "relative"}},
	}
	bad.Host = "other.example"
	err := bad.Validate()
	if err == nil {
		t.Fatal("no fault")
	}
	for _, want := range []string{
		"url:", "organization:", "environment:", "one of them", "go together", "sync_delay", "page_size", "grants.a.api", "grants.a.plan",
		"grants.a.scopes.t: x/2: a second plan of the same API", "probe of a: not an absolute URL", "cannot be used with host",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no fault about %q in\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Error("a fault shows a secret")
	}
	if err := Default().Validate(); err == nil || !strings.Contains(err.Error(), "grants: missing") {
		t.Errorf("without grants: %v", err)
	}
	if _, err := (Config{}).Open(connectors.Deps{}); err == nil {
		t.Error("opened without settings")
	}
	good := Default()
	good.URL, good.Token = "https://apim.example", connectors.NewSecret("t")
	good.Grants = map[string]Grant{"a": {API: "x", Plan: "y"}}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	if _, err := good.Open(connectors.Deps{Name: "g"}); err == nil {
		t.Error("opened without what the hub lends")
	}
	good.Token, good.TokenFile = connectors.Secret{}, "/nowhere"
	deps := connectors.Deps{Name: "g", Owner: "o", Now: time.Now, Partner: nothing{}, Ledger: &memory{}, Gate: &memory{}}
	if _, err := good.Open(deps); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a token file that is not there: %v", err)
	}
}

type nothing struct{ connectors.HTTPDoer }

func TestAPlanIsWrittenWithItsAPI(t *testing.T) {
	t.Parallel()
	var p PlanRef
	if err := p.UnmarshalText([]byte("api/plan")); err != nil || p.String() != "api/plan" {
		t.Errorf("%v %v", p, err)
	}
	for _, text := range []string{"", "plan", "/plan", "api/", "a/b/c"} {
		if err := p.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is read", text)
		}
	}
}

package kong_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/kong"
	"github.com/passerelle-hub/passerelle/connectors/kong/kongtest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

const (
	key1 = "psk_test_7Qm2Zr9LxT4cVb8NwKd3Hs6YpFjG1a240k77"
	key2 = "psk_test_Bf5Rt1Xv9Zc3Mn7Lk2Jh6Gd4Sa8Pq04PWoe1"
)

func subject() connectors.Subject {
	return connectors.Subject{
		Ref: "dp-9001", Name: "Commune de Valfleury - cantine", Description: "DataPass D9001", Owner: owner,
		Labels: map[string]string{"datapass_id": "9001", "siret": "21380999900013"},
	}
}

// hub is the connector on a simulator, with one subject.
type hub struct {
	connectors.KeyManager
	t   *testing.T
	ctx context.Context
	srv *kongtest.Server
	id  string
}

func newHub(t *testing.T, opts kongtest.Options) hub {
	t.Helper()
	srv := start(t, opts)
	h := hub{KeyManager: open(t, srv, settings(srv)), t: t, ctx: t.Context(), srv: srv}
	id, err := h.EnsureSubject(h.ctx, subject())
	if err != nil {
		t.Fatal(err)
	}
	h.id = id
	return h
}

func (h hub) request(ref, key string) connectors.IssueRequest {
	return connectors.IssueRequest{
		Subject: subject(), SubjectID: h.id, Ref: ref, Secret: connectors.NewSecret(key),
		Grants: connectors.Grants{Definition: "api_demo", Scopes: []string{"impots"}},
	}
}

func (h hub) issue(ref, key string) connectors.Issued {
	h.t.Helper()
	issued, err := h.Issue(h.ctx, h.request(ref, key))
	if err != nil {
		h.t.Fatal(err)
	}
	return issued
}

func wantClass(t *testing.T, err error, class connectors.Class) {
	t.Helper()
	if !connectors.Is(err, class) {
		t.Errorf("got %v, want %s", err, class)
	}
}

func TestAStrangersConsumerIsNeverReplaced(t *testing.T) {
	srv := start(t, kongtest.Options{})
	strangers := []kongtest.Consumer{
		{Username: "dp-9001", CustomID: "crm-77", Tags: []string{"crm"}},
		{Username: "crm-78", CustomID: "dp-9002"},
		{Username: "dp-9003", CustomID: "dp-9003", Tags: []string{"owner:passerelle-elsewhere"}},
	}
	for _, c := range strangers {
		if _, err := srv.AddConsumer(c); err != nil {
			t.Fatal(err)
		}
	}
	m := open(t, srv, settings(srv))
	for _, ref := range []string{"dp-9001", "dp-9002", "dp-9003"} {
		s := subject()
		s.Ref = ref
		_, err := m.EnsureSubject(t.Context(), s)
		wantClass(t, err, connectors.Conflict)
	}
	for i, c := range srv.Consumers() {
		if !slices.ContainsFunc(strangers, func(s kongtest.Consumer) bool {
			return s.Username == c.Username && s.CustomID == c.CustomID && slices.Equal(s.Tags, c.Tags)
		}) {
			t.Errorf("consumer %d became %+v", i, c)
		}
	}
}

func TestAChangedLabelDropsNoTag(t *testing.T) {
	h := newHub(t, kongtest.Options{})
	h.issue("dp-9001-c1", key1)
	s := subject()
	s.Labels["siret"] = "21380999900021"
	if id, err := h.EnsureSubject(h.ctx, s); err != nil || id != h.id {
		t.Fatalf("%s, %v", id, err)
	}
	c, _ := h.srv.ConsumerByCustomID("dp-9001")
	want := []string{"owner:" + owner, "datapass_id:9001", "siret:21380999900021"}
	slices.Sort(want)
	got := slices.Sorted(slices.Values(c.Tags))
	if !slices.Equal(got, want) {
		t.Errorf("tags %q, want %q", got, want)
	}
}

func TestLabelsThatKongsTagsCannotHoldAreCleaned(t *testing.T) {
	h := newHub(t, kongtest.Options{})
	s := subject()
	s.Labels["definition"] = "a,b/c"
	if _, err := h.EnsureSubject(h.ctx, s); err != nil {
		t.Error(err)
	}
}

func TestARepeatedIssueKeepsTheTTL(t *testing.T) {
	h := newHub(t, kongtest.Options{})
	issued := h.issue("dp-9001-c1", key1)
	end := h.srv.Now().Add(time.Hour)
	if err := h.Expire(h.ctx, issued.Handle, end); err != nil {
		t.Fatal(err)
	}
	h.issue("dp-9001-c1", key1)
	k, found := h.srv.KeyByValue(key1)
	if !found || k.ExpiresAt == nil || !k.ExpiresAt.Equal(end) {
		t.Errorf("%+v", k)
	}
}

func TestAnEndThatKongDropsIsRejected(t *testing.T) {
	h := newHub(t, kongtest.Options{})
	issued := h.issue("dp-9001-c1", key1)
	h.srv.Inject(partnertest.Answer("PATCH", http.StatusOK, "application/json", `{"id":"`+issued.Handle.ID+`","key":"x","ttl":null}`))
	wantClass(t, h.Expire(h.ctx, issued.Handle, h.srv.Now().Add(time.Hour)), connectors.Rejected)
}

func TestAnEndBeyondKongsLongestTTLIsRejected(t *testing.T) {
	h := newHub(t, kongtest.Options{})
	issued := h.issue("dp-9001-c1", key1)
	wantClass(t, h.Expire(h.ctx, issued.Handle, h.srv.Now().AddDate(4, 0, 0)), connectors.Rejected)
	r := h.request("dp-9001-c2", key2)
	r.ExpiresAt = h.srv.Now().AddDate(4, 0, 0)
	_, err := h.Issue(h.ctx, r)
	wantClass(t, err, connectors.Rejected)
	if n := h.srv.Counts().Credentials; n != 1 {
		t.Errorf("%d keys", n)
	}
}

func TestAPathThatIsWrongProvesNoKeyDead(t *testing.T) {
	h := newHub(t, kongtest.Options{AdminToken: "admin-token-of-the-test", Workspace: "hub"})
	issued := h.issue("dp-9001-c1", key1)
	c := settings(h.srv)
	c.Workspace = "elsewhere" // every path is 404 there, with the body of a missing object
	lost := open(t, h.srv, c)
	if live, err := lost.VerifyRevoked(h.ctx, issued.Handle); err == nil || live == connectors.Dead {
		t.Errorf("%s, %v", live, err)
	}
	if err := lost.Revoke(h.ctx, issued.Handle); err == nil {
		t.Error("revoked in a workspace that does not exist")
	}
	c.Workspace = "hub"
	if err := open(t, h.srv, c).Revoke(h.ctx, issued.Handle); err != nil {
		t.Error(err)
	}
}

func TestAKeyGoneWithItsConsumerIsRevokedAndDead(t *testing.T) {
	h := newHub(t, kongtest.Options{})
	issued := h.issue("dp-9001-c1", key1)
	call(t, http.MethodDelete, h.srv.AdminURL()+"/consumers/dp-9001", "")
	if err := h.Revoke(h.ctx, issued.Handle); err != nil {
		t.Error(err)
	}
	if live, err := h.VerifyRevoked(h.ctx, issued.Handle); err != nil || live != connectors.Dead {
		t.Errorf("%s, %v", live, err)
	}
}

func TestAKeyUnderAConsumerMadeAgainIsFoundAndRevoked(t *testing.T) {
	h := newHub(t, kongtest.Options{})
	issued := h.issue("dp-9001-c1", key1)
	call(t, http.MethodDelete, h.srv.AdminURL()+"/consumers/dp-9001", "")
	call(t, http.MethodPut, h.srv.AdminURL()+"/consumers/dp-9001", `{"custom_id":"dp-9001"}`)
	call(t, http.MethodPut, h.srv.AdminURL()+"/consumers/dp-9001/key-auth/"+issued.Handle.ID, `{"key":"`+key1+`"}`)
	if live, err := h.VerifyRevoked(h.ctx, issued.Handle); err != nil || live != connectors.Alive {
		t.Errorf("%s, %v", live, err)
	}
	if err := h.Revoke(h.ctx, issued.Handle); err != nil {
		t.Error(err)
	}
	if _, found := h.srv.KeyByValue(key1); found {
		t.Error("the key lives")
	}
}

// call acts as Kong's own administrators do.
func call(t *testing.T, method, url, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		t.Fatalf("%s %s: %s", method, url, resp.Status)
	}
}

func TestAValueHeldByAnotherConsumerIsAConflict(t *testing.T) {
	h := newHub(t, kongtest.Options{})
	call(t, http.MethodPut, h.srv.AdminURL()+"/consumers/crm", `{"custom_id":"crm"}`)
	call(t, http.MethodPost, h.srv.AdminURL()+"/consumers/crm/key-auth", `{"key":"`+key1+`"}`)
	_, err := h.Issue(h.ctx, h.request("dp-9001-c1", key1))
	wantClass(t, err, connectors.Conflict)
}

func TestHealthReadsMoreThanAStatus(t *testing.T) {
	for name, tt := range map[string]struct {
		opts  kongtest.Options
		spoil func(*kongtest.Server, *kong.Config)
		want  connectors.Class // "" for health
	}{
		"a node that works":                  {},
		"no status listener in the settings": {spoil: func(_ *kongtest.Server, c *kong.Config) { c.StatusURL = "" }},
		"a database that is down behind a 200": {
			spoil: func(srv *kongtest.Server, c *kong.Config) { srv.SetDatabaseReachable(false); c.StatusURL = "" },
			want:  connectors.Temporary,
		},
		"a node without database takes no writes": {opts: kongtest.Options{DBLess: true}, want: connectors.Rejected},
		"a node that says it is not ready": {
			spoil: func(srv *kongtest.Server, _ *kong.Config) {
				srv.Inject(partnertest.Answer("status:GET /status/ready", 503, "application/json", `{"message":"no configuration"}`))
			}, want: connectors.Temporary,
		},
		"a token that may only read": {
			spoil: func(srv *kongtest.Server, _ *kong.Config) {
				srv.Inject(partnertest.Answer("DELETE", 403, "application/json", `{"message":"you do not have permissions"}`))
			}, want: connectors.Unauthorized,
		},
	} {
		t.Run(name, func(t *testing.T) {
			srv := start(t, tt.opts)
			c := settings(srv)
			if tt.spoil != nil {
				tt.spoil(srv, &c)
			}
			before := srv.Counts()
			health, err := open(t, srv, c).Health(t.Context())
			if (err == nil) != (tt.want == "") || (err != nil && !connectors.Is(err, tt.want)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if health.Version != kongtest.Version {
				t.Errorf("version %q", health.Version)
			}
			if srv.Counts() != before {
				t.Errorf("a health check changed %+v into %+v", before, srv.Counts())
			}
		})
	}
}

func TestTheOpenSourceEditionIsSentNoToken(t *testing.T) {
	h := newHub(t, kongtest.Options{})
	h.issue("dp-9001-c1", key1)
	for _, c := range h.srv.Calls("admin:") {
		if c.Header.Get("Kong-Admin-Token") != "" {
			t.Errorf("%s %s carries a token", c.Method, c.Path)
		}
	}
}

func TestTheAdminTokenGoesToTheAdminAPIAlone(t *testing.T) {
	h := newHub(t, kongtest.Options{AdminToken: "admin-token-of-the-test"})
	if _, err := h.Health(h.ctx); err != nil {
		t.Fatal(err)
	}
	calls := h.srv.Calls("status:")
	if len(calls) == 0 {
		t.Fatal("the status listener was not asked")
	}
	for _, c := range calls {
		if c.Header.Get("Kong-Admin-Token") != "" {
			t.Error("the status listener was sent the admin token")
		}
	}
}

func TestSettingsAreComparedWithThePlugins(t *testing.T) {
	srv := start(t, kongtest.Options{Routes: []kongtest.Route{{Name: "open", Path: "/open"}}})
	checker := open(t, srv, settings(srv)).(connectors.Checker)
	faults, err := checker.CheckConfig(t.Context())
	if err != nil || len(faults) != 2 {
		t.Errorf("%q, %v; want one line for each group that no plugin allows", faults, err)
	}
	srv = start(t, kongtest.Options{Routes: []kongtest.Route{}})
	faults, err = open(t, srv, settings(srv)).(connectors.Checker).CheckConfig(t.Context())
	if err != nil || !slices.ContainsFunc(faults, func(f string) bool { return strings.Contains(f, "key-auth") }) {
		t.Errorf("%q, %v; want a line on key-auth", faults, err)
	}
}

func TestAGroupThatWasNotWrittenIsNoticed(t *testing.T) {
	h := newHub(t, kongtest.Options{})
	h.srv.Inject(partnertest.Answer("PUT /consumers/*/acls/*", http.StatusOK, "application/json", `{"group":"dgfip"}`))
	grants := connectors.Grants{Definition: "api_demo", Scopes: []string{"impots"}}
	wantClass(t, h.EnsureGrants(h.ctx, h.id, nil, grants), connectors.Temporary)
}

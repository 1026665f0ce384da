package keycloak_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/conformance"
	"github.com/passerelle-hub/passerelle/connectors/keycloak"
	"github.com/passerelle-hub/passerelle/connectors/keycloak/keycloaktest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

const (
	key1 = "psk_test_7Qm2Zr9LxT4cVb8NwKd3Hs6YpFjG1a240k77"
	key2 = "psk_test_Bf5Rt1Xv9Zc3Mn7Lk2Jh6Gd4Sa8Pq04PWoe1"
)

func subject() connectors.Subject {
	return connectors.Subject{
		Ref: "dp-9001", Name: "Commune de Valfleury - cantine", Description: "DataPass D9001", Owner: owner,
		Labels: map[string]string{"datapass_id": "9001"},
	}
}

func grants(scopes ...string) connectors.Grants {
	return connectors.Grants{Definition: "api_demo", Scopes: scopes}
}

// hub is the connector on a simulator, with one subject and its rights.
type hub struct {
	connectors.KeyManager
	t      *testing.T
	ctx    context.Context
	srv    *keycloaktest.Server
	ledger *conformance.Memory
}

func newHub(t *testing.T, opts keycloaktest.Options, change ...func(*keycloak.Config)) hub {
	t.Helper()
	srv := start(t, opts)
	c := settings(srv)
	for _, f := range change {
		f(&c)
	}
	h := hub{t: t, ctx: t.Context(), srv: srv, ledger: conformance.NewMemory()}
	h.KeyManager = open(t, srv, c, h.ledger, owner)
	if _, err := h.EnsureSubject(h.ctx, subject()); err != nil {
		t.Fatal(err)
	}
	if err := h.EnsureGrants(h.ctx, "dp-9001", nil, grants("impots")); err != nil {
		t.Fatal(err)
	}
	return h
}

// overlapping is a hub on a realm whose policy keeps old secrets for two days.
func overlapping(t *testing.T) hub {
	t.Helper()
	return newHub(t, keycloaktest.Options{Rotation: &keycloaktest.RotationPolicy{Expiration: 30 * day, Rotated: 2 * day}},
		func(c *keycloak.Config) { c.RotatedPeriod = 2 * day })
}

func (h hub) request(ref, key string) connectors.IssueRequest {
	return connectors.IssueRequest{
		Subject: subject(), SubjectID: "dp-9001", Ref: ref, Secret: connectors.NewSecret(key), Grants: grants("impots"),
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

func (h hub) rotate(old connectors.Issued, ref, key string, grace time.Duration) connectors.Rotation {
	h.t.Helper()
	got, err := h.Rotate(h.ctx, connectors.RotateRequest{IssueRequest: h.request(ref, key), Old: old.Handle, Grace: grace})
	if err != nil {
		h.t.Fatal(err)
	}
	return got
}

func (h hub) passes(issued connectors.Issued, want bool) {
	h.t.Helper()
	if status, _ := h.srv.ProbeClient("dp-9001", issued.Secret.Reveal()); (status == http.StatusOK) != want {
		h.t.Errorf("%s: %d, want it to pass: %t", issued.Handle.Ref, status, want)
	}
}

func wantClass(t *testing.T, err error, class connectors.Class) {
	t.Helper()
	if !connectors.Is(err, class) {
		t.Errorf("got %v, want %s", err, class)
	}
}

func TestNothingIsPutDuringAnOpenGrace(t *testing.T) {
	h := overlapping(t)
	first := h.issue("dp-9001-c1", "")
	second := h.rotate(first, "dp-9001-c2", "", day)
	renamed := subject()
	renamed.Name = "Commune de Valfleury - périscolaire"
	if _, err := h.EnsureSubject(h.ctx, renamed); err != nil {
		t.Fatal(err)
	}
	live := []connectors.Handle{second.Handle}
	for _, scopes := range [][]string{{"impots", "quotient"}, {"quotient"}, {}} {
		if err := h.EnsureGrants(h.ctx, "dp-9001", live, grants(scopes...)); err != nil {
			t.Fatal(err)
		}
	}
	if n := h.srv.Count("PUT /admin/realms/*/clients/*"); n != 0 {
		t.Errorf("%d PUT of the client", n)
	}
	h.passes(first, true)
	h.passes(second.Issued, true)
	if c, _ := h.srv.Client("dp-9001"); len(c.OptionalScopes) != 0 {
		t.Errorf("scopes %q", c.OptionalScopes)
	}
}

func TestAGraceThatAnAdministratorsPutEndedIsNotPretended(t *testing.T) {
	h := overlapping(t)
	first := h.issue("dp-9001-c1", "")
	r := connectors.RotateRequest{IssueRequest: h.request("dp-9001-c2", ""), Old: first.Handle, Grace: day}
	if got, err := h.Rotate(h.ctx, r); err != nil || got.Overlap != connectors.OverlapFixed || !got.OldUntil.Equal(january.Add(2*day)) {
		t.Fatalf("%s until %s, %v", got.Overlap, got.OldUntil, err)
	}
	h.admin(http.MethodPut, `{"name":"renamed"}`)
	h.passes(first, false)
	if live, err := h.VerifyRevoked(h.ctx, first.Handle); err != nil || live != connectors.Dead {
		t.Errorf("%s, %v", live, err)
	}
	if got, err := h.Rotate(h.ctx, r); err != nil || got.Overlap != connectors.OverlapNone {
		t.Errorf("%s until %s, %v", got.Overlap, got.OldUntil, err)
	}
}

// admin acts on the client as Keycloak's own administrators do.
func (h hub) admin(method, body string) {
	h.t.Helper()
	c, _ := h.srv.Client("dp-9001")
	req, err := http.NewRequestWithContext(h.ctx, method, h.srv.AdminURL()+"/clients/"+c.ID, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+h.adminToken())
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		h.t.Fatalf("%s: %s", method, resp.Status)
	}
}

func (h hub) adminToken() string {
	h.t.Helper()
	return tokenFor(h.t, h.srv, h.srv.AdminClient(), h.srv.AdminSecret())
}

func TestARealmWithoutThePolicyOverlapsNothing(t *testing.T) {
	h := newHub(t, keycloaktest.Options{}, func(c *keycloak.Config) { c.RotatedPeriod = 2 * day }) // the settings are wrong
	first := h.issue("dp-9001-c1", "")
	got := h.rotate(first, "dp-9001-c2", "", day)
	if got.Overlap != connectors.OverlapNone {
		t.Errorf("%s until %s", got.Overlap, got.OldUntil)
	}
	h.passes(first, false)
	h.passes(got.Issued, true)
	faults, err := h.KeyManager.(connectors.Checker).CheckConfig(h.ctx)
	if err != nil || len(faults) != 1 || !strings.Contains(faults[0], "rotated_period") {
		t.Errorf("%q, %v", faults, err)
	}
}

func TestThePolicysEndOfTheCurrentSecretIsTold(t *testing.T) {
	h := overlapping(t)
	issued := h.issue("dp-9001-c1", "")
	if end := january.Add(30 * day); !issued.ExpiresAt.Equal(end) {
		t.Errorf("ends %s, want %s", issued.ExpiresAt, end)
	}
	h.srv.Advance(30*day + time.Second)
	h.passes(issued, false)
	if found, err := h.Lookup(h.ctx, issued.Handle); err != nil || found.Live != connectors.Dead {
		t.Errorf("%s, %v", found.Live, err)
	}
}

func TestARotatedSecretThatIsShownAfterItsEndIsDead(t *testing.T) {
	h := overlapping(t)
	first := h.issue("dp-9001-c1", "")
	h.rotate(first, "dp-9001-c2", "", day)
	h.srv.Advance(2*day + time.Second)
	h.passes(first, false)
	if live, err := h.VerifyRevoked(h.ctx, first.Handle); err != nil || live != connectors.Dead {
		t.Errorf("%s, %v", live, err)
	}
}

func TestALostSecretIsReadAgain(t *testing.T) {
	h := overlapping(t)
	first := h.issue("dp-9001-c1", "")
	h.srv.Inject(partnertest.ResetAfter("POST /admin/realms/*/clients/*/client-secret").For(1))
	r := connectors.RotateRequest{IssueRequest: h.request("dp-9001-c2", ""), Old: first.Handle, Grace: day}
	if _, err := h.Rotate(h.ctx, r); !connectors.Is(err, connectors.Temporary) {
		t.Fatal(err)
	}
	got, err := h.Rotate(h.ctx, r)
	if err != nil || !got.Adopted || got.Overlap != connectors.OverlapFixed {
		t.Fatalf("adopted %t, %s, %v", got.Adopted, got.Overlap, err)
	}
	if n := h.srv.Count("POST /admin/realms/*/clients/*/client-secret"); n != 1 {
		t.Errorf("%d new secrets: a second one drops the first's grace", n)
	}
	h.passes(first, true)
	h.passes(got.Issued, true)
}

func TestTheAdminTokenIsReplacedBeforeItsEnd(t *testing.T) {
	h := newHub(t, keycloaktest.Options{AdminTokenLifespan: time.Minute})
	tokens := func() int { return h.srv.Count("POST /realms/*/protocol/openid-connect/token") }
	before := tokens()
	for range 12 { // a minute and a half
		h.srv.Advance(8 * time.Second)
		if err := h.EnsureGrants(h.ctx, "dp-9001", nil, grants("impots")); err != nil {
			t.Fatal(err)
		}
	}
	if n := tokens() - before; n < 1 || n > 2 {
		t.Errorf("%d tokens in a minute and a half", n)
	}
	for _, c := range h.srv.Calls("/admin/**") {
		if c.Status == http.StatusUnauthorized {
			t.Errorf("%s %s was sent with a token that was over", c.Method, c.Path)
		}
	}
}

func TestATokenThatIsEndedEarlyIsReplacedOnce(t *testing.T) {
	h := newHub(t, keycloaktest.Options{})
	h.srv.ExpireAdminTokens()
	if err := h.EnsureGrants(h.ctx, "dp-9001", nil, grants("impots")); err != nil {
		t.Fatal(err)
	}
	h.srv.Inject(partnertest.Answer("/admin/**", 401, "application/json", `{"error":"HTTP 401 Unauthorized"}`))
	before := h.srv.Count("/admin/**")
	wantClass(t, h.EnsureGrants(h.ctx, "dp-9001", nil, grants("impots")), connectors.Unauthorized)
	if n := h.srv.Count("/admin/**") - before; n != 2 {
		t.Errorf("%d calls, want one and a repeat", n)
	}
}

func TestConcurrentCallsAskForOneToken(t *testing.T) {
	h := newHub(t, keycloaktest.Options{})
	h.srv.Advance(time.Hour)
	before := h.srv.Count("POST /realms/*/protocol/openid-connect/token")
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if _, err := h.EnsureSubject(h.ctx, subject()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if n := h.srv.Count("POST /realms/*/protocol/openid-connect/token") - before; n != 1 {
		t.Errorf("%d tokens", n)
	}
}

func TestTheBoundIsTheLifeOfAToken(t *testing.T) {
	h := newHub(t, keycloaktest.Options{})
	issued := h.issue("dp-9001-c1", key1)
	token := tokenFor(t, h.srv, "dp-9001", issued.Secret.Reveal())
	if err := h.Revoke(h.ctx, issued.Handle); err != nil {
		t.Fatal(err)
	}
	if status, _ := h.srv.ProbeToken(token); status != http.StatusOK {
		t.Fatalf("%d: an issued token lives until its end", status)
	}
	h.srv.Advance(h.Capabilities().RevocationBound)
	if status, _ := h.srv.ProbeToken(token); status != http.StatusUnauthorized {
		t.Errorf("%d after the declared bound", status)
	}
}

func TestARealmThatIsWrongProvesNoSecretDead(t *testing.T) {
	h := newHub(t, keycloaktest.Options{})
	issued := h.issue("dp-9001-c1", key1)
	for name, spoil := range map[string]func(*keycloak.Config){
		"realm of the clients":      func(c *keycloak.Config) { c.Realm, c.AdminRealm = "elsewhere", keycloaktest.DefaultRealm },
		"realm of the hub's client": func(c *keycloak.Config) { c.AdminRealm = "elsewhere" },
		"path":                      func(c *keycloak.Config) { c.URL += "/auth" },
	} {
		c := settings(h.srv)
		spoil(&c)
		lost := open(t, h.srv, c, h.ledger, owner)
		live, err := lost.VerifyRevoked(h.ctx, issued.Handle)
		if live == connectors.Dead || !connectors.Is(err, connectors.Rejected) {
			t.Errorf("%s: %s, %v", name, live, err)
		}
		wantClass(t, lost.Revoke(h.ctx, issued.Handle), connectors.Rejected)
	}
	h.passes(issued, true)
}

func TestADisabledClientIsDead(t *testing.T) {
	h := newHub(t, keycloaktest.Options{})
	issued := h.issue("dp-9001-c1", key1)
	h.admin(http.MethodPut, `{"enabled":false}`)
	h.passes(issued, false)
	if live, err := h.VerifyRevoked(h.ctx, issued.Handle); err != nil || live != connectors.Dead {
		t.Errorf("%s, %v", live, err)
	}
	renamed := subject()
	renamed.Name = "Commune de Valfleury - périscolaire"
	if _, err := h.EnsureSubject(h.ctx, renamed); err != nil {
		t.Fatal(err)
	}
	if c, _ := h.srv.Client("dp-9001"); c.Enabled {
		t.Error("a new name enables the client again")
	}
}

func TestAStrangersClientIsNeverTouched(t *testing.T) {
	srv := start(t, keycloaktest.Options{})
	for id, attributes := range map[string]map[string]string{
		"dp-9001": {"crm": "7"}, "dp-9002": {"hub_ref": "dp-9001", "hub_owner": owner},
	} {
		if _, err := srv.AddClient(keycloaktest.Client{ClientID: id, Name: "crm", Enabled: true, Secret: "stranger-secret", Attributes: attributes}); err != nil {
			t.Fatal(err)
		}
	}
	m := open(t, srv, settings(srv), conformance.NewMemory(), owner)
	for _, ref := range []string{"dp-9001", "dp-9002"} {
		s := subject()
		s.Ref = ref
		_, err := m.EnsureSubject(t.Context(), s)
		wantClass(t, err, connectors.Conflict)
		wantClass(t, m.EnsureGrants(t.Context(), ref, nil, grants("impots")), connectors.Conflict)
		if err := m.Revoke(t.Context(), connectors.Handle{Ref: ref + "-c1", Subject: ref, ID: ref}); err != nil {
			t.Error(err)
		}
		if status, _ := srv.ProbeClient(ref, "stranger-secret"); status != http.StatusOK {
			t.Errorf("%s: the stranger's secret answers %d", ref, status)
		}
	}
}

func TestWithoutItsRecordACredentialIsUnknownNotDead(t *testing.T) {
	h := newHub(t, keycloaktest.Options{})
	issued := h.issue("dp-9001-c1", key1)
	if err := h.ledger.Delete(h.ctx, "client/dp-9001"); err != nil {
		t.Fatal(err)
	}
	if live, err := h.VerifyRevoked(h.ctx, issued.Handle); err != nil || live != connectors.Unknown {
		t.Errorf("%s, %v", live, err)
	}
	wantClass(t, h.Revoke(h.ctx, issued.Handle), connectors.Rejected)
	h.ledger.Fail = errors.New("connection reset")
	live, err := h.VerifyRevoked(h.ctx, issued.Handle)
	wantClass(t, err, connectors.Temporary)
	if live == connectors.Dead {
		t.Error("dead without a ledger")
	}
}

func TestALateRotationOfAReplacedSecretIsAConflict(t *testing.T) {
	h := newHub(t, keycloaktest.Options{})
	first := h.issue("dp-9001-c1", key1)
	h.rotate(first, "dp-9001-c2", key2, 0)
	_, err := h.Rotate(h.ctx, connectors.RotateRequest{IssueRequest: h.request("dp-9001-c3", key1+"x"), Old: first.Handle})
	wantClass(t, err, connectors.Conflict)
}

func TestAClientScopeThatDoesNotExistIsRejectedAndNothingChanges(t *testing.T) {
	h := newHub(t, keycloaktest.Options{Scopes: []string{"dgfip"}})
	wantClass(t, h.EnsureGrants(h.ctx, "dp-9001", nil, grants("quotient")), connectors.Rejected)
	if c, _ := h.srv.Client("dp-9001"); !slices.Equal(c.OptionalScopes, []string{"dgfip"}) {
		t.Errorf("%q", c.OptionalScopes)
	}
}

func TestHealthReadsMoreThanAStatus(t *testing.T) {
	for name, tt := range map[string]struct {
		opts  keycloaktest.Options
		spoil func(*keycloaktest.Server, *keycloak.Config)
		want  connectors.Class // "" for health
	}{
		"a server that works":           {},
		"no management interface asked": {spoil: func(_ *keycloaktest.Server, c *keycloak.Config) { c.ManagementURL = "" }},
		"a server built without health": {opts: keycloaktest.Options{HealthDisabled: true}, want: connectors.Rejected},
		"a management interface that is down": {spoil: func(srv *keycloaktest.Server, _ *keycloak.Config) {
			srv.Inject(partnertest.Answer("management:", 200, "application/json", `{"status":"DOWN"}`))
		}, want: connectors.Temporary},
		"a database that is down": {spoil: func(srv *keycloaktest.Server, c *keycloak.Config) {
			srv.SetDatabaseReachable(false)
			c.ManagementURL = ""
		}, want: connectors.Temporary},
		"a client without the role": {spoil: func(srv *keycloaktest.Server, _ *keycloak.Config) {
			srv.Inject(partnertest.Answer("POST /admin/**", 403, "application/json", `{"error":"HTTP 403 Forbidden"}`))
		}, want: connectors.Unauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			srv := start(t, tt.opts)
			c := settings(srv)
			if tt.spoil != nil {
				tt.spoil(srv, &c)
			}
			before := len(srv.Clients())
			_, err := open(t, srv, c, conformance.NewMemory(), owner).Health(t.Context())
			if (err == nil) != (tt.want == "") || (err != nil && !connectors.Is(err, tt.want)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if after := len(srv.Clients()); after != before {
				t.Errorf("a health check left %d clients", after-before)
			}
		})
	}
}

func TestTheManagementInterfaceIsGivenNoToken(t *testing.T) {
	h := newHub(t, keycloaktest.Options{})
	if _, err := h.Health(h.ctx); err != nil {
		t.Fatal(err)
	}
	calls := h.srv.Calls("management:")
	if len(calls) == 0 {
		t.Fatal("not asked")
	}
	for _, c := range calls {
		if c.Header.Get("Authorization") != "" {
			t.Error("given a credential")
		}
	}
}

func TestAnOldSecretEndsWithTheCurrentOne(t *testing.T) {
	h := newHub(t, keycloaktest.Options{Rotation: &keycloaktest.RotationPolicy{Expiration: time.Hour, Rotated: 2 * day}},
		func(c *keycloak.Config) { c.RotatedPeriod = 2 * day })
	first := h.issue("dp-9001-c1", "")
	if got := h.rotate(first, "dp-9001-c2", "", day); !got.OldUntil.Equal(january.Add(time.Hour)) {
		t.Errorf("until %s", got.OldUntil)
	}
	h.srv.Advance(2 * time.Hour)
	h.passes(first, false)
	if live, err := h.VerifyRevoked(h.ctx, first.Handle); err != nil || live != connectors.Dead {
		t.Errorf("%s, %v", live, err)
	}
}

func TestASecretThatWasNotWrittenIsNoticed(t *testing.T) {
	h := newHub(t, keycloaktest.Options{})
	h.srv.Inject(partnertest.Answer("PUT /admin/realms/*/clients/*", http.StatusNoContent, "application/json", ""))
	_, err := h.Issue(h.ctx, h.request("dp-9001-c1", key1))
	wantClass(t, err, connectors.Temporary)
}

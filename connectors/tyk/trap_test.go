package tyk_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/conformance"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/connectors/tyk"
	"github.com/passerelle-hub/passerelle/connectors/tyk/tyktest"
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

// hub is the connector on a simulator, with one subject. Scopes are policies of
// the simulator's own seed.
type hub struct {
	connectors.KeyManager
	t      *testing.T
	ctx    context.Context
	srv    *tyktest.Server
	ledger *conformance.Memory
}

func newHub(t *testing.T, opts tyktest.Options) hub {
	t.Helper()
	srv := start(t, opts)
	h := hub{t: t, ctx: t.Context(), srv: srv, ledger: conformance.NewMemory()}
	h.KeyManager = open(t, srv, h.settings(), h.ledger, owner)
	if _, err := h.EnsureSubject(h.ctx, subject()); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h hub) settings() tyk.Config {
	c := settings(h.srv)
	grant := c.Grants["api_demo"]
	grant.Policies = nil
	c.Grants["api_demo"] = grant
	return c
}

func (h hub) request(ref, key string, scopes ...string) connectors.IssueRequest {
	return connectors.IssueRequest{
		Subject: subject(), SubjectID: "dp-9001", Ref: ref, Secret: connectors.NewSecret(key), Grants: grants(scopes...),
	}
}

func (h hub) issue(ref, key string) connectors.Issued {
	h.t.Helper()
	issued, err := h.Issue(h.ctx, h.request(ref, key, "impots", "quotient"))
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

// admin acts as Tyk's own administrators do.
func (h hub) admin(method, path, body string) {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.ctx, method, h.srv.ControlURL()+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("X-Tyk-Authorization", h.srv.Secret())
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		h.t.Fatalf("%s %s: %s", method, path, resp.Status)
	}
}

func TestHoldersReceiveTheBase64FormWhichDiesAtOnce(t *testing.T) {
	h := newHub(t, tyktest.Options{})
	issued := h.issue("dp-9001-c1", key1)
	if issued.Secret.Reveal() == key1 || raw(issued.Secret.Reveal()) != key1 {
		t.Fatal("not the base64 form of the hub's value")
	}
	for _, form := range []string{issued.Secret.Reveal(), key1} {
		if status, _ := h.srv.Probe(form); status != http.StatusOK {
			t.Fatalf("%d", status)
		}
	}
	if err := h.Revoke(h.ctx, issued.Handle); err != nil {
		t.Fatal(err)
	}
	if status, _ := h.srv.Probe(issued.Secret.Reveal()); status != http.StatusForbidden {
		t.Errorf("base64 form: %d", status)
	}
	if status, _ := h.srv.Probe(key1); status != http.StatusOK {
		t.Errorf("raw form: %d, a node remembers it for 10 s", status)
	}
	h.srv.Advance(h.Capabilities().RevocationBound)
	if status, _ := h.srv.Probe(key1); status != http.StatusForbidden {
		t.Errorf("raw form after the declared bound: %d", status)
	}
}

func TestAKeyIsRevokedAndVerifiedByItsHash(t *testing.T) {
	h := newHub(t, tyktest.Options{})
	issued := h.issue("dp-9001-c1", key1)
	if want := tyktest.Hash(issued.Secret.Reveal()); issued.Handle.ID != want {
		t.Errorf("handle %s, want %s", issued.Handle.ID, want)
	}
	if err := h.Revoke(h.ctx, issued.Handle); err != nil {
		t.Fatal(err)
	}
	if live, err := h.VerifyRevoked(h.ctx, issued.Handle); err != nil || live != connectors.Dead {
		t.Errorf("%s, %v", live, err)
	}
	if n := h.srv.Counts().Keys; n != 0 {
		t.Errorf("%d keys", n)
	}
	for _, c := range h.srv.Calls("control:") {
		if c.Method != http.MethodPost && strings.Contains(c.Path, "/tyk/keys/") && !strings.Contains(c.Query, "hashed=true") {
			t.Errorf("%s %s goes by a value", c.Method, c.Path)
		}
	}
}

func TestAnEndInThePastDeletes(t *testing.T) {
	h := newHub(t, tyktest.Options{})
	issued := h.issue("dp-9001-c1", key1)
	for _, at := range []time.Duration{-time.Hour, 0, 400 * time.Millisecond} {
		if err := h.Expire(h.ctx, issued.Handle, h.srv.Now().Add(at)); err != nil {
			wantClass(t, err, connectors.NotFound) // gone since the first
		}
	}
	if n := h.srv.Counts().Keys; n != 0 {
		t.Errorf("%d keys", n)
	}
	if n := h.srv.Count("PUT"); n != 0 {
		t.Errorf("%d PUT: Tyk ignores an end in the past", n)
	}
}

func TestAnEndThatTyksClockHasPassedIsRejected(t *testing.T) {
	h := newHub(t, tyktest.Options{})
	issued := h.issue("dp-9001-c1", key1)
	late := func() time.Time { return h.srv.Now().Add(-time.Hour) } // the hub's clock is behind
	client, err := outbound.Partner("tyk-test", h.settings().Settings, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	m, err := h.settings().Open(connectors.Deps{Name: "tyk-test", Owner: owner, Now: late, Partner: client, Ledger: h.ledger})
	if err != nil {
		t.Fatal(err)
	}
	wantClass(t, m.Expire(h.ctx, issued.Handle, late().Add(30*time.Minute)), connectors.Rejected)
	if !passes(h.srv, issued.Secret.Reveal()) {
		t.Error("the key was to live on")
	}
}

func TestAPolicyThatIsMissingOrOpensNothingIsRejectedNotRetried(t *testing.T) {
	h := newHub(t, tyktest.Options{Policies: []tyktest.Policy{{ID: "dgfip", Active: true}}})
	_, err := h.Issue(h.ctx, h.request("dp-9001-c1", key1, "quotient"))
	wantClass(t, err, connectors.Rejected) // does not exist
	_, err = h.Issue(h.ctx, h.request("dp-9001-c2", key2, "impots"))
	wantClass(t, err, connectors.Rejected) // Tyk's 500
	if n := h.srv.Counts().Keys; n != 0 {
		t.Errorf("%d keys", n)
	}
	wantClass(t, h.EnsureGrants(h.ctx, "dp-9001", nil, grants("quotient")), connectors.Rejected)
}

func TestOneMissingPolicyOfSeveralIsNotSkipped(t *testing.T) {
	h := newHub(t, tyktest.Options{Policies: []tyktest.Policy{{
		ID: "dgfip", Active: true, AccessRights: map[string]tyktest.AccessDefinition{"dgfip": {APIID: "dgfip"}},
	}}})
	_, err := h.Issue(h.ctx, h.request("dp-9001-c1", key1, "impots", "quotient"))
	wantClass(t, err, connectors.Rejected)
	if n := h.srv.Counts().Keys; n != 0 {
		t.Errorf("%d keys", n)
	}
}

func TestAKeyWhosePolicyWasDeletedIsNotShownAsAlive(t *testing.T) {
	h := newHub(t, tyktest.Options{})
	issued := h.issue("dp-9001-c1", key1)
	for i, step := range []struct {
		policy string
		live   connectors.Liveness
		scopes []string
	}{{"cnaf", connectors.Alive, []string{"impots"}}, {"dgfip", connectors.Unknown, nil}} {
		h.admin(http.MethodDelete, "/tyk/policies/"+step.policy, "")
		h.admin(http.MethodGet, "/tyk/reload/?block=true", "")
		found, err := h.Lookup(h.ctx, issued.Handle)
		if err != nil || found.Live != step.live || !slices.Equal(found.Scopes, step.scopes) {
			t.Errorf("%d: %s with %q, %v", i, found.Live, found.Scopes, err)
		}
	}
	if live, err := h.VerifyRevoked(h.ctx, issued.Handle); err != nil || live == connectors.Dead {
		t.Errorf("%s, %v: a policy can come back", live, err)
	}
}

func TestAMinimalLengthBeyondOursIsRejected(t *testing.T) {
	h := newHub(t, tyktest.Options{MinTokenLength: 45})
	h.issue("dp-9001-c1", key1)
	h = newHub(t, tyktest.Options{MinTokenLength: 46})
	_, err := h.Issue(h.ctx, h.request("dp-9001-c1", key1, "impots"))
	wantClass(t, err, connectors.Rejected)
}

func TestClearKeysAreRefusedBeforeAnyIsMade(t *testing.T) {
	h := newHub(t, tyktest.Options{ClearKeys: true})
	_, err := h.Issue(h.ctx, h.request("dp-9001-c1", key1, "impots"))
	wantClass(t, err, connectors.Rejected)
	if n := h.srv.Counts().Keys; n != 0 {
		t.Errorf("%d keys", n)
	}
	faults, err := h.KeyManager.(connectors.Checker).CheckConfig(h.ctx)
	if err != nil || len(faults) != 1 || !strings.Contains(faults[0], "hash_keys") {
		t.Errorf("%q, %v", faults, err)
	}
}

func TestAKeyThatTykHashesInAnotherWayIsEndedAndRejected(t *testing.T) {
	h := newHub(t, tyktest.Options{})
	other := h.issue("dp-9001-c1", key1) // stands for the key that Tyk made under an unknown hash
	h.srv.Inject(partnertest.Answer("POST", http.StatusOK, "application/json",
		fmt.Sprintf(`{"key":"another form","status":"ok","action":"added","key_hash":%q}`, other.Handle.ID)))
	_, err := h.Issue(h.ctx, h.request("dp-9001-c2", key2, "impots"))
	wantClass(t, err, connectors.Rejected)
	if passes(h.srv, other.Secret.Reveal()) {
		t.Error("the key that nothing could find again lives")
	}
}

func TestWithoutRedisNoKeyIsGone(t *testing.T) {
	h := newHub(t, tyktest.Options{})
	issued := h.issue("dp-9001-c1", key1)
	h.srv.SetRedisReachable(false)
	live, err := h.VerifyRevoked(h.ctx, issued.Handle)
	if live == connectors.Dead {
		t.Error("Tyk answers 404 for every key while its Redis is down: no proof")
	}
	wantClass(t, err, connectors.Temporary)
	_, err = h.Issue(h.ctx, h.request("dp-9001-c2", key2, "impots"))
	wantClass(t, err, connectors.Temporary)
	wantClass(t, h.Revoke(h.ctx, issued.Handle), connectors.Temporary)
	wantClass(t, h.EnsureGrants(h.ctx, "dp-9001", []connectors.Handle{issued.Handle}, grants("impots")), connectors.Temporary)
	_, err = h.Lookup(h.ctx, issued.Handle)
	wantClass(t, err, connectors.Temporary)
}

func TestARedisThatFailsAtTheCreationIsTemporary(t *testing.T) {
	h := newHub(t, tyktest.Options{})
	h.srv.BeforeWork("POST", func(partnertest.Call) { h.srv.SetRedisReachable(false) })
	_, err := h.Issue(h.ctx, h.request("dp-9001-c1", key1, "impots"))
	wantClass(t, err, connectors.Temporary)
}

func TestAStrangersKeyOfTheSameValueIsNotOverwritten(t *testing.T) {
	h := newHub(t, tyktest.Options{})
	h.admin(http.MethodPost, "/tyk/keys/"+key1, `{"alias":"crm","org_id":"default","apply_policies":["cnaf"],"meta_data":{"crm":"7"}}`)
	_, err := h.Issue(h.ctx, h.request("dp-9001-c1", key1, "impots"))
	wantClass(t, err, connectors.Conflict)
	k, _ := h.srv.KeyByCustomID("default", key1)
	if k.Alias != "crm" || k.MetaData["crm"] != "7" || !slices.Equal(k.Policies, []string{"cnaf"}) {
		t.Errorf("%+v", k)
	}
}

func TestAChangeLosesNothingOfTheKey(t *testing.T) {
	h := newHub(t, tyktest.Options{})
	issued := h.issue("dp-9001-c1", key1)
	end := h.srv.Now().Add(48 * time.Hour)
	if err := h.Expire(h.ctx, issued.Handle, end); err != nil {
		t.Fatal(err)
	}
	before, _ := h.srv.KeyByHash(issued.Handle.ID)
	if err := h.EnsureGrants(h.ctx, "dp-9001", []connectors.Handle{issued.Handle}, grants("impots")); err != nil {
		t.Fatal(err)
	}
	after, _ := h.srv.KeyByHash(issued.Handle.ID)
	if after.Alias != before.Alias || after.OrgID != before.OrgID || !slices.Equal(after.Tags, before.Tags) ||
		len(after.MetaData) != len(before.MetaData) || after.ExpiresAt == nil || !after.ExpiresAt.Equal(end) {
		t.Errorf("%+v became %+v", before, after)
	}
	if !slices.Equal(after.APIs, []string{"dgfip"}) {
		t.Errorf("opens %q: rights of a policy that was taken stay", after.APIs)
	}
}

func TestASuspendedKeyStaysSuspendedAndIsNotDead(t *testing.T) {
	h := newHub(t, tyktest.Options{})
	issued := h.issue("dp-9001-c1", key1)
	h.admin(http.MethodPut, "/tyk/keys/"+issued.Handle.ID+"?hashed=true", fmt.Sprintf(
		`{"org_id":"default","apply_policies":["dgfip","cnaf"],"is_inactive":true,"meta_data":{"hub_ref":"dp-9001-c1","hub_subject":"dp-9001","hub_owner":%q,"hub_definition":"api_demo"}}`, owner))
	if err := h.EnsureGrants(h.ctx, "dp-9001", []connectors.Handle{issued.Handle}, grants("impots")); err != nil {
		t.Fatal(err)
	}
	if k, _ := h.srv.KeyByHash(issued.Handle.ID); !k.Inactive {
		t.Error("a change of rights wakes a suspended key")
	}
	if found, err := h.Lookup(h.ctx, issued.Handle); err != nil || found.Live != connectors.Unknown {
		t.Errorf("lookup: %s, %v", found.Live, err)
	}
	if live, err := h.VerifyRevoked(h.ctx, issued.Handle); err != nil || live == connectors.Dead {
		t.Errorf("verification: %s, %v", live, err)
	}
}

func TestNothingIsMadeThatTheLedgerDoesNotKnow(t *testing.T) {
	h := newHub(t, tyktest.Options{})
	h.ledger.Fail = errors.New("connection reset")
	_, err := h.Issue(h.ctx, h.request("dp-9001-c1", key1, "impots"))
	wantClass(t, err, connectors.Temporary)
	_, err = h.EnsureSubject(h.ctx, subject())
	wantClass(t, err, connectors.Temporary)
	if live, err := h.VerifyRevoked(h.ctx, connectors.Handle{Ref: "dp-9001-c1"}); live == connectors.Dead || err == nil {
		t.Errorf("%s, %v", live, err)
	}
	if n := h.srv.Count("control:"); n != 0 {
		t.Errorf("%d calls", n)
	}
}

func TestAPathThatIsWrongProvesNoKeyDead(t *testing.T) {
	h := newHub(t, tyktest.Options{})
	issued := h.issue("dp-9001-c1", key1)
	c := h.settings()
	c.URL += "/elsewhere"
	lost := open(t, h.srv, c, h.ledger, owner)
	if live, err := lost.VerifyRevoked(h.ctx, issued.Handle); live == connectors.Dead || err == nil {
		t.Errorf("%s, %v", live, err)
	}
	wantClass(t, lost.Revoke(h.ctx, issued.Handle), connectors.Rejected)
}

func TestSettingsAreComparedWithThePolicies(t *testing.T) {
	h := newHub(t, tyktest.Options{Policies: []tyktest.Policy{
		{ID: "dgfip", Active: true}, {ID: "cnaf", AccessRights: map[string]tyktest.AccessDefinition{"cnaf": {APIID: "cnaf"}}},
	}})
	faults, err := h.KeyManager.(connectors.Checker).CheckConfig(h.ctx)
	if err != nil || len(faults) != 2 || !strings.Contains(faults[0], "cnaf is not active") || !strings.Contains(faults[1], "dgfip opens no API") {
		t.Errorf("%q, %v", faults, err)
	}
}

func TestListingThatIsOffIsAFaultOfTheSettings(t *testing.T) {
	h := newHub(t, tyktest.Options{})
	c := h.settings()
	c.Listing = true
	_, _, err := open(t, h.srv, c, h.ledger, owner).(connectors.Lister).List(h.ctx, "")
	wantClass(t, err, connectors.Rejected)
}

func TestPoliciesThatWereNotWrittenAreNoticed(t *testing.T) {
	h := newHub(t, tyktest.Options{})
	issued := h.issue("dp-9001-c1", key1)
	h.srv.Inject(partnertest.Answer("PUT", http.StatusOK, "application/json", `{"status":"ok","action":"modified"}`))
	wantClass(t, h.EnsureGrants(h.ctx, "dp-9001", []connectors.Handle{issued.Handle}, grants("impots")), connectors.Temporary)
}

func TestPathsThatNeedNoSecretAreGivenNone(t *testing.T) {
	h := newHub(t, tyktest.Options{})
	if _, err := h.Health(h.ctx); err != nil {
		t.Fatal(err)
	}
	calls := slices.Concat(h.srv.Calls("/hello"), h.srv.Calls("/ready"))
	if len(calls) < 2 {
		t.Fatalf("%d calls", len(calls))
	}
	for _, c := range calls {
		if c.Header.Get("X-Tyk-Authorization") != "" {
			t.Errorf("%s carries the secret", c.Path)
		}
	}
}

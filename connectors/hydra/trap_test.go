package hydra_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/hydra"
	"github.com/passerelle-hub/passerelle/connectors/hydra/hydratest"
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
	t   *testing.T
	ctx context.Context
	srv *hydratest.Server
}

func newHub(t *testing.T, opts hydratest.Options) hub {
	t.Helper()
	srv := start(t, opts)
	h := hub{KeyManager: open(t, srv.Now, settings(srv.AdminURL(), srv.PublicURL()), owner), t: t, ctx: t.Context(), srv: srv}
	if _, err := h.EnsureSubject(h.ctx, subject()); err != nil {
		t.Fatal(err)
	}
	if err := h.EnsureGrants(h.ctx, "dp-9001", nil, grants("impots")); err != nil {
		t.Fatal(err)
	}
	return h
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

func wantClass(t *testing.T, err error, class connectors.Class) {
	t.Helper()
	if !connectors.Is(err, class) {
		t.Errorf("got %v, want %s", err, class)
	}
}

// token asks for one, as the holder does.
func (h hub) token(secret connectors.Secret) string {
	h.t.Helper()
	body := h.post(h.srv.PublicURL()+"/oauth2/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"dgfip"}}, secret)
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Token == "" {
		h.t.Fatalf("no token: %s", body)
	}
	return answer.Token
}

func (h hub) active(token string) bool {
	h.t.Helper()
	var answer struct {
		Active bool `json:"active"`
	}
	body := h.post(h.srv.AdminURL()+"/admin/oauth2/introspect", url.Values{"token": {token}}, connectors.Secret{})
	if err := json.Unmarshal(body, &answer); err != nil {
		h.t.Fatalf("%s: %v", body, err)
	}
	return answer.Active
}

func (h hub) post(target string, form url.Values, secret connectors.Secret) []byte {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.ctx, http.MethodPost, target, strings.NewReader(form.Encode()))
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if !secret.IsZero() {
		req.SetBasicAuth("dp-9001", secret.Reveal())
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return body
}

func TestAChangeOfRightsResetsNothingElse(t *testing.T) {
	h := newHub(t, hydratest.Options{})
	issued := h.issue("dp-9001-c1", key1)
	before, _ := h.srv.Client("dp-9001")
	if err := h.EnsureGrants(h.ctx, "dp-9001", []connectors.Handle{issued.Handle}, grants("impots", "quotient")); err != nil {
		t.Fatal(err)
	}
	renamed := subject()
	renamed.Name = "Commune de Valfleury - périscolaire"
	if _, err := h.EnsureSubject(h.ctx, renamed); err != nil {
		t.Fatal(err)
	}
	after, _ := h.srv.Client("dp-9001")
	if after.Owner != before.Owner || after.Strategy != "jwt" || after.ClientCredentialsAccessToken.Duration != time.Hour ||
		!slices.Equal(after.Audience, before.Audience) || !slices.Equal(after.GrantTypes, before.GrantTypes) || !after.CreatedAt.Equal(before.CreatedAt) {
		t.Errorf("%+v became %+v", before, after)
	}
	if after.Name != renamed.Name || after.Scope != "cnaf demo dgfip msa" {
		t.Errorf("name %q, scope %q", after.Name, after.Scope)
	}
	if n := h.srv.Count("PUT"); n != 0 {
		t.Errorf("%d PUT", n)
	}
	h.token(issued.Secret)
}

func TestAClientWithoutRightsHasNoneOfHydrasDefaultScopes(t *testing.T) {
	srv := start(t, hydratest.Options{})
	m := open(t, srv.Now, settings(srv.AdminURL(), ""), owner)
	if _, err := m.EnsureSubject(t.Context(), subject()); err != nil {
		t.Fatal(err)
	}
	c, _ := srv.Client("dp-9001")
	if c.Scope != "passerelle:none" {
		t.Errorf("scope %q", c.Scope)
	}
	if c.Strategy != "jwt" || c.AuthMethod != "client_secret_basic" || !slices.Equal(c.GrantTypes, []string{"client_credentials"}) {
		t.Errorf("%+v", c)
	}
}

func TestARotationEndsTheOldSecretAndSparesItsTokens(t *testing.T) {
	h := newHub(t, hydratest.Options{})
	first := h.issue("dp-9001-c1", key1)
	token := h.token(first.Secret)
	got := h.rotate(first, "dp-9001-c2", key2, 48*time.Hour)
	if got.Overlap != connectors.OverlapNone {
		t.Errorf("%s: 2.3.0 has no overlap", got.Overlap)
	}
	if status, _ := h.srv.ProbeClient("dp-9001", key1); status != http.StatusUnauthorized {
		t.Errorf("the old secret: %d", status)
	}
	if !h.active(token) {
		t.Error("a token was ended by a rotation that has time")
	}
}

func TestARotationWithoutGraceEndsTheTokensToo(t *testing.T) {
	h := newHub(t, hydratest.Options{})
	first := h.issue("dp-9001-c1", key1)
	token := h.token(first.Secret)
	h.rotate(first, "dp-9001-c2", key2, 0)
	if h.active(token) {
		t.Error("a token of the compromised secret is active")
	}
}

func TestARevocationEndsTheTokens(t *testing.T) {
	h := newHub(t, hydratest.Options{})
	issued := h.issue("dp-9001-c1", key1)
	token := h.token(issued.Secret)
	if err := h.Revoke(h.ctx, issued.Handle); err != nil {
		t.Fatal(err)
	}
	if h.active(token) {
		t.Error("active after the revocation")
	}
	if _, found := h.srv.Client("dp-9001"); found {
		t.Error("the client is still there")
	}
}

func TestTheBoundIsTheLifeOfATokenCheckedOffline(t *testing.T) {
	h := newHub(t, hydratest.Options{})
	issued := h.issue("dp-9001-c1", key1)
	token := h.token(issued.Secret)
	if err := h.Revoke(h.ctx, issued.Handle); err != nil {
		t.Fatal(err)
	}
	if status, _ := h.srv.ProbeToken(token); status != http.StatusOK {
		t.Fatalf("%d: an offline check sees no revocation", status)
	}
	h.srv.Advance(h.Capabilities().RevocationBound)
	if status, _ := h.srv.ProbeToken(token); status != http.StatusUnauthorized {
		t.Errorf("%d after the declared bound", status)
	}
	c := settings(h.srv.AdminURL(), "")
	c.Strategy = hydra.Opaque
	if bound := open(t, h.srv.Now, c, owner).Capabilities().RevocationBound; bound != 0 {
		t.Errorf("%s for opaque tokens, which are introspected", bound)
	}
}

func TestTheRotatePathIsAskedForOnce(t *testing.T) {
	for version, want := range map[hydratest.Version]connectors.GraceModel{
		hydratest.Version230: connectors.GraceNone, hydratest.VersionRotating: connectors.GraceAny,
	} {
		srv := start(t, hydratest.Options{Version: version})
		m := open(t, srv.Now, settings(srv.AdminURL(), ""), owner)
		if m.Capabilities().Grace != connectors.GraceNone {
			t.Error("an overlap before Hydra was asked")
		}
		for range 3 {
			if _, err := m.Health(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := m.EnsureSubject(t.Context(), subject()); err != nil {
				t.Fatal(err)
			}
		}
		if n := srv.Count("POST /admin/clients/*/secrets/rotate"); n != 1 {
			t.Errorf("%s: asked %d times", version, n)
		}
		if got := m.Capabilities(); got.Grace != want || got.CallerSecret != (want == connectors.GraceNone) {
			t.Errorf("%s: %+v", version, got)
		}
	}
}

func TestAProxys404TeachesNothingAndProvesNoSecretDead(t *testing.T) {
	h := newHub(t, hydratest.Options{})
	issued := h.issue("dp-9001-c1", key1)
	c := settings(h.srv.AdminURL()+"/elsewhere", "")
	lost := open(t, h.srv.Now, c, owner)
	if live, err := lost.VerifyRevoked(h.ctx, issued.Handle); live == connectors.Dead || !connectors.Is(err, connectors.Rejected) {
		t.Errorf("%s, %v", live, err)
	}
	wantClass(t, lost.Revoke(h.ctx, issued.Handle), connectors.Rejected)
	_, err := lost.Health(h.ctx)
	wantClass(t, err, connectors.Rejected)
	h.srv.Inject(partnertest.Answer("POST /admin/clients/*/secrets/rotate", 404, "application/json", `{"detail":"not found"}`))
	fresh := open(t, h.srv.Now, settings(h.srv.AdminURL(), ""), owner)
	_, err = fresh.Health(h.ctx)
	wantClass(t, err, connectors.Rejected)
}

func TestAStrangersClientIsNeverTouched(t *testing.T) {
	srv := start(t, hydratest.Options{})
	for _, c := range []hydratest.Client{
		{ID: "dp-9001", Name: "crm", Owner: "crm", Metadata: json.RawMessage(`{"hub_ref":7}`)},
		{ID: "dp-9002", Name: "ours by name only", Owner: owner, Metadata: json.RawMessage(`{}`)},
	} {
		c.Secret, c.AuthMethod, c.GrantTypes = "stranger-secret", "client_secret_basic", []string{"client_credentials"}
		if err := srv.AddClient(c); err != nil {
			t.Fatal(err)
		}
	}
	m := open(t, srv.Now, settings(srv.AdminURL(), ""), owner)
	for _, ref := range []string{"dp-9001", "dp-9002"} {
		s := subject()
		s.Ref = ref
		_, err := m.EnsureSubject(t.Context(), s)
		wantClass(t, err, connectors.Conflict)
		wantClass(t, m.EnsureGrants(t.Context(), ref, nil, grants("impots")), connectors.Conflict)
		if err := m.Revoke(t.Context(), connectors.Handle{Ref: ref + "-c1", Subject: ref}); err != nil {
			t.Error(err)
		}
		if status, _ := srv.ProbeClient(ref, "stranger-secret"); status != http.StatusOK {
			t.Errorf("%s: the stranger's secret answers %d", ref, status)
		}
	}
}

func TestOldSecretsEndTogetherAndTheAnswerSaysSo(t *testing.T) {
	h := newHub(t, hydratest.Options{Version: hydratest.VersionRotating})
	first := h.issue("dp-9001-c1", "")
	one := h.rotate(first, "dp-9001-c2", "", 10*time.Hour)
	two := h.rotate(one.Issued, "dp-9001-c3", "", 48*time.Hour)
	if one.Overlap != connectors.OverlapUntil || !two.OldUntil.Equal(one.OldUntil) {
		t.Errorf("until %s, then until %s: one DELETE drops both", one.OldUntil, two.OldUntil)
	}
	if n := h.srv.LiveSecrets("dp-9001"); n != 3 {
		t.Errorf("%d secrets", n)
	}
	if err := h.EnsureGrants(h.ctx, "dp-9001", nil, grants("quotient")); err != nil {
		t.Fatal(err)
	}
	if n := h.srv.LiveSecrets("dp-9001"); n != 3 {
		t.Errorf("%d secrets after a change of rights", n)
	}
}

func TestOurOwnValueOnALaterHydraIsACutover(t *testing.T) {
	h := newHub(t, hydratest.Options{Version: hydratest.VersionRotating})
	first := h.issue("dp-9001-c1", key1)
	got := h.rotate(first, "dp-9001-c2", key2, 48*time.Hour)
	if got.Overlap != connectors.OverlapNone || got.Secret.Reveal() != key2 || h.srv.LiveSecrets("dp-9001") != 1 {
		t.Errorf("%s, %d secrets", got.Overlap, h.srv.LiveSecrets("dp-9001"))
	}
}

func TestALateRotationOfAReplacedSecretIsAConflict(t *testing.T) {
	h := newHub(t, hydratest.Options{})
	first := h.issue("dp-9001-c1", key1)
	h.rotate(first, "dp-9001-c2", key2, 0)
	_, err := h.Rotate(h.ctx, connectors.RotateRequest{IssueRequest: h.request("dp-9001-c3", key1), Old: first.Handle})
	wantClass(t, err, connectors.Conflict)
}

func TestAnEmptyListEnds(t *testing.T) {
	srv := start(t, hydratest.Options{})
	m := open(t, srv.Now, settings(srv.AdminURL(), ""), owner)
	page, next, err := m.(connectors.Lister).List(t.Context(), "")
	if err != nil || len(page) != 0 || next != "" {
		t.Errorf("%v, next %q, %v", page, next, err)
	}
}

func TestSettingsAreCheckedAtThePublicSide(t *testing.T) {
	srv := start(t, hydratest.Options{})
	checker := open(t, srv.Now, settings(srv.AdminURL(), srv.PublicURL()), owner).(connectors.Checker)
	srv.Inject(partnertest.Answer("public:", 200, "application/json", `{"grant_types_supported":["authorization_code"]}`))
	faults, err := checker.CheckConfig(t.Context())
	if err != nil || len(faults) != 3 {
		t.Errorf("%q, %v; want the token endpoint, the grant and the method", faults, err)
	}
	srv.ClearFaults()
	srv.Inject(partnertest.Status("public:", 503))
	_, err = checker.CheckConfig(t.Context())
	wantClass(t, err, connectors.Temporary)
}

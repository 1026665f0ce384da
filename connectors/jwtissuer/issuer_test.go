package jwtissuer

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/jose"
)

var start = time.Date(2026, 11, 3, 9, 30, 0, 0, time.UTC)

const (
	issuerURL = "https://hub.example.fr"
	audience  = "https://particulier.api.example.fr"
)

func testConfig() Config {
	c := Default()
	c.Issuer = issuerURL
	c.Definitions = map[string]Definition{
		"api_particulier": {Audience: audience, Scopes: map[string]string{
			"cnaf_quotient_familial": "qf.read", "cnaf_allocataires": "qf.family", "cnaf_enfants": "qf.family",
		}},
		"api_entreprise": {Audience: "https://entreprise.api.example.fr"},
	}
	return c
}

// ledger is the hub's, in memory, with faults: fail is the error of the next
// call of that name, before the write, or after it with lost.
type ledger struct {
	mu     sync.Mutex
	values map[string]string
	fail   map[string]error
	lost   map[string]error
}

func (l *ledger) call(name string, write func()) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.fail[name]; err != nil {
		delete(l.fail, name)
		return err
	}
	write()
	if err := l.lost[name]; err != nil {
		delete(l.lost, name)
		return err
	}
	return nil
}

func (l *ledger) Get(_ context.Context, key string) (value []byte, found bool, err error) {
	err = l.call("get", func() {
		var text string
		text, found = l.values[key]
		value = []byte(text)
	})
	return value, found && err == nil, err
}

func (l *ledger) Put(_ context.Context, key string, value []byte) error {
	return l.call("put", func() { l.values[key] = string(value) })
}

func (l *ledger) PutNew(_ context.Context, key string, value []byte) (fresh bool, err error) {
	err = l.call("putnew", func() {
		if _, taken := l.values[key]; !taken {
			l.values[key], fresh = string(value), true
		}
	})
	return fresh, err
}

func (l *ledger) Delete(_ context.Context, key string) error {
	return l.call("delete", func() { delete(l.values, key) })
}

// keyStore keeps signing keys in memory.
type keyStore struct {
	mu   sync.Mutex
	keys map[string]jose.SigningKey
}

func (s *keyStore) LoadSigningKeys(context.Context, string) ([]jose.SigningKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.keys)), nil
}

func (s *keyStore) InsertSigningKey(_ context.Context, k jose.SigningKey, known []string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(known) != len(s.keys) {
		return false, nil
	}
	s.keys[k.KID] = k
	return true, nil
}

func (s *keyStore) DeleteSigningKey(_ context.Context, _, kid string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.keys, kid)
	return nil
}

type bundle struct {
	*Issuer
	t      *testing.T
	now    *time.Time
	ledger *ledger
	keys   *jose.Keys
}

func open(t *testing.T) bundle {
	t.Helper()
	now := start.Add(500 * time.Millisecond)
	b := bundle{t: t, now: &now, ledger: &ledger{values: map[string]string{}, fail: map[string]error{}, lost: map[string]error{}}}
	clock := func() time.Time { return *b.now }
	config := testConfig()
	var err error
	if b.keys, err = jose.NewKeys("access-token", config.Schedule(), &keyStore{keys: map[string]jose.SigningKey{}}, clock); err != nil {
		t.Fatal(err)
	}
	if _, err := b.keys.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if b.Issuer, err = config.Open(connectors.Deps{Name: "interne", Owner: "passerelle-test", Now: clock, Ledger: b.ledger}, b.keys); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b bundle) pass(d time.Duration) { *b.now = b.now.Add(d) }

func subject() connectors.Subject {
	return connectors.Subject{
		Ref: "dp-1234", Name: "COMMUNE DE SAINT-EXEMPLE Restauration scolaire", Description: "DataPass D9001", Owner: "passerelle-test",
		Labels: map[string]string{"siret": "21560124000018", "datapass_id": "9001"},
	}
}

func request(n int) connectors.IssueRequest {
	return connectors.IssueRequest{
		Subject: subject(), SubjectID: "dp-1234", Ref: fmt.Sprintf("dp-1234-c%d", n), Public: fmt.Sprintf("0d3e1c40-66cb-4d54-9c44-5b53d1c1de%02d", n),
		Grants: connectors.Grants{Definition: "api_particulier", Scopes: []string{"cnaf_allocataires", "cnaf_quotient_familial"}},
	}
}

// issued opens an issuer with a subject and its first credential.
func issued(t *testing.T) (bundle, connectors.Issued) {
	t.Helper()
	b := open(t)
	if _, err := b.EnsureSubject(t.Context(), subject()); err != nil {
		t.Fatal(err)
	}
	return b, b.mustIssue(request(1))
}

func (b bundle) mustIssue(r connectors.IssueRequest) connectors.Issued {
	b.t.Helper()
	got, err := b.Issue(b.t.Context(), r)
	if err != nil {
		b.t.Fatal(err)
	}
	return got
}

func (b bundle) verify(token connectors.Secret) (jose.AccessToken, error) {
	v := jose.Verifier{Issuer: issuerURL, Audience: audience, Algs: []jose.Alg{jose.ES256}, Keys: b.keys, Now: func() time.Time { return *b.now }}
	return v.VerifyAccessToken(b.t.Context(), token.Reveal())
}

func (b bundle) wantLiveness(h connectors.Handle, want connectors.Liveness) {
	b.t.Helper()
	got, err := b.VerifyRevoked(b.t.Context(), h)
	if err != nil || got != want {
		b.t.Errorf("%s is %s, %v, want %s", h.Ref, got, err, want)
	}
}

func wantClass(t *testing.T, err error, want connectors.Class) {
	t.Helper()
	var e *connectors.Error
	if !errors.As(err, &e) || e.Class != want || e.Partner != "interne" || e.Op == "" || e.Detail == "" {
		t.Errorf("got %v, want class %s", err, want)
	}
}

func TestAnIssuedTokenIsAReferenceThatVerifies(t *testing.T) {
	b, got := issued(t)
	token, err := b.verify(got.Secret)
	if err != nil {
		t.Fatal(err)
	}
	want := jose.AccessToken{
		ID: request(1).Public, Issuer: issuerURL, Audience: audience, Subject: "dp-1234", ClientID: "dp-1234",
		Scopes: []string{"qf.family", "qf.read"}, IssuedAt: start, ExpiresAt: start.Add(548 * day),
	}
	if diff := cmp.Diff(want, token); diff != "" {
		t.Error(diff)
	}
	if got.Handle.Ref != "dp-1234-c1" || got.Handle.ID != request(1).Public || got.Handle.Extra["kid"] == "" || got.Adopted || !got.ExpiresAt.Equal(want.ExpiresAt) {
		t.Errorf("%+v", got)
	}
	b.wantLiveness(got.Handle, connectors.Alive)
}

func TestNeitherTokenNorLedgerSaysWhoTheHolderIs(t *testing.T) {
	b, got := issued(t)
	if _, err := b.Rotate(t.Context(), connectors.RotateRequest{IssueRequest: request(2), Old: got.Handle, Grace: time.Hour}); err != nil {
		t.Fatal(err)
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(got.Secret.Reveal(), ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	for place, text := range map[string]string{"token": string(payload), "ledger": fmt.Sprint(b.ledger.values)} {
		for _, secret := range []string{"21560124000018", "SAINT-EXEMPLE", "Restauration", "9001"} {
			if strings.Contains(text, secret) {
				t.Errorf("the %s says %q: %s", place, secret, text)
			}
		}
	}
	signature := strings.Split(got.Secret.Reveal(), ".")[2]
	if strings.Contains(fmt.Sprint(b.ledger.values), signature) {
		t.Error("the ledger holds the token")
	}
}

func TestARepeatedIssueIsTheSameReference(t *testing.T) {
	b, first := issued(t)
	b.pass(48 * time.Hour)
	again := b.mustIssue(request(1))
	if !again.Adopted || !again.ExpiresAt.Equal(first.ExpiresAt) {
		t.Errorf("adopted %v, ends %s, first %s", again.Adopted, again.ExpiresAt, first.ExpiresAt)
	}
	one, err := b.verify(first.Secret)
	if err != nil {
		t.Fatal(err)
	}
	two, err := b.verify(again.Secret)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(one, two); diff != "" {
		t.Error(diff)
	}
}

func TestARepeatTellsTheGrantsOfToday(t *testing.T) {
	b, first := issued(t)
	fewer := connectors.Grants{Definition: "api_particulier", Scopes: []string{"cnaf_quotient_familial"}}
	if err := b.EnsureGrants(t.Context(), "dp-1234", []connectors.Handle{first.Handle}, fewer); err != nil {
		t.Fatal(err)
	}
	found, err := b.Lookup(t.Context(), connectors.Handle{Ref: "dp-1234-c1", Subject: "dp-1234"})
	if err != nil {
		t.Fatal(err)
	}
	want := connectors.Found{
		Handle: connectors.Handle{Ref: "dp-1234-c1", Subject: "dp-1234", ID: request(1).Public}, Owner: "passerelle-test",
		Scopes: []string{"cnaf_quotient_familial"}, ExpiresAt: first.ExpiresAt, Live: connectors.Alive,
	}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Error(diff)
	}
	token, err := b.verify(b.mustIssue(request(1)).Secret) // a late repeat, with the scopes of its day
	if err != nil || !slices.Equal(token.Scopes, []string{"qf.read"}) {
		t.Errorf("%v, %v", token.Scopes, err)
	}
}

func TestWhatCannotBeIssuedIsSaid(t *testing.T) {
	for name, tt := range map[string]struct {
		spoil func(*connectors.IssueRequest)
		want  connectors.Class
	}{
		"a scope without a mapping":           {func(r *connectors.IssueRequest) { r.Grants.Scopes = []string{"cnaf_adresse"} }, connectors.Rejected},
		"a definition without a mapping":      {func(r *connectors.IssueRequest) { r.Grants.Definition = "api_impot" }, connectors.Rejected},
		"an end in the past":                  {func(r *connectors.IssueRequest) { r.ExpiresAt = start.Add(-time.Hour) }, connectors.Rejected},
		"an end beyond the longest life":      {func(r *connectors.IssueRequest) { r.ExpiresAt = start.Add(551*day + 2*time.Second) }, connectors.Rejected},
		"a secret of the caller":              {func(r *connectors.IssueRequest) { r.Secret = connectors.NewSecret("psk_test_x") }, connectors.Rejected},
		"no public id":                        {func(r *connectors.IssueRequest) { r.Public = "" }, connectors.Rejected},
		"no reference":                        {func(r *connectors.IssueRequest) { r.Ref = "" }, connectors.Rejected},
		"no owner":                            {func(r *connectors.IssueRequest) { r.Subject.Owner = "" }, connectors.Rejected},
		"an unknown subject":                  {func(r *connectors.IssueRequest) { r.SubjectID = "dp-9" }, connectors.NotFound},
		"a subject of another hub":            {func(r *connectors.IssueRequest) { r.Subject.Owner = "other" }, connectors.Conflict},
		"a reference issued under another id": {func(r *connectors.IssueRequest) { r.Ref = "dp-1234-c1" }, connectors.Conflict},
		"a reference issued for another API": {func(r *connectors.IssueRequest) {
			*r = request(1)
			r.Grants = connectors.Grants{Definition: "api_entreprise"}
		}, connectors.Conflict},
	} {
		t.Run(name, func(t *testing.T) {
			b, _ := issued(t)
			before := maps.Clone(b.ledger.values)
			r := request(2)
			tt.spoil(&r)
			_, err := b.Issue(t.Context(), r)
			wantClass(t, err, tt.want)
			if diff := cmp.Diff(before, b.ledger.values); diff != "" {
				t.Error("a refused request leaves a trace", diff)
			}
		})
	}
}

func TestSubjects(t *testing.T) {
	b := open(t)
	for range 2 {
		if id, err := b.EnsureSubject(t.Context(), subject()); err != nil || id != "dp-1234" {
			t.Fatalf("%q, %v", id, err)
		}
	}
	foreign := subject()
	foreign.Owner = "passerelle-other"
	_, err := b.EnsureSubject(t.Context(), foreign)
	wantClass(t, err, connectors.Conflict)
	_, err = b.EnsureSubject(t.Context(), connectors.Subject{Owner: "x"})
	wantClass(t, err, connectors.Rejected)
}

func TestGrantsAreCheckedBeforeAnythingIsWritten(t *testing.T) {
	b, first := issued(t)
	live := []connectors.Handle{first.Handle}
	good := request(1).Grants
	if err := b.EnsureGrants(t.Context(), "dp-1234", nil, good); err != nil {
		t.Errorf("no live credential: %v", err)
	}
	before := maps.Clone(b.ledger.values)
	wantClass(t, b.EnsureGrants(t.Context(), "dp-1234", live, connectors.Grants{Definition: "api_particulier", Scopes: []string{"unknown"}}), connectors.Rejected)
	wantClass(t, b.EnsureGrants(t.Context(), "dp-1234", live, connectors.Grants{Definition: "api_entreprise"}), connectors.Rejected)
	wantClass(t, b.EnsureGrants(t.Context(), "dp-9", live, good), connectors.NotFound)
	wantClass(t, b.EnsureGrants(t.Context(), "dp-1234", []connectors.Handle{{Ref: "dp-1234-c9"}}, good), connectors.NotFound)
	other := subject()
	other.Ref = "dp-5678"
	if _, err := b.EnsureSubject(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	wantClass(t, b.EnsureGrants(t.Context(), "dp-5678", live, good), connectors.Conflict)
	delete(b.ledger.values, subjectKey("dp-5678"))
	if diff := cmp.Diff(before, b.ledger.values); diff != "" {
		t.Error(diff)
	}
}

func TestCapabilitiesTellWhatTheMethodsDo(t *testing.T) {
	want := connectors.Capabilities{
		MultiSecret: true, Grace: connectors.GraceAny, NativeExpiry: true, FixedExpiry: true, LookupByRef: true,
		RevocationBound: time.Second, GrantModel: connectors.GrantsAtIntrospection,
	}
	if diff := cmp.Diff(want, open(t).Capabilities()); diff != "" {
		t.Error(diff)
	}
}

func TestPlanSaysWhatWouldBeIssued(t *testing.T) {
	b := open(t)
	steps, err := b.Plan(request(1).Grants)
	if err != nil || len(steps) != 1 || !strings.Contains(steps[0], audience) || !strings.Contains(steps[0], "qf.read") {
		t.Errorf("%v, %v", steps, err)
	}
	_, err = b.Plan(connectors.Grants{Definition: "api_impot"})
	wantClass(t, err, connectors.Rejected)
}

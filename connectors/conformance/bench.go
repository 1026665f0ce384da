package conformance

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/connectors"
)

// Correlation is the id that every call to the partner must carry.
const Correlation = "conformance-7d1c"

// bench is one test: a fixture, a subject of its own, and a watch on every answer.
type bench struct {
	*Fixture
	t         *testing.T
	ctx       context.Context
	can       connectors.Capabilities
	subject   connectors.Subject
	subjectID string
	secrets   []connectors.Secret
	refs      int
}

// subjects are numbered through, since a real peer outlives a test.
var subjects atomic.Int64

func newBench(t *testing.T, open func(*testing.T) *Fixture) *bench {
	t.Helper()
	b := &bench{Fixture: open(t), t: t, ctx: connectors.WithCorrelation(t.Context(), Correlation)}
	b.can = b.Manager.Capabilities()
	b.subject = b.newSubject()
	t.Cleanup(b.checkCalls)
	return b
}

func (b *bench) newSubject() connectors.Subject {
	n := 9000 + subjects.Add(1)
	return connectors.Subject{
		Ref: fmt.Sprintf("dp-%d", n), Name: "Commune de Valfleury - restauration scolaire",
		Description: fmt.Sprintf("DataPass D%d", n), Owner: b.Owner,
		Labels: map[string]string{"datapass_id": fmt.Sprint(n), "siret": "21380999900013", "definition": b.Definition},
	}
}

// checkCalls: no call told a secret by its URL, and all carried the Correlation id.
func (b *bench) checkCalls() {
	if b.Partner != nil {
		for _, leak := range b.Partner.Leaks() {
			b.t.Errorf("a secret in the %s of %s %s", leak.Where, leak.Method, leak.Path)
		}
		for _, call := range b.Partner.Calls(b.Admin) {
			if call.Correlation != Correlation {
				b.t.Errorf("%s %s carries no Correlation id", call.Method, call.Path)
			}
		}
	}
	for _, secret := range b.secrets {
		if b.Ledger != nil && b.Ledger.Contains(secret.Reveal()) {
			b.t.Error("a clear secret in the ledger")
		}
	}
}

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// newSecret makes a client key as the hub does (tokens.md, 7.2), or nothing
// where the manager makes its own.
func (b *bench) newSecret() connectors.Secret {
	if !b.can.CallerSecret {
		return connectors.Secret{}
	}
	text := []byte("psk_test_")
	random := make([]byte, 30)
	_, _ = rand.Read(random) // never fails
	for _, c := range random {
		text = append(text, base62[c%62])
	}
	var sum [6]byte
	for i, n := 5, crc32.ChecksumIEEE(text); i >= 0; i, n = i-1, n/62 {
		sum[i] = base62[n%62]
	}
	secret := connectors.NewSecret(string(append(text, sum[:]...)))
	b.know(secret)
	return secret
}

// know makes a secret be looked for everywhere.
func (b *bench) know(secret connectors.Secret) {
	if secret.IsZero() || slices.Contains(b.secrets, secret) {
		return
	}
	b.secrets = append(b.secrets, secret)
	if b.Partner != nil {
		b.Partner.RegisterSecret(secret.Reveal())
	}
}

// watch checks what an answer may never hold, and gives its error back.
func (b *bench) watch(err error, handles ...connectors.Handle) error {
	b.t.Helper()
	for _, h := range handles {
		text, _ := json.Marshal(h)
		if b.tells(string(text)) {
			b.t.Errorf("a handle holds the secret: %s", h.Ref)
		}
	}
	if err == nil {
		return nil
	}
	var e *connectors.Error
	if !errors.As(err, &e) {
		b.t.Errorf("not a connectors.Error: %v", err)
		return err
	}
	if e.Partner == "" || e.Op == "" || len(e.Detail) > connectors.MaxDetail {
		b.t.Errorf("partner, operation or a detail of at most %d bytes is missing: %v", connectors.MaxDetail, err)
	}
	for cause := err; cause != nil; cause = errors.Unwrap(cause) {
		if b.tells(cause.Error()) {
			b.t.Errorf("an error holds the secret (%T)", cause)
		}
	}
	return err
}

func (b *bench) tells(text string) bool {
	return slices.ContainsFunc(b.secrets, func(s connectors.Secret) bool { return strings.Contains(text, s.Reveal()) })
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) wantClass(err error, classes ...connectors.Class) {
	b.t.Helper()
	if err == nil || !slices.Contains(classes, connectors.ClassOf(err)) {
		b.t.Errorf("got %v, want %v", err, classes)
	}
}

// grants are the rights of the fixture's definition.
func (b *bench) grants(scopes ...string) connectors.Grants {
	return connectors.Grants{Definition: b.Definition, Scopes: scopes}
}

func (b *bench) ensure(s connectors.Subject) (string, error) {
	b.t.Helper()
	id, err := b.Manager.EnsureSubject(b.ctx, s)
	if b.watch(err) == nil && id == "" {
		b.t.Error("a subject without id")
	}
	return id, err
}

func (b *bench) setGrants(live []connectors.Handle, scopes ...string) error {
	b.t.Helper()
	return b.watch(b.acted(func() error { return b.Manager.EnsureGrants(b.ctx, b.subjectID, live, b.grants(scopes...)) }))
}

// acted asks; where people there must act first, they do, and it is asked again.
func (b *bench) acted(ask func() error) error {
	err := ask()
	if b.Act != nil && connectors.Is(err, connectors.Pending) {
		b.Act()
		err = ask()
	}
	return err
}

// prepare makes the subject with both scopes.
func (b *bench) prepare() {
	b.t.Helper()
	id, err := b.ensure(b.subject)
	b.must(err)
	b.subjectID = id
	b.must(b.setGrants(nil, b.Scopes[:]...))
}

// request asks for the subject's next credential.
func (b *bench) request() connectors.IssueRequest {
	b.refs++
	return connectors.IssueRequest{
		Subject: b.subject, SubjectID: b.subjectID, Ref: fmt.Sprintf("%s-c%d", b.subject.Ref, b.refs),
		Public: uuid.NewString(), Secret: b.newSecret(), Grants: b.grants(b.Scopes[:]...),
	}
}

func (b *bench) issue(r connectors.IssueRequest) (connectors.Issued, error) {
	b.t.Helper()
	var issued connectors.Issued
	err := b.acted(func() (err error) {
		issued, err = b.Manager.Issue(b.ctx, r)
		return err
	})
	b.know(issued.Secret)
	b.watch(err, issued.Handle)
	if err == nil {
		b.checkIssued(r, issued)
	}
	return issued, err
}

func (b *bench) checkIssued(r connectors.IssueRequest, got connectors.Issued) {
	b.t.Helper()
	if got.Handle.Ref != r.Ref || got.Handle.Subject != r.SubjectID {
		b.t.Errorf("handle %+v, want reference %s and subject %s", got.Handle, r.Ref, r.SubjectID)
	}
	switch {
	case b.can.HandsOver && (!got.Secret.IsZero() || got.Handle.Reference == ""):
		b.t.Error("the hub is given a key that it must never have, or no reference of it")
	case !b.can.HandsOver && got.Secret.IsZero():
		b.t.Error("no secret")
	}
}

// issued gives a live credential.
func (b *bench) issued() connectors.Issued {
	b.t.Helper()
	if b.subjectID == "" {
		b.prepare()
	}
	issued, err := b.issue(b.request())
	b.must(err)
	b.settle()
	b.passes(issued)
	return issued
}

func (b *bench) rotate(r connectors.RotateRequest) (connectors.Rotation, error) {
	b.t.Helper()
	var got connectors.Rotation
	err := b.acted(func() (err error) {
		got, err = b.Manager.Rotate(b.ctx, r)
		return err
	})
	b.know(got.Secret)
	b.watch(err, got.Handle)
	if err == nil {
		b.checkIssued(r.IssueRequest, got.Issued)
		b.checkTruth(r, got)
	}
	return got, err
}

// rotation asks for old's successor.
func (b *bench) rotation(old connectors.Issued, grace time.Duration) connectors.RotateRequest {
	return connectors.RotateRequest{IssueRequest: b.request(), Old: old.Handle, Grace: grace}
}

func (b *bench) revoke(h connectors.Handle) error {
	b.t.Helper()
	return b.watch(b.acted(func() error { return b.Manager.Revoke(b.ctx, h) }))
}

func (b *bench) expire(h connectors.Handle, at time.Time) error {
	b.t.Helper()
	return b.watch(b.Manager.Expire(b.ctx, h, at))
}

func (b *bench) verify(h connectors.Handle) (connectors.Liveness, error) {
	b.t.Helper()
	live, err := b.Manager.VerifyRevoked(b.ctx, h)
	return live, b.watch(err)
}

func (b *bench) lookup(h connectors.Handle) (connectors.Found, error) {
	b.t.Helper()
	found, err := b.Manager.Lookup(b.ctx, h)
	return found, b.watch(err, found.Handle)
}

// settle waits until the gateway knows what was changed.
func (b *bench) settle() {
	if b.Advance != nil {
		b.Advance(b.can.RevocationBound + time.Second)
	}
}

// until moves the clocks to a moment.
func (b *bench) until(at time.Time) {
	if d := at.Sub(b.Now()); d > 0 {
		b.Advance(d)
	}
}

func (b *bench) passes(issued connectors.Issued) {
	b.t.Helper()
	if !b.Passes(issued.Handle, issued.Secret) {
		b.t.Errorf("the gateway refuses %s", issued.Handle.Ref)
	}
}

func (b *bench) refused(issued connectors.Issued) {
	b.t.Helper()
	if b.Passes(issued.Handle, issued.Secret) {
		b.t.Errorf("the gateway lets %s pass", issued.Handle.Ref)
	}
}

// dead checks that the gateway refuses within the bound, and that the manager says so.
func (b *bench) dead(issued connectors.Issued) {
	b.t.Helper()
	b.settle()
	b.refused(issued)
	live, err := b.verify(issued.Handle)
	if err != nil || live != connectors.Dead {
		b.t.Errorf("verification of %s: %s, %v; want dead", issued.Handle.Ref, live, err)
	}
}

// alive checks that the manager does not call a live credential dead.
func (b *bench) alive(issued connectors.Issued) {
	b.t.Helper()
	b.passes(issued)
	live, err := b.verify(issued.Handle)
	if err != nil || live == connectors.Dead {
		b.t.Errorf("verification of %s: %s, %v; it passes at the gateway", issued.Handle.Ref, live, err)
	}
	if found, err := b.lookup(issued.Handle); err != nil || found.Live != connectors.Alive {
		b.t.Errorf("lookup of %s: %s, %v; want alive", issued.Handle.Ref, found.Live, err)
	}
}

func (b *bench) live(want int) {
	b.t.Helper()
	if got := b.Live(b.subject.Ref); got != want {
		b.t.Errorf("%d live credentials of %s, want %d", got, b.subject.Ref, want)
	}
}

// near: managers count in whole seconds, and some in seconds left.
func near(a, b time.Time) bool {
	if a.IsZero() || b.IsZero() {
		return a.Equal(b)
	}
	d := a.Sub(b)
	return d > -2*time.Second && d < 2*time.Second
}

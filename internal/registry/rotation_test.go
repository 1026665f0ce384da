package registry_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/config/definitions"
	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
	"github.com/passerelle-hub/passerelle/jobs"
)

// lifeBench is a bench whose clock and manager's capabilities the test sets.
type lifeBench struct {
	bench
	clock *time.Time
	can   *connectors.Capabilities
}

func openLife(t *testing.T, change ...func(*registry.Policy)) lifeBench {
	t.Helper()
	b := open(t, onePolicy{[]string{"m"}})
	now := time.Now().UTC().Truncate(time.Second)
	can := connectors.Capabilities{CallerSecret: true, MultiSecret: true, Grace: connectors.GraceAny}
	clock := func() time.Time { return now }
	outbox, err := jobs.NewOutbox(b.store, 10*time.Millisecond, clock, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	catalogue, report := definitions.Load(definitions.Catalogue(), definitions.Options{})
	if err := report.Err(); err != nil {
		t.Fatal(err)
	}
	policy := registry.Policy{Managers: []string{"m"}, Lifetime: func(t time.Time) time.Time { return t.AddDate(0, 18, 0) }}
	for _, c := range change {
		c(&policy)
	}
	r := registry.New(b.store, outbox, catalogue, lifePolicy(policy), registry.Settings{
		PublicURL: "https://hub.example", TokenEnv: "test", LinkLifetime: 7 * 24 * time.Hour,
		Capabilities: func(name string) (connectors.Capabilities, bool) { return can, name == "m" },
	}, clock)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { r.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	b.Registry = r
	return lifeBench{b, &now, &can}
}

type lifePolicy registry.Policy

func (p lifePolicy) Policy(string) (registry.Policy, bool) { return registry.Policy(p), true }

func (b lifeBench) record(t *testing.T, cmd registry.Command) {
	t.Helper()
	if err := b.Record(t.Context(), cmd); err != nil {
		t.Fatalf("%T: %v", cmd, err)
	}
}

// live brings a credential to active, as the provisioning's job does.
func (b lifeBench) live(t *testing.T, id uuid.UUID, value string) {
	t.Helper()
	b.record(t, &registry.PrepareCredential{CredentialID: id, Secret: connectors.NewSecret(value)})
	b.record(t, &registry.StartStep{CredentialID: id, Step: "subject"})
	b.record(t, &registry.SubjectEnsured{CredentialID: id, SubjectID: "s"})
	b.record(t, &registry.CredentialIssued{CredentialID: id, Handle: connectors.Handle{Ref: "r"}})
	b.record(t, &registry.CredentialVerified{CredentialID: id})
}

// granted gives a live credential of an approved request.
func (b lifeBench) granted(t *testing.T) uuid.UUID {
	t.Helper()
	receipt := b.receive(t, sample(t, "webhook-approve.json"))
	b.apply(t, entreprise)
	b.live(t, receipt.TokenID, "first")
	return receipt.TokenID
}

// replaced brings the new credential of a rotation to live.
func (b lifeBench) replaced(t *testing.T, id uuid.UUID, overlap connectors.Overlap, until time.Time) {
	t.Helper()
	b.record(t, &registry.PrepareCredential{CredentialID: id, Secret: connectors.NewSecret("second")})
	b.record(t, &registry.StartStep{CredentialID: id, Step: "subject"})
	b.record(t, &registry.SubjectEnsured{CredentialID: id, SubjectID: "s"})
	b.record(t, &registry.CredentialRotated{
		CredentialIssued: registry.CredentialIssued{CredentialID: id, Handle: connectors.Handle{Ref: "n"}},
		Overlap:          overlap, OldUntil: until,
	})
	b.record(t, &registry.CredentialVerified{CredentialID: id})
}

func (b lifeBench) state(t *testing.T, id uuid.UUID) string {
	t.Helper()
	c, err := b.store.Credential(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return c.State
}

// jti reads a text that is a credential's id, as the built-in issuer's tokens do.
type jti struct{}

func (jti) ReadToken(_ context.Context, value string) (registry.TokenRef, error) {
	id, err := uuid.Parse(value)
	if err != nil {
		return registry.TokenRef{}, registry.ErrNotOurs
	}
	return registry.TokenRef{ID: id}, nil
}

func (jti) Refresh(context.Context, time.Duration) error { return nil }

func (b lifeBench) passes(t *testing.T, id uuid.UUID) bool {
	t.Helper()
	answer, err := b.Introspect(t.Context(), jti{}, id.String(), []string{"*"})
	if err != nil {
		t.Fatal(err)
	}
	return answer.Active
}

func TestARotationPlanTellsTheTruthBeforehand(t *testing.T) {
	for name, c := range map[string]struct {
		can   connectors.Capabilities
		grace time.Duration
		want  registry.RotationPlan
	}{
		"any overlap":               {connectors.Capabilities{Grace: connectors.GraceAny, CallerSecret: true}, time.Hour, registry.RotationPlan{Overlap: connectors.OverlapUntil, Grace: time.Hour}},
		"the manager's own overlap": {connectors.Capabilities{Grace: connectors.GraceFixed, CallerSecret: true}, time.Hour, registry.RotationPlan{Overlap: connectors.OverlapFixed, Grace: time.Hour}},
		"no overlap there":          {connectors.Capabilities{Grace: connectors.GraceNone}, time.Hour, registry.RotationPlan{Overlap: connectors.OverlapNone, ChoosesSecret: true}},
		"none asked for":            {connectors.Capabilities{Grace: connectors.GraceAny, CallerSecret: true}, 0, registry.RotationPlan{Overlap: connectors.OverlapNone}},
		"a manager that says none":  {connectors.Capabilities{CallerSecret: true}, time.Hour, registry.RotationPlan{Overlap: connectors.OverlapNone}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, registry.PlanRotation(c.can, c.grace)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestOfTwentyRotationsAtOnceOneWins(t *testing.T) {
	b := openLife(t)
	id := b.granted(t)
	var all sync.WaitGroup
	outcomes := make([]error, 20)
	for i := range outcomes {
		all.Go(func() {
			outcomes[i] = b.Record(context.Background(), &registry.RotateCredential{CredentialID: id, Grace: time.Hour})
		})
	}
	all.Wait()
	won := 0
	for _, err := range outcomes {
		var state *registry.StateError
		switch {
		case err == nil:
			won++
		case !errors.As(err, &state) || state.State != "rotating":
			t.Errorf("a loser is told %v", err)
		}
	}
	if n := b.count(t, `select count(*) from credential`); won != 1 || n != 2 {
		t.Errorf("%d won, %d credentials", won, n)
	}
}

func TestDuringARotationBothPassThenTheOldOneEndsAndIsProvenDead(t *testing.T) {
	b := openLife(t)
	old := b.granted(t)
	cmd := &registry.RotateCredential{CredentialID: old, Grace: time.Hour, Reason: "annuelle"}
	b.record(t, cmd)
	if !b.passes(t, old) || b.passes(t, cmd.NewID) {
		t.Fatal("before its manager has made the new one, the old one alone passes")
	}
	until := b.clock.Add(time.Hour)
	b.replaced(t, cmd.NewID, connectors.OverlapUntil, until)
	if !b.passes(t, old) || !b.passes(t, cmd.NewID) {
		t.Fatal("both pass during the overlap")
	}
	if n := b.count(t, `select count(*) from river_job where kind = 'end_credential' and state = 'scheduled' and scheduled_at = $1`, until); n != 1 {
		t.Errorf("%d ends scheduled", n)
	}
	if n := b.count(t, `select count(*) from mail where template = 'cle_remplacee'`); n == 0 {
		t.Error("no contact was told")
	}
	if n := b.count(t, `select count(*) from handover_link where credential_id = $1 and cancelled_at is null`, old); n != 0 {
		t.Error("the old key can still be shown")
	}
	var state *registry.StateError
	if err := b.Record(t.Context(), &registry.RevocationVerified{CredentialID: old}); !errors.As(err, &state) {
		t.Errorf("ended before its time: %v", err)
	}
	*b.clock = until
	if b.passes(t, old) || !b.passes(t, cmd.NewID) {
		t.Error("after the overlap the new one alone passes")
	}
	b.record(t, &registry.StartStep{CredentialID: old, Step: "revoke", Revoking: true})
	b.record(t, &registry.RevokedAtManager{CredentialID: old})
	b.record(t, &registry.RevocationVerified{CredentialID: old})
	if got := b.state(t, old); got != "replaced" {
		t.Error(got)
	}
	for _, event := range []string{"token.rotating", "token.rotated", "token.replaced"} {
		if n := b.count(t, `select count(*) from history where event = $1`, event); n != 1 {
			t.Errorf("%d lines of %s", n, event)
		}
	}
}

func TestALeakEndsTheOldKeyHereBeforeItsManagerAnswers(t *testing.T) {
	b := openLife(t)
	old := b.granted(t)
	b.record(t, &registry.RotateCredential{CredentialID: old, Reason: "fuite"})
	if b.passes(t, old) {
		t.Error("a leaked key passes")
	}
	if n := b.count(t, `select count(*) from river_job where kind = 'end_credential'`); n != 1 {
		t.Errorf("%d ends queued", n)
	}
	if n := b.count(t, `select count(*) from credential where id = $1 and secret_sealed is null`, old); n != 1 {
		t.Error("the leaked value is still kept")
	}
}

func TestTheAnswerOfTheManagerIsWhatTheOldKeyKeeps(t *testing.T) {
	for name, c := range map[string]struct {
		overlap connectors.Overlap
		until   time.Duration // after now; 0: the manager names none
		passes  bool
	}{
		"a cutover ends it at once":        {connectors.OverlapNone, 0, false},
		"an imposed overlap is kept":       {connectors.OverlapFixed, 2 * time.Hour, true},
		"an overlap without end is none":   {connectors.OverlapUntil, 0, false},
		"an end of the past is what it is": {connectors.OverlapUntil, -time.Minute, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := openLife(t)
			old := b.granted(t)
			cmd := &registry.RotateCredential{CredentialID: old, Grace: time.Hour}
			b.record(t, cmd)
			until := time.Time{}
			if c.until != 0 {
				until = b.clock.Add(c.until)
			}
			b.replaced(t, cmd.NewID, c.overlap, until)
			if got := b.passes(t, old); got != c.passes {
				t.Errorf("the old one passes: %t", got)
			}
		})
	}
}

func TestARotationIsRefusedWithItsReason(t *testing.T) {
	b := openLife(t)
	id := b.granted(t)
	for name, grace := range map[string]time.Duration{"a negative grace": -time.Second, "an endless grace": registry.MaxGrace + time.Second} {
		var fault *registry.GraceError
		if err := b.Record(t.Context(), &registry.RotateCredential{CredentialID: id, Grace: grace}); !errors.As(err, &fault) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := b.Record(t.Context(), &registry.RotateCredential{CredentialID: uuid.New()}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an unknown credential: %v", err)
	}
	b.can.Grace = connectors.GraceNone
	var none *registry.NoOverlapError
	if err := b.Record(t.Context(), &registry.RotateCredential{CredentialID: id, Grace: time.Hour}); !errors.As(err, &none) {
		t.Errorf("no overlap there: %v", err)
	}
	if got := b.state(t, id); got != "active" {
		t.Errorf("a refused rotation left it %s", got)
	}
	b.record(t, &registry.RotateCredential{CredentialID: id, Grace: time.Hour, AcceptCutover: true})
}

func TestARevocationDuringARotationEndsBoth(t *testing.T) {
	b := openLife(t)
	old := b.granted(t)
	cmd := &registry.RotateCredential{CredentialID: old, Grace: time.Hour}
	b.record(t, cmd)
	b.replaced(t, cmd.NewID, connectors.OverlapUntil, b.clock.Add(time.Hour))
	b.receive(t, sample(t, "webhook-revoke.json"))
	b.apply(t, entreprise)
	for _, id := range []uuid.UUID{old, cmd.NewID} {
		if got := b.state(t, id); got != "revoked_at_hub" || b.passes(t, id) {
			t.Errorf("%s is %s", id, got)
		}
	}
}

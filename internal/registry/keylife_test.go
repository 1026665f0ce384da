package registry_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/registry"
)

const oneDay = 24 * time.Hour

func (b lifeBench) end(t *testing.T, id uuid.UUID) time.Time {
	t.Helper()
	c, err := b.store.Credential(t.Context(), id)
	if err != nil || c.ExpiresAt == nil {
		t.Fatal(c.ExpiresAt, err)
	}
	return *c.ExpiresAt
}

func (b lifeBench) watch(t *testing.T, id uuid.UUID) {
	b.record(t, &registry.WatchEnd{CredentialID: id})
}

// told gives the days of the notices told, in their order.
func (b lifeBench) told(t *testing.T) []int {
	t.Helper()
	rows, err := b.pool.Query(t.Context(), `select (detail ->> 'days')::int from history where event = 'token.expiring' order by id`)
	if err != nil {
		t.Fatal(err)
	}
	days, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		t.Fatal(err)
	}
	return days
}

func TestEachNoticeIsToldOnceToEveryContactAtItsDay(t *testing.T) {
	t.Parallel()
	b := openLife(t)
	id := b.granted(t)
	end := b.end(t, id)
	contacts := b.count(t, `select count(distinct recipient_hash) from mail where template = 'cle_prete'`)
	for at := end.Add(-100 * oneDay); at.Before(end.Add(2 * oneDay)); at = at.Add(6 * time.Hour) {
		*b.clock = at
		b.watch(t, id)
		b.watch(t, id) // again: nothing more
	}
	if got := b.told(t); !slices.Equal(got, []int{90, 60, 30, 14, 7, 1, 0}) {
		t.Errorf("told at %v", got)
	}
	people := b.count(t, `select count(distinct recipient_hash) from mail where template = 'cle_expire_bientot'`)
	if n := b.count(t, `select count(*) from mail where template = 'cle_expire_bientot'`); people < 2 || contacts < 1 || n != 6*people {
		t.Errorf("%d mails to %d people", n, people)
	}
	if n := b.count(t, `select count(*) from mail where template = 'cle_expiree'`); n != people {
		t.Errorf("%d mails of the end", n)
	}
	if got := b.state(t, id); got != "expired" || b.passes(t, id) {
		t.Errorf("it is %s", got)
	}
	if n := b.count(t, `select count(*) from river_job where kind = 'end_credential'`); n != 1 {
		t.Errorf("%d jobs close it at its manager", n)
	}
	if n := b.count(t, `select count(*) from event where type = 'token.expiring'`); n != 7 {
		t.Errorf("%d webhooks", n)
	}
	b.record(t, &registry.StartStep{CredentialID: id, Step: "revoke", Revoking: true})
	b.record(t, &registry.RevokedAtManager{CredentialID: id})
	b.record(t, &registry.RevocationVerified{CredentialID: id})
	if n := b.count(t, `select count(*) from history where event = 'token.expired_verified'`); n != 1 {
		t.Error("its end at the manager is not told")
	}
}

func TestAfterAnOutageTheNearestNoticeOnlyIsTold(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		left time.Duration
		want []int
	}{
		"ten days over two thresholds": {10 * oneDay, []int{14}},
		"down since before the first":  {12 * time.Hour, []int{1}},
		"down over the end":            {-5 * oneDay, []int{0}},
		"the clock was set back":       {200 * oneDay, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := openLife(t)
			id := b.granted(t)
			*b.clock = b.end(t, id).Add(-c.left)
			b.watch(t, id)
			b.watch(t, id)
			if got := b.told(t); !slices.Equal(got, c.want) {
				t.Errorf("told at %v", got)
			}
		})
	}
}

func TestTheClockSetBackTellsNothingTwice(t *testing.T) {
	t.Parallel()
	b := openLife(t)
	id := b.granted(t)
	end := b.end(t, id)
	for _, left := range []int{29, 59, 89, 13, 29} {
		*b.clock = end.AddDate(0, 0, -left)
		b.watch(t, id)
	}
	if got := b.told(t); !slices.Equal(got, []int{30, 14}) {
		t.Errorf("told at %v", got)
	}
}

func TestARotationStopsTheNoticesAndADroppedOneResumesThem(t *testing.T) {
	t.Parallel()
	b := openLife(t)
	old := b.granted(t)
	end := b.end(t, old)
	*b.clock = end.Add(-60 * oneDay)
	b.watch(t, old)
	cmd := &registry.RotateCredential{CredentialID: old, Grace: 80 * oneDay}
	b.record(t, cmd)
	*b.clock = end.Add(-20 * oneDay)
	b.watch(t, old)
	b.watch(t, cmd.NewID)
	if got := b.told(t); !slices.Equal(got, []int{60}) {
		t.Errorf("told at %v", got)
	}
	b.record(t, &registry.RevokeCredential{CredentialID: cmd.NewID, Reason: "essai"})
	b.watch(t, old)
	if got := b.told(t); !slices.Equal(got, []int{60, 30}) {
		t.Errorf("after the new one was dropped: %v", got)
	}
}

func TestAProlongationStartsTheNoticesAnew(t *testing.T) {
	t.Parallel()
	b := openLife(t)
	id := b.granted(t)
	for range 2 {
		*b.clock = b.end(t, id).Add(-30 * oneDay)
		b.watch(t, id)
		b.record(t, &registry.ProlongCredential{CredentialID: id})
		b.watch(t, id)
		if got := b.state(t, id); got != "active" {
			t.Error(got)
		}
	}
	if got := b.told(t); !slices.Equal(got, []int{30, 30}) {
		t.Errorf("told at %v", got)
	}
	if n := b.count(t, `select count(*) from mail where template = 'cle_prolongee'`); n < 4 {
		t.Errorf("%d mails of the prolongations", n)
	}
}

func TestAProlongationWaitsForTheManagerThatEnforcesEnds(t *testing.T) {
	t.Parallel()
	b := openLife(t)
	b.can.NativeExpiry = true
	id := b.granted(t)
	end := b.end(t, id)
	*b.clock = end.Add(-oneDay)
	cmd := &registry.ProlongCredential{CredentialID: id}
	b.record(t, cmd)
	b.record(t, &registry.ProlongCredential{CredentialID: id}) // twice is once
	if cmd.Plan.Way != registry.ProlongAtManager || !b.end(t, id).Equal(end) {
		t.Fatalf("%s, its end is %s", cmd.Plan.Way, b.end(t, id))
	}
	if n := b.count(t, `select count(*) from history where event = 'token.prolong_requested'`); n != 1 {
		t.Errorf("asked for %d times", n)
	}
	b.record(t, &registry.CredentialProlonged{CredentialID: id, Until: cmd.Plan.ExpiresAt})
	if !b.end(t, id).Equal(cmd.Plan.ExpiresAt) {
		t.Error("the later end is not kept")
	}
	var state *registry.StateError
	if err := b.Record(t.Context(), &registry.CredentialProlonged{CredentialID: id, Until: cmd.Plan.ExpiresAt}); !errors.As(err, &state) {
		t.Errorf("told twice: %v", err)
	}
}

func TestAProlongationIsRefusedWithItsReason(t *testing.T) {
	t.Parallel()
	b := openLife(t)
	id := b.granted(t)
	refused := func(want habilitation.RefusalCode) {
		t.Helper()
		var r *habilitation.Refusal
		if err := b.Record(t.Context(), &registry.ProlongCredential{CredentialID: id}); !errors.As(err, &r) || r.Code != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	refused(registry.RefusedTooEarly)
	*b.clock = b.end(t, id).Add(-oneDay)
	b.can.FixedExpiry, b.can.NativeExpiry = true, true
	refused(registry.RefusedIsRotation)
	*b.clock = b.end(t, id)
	var state *registry.StateError
	if err := b.Record(t.Context(), &registry.ProlongCredential{CredentialID: id}); !errors.As(err, &state) {
		t.Errorf("at its end: %v", err)
	}
}

func TestARevocationDuringAProlongationEndsIt(t *testing.T) {
	t.Parallel()
	b := openLife(t)
	b.can.NativeExpiry = true
	id := b.granted(t)
	*b.clock = b.end(t, id).Add(-oneDay)
	cmd := &registry.ProlongCredential{CredentialID: id}
	b.record(t, cmd)
	b.record(t, &registry.RevokeCredential{CredentialID: id})
	var state *registry.StateError
	if err := b.Record(t.Context(), &registry.CredentialProlonged{CredentialID: id, Until: cmd.Plan.ExpiresAt}); !errors.As(err, &state) {
		t.Errorf("the late answer of the manager: %v", err)
	}
	if got := b.state(t, id); got != "revoked_at_hub" {
		t.Error(got)
	}
}

func TestKeysAreReplacedByAgeWhereTheSettingsSay(t *testing.T) {
	t.Parallel()
	b := openLife(t, func(p *registry.Policy) {
		p.RotateAfter = func(at time.Time) time.Time { return at.AddDate(0, 6, 0) }
		p.RotationGrace = 14 * oneDay
	})
	id := b.granted(t)
	due := func() int {
		t.Helper()
		list, err := b.DueRotations(t.Context(), 10)
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	*b.clock = b.clock.AddDate(0, 5, 28)
	b.record(t, &registry.RotateOnSchedule{CredentialID: id})
	if due() != 0 || b.state(t, id) != "active" {
		t.Error("replaced before its age")
	}
	*b.clock = b.clock.AddDate(0, 0, 5)
	b.can.Grace = connectors.GraceNone
	var none *registry.NoOverlapError
	if err := b.Record(t.Context(), &registry.RotateOnSchedule{CredentialID: id}); !errors.As(err, &none) || due() != 1 {
		t.Errorf("clients are cut off without the settings' consent: %v", err)
	}
	b.can.Grace = connectors.GraceAny
	b.record(t, &registry.RotateOnSchedule{CredentialID: id})
	if due() != 0 || b.state(t, id) != "rotating" {
		t.Error("not replaced at its age")
	}
}

func TestOneWhoseRequestIsArchivedIsNeverLeftSilently(t *testing.T) {
	t.Parallel()
	for _, revoke := range []bool{true, false} {
		t.Run(fmt.Sprintf("revoke %t", revoke), func(t *testing.T) {
			t.Parallel()
			b := openLife(t, func(p *registry.Policy) { p.ArchiveRevoke, p.ArchiveNotice = revoke, 30*oneDay })
			id := b.granted(t)
			b.receive(t, archived(t))
			b.apply(t, entreprise)
			event, ends := "token.archive_kept", 0
			if revoke {
				event, ends = "token.archive_notice", 1
			}
			if n := b.count(t, `select count(*) from history where event = $1`, event); n != 1 {
				t.Errorf("%d lines of %s", n, event)
			}
			if n := b.count(t, `select count(*) from mail where template = 'cle_archivee'`); n < 2 {
				t.Errorf("%d people are told", n)
			}
			if n := b.count(t, `select count(*) from event where type = $1`, event); n != 1 {
				t.Errorf("%d webhooks", n)
			}
			if n := b.count(t, `select count(*) from river_job where kind = 'revoke_archived'`); n != ends || !b.passes(t, id) {
				t.Errorf("%d ends to come; passes %t", n, b.passes(t, id))
			}
		})
	}
}

// archived is the approved request of webhook-approve.json, archived later.
func archived(t *testing.T) []byte {
	t.Helper()
	return []byte(strings.NewReplacer(`"event":"approve"`, `"event":"archive"`, `"fired_at":1774346718`, `"fired_at":1789485633`,
		`"state":"validated"`, `"state":"archived"`).Replace(string(sample(t, "webhook-approve.json"))))
}

// reapproved is the same request, reopened and approved with one scope more,
// and one less where lost says so.
func reapproved(t *testing.T, lost bool) []byte {
	t.Helper()
	body := strings.NewReplacer(`"event":"revoke"`, `"event":"approve"`, `"state":"revoked"`, `"state":"validated"`).Replace(string(sample(t, "webhook-revoke.json")))
	// The last habilitation is the one in force.
	at := strings.LastIndex(body, `"state":"validated"`)
	body = body[:at] + `"state":"active"` + body[at+len(`"state":"validated"`):]
	if lost {
		body = strings.NewReplacer(`"attestation_fiscale_dgfip",`, ``, `\"attestation_fiscale_dgfip\", `, ``).Replace(body)
	}
	return []byte(body)
}

func TestNewRightsChangeTheGrantsAndTheKeyStaysUnlessAPIsCheckOffline(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		offline, lost bool
		model         connectors.GrantModel
		rotations     int
		passes        bool
	}{
		"rights at the manager":                      {false, false, connectors.GrantsOnSubject, 0, true},
		"a built-in token, asked about each time":    {false, true, connectors.GrantsAtIntrospection, 0, true},
		"one checked offline that wins a right":      {true, false, connectors.GrantsAtIntrospection, 1, true},
		"one checked offline that loses a right":     {true, true, connectors.GrantsAtIntrospection, 1, false},
		"offline, but no right is in the key itself": {true, true, connectors.GrantsOnCredential, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := openLife(t, func(p *registry.Policy) { p.OfflineChecks = c.offline })
			b.can.GrantModel = c.model
			id := b.granted(t)
			b.receive(t, reapproved(t, c.lost))
			b.apply(t, entreprise)
			if n := b.count(t, `select count(*) from rotation`); n != c.rotations || b.passes(t, id) != c.passes {
				t.Errorf("%d rotations, passes %t", n, b.passes(t, id))
			}
			if n := b.count(t, `select count(*) from credential where 'effectifs_urssaf' = any (scopes)`); n != 1+c.rotations {
				t.Errorf("%d credentials have the new right", n)
			}
			if c.rotations == 0 {
				answer, err := b.Introspect(t.Context(), jti{}, id.String(), []string{"*"})
				if err != nil || !strings.Contains(answer.Scope, "effectifs_urssaf") || strings.Contains(answer.Scope, "attestation_fiscale_dgfip") == c.lost {
					t.Errorf("the scope is %s, %v", answer.Scope, err)
				}
			}
		})
	}
}

func TestAMailWhoseJobWasGivenUpIsQueuedAgain(t *testing.T) {
	t.Parallel()
	b := openLife(t)
	b.granted(t)
	abandoned := func() []uuid.UUID {
		t.Helper()
		mails, err := b.store.AbandonedMails(t.Context(), b.clock.Add(time.Hour), 10)
		if err != nil {
			t.Fatal(err)
		}
		return mails
	}
	if n := len(abandoned()); n != 0 {
		t.Errorf("%d mails found although their jobs wait", n)
	}
	queued := b.count(t, `select count(*) from mail where state = 'queued'`)
	if _, err := b.pool.Exec(t.Context(), `update river_job set state = 'discarded', finalized_at = now() where kind = 'send_mail'`); err != nil {
		t.Fatal(err)
	}
	mails := abandoned()
	if queued == 0 || len(mails) != queued {
		t.Fatalf("%d mails without a job found, of %d", len(mails), queued)
	}
	b.record(t, &registry.Wake{Mails: mails})
	if n := b.count(t, `select count(*) from river_job where kind = 'send_mail' and state = 'available'`); n != queued {
		t.Errorf("%d jobs queued for %d mails", n, queued)
	}
	if n := len(abandoned()); n != 0 {
		t.Error("they are queued again and again")
	}
}

package jwtissuer

import (
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/jose"
)

func TestARotationKeepsTheOldTokenForItsGrace(t *testing.T) {
	b, old := issued(t)
	ask := connectors.RotateRequest{IssueRequest: request(2), Old: old.Handle, Grace: 14 * day}
	got, err := b.Rotate(t.Context(), ask)
	if err != nil {
		t.Fatal(err)
	}
	end := start.Add(14 * day)
	if got.Overlap != connectors.OverlapUntil || !got.OldUntil.Equal(end) || got.Handle.ID != request(2).Public {
		t.Errorf("%s until %s, %+v", got.Overlap, got.OldUntil, got.Handle)
	}
	b.pass(3 * day)
	again, err := b.Rotate(t.Context(), ask)
	if err != nil || !again.OldUntil.Equal(end) || !again.Adopted {
		t.Errorf("a repeat three days later: until %s, adopted %v, %v", again.OldUntil, again.Adopted, err)
	}
	b.wantLiveness(old.Handle, connectors.Alive)
	b.pass(11 * day)
	b.wantLiveness(old.Handle, connectors.Dead)
	b.wantLiveness(got.Handle, connectors.Alive)
	late, err := b.Rotate(t.Context(), ask)
	if err != nil || late.Overlap != connectors.OverlapNone || !late.OldUntil.IsZero() {
		t.Errorf("a repeat after the grace: %s until %s, %v", late.Overlap, late.OldUntil, err)
	}
}

func TestARotationWithoutGraceEndsTheOldTokenNow(t *testing.T) {
	b, old := issued(t)
	got, err := b.Rotate(t.Context(), connectors.RotateRequest{IssueRequest: request(2), Old: old.Handle})
	if err != nil || got.Overlap != connectors.OverlapNone || !got.OldUntil.IsZero() {
		t.Fatalf("%s until %s, %v", got.Overlap, got.OldUntil, err)
	}
	b.wantLiveness(old.Handle, connectors.Dead)
	b.wantLiveness(got.Handle, connectors.Alive)
}

func TestAGraceNeverOutlivesTheOldToken(t *testing.T) {
	b, old := issued(t)
	if err := b.Expire(t.Context(), old.Handle, start.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	got, err := b.Rotate(t.Context(), connectors.RotateRequest{IssueRequest: request(2), Old: old.Handle, Grace: 14 * day})
	if err != nil || !got.OldUntil.Equal(start.Add(time.Hour)) {
		t.Errorf("until %s, %v", got.OldUntil, err)
	}
}

func TestRotationsThatCannotBe(t *testing.T) {
	b, old := issued(t)
	for name, tt := range map[string]struct {
		ask  connectors.RotateRequest
		want connectors.Class
	}{
		"to the same reference":   {connectors.RotateRequest{IssueRequest: request(1), Old: old.Handle, Grace: day}, connectors.Rejected},
		"with a negative grace":   {connectors.RotateRequest{IssueRequest: request(2), Old: old.Handle, Grace: -1}, connectors.Rejected},
		"of what was not issued":  {connectors.RotateRequest{IssueRequest: request(2), Old: connectors.Handle{Ref: "dp-1234-c9"}, Grace: day}, connectors.NotFound},
		"to an unmapped scope":    {connectors.RotateRequest{IssueRequest: withScope("unknown"), Old: old.Handle}, connectors.Rejected},
		"of another one's secret": {connectors.RotateRequest{IssueRequest: ofSubject("dp-9"), Old: old.Handle}, connectors.Conflict},
	} {
		t.Run(name, func(t *testing.T) {
			before := maps.Clone(b.ledger.values)
			_, err := b.Rotate(t.Context(), tt.ask)
			wantClass(t, err, tt.want)
			if !maps.Equal(before, b.ledger.values) {
				t.Error("a refused rotation leaves a trace")
			}
		})
	}
	b.wantLiveness(old.Handle, connectors.Alive)
}

func withScope(scope string) connectors.IssueRequest {
	r := request(2)
	r.Grants.Scopes = []string{scope}
	return r
}

func ofSubject(id string) connectors.IssueRequest {
	r := request(2)
	r.SubjectID = id
	return r
}

func TestRevocationIsFinal(t *testing.T) {
	b, got := issued(t)
	for range 2 {
		if err := b.Revoke(t.Context(), got.Handle); err != nil {
			t.Fatal(err)
		}
	}
	b.wantLiveness(got.Handle, connectors.Dead)
	_, err := b.Issue(t.Context(), request(1))
	wantClass(t, err, connectors.Rejected)
	wantClass(t, b.Expire(t.Context(), got.Handle, start.Add(time.Hour)), connectors.Rejected)
	// A grant that arrives late changes nothing.
	if err := b.EnsureGrants(t.Context(), "dp-1234", []connectors.Handle{got.Handle}, request(1).Grants); err != nil {
		t.Error(err)
	}
	found, err := b.Lookup(t.Context(), got.Handle)
	if err != nil || found.Live != connectors.Dead {
		t.Errorf("%s, %v", found.Live, err)
	}
}

func TestWhatWasRevokedBeforeItWasIssuedNeverLives(t *testing.T) {
	b, _ := issued(t)
	h := connectors.Handle{Ref: "dp-1234-c2"}
	b.wantLiveness(h, connectors.Unknown)
	_, err := b.Lookup(t.Context(), h)
	wantClass(t, err, connectors.NotFound)
	if err := b.Revoke(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	b.wantLiveness(h, connectors.Dead)
	_, err = b.Issue(t.Context(), request(2))
	wantClass(t, err, connectors.Rejected)
	wantClass(t, b.Revoke(t.Context(), connectors.Handle{}), connectors.Rejected)
}

func TestAnEndIsShortenedNeverMovedAway(t *testing.T) {
	b, got := issued(t)
	if err := b.Expire(t.Context(), got.Handle, got.ExpiresAt); err != nil {
		t.Errorf("the end it has: %v", err)
	}
	wantClass(t, b.Expire(t.Context(), got.Handle, got.ExpiresAt.Add(time.Second)), connectors.Rejected)
	wantClass(t, b.Expire(t.Context(), got.Handle, time.Time{}), connectors.Rejected)
	if err := b.Expire(t.Context(), got.Handle, start.Add(2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	wantClass(t, b.Expire(t.Context(), got.Handle, start.Add(3*time.Hour)), connectors.Rejected)
	token, err := b.verify(b.mustIssue(request(1)).Secret)
	if err != nil || !token.ExpiresAt.Equal(start.Add(2*time.Hour)) {
		t.Errorf("a repeat says %s, %v", token.ExpiresAt, err)
	}
	b.wantLiveness(got.Handle, connectors.Alive)
	if err := b.Expire(t.Context(), got.Handle, start.Add(-time.Hour)); err != nil {
		t.Errorf("an end in the past ends it now: %v", err)
	}
	b.wantLiveness(got.Handle, connectors.Dead)
	_, err = b.Issue(t.Context(), request(1))
	wantClass(t, err, connectors.Rejected)
	wantClass(t, b.Expire(t.Context(), connectors.Handle{Ref: "dp-1234-c9"}, start), connectors.NotFound)
}

func TestAnEndAskedForIsTheTokensEnd(t *testing.T) {
	b, _ := issued(t)
	r := request(2)
	r.ExpiresAt = start.Add(30*day + 700*time.Millisecond)
	got := b.mustIssue(r)
	if !got.ExpiresAt.Equal(start.Add(30 * day)) {
		t.Errorf("ends %s", got.ExpiresAt)
	}
	b.pass(30*day - time.Second)
	b.wantLiveness(got.Handle, connectors.Alive)
	b.pass(time.Second)
	b.wantLiveness(got.Handle, connectors.Dead)
	_, err := b.verify(got.Secret)
	if !errors.Is(err, jose.ErrExpired) {
		t.Error(err)
	}
}

// A fault of the ledger at any call, before or after its work, is Temporary, and
// the repeat ends where a call without faults would.
func TestEveryStepSurvivesAFaultOfTheLedger(t *testing.T) {
	cause := errors.New("connection reset")
	steps := map[string]func(b bundle, old connectors.Issued) error{
		"subject": func(b bundle, _ connectors.Issued) error {
			_, err := b.EnsureSubject(b.t.Context(), subject())
			return err
		},
		"grants": func(b bundle, old connectors.Issued) error {
			return b.EnsureGrants(b.t.Context(), "dp-1234", []connectors.Handle{old.Handle}, connectors.Grants{Definition: "api_particulier"})
		},
		"issue": func(b bundle, _ connectors.Issued) error { _, err := b.Issue(b.t.Context(), request(2)); return err },
		"rotate": func(b bundle, old connectors.Issued) error {
			_, err := b.Rotate(b.t.Context(), connectors.RotateRequest{IssueRequest: request(2), Old: old.Handle, Grace: day})
			return err
		},
		"rotate at once": func(b bundle, old connectors.Issued) error {
			_, err := b.Rotate(b.t.Context(), connectors.RotateRequest{IssueRequest: request(2), Old: old.Handle})
			return err
		},
		"expire": func(b bundle, old connectors.Issued) error {
			return b.Expire(b.t.Context(), old.Handle, start.Add(day))
		},
		"revoke": func(b bundle, old connectors.Issued) error { return b.Revoke(b.t.Context(), old.Handle) },
		"verify": func(b bundle, old connectors.Issued) error {
			_, err := b.VerifyRevoked(b.t.Context(), old.Handle)
			return err
		},
		"lookup": func(b bundle, old connectors.Issued) error { _, err := b.Lookup(b.t.Context(), old.Handle); return err },
		"health": func(b bundle, _ connectors.Issued) error { _, err := b.Health(b.t.Context()); return err },
	}
	for name, step := range steps {
		t.Run(name, func(t *testing.T) {
			clean, old := issued(t)
			if err := step(clean, old); err != nil {
				t.Fatal(err)
			}
			failures := 0
			for _, call := range []string{"get", "put", "putnew"} {
				for _, when := range []string{"before", "after"} {
					b, old := issued(t)
					faults := b.ledger.fail
					if when == "after" {
						faults = b.ledger.lost
					}
					faults[call] = cause
					if err := step(b, old); err != nil {
						failures++
						wantClass(t, err, connectors.Temporary)
						if !errors.Is(err, cause) {
							t.Errorf("the cause is lost: %v", err)
						}
					}
					clear(faults) // not met: this step makes no such call
					if err := step(b, old); err != nil {
						t.Errorf("the repeat after %s of %s: %v", when, call, err)
					}
					if !maps.Equal(clean.ledger.values, b.ledger.values) {
						t.Errorf("after a fault %s %s the ledger is %v, want %v", when, call, b.ledger.values, clean.ledger.values)
					}
				}
			}
			if failures == 0 {
				t.Error("no fault was met")
			}
		})
	}
}

func TestHealthIsBadWithoutAKey(t *testing.T) {
	b := open(t)
	if _, err := b.Health(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.pass(365 * day) // nobody ran the rotation
	_, err := b.Health(t.Context())
	wantClass(t, err, connectors.Temporary)
	if !errors.Is(err, jose.ErrNoSigningKey) {
		t.Error(err)
	}
	if _, err := b.keys.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Health(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAKeyMadeForShorterTokensIsWaitedFor(t *testing.T) {
	b, _ := issued(t)
	b.config.MaxLifetime = 1000 * day
	r := request(2)
	r.ExpiresAt = start.Add(900 * day)
	_, err := b.Issue(t.Context(), r)
	wantClass(t, err, connectors.Temporary)
	if !errors.Is(err, jose.ErrLifetime) {
		t.Error(err)
	}
}

func TestTokensOfBothKeysVerifyWhileTheKeysRotate(t *testing.T) {
	b, first := issued(t)
	kids := []string{first.Handle.Extra["kid"]}
	for n := 2; n <= 4; n++ {
		for range 90*24 + 2 { // the job is hourly: a key may come that much late
			b.pass(time.Hour)
			if _, err := b.keys.Rotate(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		kids = append(kids, b.mustIssue(request(n)).Handle.Extra["kid"])
	}
	slices.Sort(kids)
	if distinct := slices.Compact(kids); len(distinct) != 4 {
		t.Errorf("%d keys signed four tokens, one each 90 days", len(distinct))
	}
	if _, err := b.verify(first.Secret); err != nil {
		t.Errorf("the first token, nine months later: %v", err)
	}
}

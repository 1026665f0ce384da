package habilitation_test

import (
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	hab "github.com/passerelle-hub/passerelle/internal/habilitation"
)

func TestCredentialsMoveAsTheContractDraws(t *testing.T) {
	for _, c := range []struct {
		sentence string
		events   []hab.CredentialEvent
		want     hab.CredentialState
	}{
		{"it is issued", []hab.CredentialEvent{"prepare", "issue", "issued"}, "active"},
		{"it fails and is retried", []hab.CredentialEvent{"prepare", "issue", "fail", "retry", "issued"}, "active"},
		{"it is cancelled before anything was sent", []hab.CredentialEvent{"prepare", "cancel"}, "cancelled"},
		{"it comes near its end and is prolonged", []hab.CredentialEvent{"prepare", "issue", "issued", "near_end", "prolong"}, "active"},
		{"it expires", []hab.CredentialEvent{"prepare", "issue", "issued", "near_end", "expire"}, "expired"},
		{"it is replaced once the grace is over", []hab.CredentialEvent{"prepare", "issue", "issued", "rotate", "grace_ended"}, "replaced"},
		{"it stays when its successor is dropped", []hab.CredentialEvent{"prepare", "issue", "issued", "rotate", "rotation_dropped"}, "active"},
		{"it is suspended and resumed", []hab.CredentialEvent{"prepare", "issue", "issued", "suspend", "resume"}, "active"},
		{"it is revoked, refused at the hub, then proven dead", []hab.CredentialEvent{"prepare", "issue", "issued", "revoke", "refused_at_hub", "verified"}, "revoked_verified"},
		{"a failed one may live at the manager: it is revoked", []hab.CredentialEvent{"prepare", "issue", "fail", "revoke"}, "revoking"},
		{"one being issued may live at the manager: it is revoked", []hab.CredentialEvent{"prepare", "issue", "revoke"}, "revoking"},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			state := hab.CredentialRequested
			for _, event := range c.events {
				next, err := hab.NextCredential(state, event)
				if err != nil {
					t.Fatal(err)
				}
				state = next
			}
			if state != c.want {
				t.Errorf("got %s", state)
			}
		})
	}
}

func TestACredentialRefusesWhatItsTableLacks(t *testing.T) {
	for _, c := range []struct {
		sentence string
		state    hab.CredentialState
		event    hab.CredentialEvent
	}{
		{"an expired one is not prolonged", hab.CredentialExpired, hab.CredentialProlong},
		{"a revoked one does not come back", hab.CredentialRevokedVerified, hab.CredentialIssued},
		{"a revoking one is not proven dead before the hub refuses it", hab.CredentialRevoking, hab.CredentialVerified},
		{"a live one is not cancelled", hab.CredentialActive, hab.CredentialCancel},
		{"a rotating one is not rotated again", hab.CredentialRotating, hab.CredentialRotate},
		{"a suspended one is not rotated", hab.CredentialSuspended, hab.CredentialRotate},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			next, err := hab.NextCredential(c.state, c.event)
			var refused *hab.CredentialTransitionError
			if !errors.As(err, &refused) || refused.State != c.state || refused.Event != c.event || next != c.state {
				t.Errorf("got %s, %v", next, err)
			}
		})
	}
}

// tokens.md, 8: no path from a final state; revoked_verified only after the hub
// refused it and its death was verified.
func TestNoPathLeadsOutOfAFinalState(t *testing.T) {
	final := []hab.CredentialState{hab.CredentialReplaced, hab.CredentialRevokedVerified, hab.CredentialExpired, hab.CredentialCancelled}
	for _, s := range hab.CredentialStates() {
		if s.Final() != slices.Contains(final, s) {
			t.Errorf("%s: final %v", s, s.Final())
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		state := hab.CredentialRequested
		path := []hab.CredentialState{state}
		for _, event := range rapid.SliceOfN(rapid.SampledFrom(hab.CredentialEvents()), 1, 40).Draw(t, "events") {
			next, err := hab.NextCredential(state, event)
			if err != nil {
				if next != state {
					t.Fatalf("a refused %s moved %s to %s", event, state, next)
				}
				continue
			}
			if state.Final() {
				t.Fatalf("%s left the final state %s for %s", event, state, next)
			}
			if dying(state) && !dying(next) {
				t.Fatalf("%s brought %s back to %s", event, state, next)
			}
			if next.Usable() && !slices.Contains(path, hab.CredentialIssuing) {
				t.Fatalf("usable without having been issued: %v", path)
			}
			state = next
			path = append(path, state)
		}
		if i := slices.Index(path, hab.CredentialRevokedVerified); i >= 0 {
			if path[i-1] != hab.CredentialRevokedAtHub || path[i-2] != hab.CredentialRevoking {
				t.Fatalf("proven dead without a revocation: %v", path)
			}
		}
	})
}

func dying(s hab.CredentialState) bool {
	return s == hab.CredentialRevoking || s == hab.CredentialRevokedAtHub || s == hab.CredentialRevokedVerified
}

// Whatever it is doing, a credential can be ended, unless it ended or is ending.
func TestEveryLivingCredentialCanBeEnded(t *testing.T) {
	for _, s := range hab.CredentialStates() {
		event, ok := hab.Ending(s)
		if ended := s.Final() || dying(s); ok == ended {
			t.Errorf("%s: %q, %v", s, event, ok)
		}
		if next, err := hab.NextCredential(s, event); ok && (err != nil || next.Usable()) {
			t.Errorf("%s: %s leads to %s, %v", s, event, next, err)
		}
	}
}

func TestReferencesOfManagers(t *testing.T) {
	if got := hab.SubjectRef(1234); got != "dp-1234" {
		t.Error(got)
	}
	if got := hab.CredentialRef(1234, 1); got != "dp-1234-c1" {
		t.Error(got)
	}
	if got := hab.CredentialRef(9223372036854775807, 2147483647); len(got) > 40 {
		t.Errorf("%s is longer than 40 characters", got)
	}
}

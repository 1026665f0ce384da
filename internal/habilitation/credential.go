package habilitation

import (
	"fmt"
	"slices"
)

// CredentialState is the state of a key at an API manager (tokens.md, 4).
type CredentialState string

const (
	CredentialRequested       CredentialState = "requested"
	CredentialPrepared        CredentialState = "prepared"
	CredentialIssuing         CredentialState = "issuing"
	CredentialActive          CredentialState = "active"
	CredentialExpiring        CredentialState = "expiring"
	CredentialRotating        CredentialState = "rotating"
	CredentialReplaced        CredentialState = "replaced"
	CredentialSuspended       CredentialState = "suspended"
	CredentialRevoking        CredentialState = "revoking"
	CredentialRevokedAtHub    CredentialState = "revoked_at_hub"
	CredentialRevokedVerified CredentialState = "revoked_verified"
	CredentialExpired         CredentialState = "expired"
	CredentialFailed          CredentialState = "failed"
	CredentialCancelled       CredentialState = "cancelled"
)

// CredentialStates are all the states there are.
func CredentialStates() []CredentialState {
	return []CredentialState{
		CredentialRequested, CredentialPrepared, CredentialIssuing, CredentialActive, CredentialExpiring,
		CredentialRotating, CredentialReplaced, CredentialSuspended, CredentialRevoking, CredentialRevokedAtHub,
		CredentialRevokedVerified, CredentialExpired, CredentialFailed, CredentialCancelled,
	}
}

// CredentialEvent is something that happens to a credential.
type CredentialEvent string

const (
	CredentialPrepare         CredentialEvent = "prepare"          // value made and sealed, nothing sent yet
	CredentialIssue           CredentialEvent = "issue"            // the manager is being asked
	CredentialIssued          CredentialEvent = "issued"           // it is live
	CredentialFail            CredentialEvent = "fail"             // the manager refused for good, or too often
	CredentialRetry           CredentialEvent = "retry"            // by a job or a person
	CredentialNearEnd         CredentialEvent = "near_end"         // 90 days before the end
	CredentialProlong         CredentialEvent = "prolong"          //
	CredentialExpire          CredentialEvent = "expire"           //
	CredentialRotate          CredentialEvent = "rotate"           // a new one is live beside it
	CredentialRotationDropped CredentialEvent = "rotation_dropped" // the new one ended before the grace did
	CredentialGraceEnded      CredentialEvent = "grace_ended"      //
	CredentialSuspend         CredentialEvent = "suspend"          //
	CredentialResume          CredentialEvent = "resume"           //
	CredentialCancel          CredentialEvent = "cancel"           // before anything reached the manager
	CredentialRevoke          CredentialEvent = "revoke"           //
	CredentialRefusedAtHub    CredentialEvent = "refused_at_hub"   // the hub refuses it and stops serving it
	CredentialVerified        CredentialEvent = "verified"         // the manager proved that it is dead
)

// CredentialEvents are all the events there are.
func CredentialEvents() []CredentialEvent {
	return []CredentialEvent{
		CredentialPrepare, CredentialIssue, CredentialIssued, CredentialFail, CredentialRetry, CredentialNearEnd,
		CredentialProlong, CredentialExpire, CredentialRotate, CredentialRotationDropped, CredentialGraceEnded,
		CredentialSuspend, CredentialResume, CredentialCancel, CredentialRevoke, CredentialRefusedAtHub, CredentialVerified,
	}
}

// CredentialTransition is one row of the table of a credential's life.
type CredentialTransition struct {
	Event CredentialEvent
	From  []CredentialState
	To    CredentialState
}

// CredentialTransitions is the table of a credential's life (tokens.md, 4). A
// credential that may already exist at its manager can only be revoked; one of
// which the manager knows nothing is cancelled. An answer may be lost after the
// work was done: issuing and failed count among the former.
func CredentialTransitions() []CredentialTransition {
	live := []CredentialState{CredentialActive, CredentialExpiring}
	return []CredentialTransition{
		{CredentialPrepare, []CredentialState{CredentialRequested}, CredentialPrepared},
		{CredentialIssue, []CredentialState{CredentialPrepared}, CredentialIssuing},
		{CredentialIssued, []CredentialState{CredentialIssuing}, CredentialActive},
		{CredentialFail, []CredentialState{CredentialIssuing}, CredentialFailed},
		{CredentialRetry, []CredentialState{CredentialFailed}, CredentialIssuing},
		{CredentialNearEnd, []CredentialState{CredentialActive}, CredentialExpiring},
		{CredentialProlong, live, CredentialActive},
		{CredentialExpire, []CredentialState{CredentialActive, CredentialExpiring, CredentialRotating, CredentialSuspended}, CredentialExpired},
		{CredentialRotate, live, CredentialRotating},
		{CredentialRotationDropped, []CredentialState{CredentialRotating}, CredentialActive},
		{CredentialGraceEnded, []CredentialState{CredentialRotating}, CredentialReplaced},
		{CredentialSuspend, live, CredentialSuspended},
		{CredentialResume, []CredentialState{CredentialSuspended}, CredentialActive},
		{CredentialCancel, []CredentialState{CredentialRequested, CredentialPrepared}, CredentialCancelled},
		{
			CredentialRevoke, []CredentialState{
				CredentialIssuing, CredentialFailed, CredentialActive, CredentialExpiring, CredentialRotating, CredentialSuspended,
			}, CredentialRevoking,
		},
		{CredentialRefusedAtHub, []CredentialState{CredentialRevoking}, CredentialRevokedAtHub},
		{CredentialVerified, []CredentialState{CredentialRevokedAtHub}, CredentialRevokedVerified},
	}
}

// Final reports whether nothing but a new credential, with a new id, can follow.
// revoked_at_hub is not yet: its proof is due.
func (s CredentialState) Final() bool {
	return !slices.ContainsFunc(CredentialTransitions(), func(t CredentialTransition) bool { return slices.Contains(t.From, s) })
}

// Usable reports whether the hub answers that the credential is good.
func (s CredentialState) Usable() bool {
	return s == CredentialActive || s == CredentialExpiring || s == CredentialRotating
}

// CredentialTransitionError: the table has no row for this event in this state.
type CredentialTransitionError struct {
	State CredentialState
	Event CredentialEvent
}

func (e *CredentialTransitionError) Error() string {
	return fmt.Sprintf("a credential that is %s cannot %s", e.State, e.Event)
}

// NextCredential gives the state after an event, or a *CredentialTransitionError.
func NextCredential(state CredentialState, event CredentialEvent) (CredentialState, error) {
	for _, row := range CredentialTransitions() {
		if row.Event == event && slices.Contains(row.From, state) {
			return row.To, nil
		}
	}
	return state, &CredentialTransitionError{State: state, Event: event}
}

// Ending gives the event that ends a credential in a state, whatever it is
// doing; false when it is already ended or ending.
func Ending(state CredentialState) (CredentialEvent, bool) {
	for _, event := range []CredentialEvent{CredentialCancel, CredentialRevoke} {
		if _, err := NextCredential(state, event); err == nil {
			return event, true
		}
	}
	return "", false
}

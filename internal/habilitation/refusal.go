package habilitation

import (
	"errors"
	"fmt"
)

// RefusalCode says why a command was refused. Codes are stable: clients read them.
type RefusalCode string

const (
	RefusedIllegalTransition     RefusalCode = "illegal_transition"
	RefusedDeadEndState          RefusalCode = "dead_end_state" // an edit through the API in a terminal state
	RefusedNotAllowed            RefusalCode = "not_allowed"    // another person, or another role, could
	RefusedUnauthorizedType      RefusalCode = "unauthorized_type"
	RefusedMirrored              RefusalCode = "mirrored"
	RefusedStaleVersion          RefusalCode = "stale_version"
	RefusedReasonMissing         RefusalCode = "reason_missing"
	RefusedInvalidData           RefusalCode = "invalid_data"
	RefusedFeatureDisabled       RefusalCode = "feature_disabled"
	RefusedNotStartable          RefusalCode = "not_startable"
	RefusedOrganizationClosed    RefusalCode = "organization_closed"
	RefusedNotReopening          RefusalCode = "not_reopening"
	RefusedNotReopenable         RefusalCode = "not_reopenable"
	RefusedUnchanged             RefusalCode = "unchanged_reopening"
	RefusedHabilitationActive    RefusalCode = "habilitation_active"
	RefusedHabilitationUnknown   RefusalCode = "habilitation_unknown"
	RefusedHabilitationNotActive RefusalCode = "habilitation_not_active"
	RefusedNoNextStage           RefusalCode = "no_next_stage"
	RefusedNoPreviousStage       RefusalCode = "no_previous_stage"
	RefusedNotTransferable       RefusalCode = "not_transferable"

	// DataPass's own names for a transfer's faults (datapass.md, 1.9).
	RefusedEmailNotFound          RefusalCode = "email_not_found"
	RefusedInvalidNewApplicant    RefusalCode = "invalid_new_applicant"
	RefusedDifferentUser          RefusalCode = "different_user"
	RefusedInvalidNewOrganization RefusalCode = "invalid_new_organization"
	RefusedDifferentOrganization  RefusalCode = "different_organization"
)

// Refusal is the only error of Decide. Nothing was changed.
type Refusal struct {
	Code    RefusalCode
	Message string // French, for people
	Pointer string // JSON pointer of the command's field at fault, e.g. "/reason"; "" for the whole
	Event   EventName
	State   State        // of the request when it was refused
	Faults  []FieldError // invalid_data only
}

// Error gives the event, the state and why.
func (r *Refusal) Error() string {
	return fmt.Sprintf("%s refused in state %q: %s: %s", r.Event, r.State, r.Code, r.Message)
}

// RefusedFor reports whether err is a Refusal with that code.
func RefusedFor(err error, code RefusalCode) bool {
	var r *Refusal
	return errors.As(err, &r) && r.Code == code
}

var stateNames = map[State]string{
	"": "pas encore créée", Draft: "brouillon", Submitted: "en cours d’instruction", ChangesRequested: "à modifier",
	Validated: "validée", Refused: "refusée", Archived: "supprimée", Revoked: "révoquée",
}

func illegalTransition(event EventName, state State) *Refusal {
	return &Refusal{Code: RefusedIllegalTransition, Event: event, State: state, Message: fmt.Sprintf(
		"L’événement « %s » n’est pas possible sur une demande dans l’état « %s » (%s).", event, state, stateNames[state])}
}

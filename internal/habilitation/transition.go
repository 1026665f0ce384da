package habilitation

// Transition is one row of the table of a request's life: in one of the states
// From, if every guard holds, the event leads to To and has these effects, in
// order. The first row that fits is taken.
type Transition struct {
	Event   EventName
	From    []State // Unmade for a new request
	To      State   // Unchanged: stays
	Guards  []Guard
	Effects []Effect
}

const (
	// Unmade is the state of a request that does not exist yet.
	Unmade State = ""
	// Unchanged, as a row's To, leaves the state as it is.
	Unchanged State = "unchanged"
)

// Transitions is the table of a request's life (datapass.md, 1.1 and 1.5 to
// 1.9). Ours: refuse and cancel_reopening leave last_validated_at alone;
// cancel_next_stage is possible from refused; a reopening that ends when every
// habilitation has been revoked meanwhile leads to revoked, not to validated.
func Transitions() []Transition {
	editing := []State{Draft, ChangesRequested}
	deciding := []State{Submitted, ChangesRequested}
	updating := []State{Draft, ChangesRequested, Submitted}
	living := []State{Draft, Submitted, ChangesRequested, Validated, Refused}
	return []Transition{
		{EventCreate, []State{Unmade}, Draft, nil, []Effect{EffectCreate}},
		{EventCreateByAPI, []State{Unmade}, Draft, nil, []Effect{EffectCreate}},
		{EventUpdate, editing, Unchanged, nil, []Effect{EffectAnswer}},
		{EventUpdateByAPI, updating, Unchanged, nil, []Effect{EffectAnswer}},
		{EventSubmit, editing, Submitted, []Guard{GuardNotReopening}, []Effect{EffectSubmit}},
		{EventSubmit, []State{Draft, ChangesRequested, Refused}, Submitted, []Guard{GuardReopening, GuardAnswersChanged}, []Effect{EffectSubmit}},
		{EventRequestChanges, []State{Submitted}, ChangesRequested, nil, nil},
		{EventApprove, deciding, Validated, nil, []Effect{EffectGrant, EffectDeprecate, EffectValidate, EffectEndReopening}},
		{EventRefuse, deciding, Refused, []Guard{GuardNotReopening}, nil},
		{EventRefuse, deciding, Validated, []Guard{GuardReopening, GuardSomeActive}, []Effect{EffectRestore, EffectEndReopening}},
		{EventRefuse, deciding, Revoked, []Guard{GuardReopening, GuardNoneActive}, []Effect{EffectRestore, EffectEndReopening}},
		{EventArchive, []State{Draft, Refused, Revoked}, Archived, []Guard{GuardNoneActive}, []Effect{EffectEndReopening}},
		{EventReopen, []State{Validated}, Draft, []Guard{GuardReopenable}, []Effect{EffectReopen}},
		{EventCancelReopening, updating, Validated, []Guard{GuardReopening, GuardSomeActive}, []Effect{EffectRestore, EffectEndReopening}},
		{EventCancelReopening, updating, Revoked, []Guard{GuardReopening, GuardNoneActive}, []Effect{EffectRestore, EffectEndReopening}},
		{EventStartNextStage, []State{Validated}, Draft, []Guard{GuardNextStage}, []Effect{EffectEnterStage}},
		{
			EventCancelNextStage,
			[]State{Draft, ChangesRequested, Submitted, Refused},
			Validated,
			[]Guard{GuardPreviousStage, GuardSomeActive},
			[]Effect{EffectLeaveStage, EffectEndReopening},
		},
		{
			EventCancelNextStage,
			[]State{Draft, ChangesRequested, Submitted, Refused},
			Revoked,
			[]Guard{GuardPreviousStage, GuardNoneActive},
			[]Effect{EffectLeaveStage, EffectEndReopening},
		},
		{EventRevoke, []State{Validated}, Revoked, []Guard{GuardWholeRequest}, []Effect{EffectRevoke}},
		{EventRevoke, []State{Validated}, Revoked, []Guard{GuardActiveHabilitation, GuardNoOtherActive}, []Effect{EffectRevoke}},
		{EventRevoke, living, Unchanged, []Guard{GuardActiveHabilitation}, []Effect{EffectRevoke}},
		{EventTransfer, []State{Draft, Submitted, ChangesRequested, Validated, Refused, Archived, Revoked}, Unchanged, []Guard{GuardNewHolder}, []Effect{EffectTransfer}},
	}
}

// GrantEvent is an event of an habilitation.
type GrantEvent string

const (
	GrantDeprecate      GrantEvent = "deprecate"
	GrantRevoke         GrantEvent = "revoke"
	GrantRollbackRevoke GrantEvent = "rollback_revoke"
)

// GrantTransition is one row of the table of an habilitation's life.
type GrantTransition struct {
	Event GrantEvent
	From  []GrantState
	To    GrantState
}

// GrantTransitions is the table of an habilitation's life (datapass.md, 1.3).
func GrantTransitions() []GrantTransition {
	return []GrantTransition{
		{GrantDeprecate, []GrantState{GrantActive, GrantObsolete}, GrantObsolete},
		{GrantRevoke, []GrantState{GrantActive}, GrantRevoked},
		{GrantRevoke, []GrantState{GrantObsolete}, GrantObsolete},
		{GrantRollbackRevoke, []GrantState{GrantRevoked}, GrantActive},
		{GrantRollbackRevoke, []GrantState{GrantObsolete}, GrantObsolete},
	}
}

package habilitation

import "slices"

// Action is something done to a request, as the permissions name it.
type Action string

const (
	ActionCreate                 Action = "create"
	ActionCreateByAPI            Action = "create_by_api"
	ActionUpdate                 Action = "update"
	ActionUpdateByAPI            Action = "update_by_api"
	ActionSubmit                 Action = "submit"
	ActionRequestChanges         Action = "request_changes"
	ActionApprove                Action = "approve"
	ActionRefuse                 Action = "refuse"
	ActionRevoke                 Action = "revoke"
	ActionArchive                Action = "archive"
	ActionReopen                 Action = "reopen"
	ActionCancelReopening        Action = "cancel_reopening"
	ActionStartNextStage         Action = "start_next_stage"
	ActionCancelNextStage        Action = "cancel_next_stage"
	ActionTransferToUser         Action = "transfer_to_user"
	ActionTransferToOrganization Action = "transfer_to_organization"
)

// Party is what an actor is to a request.
type Party string

const (
	PartyApplicant  Party = "applicant" // and his current organisation is the request's
	PartyMember     Party = "member"    // his current organisation is the request's
	PartyInstructor Party = "instructor"
	PartyDeveloper  Party = "developer"
	PartyAdmin      Party = "admin"
	PartySystem     Party = "system" // the hub's own periodic jobs
)

// Permission is one line of the table of who may: an action, by a party, in
// some states, under conditions. A person needs one line.
type Permission struct {
	Action Action
	Party  Party
	States []State // nil: any in which the transition is legal
	Only   []Guard
	Reason bool // a reason must be given
}

// Permissions is the table of who may (datapass.md, 1.2). cancel_next_stage
// from refused is ours: without it a refused first production request has no
// way out (1.7).
func Permissions() []Permission {
	editable := []State{Draft, ChangesRequested}
	return []Permission{
		{Action: ActionCreate, Party: PartyApplicant, Only: []Guard{GuardStartable, GuardOrganizationOpen}},
		{Action: ActionCreateByAPI, Party: PartyDeveloper},
		{Action: ActionUpdate, Party: PartyApplicant, States: editable},
		{Action: ActionUpdateByAPI, Party: PartyDeveloper},
		{Action: ActionSubmit, Party: PartyApplicant},
		{Action: ActionRequestChanges, Party: PartyInstructor, Reason: true},
		{Action: ActionApprove, Party: PartyInstructor},
		{Action: ActionRefuse, Party: PartyInstructor, Reason: true},
		{Action: ActionRevoke, Party: PartyInstructor, Reason: true},
		{Action: ActionArchive, Party: PartyApplicant},
		{Action: ActionArchive, Party: PartyInstructor},
		{Action: ActionArchive, Party: PartySystem},
		{Action: ActionReopen, Party: PartyApplicant, Only: []Guard{GuardReopeningFeature}},
		{Action: ActionCancelReopening, Party: PartyApplicant, States: editable, Only: []Guard{GuardReopeningFeature}},
		{Action: ActionCancelReopening, Party: PartyInstructor, Reason: true},
		{Action: ActionStartNextStage, Party: PartyApplicant},
		{Action: ActionCancelNextStage, Party: PartyApplicant, States: []State{Draft, ChangesRequested, Refused}},
		{Action: ActionCancelNextStage, Party: PartyInstructor},
		{Action: ActionTransferToUser, Party: PartyMember, Only: []Guard{GuardTransferFeature, GuardBegunOrProduction}},
		{Action: ActionTransferToUser, Party: PartyInstructor, Only: []Guard{GuardBegun}},
		{Action: ActionTransferToOrganization, Party: PartyAdmin},
	}
}

// parties says what the actor of a command is to the request.
func (s situation) parties() []Party {
	actor, r := s.cmd.by().Actor, s.request
	if create, ok := s.cmd.(Create); ok {
		r.Applicant, r.Organization = create.Applicant, create.Organization
	}
	if actor.System {
		return []Party{PartySystem}
	}
	var list []Party
	if actor.Organization != 0 && actor.Organization == r.Organization.ID {
		list = append(list, PartyMember)
		if actor.Person != 0 && actor.Person == r.Applicant.ID {
			list = append(list, PartyApplicant)
		}
	}
	if actor.Roles.Has(RoleInstructor, s.facts.Provider, s.facts.UID) {
		list = append(list, PartyInstructor)
	}
	if actor.Roles.Has(RoleDeveloper, s.facts.Provider, s.facts.UID) {
		list = append(list, PartyDeveloper)
	}
	if actor.Roles.Admin {
		list = append(list, PartyAdmin)
	}
	return list
}

// permitted gives the lines of the table that name the command's action and a
// party the actor is.
func (s situation) permitted() []Permission {
	parties := s.parties()
	var list []Permission
	for _, p := range Permissions() {
		if p.Action == s.cmd.action() && slices.Contains(parties, p.Party) {
			list = append(list, p)
		}
	}
	return list
}

// allow asks one of the actor's lines to hold. The refusal is that of the first
// line, which is his own as an applicant when he has one.
func (s situation) allow(lines []Permission) *Refusal {
	var first *Refusal
	for _, p := range lines {
		refusal := s.holds(p)
		if refusal == nil {
			return nil
		}
		if first == nil {
			first = refusal
		}
	}
	return first
}

func (s situation) holds(p Permission) *Refusal {
	if p.States != nil && !slices.Contains(p.States, s.request.State) {
		return s.refuse(RefusedNotAllowed, "", "Vous ne pouvez pas faire cette action dans l’état actuel de la demande.")
	}
	for _, guard := range p.Only {
		if refusal := s.check(guard); refusal != nil {
			return refusal
		}
	}
	if p.Reason && blankText(reasonOf(s.cmd)) {
		return s.refuse(RefusedReasonMissing, "/reason", "Un motif est obligatoire.")
	}
	return nil
}

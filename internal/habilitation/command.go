package habilitation

import (
	"time"

	"github.com/google/uuid"
)

// Command is something a person, or the hub, wants done to a native request.
type Command interface {
	// Event is the name of the event that the command gives.
	Event() EventName
	by() By
	action() Action
}

// By says who gives a command, when, and on which version.
type By struct {
	Actor   Actor
	At      time.Time
	Version int64 // of the request the actor saw (If-Match); 0: not checked
}

func (b By) by() By { return b }

// Actor is who gives a command.
type Actor struct {
	Person       int64 // id; 0 with System
	Organization int64 // id of his current organisation
	Roles        Roles
	System       bool // a periodic job of the hub
}

// Create makes a request in draft. Data is the form's prefill and the answers
// given, normalised; Faults is what Definition.CheckCreation found.
type Create struct {
	By
	ID              int64 // of the new request
	PublicID        uuid.UUID
	Form            string
	Prefill         Data // of the form: the first changelog is the difference with it
	Data            Data
	Organization    Organization
	Applicant       Applicant
	ServiceProvider *ServiceProvider
	ByAPI           bool // by a developer's application, in the applicant's name
	Faults          []FieldError
}

// Update replaces the answers. Data is all of them, normalised
// (Definition.Merge). No difference: no change, no event.
type Update struct {
	By
	Data   Data
	ByAPI  bool
	Faults []FieldError
}

// Submit sends the request to its instructors. Faults is what
// Definition.CheckSubmission found.
type Submit struct {
	By
	Since         Data // the answers at the last changelog; the form's prefill before the first (Diff.Apply)
	TermsAccepted bool
	DPOInformed   bool
	Faults        []FieldError
}

// RequestChanges sends the request back to its applicant.
type RequestChanges struct {
	By
	Reason string
}

// Approve grants an habilitation.
type Approve struct {
	By
	Message string // optional
}

// Refuse refuses the request, or its update when it is being reopened.
type Refuse struct {
	By
	Reason string
}

// Revoke revokes the whole request (Habilitation 0) or one habilitation.
type Revoke struct {
	By
	Habilitation int64
	Reason       string
}

// Archive removes a request from sight, for ever.
type Archive struct{ By }

// Reopen opens a validated request to an update. Habilitation 0 is the latest
// of the request's definition.
type Reopen struct {
	By
	Habilitation int64
}

// CancelReopening drops the update; an instructor owes a reason.
type CancelReopening struct {
	By
	Reason string
}

// StartNextStage goes from sandbox to production.
type StartNextStage struct{ By }

// CancelNextStage goes back from production to sandbox.
type CancelNextStage struct{ By }

// TransferToUser gives the request to another person of its organisation. To
// is nil when nobody has the address asked for; Member says whether To belongs
// to the request's organisation.
type TransferToUser struct {
	By
	To     *Applicant
	Member bool
}

// TransferToOrganization moves the request, for administrators. To is nil when
// there is no such organisation.
type TransferToOrganization struct {
	By
	To *Organization
}

func (c Create) Event() EventName {
	if c.ByAPI {
		return EventCreateByAPI
	}
	return EventCreate
}

func (c Update) Event() EventName {
	if c.ByAPI {
		return EventUpdateByAPI
	}
	return EventUpdate
}

func (Submit) Event() EventName                 { return EventSubmit }
func (RequestChanges) Event() EventName         { return EventRequestChanges }
func (Approve) Event() EventName                { return EventApprove }
func (Refuse) Event() EventName                 { return EventRefuse }
func (Revoke) Event() EventName                 { return EventRevoke }
func (Archive) Event() EventName                { return EventArchive }
func (Reopen) Event() EventName                 { return EventReopen }
func (CancelReopening) Event() EventName        { return EventCancelReopening }
func (StartNextStage) Event() EventName         { return EventStartNextStage }
func (CancelNextStage) Event() EventName        { return EventCancelNextStage }
func (TransferToUser) Event() EventName         { return EventTransfer }
func (TransferToOrganization) Event() EventName { return EventTransfer }

func (c Create) action() Action                 { return Action(c.Event()) }
func (c Update) action() Action                 { return Action(c.Event()) }
func (c Submit) action() Action                 { return ActionSubmit }
func (c RequestChanges) action() Action         { return ActionRequestChanges }
func (c Approve) action() Action                { return ActionApprove }
func (c Refuse) action() Action                 { return ActionRefuse }
func (c Revoke) action() Action                 { return ActionRevoke }
func (c Archive) action() Action                { return ActionArchive }
func (c Reopen) action() Action                 { return ActionReopen }
func (c CancelReopening) action() Action        { return ActionCancelReopening }
func (c StartNextStage) action() Action         { return ActionStartNextStage }
func (c CancelNextStage) action() Action        { return ActionCancelNextStage }
func (c TransferToUser) action() Action         { return ActionTransferToUser }
func (c TransferToOrganization) action() Action { return ActionTransferToOrganization }

// reasonOf gives a command's reason, "" when there is none.
func reasonOf(cmd Command) string {
	switch c := cmd.(type) {
	case RequestChanges:
		return c.Reason
	case Refuse:
		return c.Reason
	case Revoke:
		return c.Reason
	case CancelReopening:
		return c.Reason
	}
	return ""
}

// faultsOf gives what the data's own rules found.
func faultsOf(cmd Command) []FieldError {
	switch c := cmd.(type) {
	case Create:
		return c.Faults
	case Update:
		return c.Faults
	case Submit:
		return c.Faults
	}
	return nil
}

// DefinitionFacts is what the rules of a request's life need to know of its
// current definition and form.
type DefinitionFacts struct {
	UID          string
	Provider     string     // slug
	Startable    bool       // by applicants: definition and form
	Reopening    bool       // feature
	Transfer     bool       // feature
	Next         *StageLink // of a sandbox definition
	Previous     *StageLink // of a production definition; its form is the one to go back to
	NextOnlyKeys []string   // fields that the next stage's definition has and this one has not

	// EmbeddedModality is the modality that makes an approval grant a linked
	// FranceConnect habilitation too; "" where the form cannot.
	EmbeddedModality    string
	FranceConnectScopes []string
}

// FactsOf gathers the facts of a request's definition and form. next is the
// definition of the next stage, nil when there is none.
func FactsOf(d *Definition, form *Form, next *Definition) DefinitionFacts {
	f := DefinitionFacts{
		UID: d.UID, Provider: d.Provider,
		Startable: d.StartableByApplicant && form.StartableByApplicant,
		Reopening: d.Features.Reopening, Transfer: d.Features.Transfer,
	}
	if d.Stage != nil {
		f.Next = d.Stage.Next
		if d.Stage.Previous != nil {
			previous := *d.Stage.Previous
			if form.PreviousForm != "" {
				previous.Form = form.PreviousForm
			}
			f.Previous = &previous
		}
	}
	if next != nil {
		here := d.fieldIndex()
		for _, field := range next.Fields() {
			if _, ok := here[field.Key]; !ok {
				f.NextOnlyKeys = append(f.NextOnlyKeys, field.Key)
			}
		}
	}
	if d.Rules.EmbedsFranceConnect && form.FranceConnectCertified {
		f.EmbeddedModality = d.Rules.FranceConnectModality
		f.FranceConnectScopes = d.franceConnectScopes()
	}
	return f
}

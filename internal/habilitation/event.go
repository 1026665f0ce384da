package habilitation

import (
	"slices"
	"time"
)

// EventName is the name of an event of a request, with DataPass's names
// (datapass.md, 1.4).
type EventName string

const (
	EventCreate            EventName = "create"
	EventUpdate            EventName = "update"
	EventSubmit            EventName = "submit"
	EventApprove           EventName = "approve"
	EventAutoGenerate      EventName = "auto_generate"
	EventRefuse            EventName = "refuse"
	EventRequestChanges    EventName = "request_changes"
	EventRevoke            EventName = "revoke"
	EventArchive           EventName = "archive"
	EventReopen            EventName = "reopen"
	EventCancelReopening   EventName = "cancel_reopening"
	EventTransfer          EventName = "transfer"
	EventCopy              EventName = "copy"
	EventClaim             EventName = "claim"
	EventApplicantMessage  EventName = "applicant_message"
	EventInstructorMessage EventName = "instructor_message"
	EventAdminUpdate       EventName = "admin_update"
	EventAdminChange       EventName = "admin_change"
	EventBulkUpdate        EventName = "bulk_update"
	EventStartNextStage    EventName = "start_next_stage"
	EventCancelNextStage   EventName = "cancel_next_stage"
	EventSystemReminder    EventName = "system_reminder"
	EventSystemArchive     EventName = "system_archive"
	EventSystemImport      EventName = "system_import"
	EventCreateByAPI       EventName = "create_by_api"
	EventUpdateByAPI       EventName = "update_by_api"
)

// eventNone: a state read at the source, no event.
const eventNone EventName = ""

// EventNames are all the events there are.
func EventNames() []EventName {
	return []EventName{
		EventCreate, EventUpdate, EventSubmit, EventApprove, EventAutoGenerate, EventRefuse, EventRequestChanges,
		EventRevoke, EventArchive, EventReopen, EventCancelReopening, EventTransfer, EventCopy, EventClaim,
		EventApplicantMessage, EventInstructorMessage, EventAdminUpdate, EventAdminChange, EventBulkUpdate,
		EventStartNextStage, EventCancelNextStage, EventSystemReminder, EventSystemArchive, EventSystemImport,
		EventCreateByAPI, EventUpdateByAPI,
	}
}

// WebhookEvents are the events a subscription may name: DataPass's eleven and
// the two that its documentation promises (datapass.md, 2.2).
func WebhookEvents() []EventName {
	return []EventName{
		EventCreate, EventUpdate, EventTransfer, EventSubmit, EventApprove, EventRefuse, EventRequestChanges,
		EventRevoke, EventArchive, EventReopen, EventCancelReopening, EventCreateByAPI, EventUpdateByAPI,
	}
}

// Known reports whether the name is one of EventNames.
func (e EventName) Known() bool { return slices.Contains(EventNames(), e) }

func (e EventName) subscribable() bool { return slices.Contains(WebhookEvents(), e) }

// Entity is what an event points to, with DataPass's class names.
type Entity string

const (
	EntityRequest               Entity = "AuthorizationRequest"
	EntityHabilitation          Entity = "Authorization"
	EntityDenial                Entity = "DenialOfAuthorization"
	EntityModification          Entity = "InstructorModificationRequest"
	EntityRevocation            Entity = "RevocationOfAuthorization"
	EntityChangelog             Entity = "AuthorizationRequestChangelog"
	EntityTransfer              Entity = "AuthorizationRequestTransfer"
	EntityReopeningCancellation Entity = "AuthorizationRequestReopeningCancellation"
	EntityMessage               Entity = "Message"
	EntityAdminChange           Entity = "AdminChange"
	EntityBulkUpdate            Entity = "BulkAuthorizationRequestUpdate"
	EntityInstructorDraft       Entity = "InstructorDraftRequest"
)

var entities = map[EventName]Entity{
	EventApprove: EntityHabilitation, EventAutoGenerate: EntityHabilitation, EventReopen: EntityHabilitation,
	EventRefuse: EntityDenial, EventRequestChanges: EntityModification, EventRevoke: EntityRevocation,
	EventSubmit: EntityChangelog, EventAdminUpdate: EntityChangelog, EventCreateByAPI: EntityChangelog,
	EventUpdateByAPI: EntityChangelog, EventTransfer: EntityTransfer,
	EventCancelReopening:  EntityReopeningCancellation,
	EventApplicantMessage: EntityMessage, EventInstructorMessage: EntityMessage,
	EventAdminChange: EntityAdminChange, EventBulkUpdate: EntityBulkUpdate, EventClaim: EntityInstructorDraft,
}

// EntityOf says what an event points to (datapass.md, 1.4).
func EntityOf(e EventName) Entity {
	if entity, ok := entities[e]; ok {
		return entity
	}
	return EntityRequest
}

// Event is one line of a request's history.
type Event struct {
	Name         EventName
	Entity       Entity
	At           time.Time
	Actor        int64 // person; 0 for the hub itself or a mirrored event
	State        State // of the request once the event is over
	Habilitation int64 // the one granted, reopened or revoked; 0: none
	Reason       string
	Diff         Diff      // submit, update, *_by_api; nil otherwise
	Transfer     *Transfer // transfer only
	// Inferred: the source never told this event, its states did.
	Inferred bool
}

// Transfer says between whom a request was transferred.
type Transfer struct {
	Type     string // "User" or "Organization"
	From, To int64
}

// Diff is a changelog: the values of each changed key before and after, null
// where there was none. As JSON: {"key": [old, new]}.
type Diff map[string][2]*string

// DiffOf compares two sets of answers; nil when they are equal.
func DiffOf(before, after Data) Diff {
	diff := Diff{}
	for key, old := range before {
		if now, ok := after[key]; !ok {
			diff[key] = [2]*string{&old, nil}
		} else if now != old {
			diff[key] = [2]*string{&old, &now}
		}
	}
	for key, now := range after {
		if _, ok := before[key]; !ok {
			diff[key] = [2]*string{nil, &now}
		}
	}
	if len(diff) == 0 {
		return nil
	}
	return diff
}

// Apply gives the answers after the changelog: from the form's prefill, the
// changelogs of a request in order give what was known at the last of them.
func (d Diff) Apply(before Data) Data {
	after := before.clone()
	for key, values := range d {
		if values[1] == nil {
			delete(after, key)
		} else {
			after[key] = *values[1]
		}
	}
	return after
}

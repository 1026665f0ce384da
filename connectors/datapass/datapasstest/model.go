package datapasstest

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	_ "time/tzdata" // DataPass writes Paris times on machines that have no zones
)

// State is the state of a request (datapass.md, 1.1).
type State string

// The states of a request.
const (
	Draft            State = "draft"
	Submitted        State = "submitted"
	ChangesRequested State = "changes_requested"
	Validated        State = "validated"
	Refused          State = "refused"
	Archived         State = "archived"
	Revoked          State = "revoked"
)

// GrantState is the state of an habilitation (datapass.md, 1.3).
type GrantState string

// The states of an habilitation.
const (
	GrantActive   GrantState = "active"
	GrantObsolete GrantState = "obsolete"
	GrantRevoked  GrantState = "revoked"
)

// Applicant answers for a request; "" is a null, except for the e-mail.
type Applicant struct {
	ID           int64 // 0: that of the e-mail
	UID          string
	Email        string
	GivenName    string
	FamilyName   string
	PhoneNumber  string
	JobTitle     string
	Organization string // SIRET of his current organisation; "": the request's
}

// Organization holds a request.
type Organization struct {
	ID    int64  // 0: that of the SIRET
	SIRET string // "": foreign, sent as null
	Name  string // "": not known yet
	// INSEE is API Sirene's answer; nil until fetched, sent as {}.
	INSEE json.RawMessage
}

// ServiceProvider is the editor that a form names.
type ServiceProvider struct {
	ID    string
	SIRET string // "" is a null
	Type  string // "editor" or "saas"
}

// Filing is what an applicant starts: the content of a request before its first event.
type Filing struct {
	ID              int64  // 0: the next one
	PublicID        string // "": a new UUID
	Definition      string // "api_particulier"
	Form            string // "api-particulier-3d-ouest"
	Fields          Fields
	Organization    Organization
	Applicant       Applicant
	ServiceProvider *ServiceProvider
	// FranceConnectCertified says that the form belongs to an editor certified by
	// FranceConnect: approving it makes a second habilitation (datapass.md, 1.5).
	FranceConnectCertified bool
}

// Request is one demande, as DataPass holds it.
type Request struct {
	Filing
	State           State
	Reopening       bool // computed, as DataPass does (datapass.md, 1.1)
	CreatedAt       time.Time
	LastSubmittedAt time.Time // zero: null
	LastValidatedAt time.Time
	ReopenedAt      time.Time
	// ExternalProviderID is the last token_id that a receiver answered.
	ExternalProviderID string
	Habilitations      []Habilitation // by creation
	Events             []Event        // by creation
}

// Habilitation is what an approval granted.
type Habilitation struct {
	ID         int64
	RequestID  int64
	Definition string
	Form       string
	State      GrantState
	ParentID   int64 // of a linked FranceConnect habilitation; 0: none
	Fields     Fields
	Applicant  Applicant
	Message    string
	CreatedAt  time.Time
}

// Event is one line of a request's history.
type Event struct {
	ID     int64
	Name   EventName
	Reason string // refuse, request_changes, revoke, cancel_reopening
	At     time.Time
}

// EventName is one of DataPass's 26 (datapass.md, 1.4).
type EventName string

// The events that this simulator plays.
const (
	EventCreate          EventName = "create"
	EventUpdate          EventName = "update"
	EventSubmit          EventName = "submit"
	EventApprove         EventName = "approve"
	EventAutoGenerate    EventName = "auto_generate"
	EventRefuse          EventName = "refuse"
	EventRequestChanges  EventName = "request_changes"
	EventRevoke          EventName = "revoke"
	EventArchive         EventName = "archive"
	EventReopen          EventName = "reopen"
	EventCancelReopening EventName = "cancel_reopening"
	EventTransfer        EventName = "transfer"
	EventStartNextStage  EventName = "start_next_stage"
	EventCancelNextStage EventName = "cancel_next_stage"
	EventCreateByAPI     EventName = "create_by_api"
	EventUpdateByAPI     EventName = "update_by_api"
	EventBulkUpdate      EventName = "bulk_update"
)

// otherEvents are those that only a history shows.
var otherEvents = []EventName{
	EventUpdateByAPI, EventBulkUpdate, "copy", "claim", "applicant_message", "instructor_message",
	"admin_update", "admin_change", "system_reminder", "system_archive", "system_import",
}

// Subscribable are the events that a subscription may name (datapass.md, 2.2).
var Subscribable = []EventName{
	EventCreate, EventUpdate, EventTransfer, EventSubmit, EventApprove, EventRefuse,
	EventRequestChanges, EventRevoke, EventArchive, EventReopen, EventCancelReopening,
}

func (r *Request) clone() Request {
	out := *r
	out.Fields = maps.Clone(r.Fields)
	out.Habilitations = slices.Clone(r.Habilitations)
	for i := range out.Habilitations {
		out.Habilitations[i].Fields = maps.Clone(out.Habilitations[i].Fields)
	}
	out.Events = slices.Clone(r.Events)
	if r.ServiceProvider != nil {
		provider := *r.ServiceProvider
		out.ServiceProvider = &provider
	}
	return out
}

// latest gives the newest habilitation that want picks, or nil.
func (r *Request) latest(want func(*Habilitation) bool) *Habilitation {
	for i := len(r.Habilitations) - 1; i >= 0; i-- {
		if want(&r.Habilitations[i]) {
			return &r.Habilitations[i]
		}
	}
	return nil
}

func (r *Request) hasActive() bool {
	return r.latest(func(h *Habilitation) bool { return h.State == GrantActive }) != nil
}

func ofDefinition(uid string) func(*Habilitation) bool {
	return func(h *Habilitation) bool { return h.Definition == uid && h.ParentID == 0 }
}

var paris = mustLocation("Europe/Paris")

func mustLocation(name string) *time.Location {
	location, err := time.LoadLocation(name)
	if err != nil {
		panic(err) // the zones are embedded above
	}
	return location
}

// wireTime is null for a zero time.
func wireTime(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.In(paris).Format("2006-01-02T15:04:05.000-07:00")
}

func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

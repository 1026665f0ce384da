package habilitation

import (
	"time"

	"github.com/google/uuid"
)

// State is the state of a request (demande), with DataPass's names.
type State string

const (
	Draft            State = "draft"
	Submitted        State = "submitted"
	ChangesRequested State = "changes_requested"
	Validated        State = "validated"
	Refused          State = "refused"
	Archived         State = "archived"
	Revoked          State = "revoked"
)

// GrantState is the state of an habilitation.
type GrantState string

const (
	GrantActive   GrantState = "active"
	GrantObsolete GrantState = "obsolete"
	GrantRevoked  GrantState = "revoked"
)

// Origin says who drives a request.
type Origin string

const (
	// Native: driven by this hub's API.
	Native Origin = "native"
	// Mirrored: driven by its DataPass source only; a decision on it here is refused.
	Mirrored Origin = "mirrored"
)

// Request is one demande: a row that lives for ever and is validated, reopened
// and validated again.
type Request struct {
	ID              int64 // ours
	Origin          Origin
	Source          string // mirrored: the source's name in the settings
	ExternalID      int64  // mirrored: the source's own id
	PublicID        uuid.UUID
	Definition      string // uid, e.g. "api_particulier"
	Form            string // uid, e.g. "api-particulier-3d-ouest"
	State           State
	Reopening       bool
	Data            Data
	Organization    Organization
	Applicant       Applicant
	ServiceProvider *ServiceProvider // the editor named by the form; nil when it names none
	Habilitations   []Habilitation   // by creation
	CreatedAt       time.Time
	TermsAccepted   bool      // the definition's terms of service
	DPOInformed     bool      // the data protection officer knows of the request
	LastSubmittedAt time.Time // zero: never
	LastValidatedAt time.Time
	ReopenedAt      time.Time
	AppliedAt       time.Time // mirrored: fired_at of the last event applied
	Version         int64     // grows with every change; the ETag
}

// Habilitation is what an approval granted: a snapshot, never edited.
type Habilitation struct {
	ID           int64
	ExternalID   int64 // mirrored: the source's own id
	Definition   string
	Form         string
	State        GrantState
	ParentID     int64 // the habilitation that a linked FranceConnect one belongs to; 0: none
	Data         Data
	Organization Organization
	Applicant    Applicant
	Message      string // of the approval
	CreatedAt    time.Time
}

// Organization holds a request's right.
type Organization struct {
	ID           int64
	SIRET        string // 14 digits; "" for a foreign organisation
	Name         string
	INSEEPayload []byte // API Sirene's answer as JSON, nil until fetched
}

// Applicant is the person who answers for a request.
type Applicant struct {
	ID                                                       int64
	UID, Email, GivenName, FamilyName, PhoneNumber, JobTitle string
}

// ServiceProvider is the editor that a form belongs to.
type ServiceProvider struct {
	ID    string
	SIRET string
	Type  string // "editor" or "saas"
}

// Data is the flat map of answers as DataPass stores it (datapass.md, 0 and
// 2.5): every value is text; a list is the text `["a", "b"]`; a checkbox "1" or "0".
type Data map[string]string

package connectors

import (
	"context"
	"encoding/json"
	"time"
)

// RequestSource is a DataPass whose requests are mirrored, read through its API:
// its webhooks may be lost (datapass.md, 2.10 and 3).
//
// Lists are newest created first and read by offset, up to an empty page: what is
// created meanwhile pushes items down, so that one may come twice and none is
// missed.
type RequestSource interface {
	// Requests gives one page of all the requests it shows.
	Requests(ctx context.Context, offset int) (SourcePage[SourceRequest], error)
	// Habilitations gives one page of the habilitations in a state, "" for all.
	Habilitations(ctx context.Context, state string, offset int) (SourcePage[SourceHabilitation], error)
	// Request reads one; NotFound when the source does not show it.
	Request(ctx context.Context, id int64) (SourceRequest, time.Time, error)
	HealthChecker
}

// SourcePage is a part of a list. AsOf is a time, by the source's own clock, at
// which everything in it was true.
type SourcePage[T any] struct {
	Items []T
	AsOf  time.Time
}

// SourceRequest is a demande as API v1 shows it (datapass.md, 3.3). It holds
// personal data: never log it.
type SourceRequest struct {
	ID              int64
	PublicID        string // UUID
	Definition      string // uid
	Form            string
	State           string
	Data            json.RawMessage // raw form data (2.5)
	CreatedAt       time.Time
	LastSubmittedAt time.Time // zero: never
	LastValidatedAt time.Time
	ReopenedAt      time.Time
	Organization    SourceOrganization
	Applicant       SourceApplicant
	Habilitations   []SourceHabilitation
	Events          []SourceEvent
}

// SourceOrganization is the holder; the API does not name it.
type SourceOrganization struct {
	ID           int64
	SIRET        string          // "" for a foreign one
	INSEEPayload json.RawMessage // {} until fetched
}

// SourceApplicant is the person who answers for a request.
type SourceApplicant struct {
	ID                                        int64
	Email, GivenName, FamilyName, PhoneNumber string
}

// SourceHabilitation is one habilitation. RequestID is set in lists of
// habilitations only.
type SourceHabilitation struct {
	ID         int64
	RequestID  int64
	Definition string
	State      string
	CreatedAt  time.Time
	Data       json.RawMessage
}

// SourceEvent is one line of a request's history.
type SourceEvent struct {
	ID   int64
	Name string
	At   time.Time
}

package v1

import (
	"encoding/json"
	"time"
	_ "time/tzdata" // Europe/Paris, also where the system has no zones

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// The objects of datapass.md, 3.3, key by key.

type requestObject struct {
	ID              int64                `json:"id"`
	PublicID        uuid.UUID            `json:"public_id"`
	DefinitionID    string               `json:"definition_id"`
	Type            string               `json:"type"`
	State           habilitation.State   `json:"state"`
	FormUID         string               `json:"form_uid"`
	Data            map[string]string    `json:"data"`
	CreatedAt       wireTime             `json:"created_at"`
	LastSubmittedAt *wireTime            `json:"last_submitted_at"`
	LastValidatedAt *wireTime            `json:"last_validated_at"`
	Reopening       bool                 `json:"reopening"`
	ReopenedAt      *wireTime            `json:"reopened_at"`
	Habilitations   []habilitationObject `json:"habilitations"`
	Organisation    organisationObject   `json:"organisation"`
	Applicant       applicantObject      `json:"applicant"`
	Events          []eventObject        `json:"events"`
	// ExternalProviderID is the token id of the request: what a webhook's receiver
	// answered to its approval (datapass.md, 2.7), else our own key's. An addition.
	ExternalProviderID *string `json:"external_provider_id"`
}

type habilitationObject struct {
	ID           int64                   `json:"id"`
	Slug         *string                 `json:"slug"` // null for all that are new (datapass.md, 1.3)
	Revoked      bool                    `json:"revoked"`
	State        habilitation.GrantState `json:"state"`
	CreatedAt    wireTime                `json:"created_at"`
	Data         map[string]string       `json:"data"`
	Class        string                  `json:"authorization_request_class"`
	DefinitionID string                  `json:"definition_id"`
}

// heldObject is an habilitation of the two /habilitations routes.
type heldObject struct {
	habilitationObject
	RequestID    int64              `json:"request_id"`
	Organisation organisationObject `json:"organisation"` // the holder when it was granted
}

type organisationObject struct {
	ID           int64           `json:"id"`
	SIRET        *string         `json:"siret"`
	INSEEPayload json.RawMessage `json:"insee_payload"`
}

type applicantObject struct {
	ID          int64   `json:"id"`
	Email       string  `json:"email"`
	GivenName   *string `json:"given_name"`
	FamilyName  *string `json:"family_name"`
	PhoneNumber *string `json:"phone_number"`
}

type eventObject struct {
	ID        int64                  `json:"id"`
	Name      habilitation.EventName `json:"name"`
	CreatedAt wireTime               `json:"created_at"`
}

type meObject struct {
	ID         int64   `json:"id"`
	Email      string  `json:"email"`
	FamilyName *string `json:"family_name"`
	GivenName  *string `json:"given_name"`
	JobTitle   *string `json:"job_title"`
}

type definitionObject struct {
	ID         string        `json:"id"`
	Name       string        `json:"name"`
	MultiStage bool          `json:"multi_stage?"`
	Class      string        `json:"authorization_request_class"`
	Scopes     []scopeObject `json:"scopes"`
}

type scopeObject struct {
	Name           string  `json:"name"`
	Value          string  `json:"value"`
	Group          *string `json:"group"`
	Link           *string `json:"link"`
	Included       bool    `json:"included"`
	Disabled       bool    `json:"disabled"`
	Deprecated     bool    `json:"deprecated"`
	DeprecatedDate *string `json:"deprecated_date"`
}

type formObject struct {
	UID          string         `json:"uid"`
	Name         string         `json:"name"`
	Description  string         `json:"description"`
	UseCase      *string        `json:"use_case"`
	DefinitionID string         `json:"definition_id"`
	Class        string         `json:"authorization_request_class"`
	Data         map[string]any `json:"data"`
}

type attemptObject struct {
	ID                     int64    `json:"id"`
	Event                  string   `json:"event"`
	StatusCode             *int32   `json:"status_code"`
	ResponseBody           string   `json:"response_body"`
	CreatedAt              wireTime `json:"created_at"`
	AuthorizationRequestID int64    `json:"authorization_request_id"`
}

// wireTime is written with milliseconds and the offset of Europe/Paris
// (datapass.md, 0).
type wireTime time.Time

const wireTimeLayout = "2006-01-02T15:04:05.000-07:00"

// MarshalJSON writes the time.
func (t wireTime) MarshalJSON() ([]byte, error) {
	return []byte(`"` + time.Time(t).In(paris).Format(wireTimeLayout) + `"`), nil
}

var paris = func() *time.Location {
	location, err := time.LoadLocation("Europe/Paris")
	if err != nil { // its data is linked in
		panic(err)
	}
	return location
}()

func optionalTime(t time.Time) *wireTime {
	if t.IsZero() {
		return nil
	}
	shown := wireTime(t)
	return &shown
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// requestShown is the request with its events and its token id; raw data
// everywhere (datapass.md, 2.5).
func (h *Handler) requestShown(r habilitation.Request, events []store.RequestEvent, tokenID string) requestObject {
	o := requestObject{
		ID: r.ID, PublicID: r.PublicID, DefinitionID: r.Definition, Type: habilitation.ClassName(r.Definition), State: r.State, FormUID: r.Form,
		Data: h.raw(r.Definition, r.Data), CreatedAt: wireTime(r.CreatedAt), LastSubmittedAt: optionalTime(r.LastSubmittedAt),
		LastValidatedAt: optionalTime(r.LastValidatedAt), Reopening: r.Reopening, ReopenedAt: optionalTime(r.ReopenedAt),
		Habilitations: make([]habilitationObject, len(r.Habilitations)), Organisation: organisationShown(r.Organization),
		Applicant: applicantObject{
			ID: r.Applicant.ID, Email: r.Applicant.Email, GivenName: optional(r.Applicant.GivenName),
			FamilyName: optional(r.Applicant.FamilyName), PhoneNumber: optional(r.Applicant.PhoneNumber),
		},
		Events: []eventObject{}, ExternalProviderID: optional(tokenID),
	}
	if r.Origin == habilitation.Mirrored {
		o.ID = r.ExternalID
	}
	for i, granted := range r.Habilitations {
		o.Habilitations[i] = h.habilitationShown(granted)
	}
	for _, e := range events {
		if e.Name != habilitation.EventBulkUpdate {
			o.Events = append(o.Events, eventShown(e))
		}
	}
	return o
}

// habilitationShown: revoked says what its state says, which DataPass no longer
// writes (datapass.md, 1.3).
func (h *Handler) habilitationShown(granted habilitation.Habilitation) habilitationObject {
	o := habilitationObject{
		ID: granted.ID, Revoked: granted.State == habilitation.GrantRevoked, State: granted.State, CreatedAt: wireTime(granted.CreatedAt),
		Data: h.raw(granted.Definition, granted.Data), Class: habilitation.ClassName(granted.Definition), DefinitionID: granted.Definition,
	}
	if granted.ExternalID != 0 {
		o.ID = granted.ExternalID
	}
	return o
}

func (h *Handler) heldShown(held store.HeldHabilitation) heldObject {
	return heldObject{h.habilitationShown(held.Habilitation), held.ShownRequestID, organisationShown(held.Organization)}
}

func organisationShown(o habilitation.Organization) organisationObject {
	shown := organisationObject{ID: o.ID, SIRET: optional(o.SIRET), INSEEPayload: o.INSEEPayload}
	if len(o.INSEEPayload) == 0 {
		shown.INSEEPayload = json.RawMessage("{}")
	}
	return shown
}

func eventShown(e store.RequestEvent) eventObject {
	return eventObject{ID: e.ID, Name: e.Name, CreatedAt: wireTime(e.At)}
}

// raw is the data of a definition. What one that left the catalogue would hide
// is not shown.
func (h *Handler) raw(definition string, data habilitation.Data) map[string]string {
	if d, ok := h.Catalogue.Definition(definition); ok {
		return d.Raw(data)
	}
	return map[string]string{}
}

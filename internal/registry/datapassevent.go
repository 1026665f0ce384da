package registry

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/internal/habilitation"
)

// DataPassEvent is a webhook's body with DataPass's keys, types and null values
// (datapass.md, 2.4).
type DataPassEvent struct {
	Event     string              `json:"event"`
	FiredAt   int64               `json:"fired_at"`
	ModelType string              `json:"model_type"`
	ModelID   int64               `json:"model_id"`
	Data      DataPassRequestBody `json:"data"`
	// AuthorizationID says which habilitation the event is about; ours (2.10).
	AuthorizationID int64 `json:"authorization_id,omitempty"`
}

// DataPassRequestBody is the request as the body shows it.
type DataPassRequestBody struct {
	ID              int64                   `json:"id"`
	PublicID        uuid.UUID               `json:"public_id"`
	Type            string                  `json:"type"`
	State           string                  `json:"state"`
	FormUID         string                  `json:"form_uid"`
	Data            Answers[any]            `json:"data"`
	CreatedAt       DataPassTime            `json:"created_at"`
	LastSubmittedAt *DataPassTime           `json:"last_submitted_at"`
	LastValidatedAt *DataPassTime           `json:"last_validated_at"`
	Organization    DataPassOrganization    `json:"organization"`
	Applicant       DataPassApplicant       `json:"applicant"`
	ServiceProvider *DataPassProvider       `json:"service_provider"`
	Authorizations  []DataPassAuthorization `json:"authorizations"`
}

// DataPassOrganization is the holder.
type DataPassOrganization struct {
	ID           int64           `json:"id"`
	Name         string          `json:"name"`
	INSEEPayload json.RawMessage `json:"insee_payload"`
	SIRET        *string         `json:"siret"`
}

// DataPassApplicant is the person who answers for the request.
type DataPassApplicant struct {
	ID          int64   `json:"id"`
	UID         *string `json:"uid"`
	Email       string  `json:"email"`
	GivenName   *string `json:"given_name"`
	FamilyName  *string `json:"family_name"`
	PhoneNumber *string `json:"phone_number"`
	JobTitle    *string `json:"job_title"`
}

// DataPassProvider is the editor that the form names.
type DataPassProvider struct {
	ID    string  `json:"id"`
	SIRET *string `json:"siret"`
	Type  string  `json:"type"`
}

// DataPassAuthorization is one habilitation.
type DataPassAuthorization struct {
	ID           int64           `json:"id"`
	Slug         *string         `json:"slug"`
	Revoked      bool            `json:"revoked"`
	State        string          `json:"state"`
	CreatedAt    DataPassTime    `json:"created_at"`
	Data         Answers[string] `json:"data"`
	Class        string          `json:"authorization_request_class"`
	DefinitionID string          `json:"definition_id"`
}

// Answers are form data, written in the order of DataPass's store: shorter keys
// first, then by bytes (datapass.md, 2.3).
type Answers[V any] map[string]V

// MarshalJSON writes the answers in their order.
func (a Answers[V]) MarshalJSON() ([]byte, error) {
	keys := slices.SortedFunc(maps.Keys(a), func(x, y string) int { return cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y)) })
	out := []byte{'{'}
	for i, key := range keys {
		name, err := json.Marshal(key)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(a[key])
		if err != nil {
			return nil, err
		}
		if i > 0 {
			out = append(out, ',')
		}
		out = append(append(append(out, name...), ':'), value...)
	}
	return append(out, '}'), nil
}

// DataPassTime is written as DataPass writes times: milliseconds, the offset of
// Europe/Paris (datapass.md, 0).
type DataPassTime time.Time

const dataPassTimeLayout = "2006-01-02T15:04:05.000-07:00"

// MarshalJSON writes the time.
func (t DataPassTime) MarshalJSON() ([]byte, error) {
	return []byte(`"` + time.Time(t).In(paris).Format(dataPassTimeLayout) + `"`), nil
}

func optionalTime(t time.Time) *DataPassTime {
	if t.IsZero() {
		return nil
	}
	shown := DataPassTime(t)
	return &shown
}

func optionalText(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// notifyWebhooks publishes an event of a request in DataPass's format, for the
// subscribers of a definition. The body is that of the request after the event,
// its data restored (datapass.md, 2.10).
func (u *unit) notifyWebhooks(ctx context.Context, r habilitation.Request, n habilitation.NotifyWebhooks) error {
	body, err := json.Marshal(u.dataPassEvent(r, n))
	if err != nil {
		return err
	}
	data := map[string]any{
		"request_id": r.ID, "definition_id": n.Definition, "state": r.State, "form_id": r.Form, "siret": r.Organization.SIRET,
	}
	if r.Origin == habilitation.Mirrored {
		data["datapass_id"] = r.ExternalID
	}
	if n.Habilitation != 0 {
		data["habilitation_id"] = n.Habilitation
	}
	editor, siret := editorOf(r)
	return u.tell(ctx, Happening{
		Type: string(n.Event), Definition: n.Definition, Editor: editor, EditorSIRET: siret, Request: r.ID, Habilitation: n.Habilitation, Data: data, Shown: body,
	})
}

func (u *unit) dataPassEvent(r habilitation.Request, n habilitation.NotifyWebhooks) DataPassEvent {
	e := DataPassEvent{
		Event: string(n.Event), FiredAt: u.at.Unix(), ModelType: modelPrefix + n.Definition, ModelID: shownRequestID(r),
		Data: u.dataPassRequest(r),
	}
	for _, h := range r.Habilitations {
		if h.ID != n.Habilitation {
			continue
		}
		e.AuthorizationID = shownHabilitationID(h)
		if h.ParentID != 0 { // the linked FranceConnect one (datapass.md, 2.8)
			e.Data.Type, e.Data.Data, e.Data.CreatedAt = habilitation.ClassName(h.Definition), u.typed(h.Definition, h.Data), DataPassTime(h.CreatedAt)
		}
	}
	return e
}

func (u *unit) dataPassRequest(r habilitation.Request) DataPassRequestBody {
	b := DataPassRequestBody{
		ID: shownRequestID(r), PublicID: r.PublicID, Type: habilitation.ClassName(r.Definition), State: string(r.State), FormUID: r.Form,
		Data: u.typed(r.Definition, r.Data), CreatedAt: DataPassTime(r.CreatedAt),
		LastSubmittedAt: optionalTime(r.LastSubmittedAt), LastValidatedAt: optionalTime(r.LastValidatedAt),
		Organization: DataPassOrganization{
			ID: r.Organization.ID, Name: r.Organization.Name, SIRET: optionalText(r.Organization.SIRET), INSEEPayload: r.Organization.INSEEPayload,
		},
		Applicant: DataPassApplicant{
			ID: r.Applicant.ID, UID: optionalText(r.Applicant.UID), Email: r.Applicant.Email, GivenName: optionalText(r.Applicant.GivenName),
			FamilyName: optionalText(r.Applicant.FamilyName), PhoneNumber: optionalText(r.Applicant.PhoneNumber), JobTitle: optionalText(r.Applicant.JobTitle),
		},
		Authorizations: make([]DataPassAuthorization, len(r.Habilitations)),
	}
	if b.Organization.INSEEPayload == nil {
		b.Organization.INSEEPayload = json.RawMessage("{}")
	}
	if p := r.ServiceProvider; p != nil {
		b.ServiceProvider = &DataPassProvider{ID: p.ID, SIRET: optionalText(p.SIRET), Type: p.Type}
	}
	for i, h := range r.Habilitations {
		b.Authorizations[i] = DataPassAuthorization{
			ID: shownHabilitationID(h), Revoked: h.State == habilitation.GrantRevoked, State: string(h.State), CreatedAt: DataPassTime(h.CreatedAt),
			Class: habilitation.ClassName(h.Definition), DefinitionID: h.Definition, Data: u.raw(h.Definition, h.Data),
		}
	}
	return b
}

// typed and raw are the two shapes of form data (datapass.md, 2.5). What a
// definition no longer in the catalogue would hide is not shown either way.
func (r *Registry) typed(definition string, data habilitation.Data) map[string]any {
	if d, ok := r.catalogue.Definition(definition); ok {
		return d.Typed(data)
	}
	return map[string]any{}
}

func (r *Registry) raw(definition string, data habilitation.Data) map[string]string {
	if d, ok := r.catalogue.Definition(definition); ok {
		return d.Raw(data)
	}
	return map[string]string{}
}

// shownRequestID is the source's id of a mirrored request, ours of a native one.
func shownRequestID(r habilitation.Request) int64 {
	if r.Origin == habilitation.Mirrored {
		return r.ExternalID
	}
	return r.ID
}

func shownHabilitationID(h habilitation.Habilitation) int64 {
	if h.ExternalID != 0 {
		return h.ExternalID
	}
	return h.ID
}

package datapass

import (
	"encoding/json"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
)

// The objects of datapass.md, 3.3, as far as they are read.

type requestJSON struct {
	ID              int64              `json:"id"`
	PublicID        string             `json:"public_id"`
	DefinitionID    string             `json:"definition_id"`
	State           string             `json:"state"`
	FormUID         string             `json:"form_uid"`
	Data            json.RawMessage    `json:"data"`
	CreatedAt       time.Time          `json:"created_at"`
	LastSubmittedAt *time.Time         `json:"last_submitted_at"`
	LastValidatedAt *time.Time         `json:"last_validated_at"`
	ReopenedAt      *time.Time         `json:"reopened_at"`
	Habilitations   []habilitationJSON `json:"habilitations"`
	Organisation    struct {
		ID           int64           `json:"id"`
		SIRET        *string         `json:"siret"`
		INSEEPayload json.RawMessage `json:"insee_payload"`
	} `json:"organisation"`
	Applicant struct {
		ID          int64   `json:"id"`
		Email       string  `json:"email"`
		GivenName   *string `json:"given_name"`
		FamilyName  *string `json:"family_name"`
		PhoneNumber *string `json:"phone_number"`
	} `json:"applicant"`
	Events []struct {
		ID        int64     `json:"id"`
		Name      string    `json:"name"`
		CreatedAt time.Time `json:"created_at"`
	} `json:"events"`
}

type habilitationJSON struct {
	ID           int64           `json:"id"`
	RequestID    int64           `json:"request_id"`
	State        string          `json:"state"`
	CreatedAt    time.Time       `json:"created_at"`
	Data         json.RawMessage `json:"data"`
	DefinitionID string          `json:"definition_id"`
}

func (r requestJSON) request() connectors.SourceRequest {
	out := connectors.SourceRequest{
		ID: r.ID, PublicID: r.PublicID, Definition: r.DefinitionID, Form: r.FormUID, State: r.State, Data: r.Data, CreatedAt: r.CreatedAt,
		LastSubmittedAt: valueOf(r.LastSubmittedAt), LastValidatedAt: valueOf(r.LastValidatedAt), ReopenedAt: valueOf(r.ReopenedAt),
		Organization: connectors.SourceOrganization{ID: r.Organisation.ID, SIRET: valueOf(r.Organisation.SIRET), INSEEPayload: r.Organisation.INSEEPayload},
		Applicant: connectors.SourceApplicant{
			ID: r.Applicant.ID, Email: r.Applicant.Email, GivenName: valueOf(r.Applicant.GivenName),
			FamilyName: valueOf(r.Applicant.FamilyName), PhoneNumber: valueOf(r.Applicant.PhoneNumber),
		},
	}
	for _, h := range r.Habilitations {
		out.Habilitations = append(out.Habilitations, h.habilitation())
	}
	for _, e := range r.Events {
		out.Events = append(out.Events, connectors.SourceEvent{ID: e.ID, Name: e.Name, At: e.CreatedAt})
	}
	return out
}

func (h habilitationJSON) habilitation() connectors.SourceHabilitation {
	return connectors.SourceHabilitation{
		ID: h.ID, RequestID: h.RequestID, Definition: h.DefinitionID, State: h.State, CreatedAt: h.CreatedAt, Data: h.Data,
	}
}

func valueOf[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

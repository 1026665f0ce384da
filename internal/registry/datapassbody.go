package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/internal/habilitation"
)

// requestBody is the data of a webhook, and the demande it shows (datapass.md, 2.4).
type requestBody struct {
	ID              int64           `json:"id"`
	PublicID        uuid.UUID       `json:"public_id"`
	State           string          `json:"state"`
	FormUID         string          `json:"form_uid"`
	Data            json.RawMessage `json:"data"`
	CreatedAt       time.Time       `json:"created_at"`
	LastSubmittedAt *time.Time      `json:"last_submitted_at"`
	LastValidatedAt *time.Time      `json:"last_validated_at"`
	Organization    struct {
		ID           int64           `json:"id"`
		Name         string          `json:"name"`
		SIRET        *string         `json:"siret"`
		INSEEPayload json.RawMessage `json:"insee_payload"`
	} `json:"organization"`
	Applicant struct {
		ID          int64   `json:"id"`
		UID         *string `json:"uid"`
		Email       string  `json:"email"`
		GivenName   *string `json:"given_name"`
		FamilyName  *string `json:"family_name"`
		PhoneNumber *string `json:"phone_number"`
		JobTitle    *string `json:"job_title"`
	} `json:"applicant"`
	ServiceProvider *struct {
		ID    string  `json:"id"`
		Type  string  `json:"type"`
		SIRET *string `json:"siret"`
	} `json:"service_provider"`
	Authorizations []struct {
		ID           int64           `json:"id"`
		State        string          `json:"state"`
		CreatedAt    time.Time       `json:"created_at"`
		DefinitionID string          `json:"definition_id"`
		Data         json.RawMessage `json:"data"`
	} `json:"authorizations"`
}

// readRequest gives the request a webhook shows, as its source's mirror. Errors
// name keys, never values.
func readRequest(source, definition string, body []byte) (habilitation.Request, error) {
	var outer struct {
		Data requestBody `json:"data"`
	}
	if err := json.Unmarshal(body, &outer); err != nil {
		return habilitation.Request{}, fmt.Errorf("corps illisible : %s", jsonFault(err))
	}
	b := outer.Data
	if b.Organization.ID <= 0 || b.Applicant.ID <= 0 || b.FormUID == "" || b.State == "" {
		return habilitation.Request{}, fmt.Errorf("corps incomplet : organization.id, applicant.id, form_uid et state sont attendus")
	}
	data, err := decodeData(b.Data)
	if err != nil {
		return habilitation.Request{}, err
	}
	r := habilitation.Request{
		Origin: habilitation.Mirrored, Source: source, ExternalID: b.ID, PublicID: b.PublicID,
		Definition: definition, Form: clean(b.FormUID), State: habilitation.State(b.State), Data: data,
		Organization: habilitation.Organization{
			ID: b.Organization.ID, SIRET: clean(valueOf(b.Organization.SIRET)), Name: clean(b.Organization.Name), INSEEPayload: insee(b.Organization.INSEEPayload),
		},
		Applicant: habilitation.Applicant{
			ID: b.Applicant.ID, UID: clean(valueOf(b.Applicant.UID)), Email: clean(b.Applicant.Email),
			GivenName: clean(valueOf(b.Applicant.GivenName)), FamilyName: clean(valueOf(b.Applicant.FamilyName)),
			PhoneNumber: clean(valueOf(b.Applicant.PhoneNumber)), JobTitle: clean(valueOf(b.Applicant.JobTitle)),
		},
		CreatedAt: b.CreatedAt, LastSubmittedAt: valueOf(b.LastSubmittedAt), LastValidatedAt: valueOf(b.LastValidatedAt),
	}
	if p := b.ServiceProvider; p != nil {
		r.ServiceProvider = &habilitation.ServiceProvider{ID: clean(p.ID), Type: clean(p.Type), SIRET: clean(valueOf(p.SIRET))}
	}
	for _, a := range b.Authorizations {
		granted, err := decodeData(a.Data)
		if err != nil {
			return r, err
		}
		r.Habilitations = append(r.Habilitations, habilitation.Habilitation{
			ExternalID: a.ID, Definition: clean(a.DefinitionID), State: habilitation.GrantState(a.State), Data: granted,
			Organization: r.Organization, Applicant: r.Applicant, CreatedAt: a.CreatedAt,
		})
	}
	return r, nil
}

func decodeData(raw json.RawMessage) (habilitation.Data, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return habilitation.Data{}, nil
	}
	data, err := habilitation.DecodeData(raw)
	for key, value := range data {
		data[key] = clean(value)
	}
	return data, err
}

// clean drops the one character that text in Postgres cannot hold.
func clean(s string) string { return strings.ReplaceAll(s, "\x00", "") }

// jsonEscape is any escape of a JSON text: read from the left, so that an
// escaped backslash followed by "u0000" is not taken for a NUL.
var jsonEscape = regexp.MustCompile(`\\(?:u0000|.)`)

// cleanJSON is clean for a JSON text, and leaves valid UTF-8 only.
func cleanJSON(raw []byte) []byte {
	return jsonEscape.ReplaceAllFunc(bytes.ToValidUTF8(raw, []byte("\uFFFD")), func(escape []byte) []byte {
		if string(escape) == `\u0000` {
			return nil
		}
		return escape
	})
}

// insee keeps API Sirene's answer; {} means that it was not fetched yet.
func insee(raw json.RawMessage) []byte {
	if s := strings.TrimSpace(string(raw)); s == "" || s == "{}" || s == "null" {
		return nil
	}
	return cleanJSON(raw)
}

// jsonFault names the key of a JSON error without the value it met.
func jsonFault(err error) string {
	var typed *json.UnmarshalTypeError
	if errors.As(err, &typed) {
		return fmt.Sprintf("clé %s : %s attendu", typed.Field, typed.Type)
	}
	return "JSON invalide"
}

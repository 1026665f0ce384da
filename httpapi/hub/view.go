package hub

import (
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// requestView is a request as the API shows it. To a contact it is a summary:
// what is below Summary is absent.
type requestView struct {
	summaryView
	Summary         bool                `json:"summary"` // only a summary is shown to this caller
	Data            any                 `json:"data,omitempty"`
	ServiceProvider *providerView       `json:"service_provider,omitempty"`
	TermsAccepted   *bool               `json:"terms_of_service_accepted,omitempty"`
	DPOInformed     *bool               `json:"data_protection_officer_informed,omitempty"`
	ReopenedAt      *time.Time          `json:"reopened_at,omitempty"`
	Habilitations   []*habilitationView `json:"habilitations,omitempty"`
}

// summaryView is a request as lists show it.
type summaryView struct {
	ID              int64            `json:"id"`
	PublicID        uuid.UUID        `json:"public_id"`
	Origin          string           `json:"origin"`           // native or mirrored
	Source          *sourceView      `json:"source,omitempty"` // of a mirrored one
	DefinitionID    string           `json:"definition_id"`
	FormUID         string           `json:"form_uid"`
	State           string           `json:"state"`
	Reopening       bool             `json:"reopening"`
	Title           string           `json:"title"`
	Organization    organizationView `json:"organization"`
	Applicant       *applicantView   `json:"applicant,omitempty"`
	CreatedAt       time.Time        `json:"created_at"`
	LastSubmittedAt *time.Time       `json:"last_submitted_at"`
	LastValidatedAt *time.Time       `json:"last_validated_at"`
	UpdatedAt       *time.Time       `json:"updated_at,omitempty"` // in lists
	Version         int64            `json:"version"`              // the ETag, without quotes
}

type sourceView struct {
	Name string `json:"name"`
	ID   int64  `json:"id"` // of the request there
}

type organizationView struct {
	ID    int64   `json:"id"`
	SIRET *string `json:"siret"` // null for a foreign one
	Name  string  `json:"name"`
}

type applicantView struct {
	ID          int64  `json:"id"`
	Email       string `json:"email"`
	GivenName   string `json:"given_name"`
	FamilyName  string `json:"family_name"`
	PhoneNumber string `json:"phone_number,omitempty"`
	JobTitle    string `json:"job_title,omitempty"`
}

type providerView struct {
	ID    string  `json:"id"`
	Type  string  `json:"type"`
	SIRET *string `json:"siret"`
}

// habilitationView is what an approval granted, as it was then.
type habilitationView struct {
	ID           int64             `json:"id"`
	RequestID    int64             `json:"request_id"`
	SourceID     int64             `json:"source_id,omitempty"` // of a mirrored one
	DefinitionID string            `json:"definition_id"`
	FormUID      string            `json:"form_uid,omitempty"`
	State        string            `json:"state"`
	ParentID     int64             `json:"parent_id,omitempty"` // a linked FranceConnect habilitation
	CreatedAt    time.Time         `json:"created_at"`
	Organization *organizationView `json:"organization,omitempty"`
	Applicant    *applicantView    `json:"applicant,omitempty"`
	Message      string            `json:"message,omitempty"`
	Data         any               `json:"data,omitempty"`
}

// access says how much of a request a caller may read.
func (h *Handler) access(caller habilitation.Viewer, r habilitation.Request) habilitation.Access {
	provider := ""
	if d, ok := h.Catalogue.Definition(r.Definition); ok {
		provider = d.Provider
	}
	return caller.AccessTo(r, provider)
}

func (h *Handler) view(r habilitation.Request, access habilitation.Access) requestView {
	v := requestView{Summary: access != habilitation.AccessFull, summaryView: summaryView{
		ID: r.ID, PublicID: r.PublicID, Origin: string(r.Origin), DefinitionID: r.Definition, FormUID: r.Form, State: string(r.State),
		Reopening: r.Reopening, Title: r.Data["intitule"], Organization: viewOrganization(r.Organization),
		CreatedAt: r.CreatedAt, LastSubmittedAt: optional(r.LastSubmittedAt), LastValidatedAt: optional(r.LastValidatedAt), Version: r.Version,
	}}
	if r.Origin == habilitation.Mirrored {
		v.Source = &sourceView{r.Source, r.ExternalID}
	}
	if v.Summary {
		return v
	}
	v.Applicant = viewApplicant(r.Applicant)
	v.Data, v.ReopenedAt = h.answers(r.Definition, r.Data), optional(r.ReopenedAt)
	v.TermsAccepted, v.DPOInformed = &r.TermsAccepted, &r.DPOInformed
	if p := r.ServiceProvider; p != nil {
		v.ServiceProvider = &providerView{p.ID, p.Type, optional(p.SIRET)}
	}
	for _, granted := range r.Habilitations {
		v.Habilitations = append(v.Habilitations, h.viewHabilitation(r, granted, access))
	}
	return v
}

func (h *Handler) viewHabilitation(r habilitation.Request, g habilitation.Habilitation, access habilitation.Access) *habilitationView {
	v := &habilitationView{
		ID: g.ID, RequestID: r.ID, SourceID: g.ExternalID, DefinitionID: g.Definition, FormUID: g.Form, State: string(g.State),
		ParentID: g.ParentID, CreatedAt: g.CreatedAt,
	}
	if access == habilitation.AccessFull {
		organization := viewOrganization(g.Organization)
		v.Organization, v.Applicant = &organization, viewApplicant(g.Applicant)
		v.Message, v.Data = g.Message, h.answers(g.Definition, g.Data)
	}
	return v
}

// answers are typed as the definition says: lists, numbers, booleans. Those of
// a definition no longer in the catalogue are shown as they are stored.
func (h *Handler) answers(definition string, data habilitation.Data) any {
	if d, ok := h.Catalogue.Definition(definition); ok {
		return d.Typed(data)
	}
	return data
}

func viewOrganization(o habilitation.Organization) organizationView {
	return organizationView{ID: o.ID, SIRET: optional(o.SIRET), Name: o.Name}
}

func viewApplicant(a habilitation.Applicant) *applicantView {
	return &applicantView{
		ID: a.ID, Email: a.Email, GivenName: a.GivenName, FamilyName: a.FamilyName, PhoneNumber: a.PhoneNumber, JobTitle: a.JobTitle,
	}
}

func viewSummary(s store.Summary) summaryView {
	v := summaryView{
		ID: s.ID, PublicID: s.PublicID, Origin: string(s.Origin), DefinitionID: s.Definition, FormUID: s.Form, State: string(s.State),
		Reopening: s.Reopening, Title: s.Title, Organization: viewOrganization(s.Organization), Applicant: viewApplicant(s.Applicant),
		CreatedAt: s.CreatedAt, LastSubmittedAt: optional(s.LastSubmittedAt), LastValidatedAt: optional(s.LastValidatedAt),
		UpdatedAt: &s.UpdatedAt, Version: s.Version,
	}
	if s.Origin == habilitation.Mirrored {
		v.Source = &sourceView{s.Source, s.ExternalID}
	}
	return v
}

func optional[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

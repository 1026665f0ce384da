package hub

import (
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/passerelle-hub/passerelle/httpapi/problem"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// meView is who the caller is to the hub.
type meView struct {
	Kind         string            `json:"kind"` // person or application
	Person       *applicantView    `json:"person,omitempty"`
	Application  string            `json:"application,omitempty"` // its name
	Roles        []string          `json:"roles"`
	Organization *organizationView `json:"organization"` // the current one
	Verified     bool              `json:"organization_verified"`
}

func (h *Handler) me(w http.ResponseWriter, r *http.Request) error {
	caller := callerOf(r)
	v := meView{Kind: "person", Roles: []string{}, Verified: caller.Verified}
	if caller.Machine() {
		v.Kind, v.Application = "application", caller.Application.Name
	}
	if caller.Person.ID != 0 {
		v.Person = viewApplicant(caller.Person.Applicant)
	}
	if caller.Roles.Admin {
		v.Roles = append(v.Roles, "admin")
	}
	for _, role := range caller.Roles.List {
		v.Roles = append(v.Roles, role.String())
	}
	if caller.Organization.ID != 0 {
		organization := viewOrganization(caller.Organization)
		v.Organization = &organization
	}
	w.Header().Set("Cache-Control", "no-store")
	problem.JSON(w, r, http.StatusOK, v)
	return nil
}

// mailView is one choice about mails.
type mailView struct {
	DefinitionID string `json:"definition_id"`
	Kind         string `json:"kind"`
	Enabled      bool   `json:"enabled"`
}

// mails lists the mails that a person may switch off, for the definitions that
// his roles are about.
func (h *Handler) mails(w http.ResponseWriter, r *http.Request) error {
	caller := callerOf(r)
	chosen, err := h.Store.MailSettings(r.Context(), caller.Person.ID)
	if err != nil {
		return err
	}
	views := []mailView{}
	for _, d := range h.Catalogue.Definitions() {
		for _, kind := range mailKinds(caller.Roles, d) {
			enabled := true
			for _, c := range chosen {
				if c.Definition == d.UID && c.Kind == kind {
					enabled = c.Enabled
				}
			}
			views = append(views, mailView{d.UID, kind, enabled})
		}
	}
	problem.JSON(w, r, http.StatusOK, map[string]any{"mails": views})
	return nil
}

// mailKinds are the kinds of mail about a definition that roles bring.
func mailKinds(roles habilitation.Roles, d *habilitation.Definition) []string {
	var kinds []string
	if roles.Allow(habilitation.ReceiveSubmissions, d.Provider, d.UID) {
		kinds = append(kinds, store.MailsOfSubmissions)
	}
	if roles.Allow(habilitation.WriteMessages, d.Provider, d.UID) {
		kinds = append(kinds, store.MailsOfMessages)
	}
	return kinds
}

// setMail switches a kind of mail on or off.
func (h *Handler) setMail(w http.ResponseWriter, r *http.Request) error {
	body, _, err := readObject(w, r, h.MaxBody)
	if err != nil {
		return err
	}
	cmd := &registry.SetMail{Person: callerOf(r).Person.ID, Definition: chi.URLParam(r, "definition"), Kind: chi.URLParam(r, "kind")}
	if body.raw("enabled") == nil {
		body.fault("enabled", "true ou false est attendu")
	}
	cmd.Enabled = body.flag("enabled")
	if err := body.close(); err != nil {
		return err
	}
	if _, known := h.Catalogue.Definition(cmd.Definition); !known || cmd.Kind != store.MailsOfSubmissions && cmd.Kind != store.MailsOfMessages {
		return store.ErrNotFound
	}
	if err := h.Registry.Record(r.Context(), cmd); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

package v1

import (
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/passerelle-hub/passerelle/httpapi/auth"
	"github.com/passerelle-hub/passerelle/httpapi/problem"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
)

// me shows the application's owner.
func (h *Handler) me(w http.ResponseWriter, r *http.Request) error {
	caller, _ := auth.CallerOf(r.Context())
	owner := caller.Person
	if owner.ID == 0 {
		return errNotFound // an operator's own machine
	}
	problem.JSON(w, r, http.StatusOK, meObject{
		ID: owner.ID, Email: owner.Email, FamilyName: optional(owner.FamilyName), GivenName: optional(owner.GivenName), JobTitle: optional(owner.JobTitle),
	})
	return nil
}

func (h *Handler) listDefinitions(w http.ResponseWriter, r *http.Request) error {
	caller, _ := auth.CallerOf(r.Context())
	list := []definitionObject{}
	for _, d := range caller.Developed(h.Catalogue.Definitions()) {
		list = append(list, h.definitionShown(d))
	}
	problem.JSON(w, r, http.StatusOK, list)
	return nil
}

func (h *Handler) showDefinition(w http.ResponseWriter, r *http.Request) error {
	d, err := h.definition(r, chi.URLParam(r, "uid"))
	if err != nil {
		return err
	}
	problem.JSON(w, r, http.StatusOK, h.definitionShown(d))
	return nil
}

// listForms gives the forms in file order, default ones last; their prefill
// with the included scopes, arrays as arrays (datapass.md, 3.3).
func (h *Handler) listForms(w http.ResponseWriter, r *http.Request) error {
	d, err := h.definition(r, chi.URLParam(r, "uid"))
	if err != nil {
		return err
	}
	list := []formObject{}
	for _, f := range h.Catalogue.FormsOf(d.UID) {
		list = append(list, formObject{
			UID: f.UID, Name: f.Name, Description: f.Description, UseCase: optional(f.UseCase), DefinitionID: d.UID, Class: d.Class,
			Data: d.EffectivePrefill(f).JSON(),
		})
	}
	problem.JSON(w, r, http.StatusOK, list)
	return nil
}

// definitionShown: what of a scope follows from the day is as of today in
// Europe/Paris (datapass.md, 4.4).
func (h *Handler) definitionShown(d *habilitation.Definition) definitionObject {
	today := habilitation.Date(h.Now().In(paris).Format(time.DateOnly))
	o := definitionObject{ID: d.UID, Name: d.NameWithStage(), MultiStage: d.Stage != nil, Class: d.Class, Scopes: []scopeObject{}}
	for _, s := range d.Scopes {
		if s.FlagOff {
			continue // hidden while its flag is off
		}
		shown := scopeObject{
			Name: s.Name, Value: s.Value, Group: optional(s.Group), Link: optional(s.Link), Included: s.Included,
			Disabled: s.LockedOn(today), Deprecated: s.DeprecatedOn(today),
		}
		if s.Deprecated != nil {
			shown.DeprecatedDate = optional(string(s.Deprecated.Since))
		}
		o.Scopes = append(o.Scopes, shown)
	}
	return o
}

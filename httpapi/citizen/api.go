package citizen

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/go-chi/chi/v5"
	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/httpapi/auth"
	"github.com/passerelle-hub/passerelle/httpapi/problem"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// API adds the public interface of today's form (qf-form.md, 1, "Its own API"): its
// shapes and its words, for the sites that read the list of who takes part.
func (h *Handler) API(r chi.Router) {
	r.Group(func(r chi.Router) {
		r.Use(anyOrigin)
		r.Get("/api/collectivites", h.list)
		r.Get("/api/collectivites/{code_cog}", h.ofCog)
		r.Post("/api/collectivites", h.create)
		r.Options("/api/collectivites", allow("GET, POST, OPTIONS"))
		r.Options("/api/collectivites/{code_cog}", allow("GET, OPTIONS"))
	})
}

// anyOrigin lets pages of any site read what is public anyhow: CORS *.
func anyOrigin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

// allow answers a browser that asks before it sends.
func allow(methods string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Access-Control-Allow-Methods", methods)
		w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
		w.Header().Set("Access-Control-Max-Age", "600")
		w.WriteHeader(http.StatusNoContent)
	}
}

type collectivite struct {
	Name    string `json:"name"`
	Siret   string `json:"siret"`
	CodeCog string `json:"code_cog"`
}

func (h *Handler) list(w http.ResponseWriter, r *http.Request) {
	rows, err := h.Store.ReceivingNow(r.Context(), registry.FolderProcess)
	if err != nil {
		h.apiUnavailable(w, r, err)
		return
	}
	list := make([]collectivite, len(rows))
	for i, row := range rows {
		list[i] = collectivite{row.Name, row.Siret, row.Cog}
	}
	w.Header().Set("Cache-Control", "public, max-age=60")
	problem.JSON(w, r, http.StatusOK, list)
}

// ofCog gives the commune of a code; its CCAS or its caisse des écoles only where
// the commune itself does not receive.
func (h *Handler) ofCog(w http.ResponseWriter, r *http.Request) {
	cog := strings.ToUpper(chi.URLParam(r, "code_cog"))
	var rows []store.Receiver
	if cogRule.MatchString(cog) {
		var err error
		if rows, err = h.Store.ReceiversOfCog(r.Context(), registry.FolderProcess, cog); err != nil {
			h.apiUnavailable(w, r, err)
			return
		}
	}
	if len(rows) == 0 {
		apiError(w, r, http.StatusNotFound, "Collectivity not found")
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=60")
	problem.JSON(w, r, http.StatusOK, collectivite{rows[0].Name, rows[0].Siret, rows[0].Cog})
}

// maxCollectivity is the longest body of create, in bytes; maxText the longest text
// in it, in characters.
const (
	maxCollectivity = 16 << 10
	maxText         = 255
)

// create makes a receiver of an organization whose habilitation is there and whose
// commune INSEE has not told: the body gives its code (201). It makes none without
// an habilitation, which would take families' data without any right (qf-form.md,
// 8, D-26 and D-27), and changes none (409). status, editor and departement are
// checked and follow from the habilitation, HubEE and the code, not from the body.
func (h *Handler) create(w http.ResponseWriter, r *http.Request) {
	caller, err := h.Callers.Identify(r)
	if err != nil {
		var denial *auth.Denial
		if !errors.As(err, &denial) {
			h.apiUnavailable(w, r, err)
			return
		}
		w.Header().Set("WWW-Authenticate", `Bearer realm="Passerelle"`)
		apiError(w, r, denial.Status(), denial.Detail())
		return
	}
	var body struct {
		Collectivity *struct {
			collectivite
			Status      string `json:"status"`
			Editor      string `json:"editor"`
			Departement string `json:"departement"`
		} `json:"collectivity"`
	}
	err = json.NewDecoder(http.MaxBytesReader(w, r.Body, maxCollectivity)).Decode(&body)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		apiError(w, r, http.StatusRequestEntityTooLarge, "Le corps dépasse 16 Kio")
		return
	case err != nil:
		apiError(w, r, http.StatusBadRequest, "Le corps n’est pas le JSON attendu : {\"collectivity\": {…}}")
		return
	case body.Collectivity == nil:
		apiErrors(w, r, map[string][]string{"collectivity": {"doit être rempli(e)"}})
		return
	}
	c := body.Collectivity
	faults := map[string][]string{}
	check := func(field string, ok bool, says string) {
		if !ok {
			faults[field] = []string{says}
		}
	}
	check("name", c.Name != "" && utf8.RuneCountInString(c.Name) <= maxText, "doit avoir de 1 à 255 caractères")
	check("siret", habilitation.ValidSIRET(c.Siret), "n’est pas un SIRET")
	check("code_cog", cogRule.MatchString(c.CodeCog), "n’est pas un code Insee de commune")
	check("status", c.Status == "" || c.Status == "active" || c.Status == "inactive", "doit être active ou inactive")
	check("editor", utf8.RuneCountInString(c.Editor) <= maxText, "dépasse 255 caractères")
	check("departement", c.Departement == "" || isDepartement(c.Departement), "n’est pas un département")
	if len(faults) > 0 {
		apiErrors(w, r, faults)
		return
	}
	known, err := h.Store.ReceiversOfSiret(r.Context(), registry.FolderProcess, c.Siret)
	switch {
	case err != nil:
		h.apiUnavailable(w, r, err)
	case len(known) > 0:
		apiError(w, r, http.StatusConflict, "Siret est déjà utilisé")
	default:
		h.locate(w, r, caller, c.collectivite)
	}
}

// locate gives an organization that may receive its commune.
func (h *Handler) locate(w http.ResponseWriter, r *http.Request, caller auth.Caller, c collectivite) {
	request, definition, err := h.Store.UnlocatedRight(r.Context(), registry.FolderProcess, c.Siret)
	if errors.Is(err, store.ErrNotFound) {
		apiErrors(w, r, map[string][]string{"siret": {
			"n’a pas d’habilitation : une collectivité est inscrite d’elle-même quand sa demande d’habilitation est validée, et ne peut pas l’être sans elle",
		}})
		return
	}
	if err != nil {
		h.apiUnavailable(w, r, err)
		return
	}
	if d, known := h.Definition(definition); !known || !caller.Has(auth.ScopeWriteAuthorizations) || !caller.DeveloperOf(d) {
		apiError(w, r, http.StatusForbidden, "Ce jeton ne permet pas d’inscrire une collectivité : il faut la portée write_authorizations et le rôle developer de "+definition)
		return
	}
	err = h.Registry.Record(registry.WithActor(r.Context(), caller.Actor()), &registry.LocateReceiver{
		RequestID: request, Ref: connectors.OrganizationRef{Type: "SI", SIRET: c.Siret, Branch: c.CodeCog}, Name: c.Name,
	})
	var state *registry.StateError
	switch {
	case errors.As(err, &state): // ended meanwhile
		apiErrors(w, r, map[string][]string{"siret": {"n’a plus d’habilitation"}})
	case err != nil:
		h.apiUnavailable(w, r, err)
	default:
		problem.JSON(w, r, http.StatusCreated, c)
	}
}

func apiError(w http.ResponseWriter, r *http.Request, status int, text string) {
	problem.JSON(w, r, status, map[string]string{"error": text})
}

func apiErrors(w http.ResponseWriter, r *http.Request, faults map[string][]string) {
	problem.JSON(w, r, http.StatusUnprocessableEntity, map[string]map[string][]string{"errors": faults})
}

func (h *Handler) apiUnavailable(w http.ResponseWriter, r *http.Request, err error) {
	zerolog.Ctx(r.Context()).Error().Err(err).Msg("list of collectivities failed")
	w.Header().Set("Retry-After", "30")
	apiError(w, r, http.StatusServiceUnavailable, "Service momentanément indisponible")
}

// TooManyAPI answers an address that asks the API too often, in its own shape.
func TooManyAPI(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Retry-After", "60")
	apiError(w, r, http.StatusTooManyRequests, "Trop de requêtes : attendez une minute")
}

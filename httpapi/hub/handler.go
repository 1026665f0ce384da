package hub

import (
	"net/http"
	"strconv"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/passerelle-hub/passerelle/httpapi/auth"
	"github.com/passerelle-hub/passerelle/httpapi/problem"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// Catalogue is what the API shows of definitions.
type Catalogue interface {
	registry.Catalogue
	Definitions() []*habilitation.Definition
}

// Handler serves /hub/v1.
type Handler struct {
	Store     *store.Store
	Registry  *registry.Registry
	Catalogue Catalogue
	Callers   *auth.Authenticator
	MaxBody   int64             // bytes
	PerClient int               // requests a minute of one caller
	Sources   map[string]string // where a source's requests are decided: its pages' address, by its name
	Tester    *registry.Tester
}

// Route is one route of the API, as doc.go lists it.
type Route struct {
	Method  string
	Pattern string // below /hub/v1
	Scope   string // that an application's token must have; "": people only
	serve   problem.Handler
}

// Routes lists the API.
func (h *Handler) Routes() []Route {
	read, write, keys := auth.ScopeReadAuthorizations, auth.ScopeWriteAuthorizations, auth.ScopeWriteKeys
	routes := []Route{
		{http.MethodGet, "/me", read, h.me},
		{http.MethodGet, "/me/mails", "", h.mails},
		{http.MethodPut, "/me/mails/{definition}/{kind}", "", h.setMail},
		{http.MethodGet, "/requests", read, h.list},
		{http.MethodPost, "/requests", write, h.create},
		{http.MethodGet, "/requests/{id}", read, h.get},
		{http.MethodPatch, "/requests/{id}", write, h.update},
		{http.MethodGet, "/requests/{id}/history", read, h.history},
		{http.MethodPut, "/requests/{id}/recipient-key", "", h.setRecipientKey},
		{http.MethodDelete, "/requests/{id}/recipient-key", "", h.removeRecipientKey},
		{http.MethodGet, "/habilitations/{id}", read, h.habilitation},
		{http.MethodGet, "/habilitations/{id}/keys", read, h.keysOfHabilitation},
		{http.MethodGet, "/requests/{id}/keys", read, h.keysOfRequest},
		{http.MethodGet, "/keys/{key}", read, h.key},
		{http.MethodGet, "/keys/{key}/rotation", read, h.planKeyRotation},
		{http.MethodGet, "/keys/{key}/prolongation", read, h.planKeyProlong},
		{http.MethodPost, "/keys/{key}/rotate", keys, h.rotateKey},
		{http.MethodPost, "/keys/{key}/prolong", keys, h.prolongKey},
		{http.MethodPost, "/keys/{key}/revoke", keys, h.revokeKey},
		{http.MethodPut, "/keys/{key}/allowed-ips", keys, h.restrictKey},
	}
	routes = append(routes, h.deliveryRoutes()...)
	for _, a := range actions() {
		routes = append(routes, Route{http.MethodPost, "/requests/{id}/" + a.name, write, h.act(a)})
	}
	return append(routes, h.webhookRoutes()...)
}

// Router serves Routes, each behind the caller's token, scope and rate.
func (h *Handler) Router() http.Handler {
	r := chi.NewRouter()
	r.NotFound(problem.Handle(translate, func(http.ResponseWriter, *http.Request) error {
		return problem.New(http.StatusNotFound, "introuvable", "Introuvable", "Rien n’est servi à cette adresse.")
	}))
	r.Use(middleware.GetHead)
	r.MethodNotAllowed(problem.Handle(translate, func(w http.ResponseWriter, req *http.Request) error {
		w.Header().Set("Allow", problem.Allowed(r, req))
		return problem.New(http.StatusMethodNotAllowed, "methode", "Méthode non admise", "Cette adresse n’accepte pas cette méthode.")
	}))
	limit := auth.Limit(h.Store.NewSharedLimit("hub", h.PerClient), auth.Caller.Actor, deny)
	for _, route := range h.Routes() {
		r.With(h.Callers.Require(deny), limit, scoped(route.Scope)).Method(route.Method, route.Pattern, problem.Handle(h.translate, route.serve))
	}
	return r
}

func deny(w http.ResponseWriter, r *http.Request, err error) {
	problem.Handle(translate, func(http.ResponseWriter, *http.Request) error { return err })(w, r)
}

// scoped lets through applications whose token has the scope; "" is for people.
func scoped(scope string) func(http.Handler) http.Handler {
	if scope != "" {
		return auth.RequireScope(scope, deny)
	}
	return func(next http.Handler) http.Handler {
		return problem.Handle(translate, func(w http.ResponseWriter, r *http.Request) error {
			if callerOf(r).Machine() {
				return problem.New(http.StatusForbidden, "personne", "Accès refusé", "Cette adresse est réservée aux personnes.")
			}
			next.ServeHTTP(w, r)
			return nil
		})
	}
}

// callerOf gives the caller that Require let through.
func callerOf(r *http.Request) auth.Caller {
	caller, _ := auth.CallerOf(r.Context())
	return caller
}

// parseID reads an identifier, with or without its letter (datapass.md, 0).
func parseID(s string, prefix byte) (int64, bool) {
	if s != "" && (s[0] == prefix || s[0] == prefix|0x20) {
		s = s[1:]
	}
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
	}
	id, err := strconv.ParseInt(s, 10, 64)
	return id, err == nil && id > 0
}

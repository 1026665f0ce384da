package v1

import (
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/httpapi/auth"
	"github.com/passerelle-hub/passerelle/httpapi/problem"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// Catalogue gives what there is to ask for.
type Catalogue interface {
	Definitions() []*habilitation.Definition
	Definition(uid string) (*habilitation.Definition, bool)
	// FormsOf lists a definition's forms, default ones last.
	FormsOf(definition string) []*habilitation.Form
}

// Handler serves /api/v1.
type Handler struct {
	Store     *store.Store
	Registry  *registry.Registry
	Callers   *auth.Authenticator
	Catalogue Catalogue
	Sources   map[string]string // where the requests of each source are driven: its address, "" when not known
	PerClient int               // requests a minute of one application
	MaxBody   int64             // bytes
	Now       func() time.Time
	// LimitByAddress bounds how often an address asks for tokens.
	LimitByAddress func(tooMany http.HandlerFunc) func(http.Handler) http.Handler
}

// Router gives the routes below /api/v1.
func (h *Handler) Router() http.Handler {
	r := chi.NewRouter()
	r.Use(recovered, middleware.GetHead)
	r.NotFound(func(w http.ResponseWriter, r *http.Request) { deny(w, r, errNotFound) })
	r.MethodNotAllowed(methodNotAllowed(r))
	r.Mount("/oauth", h.OAuth())
	r.Group(func(r chi.Router) {
		r.Use(h.Callers.Require(deny), applicationsOnly, auth.Limit(h.Store.NewSharedLimit("api", h.PerClient), auth.Caller.Actor, deny))
		r.Get("/me", handle(h.me))
		r.Group(func(r chi.Router) {
			r.Use(auth.RequireScope(auth.ScopeReadAuthorizations, deny))
			r.Get("/definitions", handle(h.listDefinitions))
			r.Get("/definitions/{uid}", handle(h.showDefinition))
			r.Get("/definitions/{uid}/formulaires", handle(h.listForms))
			r.Get("/demandes", handle(h.listRequests))
			r.Get("/demandes/{id}", handle(h.showRequest))
			r.Get("/demandes/{id}/events", handle(h.listEvents))
			r.Get("/habilitations", handle(h.listHabilitations))
			r.Get("/habilitations/{id}", handle(h.showHabilitation))
		})
		r.Group(func(r chi.Router) {
			r.Use(auth.RequireScope(auth.ScopeWriteAuthorizations, deny))
			r.Post("/demandes", handle(h.createRequest))
			r.Patch("/demandes/{id}", handle(h.updateRequest))
			r.Put("/demandes/{id}", handle(h.updateRequest))
		})
		r.Group(func(r chi.Router) {
			r.Use(auth.RequireScope(auth.ScopeReadWebhooks, deny))
			r.Get("/webhooks/{id}/attempts", handle(h.listAttempts))
		})
	})
	return r
}

// OAuth gives the token endpoints, served below /api/v1/oauth and /api/oauth.
func (h *Handler) OAuth() http.Handler {
	o := auth.OAuth{Authenticator: h.Callers}
	r := chi.NewRouter()
	r.Use(recovered, middleware.GetHead)
	r.NotFound(func(w http.ResponseWriter, r *http.Request) { deny(w, r, errNotFound) })
	r.MethodNotAllowed(o.NotPost)
	r.Group(func(r chi.Router) {
		r.Use(h.LimitByAddress(o.TooMany))
		r.Post("/token", o.Token)
		r.Post("/revoke", o.Revoke)
		r.Post("/introspect", o.Introspect)
	})
	return r
}

// Frontal answers GET /api/frontal: this is the server that clients talk to.
func Frontal(w http.ResponseWriter, r *http.Request) {
	problem.JSON(w, r, http.StatusOK, map[string]bool{"frontal": true})
}

// applicationsOnly: API v1 has no people among its callers.
func applicationsOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if caller, _ := auth.CallerOf(r.Context()); !caller.Machine() {
			deny(w, r, errPeople)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// handle runs a handler that returns its error.
func handle(serve func(w http.ResponseWriter, r *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := serve(w, r); err != nil {
			deny(w, r, err)
		}
	}
}

// recovered answers in this API's form when a handler panics.
func recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			fault := recover()
			if fault == nil {
				return
			}
			if fault == http.ErrAbortHandler { //nolint:errorlint // the one panic that net/http asks for
				panic(fault)
			}
			zerolog.Ctx(r.Context()).Error().Bytes("stack", debug.Stack()).Msg("panic in a request")
			write(w, r, errInternal)
		}()
		next.ServeHTTP(w, r)
	})
}

var methods = []string{http.MethodGet, http.MethodHead, http.MethodPatch, http.MethodPost, http.MethodPut}

// UnknownMethod answers a method of no route at all, which never reaches Router.
func UnknownMethod(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Allow", strings.Join(methods, ", "))
	deny(w, r, errMethod)
}

func methodNotAllowed(routes chi.Routes) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", problem.Allowed(routes, r))
		deny(w, r, errMethod)
	}
}

// developed gives the definitions that the caller may use the API for.
func (h *Handler) developed(r *http.Request) []string {
	caller, _ := auth.CallerOf(r.Context())
	list := []string{}
	for _, d := range caller.Developed(h.Catalogue.Definitions()) {
		list = append(list, d.UID)
	}
	return list
}

// definition gives one that the caller may use the API for.
func (h *Handler) definition(r *http.Request, uid string) (*habilitation.Definition, error) {
	caller, _ := auth.CallerOf(r.Context())
	d, ok := h.Catalogue.Definition(uid)
	if !ok || !caller.DeveloperOf(d) {
		return nil, errNotFound
	}
	return d, nil
}

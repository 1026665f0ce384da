package datapasstest

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
)

// api serves the reading half of API v1 (datapass.md, 3.2).
func (s *Server) api() http.Handler {
	r := chi.NewRouter()
	r.NotFound(func(w http.ResponseWriter, _ *http.Request) { apiNotFound(w) })
	r.Get("/api/frontal", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, object{"frontal": true})
	})
	for _, prefix := range []string{"/api/v1/oauth", "/api/oauth"} {
		r.Post(prefix+"/token", s.issueToken)
		r.Post(prefix+"/revoke", s.revokeToken)
	}
	r.Route("/api/v1", func(r chi.Router) {
		r.Get("/me", s.withScope("", s.me))
		r.Get("/definitions", s.withScope(ScopeRead, s.listDefinitions))
		r.Get("/definitions/{uid}", s.withScope(ScopeRead, s.showDefinition))
		r.Get("/demandes", s.withScope(ScopeRead, s.listRequests))
		r.Get("/demandes/{id}", s.withScope(ScopeRead, s.showRequest))
		r.Get("/habilitations", s.withScope(ScopeRead, s.listHabilitations))
		r.Get("/webhooks/{id}/attempts", s.withScope(ScopeHooks, s.listAttempts))
		// These two load the record before they look at the token (datapass.md, 3.6).
		r.Get("/demandes/{id}/events", s.recordFirst(s.showEvents))
		r.Get("/habilitations/{id}", s.recordFirst(s.showHabilitation))
	})
	return r
}

type applicationKey struct{}

// caller is the application of the request's token.
func caller(r *http.Request) Application {
	app, _ := r.Context().Value(applicationKey{}).(Application)
	return app
}

func (a Application) sees(definition string) bool { return slices.Contains(a.Definitions, definition) }

// token gives what the header names; false when it names nothing known.
func (s *Server) token(r *http.Request) (accessToken, Application, bool) {
	scheme, value, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return accessToken{}, Application{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	token, ok := s.tokens[strings.TrimSpace(value)]
	if !ok {
		return accessToken{}, Application{}, false
	}
	app, ok := s.applications[token.application]
	return *token, app, ok
}

// withScope checks the token, then its scope: a missing one is a 422, and so is
// a revoked token (datapass.md, 3.5).
func (s *Server) withScope(scope string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		token, app, ok := s.token(r)
		if refuse(w, token, ok, scope, s.Now()) {
			return
		}
		next(w, r.WithContext(context.WithValue(r.Context(), applicationKey{}, app)))
	}
}

func refuse(w http.ResponseWriter, token accessToken, known bool, scope string, now time.Time) bool {
	switch {
	case !known:
		apiError(w, http.StatusUnauthorized, "Non autorisé",
			"Un jeton d'accès est requis mais absent dans les en-têtes de la requête.", "headers/Authorization")
	case !token.revoked && !now.Before(token.expires):
		apiError(w, http.StatusUnauthorized, "Jeton expiré",
			"Le jeton d’accès a expiré. Veuillez en obtenir un nouveau.", "headers/Authorization")
	case token.revoked, scope != "" && !slices.Contains(token.scopes, scope):
		apiError(w, http.StatusUnprocessableEntity, "Entité non traitable",
			"Un problème est survenu lors du traitement de la requête.", "")
	default:
		return false
	}
	return true
}

// recordFirst gives the record's handler the caller without checking his scope;
// without any token DataPass fails.
func (s *Server) recordFirst(next func(w http.ResponseWriter, r *http.Request, token accessToken)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		token, app, ok := s.token(r)
		if !ok {
			writeJSON(w, http.StatusInternalServerError, object{"status": 500, "error": "Internal Server Error"})
			return
		}
		next(w, r.WithContext(context.WithValue(r.Context(), applicationKey{}, app)), token)
	}
}

func (s *Server) me(w http.ResponseWriter, r *http.Request) {
	owner := caller(r).Owner
	writeJSON(w, http.StatusOK, object{
		"id": owner.ID, "email": owner.Email, "family_name": orNull(owner.FamilyName),
		"given_name": orNull(owner.GivenName), "job_title": orNull(owner.JobTitle),
	})
}

func (s *Server) listDefinitions(w http.ResponseWriter, r *http.Request) {
	list := []object{}
	for _, d := range definitions() {
		if caller(r).sees(d.ID) {
			list = append(list, d.json(s.Now()))
		}
	}
	writeJSON(w, http.StatusOK, list)
}

// showDefinition answers 404 with {} (datapass.md, 3.2).
func (s *Server) showDefinition(w http.ResponseWriter, r *http.Request) {
	d, ok := findDefinition(chi.URLParam(r, "uid"))
	if !ok || !caller(r).sees(d.ID) {
		writeJSON(w, http.StatusNotFound, object{})
		return
	}
	writeJSON(w, http.StatusOK, d.json(s.Now()))
}

func (s *Server) listRequests(w http.ResponseWriter, r *http.Request) {
	list := []Request{}
	for _, request := range s.Requests() {
		if caller(r).sees(request.Definition) && picked(r, string(request.State), request.Organization.SIRET) {
			list = append(list, request)
		}
	}
	slices.SortStableFunc(list, func(a, b Request) int { return newestFirst(a.CreatedAt, b.CreatedAt, a.ID, b.ID) })
	out := []object{}
	for _, request := range page(r, list) {
		out = append(out, request.apiJSON())
	}
	writeJSON(w, http.StatusOK, out)
}

func (s *Server) showRequest(w http.ResponseWriter, r *http.Request) {
	request, ok := s.visibleRequest(r)
	if !ok {
		apiNotFound(w)
		return
	}
	writeJSON(w, http.StatusOK, request.apiJSON())
}

// visibleRequest reads the id to the letter: D123 finds nothing (datapass.md, section 0).
func (s *Server) visibleRequest(r *http.Request) (Request, bool) {
	id, err := strconv.ParseInt(chi.URLParam(r, "id"), 10, 64)
	if err != nil {
		return Request{}, false
	}
	request, err := s.Request(id)
	return request, err == nil && caller(r).sees(request.Definition)
}

func (s *Server) showEvents(w http.ResponseWriter, r *http.Request, token accessToken) {
	request, ok := s.visibleRequest(r)
	if !ok {
		apiNotFound(w)
		return
	}
	if refuse(w, token, true, ScopeRead, s.Now()) {
		return
	}
	out := []object{}
	newer := EventName("")
	for _, event := range slices.Backward(request.Events) {
		// A run of updates is shown as its newest.
		if event.Name != EventUpdate || newer != EventUpdate {
			out = append(out, event.json())
		}
		newer = event.Name
	}
	writeJSON(w, http.StatusOK, out)
}

type heldHabilitation struct {
	Habilitation
	organization Organization
}

func (s *Server) listHabilitations(w http.ResponseWriter, r *http.Request) {
	list := []heldHabilitation{}
	for _, request := range s.Requests() {
		for _, h := range request.Habilitations {
			if caller(r).sees(h.Definition) && picked(r, string(h.State), request.Organization.SIRET) {
				list = append(list, heldHabilitation{h, request.Organization})
			}
		}
	}
	slices.SortStableFunc(list, func(a, b heldHabilitation) int { return newestFirst(a.CreatedAt, b.CreatedAt, a.ID, b.ID) })
	out := []object{}
	for _, h := range page(r, list) {
		out = append(out, h.json())
	}
	writeJSON(w, http.StatusOK, out)
}

// showHabilitation asks for no scope (datapass.md, 3.2).
func (s *Server) showHabilitation(w http.ResponseWriter, r *http.Request, token accessToken) {
	id, err := strconv.ParseInt(chi.URLParam(r, "id"), 10, 64)
	if err != nil {
		apiNotFound(w)
		return
	}
	s.mu.Lock()
	held, h, err := s.habilitation(id)
	var found heldHabilitation
	if err == nil {
		found = heldHabilitation{*h, held.Organization}
		found.Fields = h.Fields.With(nil)
	}
	s.mu.Unlock()
	if err != nil || !caller(r).sees(found.Definition) {
		apiNotFound(w)
		return
	}
	if refuse(w, token, true, "", s.Now()) {
		return
	}
	writeJSON(w, http.StatusOK, found.json())
}

// listAttempts gives newest first; either bound works alone (datapass.md, 2.9).
func (s *Server) listAttempts(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseInt(chi.URLParam(r, "id"), 10, 64)
	if err != nil {
		apiNotFound(w)
		return
	}
	sub, err := s.Subscription(id)
	if err != nil || !caller(r).sees(sub.Definition) {
		apiNotFound(w)
		return
	}
	start, hasStart := timeParam(r, "start_time")
	end, hasEnd := timeParam(r, "end_time")
	limit := limitParam(r, 100)
	out := []object{}
	for _, a := range s.Attempts(id) {
		if (hasStart && a.CreatedAt.Before(start)) || (hasEnd && a.CreatedAt.After(end)) || len(out) == limit {
			continue
		}
		out = append(out, object{
			"id": a.ID, "event": string(a.Event), "status_code": a.Status, "response_body": a.ResponseBody,
			"created_at": wireTime(a.CreatedAt), "authorization_request_id": a.RequestID,
		})
	}
	writeJSON(w, http.StatusOK, out)
}

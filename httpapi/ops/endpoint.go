package ops

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"github.com/go-chi/chi/v5"

	"github.com/passerelle-hub/passerelle/httpapi/page"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// tested is a test that an operator has just sent.
type tested struct {
	ID   int64
	Test store.EndpointTest
}

const endpointsPerPage = 100

// endpoints shows how each endpoint does.
func (h *Handler) endpoints(w http.ResponseWriter, r *http.Request) {
	h.showEndpoints(w, r, nil)
}

func (h *Handler) showEndpoints(w http.ResponseWriter, r *http.Request, result *tested) {
	after, err := strconv.ParseInt(r.URL.Query().Get("after"), 10, 64)
	if err != nil && r.URL.Query().Has("after") {
		http.Error(w, "Numéro illisible", http.StatusBadRequest)
		return
	}
	states, err := h.Store.EndpointStates(r.Context(), after, 0, endpointsPerPage, h.Registry.Now())
	if err != nil {
		h.unavailable(w, r, err)
		return
	}
	var next int64
	if len(states) == endpointsPerPage {
		next = states[len(states)-1].ID
	}
	h.pages.Write(w, r, http.StatusOK, "endpoints.html", page.Page{Title: "Webhooks", Body: struct {
		Endpoints []store.EndpointState
		Next      int64
		Most      int32
		Operator  bool
		Result    *tested
	}{states, next, store.MostCounted, userOf(r).Operator, result}})
}

func endpointTarget(r *http.Request) (registry.EndpointTarget, error) {
	id, err := strconv.ParseInt(chi.URLParam(r, "id"), 10, 64)
	return registry.EndpointTarget{Caller: registry.Subscriber{Operator: true}, ID: id}, err
}

// enableEndpoint enables, whatever its test gave: the line of the change says so
// (datapass.md, 2.6).
func enableEndpoint(r *http.Request) (registry.Command, error) {
	t, err := endpointTarget(r)
	return &registry.EnableEndpoint{EndpointTarget: t, Untested: true}, err
}

func disableEndpoint(r *http.Request) (registry.Command, error) {
	t, err := endpointTarget(r)
	return &registry.StopEndpoint{EndpointTarget: t}, err
}

// testEndpoint sends the test event and shows what came of it.
func (h *Handler) testEndpoint(w http.ResponseWriter, r *http.Request) {
	target, err := endpointTarget(r)
	if err != nil {
		http.Error(w, "Identifiant illisible", http.StatusBadRequest)
		return
	}
	test, err := h.Tester.Test(r.Context(), &target)
	var refusal *habilitation.Refusal
	switch {
	case err == nil:
		h.showEndpoints(w, r, &tested{target.ID, test})
	case errors.Is(err, store.ErrNotFound):
		http.Error(w, "Ce webhook n’existe plus : rechargez la page.", http.StatusNotFound)
	case errors.As(err, &refusal):
		http.Error(w, refusal.Message, http.StatusConflict)
	default:
		h.unavailable(w, r, err)
	}
}

// bare is a URL without its query, which may hold a credential.
func bare(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "?"
	}
	u.RawQuery, u.User, u.Fragment = "", nil, ""
	return u.String()
}

package v1

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/passerelle-hub/passerelle/httpapi/problem"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// listRequests gives requests by creation, newest first; with updated_since by
// change, oldest first.
func (h *Handler) listRequests(w http.ResponseWriter, r *http.Request) error {
	q, err := readQuery(r)
	if err != nil {
		return err
	}
	filter := store.Filter{Definitions: h.developed(r), UpdatedSince: q.updatedSince}
	if q.states != nil {
		filter.States = []habilitation.State{}
		for _, s := range q.states {
			if state := habilitation.State(s); slices.Contains(requestStates, state) {
				filter.States = append(filter.States, state)
			}
		}
	}
	if q.siret != "" {
		filter.Organizations = []int64{}
		if siretShape.MatchString(q.siret) {
			if filter.Organizations, err = h.Store.OrganizationsBySIRET(r.Context(), q.siret); err != nil {
				return err
			}
		}
	}
	found, err := h.Store.Requests(r.Context(), filter, q.page)
	if err != nil {
		return err
	}
	ids := make([]int64, len(found.Items))
	for i, item := range found.Items {
		ids[i] = item.ID
	}
	linkNext(w, r, q, found.Next)
	return problem.List(w, r, func(yield func([]requestObject, error) bool) {
		for part := range slices.Chunk(ids, listedAtOnce) {
			if !yield(h.readRequests(r, part)) {
				return
			}
		}
	})
}

// listedAtOnce bounds the whole requests of a list that are in memory together.
const listedAtOnce = 50

var requestStates = []habilitation.State{
	habilitation.Draft, habilitation.Submitted, habilitation.ChangesRequested, habilitation.Validated, habilitation.Refused,
	habilitation.Archived, habilitation.Revoked,
}

// readRequests gives whole requests, in the order of their ids as given.
func (h *Handler) readRequests(r *http.Request, ids []int64) ([]requestObject, error) {
	if len(ids) == 0 {
		return []requestObject{}, nil
	}
	requests, err := h.Store.RequestsByID(r.Context(), ids)
	if err != nil {
		return nil, err
	}
	return h.requestsShown(r, requests)
}

// requestsShown gives requests as they were read, with their events and token ids.
func (h *Handler) requestsShown(r *http.Request, requests []habilitation.Request) ([]requestObject, error) {
	list, ids := []requestObject{}, make([]int64, len(requests))
	for i, req := range requests {
		ids[i] = req.ID
	}
	events, err := h.Store.EventsOfRequests(r.Context(), ids)
	if err != nil {
		return nil, err
	}
	tokens, err := h.Store.TokenIDsOfRequests(r.Context(), ids)
	if err != nil {
		return nil, err
	}
	for _, req := range requests {
		list = append(list, h.requestShown(req, events[req.ID], tokens[req.ID]))
	}
	return list, nil
}

// requestID gives the row of the request that the path names, among those of
// the caller's definitions.
func (h *Handler) requestID(r *http.Request) (int64, error) {
	shown, err := readID(chi.URLParam(r, "id"), "D")
	if err != nil {
		return 0, err
	}
	ids, err := h.Store.RequestIDsShownAs(r.Context(), shown, h.developed(r))
	return only(ids, err)
}

// only is the one of a list: none is not found, several are ambiguous.
func only(ids []int64, err error) (int64, error) {
	switch {
	case err != nil:
		return 0, err
	case len(ids) == 0:
		return 0, errNotFound
	case len(ids) > 1:
		return 0, errAmbiguous
	}
	return ids[0], nil
}

func (h *Handler) showRequest(w http.ResponseWriter, r *http.Request) error {
	id, err := h.requestID(r)
	if err != nil {
		return err
	}
	return h.answer(w, r, http.StatusOK, id)
}

// answer shows a request as it is now, under its version.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, status int, id int64) error {
	req, err := h.Store.Request(r.Context(), id)
	if err != nil {
		return err
	}
	list, err := h.requestsShown(r, []habilitation.Request{req})
	if err != nil {
		return err
	}
	w.Header().Set("ETag", `"`+strconv.FormatInt(req.Version, 10)+`"`)
	if status == http.StatusCreated {
		w.Header().Set("Location", r.URL.Path+"/"+strconv.FormatInt(list[0].ID, 10))
	}
	problem.JSON(w, r, status, list[0])
	return nil
}

// listEvents gives a request's events, newest first; a run of updates is shown
// as its newest (datapass.md, 3.2).
func (h *Handler) listEvents(w http.ResponseWriter, r *http.Request) error {
	id, err := h.requestID(r)
	if err != nil {
		return err
	}
	events, err := h.Store.EventsOfRequests(r.Context(), []int64{id})
	if err != nil {
		return err
	}
	problem.JSON(w, r, http.StatusOK, newestFirst(events[id]))
	return nil
}

func newestFirst(events []store.RequestEvent) []eventObject {
	slices.SortStableFunc(events, func(a, b store.RequestEvent) int { return a.At.Compare(b.At) })
	list := []eventObject{}
	var newer habilitation.EventName
	for _, e := range slices.Backward(events) {
		if e.Name != habilitation.EventUpdate || newer != habilitation.EventUpdate {
			list = append(list, eventShown(e))
		}
		newer = e.Name
	}
	return list
}

// listHabilitations gives habilitations by creation, newest first; with
// updated_since by change, oldest first.
func (h *Handler) listHabilitations(w http.ResponseWriter, r *http.Request) error {
	q, err := readQuery(r)
	if err != nil {
		return err
	}
	filter := store.HabilitationFilter{Definitions: h.developed(r), SIRET: q.siret, UpdatedSince: q.updatedSince}
	if q.states != nil {
		filter.States = []habilitation.GrantState{}
		for _, s := range q.states {
			if state := habilitation.GrantState(s); slices.Contains(grantStates, state) {
				filter.States = append(filter.States, state)
			}
		}
	}
	if q.siret != "" && !siretShape.MatchString(q.siret) {
		filter.Definitions = nil // no organisation has it
	}
	found, next, err := h.Store.Habilitations(r.Context(), filter, q.page)
	if err != nil {
		return err
	}
	list := []heldObject{}
	for _, held := range found {
		list = append(list, h.heldShown(held))
	}
	linkNext(w, r, q, next)
	problem.JSON(w, r, http.StatusOK, list)
	return nil
}

var grantStates = []habilitation.GrantState{habilitation.GrantActive, habilitation.GrantObsolete, habilitation.GrantRevoked}

func (h *Handler) showHabilitation(w http.ResponseWriter, r *http.Request) error {
	shown, err := readID(chi.URLParam(r, "id"), "H")
	if err != nil {
		return err
	}
	ids, err := h.Store.HabilitationIDsShownAs(r.Context(), shown, h.developed(r))
	id, err := only(ids, err)
	if err != nil {
		return err
	}
	found, err := h.Store.HabilitationsByID(r.Context(), []int64{id})
	if err != nil {
		return err
	}
	problem.JSON(w, r, http.StatusOK, h.heldShown(found[0]))
	return nil
}

// listAttempts gives an endpoint's tries, newest first; either bound works alone
// (datapass.md, 2.9).
func (h *Handler) listAttempts(w http.ResponseWriter, r *http.Request) error {
	number, err := readID(chi.URLParam(r, "id"), "")
	if err != nil {
		return err
	}
	endpoint, err := h.Store.Endpoint(r.Context(), number)
	if err != nil {
		return err
	}
	if _, err := h.definition(r, endpoint.Definition); err != nil {
		return err
	}
	since, err := bound(r, "start_time")
	if err != nil {
		return err
	}
	until, err := bound(r, "end_time")
	if err != nil {
		return err
	}
	attempts, err := h.Store.Attempts(r.Context(), endpoint.ID, since, until, limitOf(r.URL.Query().Get("limit"), defaultAttempts))
	if err != nil {
		return err
	}
	list := []attemptObject{}
	for _, a := range attempts {
		list = append(list, attemptObject{
			ID: a.ID, Event: a.Event, StatusCode: a.Status, ResponseBody: strings.ToValidUTF8(a.Answer, "\ufffd"), CreatedAt: wireTime(a.At),
			AuthorizationRequestID: a.ShownRequestID,
		})
	}
	problem.JSON(w, r, http.StatusOK, list)
	return nil
}

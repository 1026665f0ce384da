package hub

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/passerelle-hub/passerelle/httpapi/problem"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// Bounds of a list.
const (
	defaultLimit = 25
	maxLimit     = 100
	maxOffset    = 10_000 // beyond, a cursor costs the same as the first page
	maxValues    = 100    // of one repeated parameter
)

// Parameters of a list.
const (
	paramState        = "state"
	paramDefinition   = "definition_id"
	paramForm         = "form_uid"
	paramOrganization = "organization"
	paramApplicant    = "applicant"
	paramText         = "q"
	paramUpdated      = "updated_since"
	paramView         = "view"
	paramLimit        = "limit"
	paramOffset       = "offset"
	paramCursor       = "cursor"
)

// Views: what the caller lists.
const (
	viewRoles        = "roles"        // the requests that his roles let him read
	viewOwnHolder    = "organization" // those of his current organisation, or his own there when his link is not verified
	cursorByCreation = "c"
	cursorByChange   = "u"
	cursorBySearch   = "q"
)

type listView struct {
	Requests   []summaryView `json:"requests"`
	Total      *totalView    `json:"total"`       // of the first page; null on the others
	NextCursor *string       `json:"next_cursor"` // null: nothing more
}

// totalView counts what matches, exactly up to a thousand (store.MaxTotal).
type totalView struct {
	Value int  `json:"value"`
	Exact bool `json:"exact"` // false: at least value
}

// list lists and searches requests.
func (h *Handler) list(w http.ResponseWriter, r *http.Request) error {
	q, err := parseQuery(r.URL)
	if err != nil {
		return err
	}
	filter, err := h.filter(r, q)
	if err != nil {
		return err
	}
	page, err := q.page(filter)
	if err != nil {
		return err
	}
	found, err := h.Store.Requests(r.Context(), filter, page)
	if err != nil {
		return err
	}
	view := listView{Requests: make([]summaryView, len(found.Items))}
	for i, item := range found.Items {
		view.Requests[i] = viewSummary(item)
	}
	if found.Total != nil {
		view.Total = &totalView{found.Total.Value, found.Total.Exact}
	}
	if found.Next != nil {
		next := writeCursor(orderOf(filter), *found.Next)
		view.NextCursor = &next
		again := r.URL.Query()
		again.Del(paramOffset)
		again.Set(paramCursor, next)
		w.Header().Set("Link", fmt.Sprintf(`</hub/v1/requests?%s>; rel="next"`, again.Encode()))
	}
	w.Header().Set("Cache-Control", "no-store")
	problem.JSON(w, r, http.StatusOK, view)
	return nil
}

// query is the parameters of a list, each known.
type query struct{ values url.Values }

func parseQuery(u *url.URL) (query, error) {
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return query{}, problem.New(http.StatusBadRequest, "parametre", "Paramètre invalide", "Les paramètres de l’adresse sont illisibles.")
	}
	many := []string{paramState, paramDefinition, paramForm}
	one := []string{paramOrganization, paramApplicant, paramText, paramUpdated, paramView, paramLimit, paramOffset, paramCursor}
	for name, given := range values {
		switch {
		case slices.Contains(many, name):
			if len(given) > maxValues {
				return query{}, parameterProblem(name, fmt.Sprintf("%d valeurs au plus", maxValues))
			}
		case !slices.Contains(one, name):
			return query{}, parameterProblem(name, "paramètre inconnu")
		case len(given) > 1:
			return query{}, parameterProblem(name, "une seule valeur est attendue")
		}
		for _, v := range given {
			if len(v) > 500 || slices.Contains([]byte(v), 0) {
				return query{}, parameterProblem(name, "valeur trop longue ou illisible")
			}
		}
	}
	return query{values}, nil
}

func (q query) get(name string) string { return q.values.Get(name) }

func (q query) number(name string, byDefault, least, most int) (int, error) {
	text := q.get(name)
	if text == "" {
		return byDefault, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, parameterProblem(name, fmt.Sprintf("un nombre de %d à %d est attendu", least, most))
	}
	return n, nil
}

// page reads where the list is to be read.
func (q query) page(f store.Filter) (store.Page, error) {
	var p store.Page
	var err error
	if p.Limit, err = q.number(paramLimit, defaultLimit, 1, maxLimit); err != nil {
		return p, err
	}
	if n, nerr := strconv.Atoi(q.get(paramOffset)); nerr == nil && n > maxOffset {
		return p, parameterProblem(paramOffset, fmt.Sprintf("%d au plus : suivez plutôt next_cursor", maxOffset))
	}
	if p.Offset, err = q.number(paramOffset, 0, 0, maxOffset); err != nil {
		return p, err
	}
	if len(f.Words) > 0 && p.Offset+p.Limit > store.MaxTotal {
		return p, parameterProblem(paramOffset, fmt.Sprintf("avec q, %d au plus : suivez plutôt next_cursor", store.MaxTotal-p.Limit))
	}
	if text := q.get(paramCursor); text != "" {
		if q.get(paramOffset) != "" {
			return p, parameterProblem(paramOffset, "offset et cursor s’excluent")
		}
		if p.After, err = readCursor(orderOf(f), text); err != nil {
			return p, err
		}
	}
	return p, nil
}

func orderOf(f store.Filter) string {
	switch {
	case len(f.Words) > 0:
		return cursorBySearch
	case !f.UpdatedSince.IsZero():
		return cursorByChange
	}
	return cursorByCreation
}

// cursor is a place in a list, opaque to clients.
type cursor struct {
	Order string `json:"o"`
	At    int64  `json:"t,omitempty"` // microseconds
	ID    int64  `json:"i"`
}

func writeCursor(order string, c store.Cursor) string {
	v := cursor{Order: order, ID: c.ID}
	if !c.At.IsZero() {
		v.At = c.At.UnixMicro()
	}
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err) // numbers and a letter
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

func readCursor(order, text string) (*store.Cursor, error) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	var v cursor
	if err != nil || json.Unmarshal(raw, &v) != nil || v.Order != order || v.ID <= 0 || v.At < 0 {
		return nil, parameterProblem(paramCursor, "ce n’est pas le next_cursor d’une liste avec ces filtres")
	}
	c := &store.Cursor{ID: v.ID}
	if order != cursorBySearch {
		c.At = time.UnixMicro(v.At).UTC()
	}
	return c, nil
}

// filter reads what is looked for, inside what the caller may read.
func (h *Handler) filter(r *http.Request, q query) (store.Filter, error) {
	f := store.Filter{Forms: q.values[paramForm]}
	for _, s := range q.values[paramState] {
		state := habilitation.State(s)
		if !slices.Contains(allStates, state) {
			return f, parameterProblem(paramState, "état inconnu : draft, submitted, changes_requested, validated, refused, archived ou revoked")
		}
		if !slices.Contains(f.States, state) {
			f.States = append(f.States, state)
		}
	}
	if err := h.scope(r, q, &f); err != nil {
		return f, err
	}
	if err := h.holders(r.Context(), q, &f); err != nil {
		return f, err
	}
	if text := q.get(paramText); text != "" {
		if f.Words = store.SearchWords(text); len(f.Words) == 0 {
			return f, parameterProblem(paramText, "aucun mot à chercher : deux lettres au moins, hors mots vides")
		}
	}
	if since := q.get(paramUpdated); since != "" {
		at, err := time.Parse(time.RFC3339, since)
		if err != nil {
			return f, parameterProblem(paramUpdated, "une date ISO 8601 avec son décalage est attendue : 2026-03-24T11:05:18+01:00")
		}
		f.UpdatedSince = at.UTC()
		if len(f.Words) > 0 {
			return f, parameterProblem(paramUpdated, "updated_since et q s’excluent")
		}
	}
	return f, nil
}

var allStates = []habilitation.State{
	habilitation.Draft, habilitation.Submitted, habilitation.ChangesRequested, habilitation.Validated, habilitation.Refused,
	habilitation.Archived, habilitation.Revoked,
}

// scope keeps the list inside what the caller may read in full: by his roles,
// or in his organisation. Requests that only name him as a contact are read one
// by one.
func (h *Handler) scope(r *http.Request, q query, f *store.Filter) error {
	caller := callerOf(r)
	readable := []string{}
	for _, d := range h.Catalogue.Definitions() {
		if caller.Roles.Allow(habilitation.ReadRequests, d.Provider, d.UID) {
			readable = append(readable, d.UID)
		}
	}
	view := q.get(paramView)
	if view == "" {
		view = viewOwnHolder
		if len(readable) > 0 || caller.Roles.Admin || caller.Machine() {
			view = viewRoles
		}
	}
	asked := q.values[paramDefinition]
	switch view {
	case viewRoles:
		switch {
		case asked == nil && caller.Roles.Admin:
		case asked == nil:
			f.Definitions = readable
		case caller.Roles.Admin:
			f.Definitions = asked
		default:
			f.Definitions = slices.DeleteFunc(slices.Clone(asked), func(uid string) bool { return !slices.Contains(readable, uid) })
		}
		return nil
	case viewOwnHolder:
		f.Definitions = asked
		return h.own(r.Context(), f, caller.Viewer())
	}
	return parameterProblem(paramView, "roles ou organization est attendu")
}

// own keeps the list inside the caller's organisation.
func (h *Handler) own(ctx context.Context, f *store.Filter, caller habilitation.Viewer) error {
	f.Organizations = []int64{}
	if caller.Organization == 0 {
		return nil
	}
	f.Organizations = []int64{caller.Organization}
	var err error
	if caller.SIRET != "" {
		if f.Organizations, err = h.Store.OrganizationsBySIRET(ctx, caller.SIRET); err != nil {
			return err
		}
	}
	if !caller.Verified {
		f.Applicants, err = h.Store.PeopleByEmail(ctx, caller.Email)
	}
	return err
}

// holders reads the organisation and the applicant that are looked for.
func (h *Handler) holders(ctx context.Context, q query, f *store.Filter) error {
	if text := q.get(paramOrganization); text != "" {
		find := h.Store.OrganizationsByName
		if _, err := strconv.ParseUint(text, 10, 64); err == nil {
			if !habilitation.ValidSIRET(text) {
				return parameterProblem(paramOrganization, "ce n’est pas un SIRET")
			}
			find = h.Store.OrganizationsBySIRET
		}
		ids, err := find(ctx, text)
		if err != nil {
			return err
		}
		f.Organizations = both(f.Organizations, ids)
	}
	if email := q.get(paramApplicant); email != "" {
		ids, err := h.Store.PeopleByEmail(ctx, email)
		if err != nil {
			return err
		}
		f.Applicants = both(f.Applicants, ids)
	}
	return nil
}

// both gives what is in two filters; nil is no filter.
func both(a, b []int64) []int64 {
	if a == nil {
		return b
	}
	return slices.DeleteFunc(slices.Clone(a), func(id int64) bool { return !slices.Contains(b, id) })
}

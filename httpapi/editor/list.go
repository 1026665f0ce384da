package editor

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/httpapi/problem"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// listView is one page of a list.
type listView[T any] struct {
	Data       []T     `json:"data"`
	NextCursor *string `json:"next_cursor"` // null: nothing more
}

// page cuts what was read, one more than asked for, into a page; place says
// where an item is in the list.
func page[R, T any](list, editor string, rows []R, limit int, view func(R) T, place func(R) string) listView[T] {
	v := listView[T]{Data: make([]T, 0, len(rows))}
	if len(rows) > limit {
		next := writeCursor(list, editor, place(rows[limit-1]))
		v.NextCursor, rows = &next, rows[:limit]
	}
	for _, row := range rows {
		v.Data = append(v.Data, view(row))
	}
	return v
}

// me says who calls.
func (h *Handler) me(w http.ResponseWriter, r *http.Request) error {
	if _, err := parseQuery(r); err != nil {
		return err
	}
	caller := callerOf(r)
	view := struct {
		ID        string    `json:"id"`
		Name      string    `json:"name"`
		SIRET     *string   `json:"siret"`
		ClientID  uuid.UUID `json:"client_id"`
		Fetchable []string  `json:"fetchable_definitions"` // whose keys a declared link lets it fetch
	}{ID: caller.Editor(), Name: caller.Editor(), ClientID: caller.Application.ID, Fetchable: []string{}}
	if p, ok := h.Catalogue.ServiceProvider(view.ID); ok {
		view.Name = p.Name
		if p.SIRET != "" {
			view.SIRET = &p.SIRET
		}
	}
	view.Fetchable = append(view.Fetchable, h.fetchable().AnyLink...)
	problem.JSON(w, r, http.StatusOK, view)
	return nil
}

func (h *Handler) fetchable() store.Fetchable {
	var uids []string
	for _, d := range h.Catalogue.Definitions() {
		uids = append(uids, d.UID)
	}
	return h.Registry.Fetchable(uids...)
}

type clientView struct {
	ID            string    `json:"id"` // its SIRET
	SIRET         string    `json:"siret"`
	Name          string    `json:"name"`
	Requests      int64     `json:"requests"`
	DefinitionIDs []string  `json:"definition_ids"`
	UpdatedAt     time.Time `json:"updated_at"`
	Version       int64     `json:"version"`
}

// clients lists the organisations whose requests the editor is bound to.
func (h *Handler) clients(w http.ResponseWriter, r *http.Request) error {
	q, err := parseQuery(r, paramSIRET, paramDefinition, paramLimit, paramCursor)
	if err != nil {
		return err
	}
	f, err := h.filter(r, q)
	if err != nil {
		return err
	}
	after, err := readCursor(paramCursor, "clients", f.Editor, q.get(paramCursor))
	if err != nil {
		return err
	}
	limit := f.Limit
	f.Limit++
	rows, err := h.Store.EditorClients(r.Context(), f, after)
	if err != nil {
		return err
	}
	problem.JSON(w, r, http.StatusOK, page("clients", f.Editor, rows, limit, func(c store.EditorClient) clientView {
		return clientView{c.Siret, c.Siret, c.Name, c.Requests, c.Definitions, c.UpdatedAt, c.UpdatedAt.UnixMilli()}
	}, func(c store.EditorClient) string { return c.Siret }))
	return nil
}

type habilitationView struct {
	ID           int64       `json:"id"`
	State        string      `json:"state"` // active, obsolete or revoked
	DefinitionID string      `json:"definition_id"`
	FormUID      string      `json:"form_uid"`
	Request      requestView `json:"request"`
	Link         linkView    `json:"link"`
	CreatedAt    time.Time   `json:"created_at"`
	UpdatedAt    time.Time   `json:"updated_at"`
	Version      int64       `json:"version"`
}

// requestView names the request that something belongs to: no person.
type requestView struct {
	ID           int64   `json:"id"`
	DataPassID   *int64  `json:"datapass_id"` // null for a request made here
	State        string  `json:"state,omitempty"`
	Title        string  `json:"title"`
	FormUID      string  `json:"form_uid,omitempty"`
	SIRET        *string `json:"siret"`
	Organization string  `json:"organization"`
}

// linkView says what binds the editor to the request.
type linkView struct {
	Origins  []string `json:"origins"` // declared, consented, imported
	MayFetch bool     `json:"may_fetch"`
}

func viewHabilitation(row store.EditorHabilitation, fetchable store.Fetchable) habilitationView {
	return habilitationView{
		ID: row.ID, State: row.State, DefinitionID: row.Definition, FormUID: row.Form, CreatedAt: row.CreatedAt,
		UpdatedAt: row.UpdatedAt.UTC(), Version: row.Version,
		Request: requestView{
			ID: row.RequestID, DataPassID: row.RequestExternalID, State: row.RequestState, Title: row.Title, SIRET: row.Siret, Organization: row.Name,
		},
		Link: linkView{Origins: row.Origins, MayFetch: fetchable.Allows(row.Definition, row.Origins)},
	}
}

var grantStates = []string{string(habilitation.GrantActive), string(habilitation.GrantObsolete), string(habilitation.GrantRevoked)}

// habilitations lists what the editor's clients were granted.
func (h *Handler) habilitations(w http.ResponseWriter, r *http.Request) error {
	q, err := parseQuery(r, paramSIRET, paramDefinition, paramState, paramUpdated, paramLimit, paramCursor)
	if err != nil {
		return err
	}
	f, err := h.filter(r, q)
	if err != nil {
		return err
	}
	if f.State = q.get(paramState); f.State != "" && !slices.Contains(grantStates, f.State) {
		return badParameter(paramState, "état inconnu : "+strings.Join(grantStates, ", "))
	}
	place, err := readCursor(paramCursor, "habilitations", f.Editor, q.get(paramCursor))
	if err != nil {
		return err
	}
	var after int64
	if place != "" {
		if after, err = strconv.ParseInt(place, 10, 64); err != nil {
			return badCursor(paramCursor)
		}
	}
	limit := f.Limit
	f.Limit++
	rows, err := h.Store.EditorHabilitations(r.Context(), f, after)
	if err != nil {
		return err
	}
	fetchable := h.fetchable()
	problem.JSON(w, r, http.StatusOK, page("habilitations", f.Editor, rows, limit,
		func(row store.EditorHabilitation) habilitationView { return viewHabilitation(row, fetchable) },
		func(row store.EditorHabilitation) string { return strconv.FormatInt(row.ID, 10) }))
	return nil
}

// habilitation gives one.
func (h *Handler) habilitation(w http.ResponseWriter, r *http.Request) error {
	id, err := strconv.ParseInt(chi.URLParam(r, "id"), 10, 64)
	if err != nil || id <= 0 {
		return notFound()
	}
	row, err := h.Store.EditorHabilitation(r.Context(), callerOf(r).Editor(), id)
	if err != nil {
		return err
	}
	problem.JSON(w, r, http.StatusOK, viewHabilitation(row, h.fetchable()))
	return nil
}

// changeView is an entry of the feed: ids only.
type changeView struct {
	Seq        int64            `json:"seq"`
	ID         string           `json:"id"`
	Type       string           `json:"type"`
	OccurredAt time.Time        `json:"occurred_at"`
	RequestID  int64            `json:"request_id"`
	Object     changeObjectView `json:"object"`
}

type changeObjectView struct {
	Type    string `json:"type"` // request or key
	ID      string `json:"id"`
	Version int64  `json:"version"`
}

// feedView is a stretch of the feed. Next is where to go on, also when there is
// nothing yet.
type feedView struct {
	Data    []changeView `json:"data"`
	Next    string       `json:"next"`
	HasMore bool         `json:"has_more"`
}

// changes follows what happens to the editor's clients.
func (h *Handler) changes(w http.ResponseWriter, r *http.Request) error {
	q, err := parseQuery(r, paramAfter, paramLimit)
	if err != nil {
		return err
	}
	f, err := h.filter(r, q)
	if err != nil {
		return err
	}
	place, err := readCursor(paramAfter, "changes", f.Editor, q.get(paramAfter))
	if err != nil {
		return err
	}
	after := store.FeedStart
	if place != "" {
		if after, err = strconv.ParseInt(place, 10, 64); err != nil || after < 0 {
			return badCursor(paramAfter)
		}
	}
	rows, after, err := h.Store.Changes(r.Context(), f.Editor, after, f.Limit+1)
	if err != nil {
		return err
	}
	view := feedView{Data: make([]changeView, 0, len(rows))}
	if view.HasMore = len(rows) > f.Limit; view.HasMore {
		rows = rows[:f.Limit]
	}
	for _, c := range rows {
		after = c.Seq
		view.Data = append(view.Data, changeView{
			Seq: c.Seq, ID: f.Editor + "/" + strconv.FormatInt(c.Seq, 10), Type: c.Type, OccurredAt: c.At.UTC(), RequestID: c.RequestID,
			Object: changeObjectView{c.ObjectType, c.ObjectID, c.Version},
		})
	}
	view.Next = writeCursor("changes", f.Editor, strconv.FormatInt(after, 10))
	problem.JSON(w, r, http.StatusOK, view)
	return nil
}

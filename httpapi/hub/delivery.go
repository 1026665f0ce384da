package hub

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/httpapi/auth"
	"github.com/passerelle-hub/passerelle/httpapi/problem"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// deliveryRoutes show what an endpoint was sent, and send it again.
func (h *Handler) deliveryRoutes() []Route {
	read, write := auth.ScopeReadWebhooks, auth.ScopeWriteWebhooks
	return []Route{
		{http.MethodGet, "/webhooks/{id}/messages", read, h.messages},
		{http.MethodGet, "/webhooks/{id}/messages/{message}", read, h.message},
		{http.MethodGet, "/webhooks/{id}/attempts", read, h.attempts},
		{http.MethodGet, "/webhooks/{id}/tokens", read, h.tokens},
		{http.MethodGet, "/webhooks/{id}/replays", read, h.replays},
		{http.MethodPost, "/webhooks/{id}/replays", write, h.startReplay},
		{http.MethodGet, "/webhooks/{id}/replays/{replay}", read, h.replay},
		{http.MethodPost, "/webhooks/{id}/replays/{replay}/cancel", write, h.cancelReplay},
	}
}

// Parameters of the lists of messages and tries.
const (
	paramEvent      = "event"
	paramRequest    = "request_id"
	paramMessage    = "message_id"
	paramStatus     = "status"
	paramOutcome    = "outcome"
	paramStatusCode = "status_code"
	paramErrorClass = "error_class"
	paramSince      = "since"
	paramUntil      = "until"
)

// parameters reads a query whose parameters are all known, each given once.
func parameters(u *url.URL, known ...string) (query, error) {
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return query{}, problem.New(http.StatusBadRequest, "parametre", "Paramètre invalide", "Les paramètres de l’adresse sont illisibles.")
	}
	for name, given := range values {
		switch {
		case !slices.Contains(known, name):
			return query{}, parameterProblem(name, "paramètre inconnu")
		case len(given) > 1:
			return query{}, parameterProblem(name, "une seule valeur est attendue")
		case len(given[0]) > 500 || slices.Contains([]byte(given[0]), 0):
			return query{}, parameterProblem(name, "valeur trop longue ou illisible")
		}
	}
	return query{values}, nil
}

func (q query) time(name string) (time.Time, error) {
	text := q.get(name)
	if text == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil || at.Year() < 1970 {
		return at, parameterProblem(name, "une date ISO 8601 avec son décalage est attendue : 2026-03-24T11:05:18+01:00")
	}
	return at.UTC(), nil
}

func (q query) id(name string) (int64, error) {
	text := q.get(name)
	if text == "" {
		return 0, nil
	}
	id, ok := parseID(text, 'D')
	if !ok {
		return 0, parameterProblem(name, "un identifiant est attendu : 123")
	}
	return id, nil
}

func (q query) oneOf(name string, values ...string) (string, error) {
	text := q.get(name)
	if text != "" && !slices.Contains(values, text) {
		return "", parameterProblem(name, fmt.Sprintf("une de ces valeurs est attendue : %v", values))
	}
	return text, nil
}

// span reads since and until.
func (q query) span() (since, until time.Time, err error) {
	if since, err = q.time(paramSince); err != nil {
		return
	}
	if until, err = q.time(paramUntil); err == nil && !until.IsZero() && until.Before(since) {
		err = parameterProblem(paramUntil, "cette date est avant since")
	}
	return
}

// uuidCursor is a place in a list of ids, opaque to clients.
func (q query) uuidCursor() (uuid.UUID, error) {
	text := q.get(paramCursor)
	if text == "" {
		return uuid.Max, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		var id uuid.UUID
		if id, err = uuid.FromBytes(raw); err == nil {
			return id, nil
		}
	}
	return uuid.Nil, parameterProblem(paramCursor, "ce n’est pas le next_cursor de cette liste")
}

func nextUUID(id uuid.UUID) *string {
	if id == uuid.Nil {
		return nil
	}
	text := base64.RawURLEncoding.EncodeToString(id[:])
	return &text
}

func (q query) timeCursor(order string) (*store.Cursor, error) {
	if q.get(paramCursor) == "" {
		return nil, nil
	}
	return readCursor(order, q.get(paramCursor))
}

func nextTime(order string, c *store.Cursor) *string {
	if c == nil {
		return nil
	}
	text := writeCursor(order, *c)
	return &text
}

const (
	cursorByTry    = "a"
	cursorByAnswer = "t"
)

// answerList sends a page, with the address of the next one.
func answerList(w http.ResponseWriter, r *http.Request, name string, items any, next *string) {
	if next != nil {
		again := r.URL.Query()
		again.Set(paramCursor, *next)
		w.Header().Set("Link", fmt.Sprintf(`<%s?%s>; rel="next"`, r.URL.EscapedPath(), again.Encode()))
	}
	w.Header().Set("Cache-Control", "no-store")
	problem.JSON(w, r, http.StatusOK, map[string]any{name: items, "next_cursor": next})
}

// messageView is an event as one endpoint is told of it.
type messageView struct {
	ID             uuid.UUID        `json:"id"` // webhook-id
	Event          string           `json:"event"`
	RequestID      *int64           `json:"request_id"`
	HabilitationID *int64           `json:"habilitation_id"`
	Subject        string           `json:"subject"`
	Sequence       int64            `json:"sequence"` // webhook-sequence
	OccurredAt     time.Time        `json:"occurred_at"`
	Status         string           `json:"status"`
	Reason         string           `json:"reason,omitempty"` // why it was given up
	NextTryAt      *time.Time       `json:"next_try_at"`
	ReplayID       *uuid.UUID       `json:"replay_id"`
	Replayable     bool             `json:"replayable"` // its body is kept
	LastTry        *lastTryView     `json:"last_try"`
	Body           *json.RawMessage `json:"body,omitempty"`
	BodyHidden     string           `json:"body_hidden,omitempty"` // why the body is not shown
	Attempts       []attemptView    `json:"attempts,omitempty"`
}

type lastTryView struct {
	At         time.Time `json:"at"`
	Outcome    string    `json:"outcome"`
	StatusCode *int      `json:"status_code"`
	ErrorClass string    `json:"error_class,omitempty"`
}

func viewMessage(m store.Message) messageView {
	v := messageView{
		ID: m.ID, Event: m.Type, RequestID: optional(m.RequestID), HabilitationID: optional(m.HabilitationID), Subject: m.Subject,
		Sequence: m.Seq, OccurredAt: m.OccurredAt, Status: m.State, Reason: m.Reason, NextTryAt: optional(m.NextAt),
		ReplayID: optional(m.ReplayID), Replayable: !m.Purged,
	}
	if !m.TriedAt.IsZero() {
		v.LastTry = &lastTryView{At: m.TriedAt, Outcome: m.LastOutcome, StatusCode: optional(m.LastStatus), ErrorClass: m.LastErrorClass}
	}
	return v
}

// messages lists what an endpoint is told of, newest first.
func (h *Handler) messages(w http.ResponseWriter, r *http.Request) error {
	e, err := h.managed(r)
	if err != nil {
		return err
	}
	q, err := parameters(r.URL, paramEvent, paramRequest, paramStatus, paramSince, paramUntil, paramLimit, paramCursor)
	if err != nil {
		return err
	}
	f := store.MessageFilter{Type: q.get(paramEvent)}
	if f.RequestID, err = q.id(paramRequest); err != nil {
		return err
	}
	if f.State, err = q.oneOf(paramStatus, store.MessageWaiting, store.MessageDelivered, store.MessageFailed, store.MessageNone); err != nil {
		return err
	}
	if f.Since, f.Until, err = q.span(); err != nil {
		return err
	}
	limit, err := q.number(paramLimit, defaultLimit, 1, maxLimit)
	if err != nil {
		return err
	}
	before, err := q.uuidCursor()
	if err != nil {
		return err
	}
	list, next, err := h.Store.Messages(r.Context(), e, f, before, limit)
	if err != nil {
		return err
	}
	views := make([]messageView, len(list))
	for i, m := range list {
		views[i] = viewMessage(m)
	}
	answerList(w, r, "messages", views, nextUUID(next))
	return nil
}

// attemptsOfMessage bounds the tries shown with one message.
const attemptsOfMessage = 100

// message shows one, with its tries, and its body to those who may read it:
// ours holds ids only; DataPass's may hold personal data (readsBodies).
func (h *Handler) message(w http.ResponseWriter, r *http.Request) error {
	e, err := h.managed(r)
	if err != nil {
		return err
	}
	id, err := uuid.Parse(chi.URLParam(r, "message"))
	if err != nil {
		return store.ErrNotFound
	}
	m, err := h.Store.Message(r.Context(), e, id)
	if err != nil {
		return err
	}
	view := viewMessage(m)
	switch {
	case m.Purged:
		view.BodyHidden = "Le corps n’est plus conservé."
	case e.Format == store.FormatDataPass && !h.readsBodies(r, e):
		view.BodyHidden = "Ce corps peut contenir des données personnelles : il faut pouvoir lire les demandes (portée read_authorizations)."
	default:
		bodies, err := h.Store.Bodies(r.Context(), id)
		if err != nil {
			return err
		}
		body := bodies.Standard
		if e.Format == store.FormatDataPass {
			body = bodies.DataPass
		}
		view.Body = &body
	}
	tries, err := h.Store.AttemptsOfMessage(r.Context(), e.ID, id, attemptsOfMessage)
	if err != nil {
		return err
	}
	view.Attempts = viewAttempts(tries)
	w.Header().Set("Cache-Control", "no-store")
	problem.JSON(w, r, http.StatusOK, view)
	return nil
}

// readsBodies reports whether the caller may read what DataPass's bodies to an
// endpoint show: whoever reads the requests of its definition, and the editor
// that they were sent to.
func (h *Handler) readsBodies(r *http.Request, e store.Endpoint) bool {
	caller := callerOf(r)
	if !caller.Has(auth.ScopeReadAuthorizations) {
		return false
	}
	if e.Editor != "" {
		own := registry.Subscriber{SIRET: subscriberOf(r).SIRET}
		return h.Registry.MayManage(own, "", e.Editor)
	}
	d, known := h.Catalogue.Definition(e.Definition)
	return known && caller.Roles.Allow(habilitation.ReadRequests, d.Provider, d.UID)
}

// attemptView is one try to deliver.
type attemptView struct {
	ID         int64     `json:"id"`
	MessageID  uuid.UUID `json:"message_id"`
	Event      string    `json:"event"`
	RequestID  *int64    `json:"request_id"`
	Attempt    int       `json:"attempt"` // webhook-attempt
	At         time.Time `json:"at"`
	Outcome    string    `json:"outcome"`
	StatusCode *int      `json:"status_code"`
	ErrorClass string    `json:"error_class,omitempty"`
	Error      string    `json:"error,omitempty"`
	DurationMs int64     `json:"duration_ms"`
	Answer     string    `json:"answer"` // its first 10,000 characters
	Address    string    `json:"address,omitempty"`
}

func viewAttempts(list []store.Attempt) []attemptView {
	views := make([]attemptView, len(list))
	for i, a := range list {
		views[i] = attemptView{
			ID: a.ID, MessageID: a.EventID, Event: a.Type, RequestID: optional(a.RequestID), Attempt: a.N, At: a.At, Outcome: a.Outcome,
			StatusCode: optional(a.Status), ErrorClass: a.ErrorClass, Error: a.Error, DurationMs: a.Duration.Milliseconds(), Answer: a.Answer,
			Address: a.Remote,
		}
	}
	return views
}

// attempts lists an endpoint's tries, newest first.
func (h *Handler) attempts(w http.ResponseWriter, r *http.Request) error {
	e, err := h.managed(r)
	if err != nil {
		return err
	}
	q, err := parameters(r.URL, paramEvent, paramRequest, paramOutcome, paramStatusCode, paramErrorClass, paramSince, paramUntil, paramLimit, paramCursor)
	if err != nil {
		return err
	}
	f := store.AttemptFilter{Type: q.get(paramEvent), ErrorClass: q.get(paramErrorClass)}
	if f.RequestID, err = q.id(paramRequest); err != nil {
		return err
	}
	if f.Outcome, err = q.oneOf(paramOutcome, store.Delivered, store.Failed, store.Abandoned); err != nil {
		return err
	}
	if f.Status, err = q.number(paramStatusCode, 0, 100, 999); err != nil {
		return err
	}
	if f.Since, f.Until, err = q.span(); err != nil {
		return err
	}
	limit, err := q.number(paramLimit, defaultLimit, 1, maxLimit)
	if err != nil {
		return err
	}
	after, err := q.timeCursor(cursorByTry)
	if err != nil {
		return err
	}
	list, next, err := h.Store.SearchAttempts(r.Context(), e.ID, f, after, limit)
	if err != nil {
		return err
	}
	answerList(w, r, "attempts", viewAttempts(list), nextTime(cursorByTry, next))
	return nil
}

// tokenView is what a receiver answered to an approval.
type tokenView struct {
	HabilitationID int64     `json:"habilitation_id"`
	RequestID      int64     `json:"request_id"`
	TokenID        string    `json:"token_id"`
	MessageID      uuid.UUID `json:"message_id"`
	StatusCode     int32     `json:"status_code"`
	AnsweredAt     time.Time `json:"answered_at"`
}

// tokens lists the token_id that an endpoint's receiver answered, newest first.
func (h *Handler) tokens(w http.ResponseWriter, r *http.Request) error {
	e, err := h.managed(r)
	if err != nil {
		return err
	}
	q, err := parameters(r.URL, paramRequest, paramLimit, paramCursor)
	if err != nil {
		return err
	}
	request, err := q.id(paramRequest)
	if err != nil {
		return err
	}
	limit, err := q.number(paramLimit, defaultLimit, 1, maxLimit)
	if err != nil {
		return err
	}
	after, err := q.timeCursor(cursorByAnswer)
	if err != nil {
		return err
	}
	list, next, err := h.Store.EndpointTokens(r.Context(), e.ID, request, after, limit)
	if err != nil {
		return err
	}
	views := make([]tokenView, len(list))
	for i, t := range list {
		views[i] = tokenView{t.HabilitationID, t.RequestID, t.TokenID, t.EventID, t.Status, t.AnsweredAt}
	}
	answerList(w, r, "tokens", views, nextTime(cursorByAnswer, next))
	return nil
}

// replayView is a replay with how far it is.
type replayView struct {
	ID         uuid.UUID  `json:"id"`
	WebhookID  int64      `json:"webhook_id"`
	Scope      string     `json:"scope"`
	MessageID  *uuid.UUID `json:"message_id"`
	Since      *time.Time `json:"since"`
	State      string     `json:"state"`
	ReadUpTo   *time.Time `json:"read_up_to"`
	Queued     int64      `json:"queued"`
	Delivered  int64      `json:"delivered"`
	Waiting    int64      `json:"waiting"`
	Failed     int64      `json:"failed"`
	Withdrawn  int64      `json:"withdrawn"`
	Skipped    int64      `json:"already_waiting"`
	Past       int64      `json:"past_retention"`
	CreatedBy  string     `json:"created_by"`
	CreatedAt  time.Time  `json:"created_at"`
	FinishedAt *time.Time `json:"finished_at"`
}

func viewReplay(r store.ListedReplay) replayView {
	v := replayView{
		ID: r.ID, WebhookID: r.EndpointID, Scope: r.Scope, MessageID: optional(r.EventID), Since: optional(r.Since), State: r.State,
		Queued: r.Queued, Delivered: r.Delivered, Waiting: r.Waiting, Failed: r.Failed, Withdrawn: r.Withdrawn, Skipped: r.Owed, Past: r.Past,
		CreatedBy: r.CreatedBy, CreatedAt: r.CreatedAt, FinishedAt: optional(r.FinishedAt),
	}
	if r.Scope != store.ReplayMessage {
		v.ReadUpTo = optional(r.ReadUpTo)
	}
	return v
}

// replays lists an endpoint's replays, newest first.
func (h *Handler) replays(w http.ResponseWriter, r *http.Request) error {
	e, err := h.managed(r)
	if err != nil {
		return err
	}
	q, err := parameters(r.URL, paramLimit, paramCursor)
	if err != nil {
		return err
	}
	limit, err := q.number(paramLimit, defaultLimit, 1, maxLimit)
	if err != nil {
		return err
	}
	before, err := q.uuidCursor()
	if err != nil {
		return err
	}
	list, err := h.Store.Replays(r.Context(), e.ID, before, limit+1)
	if err != nil {
		return err
	}
	var next uuid.UUID
	if len(list) > limit {
		list = list[:limit]
		next = list[limit-1].ID
	}
	views := make([]replayView, len(list))
	for i, replay := range list {
		views[i] = viewReplay(replay)
	}
	answerList(w, r, "replays", views, nextUUID(next))
	return nil
}

// startReplay has messages sent again.
func (h *Handler) startReplay(w http.ResponseWriter, r *http.Request) error {
	e, err := h.managed(r)
	if err != nil {
		return err
	}
	body, raw, err := readObject(w, r, h.MaxBody)
	if err != nil {
		return err
	}
	cmd := &registry.StartReplay{EndpointID: e.ID, Scope: body.text("scope")}
	id, since := body.text(paramMessage), body.text(paramSince)
	switch cmd.Scope {
	case store.ReplayMessage:
		if cmd.EventID, err = uuid.Parse(id); err != nil {
			body.fault(paramMessage, "l’identifiant d’un message est attendu (en-tête webhook-id)")
		}
		if since != "" {
			body.fault(paramSince, "sans objet pour un seul message")
		}
	case store.ReplayFailed, store.ReplayAll:
		if cmd.Since, err = time.Parse(time.RFC3339, since); err != nil || cmd.Since.Year() < 1970 {
			body.fault(paramSince, "une date ISO 8601 avec son décalage est attendue : 2026-03-24T11:05:18+01:00")
		}
		cmd.Since = cmd.Since.UTC().Truncate(time.Microsecond) // as it is stored
		if id != "" {
			body.fault(paramMessage, "n’a de sens qu’avec la portée message")
		}
	default:
		body.fault("scope", "message, failed ou all est attendu")
	}
	if err := body.close(); err != nil {
		return err
	}
	return h.record(w, r, raw, cmd, func() (store.Answer, error) {
		status := http.StatusCreated
		if cmd.Known {
			status = http.StatusOK
		}
		answer, err := answerReplay(status, cmd.Replay)
		if err == nil {
			answer.Header["Location"] = fmt.Sprintf("/hub/v1/webhooks/%d/replays/%s", e.ID, cmd.Replay.ID)
		}
		return answer, err
	})
}

func answerReplay(status int, r store.ListedReplay) (store.Answer, error) {
	var body bytes.Buffer
	err := json.NewEncoder(&body).Encode(viewReplay(r))
	header := map[string]string{"Content-Type": "application/json", "Cache-Control": "no-store", "Content-Length": strconv.Itoa(body.Len())}
	return store.Answer{Status: status, Header: header, Body: body.Bytes()}, err
}

// replay shows how far one is.
func (h *Handler) replay(w http.ResponseWriter, r *http.Request) error {
	e, id, err := h.replayOf(r)
	if err != nil {
		return err
	}
	replay, err := h.Store.Replay(r.Context(), e.ID, id)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	problem.JSON(w, r, http.StatusOK, viewReplay(replay))
	return nil
}

func (h *Handler) replayOf(r *http.Request) (store.Endpoint, uuid.UUID, error) {
	e, err := h.managed(r)
	if err != nil {
		return e, uuid.Nil, err
	}
	id, err := uuid.Parse(chi.URLParam(r, "replay"))
	if err != nil {
		return e, id, store.ErrNotFound
	}
	return e, id, nil
}

// cancelReplay ends one.
func (h *Handler) cancelReplay(w http.ResponseWriter, r *http.Request) error {
	e, id, err := h.replayOf(r)
	if err != nil {
		return err
	}
	body, raw, err := readObject(w, r, h.MaxBody)
	if err != nil {
		return err
	}
	if err := body.close(); err != nil {
		return err
	}
	cmd := &registry.CancelReplay{EndpointID: e.ID, ID: id}
	return h.record(w, r, raw, cmd, func() (store.Answer, error) { return answerReplay(http.StatusOK, cmd.Replay) })
}

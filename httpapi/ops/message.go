package ops

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/httpapi/page"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

const (
	messagesPerPage   = 50
	attemptsOfMessage = 100
	replaysShown      = 10
)

// endpointOf gives the endpoint that the path names, or answers.
func (h *Handler) endpointOf(w http.ResponseWriter, r *http.Request) (store.Endpoint, bool) {
	id, err := strconv.ParseInt(chi.URLParam(r, "id"), 10, 64)
	if err != nil {
		http.Error(w, "Identifiant illisible", http.StatusBadRequest)
		return store.Endpoint{}, false
	}
	e, err := h.Store.Endpoint(r.Context(), id)
	return e, h.found(w, r, err)
}

func (h *Handler) found(w http.ResponseWriter, r *http.Request, err error) bool {
	switch {
	case err == nil:
		return true
	case errors.Is(err, store.ErrNotFound):
		http.Error(w, "Rien de tel : rechargez la page.", http.StatusNotFound)
	default:
		h.unavailable(w, r, err)
	}
	return false
}

// messages shows what an endpoint is told of, newest first, and its replays.
func (h *Handler) messages(w http.ResponseWriter, r *http.Request) {
	e, ok := h.endpointOf(w, r)
	if !ok {
		return
	}
	before, state := uuid.Max, r.URL.Query().Get("status")
	if text := r.URL.Query().Get("before"); text != "" {
		var err error
		if before, err = uuid.Parse(text); err != nil {
			http.Error(w, "Page illisible", http.StatusBadRequest)
			return
		}
	}
	list, next, err := h.Store.Messages(r.Context(), e, store.MessageFilter{State: state}, before, messagesPerPage)
	if !h.found(w, r, err) {
		return
	}
	replays, err := h.Store.Replays(r.Context(), e.ID, uuid.Max, replaysShown)
	if !h.found(w, r, err) {
		return
	}
	h.pages.Write(w, r, http.StatusOK, "messages.html", page.Page{Title: "Messages du webhook " + strconv.FormatInt(e.ID, 10), Body: struct {
		Endpoint store.Endpoint
		Status   string
		Messages []store.Message
		Replays  []store.ListedReplay
		Next     string
		Operator bool
	}{e, state, list, replays, nextPage(next), userOf(r).Operator}})
}

func nextPage(id uuid.UUID) string {
	if id == uuid.Nil {
		return ""
	}
	return id.String()
}

// message shows the tries of one, with what the receiver answered. Its body is
// not for operators: it may hold personal data.
func (h *Handler) message(w http.ResponseWriter, r *http.Request) {
	e, ok := h.endpointOf(w, r)
	if !ok {
		return
	}
	id, err := uuid.Parse(chi.URLParam(r, "message"))
	if err != nil {
		http.Error(w, "Identifiant illisible", http.StatusBadRequest)
		return
	}
	m, err := h.Store.Message(r.Context(), e, id)
	if !h.found(w, r, err) {
		return
	}
	tries, err := h.Store.AttemptsOfMessage(r.Context(), e.ID, id, attemptsOfMessage)
	if !h.found(w, r, err) {
		return
	}
	h.pages.Write(w, r, http.StatusOK, "message.html", page.Page{Title: "Message " + m.Type, Body: struct {
		Endpoint store.Endpoint
		Message  store.Message
		Tries    []store.Attempt
		Operator bool
	}{e, m, tries, userOf(r).Operator}})
}

// replay sends one message again, or all that was given up.
func (h *Handler) replay(w http.ResponseWriter, r *http.Request) {
	e, ok := h.endpointOf(w, r)
	if !ok {
		return
	}
	cmd := &registry.StartReplay{EndpointID: e.ID, Scope: store.ReplayFailed, Since: time.Unix(0, 0).UTC()}
	if text := chi.URLParam(r, "message"); text != "" {
		id, err := uuid.Parse(text)
		if err != nil {
			http.Error(w, "Identifiant illisible", http.StatusBadRequest)
			return
		}
		cmd = &registry.StartReplay{EndpointID: e.ID, Scope: store.ReplayMessage, EventID: id}
	}
	h.replayed(w, r, e.ID, cmd)
}

func (h *Handler) cancelReplay(w http.ResponseWriter, r *http.Request) {
	e, ok := h.endpointOf(w, r)
	if !ok {
		return
	}
	id, err := uuid.Parse(chi.URLParam(r, "replay"))
	if err != nil {
		http.Error(w, "Identifiant illisible", http.StatusBadRequest)
		return
	}
	h.replayed(w, r, e.ID, &registry.CancelReplay{EndpointID: e.ID, ID: id})
}

func (h *Handler) replayed(w http.ResponseWriter, r *http.Request, endpoint int64, cmd registry.Command) {
	err := h.Registry.Record(r.Context(), cmd)
	var refusal *habilitation.Refusal
	if errors.As(err, &refusal) {
		http.Error(w, refusal.Message, http.StatusConflict)
		return
	}
	if h.found(w, r, err) {
		http.Redirect(w, r, "/endpoints/"+strconv.FormatInt(endpoint, 10), http.StatusSeeOther)
	}
}

package ops

import (
	"net/http"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/httpapi/page"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// receiverStates are those of a receiver in the order in which someone must act.
var receiverStates = []string{store.ReceiverSuspended, store.ReceiverApproved, store.ReceiverInactive, store.ReceiverActive, store.ReceiverDelegated}

type inState struct {
	State string
	Count int
}

// communes shows where communes stand on their way to receive, who waits for
// what, and the folders that have not arrived.
func (h *Handler) communes(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	shown := r.URL.Query().Get("state")
	counts, err := h.Store.ReceiverCounts(ctx, registry.FolderProcess)
	if err != nil {
		h.unavailable(w, r, err)
		return
	}
	view := struct {
		States   []inState
		Shown    string
		Most     int
		Listed   []store.WaitingReceiver
		Setups   []store.ReceiverRight
		Folders  []store.WaitingFolder
		Operator bool
	}{Shown: shown, Most: listLimit, Operator: userOf(r).Operator}
	known := shown == ""
	for _, state := range receiverStates {
		view.States = append(view.States, inState{state, counts[state]})
		known = known || state == shown
		// Without a choice: those that cannot receive yet, or no longer.
		if shown == state || shown == "" && state != store.ReceiverActive && state != store.ReceiverDelegated {
			list, err := h.Store.ReceiversInState(ctx, registry.FolderProcess, state, listLimit)
			if err != nil {
				h.unavailable(w, r, err)
				return
			}
			view.Listed = append(view.Listed, list...)
		}
	}
	if !known {
		http.Error(w, "Aucun état de ce nom", http.StatusBadRequest)
		return
	}
	if view.Setups, err = h.Store.WaitingRights(ctx, listLimit); err != nil {
		h.unavailable(w, r, err)
		return
	}
	if view.Folders, err = h.Store.WaitingFolders(ctx, listLimit); err != nil {
		h.unavailable(w, r, err)
		return
	}
	h.pages.Write(w, r, http.StatusOK, "communes.html", page.Page{Title: "Communes et dossiers", Body: view})
}

// retryFolder takes a folder up again, under another id at HubEE when asked.
func retryFolder(r *http.Request) (registry.Command, error) {
	id, err := uuid.Parse(chi.URLParam(r, "id"))
	return &registry.RetryFolder{ID: id, Anew: r.FormValue("anew") == "1"}, err
}

// receiverState says in French where a receiver stands (hubee.md, 11).
func receiverState(state string) string {
	switch state {
	case store.ReceiverSuspended:
		return "suspendue"
	case store.ReceiverApproved:
		return "habilitée, pas encore inscrite chez HubEE"
	case store.ReceiverInactive:
		return "abonnement à activer chez HubEE"
	case store.ReceiverActive:
		return "reçoit"
	case store.ReceiverDelegated:
		return "reçoit, par son éditeur"
	}
	return state
}

// lasted is how long ago a time was, in the largest unit that says it.
func lasted(t time.Time) string {
	d := time.Since(t)
	switch {
	case d >= 48*time.Hour:
		return strconv.Itoa(int(d/(24*time.Hour))) + " jours"
	case d >= 2*time.Hour:
		return strconv.Itoa(int(d/time.Hour)) + " heures"
	default:
		return strconv.Itoa(int(d/time.Minute)) + " minutes"
	}
}

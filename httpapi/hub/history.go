package hub

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/passerelle-hub/passerelle/httpapi/problem"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
)

// lineView is one line of a request's history.
type lineView struct {
	Seq        int             `json:"seq"`
	At         time.Time       `json:"at"`
	Text       string          `json:"text"` // the line as a French sentence
	Actor      actorView       `json:"actor"`
	Event      string          `json:"event"`
	EntityType string          `json:"entity_type,omitempty"`
	EntityID   string          `json:"entity_id,omitempty"`
	Reason     string          `json:"reason,omitempty"`
	Diff       json.RawMessage `json:"diff,omitempty"` // {"key": [old, new]}
	State      string          `json:"state,omitempty"`
}

type actorView struct {
	Kind string `json:"kind"` // person, client, source, job, operator or hub
	ID   string `json:"id,omitempty"`
	Name string `json:"name"`
}

// history tells a request's life, oldest first, to those who may read all of it.
func (h *Handler) history(w http.ResponseWriter, r *http.Request) error {
	req, access, err := h.read(r)
	if err != nil {
		return err
	}
	if access != habilitation.AccessFull {
		return problem.New(http.StatusForbidden, "not_allowed", "Accès refusé", "Seul un résumé de cette demande vous est ouvert.")
	}
	lines, err := h.Store.History(r.Context(), req.ID)
	if err != nil {
		return err
	}
	names, err := h.names(r.Context(), lines)
	if err != nil {
		return err
	}
	views := make([]lineView, len(lines))
	for i, line := range lines {
		var detail struct {
			Diff  json.RawMessage `json:"diff"`
			State string          `json:"state"`
		}
		if err := json.Unmarshal(line.Detail, &detail); err != nil {
			return err
		}
		actor := actorOf(line.Actor, names)
		views[i] = lineView{
			Seq: int(line.Seq), At: line.At, Actor: actor, Event: line.Event, EntityType: line.EntityType, EntityID: line.EntityID,
			Reason: line.Reason, Diff: detail.Diff, State: detail.State, Text: sentence(actor.Name, line.Event, line.Reason),
		}
	}
	w.Header().Set("Cache-Control", "no-store")
	problem.JSON(w, r, http.StatusOK, map[string]any{"history": views})
	return nil
}

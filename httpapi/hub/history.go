package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/passerelle-hub/passerelle/httpapi/problem"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/store"
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
	Transfer   *transferView   `json:"transfer,omitempty"`
}

// transferView says from whom to whom a request went.
type transferView struct {
	Type string   `json:"type"` // User or Organization
	From partyRef `json:"from"`
	To   partyRef `json:"to"`
}

type partyRef struct {
	ID   int64  `json:"id"`
	Name string `json:"name,omitempty"`
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
			Moved *movedDetail    `json:"transfer"`
		}
		if err := json.Unmarshal(line.Detail, &detail); err != nil {
			return err
		}
		actor := actorOf(line.Actor, names)
		views[i] = lineView{
			Seq: int(line.Seq), At: line.At, Actor: actor, Event: line.Event, EntityType: line.EntityType, EntityID: line.EntityID,
			Reason: line.Reason, Diff: detail.Diff, State: detail.State, Text: sentence(actor.Name, line.Event, line.Reason),
		}
		if detail.Moved == nil {
			continue
		}
		if views[i].Transfer, err = h.transfer(r.Context(), *detail.Moved); err != nil {
			return err
		}
		views[i].Text = fmt.Sprintf("%s a transféré la demande de %s à %s.", actor.Name, views[i].Transfer.From.Name, views[i].Transfer.To.Name)
	}
	w.Header().Set("Cache-Control", "no-store")
	problem.JSON(w, r, http.StatusOK, map[string]any{"history": views})
	return nil
}

// movedDetail is a transfer as the history keeps it: ids alone.
type movedDetail struct {
	Type string `json:"type"`
	From int64  `json:"from"`
	To   int64  `json:"to"`
}

// transfer names the two, as they are called now.
func (h *Handler) transfer(ctx context.Context, moved movedDetail) (*transferView, error) {
	named := func(id int64) (partyRef, error) {
		ref := partyRef{ID: id, Name: fmt.Sprintf("n° %d", id)}
		if moved.Type == "Organization" {
			o, err := h.Store.Organization(ctx, id)
			if err == nil {
				ref.Name = o.Name
			}
			return ref, ignored(err, store.ErrNotFound)
		}
		people, err := h.Store.People(ctx, []int64{id})
		for _, p := range people {
			ref.Name = personName(p)
		}
		return ref, err
	}
	from, err := named(moved.From)
	if err != nil {
		return nil, err
	}
	to, err := named(moved.To)
	return &transferView{moved.Type, from, to}, err
}

// ignored is nil for one kind of error.
func ignored(err, kind error) error {
	if errors.Is(err, kind) {
		return nil
	}
	return err
}

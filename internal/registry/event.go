package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/eventtype"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// Happening is something that subscribers are told of.
type Happening struct {
	Type         string
	Definition   string
	Editor       string // id of the service provider concerned, or its SIRET
	EditorSIRET  string // of a service provider that the catalogue may lack
	Request      int64
	Habilitation int64
	Subject      string         // what order is kept for; "": the request
	Data         map[string]any // ids to fetch by: no personal data, no secret
	ModelID      int64          // of DataPass's form, when Shown is nil
	Shown        []byte         // DataPass's form, when it is more than Data; it may hold personal data
}

// Tell tells subscribers of something that changes no state here, and gives the
// event's id once it is committed. Many are told in one commit.
func (r *Registry) Tell(ctx context.Context, h Happening) (uuid.UUID, error) {
	u := &unit{Registry: r, at: r.now().UTC(), correlation: connectors.Correlation(ctx)}
	e, err := u.ownEvent(h)
	if err != nil {
		return uuid.Nil, err
	}
	endpoints, err := r.announcements.Publish(ctx, e)
	if err != nil {
		return uuid.Nil, fmt.Errorf("publish %s: %w", h.Type, err)
	}
	if len(endpoints) > 0 {
		r.outbox.Committed([]Followup{EventPublished{e.ID, endpoints}})
	}
	return e.ID, nil
}

// tell stores an event in both forms, frozen as they are now, with a delivery
// for each endpoint that asked for it. The request, where there is one, is locked.
func (u *unit) tell(ctx context.Context, h Happening) error {
	_, err := u.publishEvent(ctx, h)
	return err
}

func (u *unit) publishEvent(ctx context.Context, h Happening) (uuid.UUID, error) {
	e, err := u.ownEvent(h)
	if err != nil {
		return uuid.Nil, err
	}
	if err := u.tx.PublishEvent(ctx, e, func(endpoints []int64) { u.then(EventPublished{e.ID, endpoints}) }); err != nil {
		return uuid.Nil, fmt.Errorf("publish %s: %w", h.Type, err)
	}
	return e.ID, u.tellEditors(ctx, h)
}

// ErrUnknownEvent: a type that the catalogue lacks is told to nobody.
var ErrUnknownEvent = errors.New("the catalogue of events has no such type")

// ownEvent gives the event with both of its bodies.
func (u *unit) ownEvent(h Happening) (store.Event, error) {
	if !eventtype.Known(h.Type) {
		return store.Event{}, fmt.Errorf("%w: %q", ErrUnknownEvent, h.Type)
	}
	editor, siret := u.editorNames(h.Editor, h.EditorSIRET)
	body, err := json.Marshal(standardBody{Type: h.Type, Timestamp: u.at, Data: h.Data})
	if err != nil {
		return store.Event{}, err
	}
	if h.Shown == nil {
		h.Shown, err = json.Marshal(ownDataPassBody{
			Event: h.Type, FiredAt: u.at.Unix(), ModelType: modelPrefix + h.Definition, ModelID: h.ModelID, Data: h.Data,
		})
		if err != nil {
			return store.Event{}, err
		}
	}
	if h.Subject == "" {
		h.Subject = requestSubject(h.Request)
	}
	return store.Event{
		ID: store.EventID(u.at), Type: h.Type, Definition: h.Definition, Editor: editor, EditorSIRET: siret,
		RequestID: h.Request, HabilitationID: h.Habilitation,
		Subject: h.Subject, Body: body, DataPass: h.Shown, OccurredAt: u.at, Correlation: u.correlation,
	}, nil
}

func requestSubject(id int64) string { return fmt.Sprintf("request/%d", id) }

// standardBody is a Standard Webhooks one.
type standardBody struct {
	Type      string         `json:"type"`
	Timestamp time.Time      `json:"timestamp"`
	Data      map[string]any `json:"data"`
}

// ownDataPassBody is one of the hub's own events in DataPass's envelope.
type ownDataPassBody struct {
	Event     string         `json:"event"`
	FiredAt   int64          `json:"fired_at"`
	ModelType string         `json:"model_type"`
	ModelID   int64          `json:"model_id"`
	Data      map[string]any `json:"data"`
}

// publish tells one of the hub's own events about a credential.
func (u *unit) publish(ctx context.Context, req habilitation.Request, c store.Credential, kind string, more map[string]any) error {
	data := map[string]any{
		"token_id":      c.ID,
		"request_id":    req.ID,
		"definition_id": c.Definition,
		"manager":       c.Manager,
		"credential":    c.Ref,
		"state":         c.State,
		"siret":         req.Organization.SIRET,
		"expires_at":    c.ExpiresAt,
	}
	if req.Origin == habilitation.Mirrored {
		data["datapass_id"] = req.ExternalID
	}
	maps.Copy(data, more)
	editor, siret := editorOf(req)
	return u.tell(ctx, Happening{
		Type: kind, Definition: c.Definition, Editor: editor, EditorSIRET: siret, Request: req.ID, Habilitation: valueOf(c.HabilitationID),
		Data: data, ModelID: shownRequestID(req),
	})
}

// editorOf gives the service provider that a request names, and the SIRET that
// the request gives for it.
func editorOf(req habilitation.Request) (id, siret string) {
	if req.ServiceProvider == nil {
		return "", ""
	}
	return req.ServiceProvider.ID, req.ServiceProvider.SIRET
}

func uniqueAddresses(addresses ...string) []string {
	seen := map[string]bool{}
	var list []string
	for _, a := range addresses {
		if a = strings.TrimSpace(a); a != "" && !seen[strings.ToLower(a)] {
			seen[strings.ToLower(a)] = true
			list = append(list, a)
		}
	}
	return list
}

package datapasstest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

// control is what a DataPass that runs as a process of its own adds under
// /_admin/, so that a person or a script plays applicant and instructor:
//
//	POST /_admin/applications            {"client_id","client_secret","scopes","definitions"}
//	POST /_admin/subscriptions           {"definition","url","events","secret"}
//	POST /_admin/subscriptions/{id}/test|enable|disable
//	POST /_admin/requests                {"sample":"api_particulier"} or {"invented":12}
//	POST /_admin/requests/{id}/{event}   {"reason","message","fields","to":{"email",...},"siret","name"}
//	POST /_admin/habilitations/{id}/revoke {"reason"}
//	POST /_admin/hold                    {"held":true}: events wait; false: they leave again as they happen
//	POST /_admin/deliveries/retry        sends again what waits; {"due":true}: what is due
//	POST /_admin/attempts/{id}/replay
func (s *Server) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /_admin/applications", handle(s.controlApplication))
	mux.HandleFunc("POST /_admin/subscriptions", handle(s.controlSubscription))
	mux.HandleFunc("POST /_admin/subscriptions/{id}/test", handle(s.controlTest))
	mux.HandleFunc("POST /_admin/subscriptions/{id}/enable", handle(s.controlEnable))
	mux.HandleFunc("POST /_admin/subscriptions/{id}/disable", handle(s.controlDisable))
	mux.HandleFunc("POST /_admin/hold", handle(s.controlHold))
	mux.HandleFunc("POST /_admin/requests", handle(s.controlCreate))
	mux.HandleFunc("POST /_admin/requests/{id}/{event}", handle(s.controlEvent))
	mux.HandleFunc("POST /_admin/habilitations/{id}/revoke", handle(s.controlRevoke))
	mux.HandleFunc("POST /_admin/deliveries/retry", handle(s.controlRetry))
	mux.HandleFunc("POST /_admin/attempts/{id}/replay", handle(s.controlReplay))
	return mux
}

type controlRequest struct {
	ClientID     string      `json:"client_id"`
	ClientSecret string      `json:"client_secret"`
	Scopes       []string    `json:"scopes"`
	Definitions  []string    `json:"definitions"`
	Definition   string      `json:"definition"`
	URL          string      `json:"url"`
	Events       []EventName `json:"events"`
	Secret       string      `json:"secret"`
	Sample       string      `json:"sample"`
	Invented     *int        `json:"invented"`
	Reason       string      `json:"reason"`
	Message      string      `json:"message"`
	Due          bool        `json:"due"`
	Held         bool        `json:"held"`
	Fields       Fields      `json:"fields"`
	SIRET        string      `json:"siret"`
	Name         string      `json:"name"`
	To           *struct {
		Email      string `json:"email"`
		GivenName  string `json:"given_name"`
		FamilyName string `json:"family_name"`
	} `json:"to"`
}

// handle decodes the body, which may be empty, and answers what do gives.
func handle(do func(r *http.Request, c controlRequest) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var c controlRequest
		decoder := json.NewDecoder(io.LimitReader(r.Body, 1<<20))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&c); err != nil && err != io.EOF {
			partnertest.WriteJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
			return
		}
		answer, err := do(r, c)
		switch {
		case errors.Is(err, ErrNotFound):
			partnertest.WriteJSON(w, http.StatusNotFound, map[string]string{"error": err.Error()})
		case errors.Is(err, ErrIllegal):
			partnertest.WriteJSON(w, http.StatusConflict, map[string]string{"error": err.Error()})
		case err != nil:
			partnertest.WriteJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
		default:
			partnertest.WriteJSON(w, http.StatusOK, answer)
		}
	}
}

func (s *Server) controlApplication(_ *http.Request, c controlRequest) (any, error) {
	app := s.AddApplication(Application{
		ClientID: c.ClientID, ClientSecret: c.ClientSecret, Scopes: c.Scopes, Definitions: c.Definitions,
	})
	return map[string]any{
		"client_id": app.ClientID, "client_secret": app.ClientSecret, "scopes": app.Scopes, "definitions": app.Definitions,
	}, nil
}

func (s *Server) controlSubscription(_ *http.Request, c controlRequest) (any, error) {
	if _, ok := findDefinition(c.Definition); !ok {
		return nil, fmt.Errorf("definition %q: %w", c.Definition, ErrNotFound)
	}
	if err := CheckReceiver(c.URL); err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	return s.AddSubscription(Subscription{Definition: c.Definition, URL: c.URL, Events: c.Events, Secret: c.Secret}), nil
}

func (s *Server) controlTest(r *http.Request, _ controlRequest) (any, error) {
	id, err := pathID(r)
	if err != nil {
		return nil, err
	}
	exchange, err := s.Test(r.Context(), id)
	return exchange.view(), err
}

func (s *Server) controlCreate(r *http.Request, c controlRequest) (any, error) {
	filing, ok := Samples()[c.Sample]
	if c.Invented != nil {
		filing, ok = Invented(*c.Invented), true
	}
	if !ok {
		return nil, fmt.Errorf("sample %q: %w", c.Sample, ErrNotFound)
	}
	request, err := s.Create(r.Context(), filing)
	return request.view(), err
}

func (s *Server) controlEnable(r *http.Request, _ controlRequest) (any, error) {
	id, err := pathID(r)
	if err != nil {
		return nil, err
	}
	return s.Enable(r.Context(), id)
}

func (s *Server) controlDisable(r *http.Request, _ controlRequest) (any, error) {
	id, err := pathID(r)
	if err != nil {
		return nil, err
	}
	return s.Disable(id)
}

func (s *Server) controlHold(_ *http.Request, c controlRequest) (any, error) {
	s.Hold(c.Held)
	return map[string]bool{"held": c.Held}, nil
}

func (s *Server) controlEvent(r *http.Request, c controlRequest) (any, error) {
	id, err := pathID(r)
	if err != nil {
		return nil, err
	}
	play := Play{Reason: c.Reason, Message: c.Message, Fields: c.Fields}
	if c.To != nil {
		play.Applicant = &Applicant{Email: c.To.Email, GivenName: c.To.GivenName, FamilyName: c.To.FamilyName}
	}
	if c.SIRET != "" {
		play.Organization = &Organization{SIRET: c.SIRET, Name: c.Name}
	}
	if err := s.Play(r.Context(), id, EventName(r.PathValue("event")), play); err != nil {
		return nil, err
	}
	request, err := s.Request(id)
	return request.view(), err
}

func (s *Server) controlRevoke(r *http.Request, c controlRequest) (any, error) {
	id, err := pathID(r)
	if err != nil {
		return nil, err
	}
	sent, err := s.RevokeHabilitation(r.Context(), id, c.Reason)
	return map[string]int{"deliveries": len(sent)}, err
}

func (s *Server) controlRetry(r *http.Request, c controlRequest) (any, error) {
	again := s.Retry
	if c.Due {
		again = s.RetryDue
	}
	return deliveryViews(again(r.Context())), nil
}

func (s *Server) controlReplay(r *http.Request, _ controlRequest) (any, error) {
	id, err := pathID(r)
	if err != nil {
		return nil, err
	}
	exchange, err := s.Replay(context.WithoutCancel(r.Context()), id)
	return exchange.view(), err
}

func pathID(r *http.Request) (int64, error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("id %q: %w", r.PathValue("id"), ErrNotFound)
	}
	return id, nil
}

// state is what GET /_admin/state shows.
func (s *Server) state() any {
	requests := []any{}
	for _, r := range s.Requests() {
		requests = append(requests, r.view())
	}
	s.mu.Lock()
	subscriptions := []map[string]any{}
	for _, id := range sortedKeys(s.subscriptions) {
		sub := s.subscriptions[id]
		subscriptions = append(subscriptions, map[string]any{
			"id": sub.ID, "definition": sub.Definition, "url": sub.URL, "events": sub.Events,
			"enabled": sub.Enabled, "validated": sub.Validated,
		})
	}
	s.mu.Unlock()
	return map[string]any{
		"requests": requests, "subscriptions": subscriptions, "deliveries": deliveryViews(s.Deliveries()),
	}
}

func (r *Request) view() map[string]any {
	habilitations := []map[string]any{}
	for _, h := range r.Habilitations {
		habilitations = append(habilitations, map[string]any{"id": h.ID, "state": h.State, "definition": h.Definition})
	}
	return map[string]any{
		"id": r.ID, "definition": r.Definition, "form_uid": r.Form, "state": r.State, "reopening": r.Reopening,
		"siret": r.Organization.SIRET, "external_provider_id": r.ExternalProviderID, "habilitations": habilitations,
	}
}

func deliveryViews(list []Delivery) []map[string]any {
	out := []map[string]any{}
	for _, d := range list {
		view := d.Last.view()
		view["id"], view["request"], view["subscription"] = d.ID, d.RequestID, d.SubscriptionID
		view["event"], view["state"], view["failures"] = d.Event, d.State, d.Failures
		out = append(out, view)
	}
	return out
}

func (e Exchange) view() map[string]any {
	out := map[string]any{"status": e.Status, "passed": e.Passed()}
	if e.Err != nil {
		out["error"] = e.Err.Error()
	}
	return out
}

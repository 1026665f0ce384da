package gravitee

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
)

// States of a subscription.
const (
	statusPending  = "PENDING"
	statusAccepted = "ACCEPTED"
	statusPaused   = "PAUSED"
)

// The states that a list is asked for; its default is ACCEPTED alone.
const (
	openStates = "ACCEPTED,PENDING,PAUSED"
	allStates  = "ACCEPTED,PENDING,PAUSED,CLOSED,REJECTED"
)

type reference struct {
	ID string `json:"id"`
}

type subscription struct {
	ID          string            `json:"id"`
	API         reference         `json:"api"`
	Plan        reference         `json:"plan"`
	Application reference         `json:"application"`
	Status      string            `json:"status"`
	Metadata    map[string]string `json:"metadata"`
}

func (s subscription) plan() PlanRef { return PlanRef{s.API.ID, s.Plan.ID} }

func (s subscription) open() bool {
	return slices.Contains(strings.Split(openStates, ","), s.Status)
}

// hubRef is the metadata that names our credential on the subscription made for it.
const hubRef = "hub_ref"

// subscriptions lists those of some applications on one API; an API that is gone
// has none.
func (m *Manager) subscriptions(ctx context.Context, op, api, states string, applications ...string) ([]subscription, error) {
	found, err := list[subscription](ctx, m, call{
		op: op, route: v2 + "/apis/{api}/subscriptions", params: map[string]string{"api": api},
		query: url.Values{"applicationIds": {strings.Join(applications, ",")}, "statuses": {states}},
	})
	if connectors.Is(err, connectors.NotFound) {
		return nil, nil
	}
	return found, err
}

// subscriptionTo gives the open subscription of the application to the plan; nil: none.
func (m *Manager) subscriptionTo(ctx context.Context, op, app string, plan PlanRef) (*subscription, error) {
	found, err := m.subscriptions(ctx, op, plan.API, openStates, app)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(found, func(s subscription) bool { return s.plan() == plan })
	if at < 0 {
		return nil, nil
	}
	return &found[at], nil
}

// subscribe asks for the plan with our key. On this endpoint the manager accepts
// it at once, unless our account may not.
func (m *Manager) subscribe(ctx context.Context, op string, w want, plan PlanRef) (*subscription, *outbound.Answer, error) {
	var made subscription
	answer, err := m.do(ctx, call{
		op: op, method: http.MethodPost, route: v2 + "/apis/{api}/subscriptions", params: map[string]string{"api": plan.API},
		out: &made, secrets: []connectors.Secret{w.secret},
		in: map[string]any{
			"applicationId": w.app, "planId": plan.Plan, "customApiKey": w.secret.Reveal(),
			"metadata": map[string]string{hubRef: w.ref},
		},
	})
	return &made, answer, err
}

// accept accepts a subscription that waits, with our key. Where our account is
// not the API's owner, a person must.
func (m *Manager) accept(ctx context.Context, op string, w want, s *subscription) (*subscription, *outbound.Answer, error) {
	var accepted subscription
	answer, err := m.do(ctx, call{
		op: op, method: http.MethodPost, route: v2 + "/apis/{api}/subscriptions/{sub}/_accept",
		params: map[string]string{"api": s.API.ID, "sub": s.ID}, out: &accepted, secrets: []connectors.Secret{w.secret},
		in: map[string]any{"customApiKey": w.secret.Reveal()},
	})
	if answer != nil && answer.Status == http.StatusForbidden {
		return nil, answer, m.fail(op, connectors.Pending, "subscription %s waits for the owner of the API", s.ID)
	}
	return &accepted, answer, err
}

// closeSubscription ends it, and its keys. One that is gone is closed.
func (m *Manager) closeSubscription(ctx context.Context, op string, s subscription) error {
	var closed subscription
	_, err := m.do(ctx, call{
		op: op, method: http.MethodPost, route: v2 + "/apis/{api}/subscriptions/{sub}/_close",
		params: map[string]string{"api": s.API.ID, "sub": s.ID}, out: &closed,
	})
	switch {
	case connectors.Is(err, connectors.NotFound):
		return nil
	case err == nil && closed.open():
		return m.fail(op, connectors.Temporary, "subscription %s is %s after it was closed", s.ID, closed.Status)
	}
	return err
}

// transfer moves a subscription to another plan of its API, with its keys: the
// same value cannot be given to a second one.
func (m *Manager) transfer(ctx context.Context, op string, s subscription, plan PlanRef) error {
	var moved subscription
	_, err := m.do(ctx, call{
		op: op, method: http.MethodPost, route: v2 + "/apis/{api}/subscriptions/{sub}/_transfer",
		params: map[string]string{"api": s.API.ID, "sub": s.ID}, in: map[string]string{"planId": plan.Plan}, out: &moved,
	})
	if err == nil && moved.Plan.ID != plan.Plan {
		return m.fail(op, connectors.Temporary, "subscription %s is to plan %s after its transfer", s.ID, moved.Plan.ID)
	}
	return err
}

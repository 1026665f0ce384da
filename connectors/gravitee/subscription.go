package gravitee

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

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
	EndingAt    *time.Time        `json:"endingAt"`
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
	closed, err := m.act(ctx, op, s, "_close")
	switch {
	case connectors.Is(err, connectors.NotFound), err == nil && !closed.open():
		return m.ours(op, m.ledger.Delete(ctx, "paused/"+s.ID))
	case err == nil:
		return m.fail(op, connectors.Temporary, "subscription %s is %s after it was closed", s.ID, closed.Status)
	}
	return err
}

// suspend keeps the keys of a subscription from passing. Closing it would be for
// ever: a value cannot come back to an API on which it has ended. The record
// tells our pause from a person's.
func (m *Manager) suspend(ctx context.Context, op string, s subscription) error {
	if err := m.ledger.Put(ctx, "paused/"+s.ID, []byte(s.plan().String())); err != nil {
		return m.ours(op, err)
	}
	paused, err := m.act(ctx, op, s, "_pause")
	if err == nil && paused.Status != statusPaused {
		return m.fail(op, connectors.Temporary, "subscription %s is %s after it was paused", s.ID, paused.Status)
	}
	return err
}

// resume ends a pause of ours; a person's is a Conflict.
func (m *Manager) resume(ctx context.Context, op string, s subscription) (*subscription, error) {
	_, paused, err := m.ledger.Get(ctx, "paused/"+s.ID)
	if err != nil {
		return nil, m.ours(op, err)
	}
	if !paused {
		return nil, m.fail(op, connectors.Conflict, "subscription %s was paused by a person", s.ID)
	}
	resumed, err := m.act(ctx, op, s, "_resume")
	if err != nil {
		return nil, err
	}
	if resumed.Status != statusAccepted {
		return nil, m.fail(op, connectors.Temporary, "subscription %s is %s after it was resumed", s.ID, resumed.Status)
	}
	resumed.API, resumed.Plan = s.API, s.Plan
	return resumed, m.ours(op, m.ledger.Delete(ctx, "paused/"+s.ID))
}

// act posts an action that has no body and gives the subscription after it.
func (m *Manager) act(ctx context.Context, op string, s subscription, action string) (*subscription, error) {
	var after subscription
	_, err := m.do(ctx, call{
		op: op, method: http.MethodPost, route: v2 + "/apis/{api}/subscriptions/{sub}/" + action,
		params: map[string]string{"api": s.API.ID, "sub": s.ID}, out: &after,
	})
	return &after, err
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

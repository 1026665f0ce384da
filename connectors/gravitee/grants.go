package gravitee

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
)

// EnsureGrants checks that the plans exist; with live credentials it then makes
// the application's subscriptions those of the grants: each live key is placed
// on the plans it lacks, subscriptions to other plans of the definition are
// paused.
func (m *Manager) EnsureGrants(ctx context.Context, subjectID string, live []connectors.Handle, g connectors.Grants) error {
	const op = "ensure grants"
	plans, err := m.required(op, g)
	if err != nil {
		return err
	}
	for _, plan := range plans {
		fault, err := m.checkPlan(ctx, op, plan)
		if err != nil {
			return err
		}
		if fault != "" {
			return m.fail(op, connectors.Rejected, "%s", fault)
		}
	}
	if len(live) == 0 {
		return nil
	}
	release, err := m.lock(ctx, op, subjectID)
	if err != nil {
		return err
	}
	defer release()
	apis := apisOfPlans(m.config.Grants[g.Definition].all())
	for _, h := range live {
		for _, api := range m.apisOf(h) {
			if !slices.Contains(apis, api) {
				apis = append(apis, api)
			}
		}
		if err := m.extend(ctx, op, subjectID, h, plans); err != nil {
			return err
		}
	}
	return m.suspendOthers(ctx, op, subjectID, apis, plans)
}

// extend places the key of a credential on the plans that it lacks. Its value is
// read back from the manager; a credential without a live key gains nothing.
func (m *Manager) extend(ctx context.Context, op, app string, h connectors.Handle, plans []PlanRef) error {
	x, err := m.matcherOf(ctx, op, h)
	if err != nil {
		return err
	}
	keys, err := m.find(ctx, op, app, m.apisOf(h), openStates, x)
	if err != nil {
		return err
	}
	keys = slices.DeleteFunc(keys, func(k held) bool { return k.key.dead() })
	if len(keys) == 0 {
		return nil
	}
	value := keys[0].key.Value
	var end time.Time
	for _, key := range keys {
		end = earlier(end, key.key.end())
	}
	w := want{app: app, ref: h.Ref, secret: value, print: fingerprint(value)}
	var all []placed
	for _, plan := range plans {
		active := func(k held) bool { return k.sub.API.ID == plan.API && k.sub.Status == statusAccepted }
		if at := slices.IndexFunc(keys, active); at >= 0 {
			if keys[at].sub.plan() == plan {
				continue
			}
			if err := m.transfer(ctx, op, keys[at].sub, plan); err != nil {
				return err
			}
			continue
		}
		p, err := m.place(ctx, op, w, plan)
		if err != nil {
			return err
		}
		if _, err := m.moveEnd(ctx, op, p.held, end); err != nil {
			return err
		}
		all = append(all, p)
	}
	return m.finished(ctx, op, h.Ref, all)
}

func (m *Manager) suspendOthers(ctx context.Context, op, app string, apis []string, plans []PlanRef) error {
	for _, api := range apis {
		subs, err := m.subscriptions(ctx, op, api, openStates, app)
		if err != nil {
			return err
		}
		for _, sub := range subs {
			if slices.Contains(plans, sub.plan()) {
				continue
			}
			var err error
			switch sub.Status {
			case statusAccepted:
				err = m.suspend(ctx, op, sub)
			case statusPending:
				err = m.closeSubscription(ctx, op, sub)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func apisOfPlans(plans []PlanRef) []string {
	var apis []string
	for _, plan := range plans {
		if !slices.Contains(apis, plan.API) {
			apis = append(apis, plan.API)
		}
	}
	return apis
}

// Plan says what an approval does here, in French: operators and instructors read it.
func (m *Manager) Plan(g connectors.Grants) ([]string, error) {
	plans, err := m.required("plan", g)
	if err != nil {
		return nil, err
	}
	steps := []string{"Créer l'application de la demande, ou reprendre celle qui existe"}
	for _, plan := range plans {
		steps = append(steps, fmt.Sprintf("Souscrire au plan %s de l'API %s avec la clé du hub", plan.Plan, plan.API))
	}
	if further := len(g.Scopes); further > 0 {
		steps = append(steps, "Périmètres couverts : "+strings.Join(g.Scopes, ", "))
	}
	return steps, nil
}

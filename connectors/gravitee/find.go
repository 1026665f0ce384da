package gravitee

import (
	"context"
	"slices"
	"strings"

	"github.com/passerelle-hub/passerelle/connectors"
)

// What a Handle holds beside Ref, Subject and the key's id.
const (
	extraPrint        = "sha256"       // start of the value's digest
	extraDefinition   = "definition"   //
	extraPlans        = "plans"        // "api/plan api/plan"
	extraSubscription = "subscription" // of the main plan
)

func (m *Manager) handle(w want, definition string, all []placed) connectors.Handle {
	plans := make([]string, 0, len(all))
	for _, p := range all {
		plans = append(plans, p.sub.plan().String())
	}
	return connectors.Handle{
		Ref: w.ref, Subject: w.app, ID: all[0].key.ID,
		Extra: map[string]string{
			extraPrint: w.print, extraDefinition: definition, extraPlans: strings.Join(plans, " "),
			extraSubscription: all[0].sub.ID,
		},
	}
}

// matcher recognises the keys of one credential, which has one on each of its plans.
type matcher struct{ id, print string }

func (x matcher) matches(key apiKey) bool {
	return (x.id != "" && key.ID == x.id) || (x.print != "" && fingerprint(key.Value) == x.print)
}

func (x matcher) empty() bool { return x.id == "" && x.print == "" }

// matcherOf reads a handle; the ledger helps where it has a reference only.
func (m *Manager) matcherOf(ctx context.Context, op string, h connectors.Handle) (matcher, error) {
	x := matcher{id: h.ID, print: h.Extra[extraPrint]}
	if x.print == "" && h.Ref != "" {
		var err error
		if x.print, err = m.printOf(ctx, op, h.Ref); err != nil {
			return x, err
		}
	}
	return x, nil
}

// apisOf lists where a credential may be: on the plans it was issued for, and on
// those of its definition today.
func (m *Manager) apisOf(h connectors.Handle) []string {
	var apis []string
	add := func(plan PlanRef) {
		if !slices.Contains(apis, plan.API) {
			apis = append(apis, plan.API)
		}
	}
	for text := range strings.FieldsSeq(h.Extra[extraPlans]) {
		var plan PlanRef
		if plan.UnmarshalText([]byte(text)) == nil {
			add(plan)
		}
	}
	for definition, grant := range m.config.Grants {
		if known := h.Extra[extraDefinition]; known == "" || known == definition {
			for _, plan := range grant.all() {
				add(plan)
			}
		}
	}
	slices.Sort(apis)
	return apis
}

// find lists the keys of a credential on the application's subscriptions in the
// given states.
func (m *Manager) find(ctx context.Context, op, app string, apis []string, states string, x matcher) ([]held, error) {
	if x.empty() {
		return nil, nil
	}
	var found []held
	for _, api := range apis {
		subs, err := m.subscriptions(ctx, op, api, states, app)
		if err != nil {
			return nil, err
		}
		for _, sub := range subs {
			keys, err := m.keys(ctx, op, sub)
			if err != nil {
				return nil, err
			}
			found = append(found, slices.DeleteFunc(keys, func(h held) bool { return !x.matches(h.key) })...)
		}
	}
	return found, nil
}

// subjectOf gives the application of a handle: by id, else by the reference that
// its own begins with ("dp-1234-c2" -> "dp-1234"); "" when there is none.
func (m *Manager) subjectOf(ctx context.Context, op string, h connectors.Handle) (string, error) {
	if h.Subject != "" {
		return h.Subject, nil
	}
	ref := connectors.SubjectRef(h.Ref)
	if ref == "" {
		return "", nil
	}
	app, err := m.applicationByRef(ctx, op, ref)
	if err != nil || app == nil || ownerOf(app.Description) != m.owner {
		return "", err
	}
	return app.ID, nil
}

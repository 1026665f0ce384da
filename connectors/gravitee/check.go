package gravitee

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/connectors"
)

// Health asks on a granted API whether a value that nobody holds could become a
// key. It is a POST that writes nothing, behind the rights on subscriptions that
// Issue needs, and it is answered from the manager's database: the nearest to a
// write there is. Whether custom keys are allowed cannot be asked.
func (m *Manager) Health(ctx context.Context) (connectors.Health, error) {
	const op = "health"
	start := time.Now()
	api := m.config.Grants[slices.Min(slices.Collect(maps.Keys(m.config.Grants)))].API
	probe := connectors.NewSecret(rand.Text())
	var answer struct {
		OK *bool `json:"ok"`
	}
	_, err := m.do(ctx, call{
		op: op, method: http.MethodPost, route: v2 + "/apis/{api}/subscriptions/_verify", params: map[string]string{"api": api},
		in: map[string]string{"applicationId": uuid.Nil.String(), "apiKey": probe.Reveal()}, out: &answer,
		secrets: []connectors.Secret{probe},
	})
	health := connectors.Health{Latency: time.Since(start)}
	switch {
	case connectors.Is(err, connectors.NotFound):
		return health, m.fail(op, connectors.Rejected, "API %s does not exist", api)
	case err != nil:
		return health, err
	case answer.OK == nil || !*answer.OK:
		return health, m.fail(op, connectors.Rejected, "unexpected answer: a value that nobody holds is not free")
	}
	return health, nil
}

type planState struct {
	Status   string `json:"status"`
	Security struct {
		Type string `json:"type"`
	} `json:"security"`
}

// checkPlan says what keeps a plan from being subscribed to; "" when nothing does.
func (m *Manager) checkPlan(ctx context.Context, op string, plan PlanRef) (fault string, err error) {
	var state planState
	answer, err := m.do(ctx, call{
		op: op, method: http.MethodGet, route: v2 + "/apis/{api}/plans/{plan}",
		params: map[string]string{"api": plan.API, "plan": plan.Plan}, out: &state,
	})
	switch {
	case connectors.Is(err, connectors.NotFound):
		if answer.Code("technicalCode") == "api.notFound" {
			return fmt.Sprintf("API %s does not exist", plan.API), nil
		}
		return fmt.Sprintf("plan %s does not exist", plan), nil
	case err != nil:
		return "", err
	case state.Status != "PUBLISHED":
		return fmt.Sprintf("plan %s is %s, not PUBLISHED", plan, cmp.Or(state.Status, "without status")), nil
	case state.Security.Type != "API_KEY":
		return fmt.Sprintf("plan %s has security %s, not API_KEY", plan, cmp.Or(state.Security.Type, "unknown")), nil
	}
	return "", nil
}

// CheckConfig checks every mapped plan.
func (m *Manager) CheckConfig(ctx context.Context) ([]string, error) {
	const op = "check config"
	var faults []string
	checked := map[PlanRef]string{}
	for _, definition := range slices.Sorted(maps.Keys(m.config.Grants)) {
		for _, plan := range m.config.Grants[definition].all() {
			fault, done := checked[plan]
			if !done {
				var err error
				if fault, err = m.checkPlan(ctx, op, plan); err != nil {
					return faults, err
				}
				checked[plan] = fault
			}
			if fault != "" {
				faults = append(faults, fmt.Sprintf("grants.%s: %s", definition, fault))
			}
		}
	}
	return faults, nil
}

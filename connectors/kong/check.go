package kong

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
)

// Health tells whether Kong can be written to now. GET /status is always 200:
// only its word on the database counts. Then it deletes a consumer that cannot
// exist, which Kong answers 204 without changing anything: that needs the right
// and the database to write.
func (m *Manager) Health(ctx context.Context) (connectors.Health, error) {
	const op = "health"
	start := time.Now()
	var status struct {
		Database *struct {
			Reachable bool `json:"reachable"`
		} `json:"database"`
	}
	answer, err := m.do(ctx, call{op: op, method: http.MethodGet, route: "/status", out: &status})
	health := connectors.Health{Version: versionOf(answer)}
	switch {
	case err != nil:
		return health, err
	case status.Database == nil:
		return health, m.fail(op, connectors.Rejected, "Kong names no database: a node without one takes no writes")
	case !status.Database.Reachable:
		return health, m.fail(op, connectors.Temporary, "Kong does not reach its database")
	}
	if m.config.StatusURL != "" {
		if err := m.ready(ctx, op); err != nil {
			return health, err
		}
	}
	_, err = m.do(ctx, call{
		op: op, method: http.MethodDelete, route: "/consumers/{consumer}", params: map[string]string{"consumer": uuid.NewString()},
		expect: []int{http.StatusNoContent},
	})
	health.Latency = time.Since(start)
	return health, err
}

// ready asks the status listener, which needs no credential and is given none.
func (m *Manager) ready(ctx context.Context, op string) error {
	var ready struct {
		Message string `json:"message"`
	}
	_, err := outbound.JSON(ctx, m.http, outbound.Call{
		Partner: m.name, Op: op, Method: http.MethodGet, Base: m.config.StatusURL, Route: "/status/ready", Out: &ready,
	})
	if err == nil && ready.Message != "ready" {
		return m.fail(op, connectors.Temporary, "the status listener says %q", ready.Message)
	}
	return err
}

// versionOf reads "kong/3.10.0" or "kong/3.10.0.0-enterprise-edition".
func versionOf(a *outbound.Answer) string {
	if a == nil {
		return ""
	}
	version, ok := strings.CutPrefix(a.Header.Get("Server"), "kong/")
	if !ok {
		return ""
	}
	return version
}

type plugin struct {
	Name    string `json:"name"`
	Enabled bool   `json:"enabled"`
	Config  struct {
		Allow []string `json:"allow"`
	} `json:"config"`
}

// CheckConfig checks that every mapped group opens something: a plugin acl in
// use must allow it, and keys must be asked for somewhere.
func (m *Manager) CheckConfig(ctx context.Context) ([]string, error) {
	plugins, err := all[plugin](ctx, m, call{op: "check config", route: "/plugins"})
	if err != nil {
		return nil, err
	}
	var allowed []string
	keyed := false
	for _, p := range plugins {
		if !p.Enabled {
			continue
		}
		switch p.Name {
		case "acl":
			allowed = append(allowed, p.Config.Allow...)
		case "key-auth", "key-auth-enc":
			keyed = true
		}
	}
	var faults []string
	if !keyed {
		faults = append(faults, "no plugin key-auth is in use: no route asks for a key")
	}
	for _, definition := range slices.Sorted(maps.Keys(m.config.Grants)) {
		grant := m.config.Grants[definition]
		groups, err := grant.groups(slices.Sorted(maps.Keys(grant.Scopes)))
		if err != nil {
			return nil, err
		}
		for _, group := range without(groups, allowed) {
			faults = append(faults, fmt.Sprintf("grants.%s: no plugin acl in use allows the group %s", definition, group))
		}
	}
	return faults, nil
}

// Plan says what an approval would do.
func (m *Manager) Plan(g connectors.Grants) ([]string, error) {
	groups, err := m.required("plan", g)
	if err != nil {
		return nil, err
	}
	steps := []string{"Créer le consommateur de la demande, ou reprendre celui qui existe"}
	for _, group := range groups {
		steps = append(steps, fmt.Sprintf("L'inscrire au groupe %s", group))
	}
	return append(steps, "Lui donner la clé du hub"), nil
}

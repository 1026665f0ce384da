package keycloak

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
)

// found gives what the client's representation shows.
func (m *Manager) found(s standing, ref string) connectors.Found {
	return connectors.Found{
		Handle: connectors.Handle{Ref: ref, Subject: s.ClientID, ID: s.ClientID}, Owner: s.Attributes[attrOwner],
		Scopes: m.config.Grants[s.definition].scopes(s.Optional), ExpiresAt: s.until, Live: s.live(m.theirs.Now()),
	}
}

// List gives the credentials of one page of the hub's clients.
func (m *Manager) List(ctx context.Context, cursor string) ([]connectors.Found, string, error) {
	const op = "list"
	first := 0
	if cursor != "" {
		var err error
		if first, err = strconv.Atoi(cursor); err != nil || first < 0 {
			return nil, "", m.fail(op, connectors.Rejected, "%q is no cursor", cursor)
		}
	}
	var clients []client
	_, err := m.do(ctx, call{op: op, method: http.MethodGet, route: "/clients", out: &clients, query: url.Values{
		"q": {attrOwner + ":" + m.owner}, "first": {strconv.Itoa(first)}, "max": {strconv.Itoa(m.config.PageSize)},
	}})
	if err != nil {
		return nil, "", err
	}
	next := ""
	if len(clients) >= m.config.PageSize {
		next = strconv.Itoa(first + len(clients))
	}
	var page []connectors.Found
	for _, c := range clients {
		if !c.belongsTo(m.owner) {
			continue
		}
		kept, err := m.load(ctx, op, c.ClientID)
		if err != nil {
			return nil, "", err
		}
		for _, ref := range slices.Sorted(maps.Keys(kept.Prints)) {
			s, err := m.standingOf(ctx, op, c, connectors.Handle{Ref: ref})
			if connectors.Is(err, connectors.NotFound) {
				break // gone since the page was read
			}
			if err != nil {
				return nil, "", err
			}
			if s.kind != nothing {
				page = append(page, m.found(s, ref))
			}
		}
	}
	return page, next, nil
}

// Health tells whether Keycloak can be written to now. It makes a client that
// exists: the hub's own, or where that is in another realm, tries to remove one
// that cannot exist. The 409 or 404 changes nothing, and comes from the database,
// behind the right to manage clients (api-managers.md, 3.6).
func (m *Manager) Health(ctx context.Context) (connectors.Health, error) {
	const op = "health"
	start := time.Now()
	if m.config.ManagementURL != "" {
		if err := m.ready(ctx, op); err != nil {
			return connectors.Health{}, err
		}
	}
	var err error
	expected := connectors.Conflict
	if m.config.AdminRealm == m.config.Realm {
		_, err = m.do(ctx, call{
			op: op, method: http.MethodPost, route: "/clients", in: map[string]any{"clientId": m.config.ClientID, "enabled": false},
		})
	} else {
		expected = connectors.NotFound
		_, err = m.do(ctx, call{
			op: op, method: http.MethodDelete, route: "/clients/{client}", params: map[string]string{"client": uuid.NewString()}, object: true,
		})
	}
	health := connectors.Health{Latency: time.Since(start)}
	switch {
	case err == nil:
		return health, m.fail(op, connectors.Rejected, "unexpected answer: what must be refused was done")
	case !connectors.Is(err, expected):
		return health, err
	}
	return health, nil
}

// ready asks the management interface, which needs no credential and is given none.
func (m *Manager) ready(ctx context.Context, op string) error {
	var answer struct {
		Status string `json:"status"`
	}
	_, err := outbound.JSON(ctx, m.http, outbound.Call{
		Partner: m.name, Op: op, Method: http.MethodGet, Base: m.config.ManagementURL, Route: "/health/ready", Out: &answer,
	})
	if err != nil {
		return m.known(err)
	}
	if answer.Status != "UP" {
		return m.fail(op, connectors.Temporary, "Keycloak says that it is %q", answer.Status)
	}
	return nil
}

// CheckConfig checks that every mapped client scope exists, and that the realm
// rotates secrets as the settings say. The latter needs the role view-realm: it
// is left out where the hub's client does not have it.
func (m *Manager) CheckConfig(ctx context.Context) ([]string, error) {
	const op = "check config"
	there, err := m.clientScopes(ctx, op)
	if err != nil {
		return nil, err
	}
	var faults []string
	for _, definition := range slices.Sorted(maps.Keys(m.config.Grants)) {
		grant := m.config.Grants[definition]
		names, err := grant.clientScopes(slices.Sorted(maps.Keys(grant.Scopes)))
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if there[name] == "" {
				faults = append(faults, fmt.Sprintf("grants.%s: the realm has no client scope %s", definition, name))
			}
		}
	}
	period, readable, err := m.rotatedPeriod(ctx, op)
	switch {
	case err != nil:
		return nil, err
	case !readable:
	case period != m.config.RotatedPeriod:
		faults = append(faults, fmt.Sprintf("rotated_period: the settings say %s, the realm's policy %s", m.config.RotatedPeriod, period))
	}
	return faults, nil
}

// rotatedPeriod reads the realm's policy; false when it may not be read.
func (m *Manager) rotatedPeriod(ctx context.Context, op string) (period time.Duration, readable bool, err error) {
	var answer struct {
		Profiles []struct {
			Executors []struct {
				Executor string `json:"executor"`
				Config   struct {
					Rotated int64 `json:"rotated-expiration-period"`
				} `json:"configuration"`
			} `json:"executors"`
		} `json:"profiles"`
	}
	got, err := m.do(ctx, call{op: op, method: http.MethodGet, route: "/client-policies/profiles", out: &answer})
	if got != nil && got.Status == http.StatusForbidden {
		return 0, false, nil
	}
	for _, profile := range answer.Profiles {
		for _, e := range profile.Executors {
			if e.Executor == "secret-rotation" {
				period = time.Duration(e.Config.Rotated) * time.Second
			}
		}
	}
	return period, err == nil, err
}

// Plan says what an approval would do.
func (m *Manager) Plan(g connectors.Grants) ([]string, error) {
	names, err := m.required("plan", g)
	if err != nil {
		return nil, err
	}
	steps := []string{"Créer le client OpenID Connect de la demande, ou reprendre celui qui existe"}
	if len(names) > 0 {
		steps = append(steps, fmt.Sprintf("Lui accorder les portées facultatives %s", strings.Join(names, ", ")))
	}
	if m.overlaps() {
		return append(steps, "Remettre le secret créé par Keycloak"), nil
	}
	return append(steps, "Lui donner le secret du hub"), nil
}

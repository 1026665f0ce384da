package hydra

import (
	"context"
	"fmt"
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

// clients gives one page of the hub's clients and the token of the next. Hydra's
// links count all clients, filtered out or not, and may go on for ever: a page
// that is not full is the last.
func (m *Manager) clients(ctx context.Context, op, token string) ([]client, string, error) {
	query := url.Values{"owner": {m.owner}, "page_size": {strconv.Itoa(m.config.PageSize)}}
	if token != "" {
		query.Set("page_token", token)
	}
	var page []client
	answer, err := m.do(ctx, call{op: op, method: http.MethodGet, route: "/admin/clients", query: query, out: &page})
	if err != nil || len(page) < m.config.PageSize {
		return page, "", err
	}
	return page, nextToken(answer.Header), nil
}

// nextToken reads the page token of the link "next" (RFC 8288).
func nextToken(h http.Header) string {
	for link := range strings.SplitSeq(strings.Join(h.Values("Link"), ","), ",") {
		target, rel, _ := strings.Cut(link, ";")
		if !strings.Contains(rel, `rel="next"`) {
			continue
		}
		u, err := url.Parse(strings.Trim(strings.TrimSpace(target), "<>"))
		if err == nil {
			return u.Query().Get("page_token")
		}
	}
	return ""
}

// Health tells whether Hydra can be written to now: it says that it is ready,
// and its database answers that a client that cannot exist is not there to
// delete. It also learns once whether secrets can overlap.
func (m *Manager) Health(ctx context.Context) (connectors.Health, error) {
	const op = "health"
	start := time.Now()
	var ready struct {
		Status string `json:"status"`
	}
	if _, err := m.do(ctx, call{op: op, method: http.MethodGet, route: "/health/ready", out: &ready}); err != nil {
		return connectors.Health{}, err
	}
	if ready.Status != "ok" {
		return connectors.Health{}, m.fail(op, connectors.Temporary, "Hydra says that it is %q", ready.Status)
	}
	var version struct {
		Version string `json:"version"`
	}
	if _, err := m.do(ctx, call{op: op, method: http.MethodGet, route: "/version", out: &version}); err != nil {
		return connectors.Health{}, err
	}
	health := connectors.Health{Version: version.Version}
	err := m.remove(ctx, op, "/admin/clients/{client}", uuid.NewString())
	if err != nil && !connectors.Is(err, connectors.NotFound) {
		return health, err
	}
	health.Latency = time.Since(start)
	return health, m.learn(ctx, op)
}

// CheckConfig checks that holders can get tokens as the hub registers them. Hydra
// keeps no register of scopes or audiences to compare the mapping with.
func (m *Manager) CheckConfig(ctx context.Context) ([]string, error) {
	const op = "check config"
	if err := m.learn(ctx, op); err != nil {
		return nil, err
	}
	if m.config.PublicURL == "" {
		return nil, nil
	}
	var discovery struct {
		TokenEndpoint string   `json:"token_endpoint"`
		Grants        []string `json:"grant_types_supported"`
		Methods       []string `json:"token_endpoint_auth_methods_supported"`
	}
	_, err := outbound.JSON(ctx, m.http, outbound.Call{
		Partner: m.name, Op: op, Method: http.MethodGet, Base: m.config.PublicURL, Route: "/.well-known/openid-configuration", Out: &discovery,
	})
	switch {
	case connectors.Is(err, connectors.NotFound), connectors.Is(err, connectors.Rejected):
		return []string{"public_url: no OpenID discovery there: not Hydra's public side"}, nil
	case err != nil:
		return nil, err
	}
	var faults []string
	if discovery.TokenEndpoint == "" {
		faults = append(faults, "public_url: Hydra announces no token endpoint")
	}
	for what, missing := range map[string]bool{
		"grant client_credentials":                  !slices.Contains(discovery.Grants, "client_credentials"),
		"authentication method client_secret_basic": !slices.Contains(discovery.Methods, "client_secret_basic"),
	} {
		if missing {
			faults = append(faults, fmt.Sprintf("public_url: Hydra does not announce the %s", what))
		}
	}
	slices.Sort(faults)
	return faults, nil
}

// Plan says what an approval would do.
func (m *Manager) Plan(g connectors.Grants) ([]string, error) {
	words, audience, err := m.required("plan", g)
	if err != nil {
		return nil, err
	}
	steps := []string{
		"Créer le client OAuth 2.0 de la demande, ou reprendre celui qui existe",
		fmt.Sprintf("Lui accorder les portées %s", strings.Join(words, ", ")),
	}
	if len(audience) > 0 {
		steps = append(steps, fmt.Sprintf("Limiter ses jetons à %s", strings.Join(audience, ", ")))
	}
	return append(steps, "Lui donner le secret du hub"), nil
}

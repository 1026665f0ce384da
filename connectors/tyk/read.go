package tyk

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
)

// policy is one of Tyk's, as far as it matters here.
type policy struct {
	ID       string         `json:"id"`
	Active   bool           `json:"active"`
	Inactive bool           `json:"is_inactive"`
	Rights   map[string]any `json:"access_rights"`
}

// policies gives those that Tyk has loaded, by id.
func (m *Manager) policies(ctx context.Context, op string) (map[string]policy, error) {
	var list []policy
	err := m.do(ctx, call{op: op, method: http.MethodGet, route: "/tyk/policies", out: &list})
	there := make(map[string]policy, len(list))
	for _, p := range list {
		there[p.ID] = p
	}
	return there, err
}

// Lookup says what Tyk holds for a key.
func (m *Manager) Lookup(ctx context.Context, h connectors.Handle) (connectors.Found, error) {
	const op = "lookup"
	hash, err := m.hashOfHandle(ctx, op, h)
	if err != nil {
		return connectors.Found{}, err
	}
	if hash == "" {
		return connectors.Found{}, m.fail(op, connectors.NotFound, "no key was issued for %s", h.Ref)
	}
	k, err := m.read(ctx, op, hash)
	if err != nil {
		return connectors.Found{}, err
	}
	there, err := m.policies(ctx, op)
	if err != nil {
		return connectors.Found{}, err
	}
	return m.found(hash, k, there), nil
}

// found tells what a key opens: not what a policy gave that is gone. A key is
// unknown when it exists and would be refused for now: suspended, or without a
// policy that is left.
func (m *Manager) found(hash string, k key, there map[string]policy) connectors.Found {
	held := slices.DeleteFunc(slices.Clone(k.Policies), func(id string) bool {
		_, exists := there[id]
		return !exists
	})
	live := connectors.Alive
	switch {
	case k.dead(m.theirs.Now()):
		live = connectors.Dead
	case k.Inactive || len(held) == 0:
		live = connectors.Unknown
	}
	return connectors.Found{
		Handle: connectors.Handle{Ref: k.meta(metaRef), Subject: k.meta(metaSubject), ID: hash}, Owner: k.meta(metaOwner),
		Scopes: m.config.Grants[k.meta(metaDefinition)].scopes(held), ExpiresAt: k.end(), Live: live,
	}
}

// List reads the keys of one page of Tyk's hashes, and gives the hub's among them.
func (l Lister) List(ctx context.Context, cursor string) ([]connectors.Found, string, error) {
	const op = "list"
	var answer struct {
		Hashes *[]string `json:"keys"`
	}
	if err := l.do(ctx, call{op: op, method: http.MethodGet, route: "/tyk/keys", out: &answer}); err != nil {
		return nil, "", err
	}
	if answer.Hashes == nil {
		return nil, "", l.fail(op, connectors.Rejected, "unexpected answer: a list without keys")
	}
	hashes := slices.DeleteFunc(*answer.Hashes, func(hash string) bool { return hash <= cursor })
	slices.Sort(hashes)
	next := ""
	if len(hashes) > l.config.PageSize {
		hashes = hashes[:l.config.PageSize]
		next = hashes[l.config.PageSize-1]
	}
	there, err := l.policies(ctx, op)
	if err != nil {
		return nil, "", err
	}
	var page []connectors.Found
	for _, hash := range hashes {
		k, err := l.read(ctx, op, hash)
		if connectors.Is(err, connectors.NotFound) {
			continue // gone since the list was read
		}
		if err != nil {
			return nil, "", err
		}
		if k.meta(metaOwner) == l.owner && k.meta(metaRef) != "" {
			page = append(page, l.found(hash, k, there))
		}
	}
	return page, next, nil
}

// Health tells whether Tyk can be written to now: both of its own reports say that
// Redis answers, and it says of a key that cannot exist that it is not there to
// delete, which needs the secret. A wrong secret is Unauthorized.
func (m *Manager) Health(ctx context.Context) (connectors.Health, error) {
	const op = "health"
	start := time.Now()
	version, err := m.state(ctx, op, "/hello")
	health := connectors.Health{Version: version}
	if err != nil {
		return health, err
	}
	if err := m.ready(ctx, op); err != nil {
		return health, err
	}
	err = m.delete(ctx, op, nobodysHash())
	switch {
	case err == nil:
		return health, m.fail(op, connectors.Rejected, "unexpected answer: a key that cannot exist was deleted")
	case !connectors.Is(err, connectors.NotFound):
		return health, err
	}
	health.Latency = time.Since(start)
	return health, nil
}

// nobodysHash is longer than any hash.
func nobodysHash() string { return "passerelle-" + uuid.NewString() }

// CheckConfig checks that keys are hashed and that every mapped policy exists, is
// active and opens something.
func (m *Manager) CheckConfig(ctx context.Context) ([]string, error) {
	const op = "check config"
	var faults []string
	_, err := m.read(ctx, op, nobodysHash())
	switch {
	case connectors.Is(err, connectors.Rejected):
		faults = append(faults, "Tyk must run with hash_keys: it finds no key by its hash")
	case err != nil && !connectors.Is(err, connectors.NotFound):
		return nil, err
	}
	there, err := m.policies(ctx, op)
	if err != nil {
		return nil, err
	}
	for _, definition := range slices.Sorted(maps.Keys(m.config.Grants)) {
		grant := m.config.Grants[definition]
		ids := slices.Concat(grant.Policies, slices.Concat(slices.Collect(maps.Values(grant.Scopes))...))
		slices.Sort(ids)
		for _, id := range slices.Compact(ids) {
			p, exists := there[id]
			switch {
			case !exists:
				faults = append(faults, fmt.Sprintf("grants.%s: policy %s does not exist", definition, id))
			case !p.Active || p.Inactive:
				faults = append(faults, fmt.Sprintf("grants.%s: policy %s is not active", definition, id))
			case len(p.Rights) == 0:
				faults = append(faults, fmt.Sprintf("grants.%s: policy %s opens no API", definition, id))
			}
		}
	}
	return faults, nil
}

// Plan says what an approval would do.
func (m *Manager) Plan(g connectors.Grants) ([]string, error) {
	policies, err := m.required("plan", g)
	if err != nil {
		return nil, err
	}
	return []string{
		"Créer la clé de la demande avec la valeur du hub",
		fmt.Sprintf("Lui appliquer les politiques %s", strings.Join(policies, ", ")),
		"Remettre la forme base64 de la clé",
	}, nil
}

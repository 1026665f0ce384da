package gravitee

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
)

// VerifyRevoked looks for the value, not for the key's id that Revoke used, on
// the application's subscriptions in every state. When all it finds is dead, or
// when nothing there holds the value, the gateway has the last word where a
// probe is set.
func (m *Manager) VerifyRevoked(ctx context.Context, h connectors.Handle) (connectors.Liveness, error) {
	const op = "verify revoked"
	if h.Ref == "" {
		return connectors.Unknown, m.fail(op, connectors.Rejected, "a handle has a reference")
	}
	x, err := m.matcherOf(ctx, op, h)
	if err != nil {
		return connectors.Unknown, err
	}
	byValue := matcher{print: x.print}
	if x.print == "" {
		byValue = x
	}
	app, err := m.subjectOf(ctx, op, h)
	if err != nil {
		return connectors.Unknown, err
	}
	if app == "" {
		return connectors.Dead, nil // no application, no key
	}
	if byValue.empty() {
		return m.neverIssued(ctx, op, app, h)
	}
	keys, err := m.find(ctx, op, app, m.apisOf(h), allStates, byValue)
	if err != nil {
		return connectors.Unknown, err
	}
	for _, key := range keys {
		if !key.key.dead() {
			return connectors.Alive, nil
		}
	}
	if len(keys) > 0 {
		if state, err := m.probe(ctx, op, h, keys[0].key.Value); err != nil || state != connectors.Dead {
			return state, err
		}
	}
	return connectors.Dead, m.forget(ctx, op, h.Ref, byValue.print)
}

// neverIssued judges a credential of which no value was ever sent: it is written
// down before. Should the records be lost, a live key that they do not know, on a
// subscription made for this credential, keeps it from being called dead.
func (m *Manager) neverIssued(ctx context.Context, op, app string, h connectors.Handle) (connectors.Liveness, error) {
	for _, api := range m.apisOf(h) {
		subs, err := m.subscriptions(ctx, op, api, openStates, app)
		if err != nil {
			return connectors.Unknown, err
		}
		for _, sub := range subs {
			if sub.Metadata[hubRef] != h.Ref {
				continue
			}
			keys, err := m.keys(ctx, op, sub)
			if err != nil {
				return connectors.Unknown, err
			}
			for _, key := range keys {
				ours, err := m.isOurs(ctx, op, key.key)
				if err != nil || (!ours && !key.key.dead()) {
					return connectors.Unknown, err
				}
			}
		}
	}
	return connectors.Dead, nil
}

// gatewayKey is the header that carries a key at the gateway.
const gatewayKey = "X-Gravitee-Api-Key"

// probe calls the gateway with the key. Without a probe in the settings the
// manager's word counts.
func (m *Manager) probe(ctx context.Context, op string, h connectors.Handle, value connectors.Secret) (connectors.Liveness, error) {
	target := m.config.probeURL(h.Extra[extraDefinition])
	if target == "" {
		return connectors.Dead, nil
	}
	answer, err := outbound.JSON(ctx, m.http, outbound.Call{
		Partner: m.name, Op: op, Method: http.MethodGet, Base: target,
		Header: http.Header{gatewayKey: {value.Reveal()}}, Secrets: []connectors.Secret{value},
	})
	switch {
	case answer == nil:
		return connectors.Unknown, err
	case answer.Status == http.StatusUnauthorized:
		return connectors.Dead, nil
	case answer.Status >= 200 && answer.Status < 300, answer.Status == http.StatusBadRequest, answer.Status == http.StatusUnprocessableEntity:
		return connectors.Alive, nil // the key went through, whatever the API behind thinks of the call
	}
	return connectors.Unknown, nil // the gateway, or what is before it, says nothing about the key
}

// Lookup says what the manager holds. Scopes are those that the live
// subscriptions cover by the settings' mapping.
func (m *Manager) Lookup(ctx context.Context, h connectors.Handle) (connectors.Found, error) {
	const op = "lookup"
	missing := m.fail(op, connectors.NotFound, "no key of %s", h.Ref)
	id, err := m.subjectOf(ctx, op, h)
	if err != nil {
		return connectors.Found{}, err
	}
	if id == "" {
		return connectors.Found{}, missing
	}
	app, err := m.application(ctx, op, id)
	if err != nil {
		return connectors.Found{}, err
	}
	if app == nil {
		return connectors.Found{}, missing
	}
	x, err := m.matcherOf(ctx, op, h)
	if err != nil {
		return connectors.Found{}, err
	}
	keys, err := m.find(ctx, op, app.ID, m.apisOf(h), allStates, x)
	if err != nil {
		return connectors.Found{}, err
	}
	if len(keys) == 0 {
		return connectors.Found{}, missing
	}
	return m.found(h.Ref, *app, keys), nil
}

// found describes one credential from all its keys.
func (m *Manager) found(ref string, app application, keys []held) connectors.Found {
	live := slices.DeleteFunc(slices.Clone(keys), func(k held) bool { return k.key.dead() || !k.sub.open() })
	passing := slices.DeleteFunc(slices.Clone(live), func(k held) bool { return k.key.Paused || k.sub.Status != statusAccepted })
	f := connectors.Found{Owner: ownerOf(app.Description), Live: connectors.Dead}
	shown := live
	switch {
	case len(passing) > 0:
		f.Live = connectors.Alive
	case len(live) > 0:
		f.Live = connectors.Unknown // paused: it does not pass now, it may again
	default:
		shown = keys
	}
	definition := m.definitionOf(shown)
	main := shown[0]
	for _, key := range shown {
		if key.sub.plan() == m.config.Grants[definition].main() {
			main = key
		}
	}
	all := []placed{{held: main}}
	var end time.Time
	for _, key := range shown {
		end = earlier(end, key.key.end())
		if key.sub.ID != main.sub.ID {
			all = append(all, placed{held: key})
		}
	}
	w := want{app: app.ID, ref: ref, print: fingerprint(main.key.Value)}
	f.Handle, f.ExpiresAt = m.handle(w, definition, all), end
	if f.Live != connectors.Dead {
		f.Scopes = m.scopesOf(definition, slices.DeleteFunc(live, func(k held) bool { return k.sub.Status != statusAccepted }))
	}
	return f
}

// definitionOf is the one whose main plan is held; "" when none is.
func (m *Manager) definitionOf(keys []held) string {
	var definitions []string
	for definition, grant := range m.config.Grants {
		if slices.ContainsFunc(keys, func(k held) bool { return k.sub.plan() == grant.main() }) {
			definitions = append(definitions, definition)
		}
	}
	if len(definitions) == 0 {
		return ""
	}
	return slices.Min(definitions)
}

func (m *Manager) scopesOf(definition string, keys []held) []string {
	var scopes []string
	for scope, plans := range m.config.Grants[definition].Scopes {
		missing := slices.ContainsFunc(plans, func(plan PlanRef) bool {
			return !slices.ContainsFunc(keys, func(k held) bool { return k.sub.plan() == plan })
		})
		if !missing {
			scopes = append(scopes, scope)
		}
	}
	slices.Sort(scopes)
	return scopes
}

package keycloak

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
)

// Attributes that the hub writes.
const (
	attrRef   = "hub_ref"
	attrOwner = "hub_owner"
)

// Attributes in which Keycloak keeps the ends of secrets, in Unix time.
const (
	attrSecretEnd  = "client.secret.expiration.time"
	attrRotatedEnd = "client.secret.rotated.expiration.time"
)

// client is Keycloak's name of a subject, as it is read. whole is everything that
// Keycloak shows of it.
type client struct {
	ID          string            `json:"id"` // Keycloak's own
	ClientID    string            `json:"clientId"`
	Name        string            `json:"name"`
	Description string            `json:"description"`
	Enabled     bool              `json:"enabled"`
	Attributes  map[string]string `json:"attributes"`
	Optional    []string          `json:"optionalClientScopes"` // names

	whole map[string]any
}

// UnmarshalJSON keeps the whole beside what is read of it.
func (c *client) UnmarshalJSON(text []byte) error {
	type members client
	if err := json.Unmarshal(text, (*members)(c)); err != nil {
		return err
	}
	return json.Unmarshal(text, &c.whole)
}

// end reads an attribute that is a moment; zero when there is none.
func (c client) end(attribute string) time.Time {
	seconds, err := strconv.ParseInt(c.Attributes[attribute], 10, 64)
	if err != nil || seconds <= 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}

// find gives the client of a subject's reference. The empty list of a search
// proves, unlike a 404, that the realm was reached.
func (m *Manager) find(ctx context.Context, op, ref string) (client, bool, error) {
	var found []client
	_, err := m.do(ctx, call{op: op, method: http.MethodGet, route: "/clients", query: url.Values{"clientId": {ref}}, out: &found})
	if err != nil || len(found) == 0 {
		return client{}, false, err
	}
	c := found[0]
	if len(found) > 1 || c.ClientID != ref || c.ID == "" {
		return client{}, false, m.fail(op, connectors.Rejected, "unexpected answer to a search for the client %s", ref)
	}
	return c, true, nil
}

func (c client) belongsTo(owner string) bool {
	return c.Attributes[attrOwner] == owner && c.Attributes[attrRef] == c.ClientID
}

// own is find for a client that must be there and of this owner.
func (m *Manager) own(ctx context.Context, op, ref, owner string) (client, error) {
	c, found, err := m.find(ctx, op, ref)
	switch {
	case err != nil:
		return client{}, err
	case !found:
		return client{}, m.fail(op, connectors.NotFound, "Keycloak has no client %s", ref)
	case !c.belongsTo(owner):
		return client{}, m.fail(op, connectors.Conflict, "client %s belongs to another owner", ref)
	}
	return c, nil
}

// attributesOf are those of a subject. Keycloak takes texts alone.
func attributesOf(s connectors.Subject) map[string]string {
	attributes := maps.Clone(s.Labels)
	if attributes == nil {
		attributes = map[string]string{}
	}
	attributes[attrRef], attributes[attrOwner] = s.Ref, s.Owner
	return attributes
}

// EnsureSubject creates or adopts the client. Until a credential is issued its
// secret is Keycloak's own, and handed to nobody.
func (m *Manager) EnsureSubject(ctx context.Context, s connectors.Subject) (string, error) {
	const op = "subject"
	c, err := m.ensure(ctx, op, s)
	if err != nil {
		return "", err
	}
	wanted := attributesOf(s)
	same := c.Name == s.Name && c.Description == s.Description
	for name, value := range wanted {
		same = same && c.Attributes[name] == value
	}
	if same || m.overlaps() { // a PUT would end a grace, and what it changes can wait for ever
		return s.Ref, nil
	}
	attributes := maps.Clone(c.Attributes)
	maps.Copy(attributes, wanted)
	return s.Ref, m.put(ctx, op, c, connectors.Secret{}, map[string]any{
		"name": s.Name, "description": s.Description, "attributes": attributes,
	})
}

func (m *Manager) ensure(ctx context.Context, op string, s connectors.Subject) (client, error) {
	if s.Ref == "" || s.Owner == "" {
		return client{}, m.fail(op, connectors.Rejected, "a subject needs a reference and an owner")
	}
	c, err := m.own(ctx, op, s.Ref, s.Owner)
	if !connectors.Is(err, connectors.NotFound) {
		return c, err
	}
	_, err = m.do(ctx, call{
		op: op, method: http.MethodPost, route: "/clients", expect: []int{http.StatusCreated},
		in: map[string]any{
			"clientId": s.Ref, "name": s.Name, "description": s.Description, "enabled": true, "protocol": "openid-connect",
			"publicClient": false, "serviceAccountsEnabled": true, "standardFlowEnabled": false, "directAccessGrantsEnabled": false,
			"attributes": attributesOf(s), "optionalClientScopes": []string{},
		},
	})
	if err != nil && !connectors.Is(err, connectors.Conflict) {
		return client{}, err
	}
	return m.own(ctx, op, s.Ref, s.Owner) // also when another worker was faster
}

// put writes the whole client with changed members. It is never sent where the
// realm's policy keeps old secrets: it would end them.
func (m *Manager) put(ctx context.Context, op string, c client, secret connectors.Secret, changes map[string]any) error {
	body := maps.Clone(c.whole)
	maps.Copy(body, changes)
	if !secret.IsZero() {
		body["secret"] = secret.Reveal()
	}
	_, err := m.do(ctx, call{
		op: op, method: http.MethodPut, route: "/clients/{client}", params: c.path(), in: body,
		expect: []int{http.StatusNoContent}, object: true, secret: secret,
	})
	return err
}

func (c client) path() map[string]string { return map[string]string{"client": c.ID} }

// clientScope is one of the realm's.
type clientScope struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

func (m *Manager) clientScopes(ctx context.Context, op string) (map[string]string, error) {
	var list []clientScope
	_, err := m.do(ctx, call{op: op, method: http.MethodGet, route: "/client-scopes", out: &list})
	ids := make(map[string]string, len(list))
	for _, s := range list {
		ids[s.Name] = s.ID
	}
	return ids, err
}

const optionalRoute = "/clients/{client}/optional-client-scopes"

func (m *Manager) optional(ctx context.Context, op string, c client) (map[string]string, error) {
	var list []clientScope
	_, err := m.do(ctx, call{op: op, method: http.MethodGet, route: optionalRoute, params: c.path(), out: &list, object: true})
	ids := make(map[string]string, len(list))
	for _, s := range list {
		ids[s.Name] = s.ID
	}
	return ids, err
}

// required gives the client scopes that the grants map to.
func (m *Manager) required(op string, g connectors.Grants) ([]string, error) {
	grant, known := m.config.Grants[g.Definition]
	if !known {
		return nil, m.fail(op, connectors.Rejected, "definition %s has no mapping", g.Definition)
	}
	names, err := grant.clientScopes(g.Scopes)
	if err != nil {
		return nil, m.fail(op, connectors.Rejected, "definition %s: %v", g.Definition, err)
	}
	return names, nil
}

// EnsureGrants makes the client's optional scopes exactly those that g maps to,
// one by one: their sub-resources spare a secret in its grace. What it changed is
// read back.
func (m *Manager) EnsureGrants(ctx context.Context, subjectID string, _ []connectors.Handle, g connectors.Grants) error {
	const op = "grants"
	want, err := m.required(op, g)
	if err != nil {
		return err
	}
	c, err := m.own(ctx, op, subjectID, m.owner)
	if err != nil {
		return err
	}
	return m.setScopes(ctx, op, c, g.Definition, want)
}

func (m *Manager) setScopes(ctx context.Context, op string, c client, definition string, want []string) error {
	kept, err := m.load(ctx, op, c.ClientID)
	if err != nil {
		return err
	}
	if kept.Definition != definition {
		kept.Definition = definition
		if err := m.save(ctx, op, c.ClientID, kept); err != nil {
			return err
		}
	}
	held, err := m.optional(ctx, op, c)
	if err != nil {
		return err
	}
	if slices.Equal(slices.Sorted(maps.Keys(held)), want) {
		return nil
	}
	there, err := m.clientScopes(ctx, op)
	if err != nil {
		return err
	}
	for _, name := range want {
		if there[name] == "" {
			return m.fail(op, connectors.Rejected, "the realm has no client scope %s", name)
		}
	}
	for _, name := range want {
		if held[name] == "" {
			if err := m.assign(ctx, op, http.MethodPut, c, there[name]); err != nil {
				return err
			}
		}
	}
	for name, id := range held {
		if !slices.Contains(want, name) {
			if err := m.assign(ctx, op, http.MethodDelete, c, id); err != nil {
				return err
			}
		}
	}
	if held, err = m.optional(ctx, op, c); err != nil {
		return err
	}
	if !slices.Equal(slices.Sorted(maps.Keys(held)), want) {
		return m.fail(op, connectors.Temporary, "the client scopes read back are not those that were written")
	}
	return nil
}

func (m *Manager) assign(ctx context.Context, op, method string, c client, scope string) error {
	_, err := m.do(ctx, call{
		op: op, method: method, route: optionalRoute + "/{scope}", params: map[string]string{"client": c.ID, "scope": scope},
		expect: []int{http.StatusNoContent}, object: true,
	})
	return err
}

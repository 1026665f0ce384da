package hydra

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
)

// client is Hydra's name of a subject, as it is read.
type client struct {
	ID       string          `json:"client_id"`
	Name     string          `json:"client_name"`
	Owner    string          `json:"owner"`
	Scope    string          `json:"scope"`
	Audience []string        `json:"audience"`
	Metadata json.RawMessage `json:"metadata"`
}

// metadata is what the hub keeps with a client.
type metadata struct {
	Ref        string            `json:"hub_ref"`
	Credential string            `json:"hub_credential,omitempty"` // whose value the secret is
	Definition string            `json:"hub_definition,omitempty"`
	Replaced   []replaced        `json:"hub_replaced,omitempty"` // old secrets that Hydra still takes
	About      string            `json:"description,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`
}

// replaced is a credential in the grace of its rotation.
type replaced struct {
	Ref   string    `json:"ref"`
	Until time.Time `json:"until"`
}

// kept reads our metadata. A stranger's may have any shape, and is none of ours.
func (c client) kept() metadata {
	var kept metadata
	if json.Unmarshal(c.Metadata, &kept) != nil {
		return metadata{}
	}
	return kept
}

func (k metadata) grace(ref string) (replaced, bool) {
	i := slices.IndexFunc(k.Replaced, func(r replaced) bool { return r.Ref == ref })
	if i < 0 {
		return replaced{}, false
	}
	return k.Replaced[i], true
}

// firstEnd is the earliest end of at and of the graces that are open: old secrets
// are dropped together, so that the first end is everyone's.
func (k metadata) firstEnd(at time.Time) time.Time {
	for _, old := range k.Replaced {
		if old.Until.Before(at) {
			at = old.Until
		}
	}
	return at
}

// registration is what a new client is made of.
type registration struct {
	ID            string   `json:"client_id"`
	Secret        string   `json:"client_secret"`
	Name          string   `json:"client_name"`
	Owner         string   `json:"owner"`
	GrantTypes    []string `json:"grant_types"`
	ResponseTypes []string `json:"response_types"`
	AuthMethod    string   `json:"token_endpoint_auth_method"`
	Scope         string   `json:"scope"`
	Audience      []string `json:"audience"`
	Metadata      metadata `json:"metadata"`
	Strategy      Strategy `json:"access_token_strategy"`
	Lifetime      string   `json:"client_credentials_grant_access_token_lifespan"`
}

// unopened is the scope of a client to which nothing was granted yet: an empty
// one would become Hydra's default scopes.
const unopened = "passerelle:none"

func (m *Manager) read(ctx context.Context, op, id string) (client, metadata, error) {
	var c client
	_, err := m.do(ctx, call{
		op: op, method: http.MethodGet, route: "/admin/clients/{client}", params: map[string]string{"client": id}, out: &c,
	})
	if err == nil && c.ID != id {
		err = m.fail(op, connectors.Rejected, "unexpected answer: the client %q instead of %q", c.ID, id)
	}
	return c, c.kept(), err
}

// own is read for a client that must be of this owner.
func (m *Manager) own(ctx context.Context, op, id, owner string) (client, metadata, error) {
	c, kept, err := m.read(ctx, op, id)
	if err == nil && (c.Owner != owner || kept.Ref != id) {
		err = m.fail(op, connectors.Conflict, "client %s belongs to another owner", id)
	}
	return c, kept, err
}

// create registers a client; a Conflict says that somebody was faster.
func (m *Manager) create(ctx context.Context, op string, s connectors.Subject, secret connectors.Secret, words, audience []string, kept metadata) error {
	_, err := m.do(ctx, call{
		op: op, method: http.MethodPost, route: "/admin/clients", expect: []int{http.StatusCreated}, secret: secret, out: &client{},
		in: registration{
			ID: s.Ref, Secret: secret.Reveal(), Name: s.Name, Owner: s.Owner, GrantTypes: []string{"client_credentials"},
			ResponseTypes: []string{}, AuthMethod: "client_secret_basic", Scope: strings.Join(words, " "),
			Audience: append([]string{}, audience...), Metadata: kept, Strategy: m.config.Strategy,
			Lifetime: m.config.TokenLifetime.String(),
		},
	})
	return err
}

// change is one operation of a JSON Patch (RFC 6902). Every member that is
// changed exists since the client was made.
type change struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

func replace(path string, value any) change { return change{"replace", path, value} }

// patch applies the changes at once, or none.
func (m *Manager) patch(ctx context.Context, op, id string, secret connectors.Secret, changes ...change) error {
	var c client
	_, err := m.do(ctx, call{
		op: op, method: http.MethodPatch, route: "/admin/clients/{client}", params: map[string]string{"client": id},
		in: changes, out: &c, secret: secret,
	})
	if err == nil && c.ID != id {
		err = m.fail(op, connectors.Rejected, "unexpected answer: the client %q instead of %q", c.ID, id)
	}
	return err
}

// newSecret is a value that nobody knows yet, of 130 bits at least.
func newSecret() connectors.Secret { return connectors.NewSecret(rand.Text() + rand.Text()) }

func keptOf(s connectors.Subject) metadata {
	return metadata{Ref: s.Ref, About: s.Description, Labels: s.Labels}
}

// EnsureSubject creates or adopts the client. Until a credential is issued its
// secret is one that nobody knows.
func (m *Manager) EnsureSubject(ctx context.Context, s connectors.Subject) (string, error) {
	const op = "subject"
	if s.Ref == "" || s.Owner == "" {
		return "", m.fail(op, connectors.Rejected, "a subject needs a reference and an owner")
	}
	if err := m.learn(ctx, op); err != nil {
		return "", err
	}
	c, kept, err := m.own(ctx, op, s.Ref, s.Owner)
	if connectors.Is(err, connectors.NotFound) {
		err = m.create(ctx, op, s, newSecret(), []string{unopened}, nil, keptOf(s))
		if err == nil {
			return s.Ref, nil
		}
		if !connectors.Is(err, connectors.Conflict) {
			return "", err
		}
		c, kept, err = m.own(ctx, op, s.Ref, s.Owner) // another worker was faster
	}
	if err != nil {
		return "", err
	}
	if c.Name == s.Name && kept.About == s.Description && maps.Equal(kept.Labels, s.Labels) {
		return s.Ref, nil
	}
	kept.About, kept.Labels = s.Description, s.Labels
	return s.Ref, m.patch(ctx, op, s.Ref, connectors.Secret{}, replace("/client_name", s.Name), replace("/metadata", kept))
}

// required gives the client's scope and audience for the grants.
func (m *Manager) required(op string, g connectors.Grants) (words, audience []string, err error) {
	grant, known := m.config.Grants[g.Definition]
	if !known {
		return nil, nil, m.fail(op, connectors.Rejected, "definition %s has no mapping", g.Definition)
	}
	words, err = grant.words(g.Scopes)
	if err != nil {
		return nil, nil, m.fail(op, connectors.Rejected, "definition %s: %v", g.Definition, err)
	}
	return words, append([]string{}, grant.Audience...), nil
}

// EnsureGrants makes the client's scope and audience exactly what g maps to. A
// PATCH leaves everything else as it is, secrets in a grace included.
func (m *Manager) EnsureGrants(ctx context.Context, subjectID string, _ []connectors.Handle, g connectors.Grants) error {
	const op = "grants"
	words, audience, err := m.required(op, g)
	if err != nil {
		return err
	}
	c, kept, err := m.own(ctx, op, subjectID, m.owner)
	if err != nil {
		return err
	}
	held := slices.Sorted(slices.Values(strings.Fields(c.Scope)))
	if slices.Equal(held, words) && slices.Equal(c.Audience, audience) && kept.Definition == g.Definition {
		return nil
	}
	kept.Definition = g.Definition
	return m.patch(ctx, op, subjectID, connectors.Secret{},
		replace("/scope", strings.Join(words, " ")), replace("/audience", audience), replace("/metadata", kept))
}

package kong

import (
	"context"
	"net/http"
	"net/url"

	"github.com/passerelle-hub/passerelle/connectors"
)

// Revoke deletes the key. What is not there is looked for in another way before
// it counts as gone.
func (m *Manager) Revoke(ctx context.Context, h connectors.Handle) error {
	return m.revoke(ctx, "revoke", h)
}

func (m *Manager) revoke(ctx context.Context, op string, h connectors.Handle) error {
	subject, id := m.place(h)
	if subject == "" {
		return m.fail(op, connectors.Rejected, "no reference")
	}
	err := m.deleteKey(ctx, op, subject, id)
	if !connectors.Is(err, connectors.NotFound) {
		return err
	}
	subject, id, listed, err := m.search(ctx, op, h)
	if err != nil || !listed {
		return err
	}
	return m.deleteKey(ctx, op, subject, id) // somebody made the consumer again
}

func (m *Manager) deleteKey(ctx context.Context, op, subject, id string) error {
	_, err := m.do(ctx, call{
		op: op, method: http.MethodDelete, route: keyRoute, params: keyParams(subject, id), expect: []int{http.StatusNoContent},
	})
	return err
}

// VerifyRevoked looks for the key in the list of its consumer: a 404 by id would
// also be the answer of a wrong path.
func (m *Manager) VerifyRevoked(ctx context.Context, h connectors.Handle) (connectors.Liveness, error) {
	_, _, listed, err := m.search(ctx, "verify", h)
	switch {
	case err != nil:
		return connectors.Unknown, err
	case listed:
		return connectors.Alive, nil
	}
	return connectors.Dead, nil
}

// search finds a key by the lists alone, and where it is.
func (m *Manager) search(ctx context.Context, op string, h connectors.Handle) (subject, id string, listed bool, err error) {
	ref := connectors.SubjectRef(h.Ref)
	if ref == "" {
		return "", "", false, m.fail(op, connectors.Rejected, "%q is no credential of ours", h.Ref)
	}
	subject, id = m.place(h)
	keys, err := m.keysOf(ctx, op, subject)
	if connectors.Is(err, connectors.NotFound) {
		c, found, err := m.consumerByRef(ctx, op, ref)
		if err != nil || !found {
			return "", "", false, err // a consumer's keys go with it
		}
		subject = c.ID
		if keys, err = m.keysOf(ctx, op, subject); err != nil {
			return "", "", false, err
		}
	} else if err != nil {
		return "", "", false, err
	}
	for _, k := range keys {
		if k.ID == id || tagged(k.Tags, refTag) == h.Ref {
			return subject, k.ID, true, nil
		}
	}
	return "", "", false, nil
}

func (m *Manager) keysOf(ctx context.Context, op, subject string) ([]keyAuth, error) {
	return all[keyAuth](ctx, m, call{op: op, route: "/consumers/{consumer}/key-auth", params: map[string]string{"consumer": subject}})
}

// Lookup says what Kong holds for a credential.
func (m *Manager) Lookup(ctx context.Context, h connectors.Handle) (connectors.Found, error) {
	const op = "lookup"
	subject, id := m.place(h)
	if subject == "" {
		return connectors.Found{}, m.fail(op, connectors.Rejected, "no reference")
	}
	k, err := m.key(ctx, op, subject, id)
	if err != nil {
		return connectors.Found{}, err
	}
	c, err := m.consumer(ctx, op, subject)
	if err != nil {
		return connectors.Found{}, err
	}
	groups, err := m.groups(ctx, op, c.ID)
	if err != nil {
		return connectors.Found{}, err
	}
	return m.found(c, k, groups), nil
}

func (m *Manager) found(c consumer, k keyAuth, groups []string) connectors.Found {
	grant := m.config.Grants[tagged(k.Tags, definitionTag)]
	return connectors.Found{
		Handle: connectors.Handle{Ref: tagged(k.Tags, refTag), Subject: c.ID, ID: k.ID},
		Owner:  tagged(c.Tags, ownerTag), Scopes: grant.scopes(groups), ExpiresAt: k.end(m.now()), Live: connectors.Alive,
	}
}

// List gives the keys of one page of the hub's consumers.
func (m *Manager) List(ctx context.Context, cursor string) ([]connectors.Found, string, error) {
	const op = "list"
	ours := call{op: op, route: "/consumers", query: url.Values{"tags": {tag(ownerTag, m.owner)}}}
	consumers, next, err := list[consumer](ctx, m, ours, cursor)
	if err != nil {
		return nil, "", err
	}
	var page []connectors.Found
	for _, c := range consumers {
		keys, err := m.keysOf(ctx, op, c.ID)
		if connectors.Is(err, connectors.NotFound) {
			continue // gone since the page was read
		}
		if err != nil {
			return nil, "", err
		}
		if len(keys) == 0 {
			continue
		}
		groups, err := m.groups(ctx, op, c.ID)
		if err != nil {
			return nil, "", err
		}
		for _, k := range keys {
			page = append(page, m.found(c, k, groups))
		}
	}
	return page, next, nil
}

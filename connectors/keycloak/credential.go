package keycloak

import (
	"context"
	"net/http"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
)

// Issue makes the client's secret the credential's: a value of ours where a
// rotation cuts over, Keycloak's own where the policy overlaps. That one can be
// read again: a lost answer loses nothing.
func (m *Manager) Issue(ctx context.Context, r connectors.IssueRequest) (connectors.Issued, error) {
	const op = "issue"
	c, err := m.prepare(ctx, op, r)
	if err != nil {
		return connectors.Issued{}, err
	}
	kept, err := m.load(ctx, op, c.ClientID)
	if err != nil {
		return connectors.Issued{}, err
	}
	secret, err := m.current(ctx, op, c)
	if err != nil {
		return connectors.Issued{}, err
	}
	now := printOf(secret)
	print, noted := kept.Prints[r.Ref]
	switch holder := kept.holder(now); {
	case noted && !r.Secret.IsZero() && print != printOf(r.Secret):
		return connectors.Issued{}, m.fail(op, connectors.Conflict, "%s was issued with another value", r.Ref)
	case noted && now == print:
		return m.issued(r, c, secret, true), nil
	case holder != "":
		return connectors.Issued{}, m.fail(op, connectors.Rejected, "the client has the credential %s, and can have one: rotate it", holder)
	case noted && r.Secret.IsZero():
		return connectors.Issued{}, m.fail(op, connectors.Conflict, "the client's secret is no longer that of %s", r.Ref)
	}
	if !r.Secret.IsZero() {
		secret, err = m.replace(ctx, op, r, c, kept)
	} else {
		err = m.note(ctx, op, c.ClientID, kept, r.Ref, now)
	}
	if err != nil {
		return connectors.Issued{}, err
	}
	return m.issued(r, c, secret, false), nil
}

// prepare checks a request, and gives its client: a new one with the rights asked
// for, when a revocation has removed it.
func (m *Manager) prepare(ctx context.Context, op string, r connectors.IssueRequest) (client, error) {
	names, err := m.required(op, r.Grants)
	switch {
	case r.SubjectID == "" || r.Ref == "" || r.Subject.Owner == "" || r.Subject.Ref != r.SubjectID:
		return client{}, m.fail(op, connectors.Rejected, "subject, owner and reference are needed")
	case r.Secret.IsZero() != m.overlaps():
		return client{}, m.fail(op, connectors.Rejected, "a secret is needed, unless Keycloak's policy rotates those of its own")
	case err != nil:
		return client{}, err
	}
	c, err := m.own(ctx, op, r.SubjectID, r.Subject.Owner)
	if !connectors.Is(err, connectors.NotFound) {
		return c, err
	}
	if c, err = m.ensure(ctx, op, r.Subject); err != nil {
		return client{}, err
	}
	return c, m.setScopes(ctx, op, c, r.Grants.Definition, names)
}

// replace makes our value the client's secret, and reads it back. It is noted
// before: whatever is set can be told afterwards.
func (m *Manager) replace(ctx context.Context, op string, r connectors.IssueRequest, c client, kept record) (connectors.Secret, error) {
	if err := m.note(ctx, op, c.ClientID, kept, r.Ref, printOf(r.Secret)); err != nil {
		return connectors.Secret{}, err
	}
	if err := m.put(ctx, op, c, r.Secret, nil); err != nil {
		return connectors.Secret{}, err
	}
	set, err := m.current(ctx, op, c)
	if err == nil && set != r.Secret {
		err = m.fail(op, connectors.Temporary, "the secret read back is not the one that was written")
	}
	return set, err
}

// issued: the end is the policy's, when there is one.
func (m *Manager) issued(r connectors.IssueRequest, c client, secret connectors.Secret, adopted bool) connectors.Issued {
	return connectors.Issued{
		Handle: connectors.Handle{Ref: r.Ref, Subject: c.ClientID, ID: c.ClientID},
		Secret: secret, ExpiresAt: c.end(attrSecretEnd), Adopted: adopted,
	}
}

// Rotate replaces the secret. What it says of the old one is what Keycloak shows
// afterwards.
func (m *Manager) Rotate(ctx context.Context, r connectors.RotateRequest) (connectors.Rotation, error) {
	const op = "rotate"
	switch {
	case r.Grace < 0 || r.Old.Ref == r.Ref:
		return connectors.Rotation{}, m.fail(op, connectors.Rejected, "a rotation needs a new reference and no negative grace")
	case r.Old.Subject != "" && r.Old.Subject != r.SubjectID:
		return connectors.Rotation{}, m.fail(op, connectors.Conflict, "the old credential belongs to another subject")
	}
	c, err := m.prepare(ctx, op, r.IssueRequest)
	if err != nil {
		return connectors.Rotation{}, err
	}
	kept, err := m.load(ctx, op, c.ClientID)
	if err != nil {
		return connectors.Rotation{}, err
	}
	secret, err := m.current(ctx, op, c)
	if err != nil {
		return connectors.Rotation{}, err
	}
	now := printOf(secret)
	interrupted := kept.Rotating != nil && kept.Rotating.Ref == r.Ref && kept.Rotating.From != now
	adopted := interrupted || kept.Prints[r.Ref] == now
	switch holder := kept.holder(now); {
	case adopted:
	case holder == "": // the old one is not the client's secret any more: nothing to replace
		made, err := m.Issue(ctx, r.IssueRequest)
		if err != nil {
			return connectors.Rotation{}, err
		}
		return m.told(ctx, op, r, made, kept.Prints[r.Old.Ref])
	case holder != r.Old.Ref:
		return connectors.Rotation{}, m.fail(op, connectors.Conflict, "the client has the credential %s already", holder)
	}
	switch {
	case adopted:
		err = m.note(ctx, op, c.ClientID, kept, r.Ref, now)
	case !r.Secret.IsZero():
		secret, err = m.replace(ctx, op, r.IssueRequest, c, kept)
	default:
		kept.Rotating = &rotating{Ref: r.Ref, From: now}
		if err := m.save(ctx, op, c.ClientID, kept); err != nil {
			return connectors.Rotation{}, err
		}
		if secret, err = m.regenerate(ctx, op, c); err == nil {
			err = m.note(ctx, op, c.ClientID, kept, r.Ref, printOf(secret))
		}
	}
	if err != nil {
		return connectors.Rotation{}, err
	}
	return m.told(ctx, op, r, m.issued(r.IssueRequest, c, secret, adopted), kept.Prints[r.Old.Ref])
}

// told says of the old secret what Keycloak shows, once it is made to end where
// no grace was asked for.
func (m *Manager) told(ctx context.Context, op string, r connectors.RotateRequest, made connectors.Issued, old string) (connectors.Rotation, error) {
	c, err := m.own(ctx, op, r.SubjectID, r.Subject.Owner)
	if err != nil {
		return connectors.Rotation{}, err
	}
	made.ExpiresAt = c.end(attrSecretEnd)
	rotation := connectors.Rotation{Issued: made, Overlap: connectors.OverlapNone}
	before, err := m.rotated(ctx, op, c)
	if err != nil {
		return connectors.Rotation{}, err
	}
	if before != "" && r.Grace == 0 {
		return rotation, m.forget(ctx, op, c)
	}
	until := c.end(attrRotatedEnd)
	if until.IsZero() {
		until = m.theirs.Now().Add(m.config.RotatedPeriod).UTC()
	}
	if end := made.ExpiresAt; !end.IsZero() && end.Before(until) {
		until = end // no old secret is taken after the current one's end
	}
	if before == "" || before != old || m.theirs.Now().Unix() > until.Unix() {
		return rotation, nil
	}
	rotation.Overlap, rotation.OldUntil = connectors.OverlapFixed, until
	return rotation, nil
}

// Expire can end a credential now. An end to come is Rejected: the realm's policy
// has periods of its own, and no other end can be set.
func (m *Manager) Expire(ctx context.Context, h connectors.Handle, at time.Time) error {
	const op = "expire"
	if at.IsZero() {
		return m.fail(op, connectors.Rejected, "no end is given")
	}
	s, err := m.stand(ctx, op, h)
	switch {
	case err != nil:
		return err
	case s.kind == nothing:
		return m.fail(op, connectors.NotFound, "Keycloak holds nothing of %s", h.Ref)
	case at.After(m.now()):
		return m.fail(op, connectors.Rejected, "Keycloak takes no end for a secret")
	}
	return m.end(ctx, op, h, s)
}

// Revoke ends a credential: the client with its secret, or the old secret in its
// grace alone.
func (m *Manager) Revoke(ctx context.Context, h connectors.Handle) error {
	const op = "revoke"
	s, err := m.stand(ctx, op, h)
	if err != nil {
		return err
	}
	return m.end(ctx, op, h, s)
}

func (m *Manager) end(ctx context.Context, op string, h connectors.Handle, s standing) error {
	switch s.kind {
	case current:
		_, err := m.do(ctx, call{
			op: op, method: http.MethodDelete, route: "/clients/{client}", params: s.path(), expect: []int{http.StatusNoContent}, object: true,
		})
		if connectors.Is(err, connectors.NotFound) {
			return nil // gone meanwhile: VerifyRevoked searches again
		}
		return err
	case inGrace:
		return m.forget(ctx, op, s.client)
	case unknown:
		return m.fail(op, connectors.Rejected, "the hub's record of %s is lost: which secret of client %s it is, a person must say", h.Ref, s.ClientID)
	case nothing:
	}
	return nil
}

// VerifyRevoked searches the client and compares its secrets.
func (m *Manager) VerifyRevoked(ctx context.Context, h connectors.Handle) (connectors.Liveness, error) {
	s, err := m.stand(ctx, "verify", h)
	if err != nil {
		return connectors.Unknown, err
	}
	return s.live(m.theirs.Now()), nil
}

// Lookup says what Keycloak holds for a credential.
func (m *Manager) Lookup(ctx context.Context, h connectors.Handle) (connectors.Found, error) {
	const op = "lookup"
	s, err := m.stand(ctx, op, h)
	if err != nil {
		return connectors.Found{}, err
	}
	if s.kind == nothing {
		return connectors.Found{}, m.fail(op, connectors.NotFound, "Keycloak holds nothing of %s", h.Ref)
	}
	return m.found(s, h.Ref), nil
}

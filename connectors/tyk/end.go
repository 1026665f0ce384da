package tyk

import (
	"context"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
)

// Rotate makes the new key, then gives the old one an end, never a later one than
// it had.
func (m *Manager) Rotate(ctx context.Context, r connectors.RotateRequest) (connectors.Rotation, error) {
	const op = "rotate"
	switch {
	case r.Grace < 0 || r.Old.Ref == r.Ref:
		return connectors.Rotation{}, m.fail(op, connectors.Rejected, "a rotation needs a new reference and no negative grace")
	case r.Old.Subject != "" && r.Old.Subject != r.SubjectID:
		return connectors.Rotation{}, m.fail(op, connectors.Conflict, "the old credential belongs to another subject")
	}
	hash, err := m.hashOfHandle(ctx, op, r.Old)
	if err != nil {
		return connectors.Rotation{}, err
	}
	issued, err := m.issue(ctx, op, r.IssueRequest)
	if err != nil {
		return connectors.Rotation{}, err
	}
	rotation := connectors.Rotation{Issued: issued, Overlap: connectors.OverlapNone}
	if hash == "" {
		return rotation, nil
	}
	if r.Grace < time.Second {
		return rotation, m.revoke(ctx, op, hash)
	}
	old, err := m.read(ctx, op, hash)
	switch {
	case connectors.Is(err, connectors.NotFound), err == nil && old.dead(m.theirs.Now()):
		return rotation, nil
	case err != nil:
		return connectors.Rotation{}, err
	}
	until := m.now().Add(r.Grace)
	if old.Expires == 0 || until.Before(old.end()) {
		if old, err = m.setEnd(ctx, op, hash, old, until); err != nil {
			return connectors.Rotation{}, err
		}
	}
	rotation.Overlap, rotation.OldUntil = connectors.OverlapUntil, old.end()
	return rotation, nil
}

// setEnd writes an end in whole seconds and believes what is read back alone.
func (m *Manager) setEnd(ctx context.Context, op, hash string, k key, at time.Time) (key, error) {
	k, err := m.update(ctx, op, hash, k, map[string]any{"expires": at.Unix()})
	if err == nil && k.Expires != at.Unix() {
		return key{}, m.fail(op, connectors.Rejected, "Tyk did not take the end: the key lives on")
	}
	return k, err
}

// Expire sets the end of a key. Tyk ignores an end in the past: it is a revocation.
func (m *Manager) Expire(ctx context.Context, h connectors.Handle, at time.Time) error {
	const op = "expire"
	if at.IsZero() {
		return m.fail(op, connectors.Rejected, "no end is given")
	}
	hash, err := m.hashOfHandle(ctx, op, h)
	if err != nil {
		return err
	}
	if hash == "" {
		return m.fail(op, connectors.NotFound, "no key was issued for %s", h.Ref)
	}
	k, err := m.read(ctx, op, hash)
	switch {
	case err != nil:
		return err
	case at.Unix() <= m.now().Unix():
		return m.revoke(ctx, op, hash)
	case k.dead(m.theirs.Now()):
		return m.fail(op, connectors.Rejected, "the key of %s has ended already", h.Ref)
	}
	_, err = m.setEnd(ctx, op, hash, k, at)
	return err
}

// Revoke deletes the key by its hash: by its value, Tyk answers 404 while the key
// works.
func (m *Manager) Revoke(ctx context.Context, h connectors.Handle) error {
	const op = "revoke"
	hash, err := m.hashOfHandle(ctx, op, h)
	if err != nil || hash == "" {
		return err
	}
	return m.revoke(ctx, op, hash)
}

func (m *Manager) revoke(ctx context.Context, op, hash string) error {
	err := m.delete(ctx, op, hash)
	if !connectors.Is(err, connectors.NotFound) {
		return err
	}
	_, err = m.read(ctx, op, hash)
	switch {
	case connectors.Is(err, connectors.NotFound):
		return nil
	case err == nil:
		return m.fail(op, connectors.Temporary, "Tyk shows the key, and does not find it to delete")
	}
	return err
}

// VerifyRevoked reads the key by its hash: dead when Tyk, whose Redis answers,
// does not have it, or when its end has passed. One that is suspended is not dead.
func (m *Manager) VerifyRevoked(ctx context.Context, h connectors.Handle) (connectors.Liveness, error) {
	const op = "verify"
	hash, err := m.hashOfHandle(ctx, op, h)
	if err != nil {
		return connectors.Unknown, err
	}
	if hash == "" {
		return connectors.Dead, nil // a key's hash is recorded before it is made
	}
	k, err := m.read(ctx, op, hash)
	switch {
	case connectors.Is(err, connectors.NotFound), err == nil && k.dead(m.theirs.Now()):
		return connectors.Dead, nil
	case err != nil:
		return connectors.Unknown, err
	}
	return connectors.Alive, nil
}

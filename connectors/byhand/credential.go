package byhand

import (
	"context"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
)

// Issue has the team open an access and give its key.
func (m *Manager) Issue(ctx context.Context, r connectors.IssueRequest) (connectors.Issued, error) {
	issued, _, err := m.open(ctx, "issue", r, connectors.Task{ID: openTask(r.Ref), Kind: connectors.TaskOpen})
	return issued, err
}

// open asks for the credential by the given kind of task.
func (m *Manager) open(ctx context.Context, op string, r connectors.IssueRequest, t connectors.Task) (connectors.Issued, connectors.TaskAnswer, error) {
	none := func(err error) (connectors.Issued, connectors.TaskAnswer, error) {
		return connectors.Issued{}, connectors.TaskAnswer{}, err
	}
	if r.Ref == "" || r.Public == "" || r.Subject.Owner == "" {
		return none(m.fault(op, connectors.Rejected, "a credential needs a reference, a public id and an owner"))
	}
	if !r.Secret.IsZero() {
		return none(m.fault(op, connectors.Rejected, "the team makes its own keys"))
	}
	if err := m.subject(ctx, op, r.SubjectID, r.Subject.Owner); err != nil {
		return none(err)
	}
	d, words, err := m.words(op, r.Grants)
	if err != nil {
		return none(err)
	}
	s, err := m.standing(ctx, op, r.Ref)
	if err != nil {
		return none(err)
	}
	if !s.asked && s.closed == nil {
		if err := m.alone(ctx, op, r, t.Replaces); err != nil {
			return none(err)
		}
		asked := credentialRecord{
			Public: r.Public, Subject: r.SubjectID, Owner: r.Subject.Owner, Definition: r.Grants.Definition, Scopes: sorted(r.Grants.Scopes),
		}
		if _, err := connectors.WriteRecordOnce(ctx, m.ledger, credentialKey(r.Ref), asked); err != nil {
			return none(m.failed(op, err))
		}
		if s, err = m.standing(ctx, op, r.Ref); err != nil {
			return none(err)
		}
	}
	if s.closed != nil {
		return none(m.fault(op, connectors.Rejected, "the reference was revoked, which is final: issue under a new one"))
	}
	if s.Public != r.Public || s.Subject != r.SubjectID || s.Owner != r.Subject.Owner || s.Definition != r.Grants.Definition {
		return none(m.fault(op, connectors.Conflict, "the reference was asked for something else"))
	}
	t.Credential, t.Definition, t.Rights, t.Instructions, t.EndsAt = r.Ref, s.Definition, words, d.Instructions, r.ExpiresAt
	t.WantsKey, t.WantsReference = !m.config.HandsOver, m.config.HandsOver
	answer, err := m.ask(ctx, op, t)
	if err != nil {
		return none(err)
	}
	// What the answer holds, and not the settings of today, says how the key went.
	if answer.Secret.IsZero() && answer.Reference == "" {
		return none(m.fault(op, connectors.Rejected, "the key was handed on already and is kept nowhere: rotate it"))
	}
	isNew, err := connectors.WriteRecordOnce(ctx, m.ledger, issuedKey(r.Ref), issuedRecord{At: answer.At, Reference: answer.Reference})
	if err != nil {
		return none(m.failed(op, err))
	}
	return connectors.Issued{
		Handle: connectors.Handle{Ref: r.Ref, Subject: r.SubjectID, ID: r.Ref, Reference: answer.Reference}, Secret: answer.Secret, Adopted: !isNew,
	}, answer, nil
}

// alone refuses a key beside another of the same subject where the team can keep
// one only, and marks which one that is.
func (m *Manager) alone(ctx context.Context, op string, r connectors.IssueRequest, replaces string) error {
	if !m.config.OneKey {
		return nil
	}
	current, found, err := connectors.ReadRecord[currentRecord](ctx, m.ledger, currentKey(r.SubjectID))
	if err != nil {
		return m.failed(op, err)
	}
	if found && current.Ref != r.Ref && current.Ref != replaces {
		s, err := m.standing(ctx, op, current.Ref)
		if err != nil {
			return err
		}
		opened, asked, err := m.tasks.Read(ctx, openTask(current.Ref))
		if err != nil {
			return m.failed(op, err)
		}
		if s.closed == nil && asked && opened.State != connectors.TaskRefused {
			return m.fault(op, connectors.Rejected, "the team keeps one key of a holder at a time: rotate "+current.Ref)
		}
	}
	if err := connectors.WriteRecord(ctx, m.ledger, currentKey(r.SubjectID), currentRecord{Ref: r.Ref}); err != nil {
		return m.failed(op, err)
	}
	return nil
}

// Rotate has the team make a new key in the place of the old one. The grace runs
// from the team's answer; without one, or where the team keeps one key only, that
// answer also says that the old key is over.
func (m *Manager) Rotate(ctx context.Context, r connectors.RotateRequest) (connectors.Rotation, error) {
	const op = "rotate"
	if r.Grace < 0 || r.Old.Ref == r.Ref {
		return connectors.Rotation{}, m.fault(op, connectors.Rejected, "a rotation needs a new reference and no negative grace")
	}
	old, err := m.issued(ctx, op, r.Old.Ref)
	if err != nil {
		return connectors.Rotation{}, err
	}
	if old.Subject != r.SubjectID {
		return connectors.Rotation{}, m.fault(op, connectors.Conflict, "the old credential belongs to another subject")
	}
	grace := r.Grace
	if m.config.OneKey {
		grace = 0 // the old key ends with the new one, whatever was asked for
	}
	t := connectors.Task{ID: openTask(r.Ref), Kind: connectors.TaskReplace, Replaces: r.Old.Ref, Grace: grace}
	issued, answer, err := m.open(ctx, op, r.IssueRequest, t)
	if err != nil {
		return connectors.Rotation{}, err
	}
	rotation := connectors.Rotation{Issued: issued, Overlap: connectors.OverlapNone}
	until := answer.At.Add(grace)
	switch {
	case old.closed != nil:
		return rotation, nil
	case grace == 0:
		if err := m.close(ctx, op, r.Old.Ref, closedRecord{At: answer.At, Task: t.ID}); err != nil {
			return connectors.Rotation{}, err
		}
		// Whoever asked for the end of the old key alone has it now.
		if err := m.tasks.Withdraw(ctx, closeTask(r.Old.Ref)); err != nil {
			return connectors.Rotation{}, m.failed(op, err)
		}
		return rotation, nil
	case !until.After(m.now()):
		return rotation, m.revoke(ctx, op, r.Old.Ref)
	}
	rotation.Overlap, rotation.OldUntil = connectors.OverlapUntil, until
	return rotation, nil
}

// Expire is refused: no key of a team ends by itself. The hub asks for its end
// when that is due.
func (m *Manager) Expire(ctx context.Context, h connectors.Handle, at time.Time) error {
	const op = "expire"
	if _, err := m.issued(ctx, op, h.Ref); err != nil {
		return err
	}
	if at.IsZero() {
		return m.fault(op, connectors.Rejected, "no end is no order")
	}
	return m.fault(op, connectors.Rejected, "a team ends no key by itself: the hub asks for it when it is due")
}

// Revoke has the team end a key; it succeeds when the team says that it did.
func (m *Manager) Revoke(ctx context.Context, h connectors.Handle) error {
	const op = "revoke"
	if h.Ref == "" {
		return m.fault(op, connectors.Rejected, "no reference")
	}
	return m.revoke(ctx, op, h.Ref)
}

func (m *Manager) revoke(ctx context.Context, op, ref string) error {
	s, err := m.standing(ctx, op, ref)
	if err != nil || s.closed != nil {
		return err
	}
	// Nobody begins any more what is to be ended.
	for _, id := range []string{openTask(ref), rightsTask(ref, s.rights.N)} {
		if err := m.tasks.Withdraw(ctx, id); err != nil {
			return m.failed(op, err)
		}
	}
	opened, found, err := m.tasks.Read(ctx, openTask(ref))
	if err != nil {
		return m.failed(op, err)
	}
	if !found || opened.State == connectors.TaskRefused {
		return m.close(ctx, op, ref, closedRecord{At: m.now().UTC()})
	}
	// Also when it was withdrawn: the team may have made the key before it said so.
	t := connectors.Task{ID: closeTask(ref), Kind: connectors.TaskClose, Credential: ref, Definition: s.Definition}
	t.Instructions = m.config.Definitions[s.Definition].Instructions
	answer, err := m.ask(ctx, op, t)
	if err != nil {
		return err
	}
	return m.close(ctx, op, ref, closedRecord{At: answer.At, Task: t.ID})
}

func (m *Manager) close(ctx context.Context, op, ref string, c closedRecord) error {
	if _, err := connectors.WriteRecordOnce(ctx, m.ledger, closedKey(ref), c); err != nil {
		return m.failed(op, err)
	}
	return nil
}

// VerifyRevoked reads the team's own answer again, not what Revoke made of it.
func (m *Manager) VerifyRevoked(ctx context.Context, h connectors.Handle) (connectors.Liveness, error) {
	const op = "verify"
	s, err := m.standing(ctx, op, h.Ref)
	switch {
	case err != nil:
		return connectors.Unknown, err
	case s.closed == nil && s.issued:
		return connectors.Alive, nil
	case s.closed == nil:
		return connectors.Unknown, nil
	case s.closed.Task == "":
		return connectors.Dead, nil
	}
	answer, found, err := m.tasks.Read(ctx, s.closed.Task)
	if err != nil {
		return connectors.Unknown, m.failed(op, err)
	}
	if !found || answer.State != connectors.TaskDone {
		return connectors.Unknown, nil
	}
	return connectors.Dead, nil
}

// Lookup says what the team has told of a reference.
func (m *Manager) Lookup(ctx context.Context, h connectors.Handle) (connectors.Found, error) {
	s, err := m.issued(ctx, "lookup", h.Ref)
	if err != nil {
		return connectors.Found{}, err
	}
	live := connectors.Alive
	if s.closed != nil {
		live = connectors.Dead
	}
	return connectors.Found{
		Handle: connectors.Handle{Ref: h.Ref, Subject: s.Subject, ID: h.Ref, Reference: s.reference}, Owner: s.Owner, Scopes: sorted(s.scopes()), Live: live,
	}, nil
}

package gravitee

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
)

// Manager is one Gravitee.
type Manager struct {
	config      Config
	name, owner string
	now         func() time.Time
	http        connectors.HTTPDoer
	ledger      connectors.Ledger
	gate        connectors.Gate
	credentials *credentials
}

var (
	_ connectors.KeyManager = (*Manager)(nil)
	_ connectors.Lister     = (*Manager)(nil)
	_ connectors.Checker    = (*Manager)(nil)
	_ connectors.Planner    = (*Manager)(nil)
)

// Open gives the manager. deps.Partner carries the timeouts and TLS files of the
// settings (outbound.Partner with c.Settings).
func (c Config) Open(deps connectors.Deps) (connectors.KeyManager, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("gravitee: %w", err)
	}
	if deps.Name == "" || deps.Owner == "" || deps.Now == nil || deps.Partner == nil || deps.Ledger == nil || deps.Gate == nil {
		return nil, errors.New("gravitee: name, owner, clock, outbound client, ledger and gate are needed")
	}
	credentials, err := newCredentials(c)
	if err != nil {
		return nil, fmt.Errorf("gravitee: %w", err)
	}
	return &Manager{
		config: c, name: deps.Name, owner: deps.Owner, now: deps.Now, http: deps.Partner,
		ledger: deps.Ledger, gate: deps.Gate, credentials: credentials,
	}, nil
}

// Capabilities of Gravitee's v1 and v2 (api-managers.md, 1).
func (m *Manager) Capabilities() connectors.Capabilities {
	return connectors.Capabilities{
		CallerSecret: true, MultiSecret: true, Grace: connectors.GraceAny, NativeExpiry: true, SecretReadable: true,
		LookupByRef: true, List: true, RevocationBound: m.config.SyncDelay, GrantModel: connectors.GrantsOnCredential,
	}
}

// required gives the plans that the grants map to.
func (m *Manager) required(op string, g connectors.Grants) ([]PlanRef, error) {
	grant, known := m.config.Grants[g.Definition]
	if !known {
		return nil, m.fail(op, connectors.Rejected, "definition %s has no mapping", g.Definition)
	}
	plans, err := grant.plans(g.Scopes)
	if err != nil {
		return nil, m.fail(op, connectors.Rejected, "definition %s: %v", g.Definition, err)
	}
	return plans, nil
}

// Issue makes the value a live key on each plan, then sets its end.
func (m *Manager) Issue(ctx context.Context, r connectors.IssueRequest) (connectors.Issued, error) {
	const op = "issue"
	release, err := m.lock(ctx, op, r.SubjectID)
	if err != nil {
		return connectors.Issued{}, err
	}
	defer release()
	w := want{app: r.SubjectID, ref: r.Ref, secret: r.Secret, print: fingerprint(r.Secret), retire: true}
	issued, all, err := m.issue(ctx, op, w, r)
	if err != nil {
		return connectors.Issued{}, err
	}
	return issued, m.finished(ctx, op, w.ref, all)
}

func (m *Manager) issue(ctx context.Context, op string, w want, r connectors.IssueRequest) (connectors.Issued, []placed, error) {
	plans, err := m.required(op, r.Grants)
	if err != nil {
		return connectors.Issued{}, nil, err
	}
	if r.Secret.IsZero() || r.SubjectID == "" || r.Subject.Owner == "" || r.Ref == "" {
		return connectors.Issued{}, nil, m.fail(op, connectors.Rejected, "a credential has a subject, an owner, a reference and a value")
	}
	if !r.ExpiresAt.IsZero() && !r.ExpiresAt.After(m.now()) {
		return connectors.Issued{}, nil, m.fail(op, connectors.Rejected, "the end %s has passed", r.ExpiresAt.UTC().Format(time.RFC3339))
	}
	if err := m.remember(ctx, op, w.ref, w.print); err != nil {
		return connectors.Issued{}, nil, err
	}
	issued := connectors.Issued{Secret: r.Secret, Adopted: true}
	var all []placed
	for _, plan := range plans {
		p, err := m.place(ctx, op, w, plan)
		if err != nil {
			return connectors.Issued{}, nil, err
		}
		end := p.key.end()
		if !p.adopted || !p.ended() { // an end that was set since is not undone
			if end, err = m.moveEnd(ctx, op, p.held, r.ExpiresAt); err != nil {
				return connectors.Issued{}, nil, err
			}
		}
		issued.ExpiresAt = earlier(issued.ExpiresAt, end)
		issued.Adopted = issued.Adopted && p.adopted
		all = append(all, p)
	}
	issued.Handle = m.handle(w, r.Grants.Definition, all)
	return issued, all, nil
}

// earlier of two ends; zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

// Rotate issues the new credential, then ends the old one after the grace: never
// later than it would have ended by itself.
func (m *Manager) Rotate(ctx context.Context, r connectors.RotateRequest) (connectors.Rotation, error) {
	const op = "rotate"
	if r.Grace < 0 || (r.Ref == r.Old.Ref && r.Ref != "") {
		return connectors.Rotation{}, m.fail(op, connectors.Rejected, "a rotation has a new reference and a grace that is not negative")
	}
	release, err := m.lock(ctx, op, r.SubjectID)
	if err != nil {
		return connectors.Rotation{}, err
	}
	defer release()
	old, err := m.matcherOf(ctx, op, r.Old)
	if err != nil {
		return connectors.Rotation{}, err
	}
	// The grace counts from the first run, also when that one stopped half way.
	decided := rotation{}
	if r.Grace > 0 {
		decided.Until = millisecond(m.now().Add(r.Grace))
	}
	if err := m.once(ctx, op, "rotation/"+r.Ref, &decided); err != nil {
		return connectors.Rotation{}, err
	}
	w := want{app: r.SubjectID, ref: r.Ref, secret: r.Secret, print: fingerprint(r.Secret), old: &old}
	issued, all, err := m.issue(ctx, op, w, r.IssueRequest)
	if err != nil {
		return connectors.Rotation{}, err
	}
	if slices.ContainsFunc(all, func(p placed) bool { return old.matches(p.key) }) {
		return connectors.Rotation{}, m.fail(op, connectors.Rejected, "the new value is the old one")
	}
	until, err := m.endOld(ctx, op, r.Old, old, all, decided.Until)
	if err != nil {
		return connectors.Rotation{}, err
	}
	result := connectors.Rotation{Issued: issued, Overlap: connectors.OverlapNone, OldUntil: until}
	if !until.IsZero() {
		result.Overlap = connectors.OverlapUntil
	}
	return result, m.finished(ctx, op, w.ref, all)
}

// endOld ends the replaced credential on every plan and gives the last moment at
// which it lives; zero: it is dead.
func (m *Manager) endOld(ctx context.Context, op string, h connectors.Handle, old matcher, all []placed, until time.Time) (time.Time, error) {
	app, err := m.subjectOf(ctx, op, h)
	if err != nil || app == "" {
		return time.Time{}, err
	}
	keys, err := m.find(ctx, op, app, m.apisOf(h), openStates, old)
	if err != nil {
		return time.Time{}, err
	}
	var last time.Time
	for _, key := range keys {
		now := m.now()
		if key.key.dead() {
			continue
		}
		end := earlier(endBefore(all, key), until)
		if until.IsZero() || !end.After(now) {
			if err := m.revoke(ctx, op, key); err != nil {
				return time.Time{}, err
			}
			continue
		}
		kept := key.key.end()
		if !kept.Equal(end) {
			if kept, err = m.setEnd(ctx, op, key, end); err != nil {
				return time.Time{}, err
			}
		}
		if kept.After(last) {
			last = kept
		}
	}
	return last, nil
}

// endBefore is the end that a key had before the renewal moved it.
func endBefore(all []placed, key held) time.Time {
	for _, p := range all {
		if p.before != nil && p.sub.ID == key.sub.ID {
			if end, noted := p.before.Ends[key.key.ID]; noted {
				return end
			}
		}
	}
	return key.key.end()
}

// Expire sets the end of a credential on all its plans. An end in the past is a
// revocation.
func (m *Manager) Expire(ctx context.Context, h connectors.Handle, at time.Time) error {
	const op = "expire"
	if at.IsZero() {
		return m.fail(op, connectors.Rejected, "no end is given")
	}
	keys, err := m.keysOf(ctx, op, h, allStates)
	if err != nil {
		return err
	}
	if len(keys) == 0 {
		return m.fail(op, connectors.NotFound, "no key of %s", h.Ref)
	}
	if !at.After(m.now()) {
		return m.Revoke(ctx, h)
	}
	live := slices.DeleteFunc(keys, func(k held) bool { return k.key.dead() })
	if len(live) == 0 {
		return m.fail(op, connectors.Rejected, "the key of %s has ended already", h.Ref)
	}
	for _, key := range live {
		if _, err := m.moveEnd(ctx, op, key, at); err != nil {
			return err
		}
	}
	return nil
}

// Revoke ends the credential on all its plans now, and the subscriptions on
// which no key lives any more.
func (m *Manager) Revoke(ctx context.Context, h connectors.Handle) error {
	const op = "revoke"
	keys, err := m.keysOf(ctx, op, h, allStates)
	if err != nil {
		return err
	}
	for _, key := range keys {
		if !key.key.dead() {
			if err := m.revoke(ctx, op, key); err != nil {
				return err
			}
		}
		if !key.sub.open() {
			continue
		}
		others, err := m.keys(ctx, op, key.sub)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(others, func(o held) bool { return o.key.ID == key.key.ID && !o.key.dead() }) {
			return m.fail(op, connectors.Temporary, "key %s still lives after its revocation", key.key.ID)
		}
		if !slices.ContainsFunc(others, func(o held) bool { return !o.key.dead() }) {
			if err := m.closeSubscription(ctx, op, key.sub); err != nil {
				return err
			}
		}
	}
	return nil
}

// keysOf finds a handle's keys in the given states of their subscriptions.
func (m *Manager) keysOf(ctx context.Context, op string, h connectors.Handle, states string) ([]held, error) {
	if h.Ref == "" {
		return nil, m.fail(op, connectors.Rejected, "a handle has a reference")
	}
	app, err := m.subjectOf(ctx, op, h)
	if err != nil || app == "" {
		return nil, err
	}
	x, err := m.matcherOf(ctx, op, h)
	if err != nil {
		return nil, err
	}
	return m.find(ctx, op, app, m.apisOf(h), states, x)
}

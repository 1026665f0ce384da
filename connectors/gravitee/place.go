package gravitee

import (
	"context"
	"slices"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
)

// want is a key that must live on the application's subscriptions.
type want struct {
	app    string
	ref    string // our credential id
	secret connectors.Secret
	print  string // fingerprint of secret
	// retire ends keys that the manager generated beside ours: left by a
	// subscription that was made without our value.
	retire bool
	// old is the fingerprint or id of the credential that a rotation ends itself.
	old *matcher
}

// placed is a key where it must be.
type placed struct {
	held
	adopted bool
	before  *renewal // ends of the other keys before our renewal; nil when there was none
}

// ended: it has an end of its own, not only its subscription's.
func (p placed) ended() bool {
	return p.key.ExpireAt != nil && (p.sub.EndingAt == nil || !p.key.ExpireAt.Equal(*p.sub.EndingAt))
}

// place makes the value a live key of the application on the plan: it adopts
// the one that an earlier call has left, else subscribes, else renews.
func (m *Manager) place(ctx context.Context, op string, w want, plan PlanRef) (placed, error) {
	sub, err := m.subscriptionTo(ctx, op, w.app, plan)
	if err != nil {
		return placed{}, err
	}
	if sub == nil {
		made, answer, err := m.subscribe(ctx, op, w, plan)
		switch answer.Code("technicalCode") {
		case "apiKey.existing":
			return placed{}, m.keyTaken(ctx, op, w, plan)
		case "plan.subscribed":
			if sub, err = m.subscriptionTo(ctx, op, w.app, plan); err != nil {
				return placed{}, err
			}
			if sub == nil {
				return placed{}, m.fail(op, connectors.Conflict, "plan %s is subscribed, by a subscription that this account does not see", plan)
			}
		default:
			if err != nil {
				return placed{}, err
			}
			made.API, made.Plan = reference{plan.API}, reference{plan.Plan}
			return m.settled(ctx, op, w, made, false)
		}
	}
	return m.settled(ctx, op, w, sub, true)
}

// settled goes on from a subscription that exists.
func (m *Manager) settled(ctx context.Context, op string, w want, sub *subscription, existed bool) (placed, error) {
	switch sub.Status {
	case statusPaused:
		resumed, err := m.resume(ctx, op, *sub)
		if err != nil {
			return placed{}, err
		}
		sub = resumed
	case statusPending:
		accepted, answer, err := m.accept(ctx, op, w, sub)
		if answer.Code("technicalCode") == "apiKey.existing" {
			return placed{}, m.keyTaken(ctx, op, w, sub.plan())
		}
		if err != nil {
			return placed{}, err
		}
		accepted.API, accepted.Plan = sub.API, sub.Plan
		sub = accepted
	}
	keys, err := m.keys(ctx, op, *sub)
	if err != nil {
		return placed{}, err
	}
	if p, found, err := m.ownKey(op, w, keys); found || err != nil {
		if err == nil {
			p.adopted = existed
			p.before, err = m.recall(ctx, op, w.ref, sub.ID)
		}
		if err == nil {
			err = m.settle(ctx, op, w, p, keys)
		}
		return p, err
	}
	return m.add(ctx, op, w, sub, keys)
}

// add renews: the keys that are there already stay, but for what settle ends.
func (m *Manager) add(ctx context.Context, op string, w want, sub *subscription, keys []held) (placed, error) {
	before, err := m.note(ctx, op, w.ref, sub.ID, keys)
	if err != nil {
		return placed{}, err
	}
	answer, renewErr := m.renew(ctx, op, w, *sub)
	if renewErr != nil && answer.Code("technicalCode") != "apiKey.existing" {
		return placed{}, renewErr
	}
	if keys, err = m.keys(ctx, op, *sub); err != nil {
		return placed{}, err
	}
	p, found, err := m.ownKey(op, w, keys)
	switch {
	case err != nil:
		return placed{}, err
	case !found && renewErr != nil:
		return placed{}, m.keyTaken(ctx, op, w, sub.plan())
	case !found:
		return placed{}, m.fail(op, connectors.Temporary, "the new key is not in the list of subscription %s yet", sub.ID)
	}
	p.before = before
	return p, m.settle(ctx, op, w, p, keys)
}

// ownKey finds our value among the keys. A dead one is not brought back to
// life: somebody ended it.
func (m *Manager) ownKey(op string, w want, keys []held) (placed, bool, error) {
	at := slices.IndexFunc(keys, func(h held) bool { return fingerprint(h.key.Value) == w.print })
	if at < 0 {
		return placed{}, false, nil
	}
	switch own := keys[at]; {
	case own.key.dead():
		return placed{}, false, m.fail(op, connectors.Conflict, "key %s of %s is there and was ended", own.key.ID, w.ref)
	case own.key.Paused:
		return placed{}, false, m.fail(op, connectors.Conflict, "key %s of %s was paused by a person", own.key.ID, w.ref)
	default:
		return placed{held: own}, true, nil
	}
}

// keyTaken says why the manager refuses the value: another holds it (Conflict),
// or this application had it on that API and it was ended, which is for ever
// (Rejected: a rotation helps). A subscription that the refused call left
// waiting is ours to close.
func (m *Manager) keyTaken(ctx context.Context, op string, w want, plan PlanRef) error {
	left, err := m.subscriptionTo(ctx, op, w.app, plan)
	if err != nil {
		return err
	}
	if left != nil && left.Status == statusPending && left.Metadata[hubRef] == w.ref {
		if err := m.closeSubscription(ctx, op, *left); err != nil {
			return err
		}
	}
	own, err := m.find(ctx, op, w.app, []string{plan.API}, allStates, matcher{print: w.print})
	if err != nil {
		return err
	}
	if len(own) > 0 {
		return m.fail(op, connectors.Rejected, "the value of %s was used on API %s and ended: rotate the credential", w.ref, plan.API)
	}
	return m.fail(op, connectors.Conflict, "the value of %s exists on API %s and is not this application's", w.ref, plan.API)
}

// settle puts the other keys of a subscription back as they were before our
// renewal, and ends those that the manager generated when asked to. A key that a
// rotation replaces is the rotation's to end.
func (m *Manager) settle(ctx context.Context, op string, w want, p placed, keys []held) error {
	if p.before == nil {
		return nil
	}
	now := m.now()
	for _, other := range keys {
		if other.key.ID == p.key.ID || other.key.dead() || (w.old != nil && w.old.matches(other.key)) {
			continue
		}
		end, known := p.before.Ends[other.key.ID]
		if !known {
			continue
		}
		known, err := m.isOurs(ctx, op, other.key)
		if err != nil {
			return err
		}
		switch {
		case w.retire && !known && other.key.generated(), !end.IsZero() && !end.After(now):
			err = m.revoke(ctx, op, other)
		case !other.key.end().Equal(end):
			_, err = m.setEnd(ctx, op, other, end)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// moveEnd sets the end of a placed key and refuses one that the manager does not keep.
func (m *Manager) moveEnd(ctx context.Context, op string, h held, at time.Time) (time.Time, error) {
	if h.key.end().Equal(millisecond(at)) || (at.IsZero() && h.key.ExpireAt == nil) {
		return h.key.end(), nil
	}
	kept, err := m.setEnd(ctx, op, h, at)
	if err != nil {
		return kept, err
	}
	if !at.IsZero() && !kept.Equal(millisecond(at)) {
		return kept, m.fail(op, connectors.Rejected,
			"the end %s cannot be had: subscription %s ends earlier, the manager keeps %s",
			at.UTC().Format(time.RFC3339), h.sub.ID, kept.Format(time.RFC3339))
	}
	return kept, nil
}

package conformance

import (
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
)

var issueTests = []test{
	{"an issued secret passes at the gateway, an altered one does not", []need{handsSecrets}, func(b *bench) {
		issued := b.issued()
		b.live(1)
		b.alive(issued)
		value := issued.Secret.Reveal()
		for _, at := range []int{0, len(value) / 2, len(value) - 1} {
			altered := []byte(value)
			altered[at] = base62[(int(altered[at])+1)%62]
			if string(altered) != value && b.Passes(issued.Handle, connectors.NewSecret(string(altered))) {
				b.t.Errorf("a secret altered at %d passes", at)
			}
		}
	}},
	{"the same request twice is one key, adopted", nil, func(b *bench) {
		b.prepare()
		r := b.request()
		first, err := b.issue(r)
		b.must(err)
		if first.Adopted {
			b.t.Error("the first was adopted")
		}
		second, err := b.issue(r)
		b.must(err)
		if !second.Adopted || second.Handle.ID != first.Handle.ID {
			b.t.Errorf("adopted %t, %s then %s", second.Adopted, first.Handle.ID, second.Handle.ID)
		}
		if !near(second.ExpiresAt, first.ExpiresAt) {
			b.t.Errorf("ends %s, then %s", first.ExpiresAt, second.ExpiresAt)
		}
		b.settle()
		b.live(1)
		b.alive(second)
	}},
	{"a repeat does not undo what was done since", []need{nativeExpiry}, func(b *bench) {
		b.prepare()
		r := b.request()
		first, err := b.issue(r)
		b.must(err)
		end := b.Now().Add(48 * time.Hour)
		b.must(b.expire(first.Handle, end))
		second, err := b.issue(r)
		b.must(err)
		if !near(second.ExpiresAt, end) {
			b.t.Errorf("ends %s, want %s", second.ExpiresAt, end)
		}
		b.endsAt(first.Handle, end)
	}},
	{"a reference that holds another value is a conflict", []need{callerSecret}, func(b *bench) {
		b.prepare()
		r := b.request()
		first, err := b.issue(r)
		b.must(err)
		r.Secret = b.newSecret()
		if b.can.SecretReadable {
			_, err = b.issue(r)
			b.wantClass(err, connectors.Conflict)
			b.settle()
			b.live(1)
			b.alive(first)
			return
		}
		// The manager cannot compare: what counts is that one key is live.
		if _, err = b.issue(r); err != nil {
			b.wantClass(err, connectors.Conflict)
		}
		b.live(1)
	}},
	{"without what it needs nothing is issued", nil, func(b *bench) {
		b.prepare()
		bare, ownerless := b.request(), b.request()
		bare.Ref, ownerless.Subject.Owner = "", ""
		requests := []connectors.IssueRequest{bare, ownerless}
		if b.can.CallerSecret {
			open := b.request()
			open.Secret = connectors.Secret{}
			requests = append(requests, open)
		}
		for _, r := range requests {
			_, err := b.issue(r)
			b.wantClass(err, connectors.Rejected)
		}
		b.live(0)
	}},
	{"two keys of one subject live side by side, or the second is rejected", nil, func(b *bench) {
		first := b.issued()
		second, err := b.issue(b.request())
		b.settle()
		if b.can.MultiSecret && !b.OneObject {
			b.must(err)
			b.live(2)
			b.alive(second)
		} else {
			b.wantClass(err, connectors.Rejected, connectors.Conflict)
			b.live(1)
		}
		b.alive(first)
	}},
	{"the manager enforces the end, or says that it does not", []need{movableClocks}, func(b *bench) {
		b.prepare()
		r := b.request()
		r.ExpiresAt = b.Now().Add(72 * time.Hour)
		issued, err := b.issue(r)
		b.must(err)
		b.settle()
		if b.can.NativeExpiry && !near(issued.ExpiresAt, r.ExpiresAt) {
			b.t.Errorf("ends %s, want %s", issued.ExpiresAt, r.ExpiresAt)
		}
		b.endsAt(issued.Handle, issued.ExpiresAt)
		if issued.ExpiresAt.IsZero() {
			b.until(r.ExpiresAt.Add(time.Minute))
			b.alive(issued)
			return
		}
		// Whoever's end it is: the manager's own policy may set one.
		b.until(issued.ExpiresAt.Add(-time.Minute))
		b.alive(issued)
		b.until(issued.ExpiresAt)
		b.dead(issued)
	}},
	{"an end that has passed is rejected", []need{nativeExpiry}, func(b *bench) {
		b.prepare()
		r := b.request()
		r.ExpiresAt = b.Now().Add(-time.Hour)
		_, err := b.issue(r)
		b.wantClass(err, connectors.Rejected)
		b.live(0)
	}},
}

func (b *bench) endsAt(h connectors.Handle, want time.Time) {
	b.t.Helper()
	found, err := b.lookup(h)
	b.must(err)
	if !near(found.ExpiresAt, want) {
		b.t.Errorf("%s ends %s, want %s", h.Ref, found.ExpiresAt, want)
	}
}

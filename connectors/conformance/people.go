package conformance

import (
	"errors"
	"testing"

	"github.com/passerelle-hub/passerelle/connectors"
)

// peopleTests are for managers where a person acts: nothing is claimed before
// she has, and what she refuses is refused with her words.
var peopleTests = []test{
	{"an issue waits for the people there, and nothing is live before", []need{people}, func(b *bench) {
		b.prepare()
		r := b.request()
		for range 2 {
			_, err := b.Manager.Issue(b.ctx, r)
			b.wantClass(b.watch(err), connectors.Pending)
		}
		b.live(0)
		if _, err := b.lookup(connectors.Handle{Ref: r.Ref, Subject: r.SubjectID}); err == nil {
			b.t.Error("a key that nobody made is found")
		}
		issued, err := b.issue(r)
		b.must(err)
		b.settle()
		b.live(1)
		b.alive(issued)
	}},
	{"a revocation waits for them, and is not proved before", []need{people}, func(b *bench) {
		issued := b.issued()
		for range 2 {
			b.wantClass(b.watch(b.Manager.Revoke(b.ctx, issued.Handle)), connectors.Pending)
			if live, err := b.verify(issued.Handle); err == nil && live == connectors.Dead {
				b.t.Error("dead, and nobody ended it")
			}
		}
		b.passes(issued)
		b.must(b.revoke(issued.Handle))
		b.dead(issued)
		b.live(0)
	}},
	{"what they refuse is rejected with their words", []need{people}, func(b *bench) {
		const words = "le plan demandé n'existe plus"
		b.prepare()
		r := b.request()
		_, err := b.Manager.Issue(b.ctx, r)
		b.wantClass(b.watch(err), connectors.Pending)
		b.Refusal(words)
		_, err = b.Manager.Issue(b.ctx, r)
		b.wantClass(b.watch(err), connectors.Rejected)
		says(b.t, err, words)
		b.live(0)
		// Nothing was opened: the end of it asks nobody.
		h := connectors.Handle{Ref: r.Ref, Subject: r.SubjectID}
		b.must(b.watch(b.Manager.Revoke(b.ctx, h)))
		if live, err := b.verify(h); err != nil || live != connectors.Dead {
			b.t.Errorf("%s, %v", live, err)
		}
	}},
	{"an end that they refuse leaves the key shown as live", []need{people}, func(b *bench) {
		issued := b.issued()
		b.wantClass(b.watch(b.Manager.Revoke(b.ctx, issued.Handle)), connectors.Pending)
		b.Refusal("un contrat court encore")
		b.wantClass(b.watch(b.Manager.Revoke(b.ctx, issued.Handle)), connectors.Rejected)
		b.alive(issued)
	}},
	{"a key that was revoked while they were asked for it is ended by them, not guessed", []need{people}, func(b *bench) {
		b.prepare()
		r := b.request()
		_, err := b.Manager.Issue(b.ctx, r)
		b.wantClass(b.watch(err), connectors.Pending)
		h := connectors.Handle{Ref: r.Ref, Subject: r.SubjectID}
		b.wantClass(b.watch(b.Manager.Revoke(b.ctx, h)), connectors.Pending)
		b.must(b.revoke(h))
		b.live(0)
		_, err = b.Manager.Issue(b.ctx, r)
		b.wantClass(b.watch(err), connectors.Rejected)
	}},
}

func says(t *testing.T, err error, words string) {
	t.Helper()
	var e *connectors.Error
	if !errors.As(err, &e) || e.Detail != words {
		t.Errorf("%v does not say %q", err, words)
	}
}

package conformance

import (
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
)

var expiryTests = []test{
	{"an end ahead is honoured, or rejected and not ignored", []need{movableClocks}, func(b *bench) {
		issued := b.issued()
		end := b.Now().Add(grace)
		err := b.expire(issued.Handle, end)
		if !b.can.NativeExpiry {
			b.wantClass(err, connectors.Rejected)
			b.until(end.Add(time.Minute))
			b.alive(issued)
			return
		}
		b.must(err)
		b.endsAt(issued.Handle, end)
		b.settle()
		b.until(end.Add(-time.Minute))
		b.alive(issued)
		b.until(end)
		b.dead(issued)
	}},
	{"an end is shortened", []need{movableClocks, nativeExpiry}, func(b *bench) {
		issued := b.issued()
		b.must(b.expire(issued.Handle, b.Now().Add(2*grace)))
		end := b.Now().Add(grace)
		b.must(b.expire(issued.Handle, end))
		b.endsAt(issued.Handle, end)
		b.settle()
		b.until(end)
		b.dead(issued)
	}},
	{"a later end is honoured, or rejected and the earlier one holds", []need{movableClocks, nativeExpiry}, func(b *bench) {
		issued := b.issued()
		early, late := b.Now().Add(grace), b.Now().Add(2*grace)
		b.must(b.expire(issued.Handle, early))
		if err := b.expire(issued.Handle, late); err != nil {
			b.wantClass(err, connectors.Rejected)
			b.endsAt(issued.Handle, early)
			b.until(early)
			b.dead(issued)
			return
		}
		b.endsAt(issued.Handle, late)
		b.settle()
		b.until(late.Add(-time.Minute))
		b.alive(issued)
		b.until(late)
		b.dead(issued)
	}},
	{"an end in the past is now, or rejected and not ignored", nil, func(b *bench) {
		issued := b.issued()
		if err := b.expire(issued.Handle, b.Now().Add(-time.Hour)); err != nil {
			b.wantClass(err, connectors.Rejected)
			b.settle()
			b.alive(issued)
			return
		}
		b.dead(issued)
		b.live(0)
	}},
	{"no end is no order", nil, func(b *bench) {
		issued := b.issued()
		b.wantClass(b.expire(issued.Handle, time.Time{}), connectors.Rejected)
		b.settle()
		b.alive(issued)
	}},
	{"what is not there cannot get an end", nil, func(b *bench) {
		b.prepare()
		for _, at := range []time.Duration{time.Hour, -time.Hour} {
			b.wantClass(b.expire(b.unissued(), b.Now().Add(at)), connectors.NotFound, connectors.Rejected)
		}
	}},
}

// unissued is the handle of a credential that was prepared and never issued:
// what the hub knows then.
func (b *bench) unissued() connectors.Handle {
	return connectors.Handle{Ref: b.request().Ref, Subject: b.subjectID}
}

var revocationTests = []test{
	{"a revoked key is refused within the bound, and only then proved dead", nil, func(b *bench) {
		issued := b.issued()
		b.alive(issued)
		b.must(b.revoke(issued.Handle))
		b.dead(issued)
		b.live(0)
	}},
	{"a revocation twice succeeds", nil, func(b *bench) {
		issued := b.issued()
		b.must(b.revoke(issued.Handle))
		b.must(b.revoke(issued.Handle))
		b.dead(issued)
	}},
	{"what was never issued is revoked and proved dead", nil, func(b *bench) {
		b.prepare()
		h := b.unissued()
		b.must(b.revoke(h))
		if live, err := b.verify(h); err != nil || live != connectors.Dead {
			b.t.Errorf("%s, %v", live, err)
		}
	}},
	{"what has no subject yet is revoked and proved dead", nil, func(b *bench) {
		h := connectors.Handle{Ref: b.subject.Ref + "-c1"}
		b.must(b.revoke(h))
		if live, err := b.verify(h); err != nil || live != connectors.Dead {
			b.t.Errorf("%s, %v", live, err)
		}
	}},
	{"a key whose handle was lost is revoked by its reference", nil, func(b *bench) {
		issued := b.issued()
		h := connectors.Handle{Ref: issued.Handle.Ref, Subject: issued.Handle.Subject}
		if live, err := b.verify(h); err == nil && live == connectors.Dead {
			b.t.Error("dead, and it passes at the gateway")
		}
		b.must(b.revoke(h))
		b.dead(connectors.Issued{Handle: h, Secret: issued.Secret})
		b.refused(issued)
		b.live(0)
	}},
	{"another subject's key stays", nil, func(b *bench) {
		first := b.issued()
		b.subject, b.subjectID, b.refs = b.newSubject(), "", 0
		second := b.issued()
		b.must(b.revoke(first.Handle))
		b.dead(first)
		b.alive(second)
	}},
	{"after a revocation a new key is issued under a new reference", nil, func(b *bench) {
		first := b.issued()
		b.must(b.revoke(first.Handle))
		b.prepare()
		second := b.issued()
		b.dead(first)
		b.alive(second)
		b.live(1)
	}},
	{"a key issued between two steps of a revoked one has its rights", nil, func(b *bench) {
		first := b.issued()
		b.must(b.revoke(first.Handle))
		second, err := b.issue(b.request()) // the subject and its rights were ensured before
		b.must(err)
		b.settle()
		b.alive(second)
		b.live(1)
		b.holds([]connectors.Handle{second.Handle}, b.Scopes[:]...)
	}},
	{"a handle without reference is rejected", nil, func(b *bench) {
		b.wantClass(b.revoke(connectors.Handle{}), connectors.Rejected)
		if live, err := b.verify(connectors.Handle{}); err == nil && live == connectors.Dead {
			b.t.Error("nothing at all is dead")
		}
	}},
}

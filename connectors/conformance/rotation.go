package conformance

import (
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
)

// grace is asked for at rotations: long beside every revocation bound.
const grace = 48 * time.Hour

// checkTruth: a rotation claims no more than the manager's declared grace, and
// its parts agree.
func (b *bench) checkTruth(r connectors.RotateRequest, got connectors.Rotation) {
	b.t.Helper()
	if (got.Overlap == connectors.OverlapNone) != got.OldUntil.IsZero() {
		b.t.Errorf("overlap %s, old until %s", got.Overlap, got.OldUntil)
	}
	switch got.Overlap {
	case connectors.OverlapNone:
	case connectors.OverlapUntil:
		if b.can.Grace != connectors.GraceAny {
			b.t.Errorf("an overlap of any length from a manager with grace %s", b.can.Grace)
		}
		if got.OldUntil.After(b.Now().Add(r.Grace + 2*time.Second)) {
			b.t.Errorf("old until %s, for a grace of %s", got.OldUntil, r.Grace)
		}
	case connectors.OverlapFixed:
		if b.can.Grace != connectors.GraceFixed {
			b.t.Errorf("a fixed overlap from a manager with grace %s", b.can.Grace)
		}
	default:
		b.t.Errorf("overlap %q", got.Overlap)
	}
}

var rotationTests = []test{
	{"the old key lives exactly as long as the answer says", nil, func(b *bench) {
		first := b.issued()
		got, err := b.rotate(b.rotation(first, grace))
		b.must(err)
		switch b.can.Grace {
		case connectors.GraceAny:
			if want := b.Now().Add(grace); got.Overlap != connectors.OverlapUntil || !near(got.OldUntil, want) {
				b.t.Errorf("%s until %s, want until %s", got.Overlap, got.OldUntil, want)
			}
		case connectors.GraceFixed:
			if got.Overlap != connectors.OverlapFixed || !got.OldUntil.After(b.Now()) {
				b.t.Errorf("%s until %s", got.Overlap, got.OldUntil)
			}
		case connectors.GraceNone:
			if got.Overlap != connectors.OverlapNone {
				b.t.Errorf("%s from a manager without grace", got.Overlap)
			}
		}
		b.settle()
		b.alive(got.Issued)
		b.graceEnds(first, got)
		b.alive(got.Issued)
	}},
	{"without grace the old key is dead", nil, func(b *bench) {
		first := b.issued()
		got, err := b.rotate(b.rotation(first, 0))
		b.must(err)
		if got.Overlap != connectors.OverlapNone {
			b.t.Errorf("%s until %s", got.Overlap, got.OldUntil)
		}
		b.dead(first)
		b.alive(got.Issued)
		b.live(1)
	}},
	{"a repeat is the same rotation, and never lengthens the grace", nil, func(b *bench) {
		first := b.issued()
		r := b.rotation(first, grace)
		got, err := b.rotate(r)
		b.must(err)
		if b.Advance != nil {
			b.Advance(3 * time.Hour)
		}
		again, err := b.rotate(r)
		b.must(err)
		if b.can.CallerSecret && !again.Adopted {
			b.t.Error("the repeat was not adopted")
		}
		if again.Overlap != got.Overlap || !near(again.OldUntil, got.OldUntil) {
			b.t.Errorf("%s until %s, then %s until %s", got.Overlap, got.OldUntil, again.Overlap, again.OldUntil)
		}
		b.settle()
		b.alive(again.Issued)
		b.live(b.both(again))
		b.graceEnds(first, again)
	}},
	{"a repeat after the grace finds the old key dead", []need{movableClocks, someGrace}, func(b *bench) {
		first := b.issued()
		r := b.rotation(first, grace)
		got, err := b.rotate(r)
		b.must(err)
		b.until(got.OldUntil.Add(time.Minute))
		again, err := b.rotate(r)
		b.must(err)
		if again.Overlap != connectors.OverlapNone {
			b.t.Errorf("%s until %s", again.Overlap, again.OldUntil)
		}
		b.dead(first)
		b.alive(again.Issued)
	}},
	{"a grace never outlives the old key's own end", []need{nativeExpiry, anyGrace}, func(b *bench) {
		first := b.issued()
		end := b.Now().Add(grace / 2)
		b.must(b.expire(first.Handle, end))
		got, err := b.rotate(b.rotation(first, grace))
		b.must(err)
		if !near(got.OldUntil, end) {
			b.t.Errorf("old until %s, want %s", got.OldUntil, end)
		}
		b.endsAt(first.Handle, end)
	}},
	{"a rotation with a shorter grace shortens", []need{anyGrace}, func(b *bench) {
		first := b.issued()
		if b.can.NativeExpiry {
			b.must(b.expire(first.Handle, b.Now().Add(30*grace)))
		}
		got, err := b.rotate(b.rotation(first, grace))
		b.must(err)
		if !near(got.OldUntil, b.Now().Add(grace)) {
			b.t.Errorf("old until %s, want %s", got.OldUntil, b.Now().Add(grace))
		}
		b.settle()
		b.graceEnds(first, got)
	}},
	{"two rotations in a row keep what each of them said", nil, func(b *bench) {
		first := b.issued()
		one, err := b.rotate(b.rotation(first, grace))
		b.must(err)
		if b.Advance != nil {
			b.Advance(time.Hour)
		}
		two, err := b.rotate(b.rotation(one.Issued, 2*grace))
		b.must(err)
		b.settle()
		b.alive(two.Issued)
		if one.Overlap == connectors.OverlapNone {
			b.dead(first)
		}
		if two.Overlap == connectors.OverlapNone {
			b.dead(one.Issued)
			return
		}
		b.alive(one.Issued)
		if b.OneOld {
			b.dead(first)
		} else {
			b.alive(first)
			b.graceEnds(first, one)
		}
		b.alive(two.Issued)
		b.graceEnds(one.Issued, two)
		b.alive(two.Issued)
	}},
	{"a revocation during the grace ends the old key alone", nil, func(b *bench) {
		first := b.issued()
		got, err := b.rotate(b.rotation(first, grace))
		b.must(err)
		b.settle()
		b.must(b.revoke(first.Handle))
		b.dead(first)
		b.alive(got.Issued)
		b.must(b.revoke(first.Handle))
		b.alive(got.Issued)
	}},
	{"a revocation of the new key ends it", nil, func(b *bench) {
		first := b.issued()
		got, err := b.rotate(b.rotation(first, grace))
		b.must(err)
		b.settle()
		b.must(b.revoke(got.Handle))
		b.dead(got.Issued)
		b.must(b.revoke(first.Handle))
		b.dead(first)
		b.live(0)
	}},
	{"an old key that is gone already leaves the new one alone", []need{separateKeys}, func(b *bench) {
		first := b.issued()
		b.must(b.revoke(first.Handle))
		got, err := b.rotate(b.rotation(first, grace))
		b.must(err)
		if got.Overlap != connectors.OverlapNone {
			b.t.Errorf("%s until %s", got.Overlap, got.OldUntil)
		}
		b.settle()
		b.alive(got.Issued)
		b.live(1)
	}},
	{"a rotation into the same reference, or with a negative grace, is rejected", nil, func(b *bench) {
		first := b.issued()
		same, negative := b.rotation(first, grace), b.rotation(first, -time.Second)
		same.Ref = first.Handle.Ref
		for _, r := range []connectors.RotateRequest{same, negative} {
			_, err := b.rotate(r)
			b.wantClass(err, connectors.Rejected)
		}
		b.settle()
		b.alive(first)
		b.live(1)
	}},
}

// both is how many credentials live after a rotation.
func (b *bench) both(r connectors.Rotation) int {
	if r.Overlap == connectors.OverlapNone || b.OneObject {
		return 1
	}
	return 2
}

// graceEnds probes the old key before and after the end that the rotation told.
// Where the manager does not end it by itself, the hub revokes it then.
func (b *bench) graceEnds(old connectors.Issued, r connectors.Rotation) {
	b.t.Helper()
	if r.Overlap == connectors.OverlapNone {
		b.dead(old)
		return
	}
	if b.Now().Before(r.OldUntil) {
		b.alive(old)
		if b.Advance == nil {
			return
		}
		b.until(r.OldUntil.Add(-time.Minute))
		b.alive(old)
		b.until(r.OldUntil)
	}
	if !b.can.NativeExpiry && b.can.Grace == connectors.GraceAny {
		b.must(b.revoke(old.Handle))
	}
	b.dead(old)
}

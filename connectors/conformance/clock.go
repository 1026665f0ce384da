package conformance

import (
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
)

// A manager is served by a hub whose clock is ten minutes off it, either way:
// keys are made, replaced with overlap and ended, and nothing that the gateway
// still lets through is called dead.
var clockTests = []test{
	{"the hub is ten minutes ahead", []need{twoClocks}, func(b *bench) { b.offClock(10 * time.Minute) }},
	{"the hub is ten minutes behind", []need{twoClocks}, func(b *bench) { b.offClock(-10 * time.Minute) }},
}

// offGrace is little longer than what the clocks differ by.
const offGrace = 15 * time.Minute

func (b *bench) offClock(off time.Duration) {
	partners := b.Now
	b.Manager, b.Now = b.Off(off), func() time.Time { return partners().Add(off) }
	first := b.issued()
	b.must(b.setGrants([]connectors.Handle{first.Handle}, b.Scopes[0]))
	b.alive(first)

	second := first
	if b.can.Grace != connectors.GraceNone {
		rotated, err := b.rotate(b.rotation(first, offGrace))
		b.must(err)
		second = rotated.Issued
		b.settle()
		b.alive(second)
		b.passes(first)
		// The end by either clock is not the end by the other: the manager's counts.
		for range 10 {
			b.Advance(5 * time.Minute)
			live, err := b.verify(first.Handle)
			b.must(err)
			if passes := b.Passes(first.Handle, first.Secret); passes && live == connectors.Dead {
				b.t.Errorf("%s is called dead at %s, and passes", first.Handle.Ref, b.Now())
			}
		}
		b.must(b.revoke(first.Handle)) // as the hub does when the overlap is over
		b.dead(first)
		b.alive(second)
	}
	if b.can.NativeExpiry {
		b.must(b.expire(second.Handle, b.Now().Add(time.Hour)))
		for range 16 {
			b.Advance(5 * time.Minute)
			live, err := b.verify(second.Handle)
			b.must(err)
			if passes := b.Passes(second.Handle, second.Secret); passes && live == connectors.Dead {
				b.t.Errorf("%s is called dead at %s, and passes", second.Handle.Ref, b.Now())
			}
		}
		b.dead(second) // ten minutes after the later of both clocks says so
		return
	}
	b.must(b.revoke(second.Handle))
	b.dead(second)
}

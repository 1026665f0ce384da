package jobs

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

func TestTheRateHoldsOverAnyTimeWithOneSecondsWorthAtOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.Float64Range(0.1, 500).Draw(t, "rate")
		clock := partnertest.NewFrozenClock(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC))
		l := newLane(&Workers{Now: clock.Now})
		l.row.Rate = rate
		begin := clock.Now()
		sent := 0
		for range 200 {
			if l.pace() == 0 {
				sent++
			} else {
				clock.Advance(time.Duration(rapid.Int64Range(int64(time.Millisecond), int64(3*time.Second)).Draw(t, "pause")))
			}
			// Another lane takes over with what the last one left.
			if rapid.IntRange(0, 9).Draw(t, "hand over") == 0 {
				next := newLane(&Workers{Now: clock.Now})
				next.row.Rate, next.paced = rate, l.paced
				l = next
			}
			if allowed := rate*clock.Now().Sub(begin).Seconds() + max(1, rate) + 1e-6; float64(sent) > allowed {
				t.Fatalf("%d sent, %.2f allowed at %.2f a second", sent, allowed, rate)
			}
		}
	})
}

func TestAPausedLaneWaitsForHalfOfItsBurst(t *testing.T) {
	t.Parallel()
	clock := partnertest.NewFrozenClock(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC))
	l := newLane(&Workers{Now: clock.Now})
	l.row.Rate = 100
	n := 0
	for l.pace() == 0 {
		n++
	}
	if wait := l.pace(); n != 100 || wait < 400*time.Millisecond || wait > 600*time.Millisecond {
		t.Errorf("%d at once, then a wait of %v", n, wait)
	}
}

func TestAReceiverThatIsOverwhelmedGetsFewerAtOnceAndMoreAsItRecovers(t *testing.T) {
	t.Parallel()
	l := newLane(&Workers{Now: time.Now})
	l.row.MaxInFlight, l.limit = 8, 8
	throttled, ok := registry.Verdict{Outcome: store.Failed, Throttled: true}, registry.Verdict{Outcome: store.Delivered}
	var limits []int
	for _, v := range []registry.Verdict{throttled, throttled, throttled, throttled, ok, ok, {Outcome: store.Failed}, ok} {
		l.adapt(v, time.Now())
		limits = append(limits, l.limit)
	}
	want := []int{4, 2, 1, 1, 2, 3, 3, 4}
	for i := range want {
		if limits[i] != want[i] {
			t.Fatalf("limits %v, want %v", limits, want)
		}
	}
	if l.health.InFlight != 4 {
		t.Errorf("the next lane would begin with %d", l.health.InFlight)
	}
}

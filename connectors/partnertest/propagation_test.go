package partnertest_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

func TestAGatewayLearnsChangesInOrderOnceTheyAreOldEnough(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var p partnertest.Propagation
	var known []string
	publish := func(after time.Duration, name string) {
		p.Publish(start.Add(after), func() { known = append(known, name) })
	}
	expect := func(step string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, known); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step, diff)
		}
	}

	publish(0, "at once")
	expect("without delay", "at once")

	p.Delay = 5 * time.Second
	publish(0, "first")
	publish(2*time.Second, "second")
	p.CatchUp(start.Add(4 * time.Second))
	expect("before the delay", "at once")
	p.CatchUp(start.Add(5 * time.Second))
	expect("the first is old enough", "at once", "first")
	p.CatchUp(start.Add(5 * time.Second))
	expect("nothing is told twice", "at once", "first")

	p.Delay = 0
	publish(3*time.Second, "third")
	expect("a change never overtakes one that waits", "at once", "first")
	p.CatchUp(start.Add(3 * time.Second))
	expect("the delay was taken away", "at once", "first", "second", "third")
}

package jobs

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/webhook/webhooktest"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

const laneJobs = `select count(*) from river_job where kind = 'deliver_lane' and state in ('available', 'pending', 'running', 'retryable', 'scheduled')`

func TestPostponedWorkCostsNoWorkerAndNoJob(t *testing.T) {
	t.Parallel()
	y := newYard(t, func(p *registry.DeliveryPolicy) { p.BreakAfter = 3 })
	y.clock.Freeze(y.clock.Now()) // on a busy machine too nothing becomes due while the test looks
	answers := map[string]webhooktest.Answer{
		"/fails":   {Status: http.StatusInternalServerError},
		"/rests":   {Status: http.StatusServiceUnavailable, RetryAfter: time.Minute},
		"/ordered": {Status: http.StatusInternalServerError},
		"/rate":    {},
	}
	for path, answer := range answers {
		y.receiver.SetAnswer(path, answer)
		y.endpoint(func(e *store.NewEndpoint) {
			e.Definition, e.URL, e.Ordered = path, y.at+path, path == "/ordered"
			if path == "/rate" {
				e.Rate = 0.02
			}
		})
		for n := range 4 {
			y.tell(path, "s"+strconv.Itoa(n%2), n/2+1)
		}
	}
	y.until("each was tried", func() bool { return y.count(`select count(distinct endpoint_id) from attempt`) == len(answers) })
	y.until("no lane is kept and no job waits", func() bool {
		return y.process.outbox.Waker().lanes() == 0 && y.count(laneJobs) == 0
	})
	tried, owed := y.attempts(), y.count(`select count(*) from delivery where abandoned_at is null`)
	if owed < 13 {
		t.Fatalf("%d deliveries wait, want all that failed and those beyond the rate", owed)
	}
	// The sweep looks meanwhile: it sends nothing that is not due, or beyond the rate.
	time.Sleep(sweepEvery + 500*time.Millisecond)
	y.until("what the sweep looked at is left again", func() bool {
		return y.process.outbox.Waker().lanes() == 0 && y.count(laneJobs) == 0
	})
	if now := y.attempts(); now != tried {
		t.Errorf("%d tries after %d, while nothing is due\n%s", now, tried, y.picture())
	}
	for path := range answers {
		y.receiver.SetAnswer(path, webhooktest.Answer{})
	}
	for y.count(`select count(*) from delivery where abandoned_at is null`) > 0 {
		y.advance(time.Minute)
		time.Sleep(50 * time.Millisecond)
		if t.Context().Err() != nil {
			t.Fatal(y.picture())
		}
	}
	if got := y.receiver.Totals(); got.Unique != 16 {
		t.Errorf("%d messages arrived, want all 16", got.Unique)
	}
}

// hanging gives n endpoints, each with messages, whose receiver answers only when it is let.
func (y *yard) hanging(n, messages int) (release func()) {
	y.t.Helper()
	let := make(chan struct{})
	for i := range n {
		path := "/hang" + strconv.Itoa(i)
		y.receiver.AnswerWith(path, func(webhooktest.Delivery) webhooktest.Answer {
			<-let
			return webhooktest.Answer{}
		})
		y.endpoint(func(e *store.NewEndpoint) { e.Definition, e.URL = path, y.at+path })
		for m := range messages {
			y.tell(path, fmt.Sprint(i, "/", m), 1)
		}
	}
	released := false
	release = func() {
		if !released {
			close(let)
		}
		released = true
	}
	y.t.Cleanup(release)
	return release
}

func (y *yard) asides() int {
	w := y.process.outbox.Waker()
	return w.lanes() - w.busy()
}

func TestMoreReceiversThatHangThanWorkersDelayNobody(t *testing.T) {
	t.Parallel()
	const workers, hang, messages, healthyOnes = 4, 9, 2, 5
	y := newYardOf(t, workers, 20*time.Second, nil)
	release := y.hanging(hang, messages)
	healthy := y.endpoint(nil)
	for n := range healthyOnes {
		y.tell("d", strconv.Itoa(n), 1)
	}
	y.until("the healthy one has all", func() bool {
		return y.count(`select count(*) from attempt where endpoint_id = $1`, healthy) == healthyOnes
	})
	if n := y.count(`select count(*) from attempt where endpoint_id <> $1`, healthy); n != 0 {
		t.Errorf("the healthy one waited until %d tries of hanging ones were over\n%s", n, y.picture())
	}
	y.until("those that hang wait without a worker", func() bool { return y.asides() == hang })
	y.until("their jobs are over", func() bool { return y.count(laneJobs) <= 1 }) // the healthy one's may linger
	release()
	y.drained()
	if got := y.receiver.Totals(); got.Unique != healthyOnes+hang*messages || got.Repeats != 0 {
		t.Errorf("%+v, want %d messages, none twice", got, healthyOnes+hang*messages)
	}
}

func TestLanesWithoutAWorkerAreBounded(t *testing.T) {
	t.Parallel()
	y := newYardOf(t, 2, 20*time.Second, nil)
	y.process.outbox.Waker().most = 1
	release := y.hanging(3, 1)
	y.until("one waits without a worker, two with one", func() bool {
		return y.asides() == 1 && y.process.outbox.Waker().busy() == 2
	})
	release()
	y.drained()
}

func TestAProcessThatStopsWaitsForItsLanesWithoutAWorker(t *testing.T) {
	t.Parallel()
	y := newYardOf(t, 4, 20*time.Second, nil)
	release := y.hanging(2, 1)
	y.until("they wait without a worker", func() bool { return y.asides() == 2 })
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		y.stop(y.process)
	}()
	y.until("it is told to stop", func() bool {
		w := y.process.outbox.Waker()
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.drained
	})
	select {
	case <-stopped:
		t.Fatal("it left deliveries behind whose answers are on their way")
	case <-time.After(100 * time.Millisecond):
	}
	release()
	<-stopped
	if n, free := y.count(`select count(*) from attempt where outcome = 'delivered'`), y.count(`select count(*) from lane where until = '-infinity'`); n != 2 || free != 2 {
		t.Errorf("%d recorded, %d endpoints given back", n, free)
	}
}

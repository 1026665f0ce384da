package jobs

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/passerelle-hub/passerelle/connectors/webhook/webhooktest"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// ordered is an endpoint that wants the messages of each subject in sequence.
func (y *yard) ordered() int64 {
	return y.endpoint(func(e *store.NewEndpoint) { e.Ordered = true })
}

// orders gives the numbers of a subject's messages as they arrived, repeats left out.
func (y *yard) orders(subject string) []int64 {
	var list []int64
	for _, d := range y.receiver.Of(subject) {
		list = append(list, d.Order)
	}
	return list
}

func TestAFailingMessageHoldsBackItsRequestAlone(t *testing.T) {
	t.Parallel()
	y := newYard(t, nil)
	y.ordered()
	failing := true
	var mu sync.Mutex
	y.receiver.AnswerWith("", func(d webhooktest.Delivery) webhooktest.Answer {
		mu.Lock()
		defer mu.Unlock()
		if failing && d.Subject == "sick" && d.Order == 2 {
			return webhooktest.Answer{Status: 500}
		}
		return webhooktest.Answer{}
	})
	for n := 1; n <= 5; n++ {
		y.tell("d", "sick", n)
		y.tell("d", "well", n)
	}
	y.until("the other request has all", func() bool { return len(y.orders("well")) == 5 })
	y.until("the failing one is recorded", func() bool { return y.count(`select count(*) from attempt where outcome = 'failed'`) == 1 })
	time.Sleep(100 * time.Millisecond)
	if diff := cmp.Diff([]int64{1, 2}, y.orders("sick")); diff != "" {
		t.Fatalf("while the second fails: %s", diff)
	}
	mu.Lock()
	failing = false
	mu.Unlock()
	y.advance(13 * time.Second)
	y.drained()
	for _, subject := range []string{"sick", "well"} {
		if diff := cmp.Diff([]int64{1, 2, 3, 4, 5}, y.orders(subject)); diff != "" {
			t.Errorf("%s: %s", subject, diff)
		}
	}
	if disorder := y.receiver.Disorder(); len(disorder) > 0 {
		t.Error(disorder)
	}
}

func TestAMessageGivenUpLeavesAGapThatIsTold(t *testing.T) {
	t.Parallel()
	y := newYard(t, nil)
	y.ordered()
	y.receiver.AnswerWith("", func(d webhooktest.Delivery) webhooktest.Answer {
		if d.Event != registry.EventGap && d.Subject == "s" && d.Order == 2 {
			return webhooktest.Answer{Status: 500}
		}
		return webhooktest.Answer{}
	})
	y.tell("d", "s", 1)
	missing := y.tell("d", "s", 2)
	y.tell("d", "s", 3)
	for n := 2; n < 6; n++ {
		y.untilAttempts(n)
		if y.count(`select count(*) from delivery where abandoned_at is not null`) == 1 {
			break
		}
		y.advance(13 * time.Minute)
	}
	y.drained()
	var after []string
	for _, d := range y.receiver.Deliveries() {
		if d.Event == registry.EventGap || d.Order == 3 {
			after = append(after, d.Event)
		}
		if d.Event != registry.EventGap {
			continue
		}
		var body struct {
			Data struct {
				Missing  string `json:"missing"`
				Subject  string `json:"subject"`
				Sequence int    `json:"sequence"`
				Reason   string `json:"reason"`
			} `json:"data"`
		}
		if err := json.Unmarshal(d.Body, &body); err != nil {
			t.Fatal(err)
		}
		if body.Data.Missing != missing.String() || body.Data.Subject != "s" || body.Data.Sequence != 2 || body.Data.Reason != registry.ReasonTries && body.Data.Reason != registry.ReasonHeld {
			t.Errorf("the gap says %+v", body.Data)
		}
		if d.Header.Get("Webhook-Sequence") != "2" {
			t.Errorf("the gap is not in the place of what is missing: sequence %s", d.Header.Get("Webhook-Sequence"))
		}
	}
	if diff := cmp.Diff([]string{registry.EventGap, "token.issued"}, after); diff != "" {
		t.Errorf("after the message given up: %s\n%s", diff, y.picture())
	}
}

// The heart of the promise: whatever fails, every message arrives, and those of
// one request in sequence, with two processes that compete for the endpoint.
func TestUnderFaultsEverythingArrivesInOrderFromTwoProcesses(t *testing.T) {
	t.Parallel()
	y := newYard(t, func(p *registry.DeliveryPolicy) {
		p.Schedule, p.Rest, p.MaxRest = slices.Repeat([]time.Duration{20 * time.Millisecond}, 100), 10*time.Millisecond, 20*time.Millisecond
	})
	other := y.start()
	y.ordered()
	y.receiver.AnswerWith("", func(webhooktest.Delivery) webhooktest.Answer {
		if rand.IntN(4) == 0 {
			return webhooktest.Answer{Status: 500}
		}
		return webhooktest.Answer{}
	})
	const subjects, each = 10, 30
	var all sync.WaitGroup
	for s := range subjects {
		all.Go(func() {
			r := y.registry
			if s%2 == 0 {
				r = other.workers.Registry // told by the other process
			}
			for n := 1; n <= each; n++ {
				if _, err := r.Tell(t.Context(), happeningFor("d", "s"+strconv.Itoa(s), n)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	y.drained()
	want := make([]int64, each)
	for n := range want {
		want[n] = int64(n + 1)
	}
	for s := range subjects {
		if diff := cmp.Diff(want, y.orders("s"+strconv.Itoa(s))); diff != "" {
			t.Errorf("subject %d: %s", s, diff)
		}
	}
	if disorder := y.receiver.Disorder(); len(disorder) > 0 {
		t.Error(disorder)
	}
	y.stop(other)
}

func TestAProcessThatStopsHandsItsLanesOver(t *testing.T) {
	t.Parallel()
	y := newYard(t, nil)
	y.endpoint(nil)
	y.tell("d", "s", 1)
	y.drained()
	other := y.start()
	y.stop(y.process)
	for n := range 50 {
		if _, err := other.workers.Registry.Tell(t.Context(), happeningFor("d", fmt.Sprint("t", n), 1)); err != nil {
			t.Fatal(err)
		}
	}
	y.drained()
	if got := y.receiver.Totals(); got.Unique != 51 || got.Repeats != 0 {
		t.Errorf("%+v", got)
	}
}

func TestALaneOfADeadProcessIsTakenOverWhenItsLeaseEnds(t *testing.T) {
	t.Parallel()
	y := newYard(t, nil)
	id := y.endpoint(nil)
	// A process takes the lane and dies.
	if _, err := y.store.TakeLane(t.Context(), id, y.process.workers.Webhooks.holder, time.Second, y.clock.Now()); err != nil {
		t.Fatal(err)
	}
	y.tell("d", "s", 1)
	time.Sleep(300 * time.Millisecond)
	if n := y.attempts(); n != 0 {
		t.Error("two processes deliver to one endpoint at once")
	}
	y.drained() // the sweep finds it
}

func TestARequestWithMoreMessagesThanALaneLooksAtHoldsBackNoOther(t *testing.T) {
	t.Parallel()
	y := newYardOf(t, 20, time.Minute, nil)
	id := y.ordered()
	others := make(chan struct{})
	y.receiver.AnswerWith("", func(d webhooktest.Delivery) webhooktest.Answer {
		if strings.HasPrefix(d.Subject, "long") {
			<-others
		}
		return webhooktest.Answer{}
	})
	release := sync.OnceFunc(func() { close(others) })
	t.Cleanup(release)
	// Three requests with 1,500 messages each, older than those of sixty others. An
	// id tells an event's age: none may look like one whose body is purged by now.
	const long, each, short = 3, 1500, 60
	at := y.clock.Now()
	if _, err := y.pool.Exec(t.Context(), `
		with e as (insert into event (id, type, subject, seq, body, occurred_at)
			select overlay(gen_random_uuid()::text placing 'ff' from 1 for 2)::uuid, 'token.issued', s, n, json_build_object('data', json_build_object('subject', s, 'seq', n)), $2::timestamptz + n * interval '1 microsecond'
			from (select 'long' || l as s, n from generate_series(1, $3) l, generate_series(1, $4) n
			      union all select 'short' || o, n from generate_series(1, $5) o, generate_series(1, 2) n) x
			returning id, subject, seq)
		insert into delivery (endpoint_id, event_id, next_at, subject, seq, ordered, created_at)
		select $1, id, case when subject like 'long%' then $2::timestamptz - interval '1 minute' else $2::timestamptz end, subject, seq, true, $2 from e`, id, at, long, each, short); err != nil {
		t.Fatal(err)
	}
	y.advance(time.Second)
	y.until("the others have all of theirs", func() bool {
		return y.count(`select count(*) from delivery where subject like 'short%'`) == 0
	})
	if n := y.count(`select count(*) from delivery where subject like 'long%'`); n != long*each {
		t.Errorf("%d of the long ones are left", n)
	}
	release()
	y.until("the long ones go on", func() bool { return y.count(`select count(*) from delivery`) < long*each-30 })
	if disorder := y.receiver.Disorder(); len(disorder) > 0 {
		t.Error(disorder[:1])
	}
}

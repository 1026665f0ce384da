package jobs

import (
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/passerelle-hub/passerelle/connectors/webhook/webhooktest"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// holding has the receiver keep the messages of the subject "held" until it is
// let, and counts how many it has in hand at once.
func (y *yard) holding() (inHand func() (now, most int), release func()) {
	y.t.Helper()
	let := make(chan struct{})
	var mu sync.Mutex
	now, most := 0, 0
	y.receiver.AnswerWith("", func(d webhooktest.Delivery) webhooktest.Answer {
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		if d.Subject == "held" {
			<-let
		}
		mu.Lock()
		now--
		mu.Unlock()
		return webhooktest.Answer{}
	})
	release = sync.OnceFunc(func() { close(let) })
	y.t.Cleanup(release)
	return func() (int, int) { mu.Lock(); defer mu.Unlock(); return now, most }, release
}

func (y *yard) leaseOf(id int64) (holder uuid.UUID, until time.Time) {
	y.t.Helper()
	if err := y.pool.QueryRow(y.t.Context(), `select holder, until from lane where endpoint_id = $1 and until > '-infinity'`, id).Scan(&holder, &until); err != nil {
		y.t.Fatal(err, y.picture())
	}
	return holder, until
}

// The turn of a lane ends while one answer hangs: its endpoint goes on at once,
// with the place that the answer takes still counted, and its request in order.
func TestAnAnswerThatHangsDoesNotPauseItsEndpointWhenTheTurnOfItsLaneEnds(t *testing.T) {
	t.Parallel()
	const inFlight = 3
	y := newYardOf(t, 4, time.Minute, nil)
	inHand, release := y.holding()
	id := y.endpoint(func(e *store.NewEndpoint) { e.Ordered, e.MaxInFlight = true, inFlight })
	y.tell("d", "held", 1)
	y.tell("d", "held", 2)
	y.until("the first one hangs", func() bool { now, _ := inHand(); return now == 1 })
	holder, first := y.leaseOf(id)
	turns, told := 0, 0
	for last := first; turns < 2; {
		told++
		y.tell("d", "free"+strconv.Itoa(told), 1)
		y.until("the others go on", func() bool { return len(y.orders("free"+strconv.Itoa(told))) == 1 })
		now, until := y.leaseOf(id)
		if now != holder {
			t.Fatal("another process took the endpoint over, with one of its messages in flight")
		}
		if until.After(last) {
			turns, last = turns+1, until
		}
		time.Sleep(20 * time.Millisecond)
	}
	if n := y.count(`select count(*) from attempt a join event e on e.id = a.event_id where e.subject = 'held'`); n != 0 {
		t.Error("the message that hangs was settled")
	}
	if diff := cmp.Diff([]int64{1}, y.orders("held")); diff != "" {
		t.Errorf("what follows the message that hangs did not wait for it: %s", diff)
	}
	release()
	y.drained()
	if _, most := inHand(); most > inFlight {
		t.Errorf("%d at once, %d are allowed", most, inFlight)
	}
	if got := y.receiver.Totals(); got.Unique != told+2 || got.Repeats != 0 {
		t.Errorf("%+v, want %d messages, none twice", got, told+2)
	}
	if diff := cmp.Diff([]int64{1, 2}, y.orders("held")); diff != "" {
		t.Error(diff)
	}
	y.until("the lane ends", func() bool {
		return y.process.outbox.Waker().lanes() == 0 && y.count(`select count(*) from lane where until = '-infinity'`) == 1
	})
}

// A lane is told in whichever process it runs that its endpoint is another now,
// and takes that up although an answer hangs.
func TestAChangeOfAnEndpointIsTakenUpByTheLaneOfAnotherProcessWhileAnAnswerHangs(t *testing.T) {
	t.Parallel()
	y := newYardOf(t, 4, time.Minute, nil)
	_, release := y.holding()
	id := y.endpoint(nil)
	y.tell("d", "held", 1)
	y.until("it hangs", func() bool { return len(y.receiver.Of("held")) == 1 })
	other := y.start()
	if _, err := y.pool.Exec(t.Context(), `update endpoint set url = $2, version = version + 1 where id = $1`, id, y.at+"/moved"); err != nil {
		t.Fatal(err)
	}
	other.outbox.Waker().Renew(id)
	y.tell("d", "free", 1)
	y.until("the next one goes to the new address", func() bool {
		list := y.receiver.Of("free")
		return len(list) == 1 && list[0].Path == "/moved"
	})
	y.untilAttempts(1)
	if n := y.count(`select count(*) from attempt a join event e on e.id = a.event_id where e.subject = 'held'`); n != 0 {
		t.Error("the message that hangs was settled")
	}
	release()
	y.drained()
	if got := y.receiver.Totals(); got.Unique != 2 || got.Repeats != 0 {
		t.Errorf("%+v", got)
	}
}

// What another process commits reaches the lane by a notification; no job is
// queued for an endpoint that is served.
func TestWhatIsCommittedInOneProcessWakesTheLaneOfAnother(t *testing.T) {
	t.Parallel()
	y := newYard(t, nil)
	id := y.endpoint(nil)
	other := y.start()
	y.until("it hears", func() bool {
		w := other.outbox.Waker()
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.hears
	})
	// A lane of the other process, as it lies between two looks.
	w := other.outbox.Waker()
	l := newLane(other.workers)
	if !w.enter(id, l) {
		t.Fatal("there is a lane")
	}
	if _, err := y.store.TakeLane(t.Context(), id, other.workers.Webhooks.holder, time.Minute, y.clock.Now()); err != nil {
		t.Fatal(err)
	}
	poked := func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		yes := l.pokes
		l.pokes = false
		return yes
	}
	poked() // when it began to listen
	ear, err := pgx.Connect(t.Context(), y.url)
	if err != nil {
		t.Fatal(err)
	}
	defer ear.Close(t.Context())
	if _, err := ear.Exec(t.Context(), `listen passerelle_lanes`); err != nil {
		t.Fatal(err)
	}
	const burst = 200
	for n := range burst {
		y.tell("d", "s", n+1)
	}
	y.until("the lane is poked", poked)
	if n := y.count(laneJobs); n != 0 {
		t.Errorf("%d jobs were queued for an endpoint that is served", n)
	}
	// The connection is lost: what was missed is looked for, and it hears again.
	if n := y.count(`select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = current_database() and query = 'listen passerelle_lanes' and pid <> $1`, ear.PgConn().PID()); n != 2 {
		t.Errorf("%d processes listened", n)
	}
	y.until("it looks for what it did not hear", poked)
	y.until("it hears again", func() bool {
		y.tell("d", "s", 1)
		return poked()
	})
	w.leave(id)
	if err := y.store.ReleaseLane(t.Context(), id, other.workers.Webhooks.holder, time.Time{}); err != nil {
		t.Fatal(err)
	}
	y.drained()
}

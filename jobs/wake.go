package jobs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"
	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/internal/store"
)

// Waker has lanes started where something is due. A lane of this process is
// poked in memory, one of another process by a notification of the database, and
// where there is none a job is queued, all outside of any transaction: what is
// lost is found by the sweep.
type Waker struct {
	store *store.Store
	queue func(ctx context.Context, jobs []river.InsertManyParams) error
	now   func() time.Time
	log   zerolog.Logger

	mu       sync.Mutex
	running  map[int64]*lane     // of this process
	asked    map[int64]bool      // true: the endpoint is another by now
	queued   map[int64]time.Time // when a job was queued last
	timers   map[int64]*time.Timer
	timerAt  map[int64]time.Time
	queueing bool
	asking   time.Time // when the last round of asked began
	drained  bool
	hears    bool               // what other processes commit
	deaf     context.CancelFunc // ends the listening
	aside    map[*lane]struct{} // of those that run, the ones that hold no worker
	most     int                // of them at once
	finished chan struct{}      // told of each that ends
}

const (
	// queuedFor is how long a queued job stands for what is woken after it. It is
	// shorter than a lane lingers: a lane that has begun meanwhile still sees it.
	queuedFor    = 50 * time.Millisecond
	queueTimeout = 5 * time.Second
	// askEvery spaces the rounds of statements that wake lanes elsewhere: a burst of
	// commits costs few of them, and a lone commit waits for nobody.
	askEvery = 5 * time.Millisecond
	// listenAgain is the wait before a connection that was lost is opened anew.
	listenAgain = time.Second
	// longestTimer: what is due later is left to the sweep.
	longestTimer = 10 * time.Minute
	// asidePerWorker bounds the lanes that wait for receivers without a worker, of
	// one process: connections and memory, some 100 kB each, are what they cost.
	asidePerWorker = 4
)

func newWaker(s *store.Store, queue func(context.Context, []river.InsertManyParams) error, now func() time.Time, log zerolog.Logger) *Waker {
	return &Waker{
		store: s, queue: queue, now: now, log: log, running: map[int64]*lane{}, asked: map[int64]bool{},
		queued: map[int64]time.Time{}, timers: map[int64]*time.Timer{}, timerAt: map[int64]time.Time{},
		aside: map[*lane]struct{}{}, finished: make(chan struct{}, 1),
	}
}

// Wake says that something is due at these endpoints. It does not wait.
func (w *Waker) Wake(ids ...int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		if l := w.running[id]; l != nil {
			l.poke()
			continue
		}
		if _, asked := w.asked[id]; !asked {
			w.asked[id] = false
		}
	}
	w.ask()
}

// ask has what was asked queued; w.mu is held.
func (w *Waker) ask() {
	if len(w.asked) > 0 && !w.queueing {
		w.queueing = true
		go w.queueAsked()
	}
}

// Renew says that an endpoint is another by now: the turn of its lane is over,
// whichever process has it, and the next one reads it anew.
func (w *Waker) Renew(id int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if l := w.running[id]; l != nil {
		l.renew()
		return
	}
	w.asked[id] = true
	w.ask()
}

// WakeAt wakes an endpoint later, from this process's memory.
func (w *Waker) WakeAt(id int64, at time.Time) {
	wait := at.Sub(w.now())
	if wait > longestTimer {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.drained || w.timers[id] != nil && !w.timerAt[id].After(at) {
		return
	}
	if t := w.timers[id]; t != nil {
		t.Stop()
	}
	w.timerAt[id] = at
	w.timers[id] = time.AfterFunc(wait, func() {
		w.mu.Lock()
		if w.timerAt[id].Equal(at) {
			delete(w.timers, id)
			delete(w.timerAt, id)
		}
		w.mu.Unlock()
		w.Wake(id)
	})
}

// queueAsked queues jobs for what was asked, again for what was asked meanwhile.
func (w *Waker) queueAsked() {
	for {
		w.mu.Lock()
		if wait := askEvery - time.Since(w.asking); wait > 0 && len(w.asked) > 0 {
			w.mu.Unlock()
			time.Sleep(wait)
			w.mu.Lock()
		}
		w.asking = time.Now()
		asked := w.asked
		w.asked = map[int64]bool{}
		ids := slices.Sorted(maps.Keys(asked))
		if len(ids) == 0 {
			w.queueing = false
			w.mu.Unlock()
			return
		}
		now := time.Now()
		for id, at := range w.queued {
			if now.Sub(at) > queuedFor {
				delete(w.queued, id)
			}
		}
		w.mu.Unlock()
		if err := w.queueLanes(ids, asked); err != nil {
			w.log.Warn().Err(err).Ints64("endpoints", ids).Msg("lanes were not woken: the sweep will")
		}
	}
}

func (w *Waker) queueLanes(ids []int64, changed map[int64]bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), queueTimeout)
	defer cancel()
	lanes, err := w.store.LanesToStart(ctx, ids, w.now())
	if err != nil {
		return err
	}
	var jobs []river.InsertManyParams
	var served []int64
	w.mu.Lock()
	for _, lane := range lanes {
		if lane.Served {
			served = append(served, lane.ID)
			if changed[lane.ID] {
				served = append(served, -lane.ID)
			}
			continue
		}
		if time.Since(w.queued[lane.ID]) <= queuedFor {
			continue // its lane is about to begin, and sees this too
		}
		w.queued[lane.ID] = time.Now()
		name := QueueWebhooks
		if lane.Slow {
			name = QueueSlowWebhooks
		}
		jobs = append(jobs, river.InsertManyParams{Args: DeliverLaneArgs{EndpointID: lane.ID}, InsertOpts: &river.InsertOpts{Queue: name}})
	}
	w.mu.Unlock()
	if len(jobs) > 0 {
		err = w.queue(ctx, jobs)
	}
	// Whoever serves one looks again when it hears this, or after it gave it back.
	return errors.Join(err, w.store.TellLanes(ctx, served))
}

// Listen has this process hear, until Drain, what others commit for the endpoints
// that it serves. While it cannot, its idle lanes look for themselves more often.
func (w *Waker) Listen() {
	ctx, cancel := context.WithCancel(context.Background())
	w.mu.Lock()
	w.deaf = cancel
	w.mu.Unlock()
	go func() {
		failing := false
		for {
			err := w.store.ListenLanes(ctx, func() { w.hear(true); failing = false; w.pokeAll() }, w.heard)
			w.hear(false)
			if ctx.Err() != nil {
				return
			}
			if !failing {
				w.log.Warn().Err(err).Msg("lanes do not hear what other processes commit: they look for themselves")
			}
			failing = true
			select {
			case <-ctx.Done():
				return
			case <-time.After(listenAgain):
			}
		}
	}()
}

func (w *Waker) hear(yes bool) {
	w.mu.Lock()
	w.hears = yes
	w.mu.Unlock()
}

// heard pokes the lanes that this process has of these endpoints. Those whose
// number is negative are others by now.
func (w *Waker) heard(ids []int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		if l := w.running[id]; l != nil {
			l.poke()
		}
		if l := w.running[-id]; l != nil {
			l.renew()
		}
	}
}

// pokeAll has each lane look for what it may not have heard of.
func (w *Waker) pokeAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.running {
		l.poke()
	}
}

// longestTick is the longest wait between two looks of an idle lane.
func (w *Waker) longestTick() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.hears {
		return heardTick
	}
	return maxTick
}

// enter makes l the lane of its endpoint in this process; false when there is
// one, which is poked, or when the process is about to stop.
func (w *Waker) enter(id int64, l *lane) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.queued, id)
	if other := w.running[id]; other != nil {
		other.poke()
		return false
	}
	if w.drained {
		return false
	}
	w.running[id] = l
	return true
}

// leave ends the lane of an endpoint in this process.
func (w *Waker) leave(id int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.running, id)
}

// releaseIdle gives an endpoint back unless this process serves it again.
func (w *Waker) releaseIdle(ctx context.Context, id int64, holder uuid.UUID) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running[id] != nil {
		return nil
	}
	return w.store.ReleaseLane(ctx, id, holder, time.Time{})
}

// lanes counts those of this process.
func (w *Waker) lanes() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.running)
}

// busy counts those of this process that hold a worker.
func (w *Waker) busy() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.running) - len(w.aside)
}

// stepAside lets a lane go on without a worker; false when too many do, or the
// process is about to stop.
func (w *Waker) stepAside(l *lane) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.drained || len(w.aside) >= w.most {
		return false
	}
	w.aside[l] = struct{}{}
	return true
}

// ended: a lane is over.
func (w *Waker) ended(l *lane) {
	w.mu.Lock()
	delete(w.aside, l)
	w.mu.Unlock()
	select {
	case w.finished <- struct{}{}:
	default:
	}
}

// Finish waits, after Drain, for the lanes that hold no worker. When ctx ends
// first, what they have in flight is cut: it is sent again.
func (w *Waker) Finish(ctx context.Context) error {
	if w.awaitAside(ctx.Done()) == 0 {
		return nil
	}
	w.mu.Lock()
	for l := range w.aside {
		l.cut()
	}
	w.mu.Unlock()
	hard, cancel := context.WithTimeout(context.WithoutCancel(ctx), queueTimeout)
	defer cancel()
	if n := w.awaitAside(hard.Done()); n > 0 {
		return fmt.Errorf("%d lanes did not end", n)
	}
	return nil
}

// awaitAside gives how many lanes without a worker are left.
func (w *Waker) awaitAside(enough <-chan struct{}) int {
	for {
		w.mu.Lock()
		n := len(w.aside)
		w.mu.Unlock()
		if n == 0 {
			return 0
		}
		select {
		case <-w.finished:
		case <-enough:
			return n
		}
	}
}

// Drain lets the lanes of this process finish what they have in hand, and starts
// no other.
func (w *Waker) Drain() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drained = true
	if w.deaf != nil {
		w.deaf()
	}
	for id, t := range w.timers {
		t.Stop()
		delete(w.timers, id)
	}
	for _, l := range w.running {
		l.drain()
	}
}

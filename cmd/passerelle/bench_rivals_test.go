package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
	"github.com/passerelle-hub/passerelle/internal/store/seal"
	"github.com/passerelle-hub/passerelle/jobs"
)

// design is a way to deliver, started on a hub's database: how an event is
// committed, and how all is stopped.
type design struct {
	name   string
	start  func(t *testing.T, h *hub) (tell, func())
	second bool // a second process works the queues too
}

type tell func(context.Context, registry.Happening) (uuid.UUID, error)

// ourLanes is what the hub does.
var ourLanes = design{name: "lanes (ours)", start: func(t *testing.T, h *hub) (tell, func()) {
	if err := h.startRiver(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	return h.registry.Tell, func() {
		h.outbox.Waker().Drain()
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := errors.Join(h.river.Stop(ctx), h.outbox.Waker().Finish(ctx)); err != nil {
			t.Error(err)
		}
	}
}}

// ourLanesTwice is the same with a second process beside it.
var ourLanesTwice = design{name: "lanes (ours), two processes", start: ourLanes.start, second: true}

// jobPerDelivery queues one River job for each delivery in the event's
// transaction: what the hub did first.
var jobPerDelivery = design{name: "job per delivery", start: func(t *testing.T, h *hub) (tell, func()) {
	rival := newRival(t, h)
	workers := river.NewWorkers()
	river.AddWorker(workers, &deliverOne{rival: rival})
	client := rival.run(t, workers, "deliveries", 100)
	return oneJobEach{h, client}.tell, rival.stop(t, client)
}}

// contractLanes is the design of webhooks.md to the letter: a lane claims by a
// lease on each delivery, posts, records, and claims again.
var contractLanes = design{name: "lanes that claim", start: func(t *testing.T, h *hub) (tell, func()) {
	rival := newRival(t, h)
	outbox, err := jobs.NewOutbox(h.store, 5*time.Millisecond, h.now, h.log)
	if err != nil {
		t.Fatal(err)
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, &claimingLane{rival: rival, waker: outbox.Waker()})
	client := rival.run(t, workers, jobs.QueueWebhooks, 500)
	r := registry.New(h.store, outbox, h.catalogue, policiesOf(h.config), registry.Settings{}, h.now)
	sweeping, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	go rival.sweep(sweeping, outbox.Waker())
	return r.Tell, func() { stop(); rival.stop(t, client)() }
}}

// rival is what both others work with.
type rival struct {
	hub         *hub
	ring        *seal.Keyring
	settlements *store.Settlements
	mu          sync.Mutex
	targets     map[int64]store.Lane
}

func newRival(t *testing.T, h *hub) *rival {
	t.Helper()
	ring, err := openRing(h.config.Sealing)
	if err != nil {
		t.Fatal(err)
	}
	return &rival{hub: h, ring: ring, settlements: h.store.NewSettlements(), targets: map[int64]store.Lane{}}
}

func (r *rival) run(t *testing.T, workers *river.Workers, queue string, n int) *river.Client[pgx.Tx] {
	t.Helper()
	client, err := river.NewClient(riverpgxv5.New(r.hub.pool), &river.Config{
		Queues: map[string]river.QueueConfig{queue: {MaxWorkers: n, FetchCooldown: 5 * time.Millisecond}}, Workers: workers,
		FetchCooldown: 5 * time.Millisecond, Logger: quietRiver(r.hub.log), CompletedJobRetentionPeriod: 15 * time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Start(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	return client
}

func (r *rival) stop(t *testing.T, client *river.Client[pgx.Tx]) func() {
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := client.Stop(ctx); err != nil {
			t.Error(err)
		}
	}
}

// sweep repairs lost wake-ups.
func (r *rival) sweep(ctx context.Context, w *jobs.Waker) {
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if due, err := r.hub.store.EndpointsWithDue(ctx, time.Now()); err == nil {
				w.Wake(due...)
			}
		}
	}
}

// target reads an endpoint once: both rivals keep it, as our lanes do.
func (r *rival) target(ctx context.Context, id int64) (store.Lane, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l, ok := r.targets[id]; ok {
		return l, nil
	}
	l, err := r.hub.store.Target(ctx, id, time.Now())
	r.targets[id] = l
	return l, err
}

// post opens, signs and sends one delivery.
func (r *rival) post(ctx context.Context, l store.Lane, d store.Due, sealed []byte) (store.Settlement, error) {
	var err error
	if d.Body, err = r.ring.Open(sealed, []byte("event/"+d.EventID.String())); err != nil {
		return store.Settlement{}, err
	}
	at := time.Now()
	header, err := r.hub.signDelivery(l, d, at)
	if err != nil {
		return store.Settlement{}, err
	}
	result := r.hub.workers.Webhooks.Deliverer.Deliver(ctx, connectors.Delivery{URL: l.URL, Header: header, Body: d.Body})
	if result.Status != 204 {
		return store.Settlement{}, fmt.Errorf("the receiver answered %d %s", result.Status, result.Error)
	}
	return store.Settlement{Due: d, At: at, Result: result, Outcome: store.Delivered, NextAt: at}, nil
}

type deliverOneArgs struct {
	EndpointID int64     `json:"endpoint_id"`
	EventID    uuid.UUID `json:"event_id"`
}

func (deliverOneArgs) Kind() string { return "deliver_one" }

func (deliverOneArgs) InsertOpts() river.InsertOpts { return river.InsertOpts{Queue: "deliveries"} }

type deliverOne struct {
	river.WorkerDefaults[deliverOneArgs]
	rival *rival
}

func (w *deliverOne) Work(ctx context.Context, job *river.Job[deliverOneArgs]) error {
	l, err := w.rival.target(ctx, job.Args.EndpointID)
	if err != nil {
		return err
	}
	d := store.Due{EndpointID: job.Args.EndpointID, EventID: job.Args.EventID}
	var sealed []byte
	err = w.rival.hub.pool.QueryRow(ctx, `select v.type, d.seq, d.attempts, v.datapass_sealed from delivery d join event v on v.id = d.event_id
		where d.endpoint_id = $1 and d.event_id = $2`, d.EndpointID, d.EventID).Scan(&d.Type, &d.Seq, &d.Attempts, &sealed)
	if err != nil {
		return err
	}
	s, err := w.rival.post(ctx, l, d, sealed)
	if err != nil {
		return err
	}
	return w.rival.hub.store.InTx(ctx, func(tx *store.Tx) error { return tx.Settle(ctx, s) })
}

// oneJobEach queues the jobs in the transaction of the event.
type oneJobEach struct {
	hub    *hub
	client *river.Client[pgx.Tx]
}

func (o oneJobEach) tell(ctx context.Context, h registry.Happening) (uuid.UUID, error) {
	body, err := json.Marshal(h.Data)
	if err != nil {
		return uuid.Nil, err
	}
	e := store.Event{
		ID: store.EventID(time.Now()), Type: h.Type, Definition: h.Definition, Subject: h.Subject, Body: body, DataPass: h.Shown, OccurredAt: time.Now(),
	}
	return e.ID, o.hub.store.InTx(ctx, func(tx *store.Tx) error {
		var endpoints []int64
		if err := tx.PublishEvent(ctx, e, func(ids []int64) { endpoints = ids }); err != nil {
			return err
		}
		if _, err := tx.SQL.Exec(ctx, "select 1"); err != nil { // sends the event
			return err
		}
		inserts := make([]river.InsertManyParams, len(endpoints))
		for i, id := range endpoints {
			inserts[i] = river.InsertManyParams{Args: deliverOneArgs{id, e.ID}}
		}
		_, err := o.client.InsertManyFastTx(ctx, tx.SQL, inserts)
		return err
	})
}

type claimingLane struct {
	river.WorkerDefaults[jobs.DeliverLaneArgs]
	rival *rival
	waker *jobs.Waker
}

const (
	claimAtOnce = 100
	claimFlight = defaultInFlight
)

func (w *claimingLane) Work(ctx context.Context, job *river.Job[jobs.DeliverLaneArgs]) error {
	id, holder, begin := job.Args.EndpointID, uuid.New(), time.Now()
	l, err := w.rival.hub.store.TakeLane(ctx, id, holder, time.Minute, time.Now())
	if err != nil {
		return nil //nolint:nilerr // another process has the lane
	}
	for time.Since(begin) < 15*time.Second {
		n, err := w.batch(ctx, l)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
	}
	if err := w.rival.hub.store.ReleaseLane(ctx, id, holder, time.Time{}); err != nil {
		return err
	}
	if next, waits, err := w.rival.hub.store.NextDue(ctx, id); err != nil || !waits || next.After(time.Now()) {
		return err
	}
	w.waker.Wake(id)
	return nil
}

// batch claims, posts and records: the next claim waits for the slowest post.
func (w *claimingLane) batch(ctx context.Context, l store.Lane) (int, error) {
	rows, err := w.rival.hub.pool.Query(ctx, `
		with claimed as (
			update delivery d set next_at = now() + interval '1 minute'
			from (select endpoint_id, event_id from delivery
			      where endpoint_id = $1 and abandoned_at is null and rank = 0 and next_at <= now()
			      order by next_at limit $2 for update skip locked) c
			where d.endpoint_id = c.endpoint_id and d.event_id = c.event_id
			returning d.event_id, d.seq, d.attempts)
		select c.event_id, c.seq, c.attempts, v.type, v.datapass_sealed from claimed c join event v on v.id = c.event_id`, l.EndpointID, claimAtOnce)
	if err != nil {
		return 0, err
	}
	type claimed struct {
		due    store.Due
		sealed []byte
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (claimed, error) {
		c := claimed{due: store.Due{EndpointID: l.EndpointID}}
		return c, row.Scan(&c.due.EventID, &c.due.Seq, &c.due.Attempts, &c.due.Type, &c.sealed)
	})
	if err != nil {
		return 0, err
	}
	done := make(chan store.Settlement, len(list))
	slots := make(chan struct{}, claimFlight)
	var posting sync.WaitGroup
	for _, c := range list {
		slots <- struct{}{}
		posting.Go(func() {
			defer func() { <-slots }()
			if s, err := w.rival.post(ctx, l, c.due, c.sealed); err == nil {
				done <- s
			}
		})
	}
	posting.Wait()
	close(done)
	var recorded sync.WaitGroup
	var failed error
	for s := range done {
		recorded.Add(1)
		s.Settled = func(err error) {
			if err != nil {
				failed = err
			}
			recorded.Done()
		}
		w.rival.settlements.Add(s)
	}
	recorded.Wait()
	return len(list), failed
}

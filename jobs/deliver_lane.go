package jobs

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// DeliverLaneArgs names an endpoint.
type DeliverLaneArgs struct {
	EndpointID int64 `json:"endpoint_id"`
}

// Kind is the job's name in the queue.
func (DeliverLaneArgs) Kind() string { return "deliver_lane" }

// InsertOpts gives it one try: what it leaves is found by the sweep.
func (DeliverLaneArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: QueueWebhooks, MaxAttempts: 1}
}

// Webhooks is what lanes deliver with.
type Webhooks struct {
	Deliverer connectors.Deliverer
	// Sign gives the headers of one delivery, signatures and the endpoint's own included.
	Sign     func(l store.Lane, d store.Due, at time.Time) (map[string]string, error)
	Policy   registry.DeliveryPolicy
	Timeout  time.Duration // of one delivery
	ClaimFor time.Duration // a lane takes new work for this long, then makes room
	Lease    time.Duration // an endpoint is another's after this: more than a lane can last
	Waker    *Waker

	KeepAttempts time.Duration
	KeepBodies   time.Duration // of events; replay is possible for so long

	due    *store.DueSource
	holder uuid.UUID // this process
	lanes  int       // workers of the queue
}

type deliverLane struct {
	river.WorkerDefaults[DeliverLaneArgs]
	*Workers
}

// Work delivers what is due at the endpoint, as its only deliverer in all
// processes, until nothing is left for a moment or its time is over. While a
// receiver answers nothing the lane goes on without the worker: the job is over
// for the queue, the lease holds.
func (w *deliverLane) Work(ctx context.Context, job *river.Job[DeliverLaneArgs]) error {
	id := job.Args.EndpointID
	l := newLane(w.Workers)
	if !w.Webhooks.Waker.enter(id, l) {
		return nil
	}
	row, err := w.Store.TakeLane(ctx, id, w.Webhooks.holder, w.Webhooks.Lease, w.Now())
	if err != nil {
		w.Webhooks.Waker.leave(id)
		if errors.Is(err, store.ErrLaneBusy) {
			return nil // whoever has it looks again after it gives it back
		}
		return river.JobCancel(err)
	}
	own, cut := context.WithCancel(context.WithoutCancel(ctx))
	l.cut = cut
	detach := context.AfterFunc(ctx, cut)
	aside, ended := l.aside, make(chan error, 1)
	go func() {
		defer cut()
		defer w.Webhooks.Waker.ended(l)
		err := w.serve(own, l, row)
		select {
		case <-aside:
			if err != nil {
				w.Log.Warn().Err(err).Int64("endpoint", id).Msg("a lane ended badly after its job: the sweep looks again")
			}
		default:
			ended <- err
		}
	}()
	select {
	case err := <-ended:
		if err != nil {
			return river.JobCancel(err)
		}
	case <-aside:
		detach()
	}
	return nil
}

// serve runs a lane and gives its endpoint back.
func (w *deliverLane) serve(ctx context.Context, l *lane, row store.Lane) (err error) {
	defer func() {
		if fault := recover(); fault != nil { // one endpoint's fault is not the process's
			w.Webhooks.Waker.leave(row.EndpointID)
			err = fmt.Errorf("panic: %v\n%s", fault, debug.Stack())
		}
	}()
	err = l.run(ctx, row)
	w.Webhooks.Waker.leave(row.EndpointID)
	return errors.Join(err, w.release(ctx, l))
}

// release gives the endpoint back, then looks once more: what was committed
// while it was held woke nobody else.
func (w *deliverLane) release(ctx context.Context, l *lane) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), queueTimeout)
	defer cancel()
	id := l.row.EndpointID
	if err := w.Store.ReleaseLane(ctx, id, w.Webhooks.holder, l.paced); err != nil {
		go w.releaseLater(id) // the database is away: nobody could deliver before the lease ends
		return err
	}
	next, waits, err := w.Store.NextDue(ctx, id)
	if err != nil || !waits {
		return err
	}
	if next.Before(l.resumeAt) {
		next = l.resumeAt
	}
	if next.After(w.Now()) {
		w.Webhooks.Waker.WakeAt(id, next)
	} else {
		w.Webhooks.Waker.Wake(id)
	}
	return nil
}

// releaseLater tries for as long as it makes a difference.
func (w *deliverLane) releaseLater(id int64) {
	for end := time.Now().Add(w.Webhooks.Lease); time.Now().Before(end); {
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(context.Background(), queueTimeout)
		err := w.Webhooks.Waker.releaseIdle(ctx, id, w.Webhooks.holder)
		cancel()
		if err == nil {
			return
		}
	}
}

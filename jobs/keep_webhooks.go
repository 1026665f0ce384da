package jobs

import (
	"context"
	"errors"
	"time"

	"github.com/riverqueue/river"

	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// KeepWebhooksArgs: it needs none.
type KeepWebhooksArgs struct{}

// Kind is the job's name in the queue.
func (KeepWebhooksArgs) Kind() string { return "keep_webhooks" }

// InsertOpts puts it into its queue.
func (KeepWebhooksArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: QueueUpkeep, MaxAttempts: 1}
}

type keepWebhooks struct {
	river.WorkerDefaults[KeepWebhooksArgs]
	*Workers
}

const (
	keepWebhooksEvery = 10 * time.Minute

	purgeBatch   = 1000
	purgeBatches = 20 // at most in one job
	removeBatch  = 10_000
)

// Work makes the days to come for tries, drops the old ones, and forgets bodies,
// secrets and deleted endpoints' rows whose time is over.
func (w *keepWebhooks) Work(ctx context.Context, _ *river.Job[KeepWebhooksArgs]) error {
	return errors.Join(w.keepAttempts(ctx), w.purge(ctx), w.forgetSecrets(ctx), w.removeEndpoints(ctx))
}

// forgetSecrets forgets the old secrets of rotations that are over.
func (w *keepWebhooks) forgetSecrets(ctx context.Context) error {
	over, err := w.Store.EndpointsWithOldSecrets(ctx, w.Now(), purgeBatch)
	if err != nil {
		return err
	}
	var errs []error
	for _, id := range over {
		err := w.Registry.Record(ctx, &registry.ForgetOldSecrets{ID: id})
		if !errors.Is(err, store.ErrNotFound) { // deleted meanwhile
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// removeEndpoints removes what was owed to deleted endpoints.
func (w *keepWebhooks) removeEndpoints(ctx context.Context) error {
	removed, err := w.Store.RemovedEndpoints(ctx, purgeBatch)
	if err != nil {
		return err
	}
	batches := 0
	for _, id := range removed {
		for done := false; !done; batches++ {
			if batches == purgeBatches {
				return nil // the next job goes on
			}
			if done, err = w.Store.RemoveEndpointRows(ctx, id, removeBatch); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *keepWebhooks) keepAttempts(ctx context.Context) error {
	now := w.Now()
	dropped, err := w.Store.KeepAttempts(ctx, now, now.Add(-w.Webhooks.KeepAttempts))
	if dropped > 0 {
		w.Log.Info().Int("days", dropped).Msg("old tries of webhooks were dropped")
	}
	return err
}

func (w *keepWebhooks) purge(ctx context.Context) error {
	before := w.Now().Add(-w.Webhooks.KeepBodies)
	for range purgeBatches {
		n, err := w.Store.PurgeEvents(ctx, before, purgeBatch)
		if err != nil {
			return err
		}
		if n < purgeBatch {
			break
		}
	}
	return errors.Join(w.Store.ForgetAbandoned(ctx, before), w.Store.ForgetReplays(ctx, w.Now().Add(-w.Webhooks.KeepAttempts)))
}

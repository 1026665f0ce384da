package jobs

import (
	"context"
	"errors"
	"time"

	"github.com/riverqueue/river"
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
)

// Work makes the days to come for tries, drops the old ones, and forgets bodies
// whose time is over.
func (w *keepWebhooks) Work(ctx context.Context, _ *river.Job[KeepWebhooksArgs]) error {
	return errors.Join(w.keepAttempts(ctx), w.purge(ctx))
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
	return w.Store.ForgetAbandoned(ctx, before)
}

package jobs

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"

	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// EndKeysArgs: the look at keys whose time is over needs none.
type EndKeysArgs struct{}

// Kind is the job's name in the queue.
func (EndKeysArgs) Kind() string { return "end_keys" }

// InsertOpts puts it into its queue.
func (EndKeysArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: QueueUpkeep, MaxAttempts: 1}
}

// TendKeysArgs: the look at keys that come near their end, or of age, needs none.
type TendKeysArgs struct{}

// Kind is the job's name in the queue.
func (TendKeysArgs) Kind() string { return "tend_keys" }

// InsertOpts puts it into its queue.
func (TendKeysArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: QueueUpkeep, MaxAttempts: 1}
}

const (
	// endKeysEvery: the hub refuses a key from its end on; a manager without an
	// end of its own follows so much later.
	endKeysEvery  = 30 * time.Second
	tendKeysEvery = 30 * time.Minute
	keysBatch     = 500
)

type endKeys struct {
	river.WorkerDefaults[EndKeysArgs]
	*Workers
}

// Work ends the keys whose time is over.
func (w *endKeys) Work(ctx context.Context, _ *river.Job[EndKeysArgs]) error {
	return w.watchEnds(ctx, w.Now())
}

type tendKeys struct {
	river.WorkerDefaults[TendKeysArgs]
	*Workers
}

// Work sends the notices that are due, and replaces the keys of an age that
// their definition's settings bound.
func (w *tendKeys) Work(ctx context.Context, _ *river.Job[TendKeysArgs]) error {
	return errors.Join(w.watchEnds(ctx, w.Now().Add(w.Registry.NoticeHorizon())), w.rotateDue(ctx))
}

// Timeout lets it go through all keys: what a run leaves is taken up by the next.
func (w *tendKeys) Timeout(*river.Job[TendKeysArgs]) time.Duration { return 10 * time.Minute }

// watchEnds looks at every live key that ends before a moment. One that fails
// keeps no other from its notice.
func (w *Workers) watchEnds(ctx context.Context, before time.Time) error {
	var errs []error
	for after := (store.NearEnd{}); ; {
		page, err := w.Store.CredentialsNearEnd(ctx, before, after, keysBatch)
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		for _, c := range page {
			errs = append(errs, w.Registry.Record(ctx, &registry.WatchEnd{CredentialID: c.ID}))
			after = c
		}
		if len(page) < keysBatch || ctx.Err() != nil {
			return errors.Join(errs...)
		}
	}
}

func (w *Workers) rotateDue(ctx context.Context) error {
	due, err := w.Registry.DueRotations(ctx, keysBatch)
	if err != nil {
		return err
	}
	var errs []error
	for _, id := range due {
		errs = append(errs, w.rotateOnSchedule(ctx, id))
	}
	return errors.Join(errs...)
}

// rotateOnSchedule leaves alone a key that cannot be replaced without an
// interruption which the settings do not accept, and says so.
func (w *Workers) rotateOnSchedule(ctx context.Context, id uuid.UUID) error {
	err := w.Registry.Record(ctx, &registry.RotateOnSchedule{CredentialID: id})
	var none *registry.NoOverlapError
	if errors.As(err, &none) {
		w.Log.Warn().Str("credential", none.Ref).Str("manager", none.Manager).Msg("not replaced by age: its manager has no overlap, and rotation_cutover is not set")
		return nil
	}
	return ignoreStateError(err)
}

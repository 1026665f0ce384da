package jobs

import (
	"context"
	"errors"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// ReplayWebhooksArgs names an endpoint that a replay is not over at.
type ReplayWebhooksArgs struct {
	EndpointID int64 `json:"endpoint_id"`
}

// Kind is the job's name in the queue.
func (ReplayWebhooksArgs) Kind() string { return "replay_webhooks" }

// InsertOpts has one wait for each endpoint: the sweep queues the next step.
func (ReplayWebhooksArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: QueueUpkeep, MaxAttempts: 1, UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable, rivertype.JobStateRunning, rivertype.JobStateScheduled,
	}}}
}

type replayWebhooks struct {
	river.WorkerDefaults[ReplayWebhooksArgs]
	*Workers
}

// Work makes one step of the endpoint's replays.
func (w *replayWebhooks) Work(ctx context.Context, job *river.Job[ReplayWebhooksArgs]) error {
	err := w.Registry.Record(ctx, &registry.CarryReplaysOn{EndpointID: job.Args.EndpointID})
	if errors.Is(err, store.ErrNotFound) {
		return nil // deleted meanwhile
	}
	if err != nil {
		return river.JobCancel(err)
	}
	return nil
}

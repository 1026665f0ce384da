package jobs

import (
	"context"
	"errors"

	"github.com/riverqueue/river"

	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// ApplyInboundArgs names a request whose stored events wait to be applied.
type ApplyInboundArgs struct {
	Source     string `json:"source"`
	ExternalID int64  `json:"external_id"`
}

// Kind is the job's name in the queue.
func (ApplyInboundArgs) Kind() string { return "apply_inbound" }

// InsertOpts puts it into its queue.
func (ApplyInboundArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: QueueRegistry, MaxAttempts: maxAttempts}
}

type applyInbound struct {
	river.WorkerDefaults[ApplyInboundArgs]
	*Workers
}

// Work applies everything that waits for the request, in the source's order. A
// second job for the same request finds nothing left. An event that the
// database will never take is parked: it holds up no other.
func (w *applyInbound) Work(ctx context.Context, job *river.Job[ApplyInboundArgs]) error {
	apply := &registry.ApplyInbound{Key: store.InboundKey{Source: job.Args.Source, ExternalID: job.Args.ExternalID}}
	for {
		err := w.Registry.Record(ctx, apply)
		var fault *registry.InboundError
		if !errors.As(err, &fault) || !store.BadData(err) {
			return err
		}
		w.Log.Error().Err(err).Msg("an incoming event is refused by the database and parked")
		park := &registry.ParkInbound{InboundID: fault.ID, Reason: "refusé par la base de données, voir le journal"}
		if err := w.Registry.Record(ctx, park); err != nil {
			return err
		}
	}
}

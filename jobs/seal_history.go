package jobs

import (
	"context"
	"encoding/hex"
	"time"

	"github.com/riverqueue/river"

	"github.com/passerelle-hub/passerelle/internal/registry"
)

// SealHistoryArgs: sealing needs none.
type SealHistoryArgs struct{}

// Kind is the job's name in the queue.
func (SealHistoryArgs) Kind() string { return "seal_history" }

// InsertOpts puts it into its queue.
func (SealHistoryArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: QueueUpkeep, MaxAttempts: 1}
}

// sealEvery bounds how long a line is not covered by the global chain.
const sealEvery = time.Minute

// sealLimit is for the first seal after a restore: it covers every request.
const sealLimit = 15 * time.Minute

type sealHistory struct {
	river.WorkerDefaults[SealHistoryArgs]
	*Workers
}

// Timeout gives a seal more time than other jobs have.
func (w *sealHistory) Timeout(*river.Job[SealHistoryArgs]) time.Duration { return sealLimit }

// Work seals what was written since the last seal, and logs the seal's hash: a
// witness outside the database.
func (w *sealHistory) Work(ctx context.Context, _ *river.Job[SealHistoryArgs]) error {
	cmd := &registry.SealHistory{}
	if err := w.Registry.Record(ctx, cmd); err != nil || !cmd.Made {
		return err
	}
	w.Log.Info().Int64("seal", cmd.Seal.N).Int64("lines", cmd.Seal.Lines).Str("hash", hex.EncodeToString(cmd.Seal.Hash)).Msg("history sealed")
	return nil
}

package jobs

import (
	"context"

	"github.com/google/uuid"
	"github.com/riverqueue/river"

	"github.com/passerelle-hub/passerelle/connectors"
)

// ReadRequestArgs names a request of a source whose webhooks cannot be all of
// the truth.
type ReadRequestArgs struct {
	Source     string `json:"source"`
	ExternalID int64  `json:"external_id"`
}

// Kind is the job's name in the queue.
func (ReadRequestArgs) Kind() string { return "read_request" }

// InsertOpts puts it into its source's queue, once for as long as it waits.
func (a ReadRequestArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: PartnerQueue(a.Source), MaxAttempts: 10, UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: alive}}
}

type readRequest struct {
	river.WorkerDefaults[ReadRequestArgs]
	*Workers
}

// Work asks the source's API what is true of the request. Without an API there
// is nobody to ask: the event stays parked, or late, for people to see.
func (w *readRequest) Work(ctx context.Context, job *river.Job[ReadRequestArgs]) error {
	source, ok := w.Sources[job.Args.Source]
	if !ok || source.API == nil {
		return nil
	}
	ctx = connectors.WithCorrelation(ctx, uuid.NewString())
	if err := w.readOne(ctx, job.Args.Source, source, job.Args.ExternalID, &tally{}); err != nil {
		return w.settleSource(ctx, job.Args.Source, err)
	}
	return nil
}

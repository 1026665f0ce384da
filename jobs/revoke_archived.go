package jobs

import (
	"context"

	"github.com/google/uuid"
	"github.com/riverqueue/river"

	"github.com/passerelle-hub/passerelle/internal/registry"
)

// RevokeArchivedArgs names a credential of a request that was archived.
type RevokeArchivedArgs struct {
	CredentialID uuid.UUID `json:"credential_id"`
}

// Kind is the job's name in the queue.
func (RevokeArchivedArgs) Kind() string { return "revoke_archived" }

// InsertOpts puts it into its queue.
func (RevokeArchivedArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: QueueRegistry, MaxAttempts: maxAttempts}
}

type revokeArchived struct {
	river.WorkerDefaults[RevokeArchivedArgs]
	*Workers
}

// Work ends the credential when its notice is over, unless the request has come
// back to life meanwhile.
func (w *revokeArchived) Work(ctx context.Context, job *river.Job[RevokeArchivedArgs]) error {
	return w.Registry.Record(ctx, &registry.RevokeArchived{CredentialID: job.Args.CredentialID})
}

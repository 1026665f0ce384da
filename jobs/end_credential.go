package jobs

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"

	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// EndCredentialArgs names a credential that ends by itself: the old one of a
// rotation, at the end of its overlap, or one that expired.
type EndCredentialArgs struct {
	CredentialID uuid.UUID `json:"credential_id"`
}

// Kind is the job's name in the queue.
func (EndCredentialArgs) Kind() string { return "end_credential" }

// InsertOpts gives its tries; its queue is its manager's.
func (EndCredentialArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{MaxAttempts: maxAttempts}
}

type endCredential struct {
	river.WorkerDefaults[EndCredentialArgs]
	*Workers
}

// successorWait is the wait for the new key where a manager keeps one alone.
const successorWait = 2 * time.Second

// Work ends the credential at its manager and proves it, whatever the manager
// said that it would do by itself.
func (w *endCredential) Work(ctx context.Context, job *river.Job[EndCredentialArgs]) error {
	return w.withCredential(ctx, job.Args.CredentialID, func(ctx context.Context, c store.Credential, m Manager) error {
		c, err := w.Store.Credential(ctx, c.ID)
		if err != nil {
			return err
		}
		if c.State == string(habilitation.CredentialRotating) {
			if c.OldUntil == nil {
				return nil
			}
			if wait := c.OldUntil.Sub(w.Now()); wait > 0 { // another clock runs the queue
				return river.JobSnooze(wait)
			}
			pending, err := w.successorPending(ctx, c)
			if err != nil {
				return err
			}
			if pending && !m.Capabilities().MultiSecret {
				return river.JobSnooze(successorWait) // ending the one key there would end the holder's place with it
			}
		}
		return w.end(ctx, c, m)
	})
}

func (w *Workers) successorPending(ctx context.Context, old store.Credential) (bool, error) {
	rotation, err := w.Store.RotationOf(ctx, old.ID)
	if err != nil {
		return false, err
	}
	successor, err := w.Store.Credential(ctx, rotation.CredentialID)
	if err != nil || !habilitation.CredentialState(successor.State).Provisioning() {
		return false, err
	}
	issued, err := w.stepDone(ctx, successor.ID, StepIssue)
	return !issued, err
}

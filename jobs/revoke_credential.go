package jobs

import (
	"context"

	"github.com/google/uuid"
	"github.com/riverqueue/river"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// RevokeCredentialArgs names a credential to end.
type RevokeCredentialArgs struct {
	CredentialID uuid.UUID `json:"credential_id"`
}

// Kind is the job's name in the queue.
func (RevokeCredentialArgs) Kind() string { return "revoke_credential" }

// InsertOpts gives its tries; its queue is its manager's.
func (RevokeCredentialArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{MaxAttempts: maxAttempts}
}

type revokeCredential struct {
	river.WorkerDefaults[RevokeCredentialArgs]
	*Workers
}

// The steps of a revocation.
const (
	StepRevoke        = habilitation.StepRevoke
	StepVerifyRevoked = habilitation.StepVerifyRevoked
)

// Work ends the credential at its manager, then proves it by an independent
// read. Only a proven death closes it.
func (w *revokeCredential) Work(ctx context.Context, job *river.Job[RevokeCredentialArgs]) error {
	return w.withCredential(ctx, job.Args.CredentialID, w.end)
}

// end is the sequence of every end: a revocation, that of an overlap, an expiry.
func (w *Workers) end(ctx context.Context, c store.Credential, m Manager) error {
	c, err := w.Store.Credential(ctx, c.ID) // as it is under the lease
	if err != nil || !registry.Ending(c, w.Now()) {
		return err
	}
	handle, err := c.ManagerHandle()
	if err != nil {
		return err
	}
	revoked, err := w.stepDone(ctx, c.ID, StepRevoke)
	if err != nil {
		return err
	}
	if !revoked {
		if err := w.step(ctx, c.ID, StepRevoke, func() error { return m.Revoke(ctx, handle) }, &registry.RevokedAtManager{CredentialID: c.ID}); err != nil {
			return err
		}
	}
	return w.step(ctx, c.ID, StepVerifyRevoked, func() error {
		live, err := m.VerifyRevoked(ctx, handle)
		if err == nil && live != connectors.Dead {
			err = &connectors.Error{
				Class: connectors.Pending, Partner: c.Manager, Op: StepVerifyRevoked, After: readAgainAfter(w.Now().Sub(c.UpdatedAt)),
				Detail: "the manager still shows the key as " + string(live),
			}
		}
		return err
	}, &registry.RevocationVerified{CredentialID: c.ID})
}

func (w *Workers) stepDone(ctx context.Context, id uuid.UUID, name string) (bool, error) {
	steps, err := w.Store.Steps(ctx, id)
	for _, s := range steps {
		if s.Name == name {
			return s.State == "done", err
		}
	}
	return false, err
}

// step records its start, does it, and records done or how it failed.
func (w *Workers) step(ctx context.Context, id uuid.UUID, name string, do func() error, done registry.Command) error {
	if err := w.Registry.Record(ctx, &registry.StartStep{CredentialID: id, Step: name, Revoking: true}); err != nil {
		return err
	}
	if err := do(); err != nil {
		if rerr := w.recordOutcome(ctx, &registry.FailStep{CredentialID: id, Step: name, Err: err}); rerr != nil {
			return rerr
		}
		return err
	}
	return w.Registry.Record(ctx, done)
}

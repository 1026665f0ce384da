package jobs

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/internal/registry"
)

// copies destroys the copies of keys that nobody came for in time, encrypts those
// whose recipient gave a key of its own, and forgets old changes of feeds.
func (w *sweep) copies(ctx context.Context) error {
	due, err := w.Store.DueCopies(ctx, w.Now(), sweepBatch)
	if err != nil {
		return err
	}
	enclose, err := w.Registry.ToEnclose(ctx, sweepBatch)
	if err != nil {
		return err
	}
	errs := w.each(ctx, due, func(id uuid.UUID) registry.Command { return &registry.DestroyCopy{CredentialID: id} })
	errs = append(errs, w.each(ctx, enclose, func(id uuid.UUID) registry.Command { return &registry.EncloseKey{CredentialID: id} })...)
	if w.KeepChanges > 0 {
		errs = append(errs, w.Store.ForgetChanges(ctx, w.Now().Add(-w.KeepChanges), sweepBatch))
	}
	return errors.Join(errs...)
}

// each records a command for every key: one that fails keeps no other back.
func (w *sweep) each(ctx context.Context, ids []uuid.UUID, command func(uuid.UUID) registry.Command) []error {
	var errs []error
	for _, id := range ids {
		errs = append(errs, ignoreStateError(w.Registry.Record(ctx, command(id))))
	}
	return errs
}

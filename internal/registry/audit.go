package registry

import (
	"context"

	"github.com/passerelle-hub/passerelle/internal/store"
)

// SealHistory seals what was written to histories since the last seal.
type SealHistory struct {
	Seal store.Seal // result
	Made bool       // result; false: nothing was written
}

func (cmd *SealHistory) apply(ctx context.Context, u *unit) error {
	var err error
	cmd.Seal, cmd.Made, err = u.tx.SealHistory(ctx, u.at)
	return err
}

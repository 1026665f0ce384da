package registry

import (
	"context"

	"github.com/passerelle-hub/passerelle/internal/store"
)

// AddEndpoint has an endpoint told of events.
type AddEndpoint struct {
	Endpoint store.NewEndpoint

	ID int64 // result
}

func (cmd *AddEndpoint) apply(ctx context.Context, u *unit) error {
	cmd.Endpoint.Now, cmd.Endpoint.CreatedBy = u.at, u.actor
	var err error
	cmd.ID, err = u.tx.InsertEndpoint(ctx, cmd.Endpoint)
	return err
}

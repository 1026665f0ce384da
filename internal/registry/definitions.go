package registry

import "context"

// PutDefinitions puts a set of definitions in force, for all processes. At a
// start, a set that was in force and has been replaced since is left where it
// is: an old process that starts again must not undo what a newer one brought.
type PutDefinitions struct {
	Hash   string
	Bundle []byte
	Start  bool // a process starts with it; else a person changed a folder, or says so

	InForce    string // result: the hash in force before
	Put        bool   // result
	Superseded bool   // result: with Start, left where it is
}

func (cmd *PutDefinitions) apply(ctx context.Context, u *unit) error {
	if err := u.tx.LockKey(ctx, "definitions in force"); err != nil {
		return err
	}
	var err error
	if cmd.InForce, err = u.tx.DefinitionsHashInForce(ctx); err != nil || cmd.InForce == cmd.Hash {
		return err
	}
	if cmd.Start {
		if cmd.Superseded, err = u.tx.DefinitionsKnown(ctx, cmd.Hash); err != nil || cmd.Superseded {
			return err
		}
	}
	cmd.Put = true
	return u.tx.PutDefinitions(ctx, cmd.Hash, cmd.Bundle)
}

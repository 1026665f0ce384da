package registry

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/passerelle-hub/passerelle/internal/store"
)

// KeepAnswers is how long the answer to a key is given again.
const KeepAnswers = 24 * time.Hour

// ErrKeyInUse: a request with the same key is under way. ErrKeyReused: the key
// was used for something else.
var (
	ErrKeyInUse  = errors.New("registry: a request with this key is under way")
	ErrKeyReused = errors.New("registry: this key was used for another request")
)

// Once runs a command at most once per key, in one transaction with the answer
// that is kept: a repeat gets that answer and has no effect. A command that
// failed leaves no answer: nothing was done, the key is free.
type Once struct {
	Key     store.AnswerKey
	Hash    []byte // of what is asked
	Command Command
	Render  func() (store.Answer, error) // the answer, once Command has run

	Answer   store.Answer // result
	Repeated bool         // result: the answer is an earlier one's
}

func (cmd *Once) apply(ctx context.Context, u *unit) error {
	locked, err := u.tx.TryLockKey(ctx, "idempotency/"+cmd.Key.Caller+"/"+cmd.Key.Key)
	if err != nil {
		return err
	}
	if !locked {
		return ErrKeyInUse
	}
	known, err := u.tx.Answer(ctx, cmd.Key)
	switch {
	case errors.Is(err, store.ErrNotFound):
	case err != nil:
		return err
	case u.at.Sub(known.At) >= KeepAnswers:
	case !bytes.Equal(known.Hash, cmd.Hash):
		return ErrKeyReused
	default:
		cmd.Answer, cmd.Repeated = known, true
		return nil
	}
	if err := cmd.Command.apply(ctx, u); err != nil {
		return err
	}
	if cmd.Answer, err = cmd.Render(); err != nil {
		return err
	}
	cmd.Answer.Hash, cmd.Answer.At = cmd.Hash, u.at
	return u.tx.SaveAnswer(ctx, cmd.Key, cmd.Answer)
}

package registry

import (
	"bytes"
	"context"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// SendJourney takes what a citizen sends: her folder is accepted and her
// transaction keeps only what she may still see, in one transaction. Sent again it
// changes nothing. A *StateError says that her transaction or her commune is not
// in a state that allows it.
type SendJourney struct {
	Folder  AcceptFolder
	KeyHash []byte // of the key in her cookie
	Notice  string // version of the words that she was shown
	Kept    []byte // sealed with it
}

func (cmd *SendJourney) apply(ctx context.Context, u *unit) error {
	j, err := u.tx.LockJourney(ctx, cmd.Folder.ID)
	switch {
	case err != nil:
		return err
	case j.State == store.JourneySent && bytes.Equal(j.KeyHash, cmd.KeyHash):
		return nil
	case j.State != store.JourneyReview, !bytes.Equal(j.KeyHash, cmd.KeyHash), !j.ExpiresAt.After(u.at),
		j.Reference == nil || *j.Reference != cmd.Folder.Reference, j.ReceiverID != cmd.Folder.Receiver:
		return &StateError{"journey", j.State}
	}
	if err := cmd.Folder.apply(ctx, u); err != nil {
		return err
	}
	j.State, j.Body = store.JourneySent, cmd.Kept
	if err := u.tx.SaveJourney(ctx, j); err != nil {
		return err
	}
	return u.traceSent(ctx, cmd)
}

// traceSent writes down that a folder was sent, to whom and by which right.
func (u *unit) traceSent(ctx context.Context, cmd *SendJourney) error {
	r, err := u.tx.LockReceiver(ctx, cmd.Folder.Receiver) // AcceptFolder holds it already
	if err != nil {
		return err
	}
	trace := store.Trace{
		ReceiverID: r.ID, At: u.at, JourneyID: cmd.Folder.ID, Event: store.TraceSent, Outcome: "ok", Siret: r.Siret, Cog: r.Cog,
		Reference: cmd.Folder.Reference, Notice: cmd.Notice, Correlation: u.correlation,
	}
	rights, err := u.tx.RightsOf(ctx, r.ID)
	if err != nil {
		return err
	}
	if len(rights) > 0 {
		trace.HabilitationID = rights[0].HabilitationID
	}
	_, err = u.tx.AppendTrace(ctx, trace)
	return err
}

// AddEditorLinkKey gives a software editor a key with which it signs links to the
// pages of its communes (qf-form.md, M-3).
type AddEditorLinkKey struct {
	Editor string // id in the catalogue
	Until  time.Time
	ID     string
	Key    connectors.Secret
}

func (cmd *AddEditorLinkKey) apply(ctx context.Context, u *unit) error {
	return u.tx.AddEditorLinkKey(ctx, store.EditorLinkKey{ID: cmd.ID, EditorID: cmd.Editor, CreatedAt: u.at, ExpiresAt: cmd.Until}, cmd.Key)
}

// EndEditorLinkKey ends one: what it signed is not believed any more.
type EndEditorLinkKey struct{ ID string }

func (cmd *EndEditorLinkKey) apply(ctx context.Context, u *unit) error {
	ended, err := u.tx.EndEditorLinkKey(ctx, cmd.ID, u.at)
	if err == nil && !ended {
		err = &StateError{"key", "unknown or ended"}
	}
	return err
}

// SetReturnAddress registers, or forgets, an address to which an editor's
// citizens may be sent back without a signature.
type SetReturnAddress struct {
	Editor, Address string
	Forget          bool
}

func (cmd *SetReturnAddress) apply(ctx context.Context, u *unit) error {
	if !cmd.Forget {
		return u.tx.PutEditorReturnAddress(ctx, cmd.Editor, cmd.Address, u.at)
	}
	known, err := u.tx.DeleteEditorReturnAddress(ctx, cmd.Editor, cmd.Address)
	if err == nil && !known {
		err = &StateError{"address", "not registered"}
	}
	return err
}

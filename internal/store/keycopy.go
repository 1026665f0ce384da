package store

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/passerelle-hub/passerelle/internal/store/db"
)

// How the copy of a key ended.
const (
	CopyShown        = "shown"        // to its holder
	CopyAcknowledged = "acknowledged" // by an editor
	CopyDeadline     = "deadline"     // nobody came for it
	CopyOver         = "over"         // the key was revoked, replaced or expired
	CopyProvider     = "provider"     // there never was one: its provider hands the key over itself
)

// KeyCopy is what waits to be handed over of a key.
type KeyCopy struct {
	Until    time.Time
	EndedAt  time.Time // zero: it is there
	EndedHow string
	EndedBy  string // the editor that acknowledged
}

// Waits reports whether the copy can still be handed over.
func (k KeyCopy) Waits(now time.Time) bool { return k.EndedAt.IsZero() && k.Until.After(now) }

// InsertKeyCopy gives the copy of a key its deadline.
func (t *Tx) InsertKeyCopy(ctx context.Context, credentialID uuid.UUID, until time.Time) error {
	return t.q.InsertKeyCopy(ctx, credentialID, until)
}

// KeyCopy gives where a key's copy stands.
func (t *Tx) KeyCopy(ctx context.Context, credentialID uuid.UUID) (KeyCopy, error) {
	return keyCopy(ctx, t.q, credentialID)
}

// KeyCopy is Tx.KeyCopy outside of a transaction.
func (s *Store) KeyCopy(ctx context.Context, credentialID uuid.UUID) (KeyCopy, error) {
	return keyCopy(ctx, s.q, credentialID)
}

func keyCopy(ctx context.Context, q *db.Queries, credentialID uuid.UUID) (KeyCopy, error) {
	row, err := q.KeyCopy(ctx, credentialID)
	return KeyCopy{row.Until, val(row.EndedAt), row.EndedHow, row.EndedBy}, notFound(err, "copy of key", credentialID)
}

// EndKeyCopy destroys what is kept of a key: its sealed value in c, which the
// caller saves, and every envelope. The first end is the one that is kept; false
// when there was nothing left.
func (t *Tx) EndKeyCopy(ctx context.Context, c *Credential, how, by string, at time.Time) (bool, error) {
	c.SecretSealed = nil
	if _, err := t.q.DeleteEnvelopes(ctx, c.ID); err != nil {
		return false, err
	}
	n, err := t.q.EndKeyCopy(ctx, &at, how, by, c.ID)
	return n > 0, err
}

// DueCopies gives the keys whose copy is past its deadline, or left by a key
// that is over.
func (s *Store) DueCopies(ctx context.Context, now time.Time, limit int) ([]uuid.UUID, error) {
	return s.q.DueCopies(ctx, now, int32(limit))
}

// EditorRecipient and HolderRecipient name who a key can be encrypted for.
func EditorRecipient(editor string) string { return "editor/" + editor }

// HolderRecipient names the holder of a request.
func HolderRecipient(requestID int64) string { return fmt.Sprintf("request/%d", requestID) }

// RecipientKey is a public key that a recipient gave.
type RecipientKey struct {
	Recipient string
	KID       string
	JWK       json.RawMessage
	SetAt     time.Time
	SetBy     string
}

// PutRecipientKey keeps it in the place of the one before.
func (t *Tx) PutRecipientKey(ctx context.Context, k RecipientKey) error {
	return t.q.PutRecipientKey(ctx, db.PutRecipientKeyParams{Recipient: k.Recipient, Kid: k.KID, Jwk: k.JWK, SetAt: k.SetAt, SetBy: k.SetBy})
}

// DeleteRecipientKey forgets it; false when there was none.
func (t *Tx) DeleteRecipientKey(ctx context.Context, recipient string) (bool, error) {
	n, err := t.q.DeleteRecipientKey(ctx, recipient)
	return n > 0, err
}

// RecipientKey gives a recipient's key; ErrNotFound when it gave none.
func (t *Tx) RecipientKey(ctx context.Context, recipient string) (RecipientKey, error) {
	return recipientKey(ctx, t.q, recipient)
}

// RecipientKey is Tx.RecipientKey outside of a transaction.
func (s *Store) RecipientKey(ctx context.Context, recipient string) (RecipientKey, error) {
	return recipientKey(ctx, s.q, recipient)
}

func recipientKey(ctx context.Context, q *db.Queries, recipient string) (RecipientKey, error) {
	row, err := q.RecipientKey(ctx, recipient)
	return RecipientKey{row.Recipient, row.Kid, row.Jwk, row.SetAt, row.SetBy}, notFound(err, "key of recipient", recipient)
}

// CheckSumLen is the length of a CheckSum, in bytes.
const CheckSumLen = 8

// CheckSum is the start of SHA-256 of a key: who acknowledges a key shows with
// it which one he holds (editors.md, 7).
func CheckSum(key string) []byte {
	sum := sha256.Sum256([]byte(key))
	return sum[:CheckSumLen]
}

// Envelope is a key encrypted for one recipient.
type Envelope struct {
	Recipient string
	KID       string
	JWE       string
	CheckSum  []byte
}

// InsertEnvelope keeps one.
func (t *Tx) InsertEnvelope(ctx context.Context, credentialID uuid.UUID, e Envelope, at time.Time) error {
	return t.q.InsertEnvelope(ctx, db.InsertEnvelopeParams{
		CredentialID: credentialID, Recipient: e.Recipient, Kid: e.KID, Jwe: e.JWE, CheckSum: e.CheckSum, CreatedAt: at,
	})
}

// Envelope gives a key as it was encrypted for a recipient; false when it was not.
func (t *Tx) Envelope(ctx context.Context, credentialID uuid.UUID, recipient string) (Envelope, bool, error) {
	row, err := t.q.Envelope(ctx, credentialID, recipient)
	if errors.Is(err, pgx.ErrNoRows) {
		return Envelope{}, false, nil
	}
	return Envelope{row.Recipient, row.Kid, row.Jwe, row.CheckSum}, err == nil, err
}

// EnvelopeRecipients says for whom a key is encrypted: kid by recipient.
func (s *Store) EnvelopeRecipients(ctx context.Context, credentialID uuid.UUID) (map[string]string, error) {
	rows, err := s.q.EnvelopesOf(ctx, credentialID)
	found := map[string]string{}
	for _, r := range rows {
		found[r.Recipient] = r.Kid
	}
	return found, err
}

// DefinitionsToEnclose gives those with a copy that a recipient's key may be for.
func (s *Store) DefinitionsToEnclose(ctx context.Context) ([]string, error) {
	return s.q.DefinitionsToEnclose(ctx)
}

// CopiesToEnclose gives the keys that are sealed by the hub although a recipient
// gave a key of its own.
func (s *Store) CopiesToEnclose(ctx context.Context, f Fetchable, limit int) ([]uuid.UUID, error) {
	return s.q.CopiesToEnclose(ctx, noNil(f.AnyLink), noNil(f.ByConsent), int32(limit))
}

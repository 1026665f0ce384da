package store

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/internal/store/db"
)

// Credential is Store.Credential inside the transaction.
func (t *Tx) Credential(ctx context.Context, id uuid.UUID) (Credential, error) {
	row, err := t.q.CredentialByID(ctx, id)
	return Credential{row}, notFound(err, "credential", id)
}

// Rotation is one credential made to replace another.
type Rotation struct {
	CredentialID uuid.UUID // the new one
	OldID        uuid.UUID
	Grace        time.Duration // asked for; what the manager gave is the old one's old_until
	Reason       string
	AskedAt      time.Time
	AskedBy      string
	Overlap      string // connectors.Overlap; "" until the manager answered
}

// InsertRotation records what was asked.
func (t *Tx) InsertRotation(ctx context.Context, r Rotation) error {
	return t.q.InsertRotation(ctx, db.InsertRotationParams{
		CredentialID: r.CredentialID, OldID: r.OldID, GraceMs: r.Grace.Milliseconds(), Reason: r.Reason, AskedAt: r.AskedAt, AskedBy: r.AskedBy,
	})
}

// SettleRotation records what the manager made of it.
func (t *Tx) SettleRotation(ctx context.Context, credentialID uuid.UUID, overlap string, at time.Time) error {
	return t.q.SettleRotation(ctx, overlap, &at, credentialID)
}

// RotationInto gives the rotation that made a credential.
func (s *Store) RotationInto(ctx context.Context, credentialID uuid.UUID) (Rotation, error) {
	row, err := s.q.RotationInto(ctx, credentialID)
	return rotation(row), notFound(err, "rotation into", credentialID)
}

// RotationInto is Store.RotationInto inside a transaction.
func (t *Tx) RotationInto(ctx context.Context, credentialID uuid.UUID) (Rotation, error) {
	row, err := t.q.RotationInto(ctx, credentialID)
	return rotation(row), notFound(err, "rotation into", credentialID)
}

// RotationOf gives the last rotation that replaces a credential.
func (s *Store) RotationOf(ctx context.Context, oldID uuid.UUID) (Rotation, error) {
	row, err := s.q.RotationOf(ctx, oldID)
	return rotation(row), notFound(err, "rotation of", oldID)
}

func rotation(row db.Rotation) Rotation {
	return Rotation{
		CredentialID: row.CredentialID, OldID: row.OldID, Grace: time.Duration(row.GraceMs) * time.Millisecond, Reason: row.Reason,
		AskedAt: row.AskedAt, AskedBy: row.AskedBy, Overlap: row.Overlap,
	}
}

// NearEnd is a live credential and its end.
type NearEnd struct {
	ID  uuid.UUID
	End time.Time
}

// CredentialsNearEnd walks the live credentials that end before a moment,
// soonest first: a page behind after, whose zero value is the start.
func (s *Store) CredentialsNearEnd(ctx context.Context, before time.Time, after NearEnd, limit int) ([]NearEnd, error) {
	rows, err := s.q.CredentialsNearEnd(ctx, &before, after.End, after.ID, int32(limit))
	list := make([]NearEnd, len(rows))
	for i, row := range rows {
		list[i] = NearEnd{row.ID, val(row.ExpiresAt)}
	}
	return list, err
}

// InsertNotice records that a notice of an end is sent; false when it was before.
func (t *Tx) InsertNotice(ctx context.Context, credentialID uuid.UUID, days int, expiresAt, at time.Time) (bool, error) {
	n, err := t.q.InsertNotice(ctx, credentialID, int32(days), expiresAt, at)
	return n > 0, err
}

// Notices gives the notices, in days before the end, that were sent of an end.
func (t *Tx) Notices(ctx context.Context, credentialID uuid.UUID, expiresAt time.Time) ([]int, error) {
	rows, err := t.q.NoticesOf(ctx, credentialID, expiresAt)
	list := make([]int, len(rows))
	for i, days := range rows {
		list[i] = int(days)
	}
	return list, err
}

// CredentialsOfHabilitation gives those that a habilitation of a request holds, oldest first.
func (s *Store) CredentialsOfHabilitation(ctx context.Context, requestID, habilitationID int64) ([]Credential, error) {
	rows, err := s.q.CredentialsOfHabilitation(ctx, requestID, &habilitationID)
	return credentials(rows), err
}

// DefinitionsWithLiveKeys gives the definitions of live credentials.
func (s *Store) DefinitionsWithLiveKeys(ctx context.Context) ([]string, error) {
	return s.q.DefinitionsWithLiveKeys(ctx)
}

// Issued is a live credential and when it was issued.
type Issued struct {
	ID uuid.UUID
	At time.Time
}

// CredentialsIssuedBefore walks the live credentials of a definition that were
// issued before a moment, oldest first: a page behind after, whose zero value is
// the start.
func (s *Store) CredentialsIssuedBefore(ctx context.Context, definition string, before time.Time, after Issued, limit int) ([]Issued, error) {
	rows, err := s.q.CredentialsIssuedBefore(ctx, db.CredentialsIssuedBeforeParams{
		Definition: definition, Before: &before, AfterIssued: after.At, AfterID: after.ID, MaxRows: int32(limit),
	})
	list := make([]Issued, len(rows))
	for i, row := range rows {
		list[i] = Issued{row.ID, val(row.IssuedAt)}
	}
	return list, err
}

// CredentialsSignedBy walks the live credentials whose token a signing key
// signed: a page behind after.
func (s *Store) CredentialsSignedBy(ctx context.Context, kid string, after uuid.UUID, limit int) ([]uuid.UUID, error) {
	return s.q.CredentialsByKey(ctx, kid, after, int32(limit))
}

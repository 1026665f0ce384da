package store

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/passerelle-hub/passerelle/internal/store/db"
)

// LiveCredential is what introspection says of a credential.
type LiveCredential struct {
	ID         uuid.UUID
	RequestID  int64
	Definition string
	State      string
	Scopes     []string
	ExpiresAt  time.Time // zero: none
	IssuedAt   time.Time
	OldUntil   time.Time
	AllowedIPs []string
	SIRET      string
}

// LiveCredential reads it, in one query.
func (s *Store) LiveCredential(ctx context.Context, id uuid.UUID) (LiveCredential, error) {
	row, err := s.q.LiveCredential(ctx, id)
	return LiveCredential{
		ID: row.ID, RequestID: row.RequestID, Definition: row.Definition, State: row.State, Scopes: row.Scopes,
		ExpiresAt: val(row.ExpiresAt), IssuedAt: val(row.IssuedAt), OldUntil: val(row.OldUntil), AllowedIPs: row.AllowedIps, SIRET: row.Siret,
	}, notFound(err, "credential", id)
}

// CredentialIDByValue finds the credential that has this clear value, by its fingerprint.
func (s *Store) CredentialIDByValue(ctx context.Context, value string) (uuid.UUID, error) {
	id, err := s.q.CredentialIDByFingerprint(ctx, s.ring.Fingerprint([]byte(value)))
	return id, notFound(err, "credential", "of this value")
}

// KeepChanges is how long what changed of credentials is told. Whoever did not
// ask for half as long must believe nothing that he kept.
const KeepChanges = 5 * time.Minute

// Changes is what a look at the feed of changed credentials found.
type Changes struct {
	Next        int64       // to go on from
	Credentials []uuid.UUID // may name some again
	Keys        string      // ids of the keys that sign access tokens, one space between two
}

// ChangeFeed reads which credentials changed, over a connection of its own beside
// the pool's: it must not wait behind those whom it keeps from asking, and the
// pool's end must not wait for it.
type ChangeFeed struct {
	store   *Store
	purpose string
	conn    *pgx.Conn
}

// NewChangeFeed gives a feed that also tells the signing keys of a purpose.
func (s *Store) NewChangeFeed(purpose string) *ChangeFeed {
	return &ChangeFeed{store: s, purpose: purpose}
}

// Since gives what changed since a place that an earlier look gave, 0 for all
// that is kept. All committed before the call is in the answer. One caller at a time.
func (f *ChangeFeed) Since(ctx context.Context, next int64) (Changes, error) {
	if f.conn == nil {
		conn, err := f.store.pool.Acquire(ctx)
		if err != nil {
			return Changes{}, err
		}
		f.conn = conn.Hijack()
	}
	row, err := db.New(f.conn).CredentialChanges(ctx, next, f.purpose)
	if err != nil {
		f.Close() // the next look has a new one
		return Changes{}, err
	}
	return Changes{Next: row.Next, Credentials: row.Changed, Keys: row.Keys}, nil
}

// closeLimit bounds how long a connection is said goodbye to.
const closeLimit = time.Second

// Close ends the connection.
func (f *ChangeFeed) Close() {
	if f.conn != nil {
		ctx, cancel := context.WithTimeout(context.Background(), closeLimit)
		defer cancel()
		_ = f.conn.Close(ctx) // it may be broken already
		f.conn = nil
	}
}

// PurgeChanges forgets what was told longer ago than KeepChanges. No
// transaction of the hub is as long: none commits what is already too old.
func (s *Store) PurgeChanges(ctx context.Context, now time.Time) error {
	_, err := s.q.PurgeCredentialChanges(ctx, now.Add(-KeepChanges))
	return err
}

package store

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/store/db"
)

// Journey is a citizen's transaction; its states are those of the table journey.
type Journey = db.Journey

// The states of a journey.
const (
	JourneyEntered  = "entered"  // to be admitted to FranceConnect
	JourneyAway     = "away"     // at FranceConnect
	JourneyFetching = "fetching" // back: her quotient is being asked
	JourneyReview   = "review"   // she sees what would be sent
	JourneySent     = "sent"     // a folder of the same id exists
	JourneyFailed   = "failed"   // she may start again
)

// SealUnder seals a text under a key that its caller holds and the store does
// not keep: AES-256-GCM, nonce first. The key is 32 bytes.
func SealUnder(key, clear, ad []byte) ([]byte, error) { return sealOnce(key, clear, ad) }

// OpenUnder opens what SealUnder sealed.
func OpenUnder(key, sealed, ad []byte) ([]byte, error) { return openOnce(key, sealed, ad) }

// InsertJourney keeps a new one.
func (s *Store) InsertJourney(ctx context.Context, j Journey) error {
	return s.q.InsertJourney(ctx, db.InsertJourneyParams{
		ID: j.ID, ReceiverID: j.ReceiverID, KeyHash: j.KeyHash, Body: j.Body, Now: j.CreatedAt, ExpiresAt: j.ExpiresAt,
	})
}

// Journey reads one.
func (s *Store) Journey(ctx context.Context, id uuid.UUID) (Journey, error) {
	j, err := s.q.JourneyByID(ctx, id)
	return j, notFound(err, "journey", id)
}

// JourneyByState gives the id of the one that left with a state of this hash.
func (s *Store) JourneyByState(ctx context.Context, hash []byte) (uuid.UUID, error) {
	id, err := s.q.JourneyIDByState(ctx, hash)
	return id, notFound(err, "journey", "of a state")
}

// ChangeJourney changes one under its lock; what fn refuses stays as it was.
func (s *Store) ChangeJourney(ctx context.Context, id uuid.UUID, fn func(*Journey) error) error {
	return s.InTx(ctx, func(tx *Tx) error {
		j, err := tx.LockJourney(ctx, id)
		if err != nil {
			return err
		}
		if err := fn(&j); err != nil {
			return err
		}
		return tx.SaveJourney(ctx, j)
	})
}

// LockJourney reads one that is about to change.
func (t *Tx) LockJourney(ctx context.Context, id uuid.UUID) (Journey, error) {
	j, err := t.q.LockJourney(ctx, id)
	return j, notFound(err, "journey", id)
}

// SaveJourney writes what may change.
func (t *Tx) SaveJourney(ctx context.Context, j Journey) error {
	return t.q.SaveJourney(ctx, db.SaveJourneyParams{
		ID: j.ID, State: j.State, Failure: j.Failure, KeyHash: j.KeyHash, StateHash: j.StateHash, LeftAt: j.LeftAt, FetchBy: j.FetchBy,
		Reference: j.Reference, Body: j.Body, ExpiresAt: j.ExpiresAt, Line: j.Line, QueuedAt: j.QueuedAt, SeenAt: j.SeenAt,
	})
}

// ShowFetch moves the time after which a fetch is taken for dead.
func (s *Store) ShowFetch(ctx context.Context, id uuid.UUID, by time.Time) error {
	return s.q.ShowFetch(ctx, &by, id)
}

// TouchJourney keeps one that is in use, unless that was done after stale.
func (s *Store) TouchJourney(ctx context.Context, id uuid.UUID, expires, stale time.Time) error {
	return s.q.TouchJourney(ctx, expires, id, stale)
}

// DeleteJourney forgets one.
func (s *Store) DeleteJourney(ctx context.Context, id uuid.UUID) error {
	return s.q.DeleteJourney(ctx, id)
}

// PurgeJourneys forgets those that expired before; it gives how many.
func (s *Store) PurgeJourneys(ctx context.Context, before time.Time, limit int) (int64, error) {
	return s.q.PurgeJourneys(ctx, before, int32(limit))
}

// JourneysAhead counts who is before a journey in its line and was seen since.
func (s *Store) JourneysAhead(ctx context.Context, id uuid.UUID, line string, seenSince time.Time) (int, error) {
	n, err := s.q.JourneysAhead(ctx, &line, &seenSince, id)
	return int(n), err
}

// JourneyCounts gives how many journeys are in each state.
func (s *Store) JourneyCounts(ctx context.Context) (map[string]int64, error) {
	rows, err := s.q.JourneyCounts(ctx)
	counts := map[string]int64{}
	for _, r := range rows {
		counts[r.State] = r.N
	}
	return counts, err
}

// Bucket is a limit shared by all replicas: so many tokens a second, up to Burst.
type Bucket struct {
	Name  string
	Rate  float64
	Burst int
}

var errNoToken = errors.New("store: no token left")

// TakeAll takes one token of each bucket, or none of any: then empty is the
// first without one, and wait how long it will be so. Name them always in the
// same order.
func (s *Store) TakeAll(ctx context.Context, buckets ...Bucket) (empty string, wait time.Duration, err error) {
	err = s.InTx(ctx, func(tx *Tx) error {
		for _, b := range buckets {
			if wait, err = (gate{tx.q}).Take(ctx, b.Name, b.Rate, b.Burst); err != nil {
				return err
			}
			if wait > 0 {
				empty = b.Name
				return errNoToken
			}
		}
		return nil
	})
	if errors.Is(err, errNoToken) {
		err = nil
	}
	return empty, wait, err
}

// EditorLinkKey is a key with which an editor signs links.
type EditorLinkKey = db.EditorLinkKey

func linkKeyAD(id string) []byte { return []byte("editor_link_key/" + id) }

// AddEditorLinkKey keeps one, sealed.
func (t *Tx) AddEditorLinkKey(ctx context.Context, k EditorLinkKey, key connectors.Secret) error {
	sealed, err := t.ring.Seal([]byte(key.Reveal()), linkKeyAD(k.ID))
	if err != nil {
		return err
	}
	return t.q.InsertEditorLinkKey(ctx, db.InsertEditorLinkKeyParams{ID: k.ID, EditorID: k.EditorID, KeySealed: sealed, CreatedAt: k.CreatedAt, ExpiresAt: k.ExpiresAt})
}

// EditorLinkKey reads one and opens it.
func (s *Store) EditorLinkKey(ctx context.Context, id string) (EditorLinkKey, []byte, error) {
	k, err := s.q.EditorLinkKey(ctx, id)
	if err != nil {
		return k, nil, notFound(err, "key for links", id)
	}
	key, err := s.ring.Open(k.KeySealed, linkKeyAD(id))
	return k, key, err
}

// EditorLinkKeys lists all, by editor.
func (s *Store) EditorLinkKeys(ctx context.Context) ([]EditorLinkKey, error) {
	return s.q.EditorLinkKeys(ctx)
}

// EndEditorLinkKey ends one; false when there was none alive.
func (t *Tx) EndEditorLinkKey(ctx context.Context, id string, now time.Time) (bool, error) {
	n, err := t.q.EndEditorLinkKey(ctx, &now, id)
	return n > 0, err
}

// EditorReturnAddress is where an editor has citizens sent back.
type EditorReturnAddress = db.EditorReturnAddress

// PutEditorReturnAddress registers one.
func (t *Tx) PutEditorReturnAddress(ctx context.Context, editor, address string, now time.Time) error {
	return t.q.PutEditorReturnAddress(ctx, editor, address, now)
}

// DeleteEditorReturnAddress forgets one; false when there was none.
func (t *Tx) DeleteEditorReturnAddress(ctx context.Context, editor, address string) (bool, error) {
	n, err := t.q.DeleteEditorReturnAddress(ctx, editor, address)
	return n > 0, err
}

// EditorReturnAddresses lists those of an editor; "" for all.
func (s *Store) EditorReturnAddresses(ctx context.Context, editor string) ([]EditorReturnAddress, error) {
	return s.q.EditorReturnAddresses(ctx, editor)
}

// JourneysWaiting counts who is in a line and was seen since.
func (s *Store) JourneysWaiting(ctx context.Context, line string, seenSince time.Time) (int, error) {
	n, err := s.q.JourneysWaiting(ctx, &line, &seenSince)
	return int(n), err
}

package store

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/passerelle-hub/passerelle/internal/store/db"
)

// Origins of the link between a request and an editor (editors.md, 6).
const (
	LinkDeclared  = "declared"  // the form that was approved names the editor
	LinkConsented = "consented" // the commune said so
	LinkImported  = "imported"  // the people who run the hub did
)

// BindDeclared makes an editor the declared one of a request, "" for none, and
// gives which links ended and whether one was made. The caller holds the
// request's lock.
func (t *Tx) BindDeclared(ctx context.Context, requestID int64, editor string, at time.Time) (ended []string, made bool, err error) {
	if now, known := t.declared[requestID]; known && (len(now) == 0 && editor == "" || len(now) == 1 && now[0] == editor) {
		return nil, false, nil
	}
	delete(t.declared, requestID)
	if ended, err = t.q.EndDeclared(ctx, &at, requestID, editor); err != nil || editor == "" {
		return ended, false, err
	}
	n, err := t.q.MakeDeclared(ctx, requestID, editor, at)
	return ended, n > 0, err
}

// LinkOrigins says by what a request is bound to an editor now; none: it is not.
func (t *Tx) LinkOrigins(ctx context.Context, requestID int64, editor string) ([]string, error) {
	return t.q.LinkOrigins(ctx, requestID, editor)
}

// EditorsOf gives the editors that a request is bound to now.
func (t *Tx) EditorsOf(ctx context.Context, requestID int64) ([]string, error) {
	return t.q.EditorsOfRequest(ctx, requestID)
}

// Change is one entry of an editor's feed: ids only.
type Change struct {
	Seq        int64 // from 1, per editor
	Type       string
	ObjectType string // "request", "key" or "link"
	ObjectID   string
	RequestID  int64
	Version    int64
	At         time.Time
}

// TellEditors adds a change to the feed of every editor that the request is
// bound to. The caller holds the request's lock: its changes stay in order.
func (t *Tx) TellEditors(ctx context.Context, c Change) error {
	return t.later().InsertEditorChanges(ctx, db.InsertEditorChangesParams{
		Type: c.Type, ObjectType: c.ObjectType, ObjectID: c.ObjectID, Version: c.Version, OccurredAt: c.At, RequestID: c.RequestID,
	})
}

// TellEditor adds a change to the feed of one editor.
func (t *Tx) TellEditor(ctx context.Context, editor string, c Change) error {
	return t.later().InsertEditorChange(ctx, db.InsertEditorChangeParams{
		Editor: editor, Type: c.Type, ObjectType: c.ObjectType, ObjectID: c.ObjectID, RequestID: c.RequestID, Version: c.Version, OccurredAt: c.At,
	})
}

// FeedForgottenError: changes behind the place that was asked for are gone.
type FeedForgottenError struct{ Forgotten int64 }

func (e *FeedForgottenError) Error() string { return "store: the feed begins later" }

// numberBatch bounds how many changes one reader numbers.
const numberBatch = 5000

// FeedStart is where a feed is read from without a place: from what is kept.
const FeedStart int64 = -1

// Changes gives an editor's changes behind a number, oldest first, at most
// limit, and that number, which is the real one for FeedStart; a
// *FeedForgottenError when some behind it were purged.
//
// It first numbers what was committed since: a change gets its number after its
// commit, so that one of a slow transaction is behind every number given before
// and no reader can have passed it.
func (s *Store) Changes(ctx context.Context, editor string, after int64, limit int) ([]Change, int64, error) {
	if err := s.numberChanges(ctx, editor); err != nil {
		return nil, 0, err
	}
	feed, err := s.q.EditorFeed(ctx, editor)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, max(after, 0), nil
	case err != nil:
		return nil, 0, err
	case after == FeedStart:
		after = feed.Forgotten
	case after < feed.Forgotten:
		return nil, 0, &FeedForgottenError{feed.Forgotten}
	}
	rows, err := s.q.EditorChanges(ctx, editor, after, int32(limit))
	list := make([]Change, len(rows))
	for i, r := range rows {
		list[i] = Change{
			Seq: val(r.Seq), Type: r.Type, ObjectType: r.ObjectType, ObjectID: r.ObjectID, RequestID: r.RequestID, Version: r.Version, At: r.OccurredAt,
		}
	}
	return list, after, err
}

func (s *Store) numberChanges(ctx context.Context, editor string) error {
	if waiting, err := s.q.UnnumberedChanges(ctx, editor, 1); err != nil || len(waiting) == 0 {
		return err
	}
	return s.InTx(ctx, func(t *Tx) error {
		if err := t.q.EnsureEditorFeed(ctx, editor); err != nil {
			return err
		}
		feed, err := t.q.LockEditorFeed(ctx, editor)
		if err != nil {
			return err
		}
		// Read under the lock: another reader may have numbered them meanwhile.
		ids, err := t.q.UnnumberedChanges(ctx, editor, numberBatch)
		if err != nil || len(ids) == 0 {
			return err
		}
		seqs := make([]int64, len(ids))
		for i := range seqs {
			seqs[i] = feed.Last + int64(i) + 1
		}
		if err := t.q.NumberChanges(ctx, ids, seqs); err != nil {
			return err
		}
		return t.q.SetEditorFeedLast(ctx, seqs[len(seqs)-1], editor)
	})
}

// ForgetChanges deletes changes before a time, at most limit of each editor.
func (s *Store) ForgetChanges(ctx context.Context, before time.Time, limit int) error {
	editors, err := s.q.FeedsToForget(ctx, before)
	if err != nil {
		return err
	}
	for _, editor := range editors {
		if err := s.numberChanges(ctx, editor); err != nil { // those that nobody ever read
			return err
		}
		err := s.InTx(ctx, func(t *Tx) error {
			if _, err := t.q.LockEditorFeed(ctx, editor); err != nil {
				return err
			}
			last, err := t.q.ForgetChanges(ctx, editor, before, int32(limit))
			if err != nil || last == 0 {
				return err
			}
			return t.q.SetEditorFeedForgotten(ctx, last, editor)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Fetch is one retrieval of a key by an editor.
type Fetch struct {
	ID             uuid.UUID
	CredentialID   uuid.UUID
	Editor         string
	ClientID       uuid.UUID
	At             time.Time
	AcknowledgedAt time.Time
}

func fetchOf(row db.KeyFetch) Fetch {
	return Fetch{row.ID, row.CredentialID, row.Editor, row.ClientID, row.At, val(row.AcknowledgedAt)}
}

// InsertFetch records one.
func (t *Tx) InsertFetch(ctx context.Context, f Fetch) error {
	return t.q.InsertFetch(ctx, db.InsertFetchParams{ID: f.ID, CredentialID: f.CredentialID, Editor: f.Editor, ClientID: f.ClientID, At: f.At})
}

// CountFetches says how often an editor fetched a key.
func (t *Tx) CountFetches(ctx context.Context, credentialID uuid.UUID, editor string) (int64, error) {
	return t.q.CountFetches(ctx, credentialID, editor)
}

// Fetch finds a fetch of a key by an editor.
func (t *Tx) Fetch(ctx context.Context, id, credentialID uuid.UUID, editor string) (Fetch, error) {
	row, err := t.q.Fetch(ctx, id, credentialID, editor)
	return fetchOf(row), notFound(err, "fetch", id)
}

// AcknowledgeFetch marks it.
func (t *Tx) AcknowledgeFetch(ctx context.Context, id uuid.UUID, at time.Time) error {
	return t.q.AcknowledgeFetch(ctx, &at, id)
}

// EditorFilter says which part of an editor's view is listed; "" and zero: all.
type EditorFilter struct {
	Editor       string
	SIRET        string
	Definition   string
	State        string    // of habilitations
	HandOver     string    // of keys
	UpdatedSince time.Time // of habilitations
	Limit        int
}

// EditorClient is an organisation whose requests an editor is bound to.
type EditorClient = db.EditorClientsRow

// EditorClients lists them by SIRET, behind one.
func (s *Store) EditorClients(ctx context.Context, f EditorFilter, after string) ([]EditorClient, error) {
	return s.q.EditorClients(ctx, db.EditorClientsParams{
		Editor: f.Editor, After: &after, Siret: f.SIRET, Definition: f.Definition, MaxRows: int32(f.Limit),
	})
}

// EditorHabilitation is a habilitation as an editor sees it.
type EditorHabilitation = db.EditorHabilitationsRow

// farPast is before everything: Postgres's -infinity has no Go value.
var farPast = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)

// EditorHabilitations lists them by id, behind one.
func (s *Store) EditorHabilitations(ctx context.Context, f EditorFilter, after int64) ([]EditorHabilitation, error) {
	return s.editorHabilitations(ctx, f, after, 0)
}

// EditorHabilitation gives one that an editor sees, else ErrNotFound.
func (s *Store) EditorHabilitation(ctx context.Context, editor string, id int64) (EditorHabilitation, error) {
	rows, err := s.editorHabilitations(ctx, EditorFilter{Editor: editor, Limit: 1}, 0, id)
	return only(rows, err, "habilitation", id)
}

func (s *Store) editorHabilitations(ctx context.Context, f EditorFilter, after, id int64) ([]EditorHabilitation, error) {
	since := f.UpdatedSince
	if since.IsZero() {
		since = farPast
	}
	return s.q.EditorHabilitations(ctx, db.EditorHabilitationsParams{
		Editor: f.Editor, After: after, ID: id, Siret: f.SIRET, Definition: f.Definition, State: f.State, UpdatedSince: since, MaxRows: int32(f.Limit),
	})
}

// Fetchable says which links let an editor fetch a definition's keys.
type Fetchable struct {
	AnyLink   []string // definitions: a link of any origin
	ByConsent []string // definitions: a consented one only
}

// Allows reports whether links of these origins are enough.
func (f Fetchable) Allows(definition string, origins []string) bool {
	return len(origins) > 0 && (slices.Contains(f.AnyLink, definition) ||
		slices.Contains(f.ByConsent, definition) && slices.Contains(origins, LinkConsented))
}

// Where the hand-over of a key stands for an editor.
const (
	HandOverPending    = "pending"     // being made
	HandOverReady      = "ready"       // can be fetched
	HandOverNotAllowed = "not_allowed" // the link is not enough
	HandOverHolderOnly = "holder_only" // encrypted for its holder
	HandOverDelivered  = "delivered"   // acknowledged by an editor or shown to its holder
	HandOverDestroyed  = "destroyed"   // its copy is gone: a rotation gives another key
	HandOverProvider   = "provider"    // its provider hands it over itself: the hub never had it
	HandOverOver       = "over"        // the key is
)

// HandOvers lists them.
func HandOvers() []string {
	return []string{
		HandOverPending, HandOverReady, HandOverNotAllowed, HandOverHolderOnly, HandOverDelivered, HandOverDestroyed, HandOverProvider, HandOverOver,
	}
}

// EditorKey is a key as an editor sees it, without its value.
type EditorKey = db.EditorKeysRow

// EditorKeys lists them by id, behind one.
func (s *Store) EditorKeys(ctx context.Context, f EditorFilter, fetchable Fetchable, after uuid.UUID, now time.Time) ([]EditorKey, error) {
	return s.editorKeys(ctx, f, fetchable, after, uuid.Nil, now)
}

// EditorKey gives one that an editor sees, else ErrNotFound.
func (s *Store) EditorKey(ctx context.Context, editor string, fetchable Fetchable, id uuid.UUID, now time.Time) (EditorKey, error) {
	rows, err := s.editorKeys(ctx, EditorFilter{Editor: editor, Limit: 1}, fetchable, uuid.Nil, id, now)
	return only(rows, err, "key", id)
}

func (s *Store) editorKeys(ctx context.Context, f EditorFilter, fetchable Fetchable, after, id uuid.UUID, now time.Time) ([]EditorKey, error) {
	return s.q.EditorKeys(ctx, db.EditorKeysParams{
		Now: &now, AnyLink: noNil(fetchable.AnyLink), ByConsent: noNil(fetchable.ByConsent), Editor: f.Editor, After: after, ID: id,
		Siret: f.SIRET, Definition: f.Definition, HandOver: f.HandOver, MaxRows: int32(f.Limit),
	})
}

func only[T any](rows []T, err error, what string, id any) (T, error) {
	var none T
	if err == nil && len(rows) == 0 {
		err = pgx.ErrNoRows
	}
	if err != nil {
		return none, notFound(err, what, id)
	}
	return rows[0], nil
}

// EditorFetch is a fetch as the people of its request see it.
type EditorFetch = db.FetchesOfRow

// Fetches gives the fetches of a key, oldest first.
func (s *Store) Fetches(ctx context.Context, credentialID uuid.UUID) ([]EditorFetch, error) {
	return s.q.FetchesOf(ctx, credentialID)
}

// LockEditorClients makes the machines of an editor one at a time, and gives how
// many are live.
func (t *Tx) LockEditorClients(ctx context.Context, editor string) (int64, error) {
	if err := t.q.LockEditorClients(ctx, editor); err != nil {
		return 0, err
	}
	return t.q.CountEditorClients(ctx, editor)
}

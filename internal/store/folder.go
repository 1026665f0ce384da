package store

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/store/db"
)

// Receiver is an organization that may receive folders; its states are those of
// the table receiver.
type Receiver = db.Receiver

// The states of a receiver, in the order in which it goes through them.
const (
	ReceiverApproved  = "approved"  // its habilitation is granted
	ReceiverInactive  = "inactive"  // HubEE holds a subscription that nobody has activated
	ReceiverActive    = "active"    // folders reach it
	ReceiverDelegated = "delegated" // active, and an editor acts for it
	ReceiverSuspended = "suspended" // nothing is sent
)

// Receives reports whether folders reach it.
func Receives(r Receiver) bool { return r.State == ReceiverActive || r.State == ReceiverDelegated }

// ReceiverRef is its key at HubEE.
func ReceiverRef(r Receiver) connectors.OrganizationRef {
	return connectors.OrganizationRef{Type: "SI", SIRET: r.Siret, Branch: r.Cog}
}

// ReceiverRight is what gives a receiver its right: a request's habilitation.
type ReceiverRight = db.ReceiverRight

// Folder is a family's folder, without anything personal.
type Folder = db.Folder

// The states of a folder.
const (
	FolderAccepted  = "accepted"  // here, sealed: it will be sent
	FolderCreated   = "created"   // HubEE has its metadata
	FolderCompleted = "completed" // HubEE has all of it
	FolderSettled   = "settled"   // HubEE has acknowledged every file: nothing personal is left here
	FolderClosed    = "closed"    // answered by its receiver and closed
	FolderLost      = "lost"      // given up at its deadline; people were told
)

// FolderContent is what is personal of a folder: it leaves the database opened
// only to be sent.
type FolderContent struct {
	FirstNames string       `json:"first_names"`
	LastName   string       `json:"last_name"`
	Files      []FolderFile `json:"files"`
}

// FolderFile is one attachment.
type FolderFile struct {
	Name    string `json:"name"`
	Type    string `json:"type"`
	MIME    string `json:"mime"`
	Content []byte `json:"content"`
}

// Format prints nothing of it.
func (FolderContent) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[folder]")) }

func folderAD(id uuid.UUID, part string) []byte { return []byte("folder/" + id.String() + "/" + part) }

// NewFolder is a folder to keep.
type NewFolder struct {
	ID          uuid.UUID
	Receiver    int64
	Reference   string
	ExternalID  string
	Content     FolderContent
	Correlation string
	Now         time.Time
}

// AcceptFolder keeps a folder with its content, sealed under a key of its own;
// false when the id is known already. A reference that is taken is ErrTaken.
func (t *Tx) AcceptFolder(ctx context.Context, f NewFolder) (bool, error) {
	n, err := t.q.InsertFolder(ctx, db.InsertFolderParams{
		ID: f.ID, ReceiverID: f.Receiver, Reference: f.Reference, ExternalID: f.ExternalID, Now: f.Now, Correlation: f.Correlation,
	})
	if err != nil || n == 0 {
		return false, err
	}
	clear, err := json.Marshal(f.Content)
	if err != nil {
		return false, err
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	body, err := sealOnce(key, clear, folderAD(f.ID, "content"))
	if err != nil {
		return false, err
	}
	sealed, err := t.ring.Seal(key, folderAD(f.ID, "key"))
	if err != nil {
		return false, err
	}
	return true, t.q.InsertFolderContent(ctx, f.ID, sealed, body)
}

// sealOnce seals one text under a key that seals nothing else: AES-256-GCM, nonce first.
func sealOnce(key, clear, ad []byte) ([]byte, error) {
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, aead.NonceSize(), aead.NonceSize()+len(clear)+aead.Overhead())
	_, _ = rand.Read(nonce)
	return aead.Seal(nonce, nonce, clear, ad), nil
}

func openOnce(key, sealed, ad []byte) ([]byte, error) {
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	if len(sealed) < aead.NonceSize() {
		return nil, errors.New("store: sealed content is too short")
	}
	return aead.Open(nil, sealed[:aead.NonceSize()], sealed[aead.NonceSize():], ad)
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// FolderContent opens a folder's content; ErrNotFound once it is destroyed.
func (s *Store) FolderContent(ctx context.Context, id uuid.UUID) (FolderContent, error) {
	var content FolderContent
	row, err := s.q.FolderContent(ctx, id)
	if err != nil {
		return content, notFound(err, "content of folder", id)
	}
	key, err := s.ring.Open(row.KeySealed, folderAD(id, "key"))
	if err != nil {
		return content, err
	}
	clear, err := openOnce(key, row.Body, folderAD(id, "content"))
	if err != nil {
		return content, fmt.Errorf("open folder %s: %w", id, err)
	}
	return content, json.Unmarshal(clear, &content)
}

// DestroyFolderContent destroys key and content; false when they were gone.
func (t *Tx) DestroyFolderContent(ctx context.Context, id uuid.UUID) (bool, error) {
	n, err := t.q.DestroyFolderContent(ctx, id)
	return n > 0, err
}

// Folder reads one.
func (s *Store) Folder(ctx context.Context, id uuid.UUID) (Folder, error) {
	f, err := s.q.FolderByID(ctx, id)
	return f, notFound(err, "folder", id)
}

// FolderByReference reads the one that was told to a citizen.
func (s *Store) FolderByReference(ctx context.Context, reference string) (Folder, error) {
	f, err := s.q.FolderByReference(ctx, reference)
	return f, notFound(err, "folder", reference)
}

// FolderByCase reads the one whose case HubEE names so.
func (s *Store) FolderByCase(ctx context.Context, caseID string) (Folder, error) {
	f, err := s.q.FolderByCase(ctx, caseID)
	return f, notFound(err, "folder of case", caseID)
}

// LockFolder reads one that is about to change.
func (t *Tx) LockFolder(ctx context.Context, id uuid.UUID) (Folder, error) {
	f, err := t.q.LockFolder(ctx, id)
	return f, notFound(err, "folder", id)
}

// SaveFolder writes what may change.
func (t *Tx) SaveFolder(ctx context.Context, f Folder, now time.Time) error {
	return t.q.SaveFolder(ctx, db.SaveFolderParams{
		ID: f.ID, State: f.State, ExternalID: f.ExternalID, HubeeID: f.HubeeID, CaseID: f.CaseID, Made: f.Made, CaseStatus: f.CaseStatus,
		Problem: f.Problem, ProblemSince: f.ProblemSince, SentAt: f.SentAt, SettledAt: f.SettledAt, AnsweredAt: f.AnsweredAt, ClosedAt: f.ClosedAt, UpdatedAt: now,
	})
}

// AddFolderEvent records an event of a folder's case; false when it was known.
func (t *Tx) AddFolderEvent(ctx context.Context, id uuid.UUID, event connectors.CaseEvent, now time.Time) (bool, error) {
	n, err := t.q.InsertFolderEvent(ctx, db.InsertFolderEventParams{
		FolderID: id, EventID: event.ID, Status: string(event.NewStatus), OccurredAt: timePtr(event.At), RecordedAt: now,
	})
	return n > 0, err
}

// CountFolderEvents gives how many events a folder's case has had.
func (t *Tx) CountFolderEvents(ctx context.Context, id uuid.UUID) (int, error) {
	n, err := t.q.CountFolderEvents(ctx, id)
	return int(n), err
}

// PutDeadLetter keeps a notice that could not be processed.
func (t *Tx) PutDeadLetter(ctx context.Context, n connectors.FolderNotice, reason string, now time.Time) error {
	return t.q.PutFolderDeadLetter(ctx, db.PutFolderDeadLetterParams{NoticeID: n.ID, CaseID: n.CaseID, EventID: n.EventID, Reason: reason, Now: now})
}

// DeleteDeadLetter forgets one that was processed after all.
func (t *Tx) DeleteDeadLetter(ctx context.Context, noticeID string) error {
	return t.q.DeleteFolderDeadLetter(ctx, noticeID)
}

// DeadLetters gives the notices that people must look at, oldest first.
func (s *Store) DeadLetters(ctx context.Context, limit int) ([]db.FolderDeadLetter, error) {
	return s.q.FolderDeadLetters(ctx, int32(limit))
}

// WaitingFolder is one that is not settled.
type WaitingFolder = db.WaitingFoldersRow

// WaitingFolders gives them, oldest first.
func (s *Store) WaitingFolders(ctx context.Context, limit int) ([]WaitingFolder, error) {
	return s.q.WaitingFolders(ctx, int32(limit))
}

// FolderCounts gives how many wait in each state, and since when.
func (s *Store) FolderCounts(ctx context.Context) ([]db.FolderCountsRow, error) {
	return s.q.FolderCounts(ctx)
}

// ExpiredFolders gives those that are not settled and were accepted before a time.
func (s *Store) ExpiredFolders(ctx context.Context, before time.Time, limit int) ([]uuid.UUID, error) {
	return s.q.ExpiredFolders(ctx, before, int32(limit))
}

// PurgeFolders forgets references and states of folders accepted before a time.
func (s *Store) PurgeFolders(ctx context.Context, before time.Time, limit int) (int64, error) {
	return s.q.PurgeFolders(ctx, before, int32(limit))
}

// UpsertReceiver gives the receiver of that key, made or taken up again.
func (t *Tx) UpsertReceiver(ctx context.Context, process string, ref connectors.OrganizationRef, name, postalCode string, now time.Time) (Receiver, error) {
	return t.q.UpsertReceiver(ctx, db.UpsertReceiverParams{
		Process: process, Siret: ref.SIRET, Cog: ref.Branch, Name: name, PostalCode: postalCode, Now: now,
	})
}

// Receiver reads one.
func (s *Store) Receiver(ctx context.Context, id int64) (Receiver, error) {
	r, err := s.q.ReceiverByID(ctx, id)
	return r, notFound(err, "receiver", id)
}

// LockReceiver reads one that is about to change.
func (t *Tx) LockReceiver(ctx context.Context, id int64) (Receiver, error) {
	r, err := t.q.LockReceiver(ctx, id)
	return r, notFound(err, "receiver", id)
}

// ReceiverByKey reads the one of that key.
func (s *Store) ReceiverByKey(ctx context.Context, process string, ref connectors.OrganizationRef) (Receiver, error) {
	r, err := s.q.ReceiverByKey(ctx, process, ref.SIRET, ref.Branch)
	return r, notFound(err, "receiver", ref)
}

// Receivers gives all of a process.
func (s *Store) Receivers(ctx context.Context, process string) ([]Receiver, error) {
	return s.q.Receivers(ctx, process)
}

// SaveReceiver writes its state.
func (t *Tx) SaveReceiver(ctx context.Context, r Receiver, now time.Time) error {
	return t.q.SaveReceiverState(ctx, db.SaveReceiverStateParams{
		ID: r.ID, State: r.State, SuspendedReason: r.SuspendedReason, SubscriptionID: r.SubscriptionID, Delegate: r.Delegate,
		SubscribedAt: r.SubscribedAt, ActivatedAt: r.ActivatedAt, DelegatedAt: r.DelegatedAt, Now: now,
	})
}

// SaveReceiverWishes writes what the receiver wants.
func (t *Tx) SaveReceiverWishes(ctx context.Context, id int64, signature, identityAlone bool, now time.Time) error {
	return t.q.SaveReceiverWishes(ctx, signature, identityAlone, now, id)
}

// PutRight grants, changes or grants again the right of a request.
func (t *Tx) PutRight(ctx context.Context, r ReceiverRight) error {
	return t.q.PutReceiverRight(ctx, db.PutReceiverRightParams{
		RequestID: r.RequestID, Process: r.Process, HabilitationID: r.HabilitationID, Definition: r.Definition, Scopes: r.Scopes,
		EditorID: r.EditorID, EditorSiret: r.EditorSiret, GrantedAt: r.GrantedAt,
	})
}

// Right reads that of a request.
func (s *Store) Right(ctx context.Context, requestID int64) (ReceiverRight, error) {
	r, err := s.q.ReceiverRight(ctx, requestID)
	return r, notFound(err, "right of request", requestID)
}

// LockRight reads one that is about to change; false when there is none.
func (t *Tx) LockRight(ctx context.Context, requestID int64) (ReceiverRight, bool, error) {
	r, err := t.q.LockReceiverRight(ctx, requestID)
	if errors.Is(err, pgx.ErrNoRows) {
		return r, false, nil
	}
	return r, err == nil, err
}

// RightsOf gives the rights of a receiver that have not ended, newest first.
func (t *Tx) RightsOf(ctx context.Context, receiver int64) ([]ReceiverRight, error) {
	return t.q.RightsOfReceiver(ctx, &receiver)
}

// RightsOf gives the rights of a receiver that have not ended, newest first.
func (s *Store) RightsOf(ctx context.Context, receiver int64) ([]ReceiverRight, error) {
	return s.q.RightsOfReceiver(ctx, &receiver)
}

// SetRightReceiver ties a right to its receiver.
func (t *Tx) SetRightReceiver(ctx context.Context, requestID, receiver int64) error {
	return t.q.SetRightReceiver(ctx, &receiver, requestID)
}

// SaveRightProblem says why the set-up waits; "" for no reason.
func (t *Tx) SaveRightProblem(ctx context.Context, requestID int64, problem string, now time.Time) error {
	return t.q.SaveRightProblem(ctx, problem, &now, requestID)
}

// RightDone records that HubEE holds organization and subscription.
func (t *Tx) RightDone(ctx context.Context, requestID int64, now time.Time) error {
	return t.q.RightDone(ctx, &now, requestID)
}

// EndRight ends that of a request; false when there was none.
func (t *Tx) EndRight(ctx context.Context, requestID int64, reason string, now time.Time) (bool, error) {
	n, err := t.q.EndRight(ctx, &now, reason, requestID)
	return n > 0, err
}

// WaitingRights gives those whose receiver is not set up yet, oldest first.
func (s *Store) WaitingRights(ctx context.Context, limit int) ([]ReceiverRight, error) {
	return s.q.WaitingRights(ctx, int32(limit))
}

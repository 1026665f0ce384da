package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// SendFolderArgs names a folder to send, or whose files are to be looked at.
type SendFolderArgs struct {
	FolderID uuid.UUID `json:"folder_id"`
}

// Kind is the job's name in the queue.
func (SendFolderArgs) Kind() string { return "send_folder" }

// InsertOpts puts it into HubEE's queue.
func (SendFolderArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: QueueFolders, MaxAttempts: maxAttempts}
}

type sendFolder struct {
	river.WorkerDefaults[SendFolderArgs]
	*Workers
}

// maxMade bounds how many folders are made at HubEE for one of ours before a
// person decides.
const maxMade = 5

// Work brings a folder one step after another to complete, then to settled. Each
// step looks before it acts (hubee.md, 9); one worker a folder at a time.
func (w *sendFolder) Work(ctx context.Context, job *river.Job[SendFolderArgs]) error {
	release, ok, err := w.Store.Gate().Lock(ctx, "folder/"+job.Args.FolderID.String(), w.LeaseFor)
	if err != nil {
		return err
	}
	if !ok {
		return river.JobSnooze(time.Second)
	}
	defer release()
	s := sending{Workers: w.Workers, id: job.Args.FolderID, repeated: job.Attempt > 1}
	err = s.run(ctx)
	if isStateError(err) || errors.Is(err, store.ErrNotFound) {
		return nil // settled, expired or purged meanwhile
	}
	if err != nil {
		return w.settle(ctx, registry.HubEE, err)
	}
	return nil
}

// sending is one run for one folder.
type sending struct {
	*Workers
	id       uuid.UUID
	repeated bool // an earlier run may have made a folder whose answer was lost
}

func (s *sending) run(ctx context.Context) error {
	for {
		f, err := s.Store.Folder(ctx, s.id)
		if err != nil {
			return err
		}
		var done bool
		switch f.State {
		case store.FolderAccepted:
			done, err = s.create(ctx, f)
		case store.FolderCreated:
			done, err = s.complete(ctx, f)
		case store.FolderCompleted:
			return s.check(ctx, f)
		default:
			return nil
		}
		if err != nil {
			return s.note(ctx, err)
		}
		if done {
			return nil
		}
	}
}

// note shows operators why a folder waits.
func (s *sending) note(ctx context.Context, err error) error {
	var e *connectors.Error
	if errors.As(err, &e) {
		if rerr := s.recordOutcome(ctx, &registry.FolderStopped{ID: s.id, Reason: e.Error()}); rerr != nil {
			return rerr
		}
	}
	return err
}

// open gives what is to be sent to whom; false when nothing is to be sent now.
func (s *sending) open(ctx context.Context, f store.Folder) (store.Receiver, store.FolderContent, bool, error) {
	r, err := s.Store.Receiver(ctx, f.ReceiverID)
	if err != nil {
		return r, store.FolderContent{}, false, err
	}
	if !store.Receives(r) {
		// It goes on when the receiver does, or ends at its deadline.
		why := &registry.FolderStopped{ID: f.ID, Reason: "la collectivité ne reçoit pas : " + r.State + " " + r.SuspendedReason}
		return r, store.FolderContent{}, false, s.Registry.Record(ctx, why)
	}
	content, err := s.Store.FolderContent(ctx, f.ID)
	if err != nil {
		return r, content, false, err
	}
	if r.WantsSignature && s.Folders.Sign != nil {
		if content.Files, err = s.signed(ctx, content.Files); err != nil {
			return r, content, false, err
		}
	}
	return r, content, true, nil
}

// signed adds the detached signature of the first file, the JSON.
func (s *sending) signed(ctx context.Context, files []store.FolderFile) ([]store.FolderFile, error) {
	signature, err := s.Folders.Sign(ctx, files[0].Content)
	if err != nil {
		return nil, err
	}
	return append(files, store.FolderFile{Name: files[0].Name + ".jws", Type: files[0].Type, MIME: "text/plain", Content: signature}), nil
}

func (s *sending) create(ctx context.Context, f store.Folder) (bool, error) {
	r, content, ready, err := s.open(ctx, f)
	if err != nil || !ready {
		return !ready, err
	}
	if f.Made >= maxMade {
		return true, s.Registry.Record(ctx, &registry.FolderStopped{ID: f.ID, Alarm: true, Reason: fmt.Sprintf("%d dossiers ont été créés chez HubEE sans qu’aucun ne puisse être complété", f.Made)})
	}
	draft := connectors.FolderDraft{
		Process: r.Process, ExternalID: f.ExternalID, CaseExternalID: f.ExternalID + "-01",
		FirstNames: connectors.NewSecret(content.FirstNames), LastName: connectors.NewSecret(content.LastName), Recipient: store.ReceiverRef(r),
	}
	for _, file := range content.Files {
		draft.Files = append(draft.Files, connectors.FolderFile{Name: file.Name, Type: file.Type, MIME: file.MIME, Size: int64(len(file.Content))})
	}
	made, err := s.Folders.Service.CreateFolder(ctx, draft)
	switch {
	case errors.Is(err, connectors.ErrNotSubscribed), errors.Is(err, connectors.ErrUnknownRecipient):
		return true, s.Registry.Record(ctx, &registry.ReceiverRefused{ReceiverID: r.ID, FolderID: f.ID, Err: err})
	case errors.Is(err, connectors.ErrAlreadyExists) && s.repeated:
		// Ours, from a run whose answer was lost: nobody was told of it and it cannot be
		// found again. Another id takes its place.
		s.repeated = false
		return false, s.Registry.Record(ctx, &registry.FolderAbandoned{ID: f.ID, Reason: "HubEE garde un dossier du même identifiant dont la réponse s’est perdue"})
	case connectors.Is(err, connectors.Conflict), connectors.Is(err, connectors.Rejected):
		return true, errors.Join(s.Registry.Record(ctx, &registry.FolderStopped{ID: f.ID, Reason: err.Error(), Alarm: true}), river.JobCancel(err))
	case err != nil:
		return false, err
	}
	caseID := ""
	if len(made.Cases) > 0 {
		caseID = made.Cases[0].ID
	}
	if err := s.Registry.Record(ctx, &registry.FolderCreated{ID: f.ID, HubeeID: made.ID, CaseID: caseID}); err != nil {
		return false, err
	}
	f.State, f.HubeeID, f.CaseID, f.Made = store.FolderCreated, made.ID, caseID, f.Made+1
	return true, s.fill(ctx, f, made, content)
}

// complete goes on with a folder that an earlier run has made.
func (s *sending) complete(ctx context.Context, f store.Folder) (bool, error) {
	_, content, ready, err := s.open(ctx, f)
	if err != nil || !ready {
		return !ready, err
	}
	held, err := s.Folders.Service.Folder(ctx, f.HubeeID)
	if connectors.Is(err, connectors.NotFound) {
		return false, s.Registry.Record(ctx, &registry.FolderAbandoned{ID: f.ID, Reason: "HubEE ne connaît plus le dossier"})
	}
	if err != nil {
		return false, err
	}
	return true, s.fill(ctx, f, held, content)
}

// fill sends what is missing and completes the folder. One that cannot be
// finished is taken back and made anew.
func (s *sending) fill(ctx context.Context, f store.Folder, held connectors.Folder, content store.FolderContent) error {
	if held.Status != connectors.FolderReceived {
		return s.sent(ctx)
	}
	for _, file := range content.Files {
		there, ok := find(held.Files, file)
		if !ok {
			return s.anew(ctx, f, "le dossier chez HubEE n’annonce pas les mêmes fichiers")
		}
		if there.Status == connectors.FileReceived {
			continue
		}
		err := s.Folders.Service.Upload(ctx, f.HubeeID, there.ID, file.Content)
		if connectors.Is(err, connectors.Rejected) || connectors.Is(err, connectors.NotFound) {
			return s.anew(ctx, f, "HubEE refuse un fichier : "+err.Error())
		}
		if err != nil {
			return err
		}
	}
	err := s.Folders.Service.CompleteFolder(ctx, f.HubeeID)
	if connectors.Is(err, connectors.Rejected) || connectors.Is(err, connectors.NotFound) {
		return s.anew(ctx, f, "HubEE refuse de compléter le dossier : "+err.Error())
	}
	if err != nil {
		return err
	}
	return s.sent(ctx)
}

func (s *sending) sent(ctx context.Context) error {
	return s.Registry.Record(ctx, &registry.FolderSent{ID: s.id, CheckAfter: s.Folders.CheckAfter})
}

func (s *sending) anew(ctx context.Context, f store.Folder, reason string) error {
	err := s.Folders.Service.DeleteFolder(ctx, f.HubeeID)
	if connectors.Is(err, connectors.Rejected) { // HubEE keeps what is complete: was that answer lost?
		held, err := s.Folders.Service.Folder(ctx, f.HubeeID)
		if err != nil {
			return err
		}
		if held.Status != connectors.FolderReceived {
			return s.sent(ctx)
		}
	} else if err != nil {
		return err
	}
	if err := s.Registry.Record(ctx, &registry.FolderAbandoned{ID: f.ID, Reason: reason}); err != nil {
		return err
	}
	return s.run(ctx)
}

func find(list []connectors.StoredFile, file store.FolderFile) (connectors.StoredFile, bool) {
	for _, there := range list {
		if there.Name == file.Name && there.Size == int64(len(file.Content)) {
			return there, true
		}
	}
	return connectors.StoredFile{}, false
}

// check looks at the files of a complete folder: when HubEE has acknowledged all
// of them, what is personal is destroyed here; refused ones are sent again.
func (s *sending) check(ctx context.Context, f store.Folder) error {
	if f.SentAt != nil {
		if wait := f.SentAt.Add(s.Folders.CheckAfter).Sub(s.Now()); wait > 0 {
			return river.JobSnooze(wait)
		}
	}
	held, err := s.Folders.Service.Folder(ctx, f.HubeeID)
	if connectors.Is(err, connectors.NotFound) {
		return s.Registry.Record(ctx, &registry.FolderSettled{ID: f.ID}) // purged by HubEE: it had everything
	}
	if err != nil {
		return s.note(ctx, err)
	}
	var refused []connectors.StoredFile
	pending := 0
	for _, file := range held.Files {
		switch file.Status {
		case connectors.FileCorrupted, connectors.FileRejected:
			refused = append(refused, file)
		case connectors.FilePending:
			pending++
		default: // received, or purged after its time
		}
	}
	if len(refused)+pending == 0 {
		return s.Registry.Record(ctx, &registry.FolderSettled{ID: f.ID})
	}
	if len(refused) > 0 {
		if err := s.resend(ctx, f, refused); err != nil {
			return err
		}
	}
	return &connectors.Error{
		Class: connectors.Pending, Partner: registry.HubEE, Op: "check the files of a folder", After: max(s.Folders.CheckAfter, time.Minute),
		Detail: fmt.Sprintf("%d files wait for HubEE, %d were refused", pending, len(refused)),
	}
}

func (s *sending) resend(ctx context.Context, f store.Folder, refused []connectors.StoredFile) error {
	if err := s.Registry.Record(ctx, &registry.FolderFilesRefused{ID: f.ID, Files: len(refused), Status: refused[0].Status}); err != nil {
		return err
	}
	r, err := s.Store.Receiver(ctx, f.ReceiverID)
	if err != nil {
		return err
	}
	content, err := s.Store.FolderContent(ctx, f.ID)
	if err != nil {
		return err
	}
	if r.WantsSignature && s.Folders.Sign != nil {
		if content.Files, err = s.signed(ctx, content.Files); err != nil {
			return err
		}
	}
	for _, there := range refused {
		for _, file := range content.Files {
			if file.Name != there.Name {
				continue
			}
			if err := s.Folders.Service.Upload(ctx, f.HubeeID, there.ID, file.Content); err != nil && !connectors.Is(err, connectors.Rejected) {
				return err
			}
		}
	}
	return nil
}

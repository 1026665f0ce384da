package registry

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// HubEE is the partner under whose name folders and receivers wait.
const HubEE = "hubee"

// externalPrefix starts the id of a folder at HubEE; portals display it (qf-form.md, 4).
const externalPrefix = "Formulaire-QF-"

// crockford is upper-case base32 without the letters that are read as digits.
var crockford = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

// NewReference draws a folder's reference: 13 characters, 65 bits (qf-form.md, 4).
func NewReference() string {
	var random [9]byte
	_, _ = rand.Read(random[:]) // never fails
	return crockford.EncodeToString(random[:])[:13]
}

// FolderDue: a folder is to be sent, or looked at again, at At (zero: now).
type FolderDue struct {
	FolderID uuid.UUID
	At       time.Time
}

func (FolderDue) followup() {}

// AcceptFolder takes a family's folder for a receiver. From its commit on it is
// never lost: sent, or told of. The same id is accepted once. A *StateError says
// that the receiver takes none.
type AcceptFolder struct {
	ID        uuid.UUID // of the citizen's transaction
	Receiver  int64
	Reference string // from NewReference
	Content   store.FolderContent
}

func (cmd *AcceptFolder) apply(ctx context.Context, u *unit) error {
	r, err := u.tx.LockReceiver(ctx, cmd.Receiver)
	if err != nil {
		return err
	}
	if !store.Receives(r) {
		return &StateError{"receiver", r.State}
	}
	if len(cmd.Content.Files) == 0 || cmd.Content.FirstNames == "" || cmd.Content.LastName == "" {
		return fmt.Errorf("a folder needs its applicant's names and a file")
	}
	fresh, err := u.tx.AcceptFolder(ctx, store.NewFolder{
		ID: cmd.ID, Receiver: r.ID, Reference: cmd.Reference, ExternalID: externalPrefix + cmd.Reference,
		Content: cmd.Content, Correlation: u.correlation, Now: u.at,
	})
	if err == nil && fresh {
		u.then(FolderDue{FolderID: cmd.ID})
	}
	return err
}

// folder changes one under its lock; a folder in none of these states is a *StateError.
func (u *unit) folder(ctx context.Context, id uuid.UUID, change func(*store.Folder) error, states ...string) error {
	f, err := u.tx.LockFolder(ctx, id)
	if err != nil {
		return err
	}
	if len(states) > 0 && !contains(states, f.State) {
		return &StateError{"folder", f.State}
	}
	if err := change(&f); err != nil {
		return err
	}
	return u.tx.SaveFolder(ctx, f, u.at)
}

func (u *unit) folderProblem(ctx context.Context, id uuid.UUID, problem string) error {
	return u.folder(ctx, id, func(f *store.Folder) error {
		f.Problem, f.ProblemSince = problem, nil
		if problem != "" {
			f.ProblemSince = first(f.ProblemSince, &u.at)
		}
		return nil
	})
}

// FolderCreated records that HubEE has a folder's metadata.
type FolderCreated struct {
	ID      uuid.UUID
	HubeeID string
	CaseID  string
}

func (cmd *FolderCreated) apply(ctx context.Context, u *unit) error {
	return u.folder(ctx, cmd.ID, func(f *store.Folder) error {
		f.State, f.HubeeID, f.CaseID, f.Made = store.FolderCreated, cmd.HubeeID, cmd.CaseID, f.Made+1
		return nil
	}, store.FolderAccepted)
}

// FolderAbandoned records that what HubEE has of a folder cannot be finished: it
// is made anew under another id.
type FolderAbandoned struct {
	ID     uuid.UUID
	Reason string // for operators, without anything personal
}

func (cmd *FolderAbandoned) apply(ctx context.Context, u *unit) error {
	return u.folder(ctx, cmd.ID, func(f *store.Folder) error {
		f.State, f.HubeeID, f.CaseID, f.ExternalID = store.FolderAccepted, "", "", externalPrefix+NewReference()
		f.Problem, f.ProblemSince = cmd.Reason, first(f.ProblemSince, &u.at)
		return nil
	}, store.FolderAccepted, store.FolderCreated)
}

// FolderSent records that HubEE has all of a folder, and tells who waits for it.
// Its files are looked at again after CheckAfter.
type FolderSent struct {
	ID         uuid.UUID
	CheckAfter time.Duration
}

func (cmd *FolderSent) apply(ctx context.Context, u *unit) error {
	var sent store.Folder
	err := u.folder(ctx, cmd.ID, func(f *store.Folder) error {
		f.State, f.SentAt, f.Problem, f.ProblemSince = store.FolderCompleted, &u.at, "", nil
		sent = *f
		return nil
	}, store.FolderAccepted, store.FolderCreated)
	if err != nil {
		return err
	}
	u.then(FolderDue{FolderID: cmd.ID, At: u.at.Add(cmd.CheckAfter)})
	if err := u.partnerAnswered(ctx, HubEE); err != nil {
		return err
	}
	return u.tellFolder(ctx, sent)
}

// tellFolder tells subscribers that a folder is there: ids only.
func (u *unit) tellFolder(ctx context.Context, f store.Folder) error {
	r, err := u.tx.LockReceiver(ctx, f.ReceiverID)
	if err != nil {
		return err
	}
	h := Happening{
		Type: "qf.available", Definition: definitionQF, Subject: "folder/" + f.ID.String(),
		Data: map[string]any{"folder_id": f.ID, "reference": f.Reference, "external_id": f.ExternalID, "siret": r.Siret, "cog": r.Cog, "sent_at": f.SentAt},
	}
	rights, err := u.tx.RightsOf(ctx, r.ID)
	if err != nil {
		return err
	}
	if len(rights) > 0 {
		h.Definition, h.Editor, h.EditorSIRET = rights[0].Definition, rights[0].EditorID, rights[0].EditorSiret
		h.Request, h.Habilitation = rights[0].RequestID, rights[0].HabilitationID
		h.Data["request_id"], h.Data["definition_id"] = rights[0].RequestID, rights[0].Definition
	}
	return u.tell(ctx, h)
}

// FolderFilesRefused raises an alarm: HubEE's antivirus or its checks refused
// files of a complete folder. They are sent again.
type FolderFilesRefused struct {
	ID     uuid.UUID
	Files  int
	Status connectors.FileStatus
}

func (cmd *FolderFilesRefused) apply(ctx context.Context, u *unit) error {
	why := fmt.Sprintf("%d fichier(s) %s chez HubEE", cmd.Files, cmd.Status)
	if err := u.folderProblem(ctx, cmd.ID, why); err != nil {
		return err
	}
	return u.alert(ctx, "folder/"+cmd.ID.String()+"/files", "Un dossier complet a des fichiers refusés", why+", dossier "+cmd.ID.String(), "Ils sont envoyés de nouveau. Si l’alarme revient, signalez-la à HubEE.")
}

// FolderSettled records that HubEE has acknowledged every file: what is personal
// is destroyed, with its key.
type FolderSettled struct{ ID uuid.UUID }

func (cmd *FolderSettled) apply(ctx context.Context, u *unit) error {
	return u.folder(ctx, cmd.ID, func(f *store.Folder) error {
		f.State, f.SettledAt, f.Problem, f.ProblemSince = store.FolderSettled, &u.at, "", nil
		if f.ClosedAt != nil {
			f.State = store.FolderClosed
		}
		_, err := u.tx.DestroyFolderContent(ctx, f.ID)
		return err
	}, store.FolderCompleted)
}

// FolderExpired destroys what is personal of a folder whose deadline is over, and
// raises an alarm.
type FolderExpired struct{ ID uuid.UUID }

func (cmd *FolderExpired) apply(ctx context.Context, u *unit) error {
	why := ""
	err := u.folder(ctx, cmd.ID, func(f *store.Folder) error {
		if _, err := u.tx.DestroyFolderContent(ctx, f.ID); err != nil {
			return err
		}
		why = fmt.Sprintf("dossier %s, accepté le %s", f.ID, frenchTime(f.AcceptedAt))
		if f.Problem != "" {
			why += " : " + f.Problem
		}
		f.SettledAt = &u.at
		if f.State == store.FolderCompleted {
			f.State, f.Problem = store.FolderSettled, "HubEE n’a pas confirmé tous les fichiers avant l’échéance"
		} else {
			f.State, f.Problem = store.FolderLost, "jamais complet chez HubEE avant l’échéance : "+f.Problem
		}
		f.ProblemSince = first(f.ProblemSince, &u.at)
		return nil
	}, store.FolderAccepted, store.FolderCreated, store.FolderCompleted)
	if err != nil {
		return err
	}
	return u.alert(ctx, "folder/"+cmd.ID.String()+"/expired", "Un dossier est arrivé à son échéance", why,
		"Ses données personnelles sont détruites. La famille doit refaire sa démarche : prévenez la collectivité.")
}

// FolderStopped records why a folder does not go on; Alarm tells people.
type FolderStopped struct {
	ID     uuid.UUID
	Reason string // without anything personal
	Alarm  bool
}

func (cmd *FolderStopped) apply(ctx context.Context, u *unit) error {
	if err := u.folderProblem(ctx, cmd.ID, cmd.Reason); err != nil || !cmd.Alarm {
		return err
	}
	return u.alert(ctx, "folder/"+cmd.ID.String()+"/stopped", "Un dossier attend une décision", "dossier "+cmd.ID.String()+" : "+cmd.Reason,
		"`passerelle folders` dit ce qui attend ; `passerelle folders retry ID` le reprend, `passerelle folders --anew retry ID` sous un autre identifiant.")
}

// RetryFolder takes a folder up again, at an operator's word; Anew gives it
// another id at HubEE.
type RetryFolder struct {
	ID   uuid.UUID
	Anew bool
}

func (cmd *RetryFolder) apply(ctx context.Context, u *unit) error {
	if cmd.Anew {
		if err := (&FolderAbandoned{ID: cmd.ID, Reason: "repris sous un autre identifiant"}).apply(ctx, u); err != nil {
			return err
		}
	}
	u.then(FolderDue{FolderID: cmd.ID})
	return u.folder(ctx, cmd.ID, func(*store.Folder) error { return nil }, store.FolderAccepted, store.FolderCreated, store.FolderCompleted)
}

// maxCaseEvents is how many events one case has before people are told (hubee.md, HC-11).
const maxCaseEvents = 20

// CaseAnswered records an event of a folder's case, once. Status words that the
// hub does not know are kept as they are (hubee.md, HC-8).
type CaseAnswered struct {
	FolderID uuid.UUID
	Event    connectors.CaseEvent
}

func (cmd *CaseAnswered) apply(ctx context.Context, u *unit) error {
	return u.folder(ctx, cmd.FolderID, func(f *store.Folder) error {
		fresh, err := u.tx.AddFolderEvent(ctx, f.ID, cmd.Event, u.at)
		if err != nil || !fresh {
			return err
		}
		if cmd.Event.NewStatus != "" {
			f.CaseStatus = string(cmd.Event.NewStatus)
		}
		switch cmd.Event.NewStatus {
		case connectors.CaseDone, connectors.CaseRefused:
			f.AnsweredAt = first(f.AnsweredAt, &u.at)
		case connectors.CaseAddAwaiting, connectors.CaseIntegrationKO:
			return u.alert(ctx, "folder/"+f.ID.String()+"/"+cmd.Event.ID, "Un dossier demande une suite : "+f.CaseStatus, "dossier "+f.Reference,
				"La collectivité attend une pièce ou n’a pas pu intégrer le dossier : prenez contact avec elle.")
		default: // nothing more to do
		}
		if n, err := u.tx.CountFolderEvents(ctx, f.ID); err != nil || n <= maxCaseEvents {
			return err
		}
		return u.alert(ctx, "folder/"+f.ID.String()+"/events", "Un dossier a trop d’événements", "dossier "+f.Reference, "HubEE peut en refuser d’autres.")
	})
}

// FolderClosed records that case and folder are closed at HubEE.
type FolderClosed struct{ ID uuid.UUID }

func (cmd *FolderClosed) apply(ctx context.Context, u *unit) error {
	return u.folder(ctx, cmd.ID, func(f *store.Folder) error {
		f.ClosedAt = first(f.ClosedAt, &u.at)
		if f.State == store.FolderSettled {
			f.State = store.FolderClosed
		}
		return nil
	})
}

// NoticeKept records a notice that could not be processed: it stays at HubEE.
type NoticeKept struct {
	Notice connectors.FolderNotice
	Reason string // for operators, without anything personal
}

func (cmd *NoticeKept) apply(ctx context.Context, u *unit) error {
	if err := u.tx.PutDeadLetter(ctx, cmd.Notice, cmd.Reason, u.at); err != nil {
		return err
	}
	return u.alert(ctx, "notice/"+cmd.Notice.ID, "Une notification de HubEE n’a pas pu être traitée", cmd.Reason, "Elle reste chez HubEE et sera relue : `passerelle folders` les montre.")
}

// NoticeDone forgets a kept notice that was processed after all.
type NoticeDone struct{ ID string }

func (cmd *NoticeDone) apply(ctx context.Context, u *unit) error {
	return u.tx.DeleteDeadLetter(ctx, cmd.ID)
}

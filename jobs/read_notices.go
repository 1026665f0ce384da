package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/riverqueue/river"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// ReadNoticesArgs: reading our queue at HubEE needs none.
type ReadNoticesArgs struct{}

// Kind is the job's name in the queue.
func (ReadNoticesArgs) Kind() string { return "read_notices" }

// InsertOpts: the next reading repeats what this one missed.
func (ReadNoticesArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: QueueFolders, MaxAttempts: 1}
}

type readNotices struct {
	river.WorkerDefaults[ReadNoticesArgs]
	*Workers
}

const (
	noticeBatch = 25 // hubee.md, HC-7
	// maxKept bounds how far the batch grows so that notices that cannot be processed
	// do not hide those behind them: the queue has no order and no offset.
	maxKept      = 1000
	closeAuthor  = "Passerelle"
	closeMessage = "Dossier traité par le service."
)

// Work reads the queue until it gives nothing new, one reader at a time. A notice
// is deleted only once what it says is committed; one of another process is never
// touched (hubee.md, 8, 7).
func (w *readNotices) Work(ctx context.Context, _ *river.Job[ReadNoticesArgs]) error {
	release, ok, err := w.Store.Gate().Lock(ctx, "hubee/notices", w.LeaseFor)
	if err != nil || !ok {
		return err
	}
	defer release()
	seen := map[string]bool{}
	limit := noticeBatch
	for {
		list, err := w.Folders.Service.Notices(ctx, registry.FolderProcess, limit)
		if err != nil {
			return w.settle(ctx, registry.HubEE, err)
		}
		fresh := 0
		for _, n := range list {
			if seen[n.ID] {
				continue
			}
			seen[n.ID] = true
			fresh++
			if n.Process != registry.FolderProcess {
				continue
			}
			if err := w.notice(ctx, n); err != nil {
				return w.settle(ctx, registry.HubEE, err)
			}
		}
		if len(list) < limit {
			return nil
		}
		if fresh == 0 { // all of these stay: look behind them
			if limit >= maxKept {
				return fmt.Errorf("%d notices cannot be processed and hide those behind them", len(list))
			}
			limit = min(2*limit, maxKept)
		}
	}
}

// notice processes one. Its error is a partner that does not answer or a
// database that does not: the notice comes again.
func (w *readNotices) notice(ctx context.Context, n connectors.FolderNotice) error {
	kept := func(reason string) error {
		return w.Registry.Record(ctx, &registry.NoticeKept{Notice: n, Reason: reason})
	}
	if n.CaseID == "" || n.EventID == "" {
		return kept("une notification sans dossier ou sans événement")
	}
	f, err := w.Store.FolderByCase(ctx, n.CaseID)
	if errors.Is(err, store.ErrNotFound) {
		return kept("une notification d’un dossier inconnu, " + n.CaseID)
	}
	if err != nil {
		return err
	}
	event, err := w.Folders.Service.Event(ctx, n.CaseID, n.EventID)
	switch connectors.ClassOf(err) {
	case connectors.NotFound, connectors.Rejected:
		return kept("un événement illisible : " + err.Error())
	default:
		if err != nil {
			return err
		}
	}
	event.ID = n.EventID
	if err := w.Registry.Record(ctx, &registry.CaseAnswered{FolderID: f.ID, Event: event}); err != nil {
		return err
	}
	if event.Status == "SENT" {
		if err := w.Folders.Service.AcknowledgeEvent(ctx, n.CaseID, n.EventID); err != nil {
			return err
		}
	}
	if event.NewStatus == connectors.CaseDone || event.NewStatus == connectors.CaseRefused {
		if err := w.close(ctx, f); err != nil {
			return err
		}
	}
	if err := w.Folders.Service.DeleteNotice(ctx, n.ID); err != nil {
		return err
	}
	return w.Registry.Record(ctx, &registry.NoticeDone{ID: n.ID})
}

// close ends case and folder at HubEE, the case first (hubee.md, 7 and 9).
func (w *readNotices) close(ctx context.Context, f store.Folder) error {
	if err := w.Folders.Service.CloseCase(ctx, f.CaseID, closeAuthor, closeMessage); err != nil {
		return err
	}
	if err := w.Folders.Service.CloseFolder(ctx, f.HubeeID); err != nil {
		return err
	}
	return w.Registry.Record(ctx, &registry.FolderClosed{ID: f.ID})
}

// FollowReceiversArgs: comparing subscriptions needs none.
type FollowReceiversArgs struct{}

// Kind is the job's name in the queue.
func (FollowReceiversArgs) Kind() string { return "follow_receivers" }

// InsertOpts: the next comparison repeats what this one missed.
func (FollowReceiversArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: QueueFolders, MaxAttempts: 1}
}

type followReceivers struct {
	river.WorkerDefaults[FollowReceiversArgs]
	*Workers
}

// Work compares HubEE's subscriptions with our receivers, by process, SIRET and
// COG (hubee.md, HC-13): activation and delegation are made by hand there, and
// nobody tells.
func (w *followReceivers) Work(ctx context.Context, _ *river.Job[FollowReceiversArgs]) error {
	list, err := w.Folders.Directory.Subscriptions(ctx, registry.FolderProcess, "")
	if err != nil {
		return w.settle(ctx, registry.HubEE, err)
	}
	receivers, err := w.Store.Receivers(ctx, registry.FolderProcess)
	if err != nil {
		return err
	}
	at := map[connectors.OrganizationRef]connectors.Subscription{}
	for _, s := range list {
		if known, ok := at[s.Receiver]; !ok || s.Active() && !known.Active() {
			at[s.Receiver] = s
		}
	}
	var errs []error
	for _, r := range receivers {
		if s, ok := at[store.ReceiverRef(r)]; ok {
			errs = append(errs, w.Registry.Record(ctx, &registry.ObserveSubscription{ReceiverID: r.ID, Subscription: s}))
		} else if store.Receives(r) {
			w.Log.Warn().Int64("receiver", r.ID).Msg("HubEE shows no subscription of a receiver that is active here")
		}
	}
	return errors.Join(errs...)
}

// sweepFolders takes up what was given up, ends what is over its deadline, and
// forgets what is over its time.
func (w *sweep) sweepFolders(ctx context.Context) error {
	if w.Folders == nil {
		return nil
	}
	now := w.Now()
	folders, err := w.Store.AbandonedFolders(ctx, now.Add(-abandoned), sweepBatch)
	if err != nil {
		return err
	}
	rights, err := w.Store.AbandonedRights(ctx, now.Add(-abandoned), sweepBatch)
	if err != nil {
		return err
	}
	var errs []error
	if len(folders)+len(rights) > 0 {
		errs = append(errs, w.Registry.Record(ctx, &registry.Wake{Folders: folders, Rights: rights}))
	}
	expired, err := w.Store.ExpiredFolders(ctx, now.Add(-w.Folders.GiveUpAfter), sweepBatch)
	errs = append(errs, err)
	for _, id := range expired {
		errs = append(errs, ignoreStateError(w.Registry.Record(ctx, &registry.FolderExpired{ID: id})))
	}
	_, err = w.Store.PurgeFolders(ctx, now.Add(-w.Folders.Keep), sweepBatch)
	return errors.Join(append(errs, err)...)
}

// waitForPeople is how long a set-up that people must mend waits before it is tried again.
const waitForPeople = 10 * time.Minute

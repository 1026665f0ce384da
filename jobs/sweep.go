package jobs

import (
	"context"
	"errors"
	"time"

	"github.com/riverqueue/river"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/registry"
)

// SweepArgs: the sweep needs none.
type SweepArgs struct{}

// Kind is the job's name in the queue.
func (SweepArgs) Kind() string { return "sweep" }

// InsertOpts puts it into its queue, one at a time.
func (SweepArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: QueueUpkeep, MaxAttempts: 1}
}

const (
	sweepEvery = 5 * time.Second
	// wakeUpLost: an event that waits longer has lost its job.
	wakeUpLost = 30 * time.Second
	// abandoned: a key or a mail that is due and has had no job since then gets one.
	abandoned  = 5 * time.Minute
	sweepBatch = 1000
	// keepExpiredTokens is how long a client is told that its token expired, and
	// not that there was none.
	keepExpiredTokens = 7 * 24 * time.Hour
)

type sweep struct {
	river.WorkerDefaults[SweepArgs]
	*Workers
}

// Work repairs what a lost wake-up left, queues deliveries that are due, takes
// up what waited for its settings, probes partners that rest, reminds people of
// their tasks, ends copies of keys that are due, and purges.
func (w *sweep) Work(ctx context.Context, _ *river.Job[SweepArgs]) error {
	return errors.Join(w.wake(ctx), w.assign(ctx), w.probe(ctx), w.remind(ctx), w.copies(ctx), w.sweepFolders(ctx), w.purge(ctx))
}

func (w *sweep) wake(ctx context.Context) error {
	now := w.Now()
	inbound, err := w.Store.StaleInbound(ctx, now.Add(-wakeUpLost), sweepBatch)
	if err != nil {
		return err
	}
	due, err := w.Store.EndpointsWithDue(ctx, now)
	if err != nil {
		return err
	}
	w.Webhooks.Waker.Wake(due...)
	credentials, err := w.Store.AbandonedCredentials(ctx, now.Add(-abandoned), sweepBatch)
	if err != nil {
		return err
	}
	mails, err := w.Store.AbandonedMails(ctx, now.Add(-abandoned), sweepBatch)
	if err != nil {
		return err
	}
	replaying, err := w.Store.EndpointsReplaying(ctx)
	if err != nil || len(inbound)+len(credentials)+len(mails)+len(replaying) == 0 {
		return err
	}
	return w.Registry.Record(ctx, &registry.Wake{Inbound: inbound, Credentials: credentials, Mails: mails, Replaying: replaying})
}

func (w *sweep) assign(ctx context.Context) error {
	waiting, err := w.Registry.Assignable(ctx, sweepBatch)
	if err != nil {
		return err
	}
	var errs []error
	for _, id := range waiting {
		errs = append(errs, w.Registry.Record(ctx, &registry.AssignManager{CredentialID: id}))
	}
	return errors.Join(errs...)
}

// remind mails the teams whose task waits for too long.
func (w *sweep) remind(ctx context.Context) error {
	due, err := w.Store.TasksToRemind(ctx, w.Now(), sweepBatch)
	if err != nil {
		return err
	}
	var errs []error
	for _, id := range due {
		errs = append(errs, ignoreStateError(w.Registry.Record(ctx, &registry.RemindTask{ID: id})))
	}
	return errors.Join(errs...)
}

// probe asks the partners whose rest is over whether they answer again.
func (w *sweep) probe(ctx context.Context) error {
	resting, err := w.Store.PartnersToProbe(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, p := range resting {
		partner, ok := w.partner(p.Name)
		if !ok {
			continue
		}
		if _, err := partner.Health(ctx); err != nil {
			failed := &registry.PartnerFailed{Name: p.Name, Class: connectors.ClassOf(err), Reason: err.Error(), Wait: pauseWait}
			errs = append(errs, w.Registry.Record(ctx, failed))
			continue
		}
		errs = append(errs, w.Registry.Record(ctx, &registry.PartnerAnswered{Name: p.Name}))
	}
	return errors.Join(errs...)
}

// partner finds who can be probed under a name: a manager, or the mail relay.
func (w *Workers) partner(name string) (connectors.HealthChecker, bool) {
	if name == registry.HubEE && w.Folders != nil {
		return w.Folders.Service, true
	}
	if name == registry.MailRelay {
		return w.Mailer, true
	}
	m, ok := w.Managers[name]
	return m, ok
}

func (w *sweep) purge(ctx context.Context) error {
	now := w.Now()
	_, bodies := w.Store.PurgeInboundBodies(ctx, now.Add(-w.KeepBody), sweepBatch)
	_, tokens := w.Store.PurgeAccessTokens(ctx, now.Add(-keepExpiredTokens), sweepBatch)
	_, journeys := w.Store.PurgeJourneys(ctx, now, sweepBatch)
	_, traces := w.Store.PurgeTraces(ctx, sweepBatch)
	_, answers := w.Store.PurgeAnswers(ctx, now.Add(-registry.KeepAnswers), sweepBatch)
	_, processes := w.Store.PurgeSealingProcesses(ctx)
	return errors.Join(bodies, tokens, journeys, traces, answers, processes, w.Store.PurgeChanges(ctx, now))
}

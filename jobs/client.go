package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"
	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
	"github.com/passerelle-hub/passerelle/internal/token"
)

// Manager is a connector instance that holds keys.
type Manager struct {
	connectors.KeyManager
	Type   string // of its connector, e.g. "gravitee"
	Paused bool   // by the settings: nothing is sent to it, its jobs wait
}

// Workers is what the jobs work with.
type Workers struct {
	Registry   *registry.Registry
	Store      *store.Store
	Managers   map[string]Manager // by instance name
	Sources    map[string]Source  // by name
	Mailer     connectors.Mailer
	MailDomain string
	Webhooks   Webhooks
	Folders    *Folders // nil: this hub has no HubEE
	// Establishments is nil when this hub does not ask INSEE.
	Establishments *Establishments
	Owner          string    // this hub's mark at its partners
	TokenEnv       token.Env // of the keys that the hub makes
	LeaseFor       time.Duration
	KeepBody       time.Duration // how long bodies of settled incoming webhooks stay
	// KeepChanges is how far back editors' feeds go; 0: for ever.
	KeepChanges time.Duration
	Now         func() time.Time
	Log         zerolog.Logger
}

// Settings of the queues.
type Settings struct {
	Timeout       time.Duration // of one job
	RescueAfter   time.Duration // a dead process's job runs again after this
	FetchCooldown time.Duration
	Completed     time.Duration // retention of finished jobs
	Cancelled     time.Duration
	Discarded     time.Duration
	WorkersFor    func(queue string) int // per process
	SoftStop      time.Duration          // how long Stop lets jobs finish
	Reindexed     []string               // the queue's indexes that River rebuilds each night; nil: its own choice. Only their owner may
}

// NewClient gives a River client that works every queue; Start it, then Stop it.
func NewClient(pool *pgxpool.Pool, w *Workers, s Settings, logger *slog.Logger) (*river.Client[pgx.Tx], error) {
	workers := river.NewWorkers()
	river.AddWorker(workers, &applyInbound{Workers: w})
	river.AddWorker(workers, &provisionCredential{Workers: w})
	river.AddWorker(workers, &revokeCredential{Workers: w})
	river.AddWorker(workers, &endCredential{Workers: w})
	river.AddWorker(workers, &revokeArchived{Workers: w})
	river.AddWorker(workers, &deliverLane{Workers: w})
	river.AddWorker(workers, &sendMail{Workers: w})
	river.AddWorker(workers, &sealHistory{Workers: w})
	river.AddWorker(workers, &sweep{Workers: w})
	river.AddWorker(workers, &keepWebhooks{Workers: w})
	river.AddWorker(workers, &replayWebhooks{Workers: w})
	river.AddWorker(workers, &catchUp{Workers: w})
	river.AddWorker(workers, &readRequest{Workers: w})
	river.AddWorker(workers, &readEstablishments{Workers: w})
	river.AddWorker(workers, &sendFolder{Workers: w})
	river.AddWorker(workers, &readNotices{Workers: w})
	river.AddWorker(workers, &registerReceiver{Workers: w})
	river.AddWorker(workers, &followReceivers{Workers: w})
	river.AddWorker(workers, &endKeys{Workers: w})
	river.AddWorker(workers, &tendKeys{Workers: w})

	queues := map[string]river.QueueConfig{}
	add := func(name string) {
		queues[name] = river.QueueConfig{MaxWorkers: s.WorkersFor(name), FetchCooldown: s.FetchCooldown}
	}
	for _, name := range []string{QueueRegistry, QueueMail, QueueWebhooks, QueueSlowWebhooks, QueueUpkeep} {
		add(name)
	}
	for name, m := range w.Managers {
		if !m.Paused {
			add(PartnerQueue(name))
		}
	}
	for name := range w.Sources {
		add(PartnerQueue(name))
	}
	if w.Folders != nil {
		add(QueueFolders)
	}
	if w.Establishments != nil {
		add(PartnerQueue(registry.Sirene))
	}
	w.Webhooks.holder, w.Webhooks.lanes = uuid.New(), queues[QueueWebhooks].MaxWorkers
	w.Webhooks.due = w.Store.NewDueSource(w.Webhooks.holder)
	w.Webhooks.Waker.most = asidePerWorker * w.Webhooks.lanes
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		Queues: queues, Workers: workers, Logger: logger,
		JobTimeout: s.Timeout, RescueStuckJobsAfter: s.RescueAfter, FetchCooldown: s.FetchCooldown,
		MaxAttempts: maxAttempts, RetryPolicy: retryPolicy{}, SoftStopTimeout: s.SoftStop,
		CompletedJobRetentionPeriod: s.Completed, CancelledJobRetentionPeriod: s.Cancelled, DiscardedJobRetentionPeriod: s.Discarded,
		PeriodicJobs: w.periodic(), ReindexerIndexNames: s.Reindexed,
		Middleware: []rivertype.Middleware{&jobLog{log: w.Log}},
	})
	if err != nil {
		return nil, fmt.Errorf("open the workers: %w", err)
	}
	return client, nil
}

// periodic are the jobs that one of the processes queues again and again.
func (w *Workers) periodic() []*river.PeriodicJob {
	every := func(period time.Duration, args river.JobArgs) *river.PeriodicJob {
		return river.NewPeriodicJob(river.PeriodicInterval(period), func() (river.JobArgs, *river.InsertOpts) { return args, nil },
			&river.PeriodicJobOpts{RunOnStart: true})
	}
	list := []*river.PeriodicJob{
		every(sweepEvery, SweepArgs{}), every(keepWebhooksEvery, KeepWebhooksArgs{}), every(sealEvery, SealHistoryArgs{}),
		every(endKeysEvery, EndKeysArgs{}), every(tendKeysEvery, TendKeysArgs{}),
	}
	if w.Folders != nil {
		list = append(list, every(w.Folders.NoticesEvery, ReadNoticesArgs{}))
		if w.Folders.Directory != nil {
			list = append(list, every(w.Folders.FollowEvery, FollowReceiversArgs{}))
		}
	}
	if w.Establishments != nil {
		list = append(list, every(readEstablishmentsEvery, ReadEstablishmentsArgs{}))
	}
	for name, source := range w.Sources {
		if source.API != nil && source.CatchUpEvery > 0 {
			list = append(list, every(source.CatchUpEvery, CatchUpArgs{Source: name}))
		}
	}
	return list
}

// jobLog writes one event per job: what, how long, what came of it. Errors in
// it come from connectors (redacted) and from our own code (no personal data).
type jobLog struct {
	river.MiddlewareDefaults
	log zerolog.Logger
}

func (m *jobLog) Work(ctx context.Context, job *rivertype.JobRow, next func(context.Context) error) error {
	start := time.Now()
	ctx = registry.WithActor(ctx, "job:"+job.Kind)
	err := next(ctx)
	level := zerolog.InfoLevel
	if slices.Contains([]string{(SweepArgs{}).Kind(), (DeliverLaneArgs{}).Kind(), (ReplayWebhooksArgs{}).Kind(), (EndKeysArgs{}).Kind()}, job.Kind) {
		level = zerolog.DebugLevel
	}
	if err != nil {
		level = zerolog.WarnLevel
	}
	m.log.WithLevel(level).Err(err).Str("job", job.Kind).Int64("id", job.ID).Str("queue", job.Queue).Int("attempt", job.Attempt).
		RawJSON("args", job.EncodedArgs).Dur("duration", time.Since(start)).Msg("job")
	return err
}

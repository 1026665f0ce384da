package jobs

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"math"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// Source is a DataPass whose requests are mirrored.
type Source struct {
	API          connectors.RequestSource // nil: webhooks alone
	Definitions  []string                 // what it may speak of; none: everything
	CatchUpEvery time.Duration            // 0: never
}

// CatchUpArgs names a source to catch up with.
type CatchUpArgs struct {
	Source string `json:"source"`
}

// Kind is the job's name in the queue.
func (CatchUpArgs) Kind() string { return "catch_up" }

// alive are the states of a job that is not over.
var alive = []rivertype.JobState{
	rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRunning, rivertype.JobStateRetryable, rivertype.JobStateScheduled,
}

// InsertOpts puts it into its source's queue: one of a source at a time, on all
// replicas. What a few tries do not bring waits for the next period.
func (a CatchUpArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{
		Queue: PartnerQueue(a.Source), MaxAttempts: 3, UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: alive},
	}
}

type catchUp struct {
	river.WorkerDefaults[CatchUpArgs]
	*Workers
}

// The stages of a round. An approval makes an habilitation, new requests come
// first in the list, a revocation shows among the revoked: these are read at
// every round, as far back as the round before. Whatever else may change (a
// refusal, an archive) is found by the walk over all requests, some pages a round.
type stage string

const (
	newRequests      stage = "new_requests"
	newHabilitations stage = "new_habilitations"
	revocations      stage = "revocations"
	everyRequest     stage = "every_request"
	over             stage = "over"
)

// progress is where the catch-up with a source stands, kept between jobs so that
// any process goes on from the last page.
type progress struct {
	Stage  stage     `json:"stage"`
	Offset int       `json:"offset"`         // in the stage's list
	Began  time.Time `json:"began,omitzero"` // of this round, by the source's clock
	Since  time.Time `json:"since,omitzero"` // when the last whole round began; zero: none was
	Walked int       `json:"walked"`         // pages of the walk in this round
	Walk   int       `json:"walk"`           // its offset, kept from round to round
}

const (
	progressKey = "catch_up"
	// overlap is read again at each round: clocks and transactions at the source
	// are not exact.
	overlap = time.Hour
	// walkPages bounds the walk of one round.
	walkPages = 5
	// goOnAfter is the pause of a round that takes longer than one job.
	goOnAfter = time.Second
)

// tally is what a job read and did.
type tally struct{ pages, changed, skipped, failed int }

// Work goes on with the round under way, or begins one, for half the time that
// the job has; what remains is another job's.
func (w *catchUp) Work(ctx context.Context, job *river.Job[CatchUpArgs]) error {
	source, ok := w.Sources[job.Args.Source]
	if !ok || source.API == nil {
		return nil
	}
	ctx = connectors.WithCorrelation(ctx, uuid.NewString())
	ledger := w.Store.Ledger("datapass/" + job.Args.Source)
	p, err := readProgress(ctx, ledger)
	if err != nil {
		return err
	}
	until := w.halfTime(ctx)
	t := &tally{}
	for p.Stage != over {
		if err := w.page(ctx, job.Args.Source, source, &p, t); err != nil {
			return w.settleSource(ctx, job.Args.Source, err)
		}
		if err := writeProgress(ctx, ledger, p); err != nil {
			return err
		}
		if time.Now().After(until) && p.Stage != over {
			w.report(job.Args.Source, "catching up", p, t)
			return river.JobSnooze(goOnAfter)
		}
	}
	w.report(job.Args.Source, "caught up", p, t)
	if err := w.Registry.Record(ctx, &registry.PartnerAnswered{Name: job.Args.Source}); err != nil {
		return err
	}
	return writeProgress(ctx, ledger, progress{Stage: newRequests, Since: p.Began, Walk: p.Walk})
}

func (w *catchUp) report(source, what string, p progress, t *tally) {
	w.Log.Info().Str("source", source).Str("stage", string(p.Stage)).Int("pages", t.pages).Int("changed", t.changed).
		Int("skipped", t.skipped).Int("failed", t.failed).Msg(what)
}

// halfTime is when a job that has a deadline makes room.
func (w *Workers) halfTime(ctx context.Context) time.Time {
	now := time.Now()
	if deadline, ok := ctx.Deadline(); ok {
		return now.Add(deadline.Sub(now) / 2)
	}
	return now.Add(20 * time.Second)
}

func readProgress(ctx context.Context, ledger connectors.Ledger) (progress, error) {
	p := progress{Stage: newRequests}
	raw, known, err := ledger.Get(ctx, progressKey)
	if err != nil || !known {
		return p, err
	}
	return p, json.Unmarshal(raw, &p)
}

func writeProgress(ctx context.Context, ledger connectors.Ledger, p progress) error {
	raw, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return ledger.Put(ctx, progressKey, raw)
}

// page reads one page of the stage and moves on.
func (w *catchUp) page(ctx context.Context, name string, source Source, p *progress, t *tally) error {
	t.pages++
	switch p.Stage {
	case newRequests:
		return w.newRequests(ctx, name, source, p, t)
	case newHabilitations:
		return w.habilitations(ctx, name, source, "", p, t)
	case revocations:
		return w.habilitations(ctx, name, source, string(habilitation.GrantRevoked), p, t)
	case everyRequest:
		return w.walk(ctx, name, source, p, t)
	}
	p.Stage = over
	return nil
}

// next goes on with the stage's list, or to the next stage.
func (p *progress) next(read int, ended bool, then stage) {
	p.Offset += read
	if ended {
		p.Stage, p.Offset = then, 0
	}
}

// seen reports whether what was created at a time was within an earlier round.
func (p *progress) seen(created time.Time) bool {
	return !p.Since.IsZero() && created.Before(p.Since.Add(-overlap))
}

func (w *catchUp) newRequests(ctx context.Context, name string, source Source, p *progress, t *tally) error {
	page, err := source.API.Requests(ctx, p.Offset)
	if err != nil {
		return err
	}
	if p.Began.IsZero() {
		p.Began = page.AsOf
	}
	if err := w.applyPage(ctx, name, source, page, t); err != nil {
		return err
	}
	ended := len(page.Items) == 0 || p.seen(page.Items[len(page.Items)-1].CreatedAt)
	then := newHabilitations
	if p.Since.IsZero() && ended {
		then = over // every request was read just now, with its habilitations
	}
	p.next(len(page.Items), ended, then)
	return nil
}

// habilitations reads those new since the last round, or all those of a state,
// and the requests of those that are mirrored otherwise.
func (w *catchUp) habilitations(ctx context.Context, name string, source Source, state string, p *progress, t *tally) error {
	page, err := source.API.Habilitations(ctx, state, p.Offset)
	if err != nil {
		return err
	}
	doubted, err := w.Registry.DoubtedHabilitations(ctx, name, source.Definitions, page.Items)
	if err != nil {
		return err
	}
	for _, id := range doubted {
		if err := w.readOne(ctx, name, source, id, t); err != nil {
			return err
		}
	}
	if state != "" {
		p.next(len(page.Items), len(page.Items) == 0, everyRequest)
		return nil
	}
	p.next(len(page.Items), len(page.Items) == 0 || p.seen(page.Items[len(page.Items)-1].CreatedAt), revocations)
	return nil
}

// walk compares some pages of all requests, from where the last round stopped.
func (w *catchUp) walk(ctx context.Context, name string, source Source, p *progress, t *tally) error {
	page, err := source.API.Requests(ctx, p.Walk)
	if err != nil {
		return err
	}
	if err := w.applyPage(ctx, name, source, page, t); err != nil {
		return err
	}
	p.Walk += len(page.Items)
	p.Walked++
	if len(page.Items) == 0 {
		p.Walk = 0
	}
	if len(page.Items) == 0 || p.Walked >= walkPages {
		p.Stage = over
	}
	return nil
}

// applyPage feeds what differs from the mirror through the registry.
func (w *catchUp) applyPage(ctx context.Context, name string, source Source, page connectors.SourcePage[connectors.SourceRequest], t *tally) error {
	unlike, skipped, err := w.Registry.Unlike(ctx, name, source.Definitions, page)
	if err != nil {
		return err
	}
	t.skipped += skipped
	for _, shown := range unlike {
		if err := w.apply(ctx, name, shown, page.AsOf, t); err != nil {
			return err
		}
	}
	return nil
}

// apply records one. What cannot be recorded for a reason of its own does not
// keep the rest from being caught up with.
func (w *Workers) apply(ctx context.Context, name string, shown connectors.SourceRequest, asOf time.Time, t *tally) error {
	cmd := &registry.CatchUp{Source: name, Shown: shown, AsOf: asOf}
	err := w.Registry.Record(ctx, cmd)
	switch {
	case err == nil && cmd.Verdict.Outcome == habilitation.Applied:
		t.changed++
	case err != nil && (store.Unavailable(err) || ctx.Err() != nil):
		return err
	case err != nil:
		t.failed++
		w.Log.Error().Err(err).Str("source", name).Int64("request", shown.ID).Msg("a request of a source could not be caught up with")
	}
	return nil
}

// readOne reads one request and applies it; one that the source does not show
// stays as it is.
func (w *Workers) readOne(ctx context.Context, name string, source Source, id int64, t *tally) error {
	shown, asOf, err := source.API.Request(ctx, id)
	if connectors.Is(err, connectors.NotFound) {
		t.skipped++
		return nil
	}
	if err != nil {
		return err
	}
	unlike, skipped, err := w.Registry.Unlike(ctx, name, source.Definitions, connectors.SourcePage[connectors.SourceRequest]{
		Items: []connectors.SourceRequest{shown}, AsOf: asOf,
	})
	t.skipped += skipped
	if err != nil || len(unlike) == 0 {
		return err
	}
	return w.apply(ctx, name, shown, asOf, t)
}

// settleSource turns a source's error into what River does with the job, and
// shows it to operators. Nothing is paused: the next period tries again.
func (w *Workers) settleSource(ctx context.Context, name string, err error) error {
	var e *connectors.Error
	if !errors.As(err, &e) {
		return err
	}
	w.reportPartner(ctx, &registry.PartnerFailed{Name: name, Class: e.Class, Reason: e.Error(), PauseAfter: math.MaxInt})
	switch e.Class {
	case connectors.RateLimited, connectors.Pending:
		return river.JobSnooze(cmp.Or(e.After, time.Minute))
	case connectors.Temporary:
		return err
	}
	return river.JobCancel(err)
}

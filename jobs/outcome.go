package jobs

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/registry"
)

// retryWaits grow from seconds to an hour; the last one repeats. A job is tried
// for about four days (maxAttempts), then River discards it; the credential or
// mail shows why, and the sweep queues it anew.
var retryWaits = []time.Duration{
	2 * time.Second, 5 * time.Second, 15 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour,
}

const maxAttempts = 100

func retryWait(attempt int) time.Duration {
	wait := retryWaits[min(max(attempt, 1), len(retryWaits))-1]
	return wait + time.Duration(rand.Int64N(int64(wait)/5+1)) //nolint:gosec // spreads retries, protects nothing
}

type retryPolicy struct{}

func (retryPolicy) NextRetry(job *rivertype.JobRow) time.Time {
	return time.Now().Add(retryWait(len(job.Errors) + 1))
}

// What a partner's failure means for the partner's queue: after this many
// failures in a row nothing more is sent to it until a probe answers.
const failuresBeforePause = 3

// pauseWait is how long a queue rests before the next probe.
func pauseWait(failures int) time.Duration {
	wait := 2 * time.Second << min(max(failures-failuresBeforePause, 0), 7)
	return min(wait, 2*time.Minute)
}

// unauthorizedWait: our credentials are refused; a person must act, a probe looks now and then.
const unauthorizedWait = time.Minute

// settle turns a connector's error into what River does with the job, and tells
// the registry what it says about the partner. Final errors (Rejected,
// Conflict, NotFound) are recorded by the caller before.
func (w *Workers) settle(ctx context.Context, partner string, err error) error {
	var e *connectors.Error
	if !errors.As(err, &e) {
		return err // not the partner's: River retries
	}
	switch e.Class {
	case connectors.Rejected, connectors.Conflict, connectors.NotFound:
		return river.JobCancel(err)
	case connectors.Pending:
		return river.JobSnooze(cmp.Or(e.After, time.Minute))
	case connectors.RateLimited:
		w.reportPartner(ctx, &registry.PausePartner{Name: partner, For: max(e.After, time.Second), Class: e.Class, Reason: e.Error()})
		return river.JobSnooze(max(e.After, time.Second))
	case connectors.Unauthorized:
		w.reportPartner(ctx, &registry.PausePartner{Name: partner, For: unauthorizedWait, Class: e.Class, Reason: e.Error()})
	default:
		w.reportPartner(ctx, &registry.PartnerFailed{Name: partner, Class: e.Class, Reason: e.Error(), PauseAfter: failuresBeforePause, Wait: pauseWait})
	}
	return err
}

// reportPartner records what is known of a partner. The job's own outcome
// stands, whatever becomes of this record: the next failure tries again.
func (w *Workers) reportPartner(ctx context.Context, cmd registry.Command) {
	if errors.Is(ctx.Err(), context.Canceled) {
		return // this process stops: that says nothing of the partner
	}
	if err := w.recordOutcome(ctx, cmd); err != nil {
		w.Log.Error().Err(err).Msg("could not record the state of a partner")
	}
}

// recordOutcome records what came of work whose own time may be over.
func (w *Workers) recordOutcome(ctx context.Context, cmd registry.Command) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return w.Registry.Record(ctx, cmd)
}

// readAgainAfter is the wait between two reads of what a manager does not show
// yet, the longer the older the change is.
func readAgainAfter(age time.Duration) time.Duration {
	return min(max(age/4, time.Second), time.Minute)
}

package jobs

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// Establishments is where what INSEE knows of organizations comes from.
type Establishments struct {
	Register     connectors.EstablishmentRegister
	PerMinute    int           // calls, of all replicas together
	RefreshAfter time.Duration // an answer is asked for again after this
}

const (
	readEstablishmentsEvery = time.Minute
	// askAgainAfter and unknownAgainAfter: when one SIRET is asked about again
	// after a failure, and after INSEE said that it does not know it (a new
	// establishment takes days to appear).
	askAgainAfter     = 10 * time.Minute
	unknownAgainAfter = 24 * time.Hour
	// failuresBeforeRest ends a round: the register is down, not one establishment.
	failuresBeforeRest = 3
)

// ReadEstablishmentsArgs is a round over the organizations that INSEE is to be
// asked of.
type ReadEstablishmentsArgs struct{}

// Kind is the job's name in the queue.
func (ReadEstablishmentsArgs) Kind() string { return "read_establishments" }

// InsertOpts puts it into the register's queue, one at a time on all replicas:
// that is what keeps the rate. What it does not bring waits for the next round.
func (ReadEstablishmentsArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{
		Queue: PartnerQueue(registry.Sirene), MaxAttempts: 1, UniqueOpts: river.UniqueOpts{ByState: alive},
	}
}

type readEstablishments struct {
	river.WorkerDefaults[ReadEstablishmentsArgs]
	*Workers
}

// Work asks for each organization that is due, as many as a minute allows, for
// half the time that the job has.
func (w *readEstablishments) Work(ctx context.Context, _ *river.Job[ReadEstablishmentsArgs]) error {
	if w.Establishments == nil {
		return nil
	}
	ctx = connectors.WithCorrelation(ctx, uuid.NewString())
	due, err := w.Store.OrganizationsDue(ctx, w.Now(), w.Establishments.PerMinute)
	if err != nil {
		return err
	}
	until := w.halfTime(ctx)
	failures, read := 0, 0
	for _, o := range due {
		if time.Now().After(until) {
			break
		}
		err := w.readEstablishment(ctx, o)
		var e *connectors.Error
		switch {
		case err == nil:
			failures = 0
			read++
			continue
		case !errors.As(err, &e):
			return err // ours
		case e.Class == connectors.RateLimited, e.Class == connectors.Unauthorized:
			return w.settleSource(ctx, registry.Sirene, err)
		}
		if failures++; failures == failuresBeforeRest {
			return w.settleSource(ctx, registry.Sirene, err)
		}
	}
	if read > 0 {
		w.reportPartner(ctx, &registry.PartnerAnswered{Name: registry.Sirene})
	}
	return nil
}

// readEstablishment asks for one and records what came, also that nothing did.
func (w *readEstablishments) readEstablishment(ctx context.Context, o store.DueOrganization) error {
	now := w.Now()
	payload, err := w.Establishments.Register.Establishment(ctx, o.SIRET)
	if err == nil {
		return w.Registry.Record(ctx, &registry.RecordEstablishment{OrganizationID: o.ID, Payload: payload, Due: now.Add(w.Establishments.RefreshAfter)})
	}
	var e *connectors.Error
	if !errors.As(err, &e) {
		return err
	}
	wait := askAgainAfter
	switch e.Class {
	case connectors.NotFound, connectors.Rejected:
		wait = unknownAgainAfter
	case connectors.RateLimited:
		wait = e.After
	}
	problem := &registry.EstablishmentWaits{OrganizationID: o.ID, Problem: problemOf(e), Due: now.Add(wait)}
	if rerr := w.recordOutcome(ctx, problem); rerr != nil {
		return rerr
	}
	if e.Class == connectors.NotFound {
		return nil // the register answered
	}
	return err
}

func problemOf(e *connectors.Error) string {
	if e.Class == connectors.NotFound {
		return "l’INSEE ne connaît pas ce SIRET, ou ne le diffuse pas"
	}
	return "l’INSEE n’a pas répondu : " + cmp.Or(e.Detail, string(e.Class))
}

package journey

import (
	"context"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// Limits are the times of a fetch.
type Limits struct {
	Exchange time.Duration // code, key set and userinfo
	Budget   time.Duration // from the token to an answer
	Attempt  time.Duration // of one question
	Backoff  time.Duration // before the second; it doubles
	Silence  time.Duration // a fetch that did not show itself for so long died with its process
}

// DefaultLimits are those of api-particulier.md, AP-2, and franceconnect.md, FC-6.
func DefaultLimits() Limits {
	return Limits{Exchange: 15 * time.Second, Budget: 45 * time.Second, Attempt: 20 * time.Second, Backoff: time.Second, Silence: 15 * time.Second}
}

const (
	maxAttempts = 3
	grace       = 5 * time.Second // to write what came of it
	pollLease   = 150 * time.Millisecond
)

// errLate: no attempt starts any more for this token.
var errLate = errors.New("journey: the token's time is over")

// fetch finds out who she is and asks her quotient, and writes what came of it
// under her key.
func (s *Service) fetch(ctx context.Context, t Ticket, receiver int64, cb connectors.Callback) {
	log := s.Log.With().Str("correlation", connectors.Correlation(ctx)).Str("journey", t.ID.String()).Logger()
	ctx, cancel := context.WithTimeout(ctx, s.Settings.Limits.Exchange+s.Settings.Limits.Budget)
	defer cancel()
	defer s.showFetch(ctx, t.ID, log)()
	result, err := s.ask(ctx, receiver, cb, log)
	write, done := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer done()
	outcome := "ok"
	if err != nil {
		outcome = string(failureOf(err))
	}
	if untraced := s.trace(write, log, t.ID, result, outcome); untraced != nil {
		log.Error().Err(untraced).Msg("a connection could not be written down: what came of it is not shown")
		err, outcome = untraced, string(FailedInterrupted)
	}
	if err == nil {
		err = s.reviewed(write, t, result.who, result.got.Family, result.early)
	} else {
		why := failureOf(err)
		var identity *connectors.PivotIdentity
		if why.lastsForHer() { // she sees it, or sends it alone
			identity = &result.who.Identity
		}
		err = s.fail(write, t, store.JourneyFetching, why, identity, result.who.IDToken.Reveal())
	}
	s.count("fetch", outcome)
	if err != nil && !errors.Is(err, ErrStep) && !errors.Is(err, ErrGone) { // she may have left meanwhile
		log.Error().Err(err).Msg("what came of a journey could not be written")
	}
}

// showFetch keeps a fetch from being taken for dead, until the answer is called.
func (s *Service) showFetch(ctx context.Context, id uuid.UUID, log zerolog.Logger) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	over := make(chan struct{})
	go func() {
		defer close(over)
		tick := time.NewTicker(s.Settings.Limits.Silence / 3)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if err := s.Store.ShowFetch(ctx, id, s.Now().Add(s.Settings.Limits.Silence)); err != nil && ctx.Err() == nil {
					log.Warn().Err(err).Msg("a fetch could not show that it lives")
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() { cancel(); <-over }
}

type answer struct {
	who      connectors.Citizen
	got      connectors.QuotientAnswer
	early    bool
	receiver store.Receiver
	right    int64
	scopes   []string
}

// errNothing: an answer that holds no quotient (qf-form.md, D-16).
var errNothing = errors.New("journey: an answer without a quotient")

func (s *Service) ask(ctx context.Context, receiver int64, cb connectors.Callback, log zerolog.Logger) (a answer, err error) {
	if a.receiver, err = s.Store.Receiver(ctx, receiver); err != nil {
		return a, err
	}
	if a.scopes, a.right, err = s.covers(ctx, receiver); err != nil {
		return a, err
	}
	exchange, cancel := context.WithTimeout(ctx, s.Settings.Limits.Exchange)
	a.who, err = s.Identity.Exchange(exchange, cb)
	cancel()
	if err != nil {
		level := zerolog.WarnLevel
		switch {
		case errors.Is(err, connectors.ErrCancelled):
			level = zerolog.InfoLevel
		case errors.Is(err, connectors.ErrUnverified), connectors.Is(err, connectors.Unauthorized), connectors.Is(err, connectors.Rejected) && !errors.Is(err, connectors.ErrCodeSpent):
			level = zerolog.ErrorLevel // an alert: FC-13
		}
		log.WithLevel(level).Err(err).Msg("who she is could not be found out")
		return a, err
	}
	until := a.who.TokenAt.Add(s.Settings.Limits.Budget)
	q := connectors.QuotientQuestion{Token: a.who.Token, TokenBy: a.who.TokenBy, Recipient: a.receiver.Siret, Scopes: a.scopes}
	ctx, cancel = context.WithTimeout(ctx, until.Sub(s.Now()))
	defer cancel()
	a.got, err = s.patiently(ctx, q, until, log)
	today := s.Now().In(s.Settings.Location)
	if causeOf(err) == connectors.QuotientNoFile && earlyInMonth(today) {
		// The CAF has not computed this month yet: the one before is a good answer, and is labelled.
		before := connectors.MonthOf(today).Before()
		q.Month, q.Fresh = &before, true
		earlier, again := s.patiently(ctx, q, until, log)
		if again == nil || causeOf(again) != connectors.QuotientNoFile {
			a.got, a.early, err = earlier, again == nil, again
		}
	}
	if err == nil && a.got.Family.Quotient == nil {
		err = errNothing
	}
	return a, err
}

// patiently asks until there is an answer, its attempts are used up, or the
// token's time is over.
func (s *Service) patiently(ctx context.Context, q connectors.QuotientQuestion, until time.Time, log zerolog.Logger) (connectors.QuotientAnswer, error) {
	for attempt := 1; ; attempt++ {
		got, err := s.once(ctx, q)
		if err == nil || errors.Is(err, errLate) {
			return got, err
		}
		why, level := new(connectors.QuotientError), zerolog.WarnLevel
		if errors.As(err, &why) {
			if why.Cause == connectors.QuotientRights || why.Cause == connectors.QuotientOurs || why.Unlisted {
				level = zerolog.ErrorLevel // an alert: our right, or our question
			}
		}
		log.WithLevel(level).Str("cause", string(why.Cause)).Str("code", why.Code).Str("request_id", why.RequestID).Int("attempt", attempt).Str("siret", q.Recipient).Str("class", string(connectors.ClassOf(err))).Msg("no quotient")
		wait, again := pause(err, attempt, s.Settings.Limits.Backoff)
		if next := s.Now().Add(wait); !again || attempt >= maxAttempts || !next.Before(q.TokenBy) || !next.Before(until) {
			return got, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return got, err
		}
	}
}

// pause says whether to ask again, and when: with full jitter that doubles from
// the first backoff, or when the partner says.
func pause(err error, attempt int, first time.Duration) (time.Duration, bool) {
	var partner *connectors.Error
	after := time.Duration(0)
	if errors.As(err, &partner) {
		after = partner.After
	}
	switch causeOf(err) {
	case connectors.QuotientBusy, connectors.QuotientDown, connectors.QuotientQuota, connectors.QuotientMaintenance:
	default:
		return 0, false
	}
	window := first << (attempt - 1)
	jitter := time.Duration(rand.Int64N(int64(window))) //nolint:gosec // spreads calls, protects nothing
	if causeOf(err) == connectors.QuotientBusy {
		jitter += first // 1 to 2 s: the other call needs its time
	}
	return after + jitter, true
}

func causeOf(err error) connectors.QuotientCause {
	var q *connectors.QuotientError
	if errors.As(err, &q) {
		return q.Cause
	}
	return ""
}

// once makes one call when it is the recipient's turn: two at once would be told
// that they are the same one (api-particulier.md, 5, "false 409").
func (s *Service) once(ctx context.Context, q connectors.QuotientQuestion) (connectors.QuotientAnswer, error) {
	release, err := s.turn(ctx, q.Recipient, q.TokenBy)
	if err != nil {
		return connectors.QuotientAnswer{}, err
	}
	defer release()
	if !s.Now().Before(q.TokenBy) {
		return connectors.QuotientAnswer{}, errLate
	}
	ctx, cancel := context.WithTimeout(ctx, s.Settings.Limits.Attempt)
	defer cancel()
	got, err := s.Quotients.ByFranceConnect(ctx, q)
	if err != nil && causeOf(err) == "" { // a transport fault, or a deadline
		err = &connectors.QuotientError{Cause: connectors.QuotientDown, Err: err}
	}
	return got, err
}

// turn waits for the recipient's turn: in this process first come, first served;
// among processes by a lease, which a dead one loses.
func (s *Service) turn(ctx context.Context, recipient string, tokenBy time.Time) (func(), error) {
	slot, _ := s.turns.LoadOrStore(recipient, make(chan struct{}, 1))
	mine := slot.(chan struct{}) //nolint:forcetypeassert // the map holds nothing else
	wait := time.NewTimer(max(tokenBy.Sub(s.Now()), 0))
	defer wait.Stop()
	select {
	case mine <- struct{}{}:
	case <-wait.C:
		return nil, errLate
	case <-ctx.Done():
		return nil, errLate
	}
	for {
		release, ok, err := s.Gate.Lock(ctx, "quotient/"+recipient, s.Settings.Limits.Attempt+grace)
		if err != nil {
			<-mine
			return nil, err
		}
		if ok {
			return func() { release(); <-mine }, nil
		}
		select {
		case <-time.After(pollLease):
		case <-wait.C:
			<-mine
			return nil, errLate
		case <-ctx.Done():
			<-mine
			return nil, errLate
		}
	}
}

// NoticeVersion names the words that she was shown about her rights.
const NoticeVersion = "2026-11"

// trace writes down a connection (franceconnect.md, 10; qf-form.md, M-23): no name,
// no value, no token. The log repeats its hash: a witness outside the database.
func (s *Service) trace(ctx context.Context, log zerolog.Logger, id uuid.UUID, a answer, outcome string) error {
	if a.right == 0 { // nothing was asked of anybody
		return nil
	}
	var categories []string
	for name, there := range map[string]bool{
		"quotient_familial": a.got.Family.Quotient != nil, "allocataires": a.got.Family.Allocataires != nil, "enfants": a.got.Family.Enfants != nil,
	} {
		if there {
			categories = append(categories, name)
		}
	}
	slices.Sort(categories)
	line, err := s.Store.AppendTrace(ctx, store.Trace{
		ReceiverID: a.receiver.ID, At: s.Now(), JourneyID: id, Event: store.TraceConnection, Outcome: outcome, Siret: a.receiver.Siret, Cog: a.receiver.Cog,
		HabilitationID: a.right, SubHash: a.who.SubjectHash, Acr: a.who.ACR, Scopes: a.scopes, Categories: categories, MonthBefore: a.early,
		RequestID: a.got.RequestID, Notice: NoticeVersion, Correlation: connectors.Correlation(ctx),
	})
	if err != nil {
		return err
	}
	log.Info().Str("siret", line.Siret).Str("cog", line.Cog).Int64("trace", line.Seq).Str("hash", hex.EncodeToString(line.Hash)).
		Str("request_id", line.RequestID).Bool("cached", a.got.Cached).Str("outcome", outcome).Msg("connection")
	return nil
}

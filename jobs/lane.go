package jobs

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

const (
	// lingerFor is how long an idle lane waits for more, where there is room:
	// starting one costs more than keeping it for a moment.
	lingerFor = 5 * time.Second
	// lingerFailing is the same after a failure: what waits then is postponed, and
	// costs no worker.
	lingerFailing = 2 * queuedFor
	// lingerTick is the first of its looks for what another process stored; each
	// wait is twice as long as the one before, up to maxTick, or up to heardTick
	// while the process hears what others store. All lanes look at the same
	// moments, so that one statement answers them.
	lingerTick = 25 * time.Millisecond
	maxTick    = 8 * lingerTick
	heardTick  = 40 * lingerTick
	// turnEnds is how long a lane whose turn is over waits for what is in flight:
	// a quick receiver has answered by then, and the next lane begins. What takes
	// longer is kept in flight by this one, which begins another turn beside it.
	turnEnds = 100 * time.Millisecond
	// prefetch is how many deliveries a quick receiver has ready, for each in flight.
	prefetch = 8
	// quick is the longest mean time of an answer for which it is worth it.
	quick = 50 * time.Millisecond
	// maxAsk bounds what is read at once.
	maxAsk = 100
	// rereadEvery: what was committed late lies before where a backlog was read to.
	rereadEvery = time.Second
	// slowAnswer makes an endpoint slow, when one answer in twenty takes as long.
	slowAnswer = 2 * time.Second
	// asidePart of the time limit of a delivery without any answer, and its lane
	// goes on without a worker.
	asidePart = 10
	// shortPause is the longest wait for the rate that a lane sits out.
	shortPause = 50 * time.Millisecond
	// okEvery is how often the time of the last success is written.
	okEvery = time.Minute
	// warnAfter is when the owners of a failing endpoint are told.
	warnAfter = time.Hour
)

// lane delivers to one endpoint. Its loop owns all state but what mu guards.
type lane struct {
	*Workers
	row    store.Lane
	health store.Health
	since  time.Time // begin of its turn
	over   time.Time // end of its turn, while what is in flight may still be answered; zero: it has not ended

	buffer   []store.Due
	inHand   map[uuid.UUID]struct{} // read and not settled yet
	inFlight int
	limit    int // in flight at once, as the receiver bears it
	probing  bool
	fetching bool
	hungry   bool // there may be more to read
	again    bool // woken while reading
	closing  bool // takes nothing new
	failed   error

	fromFirst, fromReplay time.Time // where a backlog is read on
	fromSubject           string    // the same, of an ordered endpoint with a long one
	reread                time.Time

	idleSince time.Time // zero: it is not
	tick      time.Duration
	silent    time.Time // since when the receiver answers nothing; zero: nothing is in flight
	aside     chan struct{}
	paced     time.Time // rate: theoretical arrival time of the next one
	resumeAt  time.Time // not worth starting again before

	mean         time.Duration
	answers, lag int // answers, and how many of them were slow

	posted  chan posted
	fetched chan fetched
	signal  chan struct{}
	cut     context.CancelFunc // ends what is in flight

	mu       sync.Mutex
	pokes    bool
	stale    bool // the endpoint is another by now
	draining bool
	settled  []uuid.UUID
	lost     error
}

type posted struct {
	due    store.Due
	at     time.Time
	result connectors.DeliveryResult
	cut    bool // the process stops: nothing is known
}

type fetched struct {
	store.DueList
	full bool
	err  error
}

func newLane(w *Workers) *lane {
	return &lane{Workers: w, inHand: map[uuid.UUID]struct{}{}, fetched: make(chan fetched, 1), signal: make(chan struct{}, 1), aside: make(chan struct{})}
}

// poke says that there is something new.
func (l *lane) poke() {
	l.mu.Lock()
	l.pokes = true
	l.mu.Unlock()
	l.notify()
}

// renew says that the endpoint is another by now.
func (l *lane) renew() {
	l.mu.Lock()
	l.stale = true
	l.mu.Unlock()
	l.notify()
}

func (l *lane) drain() {
	l.mu.Lock()
	l.draining = true
	l.mu.Unlock()
	l.notify()
}

func (l *lane) notify() {
	select {
	case l.signal <- struct{}{}:
	default:
	}
}

// run delivers until nothing is left for a moment, its time is over, or the
// endpoint rests. Whatever it began is settled when it returns.
func (l *lane) run(ctx context.Context, row store.Lane) error {
	l.row, l.health, l.paced, l.since = row, row.Health, row.PacedUntil, time.Now()
	l.posted = make(chan posted, row.MaxInFlight)
	l.limit, l.hungry, l.tick, l.reread = row.MaxInFlight, true, lingerTick, l.since
	if l.health.InFlight > 0 {
		l.limit = min(l.limit, l.health.InFlight)
	}
	now := l.Now()
	if l.health.RestUntil.After(now) {
		l.closing, l.resumeAt = true, l.health.RestUntil
	} else if !l.health.RestUntil.IsZero() || l.health.Failures >= l.Webhooks.Policy.BreakAfter {
		l.probing, l.limit = true, 1
	}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		l.hear()
		if !l.closing && time.Since(l.since) > l.Webhooks.ClaimFor {
			l.close()
			l.over = time.Now()
		}
		turn := l.nextTurn(ctx)
		wait := shorter(turn, l.send(ctx))
		l.fetch(ctx)
		if l.idle() {
			if l.closing || l.lingered() {
				return errors.Join(l.failed, l.rest(ctx))
			}
			wait = l.nextLook()
		}
		timer.Reset(l.orSilence(cmp.Or(wait, l.Webhooks.ClaimFor)))
		select {
		case p := <-l.posted:
			l.inFlight--
			l.silent = time.Time{}
			l.judge(ctx, p)
		case f := <-l.fetched:
			l.take(f)
		case <-l.signal:
		case <-timer.C:
			if l.idle() {
				l.hungry = true
			}
		case <-ctx.Done():
			l.close()
			ctx = context.WithoutCancel(ctx) // what is in flight was cut by it; wait for that
		}
	}
}

// nextTurn begins another turn while receivers hold what the last one sent: the
// endpoint is not to wait for the slowest of them. The lane does so without a
// worker, which is what its turn was to give back, and with a lease anew; what is
// in flight and in hand stays counted, so that neither the limit nor the order of
// a request is another's. It gives the wait until it is to be called again; 0: no
// need.
func (l *lane) nextTurn(ctx context.Context) time.Duration {
	if l.over.IsZero() || l.inFlight == 0 {
		return 0
	}
	if left := turnEnds - time.Since(l.over); left > 0 {
		return left
	}
	l.over = time.Time{}
	if l.ends() || !l.leaveWorker() {
		return 0
	}
	if err := l.rest(ctx); err != nil {
		l.failed = err
		return 0
	}
	again, cancel := context.WithTimeout(ctx, queueTimeout)
	defer cancel()
	row, err := l.Store.KeepLane(again, l.row.EndpointID, l.Webhooks.holder, l.Webhooks.Lease, l.Now())
	if err != nil {
		if !errors.Is(err, store.ErrLaneBusy) {
			l.failed = err
		}
		return 0 // it is another's, or disabled: this lane ends with what is in flight
	}
	if row.Version != l.row.Version { // somebody may have taken it out of its rest
		l.health = row.Health
	}
	l.row, l.since, l.closing = row, time.Now(), false
	l.limit = min(max(l.limit, 1), row.MaxInFlight)
	l.answers, l.lag = 0, 0
	l.hungry, l.tick, l.idleSince = true, lingerTick, time.Time{}
	l.reread, l.fromFirst, l.fromReplay, l.fromSubject = l.since, time.Time{}, time.Time{}, ""
	return 0
}

// ends: there is to be no other turn.
func (l *lane) ends() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.draining || l.failed != nil || l.lost != nil || l.resumeAt.After(l.Now()) || l.health.RestUntil.After(l.Now())
}

// leaveWorker has the lane go on without a worker; false when too many do.
func (l *lane) leaveWorker() bool {
	if l.aside == nil {
		return true
	}
	if !l.Webhooks.Waker.stepAside(l) {
		return false
	}
	close(l.aside)
	l.aside = nil
	return true
}

// shorter is the shorter of two waits, of which 0 is none.
func shorter(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// orSilence steps aside once the receiver has answered nothing for a time, and
// cuts a wait so that it is noticed: a worker that waits for one receiver is one
// that another lane may need.
func (l *lane) orSilence(wait time.Duration) time.Duration {
	if l.inFlight == 0 || l.aside == nil {
		return wait
	}
	if l.silent.IsZero() {
		l.silent = time.Now()
	}
	left := l.Webhooks.Timeout/asidePart - time.Since(l.silent)
	if left > 0 {
		return min(wait, left)
	}
	if l.leaveWorker() {
		return wait
	}
	return min(wait, l.Webhooks.Timeout/asidePart)
}

// hear takes in what other goroutines left.
func (l *lane) hear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pokes {
		l.pokes, l.hungry, l.again = false, true, true
	}
	if l.stale {
		l.stale, l.since = false, time.Time{} // its turn is over
	}
	if len(l.settled) > 0 && l.row.Ordered {
		l.hungry, l.again = true, true // what followed them is free
	}
	for _, id := range l.settled {
		delete(l.inHand, id)
	}
	l.settled = l.settled[:0]
	if l.lost != nil && l.failed == nil {
		l.failed = l.lost
	}
	if l.draining || l.failed != nil {
		l.close()
	}
}

// close has the lane take nothing new; what it has not sent stays due.
func (l *lane) close() {
	l.closing = true
	for _, d := range l.buffer {
		delete(l.inHand, d.EventID)
	}
	l.buffer = nil
}

func (l *lane) idle() bool {
	return len(l.buffer) == 0 && l.inFlight == 0 && len(l.inHand) == 0 && !l.fetching && (l.closing || !l.hungry)
}

// send posts what is ready, and says how long the rate makes it wait; 0: not.
func (l *lane) send(ctx context.Context) time.Duration {
	for !l.closing && l.inFlight < l.limit && len(l.buffer) > 0 {
		if wait := l.pace(); wait > shortPause {
			l.close()
			l.resumeAt = l.Now().Add(wait)
			break
		} else if wait > 0 {
			return wait
		}
		d := l.buffer[0]
		l.buffer = l.buffer[1:]
		l.inFlight++
		go l.post(ctx, l.row, d)
		if l.probing {
			break
		}
	}
	return 0
}

// pace takes the endpoint's rate into account (GCRA): one second's worth may go
// at once. It gives the wait until there is room for half of that.
func (l *lane) pace() time.Duration {
	if l.row.Rate <= 0 {
		return 0
	}
	now := l.Now()
	interval := time.Duration(float64(time.Second) / l.row.Rate)
	if l.paced.Before(now) {
		l.paced = now
	}
	burst := max(interval, time.Second)
	if over := l.paced.Add(interval).Sub(now) - burst; over > 0 {
		return max(over, over+burst/2-interval)
	}
	l.paced = l.paced.Add(interval)
	return 0
}

// post is another goroutine: the row is its own.
func (l *lane) post(ctx context.Context, row store.Lane, d store.Due) {
	p := posted{due: d, at: l.Now()}
	if d.Body == nil {
		p.result = connectors.DeliveryResult{Error: registry.ReasonPurged}
		l.posted <- p
		return
	}
	header, err := l.Webhooks.Sign(row, d, p.at)
	if err != nil {
		p.result = connectors.DeliveryResult{ErrorClass: "sign", Error: err.Error()}
		l.posted <- p
		return
	}
	call, cancel := context.WithTimeout(connectors.WithCorrelation(ctx, d.Correlation), l.Webhooks.Timeout)
	defer cancel()
	p.result = l.Webhooks.Deliverer.Deliver(call, connectors.Delivery{URL: row.URL, Header: header, Body: d.Body})
	p.cut = ctx.Err() != nil && p.result.Status == 0
	l.posted <- p
}

// judge decides on a try, and has it recorded.
func (l *lane) judge(ctx context.Context, p posted) {
	if p.cut {
		delete(l.inHand, p.due.EventID)
		return
	}
	now, policy := l.Now(), l.Webhooks.Policy
	verdict := policy.Judge(l.row, p.due, p.result, now, rand.Float64()) //nolint:gosec // spreads retries, protects nothing
	if p.due.Body == nil {
		verdict = registry.Verdict{Outcome: store.Abandoned, Reason: registry.ReasonPurged}
	}
	before := l.health
	if p.due.Body != nil {
		l.health = policy.After(l.health, verdict, p.result, now, rand.Float64()) //nolint:gosec // spreads retries, protects nothing
		l.measure(p.result.Duration)
		l.adapt(verdict, now)
	}
	s := store.Settlement{
		Due: p.due, At: p.at, Result: p.result, Outcome: verdict.Outcome, NextAt: verdict.NextAt, Reason: verdict.Reason,
		Settled: func(err error) { l.done(p.due.EventID, err) },
	}
	if verdict.Outcome != store.Delivered || before.Failures > 0 || !before.RestUntil.IsZero() {
		health := l.health
		s.Health = &health
	}
	if verdict.TokenID == "" && !verdict.Gap && verdict.Disable == "" && !l.mustTell() {
		l.Registry.Settle(s)
		return
	}
	go l.settleMore(context.WithoutCancel(ctx), s, verdict)
}

// adapt follows what the receiver bears.
func (l *lane) adapt(v registry.Verdict, now time.Time) {
	switch {
	case v.Outcome == store.Delivered:
		l.probing = false
		l.limit = min(l.limit+1, l.row.MaxInFlight)
	case v.Throttled:
		l.limit = max(1, l.limit/2)
	}
	l.health.InFlight = 0
	if l.limit < l.row.MaxInFlight {
		l.health.InFlight = l.limit
	}
	if l.health.RestUntil.After(now) || v.Disable != "" {
		l.close()
		l.resumeAt = l.health.RestUntil
	}
}

func (l *lane) measure(took time.Duration) {
	l.answers++
	if took >= slowAnswer {
		l.lag++
	}
	l.mean += (took - l.mean) / time.Duration(min(l.answers, 16))
}

// mustTell: the endpoint has failed for so long that people are told.
func (l *lane) mustTell() bool {
	failing := l.health.FailingSince
	return !failing.IsZero() && l.health.WarnedAt.IsZero() && l.Now().Sub(failing) > warnAfter || l.Webhooks.Policy.Failing(l.health, l.Now())
}

// settleMore records a try that has further consequences. Each of them is safe
// to repeat: after a crash the message is sent again and all is done again.
func (l *lane) settleMore(ctx context.Context, s store.Settlement, v registry.Verdict) {
	id := s.Due.EndpointID
	if v.TokenID != "" {
		err := l.Registry.Record(ctx, &registry.TokenAnswered{Due: s.Due, TokenID: v.TokenID, Status: s.Result.Status, At: s.At})
		if err != nil {
			s.Settled(err)
			return
		}
	}
	if v.Gap {
		if err := l.Registry.Record(ctx, &registry.GiveUp{Settlement: s}); err != nil {
			s.Settled(err)
			return
		}
	}
	var err error
	switch {
	case v.Disable != "":
		err = l.Registry.Record(ctx, &registry.DisableEndpoint{ID: id, Reason: v.Disable})
	case s.Health != nil && l.Webhooks.Policy.Failing(*s.Health, l.Now()):
		err = l.Registry.Record(ctx, &registry.DisableEndpoint{ID: id, Reason: registry.ReasonFailing})
	case s.Health != nil && l.Now().Sub(s.Health.FailingSince) > warnAfter && !s.Health.FailingSince.IsZero():
		err = l.Registry.Record(ctx, &registry.EndpointFailing{ID: id, Health: *s.Health})
	}
	if v.Gap {
		s.Settled(err)
		return
	}
	settled := s.Settled
	s.Settled = func(failed error) { settled(errors.Join(err, failed)) }
	l.Registry.Settle(s)
}

// done: a try is recorded, or is not. One that is not stays due, and is sent again.
func (l *lane) done(id uuid.UUID, err error) {
	l.mu.Lock()
	l.settled = append(l.settled, id)
	if err != nil {
		l.lost = err
	}
	l.mu.Unlock()
	l.notify()
}

// fetch reads on when there is room for more.
func (l *lane) fetch(ctx context.Context) {
	room := l.limit - l.inFlight - len(l.buffer)
	if !l.probing && l.mean < quick {
		room = min(l.limit*(1+prefetch), maxAsk) - l.inFlight - len(l.buffer)
		if len(l.buffer) > l.limit {
			room = 0 // enough for now: ask for many at once
		}
	}
	if l.closing || l.fetching || !l.hungry || room <= 0 {
		return
	}
	l.fetching, l.again = true, false
	if time.Since(l.reread) > rereadEvery {
		l.reread, l.fromFirst, l.fromReplay = time.Now(), time.Time{}, time.Time{}
	}
	row := l.row // another goroutine reads it
	ask := store.Ask{Lane: &row, N: room, FromFirst: l.fromFirst, FromReplay: l.fromReplay, FromSubject: l.fromSubject, InHand: make([]uuid.UUID, 0, len(l.inHand))}
	for id := range l.inHand {
		ask.InHand = append(ask.InHand, id)
	}
	now := l.Now()
	go func() {
		answer, err := l.Webhooks.due.Due(ctx, ask, now)
		l.fetched <- fetched{DueList: answer, full: len(answer.Due) >= ask.N, err: err}
	}()
}

func (l *lane) take(f fetched) {
	l.fetching = false
	if f.err != nil {
		l.failed = f.err
		l.close()
		return
	}
	midway := !l.fromFirst.IsZero() || !l.fromReplay.IsZero()
	l.fromSubject = f.Subject
	l.hungry = f.full || l.again || midway || f.Subject != ""
	l.again = false
	if !f.full {
		l.fromFirst, l.fromReplay = time.Time{}, time.Time{}
	}
	if len(f.Due) > 0 {
		l.idleSince, l.tick = time.Time{}, lingerTick
	}
	if l.closing {
		return
	}
	for _, d := range f.Due {
		l.buffer = append(l.buffer, d)
		l.inHand[d.EventID] = struct{}{}
		if !f.full || l.row.Ordered {
			continue
		}
		switch d.Rank {
		case store.FirstTry:
			l.fromFirst = later(l.fromFirst, d.NextAt)
		case store.Replay:
			l.fromReplay = later(l.fromReplay, d.NextAt)
		}
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// lingered: an idle lane has waited long enough, as long as there is room.
func (l *lane) lingered() bool {
	if l.idleSince.IsZero() {
		l.idleSince = time.Now()
	}
	return time.Since(l.idleSince) > l.linger()
}

func (l *lane) linger() time.Duration {
	switch {
	case l.Webhooks.Waker.busy() > l.Webhooks.lanes/2:
		return queuedFor
	case l.health.Failures > 0 || l.row.Health.Slow:
		return lingerFailing
	}
	return lingerFor
}

// nextLook gives the wait until an idle lane looks for itself.
func (l *lane) nextLook() time.Duration {
	at := time.Now().Truncate(l.tick).Add(l.tick)
	l.tick = min(2*l.tick, l.Webhooks.Waker.longestTick())
	if end := l.idleSince.Add(l.linger()); at.After(end) {
		at = end.Add(time.Millisecond)
	}
	return max(time.Until(at), time.Millisecond)
}

// rest writes what is known at the end of the lane.
func (l *lane) rest(ctx context.Context) error {
	h := l.health
	if l.answers > 0 {
		h.Slow = l.lag*20 > l.answers
	}
	stale := h.LastOKAt.Sub(l.row.Health.LastOKAt) > okEvery
	if h.Slow == l.row.Health.Slow && h.InFlight == l.row.Health.InFlight && !stale {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), queueTimeout)
	defer cancel()
	return l.Store.SaveHealth(ctx, l.row.EndpointID, h)
}

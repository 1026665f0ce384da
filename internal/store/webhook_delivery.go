package store

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/store/db"
)

// Rank says in which order deliveries of an endpoint are sent.
type Rank int16

// The ranks.
const (
	FirstTry Rank = iota
	Retry
	Replay
)

// Due is one delivery whose time has come.
type Due struct {
	EndpointID     int64
	EventID        uuid.UUID
	Type           string
	Body           []byte // as it is sent; nil once purged
	Rank           Rank
	Attempts       int // made before
	Subject        string
	Seq            int64 // within the subject
	RequestID      int64
	HabilitationID int64
	NextAt         time.Time
	CreatedAt      time.Time
	FirstTryAt     time.Time // zero: never tried
	OccurredAt     time.Time
	Correlation    string
}

// Ask is what a lane wants.
type Ask struct {
	Lane   *Lane
	N      int
	InHand []uuid.UUID // taken before and not settled yet
	// FromFirst and FromReplay let a long backlog be read on from where the last
	// answer ended, not from its beginning; zero reads from there.
	FromFirst, FromReplay time.Time
	// FromSubject lets an ordered endpoint's subjects be gone through in turn, when
	// so much is due that a look at what came first does not show them all.
	FromSubject string
}

// DueList is what is due for an Ask.
type DueList struct {
	Due []Due
	// Subject is where the next Ask goes on with the subjects of an ordered
	// endpoint; "": there is no more to look at.
	Subject string
}

// DueSource answers many lanes with few statements.
type DueSource struct {
	store  *Store
	holder uuid.UUID
	gather gatherer[*dueAsk]
}

type dueAsk struct {
	ask    Ask
	now    time.Time
	answer chan dueAnswer
}

type dueAnswer struct {
	DueList
	err error
}

const (
	// orderedWindow bounds how far an ordered lane looks past what is held back.
	orderedWindow = 1000
	// mostSubjects bounds how many subjects it goes through at once beyond that.
	mostSubjects = 500
	askTimeout   = 15 * time.Second
)

// NewDueSource gives a source for the lanes that holder has taken.
func (s *Store) NewDueSource(holder uuid.UUID) *DueSource {
	d := &DueSource{store: s, holder: holder}
	d.gather = gatherer[*dueAsk]{work: d.serve, max: 256, workers: 2}
	return d
}

// Due gives what is due at the lane's endpoint, at most ask.N, first tries
// before retries before replays. Nothing is marked: the lane is its only taker.
// Nothing is given once the endpoint was changed or disabled, or its lane is
// another process's.
func (d *DueSource) Due(ctx context.Context, ask Ask, now time.Time) (DueList, error) {
	a := &dueAsk{ask: ask, now: now, answer: make(chan dueAnswer, 1)}
	d.gather.add(a)
	select {
	case answer := <-a.answer:
		return answer.DueList, answer.err
	case <-ctx.Done():
		return DueList{}, ctx.Err()
	}
}

func (d *DueSource) serve(batch []*dueAsk) {
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	found, err := d.read(ctx, batch)
	for _, a := range batch {
		answer := dueAnswer{DueList{Due: found[a.ask.Lane.EndpointID]}, err}
		if err == nil && a.ask.Lane.Ordered && len(answer.Due) < a.ask.N {
			answer.DueList, answer.err = d.beyond(ctx, a, answer.Due)
		}
		a.answer <- answer
	}
}

// beyond adds, for an ordered lane that found less than it has room for, the
// heads of subjects that are behind more of another than a lane looks at: what
// one request owes never holds back the others.
func (d *DueSource) beyond(ctx context.Context, a *dueAsk, found []Due) (DueList, error) {
	answer, lane := DueList{Due: found}, a.ask.Lane
	heads, err := d.store.q.HeadsOfSubjects(ctx, db.HeadsOfSubjectsParams{
		EndpointID: lane.EndpointID, After: a.ask.FromSubject, LookAt: orderedWindow, N: mostSubjects, Now: a.now,
	})
	if err != nil {
		return answer, fmt.Errorf("look for the subjects of endpoint %d: %w", lane.EndpointID, err)
	}
	had := make(map[uuid.UUID]bool, len(found)+len(a.ask.InHand))
	for _, id := range a.ask.InHand {
		had[id] = true
	}
	for _, due := range found {
		had[due.EventID] = true
	}
	var more []uuid.UUID
	for i, head := range heads {
		if head.Due && !had[head.EventID] {
			more = append(more, head.EventID)
		}
		if len(found)+len(more) == a.ask.N || i == mostSubjects-1 {
			answer.Subject = head.Subject
			break
		}
	}
	if len(more) == 0 {
		return answer, nil
	}
	rows, err := d.store.q.DeliveriesOf(ctx, db.DeliveriesOfParams{
		EndpointID: lane.EndpointID, Version: lane.Version, Datapass: lane.Format == FormatDataPass, Holder: d.holder, Events: more,
	})
	if err != nil {
		return answer, fmt.Errorf("read the heads of endpoint %d: %w", lane.EndpointID, err)
	}
	for _, r := range rows {
		due, err := d.store.due(db.DueDeliveriesRow(r), lane.Format == FormatDataPass)
		if err != nil {
			return answer, err
		}
		answer.Due = append(answer.Due, due)
	}
	return answer, nil
}

func (d *DueSource) read(ctx context.Context, batch []*dueAsk) (map[int64][]Due, error) {
	p := db.DueDeliveriesParams{Holder: d.holder}
	datapass := make(map[int64]bool, len(batch))
	for _, a := range batch {
		l := a.ask.Lane
		look := a.ask.N
		if l.Ordered {
			look = max(look, orderedWindow)
		}
		datapass[l.EndpointID] = l.Format == FormatDataPass
		p.Endpoints = append(p.Endpoints, l.EndpointID)
		p.Versions = append(p.Versions, l.Version)
		p.Datapass = append(p.Datapass, l.Format == FormatDataPass)
		p.Limits = append(p.Limits, int32(a.ask.N))
		p.Windows = append(p.Windows, int32(look))
		p.FromFirst = append(p.FromFirst, a.ask.FromFirst)
		p.FromReplay = append(p.FromReplay, a.ask.FromReplay)
		for _, id := range a.ask.InHand {
			p.OwedEndpoints = append(p.OwedEndpoints, l.EndpointID)
			p.OwedEvents = append(p.OwedEvents, id)
		}
		if a.now.After(p.Now) {
			p.Now = a.now
		}
	}
	rows, err := d.store.q.DueDeliveries(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("read what is due: %w", err)
	}
	found := make(map[int64][]Due, len(batch))
	for _, r := range rows {
		due, err := d.store.due(r, datapass[r.EndpointID])
		if err != nil {
			return nil, err
		}
		found[r.EndpointID] = append(found[r.EndpointID], due)
	}
	return found, nil
}

// due reads a row; sealed: its body is.
func (s *Store) due(r db.DueDeliveriesRow, sealed bool) (Due, error) {
	body := r.Body
	if sealed && len(body) > 0 {
		var err error
		if body, err = s.ring.Open(body, eventAD(r.EventID)); err != nil {
			return Due{}, fmt.Errorf("open the body of event %s: %w", r.EventID, err)
		}
	}
	return Due{
		EndpointID: r.EndpointID, EventID: r.EventID, Type: r.Type, Body: body, Rank: Rank(r.Rank), Attempts: int(r.Attempts),
		Subject: r.Subject, Seq: r.Seq, RequestID: val(r.RequestID), HabilitationID: val(r.HabilitationID), NextAt: r.NextAt,
		CreatedAt: r.CreatedAt, FirstTryAt: val(r.FirstTryAt), OccurredAt: r.OccurredAt, Correlation: r.Correlation,
	}, nil
}

// Outcomes of a try.
const (
	Delivered = "delivered"
	Failed    = "failed"    // tried again at NextAt
	Abandoned = "abandoned" // never tried again, unless replayed
)

// Settlement is one try and what it makes of its delivery.
type Settlement struct {
	Due     Due
	At      time.Time
	Result  connectors.DeliveryResult
	Outcome string
	NextAt  time.Time // Failed
	Reason  string    // Abandoned
	// Health is written with it when it changed.
	Health *Health
	// Settled is called once it is committed, or with the error that kept it from it.
	Settled func(error)
}

// Settlements records tries, many in one commit.
type Settlements struct {
	store  *Store
	gather gatherer[Settlement]
}

const (
	settleBatch   = 500
	settleTimeout = 10 * time.Second
	// settleFor is how long a record is tried again while the database is away.
	settleFor = 30 * time.Second
)

// NewSettlements gives a recorder.
func (s *Store) NewSettlements() *Settlements {
	r := &Settlements{store: s}
	// One at a time: what is known of an endpoint is written in the order it came.
	r.gather = gatherer[Settlement]{work: r.record, max: settleBatch, workers: 1}
	return r
}

// Add records a try; Settled tells.
func (r *Settlements) Add(s Settlement) { r.gather.add(s) }

// record commits a batch, again and again while the database is away: what was
// delivered and is not recorded would be sent twice.
func (r *Settlements) record(batch []Settlement) {
	deadline := time.Now().Add(settleFor)
	var err error
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		ctx, cancel := context.WithTimeout(context.Background(), settleTimeout)
		err = r.store.settle(ctx, batch)
		cancel()
		if err == nil || !Unavailable(err) || time.Now().After(deadline) {
			break
		}
		time.Sleep(wait)
	}
	if err != nil && len(batch) > 1 && !Unavailable(err) {
		// One that cannot be written never takes the others with it.
		for _, s := range batch {
			r.record([]Settlement{s})
		}
		return
	}
	for _, s := range batch {
		s.Settled(err)
	}
}

// settle writes tries in one transaction.
func (s *Store) settle(ctx context.Context, batch []Settlement) error {
	// The latest health of each endpoint; its lane is the only one who tells.
	health := map[int64]*Health{}
	for _, t := range batch {
		if t.Health != nil {
			health[t.Due.EndpointID] = t.Health
		}
	}
	if len(health) == 0 {
		return s.q.SettleDeliveries(ctx, settleParams(batch))
	}
	return s.InTx(ctx, func(tx *Tx) error {
		if err := tx.q.SettleDeliveries(ctx, settleParams(batch)); err != nil {
			return err
		}
		for id, h := range health {
			if err := tx.q.SaveHealth(ctx, healthParams(id, *h)); err != nil {
				return err
			}
		}
		return nil
	})
}

// Settle writes one try in the transaction of what follows from it.
func (t *Tx) Settle(ctx context.Context, s Settlement) error {
	return t.q.SettleDeliveries(ctx, settleParams([]Settlement{s}))
}

// SaveHealth writes how an endpoint does.
func (s *Store) SaveHealth(ctx context.Context, endpointID int64, h Health) error {
	return s.q.SaveHealth(ctx, healthParams(endpointID, h))
}

func healthParams(id int64, h Health) db.SaveHealthParams {
	return db.SaveHealthParams{
		EndpointID: id, Failures: int32(h.Failures), FailingSince: timePtr(h.FailingSince), RestUntil: timePtr(h.RestUntil),
		Rests: int32(h.Rests), InFlight: ptr(int32(h.InFlight)), Slow: h.Slow, LastOkAt: timePtr(h.LastOKAt),
		LastFailedAt: timePtr(h.LastFailedAt), LastStatus: ptr(int32(h.LastStatus)), LastError: text(h.LastError, maxErrorText),
	}
}

const maxErrorText = 500

func settleParams(batch []Settlement) db.SettleDeliveriesParams {
	var p db.SettleDeliveriesParams
	for _, t := range batch {
		p.EndpointIds = append(p.EndpointIds, t.Due.EndpointID)
		p.EventIds = append(p.EventIds, t.Due.EventID)
		p.Types = append(p.Types, t.Due.Type)
		p.RequestIds = append(p.RequestIds, t.Due.RequestID)
		p.Ns = append(p.Ns, int32(t.Due.Attempts+1))
		p.Ats = append(p.Ats, t.At)
		p.Outcomes = append(p.Outcomes, t.Outcome)
		p.NextAts = append(p.NextAts, t.NextAt)
		p.Reasons = append(p.Reasons, t.Reason)
		p.Statuses = append(p.Statuses, int32(t.Result.Status))
		p.ErrorClasses = append(p.ErrorClasses, t.Result.ErrorClass)
		p.Errors = append(p.Errors, text(t.Result.Error, maxErrorText))
		p.Durations = append(p.Durations, int32(t.Result.Duration.Milliseconds()))
		p.Answers = append(p.Answers, text(string(t.Result.Body), connectors.MaxAnswer))
		p.Remotes = append(p.Remotes, t.Result.RemoteAddr)
	}
	return p
}

// text makes a stranger's words fit for a text column: valid UTF-8 without NUL,
// at most n characters.
func text(s string, n int) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n])
}

// KeepAttempts makes the partitions of the next days and drops those that ended
// before oldest; it gives how many.
func (s *Store) KeepAttempts(ctx context.Context, now, oldest time.Time) (int, error) {
	const ahead = 7 // days: the job that does this may be missed for as long
	n, err := s.q.KeepAttempts(ctx, day(now), ahead, day(oldest))
	return int(n), err
}

// WaitingDelivery is a delivery that failed at least once and is tried again.
type WaitingDelivery = db.WaitingDeliveriesRow

// WaitingDeliveries gives them, soonest first.
func (s *Store) WaitingDeliveries(ctx context.Context, limit int) ([]WaitingDelivery, error) {
	return s.q.WaitingDeliveries(ctx, int32(limit))
}

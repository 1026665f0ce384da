package store

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/passerelle-hub/passerelle/internal/store/db"
)

// Scopes of a replay: what is sent again.
const (
	ReplayMessage = "message" // one
	ReplayFailed  = "failed"  // what was given up, of events since a time
	ReplayAll     = "all"     // every event since a time, told before or not
)

// States of a replay.
const (
	ReplayReading   = "reading" // not all of it is queued yet
	ReplaySending   = "sending" // all of it is queued
	ReplayDone      = "done"
	ReplayCancelled = "cancelled"
)

// NewReplay is a replay to make.
type NewReplay struct {
	ID         uuid.UUID // EventID of its time
	EndpointID int64
	Scope      string
	EventID    uuid.UUID // ReplayMessage
	Since      time.Time // the other scopes
	From, To   uuid.UUID // events after From up to To
	Past       int64
	CreatedBy  string
	At         time.Time
}

// InsertReplay makes one.
func (t *Tx) InsertReplay(ctx context.Context, r NewReplay) error {
	return t.q.InsertReplay(ctx, db.InsertReplayParams{
		ID: r.ID, EndpointID: r.EndpointID, Scope: r.Scope, EventID: ptr(r.EventID), Since: timePtr(r.Since), Cursor: r.From, Last: r.To,
		Past: r.Past, CreatedBy: r.CreatedBy, CreatedAt: r.At,
	})
}

// OpenReplay is one that is not over.
type OpenReplay struct {
	ID        uuid.UUID
	Scope     string
	EventID   uuid.UUID
	Since     time.Time
	State     string
	Cursor    uuid.UUID // read up to this event
	Last      uuid.UUID
	CreatedAt time.Time
}

// OpenReplays gives an endpoint's, oldest first, held until the transaction ends.
func (t *Tx) OpenReplays(ctx context.Context, endpointID int64) ([]OpenReplay, error) {
	rows, err := t.q.OpenReplays(ctx, endpointID)
	list := make([]OpenReplay, len(rows))
	for i, r := range rows {
		list[i] = OpenReplay{
			ID: r.ID, Scope: r.Scope, EventID: val(r.EventID), Since: val(r.Since), State: r.State, Cursor: r.Cursor, Last: r.Last, CreatedAt: r.CreatedAt,
		}
	}
	return list, err
}

// EndpointsReplaying gives the enabled endpoints that a replay is not over at.
func (s *Store) EndpointsReplaying(ctx context.Context) ([]int64, error) {
	return s.q.EndpointsReplaying(ctx)
}

// maxPast bounds how far events that a replay misses are counted.
const maxPast = 1_000_000

// FirstEventID is the least id that an event of that time or later can have.
func FirstEventID(at time.Time) uuid.UUID { return firstEventID(at) }

// PastReplay counts the events after from that an endpoint can not be told of
// again, because their bodies are purged, a million at most, and gives the last
// id that can be one of them.
func (t *Tx) PastReplay(ctx context.Context, e Endpoint, from, to uuid.UUID) (int64, uuid.UUID, error) {
	kept, err := t.q.FirstKeptEvent(ctx)
	if errors.Is(err, pgx.ErrNoRows) {
		kept, err = to, nil
	}
	if err != nil || string(kept[:]) <= string(from[:]) {
		return 0, from, err
	}
	n, err := t.q.CountPast(ctx, db.CountPastParams{
		Definition: e.Definition, Editor: e.Editor, Events: e.Events, After: from, Before: kept, MaxRows: maxPast,
	})
	// The last id before kept: whoever reads after it reads kept.
	for i := len(kept) - 1; i >= 0; i-- {
		kept[i]--
		if kept[i] != 0xff {
			break
		}
	}
	return n, kept, err
}

// ReplayPace says when an endpoint's last replayed message is due, and how many
// of those queued were not tried yet, limit at most.
func (t *Tx) ReplayPace(ctx context.Context, endpointID int64, limit int) (time.Time, int, error) {
	row, err := t.q.ReplayPace(ctx, endpointID, int32(limit))
	return row.PacedUntil, int(row.Untried), err
}

// ReplayStep is what one step is to queue.
type ReplayStep struct {
	Replay   OpenReplay
	Endpoint Endpoint
	UpTo     uuid.UUID // reads no event after it
	N        int
	Base     time.Time // when the first is due
	Rate     float64   // a second
	Now      time.Time
}

// ReplayProgress is what a step came to.
type ReplayProgress struct {
	Read, Queued, Past int
	Cursor             uuid.UUID
	PacedUntil         time.Time // when the one after the last is due
}

// QueueReplay queues the next messages of a replay.
func (t *Tx) QueueReplay(ctx context.Context, s ReplayStep) (ReplayProgress, error) {
	e, r := s.Endpoint, s.Replay
	row, err := t.q.QueueReplay(ctx, db.QueueReplayParams{
		Scope: r.Scope, Definition: e.Definition, Editor: e.Editor, Events: e.Events, After: r.Cursor, Last: s.UpTo, N: int32(s.N),
		EndpointID: e.ID, GivenUpBy: r.CreatedAt, EventID: r.EventID, ReplayID: r.ID, Base: s.Base, Rate: s.Rate, Ordered: e.Ordered, Now: s.Now,
	})
	return ReplayProgress{
		Read: int(row.Read), Queued: int(row.Queued), Past: int(row.Past), Cursor: row.Cursor, PacedUntil: row.PacedUntil,
	}, err
}

// MoveReplay writes what a step came to.
func (t *Tx) MoveReplay(ctx context.Context, id uuid.UUID, state string, p ReplayProgress) error {
	m := db.MoveReplayParams{
		ID: id, State: state, Cursor: p.Cursor, Queued: int64(p.Queued), Past: int64(p.Past), Owed: int64(p.Read - p.Queued - p.Past),
	}
	if p.Queued > 0 {
		m.PacedUntil = &p.PacedUntil
	}
	return t.q.MoveReplay(ctx, m)
}

// ReplayWaits reports whether something that a replay queued is not delivered yet.
func (t *Tx) ReplayWaits(ctx context.Context, id uuid.UUID) (bool, error) {
	return t.q.ReplayWaits(ctx, id)
}

// FinishReplay ends one; withdrawn of its messages were taken back untried.
func (t *Tx) FinishReplay(ctx context.Context, id uuid.UUID, state string, withdrawn int64, now time.Time) error {
	return t.q.FinishReplay(ctx, state, &now, withdrawn, id)
}

// LockReplay holds one of an endpoint's and gives its state. ErrNotFound for none.
func (t *Tx) LockReplay(ctx context.Context, endpointID int64, id uuid.UUID) (string, error) {
	row, err := t.q.LockReplay(ctx, id, endpointID)
	return row.State, notFound(err, "replay", id)
}

// WithdrawReplay takes back what a replay queued and nobody is sending: what was
// tried in vain is given up for that reason. It gives how many were not tried.
func (t *Tx) WithdrawReplay(ctx context.Context, id uuid.UUID, why string, now time.Time) (int64, error) {
	return t.q.WithdrawReplay(ctx, id, &now, why)
}

// HastenDelivery makes a message that waits for its next try due now, and gives
// whether that changed anything.
func (t *Tx) HastenDelivery(ctx context.Context, endpointID int64, event uuid.UUID, now time.Time) (bool, error) {
	n, err := t.q.HastenDelivery(ctx, now, endpointID, event)
	return n > 0, err
}

// ToldTo reports whether an event is one that an endpoint is, or was, told of.
func (t *Tx) ToldTo(ctx context.Context, endpointID int64, event uuid.UUID) (bool, error) {
	return t.q.ToldTo(ctx, endpointID, event)
}

// ListedReplay is a replay with how far it is. What it queued is Delivered,
// Waiting, Failed or Withdrawn.
type ListedReplay struct {
	ID         uuid.UUID
	EndpointID int64
	Scope      string
	EventID    uuid.UUID
	Since      time.Time
	State      string
	ReadUpTo   time.Time // events of that time were read
	Queued     int64
	Delivered  int64
	Waiting    int64
	Failed     int64 // given up again
	Withdrawn  int64 // by its cancelling
	Owed       int64 // left out: they waited already
	Past       int64 // left out: their bodies are purged
	CreatedBy  string
	CreatedAt  time.Time
	FinishedAt time.Time
}

// Replays gives an endpoint's before that one, newest first; uuid.Max for the first page.
func (s *Store) Replays(ctx context.Context, endpointID int64, before uuid.UUID, limit int) ([]ListedReplay, error) {
	return replays(ctx, s.q, endpointID, nil, before, limit)
}

// Replay gives one of an endpoint's. ErrNotFound for none.
func (s *Store) Replay(ctx context.Context, endpointID int64, id uuid.UUID) (ListedReplay, error) {
	return replay(ctx, s.q, endpointID, id)
}

// Replay is Store.Replay inside the transaction.
func (t *Tx) Replay(ctx context.Context, endpointID int64, id uuid.UUID) (ListedReplay, error) {
	return replay(ctx, t.q, endpointID, id)
}

func replay(ctx context.Context, q *db.Queries, endpointID int64, id uuid.UUID) (ListedReplay, error) {
	list, err := replays(ctx, q, endpointID, &id, uuid.Max, 1)
	if err == nil && len(list) == 0 {
		err = notFound(pgx.ErrNoRows, "replay", id)
	}
	if err != nil {
		return ListedReplay{}, err
	}
	return list[0], nil
}

func replays(ctx context.Context, q *db.Queries, endpointID int64, id *uuid.UUID, before uuid.UUID, limit int) ([]ListedReplay, error) {
	rows, err := q.Replays(ctx, endpointID, id, before, int32(limit))
	list := make([]ListedReplay, len(rows))
	for i, r := range rows {
		l := ListedReplay{
			ID: r.ID, EndpointID: r.EndpointID, Scope: r.Scope, EventID: val(r.EventID), Since: val(r.Since), State: r.State,
			ReadUpTo: eventTime(r.Cursor), Queued: r.Queued, Waiting: r.Waiting, Failed: r.Failed, Withdrawn: r.Withdrawn, Owed: r.Owed, Past: r.Past,
			CreatedBy: r.CreatedBy, CreatedAt: r.CreatedAt, FinishedAt: val(r.FinishedAt),
		}
		if l.FinishedAt.IsZero() {
			l.Failed = r.Lost + r.GivenUp
		}
		l.Delivered = max(0, l.Queued-l.Waiting-l.Failed-l.Withdrawn)
		list[i] = l
	}
	return list, err
}

// eventTime gives the time that is in an event's id.
func eventTime(id uuid.UUID) time.Time {
	var millis int64
	for _, b := range id[:6] {
		millis = millis<<8 | int64(b)
	}
	return time.UnixMilli(millis).UTC()
}

// ForgetReplays deletes those that were over before that time.
func (s *Store) ForgetReplays(ctx context.Context, before time.Time) error {
	_, err := s.q.ForgetReplays(ctx, &before)
	return err
}

// GapSubject is the subject of the events that tell one endpoint alone of what it misses.
func GapSubject(endpointID int64) string {
	return "endpoint/" + strconv.FormatInt(endpointID, 10) + "/gaps"
}

// BodyKept reports whether an event can still be sent. ErrNotFound for no such event.
func (t *Tx) BodyKept(ctx context.Context, id uuid.UUID) (bool, error) {
	kept, err := t.q.BodyKept(ctx, id)
	return kept, notFound(err, "event", id)
}

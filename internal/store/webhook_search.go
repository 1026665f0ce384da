package store

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/passerelle-hub/passerelle/internal/store/db"
)

// States of a message at an endpoint.
const (
	MessageWaiting   = "waiting" // for its first or next try
	MessageDelivered = "delivered"
	MessageFailed    = "failed" // given up
	MessageNone      = "none"   // never sent to it, or its tries are no longer kept
)

// MessageFilter says which messages of an endpoint are looked for.
type MessageFilter struct {
	Type         string // of the event; "" any
	RequestID    int64  // 0: any
	State        string // "" any
	Since, Until time.Time
}

// Message is an event as one endpoint is told of it.
type Message struct {
	ID             uuid.UUID // webhook-id
	Type           string
	RequestID      int64
	HabilitationID int64
	Subject        string
	Seq            int64 // webhook-sequence
	OccurredAt     time.Time
	Purged         bool // its body is gone: it can not be sent again
	State          string
	Reason         string    // why it was given up
	NextAt         time.Time // of a waiting one
	Attempts       int       // of this sending; a replay counts anew
	ReplayID       uuid.UUID // that sends it; zero: none
	TriedAt        time.Time // the last try
	LastOutcome    string
	LastStatus     int
	LastErrorClass string
}

// lookAt bounds how many messages or tries a search reads for one page.
const (
	messagesLook = 300
	attemptsLook = 5000
)

// Messages gives an endpoint's messages before an id (uuid.Max for the newest),
// newest first, limit at most, and where the next page begins; zero: there is none.
// A page may be shorter than limit although there are more.
func (s *Store) Messages(ctx context.Context, e Endpoint, f MessageFilter, before uuid.UUID, limit int) ([]Message, uuid.UUID, error) {
	p := db.MessagesOfParams{
		Way: "all", EndpointID: e.ID, Definition: e.Definition, Editor: e.Editor, OwnSubject: GapSubject(e.ID), Type: f.Type,
		RequestID: f.RequestID, Before: before, LookAt: messagesLook,
	}
	if until := firstEventID(f.Until.Add(time.Millisecond)); !f.Until.IsZero() && string(until[:]) < string(p.Before[:]) {
		p.Before = until
	}
	if !f.Since.IsZero() {
		p.After = firstEventID(f.Since)
	}
	switch {
	case f.RequestID != 0:
		p.Way = "request"
	case f.State == MessageWaiting, f.State == MessageFailed:
		p.Way = f.State
	case f.State == "":
		p.LookAt = int32(limit) + 1
	}
	rows, err := s.q.MessagesOf(ctx, p)
	if err != nil {
		return nil, uuid.Nil, err
	}
	var list []Message
	for i, row := range rows {
		m := messageOf(row)
		if (f.Type == "" || m.Type == f.Type) && (f.State == "" || m.State == f.State) && told(e, row) {
			list = append(list, m)
		}
		if len(list) == limit && i < len(rows)-1 || i == len(rows)-1 && len(rows) == int(p.LookAt) {
			return list, m.ID, nil
		}
	}
	return list, uuid.Nil, nil
}

// told reports whether an event is one that the endpoint asks for, or was sent.
func told(e Endpoint, r db.MessagesOfRow) bool {
	return r.Owed || r.Outcome != "" || slices.Contains(e.Events, "*") || slices.Contains(e.Events, r.Type)
}

func messageOf(r db.MessagesOfRow) Message {
	m := Message{
		ID: r.ID, Type: r.Type, RequestID: val(r.RequestID), HabilitationID: val(r.HabilitationID), Subject: r.Subject, Seq: r.Seq,
		OccurredAt: r.OccurredAt, Purged: r.Purged, State: MessageNone, TriedAt: r.TriedAt, LastOutcome: r.Outcome,
		LastStatus: int(val(r.Status)), LastErrorClass: r.ErrorClass, ReplayID: val(r.ReplayID),
	}
	switch {
	case r.Owed && r.AbandonedAt != nil:
		m.State, m.Reason, m.Attempts = MessageFailed, val(r.Reason), int(val(r.Tries))
	case r.Owed:
		m.State, m.NextAt, m.Attempts = MessageWaiting, val(r.NextAt), int(val(r.Tries))
	case m.LastOutcome == Delivered:
		m.State = MessageDelivered
	}
	return m
}

// Message gives one message of an endpoint; ErrNotFound for one that it is not,
// and was not, told of.
func (s *Store) Message(ctx context.Context, e Endpoint, id uuid.UUID) (Message, error) {
	told, err := s.q.ToldTo(ctx, e.ID, id)
	if err != nil {
		return Message{}, err
	}
	if !told {
		return Message{}, ErrNotFound
	}
	rows, err := s.q.MessagesOf(ctx, db.MessagesOfParams{Way: "one", One: id, EndpointID: e.ID, LookAt: 1})
	if err != nil {
		return Message{}, err
	}
	if len(rows) == 0 {
		return Message{}, ErrNotFound
	}
	return messageOf(rows[0]), nil
}

// AttemptFilter says which tries of an endpoint are looked for; zero values: any.
type AttemptFilter struct {
	Type         string
	RequestID    int64
	Outcome      string
	Status       int
	ErrorClass   string
	Since, Until time.Time
}

// Attempt is one try to deliver.
type Attempt struct {
	ID         int64
	EventID    uuid.UUID
	Type       string
	RequestID  int64
	N          int // of this sending, from 1
	At         time.Time
	Outcome    string
	Status     int // 0: no complete answer
	ErrorClass string
	Error      string
	Duration   time.Duration
	Answer     string // its first 10,000 characters
	Remote     string // address dialled
}

func attemptOf(r db.SearchAttemptsRow) Attempt {
	return Attempt{
		ID: r.ID, EventID: r.EventID, Type: r.Type, RequestID: val(r.RequestID), N: int(r.N), At: r.At, Outcome: r.Outcome,
		Status: int(val(r.Status)), ErrorClass: r.ErrorClass, Error: r.Error, Duration: time.Duration(r.DurationMs) * time.Millisecond,
		Answer: r.Answer, Remote: r.Remote,
	}
}

// endOfTime is after whatever happens.
var endOfTime = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// SearchAttempts gives an endpoint's tries after a place (nil for the newest),
// newest first, limit at most, and the place of the next page; nil: there is
// none. A page may be shorter than limit although there are more.
func (s *Store) SearchAttempts(ctx context.Context, endpointID int64, f AttemptFilter, after *Cursor, limit int) ([]Attempt, *Cursor, error) {
	if f.Until.IsZero() {
		f.Until = endOfTime
	}
	from := Cursor{At: endOfTime}
	if after != nil {
		from = *after
	}
	var end *Cursor // where looking stops
	place, err := s.q.AttemptsPlace(ctx, db.AttemptsPlaceParams{
		EndpointID: endpointID, Since: f.Since, Until: f.Until, BeforeAt: from.At, BeforeID: from.ID, Skip: attemptsLook - 1,
	})
	switch {
	case err == nil:
		end = &Cursor{place.At, place.ID}
	case !errors.Is(err, pgx.ErrNoRows):
		return nil, nil, err
	}
	p := db.SearchAttemptsParams{
		EndpointID: endpointID, Since: f.Since, Until: f.Until, BeforeAt: from.At, BeforeID: from.ID, Type: f.Type, RequestID: f.RequestID,
		Outcome: f.Outcome, Status: int32(f.Status), ErrorClass: f.ErrorClass, MaxRows: int32(limit) + 1,
	}
	if end != nil {
		p.DownToAt, p.DownToID = end.At, end.ID
	}
	rows, err := s.q.SearchAttempts(ctx, p)
	if err != nil {
		return nil, nil, err
	}
	if len(rows) > limit {
		rows = rows[:limit]
		end = &Cursor{rows[limit-1].At, rows[limit-1].ID}
	}
	list := make([]Attempt, len(rows))
	for i, row := range rows {
		list[i] = attemptOf(row)
	}
	return list, end, nil
}

// AttemptsOfMessage gives the tries of one message at an endpoint, newest first.
func (s *Store) AttemptsOfMessage(ctx context.Context, endpointID int64, id uuid.UUID, limit int) ([]Attempt, error) {
	rows, err := s.q.AttemptsOfMessage(ctx, endpointID, id, int32(limit))
	list := make([]Attempt, len(rows))
	for i, row := range rows {
		list[i] = attemptOf(db.SearchAttemptsRow(row))
	}
	return list, err
}

// EndpointToken is what a receiver answered to an approval (datapass.md, 2.7).
type EndpointToken = db.EndpointTokensRow

// EndpointTokens gives them, newest first, after a place (nil for the newest).
func (s *Store) EndpointTokens(ctx context.Context, endpointID, requestID int64, after *Cursor, limit int) ([]EndpointToken, *Cursor, error) {
	from := Cursor{At: endOfTime}
	if after != nil {
		from = *after
	}
	rows, err := s.q.EndpointTokens(ctx, db.EndpointTokensParams{
		EndpointID: endpointID, RequestID: requestID, BeforeAt: from.At, BeforeID: from.ID, MaxRows: int32(limit) + 1,
	})
	if err != nil || len(rows) <= limit {
		return rows, nil, err
	}
	rows = rows[:limit]
	last := rows[limit-1]
	return rows, &Cursor{last.AnsweredAt, last.HabilitationID}, nil
}

package store

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/passerelle-hub/passerelle/internal/store/db"
)

// Event is something that happened, for whoever subscribed: its definition's
// developers, or the editor its request names.
type Event struct {
	ID             uuid.UUID // webhook-id of every delivery (EventID)
	Type           string    // "approve", "token.issued"
	Definition     string
	Editor         string // service provider that the request names; "" for none
	EditorSIRET    string // its SIRET; "" when it is not known
	RequestID      int64
	HabilitationID int64 // 0: none
	// Subject is what order is kept for. The caller holds a lock on it, so that
	// its events are numbered in the order of their commits.
	Subject string
	// Body is the Standard Webhooks form: ids only, no personal data, no secret.
	Body json.RawMessage
	// DataPass is the form of DataPass. It may hold personal data: it is kept
	// sealed, and purged.
	DataPass    []byte
	OccurredAt  time.Time
	Correlation string
}

// EventID makes the id of an event of that time: a UUID v7 (RFC 9562), whose
// first 48 bits are milliseconds, so that a range of time is a range of ids.
func EventID(at time.Time) uuid.UUID {
	var id uuid.UUID
	_, _ = rand.Read(id[6:]) // never fails (crypto/rand)
	putMillis(&id, at)
	id[6] = id[6]&0x0f | 0x70
	id[8] = id[8]&0x3f | 0x80
	return id
}

// firstEventID is the least id that an event of that time or later can have.
func firstEventID(at time.Time) uuid.UUID {
	var id uuid.UUID
	putMillis(&id, at)
	return id
}

func putMillis(id *uuid.UUID, at time.Time) {
	var millis [8]byte
	binary.BigEndian.PutUint64(millis[:], uint64(at.UnixMilli()))
	copy(id[:6], millis[2:])
}

func eventAD(id uuid.UUID) []byte { return []byte("event/" + id.String()) }

// PublishEvent stores an event with one delivery per endpoint that asked for
// it. told hears of those endpoints before the transaction is committed, if
// there are any.
func (t *Tx) PublishEvent(ctx context.Context, e Event, told func(endpoints []int64)) error {
	sealed, err := t.ring.Seal(e.DataPass, eventAD(e.ID))
	if err != nil {
		return err
	}
	_, err = t.laterRows(func(rows pgx.Rows) error {
		endpoints, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if len(endpoints) > 0 {
			told(endpoints)
		}
		return err
	}).PublishEvent(ctx, db.PublishEventParams{
		ID: e.ID, Type: e.Type, Definition: e.Definition, Editor: e.Editor, EditorSiret: e.EditorSIRET, RequestID: ptr(e.RequestID), HabilitationID: ptr(e.HabilitationID),
		Subject: e.Subject, Body: e.Body, DatapassSealed: sealed, OccurredAt: e.OccurredAt, Correlation: e.Correlation,
	})
	return err
}

// Announcements stores events that come with no other change, many in one
// commit: whatever is announced while a commit is under way goes into the next
// one, so that a burst costs few fsyncs and a lone event waits for none.
type Announcements struct {
	store  *Store
	gather gatherer[*announcement]
}

type announcement struct {
	event  Event
	sealed []byte
	done   chan announced
}

type announced struct {
	endpoints []int64
	err       error
}

const (
	announceBatch   = 64
	announcers      = 2
	announceTimeout = 10 * time.Second
	// announceTries bounds how often an event looks for its number among others
	// that are told of the same subject at the same time.
	announceTries = 20
)

// NewAnnouncements gives a recorder.
func (s *Store) NewAnnouncements() *Announcements {
	a := &Announcements{store: s}
	a.gather = gatherer[*announcement]{work: a.record, max: announceBatch, workers: announcers}
	return a
}

// Publish is Tx.PublishEvent without a transaction of the caller's. It needs no
// lock: of two events of a subject at once, one takes the next number. When ctx
// ends first the event may still be stored.
func (a *Announcements) Publish(ctx context.Context, e Event) ([]int64, error) {
	sealed, err := a.store.ring.Seal(e.DataPass, eventAD(e.ID))
	if err != nil {
		return nil, err
	}
	w := &announcement{event: e, sealed: sealed, done: make(chan announced, 1)}
	a.gather.add(w)
	select {
	case out := <-w.done:
		return out.endpoints, out.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// record commits a batch. One that is refused never takes the others with it.
func (a *Announcements) record(batch []*announcement) {
	ctx, cancel := context.WithTimeout(context.Background(), announceTimeout)
	defer cancel()
	endpoints, err := a.store.publishAll(ctx, batch)
	for try := 1; len(batch) == 1 && isUniqueViolation(err, "event_subject") && try < announceTries; try++ {
		endpoints, err = a.store.publishAll(ctx, batch)
	}
	if err != nil && len(batch) > 1 && (!Unavailable(err) || undone(err)) {
		for _, w := range batch {
			a.record([]*announcement{w})
		}
		return
	}
	for _, w := range batch {
		w.done <- announced{endpoints[w.event.ID], err}
	}
}

func (s *Store) publishAll(ctx context.Context, batch []*announcement) (map[uuid.UUID][]int64, error) {
	var p db.PublishEventsParams
	for _, w := range batch {
		e := w.event
		p.Ids = append(p.Ids, e.ID)
		p.Types = append(p.Types, e.Type)
		p.Definitions = append(p.Definitions, e.Definition)
		p.Editors = append(p.Editors, e.Editor)
		p.EditorSirets = append(p.EditorSirets, e.EditorSIRET)
		p.RequestIds = append(p.RequestIds, e.RequestID)
		p.HabilitationIds = append(p.HabilitationIds, e.HabilitationID)
		p.Subjects = append(p.Subjects, e.Subject)
		p.Bodies = append(p.Bodies, string(e.Body))
		p.DatapassSealed = append(p.DatapassSealed, w.sealed)
		p.OccurredAts = append(p.OccurredAts, e.OccurredAt)
		p.Correlations = append(p.Correlations, e.Correlation)
	}
	rows, err := s.q.PublishEvents(ctx, p)
	if err != nil {
		return nil, err
	}
	endpoints := make(map[uuid.UUID][]int64, len(batch))
	for _, row := range rows {
		endpoints[row.EventID] = append(endpoints[row.EventID], row.EndpointID)
	}
	return endpoints, nil
}

func isUniqueViolation(err error, constraint string) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && pgErr.Code == "23505" && pgErr.ConstraintName == constraint
}

// PublishToEndpoint stores an event for one endpoint alone, in the place of a
// message of it. The caller holds the endpoint's lock.
func (t *Tx) PublishToEndpoint(ctx context.Context, e Event, place Due) error {
	sealed, err := t.ring.Seal(e.DataPass, eventAD(e.ID))
	if err != nil {
		return err
	}
	return t.q.PublishToEndpoint(ctx, db.PublishToEndpointParams{
		ID: e.ID, Type: e.Type, Definition: e.Definition, Editor: e.Editor, RequestID: ptr(e.RequestID), Subject: e.Subject, Body: e.Body,
		DatapassSealed: sealed, OccurredAt: e.OccurredAt, Correlation: e.Correlation, EndpointID: place.EndpointID,
		PlaceSubject: place.Subject, PlaceSeq: place.Seq, Ordered: true,
	})
}

// Bodies are the two forms of an event; nil once purged.
type Bodies struct {
	Type     string
	Standard json.RawMessage
	DataPass []byte
}

// Bodies reads an event's. ErrNotFound for no such event.
func (s *Store) Bodies(ctx context.Context, id uuid.UUID) (Bodies, error) {
	row, err := s.q.EventBodies(ctx, id)
	if err != nil {
		return Bodies{}, notFound(err, "event", id)
	}
	b := Bodies{Type: row.Type, Standard: row.Body}
	if len(row.DatapassSealed) > 0 {
		b.DataPass, err = s.ring.Open(row.DatapassSealed, eventAD(id))
	}
	return b, err
}

// PurgeEvents forgets the bodies of events before that time, at most limit, and
// gives how many.
func (s *Store) PurgeEvents(ctx context.Context, before time.Time, limit int) (int, error) {
	n, err := s.q.PurgeEvents(ctx, firstEventID(before), int32(limit))
	return int(n), err
}

// ForgetAbandoned deletes what was given up before that time.
func (s *Store) ForgetAbandoned(ctx context.Context, before time.Time) error {
	_, err := s.q.ForgetAbandoned(ctx, &before)
	return err
}

package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/passerelle-hub/passerelle/internal/habilitation"
)

// RequestsByID reads whole requests, in the order of their ids as given; what
// is not there is left out.
func (s *Store) RequestsByID(ctx context.Context, ids []int64) ([]habilitation.Request, error) {
	return readRequests(ctx, s.q, ids)
}

// RequestEvent is one of DataPass's events in a request's history.
type RequestEvent struct {
	ID   int64
	Name habilitation.EventName
	At   time.Time
}

// EventsOfRequests gives DataPass's events of some requests, each oldest first.
func (s *Store) EventsOfRequests(ctx context.Context, ids []int64) (map[int64][]RequestEvent, error) {
	rows, err := s.q.EventsOfRequests(ctx, ids, texts(habilitation.EventNames()))
	events := make(map[int64][]RequestEvent, len(ids))
	for _, row := range rows {
		events[row.RequestID] = append(events[row.RequestID], RequestEvent{row.ID, habilitation.EventName(row.Event), row.At})
	}
	return events, err
}

// TokenIDsOfRequests gives the token id (datapass.md, 2.7) of each request, ""
// for none.
func (s *Store) TokenIDsOfRequests(ctx context.Context, ids []int64) (map[int64]string, error) {
	rows, err := s.q.TokenIDsOfRequests(ctx, ids)
	tokens := make(map[int64]string, len(rows))
	for _, row := range rows {
		tokens[row.ID] = row.TokenID
	}
	return tokens, err
}

// RequestIDsShownAs gives the requests of some definitions that a number names:
// a source's id, or ours. Two sources may use the same.
func (s *Store) RequestIDsShownAs(ctx context.Context, shown int64, definitions []string) ([]int64, error) {
	return s.q.RequestIDsShownAs(ctx, definitions, shown)
}

// HabilitationIDsShownAs is RequestIDsShownAs for habilitations.
func (s *Store) HabilitationIDsShownAs(ctx context.Context, shown int64, definitions []string) ([]int64, error) {
	return s.q.HabilitationIDsShownAs(ctx, definitions, shown)
}

// HabilitationFilter says which habilitations are looked for.
type HabilitationFilter struct {
	Definitions  []string                  // one of these
	States       []habilitation.GrantState // one of these; nil: any, empty: none
	SIRET        string                    // of the holder when it was granted; "": any
	UpdatedSince time.Time                 // zero: whenever; else the answer is in the order of changes
}

func (f HabilitationFilter) nothing() bool {
	return len(f.Definitions) == 0 || f.States != nil && len(f.States) == 0
}

// HeldHabilitation is an habilitation with the request it belongs to.
type HeldHabilitation struct {
	habilitation.Habilitation
	ShownRequestID int64 // the source's for a mirrored one
}

// Habilitations lists those that match, newest first, or in the order of their
// changes, and the place to go on from: nil when there is nothing more.
func (s *Store) Habilitations(ctx context.Context, f HabilitationFilter, p Page) ([]HeldHabilitation, *Cursor, error) {
	if f.nothing() {
		return nil, nil, nil
	}
	q := f.ids(p)
	rows, err := s.pool.Query(ctx, q.String(), q.args...)
	if err != nil {
		return nil, nil, err
	}
	places, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Cursor, error) {
		var c Cursor
		return c, row.Scan(&c.ID, &c.At)
	})
	if err != nil {
		return nil, nil, err
	}
	var next *Cursor
	if len(places) > p.Limit {
		places = places[:p.Limit]
		next = &places[p.Limit-1]
	}
	ids := make([]int64, len(places))
	for i, c := range places {
		ids[i] = c.ID
	}
	list, err := s.HabilitationsByID(ctx, ids)
	return list, next, err
}

// ids writes the statement that gives the page's ids and times, one more than
// asked for. Each definition is read from its own stretch of an index.
func (f HabilitationFilter) ids(p Page) *sql {
	q := &sql{}
	limit, offset := q.value(p.Limit+1), q.value(p.Offset)
	time, sorting, sign := "created_at", " desc", "<"
	if !f.UpdatedSince.IsZero() {
		time, sorting, sign = "updated_at", "", ">"
	}
	where := func(definition string) {
		q.write("h.definition = ", definition)
		if f.States != nil {
			q.write(" and h.state = any (", q.value(texts(f.States)), ")")
		}
		if f.SIRET != "" {
			q.write(" and h.organization ->> 'SIRET' = ", q.value(f.SIRET))
		}
		if !f.UpdatedSince.IsZero() {
			q.write(" and h.updated_at >= ", q.value(f.UpdatedSince))
		}
		if c := p.After; c != nil {
			q.write(" and (h.", time, ", h.id) ", sign, " (", q.value(c.At), ", ", q.value(c.ID), ")")
		}
	}
	inner := fmt.Sprintf(" order by h.%s%s, h.id%s limit ", time, sorting, sorting)
	if f.SIRET == "" && f.UpdatedSince.IsZero() {
		q.write("select k.id, k.at from unnest(", q.value(f.Definitions), "::text[]) d (uid) cross join lateral (select h.id, h.", time,
			" as at from habilitation h where ")
		where("d.uid")
		q.write(inner, limit, "::integer + ", offset, "::integer) k")
	} else {
		q.write("select k.id, k.at from (select h.id, h.", time, " as at from habilitation h where ")
		where("any (" + q.value(f.Definitions) + ")")
		q.write(inner, limit, "::integer + ", offset, "::integer) k")
	}
	q.write(" order by k.at", sorting, ", k.id", sorting, " limit ", limit, "::integer offset ", offset, "::integer")
	return q
}

// HabilitationsByID reads habilitations, in the order of their ids as given.
func (s *Store) HabilitationsByID(ctx context.Context, ids []int64) ([]HeldHabilitation, error) {
	rows, err := s.q.HabilitationsWithRequest(ctx, ids)
	if err != nil {
		return nil, err
	}
	byID := make(map[int64]HeldHabilitation, len(rows))
	for _, row := range rows {
		h, err := habilitationOf(row.Habilitation)
		if err != nil {
			return nil, err
		}
		byID[h.ID] = HeldHabilitation{Habilitation: h, ShownRequestID: shownID(row.ShownID, row.ShownExternalID)}
	}
	list := make([]HeldHabilitation, 0, len(byID))
	for _, id := range ids {
		if h, ok := byID[id]; ok {
			list = append(list, h)
		}
	}
	return list, nil
}

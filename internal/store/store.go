package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/passerelle-hub/passerelle/internal/store/db"
)

// ErrNotFound: no such row.
var ErrNotFound = errors.New("store: not found")

// Store reads and, within InTx, changes the hub's state.
type Store struct {
	pool   *pgxpool.Pool
	q      *db.Queries
	ring   Sealer
	many   many   // lists that are too long to be counted
	counts counts // what searches counted

	readings *readings

	rights atomic.Uint64
}

// New gives a store over pool; ring seals and opens its secrets.
func New(pool *pgxpool.Pool, ring Sealer) *Store {
	q := db.New(pool)
	return &Store{pool: pool, q: q, ring: ring, readings: newReadings(q)}
}

// Pool gives the connections, for River and for health checks.
func (s *Store) Pool() *pgxpool.Pool { return s.pool }

// Ping answers when the database does.
func (s *Store) Ping(ctx context.Context) error { return s.pool.Ping(ctx) }

// Tx is one transaction. SQL gives it to River, so that jobs commit with what
// they follow from.
type Tx struct {
	SQL   pgx.Tx
	pipe  *pipeline // the same
	q     *db.Queries
	ring  Sealer
	lines map[int64]db.LastHistoryRow // the newest line of each request written to
	// declared are the editors that the form of each request is bound to now.
	declared map[int64][]string

	habilitationIDs []int64                        // reserved ahead
	numbers         map[int64]int32                // of the next credential of a request, read ahead
	changelogs      map[int64][]db.ChangelogsOfRow // read ahead

	rights bool // who may do what was changed
}

// InTx runs fn in one transaction: committed when fn returns nil, else rolled back.
func (s *Store) InTx(ctx context.Context, fn func(*Tx) error) error {
	pipe, err := begin(ctx, s.pool)
	if err != nil {
		return err
	}
	t := &Tx{
		SQL: pipe, pipe: pipe, q: db.New(pipe), ring: s.ring, lines: map[int64]db.LastHistoryRow{}, declared: map[int64][]string{},
		numbers: map[int64]int32{}, changelogs: map[int64][]db.ChangelogsOfRow{},
	}
	defer func() {
		_ = pipe.Rollback(ctx) // nothing to do once it is committed; else the error is told already
		if t.rights {          // also where the answer to the commit was lost
			s.rights.Add(1)
		}
	}()
	if err := fn(t); err != nil {
		return err
	}
	return pipe.Commit(ctx)
}

// Rights is a number that changes with each change of people, memberships,
// roles, applications and access tokens made by this process: what was read
// under another one may be over.
func (s *Store) Rights() uint64 { return s.rights.Load() }

// Unavailable reports that the database could not be reached or is not ready:
// the caller answers 503, nothing was done or nothing is known to have been.
func Unavailable(err error) bool {
	var connErr *pgconn.ConnectError
	if errors.As(err, &connErr) {
		return true // a refused password or a missing database counts as one that is not there
	}
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		switch class := pgErr.Code[:min(2, len(pgErr.Code))]; {
		case class == "08" || class == "53" || class == "57" || class == "58": // connection, resources, operator intervention, system
			return true
		case undone(err):
			return true
		case pgErr.Code == "25006": // read only: a standby, during a failover
			return true
		}
		return false
	}
	var netErr net.Error
	return errors.As(err, &netErr) || errors.Is(err, context.DeadlineExceeded) ||
		pgconn.SafeToRetry(err) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF)
}

// undone reports a deadlock or a lock that was not to be had: nothing was done,
// and the same may go through the next time (SQLSTATE class 40, 55P03).
func undone(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && (strings.HasPrefix(pgErr.Code, "40") || pgErr.Code == "55P03")
}

// BadData reports that the database refuses what it was given, and always
// will: a retry cannot help (SQLSTATE classes 22 and 23).
func BadData(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && len(pgErr.Code) == 5 && (pgErr.Code[:2] == "22" || pgErr.Code[:2] == "23")
}

func notFound(err error, what string, id any) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("%s %v: %w", what, id, ErrNotFound)
	}
	return err
}

func ptr[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

func val[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

func timePtr(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

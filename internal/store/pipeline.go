package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/passerelle-hub/passerelle/internal/store/db"
)

// pipeline is a transaction that spares round trips: its beginning, and what
// nobody waits for, go out together with the next statement whose rows are
// asked for, or with the commit. Statements run one after the other in the
// order in which they were given, each in a snapshot of its own, as if they had
// been sent one by one; where one fails nothing after it runs, and the error is
// that of whoever sent the lot.
//
// It is a pgx.Tx, so that the queue of jobs writes in it too.
type pipeline struct {
	conn   *pgxpool.Conn
	queued *pgx.Batch // not sent yet
	begun  bool       // its beginning was sent
	saved  int        // savepoints made so far
	ended  bool
}

// begin takes a connection for a transaction. The caller ends it.
func begin(ctx context.Context, pool *pgxpool.Pool) (*pipeline, error) {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	p := &pipeline{conn: conn, queued: &pgx.Batch{}}
	p.queued.Queue("begin")
	return p, nil
}

// later sends a statement with the next one that is waited for. take reads its
// rows then; nil for none.
func (p *pipeline) later(take func(pgx.Rows) error, sql string, args ...any) {
	queued := p.queued.Queue(sql, args...)
	if take != nil {
		queued.Query(take)
	}
}

// send sends what is queued. The results of the statements are read but for
// those of the last one, which are the caller's, if he means to read them.
func (p *pipeline) send(ctx context.Context, readLast bool) (pgx.BatchResults, error) {
	batch := p.queued
	p.queued, p.begun = &pgx.Batch{}, true
	results := p.conn.SendBatch(ctx, batch)
	for i, q := range batch.QueuedQueries {
		var err error
		switch {
		case readLast && i == len(batch.QueuedQueries)-1:
			return results, nil
		case q.Fn != nil:
			err = q.Fn(results)
		default:
			_, err = results.Exec()
		}
		if err != nil {
			_ = results.Close() // it says the same again
			return nil, err
		}
	}
	return nil, results.Close()
}

// open is an error once nothing can be done in the transaction any more: after
// its end, or when its beginning failed with what was sent along. Whatever was
// run then would be outside of it.
func (p *pipeline) open() error {
	if p.ended || p.begun && p.conn.Conn().PgConn().TxStatus() == 'I' {
		return pgx.ErrTxClosed
	}
	return nil
}

// flush sends what is queued and waits for it.
func (p *pipeline) flush(ctx context.Context) error {
	if err := p.open(); err != nil {
		return err
	}
	if p.queued.Len() == 0 {
		return nil
	}
	_, err := p.send(ctx, false)
	return err
}

// Exec runs a statement, after what was queued.
func (p *pipeline) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	if err := p.open(); err != nil {
		return pgconn.CommandTag{}, err
	}
	if p.queued.Len() == 0 {
		return p.conn.Exec(ctx, sql, args...)
	}
	p.queued.Queue(sql, args...)
	results, err := p.send(ctx, true)
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	tag, err := results.Exec()
	if cerr := results.Close(); err == nil {
		err = cerr
	}
	return tag, err
}

// Query runs a query, after what was queued.
func (p *pipeline) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	if err := p.open(); err != nil {
		return noRows{err}, err
	}
	if p.queued.Len() == 0 {
		return p.conn.Query(ctx, sql, args...)
	}
	p.queued.Queue(sql, args...)
	results, err := p.send(ctx, true)
	if err != nil {
		return noRows{err}, err
	}
	rows, err := results.Query()
	if err != nil {
		_ = results.Close()
		return rows, err
	}
	return &lastRows{Rows: rows, results: results}, nil
}

// QueryRow runs a query of one row, after what was queued.
func (p *pipeline) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	rows, _ := p.Query(ctx, sql, args...) // Scan tells the error
	return oneRow{rows}
}

// Commit sends what is queued with the commit.
func (p *pipeline) Commit(ctx context.Context) error {
	if p.ended {
		return pgx.ErrTxClosed
	}
	if !p.begun && p.queued.Len() == 1 {
		p.release() // nothing was asked of it
		return nil
	}
	if p.open() != nil {
		return pgx.ErrTxCommitRollback
	}
	tag, err := p.Exec(ctx, "commit")
	if err != nil {
		return err // the caller rolls back
	}
	p.release()
	if tag.String() == "ROLLBACK" { // a statement had failed, and nobody said so
		return pgx.ErrTxCommitRollback
	}
	return nil
}

// Rollback undoes what was sent and forgets what was not.
func (p *pipeline) Rollback(ctx context.Context) error {
	if p.ended {
		return pgx.ErrTxClosed
	}
	defer p.release()
	conn := p.conn.Conn()
	if conn.IsClosed() || conn.PgConn().TxStatus() == 'I' {
		return nil // nothing was sent, or the server knows by the connection's end
	}
	_, err := conn.Exec(ctx, "rollback")
	if err != nil {
		_ = conn.Close(ctx) // whatever its state is: nobody uses it again
	}
	return err
}

func (p *pipeline) release() {
	p.ended = true
	p.conn.Release()
}

// Begin makes a savepoint.
func (p *pipeline) Begin(ctx context.Context) (pgx.Tx, error) {
	p.saved++
	nested := &savepoint{pipeline: p, name: fmt.Sprintf("sp_%d", p.saved)}
	_, err := p.Exec(ctx, "savepoint "+nested.name)
	return nested, err
}

// savepoint is a transaction within one.
type savepoint struct {
	*pipeline
	name string
	over bool
}

// Commit keeps what was done since the savepoint.
func (s *savepoint) Commit(ctx context.Context) error { return s.close(ctx, "release savepoint ") }

// Rollback undoes what was done since the savepoint.
func (s *savepoint) Rollback(ctx context.Context) error {
	return s.close(ctx, "rollback to savepoint ")
}

func (s *savepoint) close(ctx context.Context, how string) error {
	if s.over {
		return pgx.ErrTxClosed
	}
	s.over = true
	_, err := s.Exec(ctx, how+s.name)
	return err
}

// copiedAlone is from how many rows on COPY is worth its own round trips.
const copiedAlone = 20

// CopyFrom inserts rows. Few of them go with the next statement.
func (p *pipeline) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, source pgx.CopyFromSource) (int64, error) {
	var rows [][]any
	for len(rows) < copiedAlone && source.Next() {
		row, err := source.Values()
		if err != nil {
			return 0, err
		}
		rows = append(rows, row)
	}
	if err := source.Err(); err != nil || len(rows) == 0 {
		return 0, err
	}
	if len(rows) < copiedAlone {
		p.insertLater(table, columns, rows)
		return int64(len(rows)), nil
	}
	if err := p.flush(ctx); err != nil {
		return 0, err
	}
	return p.conn.CopyFrom(ctx, table, columns, &restOf{CopyFromSource: source, first: rows})
}

// insertLater queues one insert of all the rows: as many texts as there are
// numbers of rows, each prepared once a connection.
func (p *pipeline) insertLater(table pgx.Identifier, columns []string, rows [][]any) {
	var text strings.Builder
	text.WriteString("insert into " + table.Sanitize() + " (")
	for i, column := range columns {
		if i > 0 {
			text.WriteString(", ")
		}
		text.WriteString(pgx.Identifier{column}.Sanitize())
	}
	text.WriteString(") values ")
	var args []any
	for i, row := range rows {
		if i > 0 {
			text.WriteString(", ")
		}
		for j, value := range row {
			args = append(args, value)
			separator := ", "
			if j == 0 {
				separator = "("
			}
			fmt.Fprintf(&text, "%s$%d", separator, len(args))
		}
		text.WriteString(")")
	}
	p.later(nil, text.String(), args...)
}

// restOf gives rows that were read already, then the others.
type restOf struct {
	pgx.CopyFromSource
	first [][]any
	row   []any
}

// Next goes on to the next row.
func (r *restOf) Next() bool {
	if len(r.first) == 0 {
		r.row = nil
		return r.CopyFromSource.Next()
	}
	r.row, r.first = r.first[0], r.first[1:]
	return true
}

// Values gives the row.
func (r *restOf) Values() ([]any, error) {
	if r.row != nil {
		return r.row, nil
	}
	return r.CopyFromSource.Values()
}

// SendBatch sends a batch, after what was queued.
func (p *pipeline) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	if err := p.flush(ctx); err != nil {
		return pgx.FailedBatchResults(b, err)
	}
	return p.conn.SendBatch(ctx, b)
}

// LargeObjects are not used by the hub.
func (p *pipeline) LargeObjects() pgx.LargeObjects { panic("store: no large objects") }

// Prepare prepares a statement, after what was queued.
func (p *pipeline) Prepare(ctx context.Context, name, sql string) (*pgconn.StatementDescription, error) {
	if err := p.flush(ctx); err != nil {
		return nil, err
	}
	return p.conn.Conn().Prepare(ctx, name, sql)
}

// Conn is the connection; what was queued has not been sent.
func (p *pipeline) Conn() *pgx.Conn { return p.conn.Conn() }

// lastRows are the rows of the last statement of a lot.
type lastRows struct {
	pgx.Rows
	results pgx.BatchResults
	err     error
	closed  bool
}

// Next goes on to the next row, and ends the lot behind the last one.
func (r *lastRows) Next() bool {
	if r.Rows.Next() {
		return true
	}
	r.Close()
	return false
}

// Close ends the lot.
func (r *lastRows) Close() {
	if r.closed {
		return
	}
	r.closed = true
	r.Rows.Close()
	r.err = r.results.Close()
}

// Err is what went wrong.
func (r *lastRows) Err() error {
	if err := r.Rows.Err(); err != nil {
		return err
	}
	return r.err
}

// Scan reads the row.
func (r *lastRows) Scan(dest ...any) error {
	err := r.Rows.Scan(dest...)
	if err != nil { // it closed the rows
		r.Close()
	}
	return err
}

// oneRow is the first row of a query.
type oneRow struct{ rows pgx.Rows }

// Scan reads it; pgx.ErrNoRows where there is none.
func (r oneRow) Scan(dest ...any) error {
	if err := r.rows.Err(); err != nil {
		r.rows.Close()
		return err
	}
	if !r.rows.Next() {
		r.rows.Close()
		if err := r.rows.Err(); err != nil {
			return err
		}
		return pgx.ErrNoRows
	}
	if err := r.rows.Scan(dest...); err != nil {
		r.rows.Close()
		return err
	}
	r.rows.Close()
	return r.rows.Err()
}

// noRows is an answer without rows, nil where it comes later.
type noRows struct{ err error }

func (r noRows) Close()                                       {}
func (r noRows) Err() error                                   { return r.err }
func (r noRows) CommandTag() pgconn.CommandTag                { return pgconn.CommandTag{} }
func (r noRows) FieldDescriptions() []pgconn.FieldDescription { return nil }
func (r noRows) Next() bool                                   { return false }
func (r noRows) Scan(...any) error                            { return pgx.ErrNoRows }
func (r noRows) Values() ([]any, error)                       { return nil, pgx.ErrNoRows }
func (r noRows) RawValues() [][]byte                          { return nil }
func (r noRows) Conn() *pgx.Conn                              { return nil }
func (r noRows) TypeMap() *pgtype.Map                         { return nil }

// later gives the statements of a transaction to whoever does not wait for
// them: a method of it returns at once, with nothing. Its error is that of the
// next statement that is waited for, at the latest of the commit. It is for
// what is written under a lock, which only a fault can refuse.
func (t *Tx) later() *db.Queries { return db.New(deferred{t.pipe, nil}) }

// laterRows is later for a query whose rows are read when they come.
func (t *Tx) laterRows(take func(pgx.Rows) error) *db.Queries { return db.New(deferred{t.pipe, take}) }

type deferred struct {
	pipe *pipeline
	take func(pgx.Rows) error
}

func (d deferred) Exec(_ context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	d.pipe.later(nil, sql, args...)
	return pgconn.CommandTag{}, nil
}

func (d deferred) Query(_ context.Context, sql string, args ...any) (pgx.Rows, error) {
	take := d.take
	if take == nil {
		take = func(rows pgx.Rows) error { rows.Close(); return rows.Err() }
	}
	d.pipe.later(take, sql, args...)
	return noRows{}, nil
}

func (d deferred) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	rows, _ := d.Query(ctx, sql, args...) // never an error
	return oneRow{rows}
}

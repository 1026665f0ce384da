package store

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/passerelle-hub/passerelle/internal/pgtest"
)

// notes is a table with a column that may not repeat, and a pool of two
// connections that speak in a mode of pgx.
func notes(t *testing.T, mode string) *pgxpool.Pool {
	t.Helper()
	address, err := url.Parse(pgtest.URL(t, Migrate))
	if err != nil {
		t.Fatal(err)
	}
	q := address.Query()
	q.Set("default_query_exec_mode", mode)
	address.RawQuery = q.Encode()
	pool, err := OpenPool(t.Context(), address.String(), 2, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	if _, err := pool.Exec(t.Context(), `create table note (n integer primary key, body text)`); err != nil {
		t.Fatal(err)
	}
	return pool
}

const insertNote = `insert into note (n, body) values ($1, $2)`

func read(t *testing.T, pool interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
},
) []int {
	t.Helper()
	rows, err := pool.Query(t.Context(), `select n from note order by n`)
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestAPipelineDoesWhatATransactionDoes(t *testing.T) {
	t.Parallel()
	broken := errors.New("the caller gives up")
	for _, mode := range []string{"cache_statement", "cache_describe", "exec", "simple_protocol"} {
		pool := notes(t, mode)
		for _, c := range []struct {
			name string
			do   func(p *pipeline) error
			want []int
			code string // SQLSTATE of the error
			err  error
		}{
			{"what is queued is there for the next query, in order, and after the commit", func(p *pipeline) error {
				p.later(nil, insertNote, 1, "a")
				p.later(nil, `update note set n = 2 where n = 1`)
				if got := read(t, p); !cmp.Equal(got, []int{2}) {
					return fmt.Errorf("read %v", got)
				}
				p.later(nil, insertNote, 3, "b")
				return nil
			}, []int{2, 3}, "", nil},
			{"rows that come later are read before the commit", func(p *pipeline) error {
				var seen []int
				p.later(nil, insertNote, 1, "a")
				p.later(func(rows pgx.Rows) error {
					var err error
					seen, err = pgx.CollectRows(rows, pgx.RowTo[int])
					return err
				}, `select n from note`)
				tag, err := p.Exec(t.Context(), `update note set body = 'c'`)
				if err != nil || tag.RowsAffected() != 1 || !cmp.Equal(seen, []int{1}) {
					return fmt.Errorf("%v, %v, %v", tag, seen, err)
				}
				return nil
			}, []int{1}, "", nil},
			{"a query of one row, of none, and of none read to the end", func(p *pipeline) error {
				var n int
				p.later(nil, insertNote, 1, "a")
				if err := p.QueryRow(t.Context(), `select n from note`).Scan(&n); err != nil || n != 1 {
					return fmt.Errorf("%d, %w", n, err)
				}
				p.later(nil, insertNote, 2, "a")
				if err := p.QueryRow(t.Context(), `select n from note where n = 7`).Scan(&n); !errors.Is(err, pgx.ErrNoRows) {
					return fmt.Errorf("none: %w", err)
				}
				p.later(nil, insertNote, 3, "a")
				rows, err := p.Query(t.Context(), `select n from note`)
				if err != nil || !rows.Next() {
					return fmt.Errorf("no row, %w", err)
				}
				rows.Close()
				return rows.Err()
			}, []int{1, 2, 3}, "", nil},
			{"a queued statement that fails is told by the next one, and nothing stays", func(p *pipeline) error {
				p.later(nil, insertNote, 1, "a")
				p.later(nil, insertNote, 1, "a")
				p.later(nil, insertNote, 2, "a")
				_, err := p.Exec(t.Context(), insertNote, 3, "a")
				return err
			}, nil, "23505", nil},
			{"the same, told by a query", func(p *pipeline) error {
				p.later(nil, insertNote, 1, "a")
				p.later(nil, insertNote, 1, "a")
				var n int
				return p.QueryRow(t.Context(), `select 1`).Scan(&n)
			}, nil, "23505", nil},
			{"the same, told by the commit", func(p *pipeline) error {
				p.later(nil, insertNote, 1, "a")
				p.later(nil, insertNote, 1, "a")
				return nil
			}, nil, "23505", nil},
			{"the statement that is waited for fails, and nothing stays", func(p *pipeline) error {
				p.later(nil, insertNote, 1, "a")
				_, err := p.Exec(t.Context(), insertNote, 1, "a")
				return err
			}, nil, "23505", nil},
			{"a refusal of the caller undoes what was sent and what was not", func(p *pipeline) error {
				if _, err := p.Exec(t.Context(), insertNote, 1, "a"); err != nil {
					return err
				}
				p.later(nil, insertNote, 2, "a")
				return broken
			}, nil, "", broken},
			{"an error that nobody heard of is told by the commit", func(p *pipeline) error {
				_, _ = p.Exec(t.Context(), `insert into note (n) values ('x')`)
				_, _ = p.Exec(t.Context(), insertNote, 1, "a") // not outside of the transaction either
				return nil
			}, nil, "", pgx.ErrTxCommitRollback},
			{"the same of a later statement", func(p *pipeline) error {
				_, err := p.Exec(t.Context(), insertNote, 1, "a")
				_, _ = p.Exec(t.Context(), `insert into note (n) values ('x')`)
				return err
			}, nil, "", pgx.ErrTxCommitRollback},
			{"a transaction that does nothing", func(*pipeline) error { return nil }, nil, "", nil},
			{"a savepoint that is left leaves what was before", func(p *pipeline) error {
				p.later(nil, insertNote, 1, "a")
				inner, err := p.Begin(t.Context())
				if err != nil {
					return err
				}
				if _, err := inner.Exec(t.Context(), insertNote, 1, "a"); err == nil {
					return errors.New("a repeated key was taken")
				}
				if err := inner.Rollback(t.Context()); err != nil {
					return err
				}
				inner, err = p.Begin(t.Context())
				if err != nil {
					return err
				}
				if _, err := inner.Exec(t.Context(), insertNote, 2, "a"); err != nil {
					return err
				}
				return inner.Commit(t.Context())
			}, []int{1, 2}, "", nil},
			{"few rows are copied with the commit, many at once", func(p *pipeline) error {
				for from, n := range map[int]int{0: 2, 100: copiedAlone, 200: copiedAlone + 5} {
					rows := make([][]any, n)
					for i := range rows {
						rows[i] = []any{int32(from + i), "x"}
					}
					if _, err := p.CopyFrom(t.Context(), pgx.Identifier{"note"}, []string{"n", "body"}, pgx.CopyFromRows(rows)); err != nil {
						return err
					}
				}
				var n int
				if err := p.QueryRow(t.Context(), `select count(*) from note`).Scan(&n); err != nil || n != 2*copiedAlone+7 {
					return fmt.Errorf("%d rows, %w", n, err)
				}
				_, err := p.Exec(t.Context(), `delete from note where n > 1`)
				return err
			}, []int{0, 1}, "", nil},
		} {
			t.Run(mode+": "+c.name, func(t *testing.T) {
				if _, err := pool.Exec(t.Context(), `delete from note`); err != nil {
					t.Fatal(err)
				}
				s := New(pool, nil)
				err := s.InTx(t.Context(), func(tx *Tx) error { return c.do(tx.pipe) })
				var pgErr *pgconn.PgError
				switch {
				case c.code != "":
					if !errors.As(err, &pgErr) || pgErr.Code != c.code {
						t.Errorf("error %v, want SQLSTATE %s", err, c.code)
					}
				case !errors.Is(err, c.err):
					t.Errorf("error %v, want %v", err, c.err)
				}
				if diff := cmp.Diff(c.want, read(t, pool), cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("stored (-want +got)\n%s", diff)
				}
				if n := pool.Stat().AcquiredConns(); n != 0 {
					t.Errorf("%d connections were not given back", n)
				}
			})
		}
	}
}

func TestAPipelineThatPanicsGivesItsConnectionBack(t *testing.T) {
	t.Parallel()
	pool := notes(t, "cache_statement")
	func() {
		defer func() { _ = recover() }()
		_ = New(pool, nil).InTx(t.Context(), func(tx *Tx) error {
			if _, err := tx.pipe.Exec(t.Context(), insertNote, 1, "a"); err != nil {
				t.Error(err)
			}
			panic("a fault of ours")
		})
	}()
	if got := read(t, pool); len(got) != 0 || pool.Stat().AcquiredConns() != 0 {
		t.Errorf("%v stayed, %d connections are out", got, pool.Stat().AcquiredConns())
	}
}

func TestACallerWhoLeavesUndoesHisTransaction(t *testing.T) {
	t.Parallel()
	pool := notes(t, "cache_statement")
	ctx, leave := context.WithCancel(t.Context())
	err := New(pool, nil).InTx(ctx, func(tx *Tx) error {
		if _, err := tx.pipe.Exec(ctx, insertNote, 1, "a"); err != nil {
			return err
		}
		leave()
		tx.pipe.later(nil, insertNote, 2, "a")
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if got := read(t, pool); len(got) != 0 {
		t.Errorf("%v stayed", got)
	}
}

package editor_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/internal/store"
)

func (s *site) ids(query string) []uuid.UUID {
	s.t.Helper()
	rows, err := s.pool.Query(s.t.Context(), query)
	if err != nil {
		s.t.Fatal(err)
	}
	defer rows.Close()
	var list []uuid.UUID
	for rows.Next() {
		var id uuid.UUID
		if err := rows.Scan(&id); err != nil {
			s.t.Fatal(err)
		}
		list = append(list, id)
	}
	if err := rows.Err(); err != nil {
		s.t.Fatal(err)
	}
	return list
}

func (s *site) tables() []string {
	s.t.Helper()
	rows, err := s.pool.Query(s.t.Context(), `select quote_ident(table_name) from information_schema.tables where table_schema = 'public' and table_type = 'BASE TABLE'`)
	if err != nil {
		s.t.Fatal(err)
	}
	defer rows.Close()
	var list []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			s.t.Fatal(err)
		}
		list = append(list, name)
	}
	if err := rows.Err(); err != nil {
		s.t.Fatal(err)
	}
	return list
}

func TestTheFeedNeverSkipsAChangeThatIsCommittedLate(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	us := s.machine(ourEditor)
	slow, quick := s.approve(ourEditor), s.approve(ourEditor)
	start := s.feed(us, "").Next

	tell := func(ctx context.Context, tx *store.Tx, request int64, kind string) error {
		return tx.TellEditors(ctx, store.Change{Type: kind, ObjectType: "request", ObjectID: fmt.Sprint(request), RequestID: request, At: time.Now()})
	}
	// The slow transaction writes first and commits last; the reader passes in between.
	wrote, commit := make(chan struct{}), make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		err := s.store.InTx(context.Background(), func(tx *store.Tx) error {
			if err := tell(context.Background(), tx, slow.request, "request.slow"); err != nil {
				return err
			}
			close(wrote)
			<-commit
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-wrote
	if err := s.store.InTx(t.Context(), func(tx *store.Tx) error { return tell(t.Context(), tx, quick.request, "request.quick") }); err != nil {
		t.Fatal(err)
	}
	first := s.feed(us, start)
	close(commit)
	done.Wait()
	second := s.feed(us, first.Next)
	if first.types() != "request.quick" || second.types() != "request.slow" {
		t.Errorf("read %q then %q", first.types(), second.types())
	}
	if third := s.feed(us, second.Next); len(third.Data) != 0 || third.Next != second.Next {
		t.Errorf("and then %+v", third)
	}
}

func TestReadersBesideWritersReadEveryChangeOnceAndInTheOrderOfItsRequest(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	us := s.machine(ourEditor)
	requests := []granted{s.approve(ourEditor), s.approve(ourEditor), s.approve(ourEditor)}
	start := s.place(s.feed(us, "").Next) // now: later the feed's end is another
	const each = 40
	var writers sync.WaitGroup
	for _, g := range requests {
		writers.Go(func() {
			for n := range each {
				err := s.store.InTx(context.Background(), func(tx *store.Tx) error {
					if _, err := tx.LockRequest(context.Background(), g.request); err != nil {
						return err
					}
					return tx.TellEditors(context.Background(), store.Change{
						Type: "request.told", ObjectType: "request", ObjectID: fmt.Sprint(n), RequestID: g.request, At: time.Now(),
					})
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	finished := make(chan struct{})
	go func() { writers.Wait(); close(finished) }()
	read := func() map[int64][]string {
		seen, last, after := map[int64][]string{}, int64(0), start
		for over := false; ; {
			select {
			case <-finished:
				over = true
			default:
			}
			changes, _, err := s.store.Changes(context.Background(), ourEditor, after, 7)
			if err != nil {
				t.Error(err)
				return seen
			}
			for _, c := range changes {
				if c.Seq <= last {
					t.Errorf("%d after %d", c.Seq, last)
				}
				last, seen[c.RequestID] = c.Seq, append(seen[c.RequestID], c.ObjectID)
				after = c.Seq
			}
			if over && len(changes) == 0 {
				return seen
			}
		}
	}
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			seen := read()
			for _, g := range requests {
				if len(seen[g.request]) != each {
					t.Errorf("request %d: %d changes of %d", g.request, len(seen[g.request]), each)
				}
				for i, id := range seen[g.request] {
					if id != fmt.Sprint(i) {
						t.Fatalf("request %d: change %s at place %d", g.request, id, i)
					}
				}
			}
		})
	}
	readers.Wait()
}

// place reads a number, or a cursor's.
func (s *site) place(after string) int64 {
	var n int64
	if _, err := fmt.Sscan(after, &n); err == nil {
		return n
	}
	return int64(s.count(`select last from editor_feed where editor = $1`, ourEditor))
}

func TestAFeedGoesBackAsFarAsItIsKeptAndSaysSo(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	us := s.machine(ourEditor)
	s.approve(ourEditor)
	var first feed
	s.get("/changes?limit=1", us).into(200, &first)
	if !first.HasMore || len(first.Data) != 1 {
		t.Fatalf("%+v", first)
	}
	old := s.feed(us, "")
	s.later(91 * 24 * time.Hour)
	us = s.machine(ourEditor)
	for range 2 {
		if err := s.store.ForgetChanges(t.Context(), s.now().Add(-90*24*time.Hour), 1000); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.get("/changes?after="+first.Next, us).problem(); got != "410 curseur-trop-ancien" {
		t.Errorf("a cursor behind what was forgotten: %s", got)
	}
	if f := s.feed(us, old.Next); len(f.Data) != 0 {
		t.Errorf("a cursor at the end lost nothing: %+v", f)
	}
	fresh := s.feed(us, "")
	if len(fresh.Data) != 0 {
		t.Errorf("what is kept: %+v", fresh)
	}
	s.approve(ourEditor)
	if f := s.feed(us, fresh.Next); f.types() != "link.created request.approved key.ready" {
		t.Errorf("then %s", f.types())
	}
}

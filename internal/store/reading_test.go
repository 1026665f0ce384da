package store_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/passerelle-hub/passerelle/internal/store"
)

func TestRequestsReadAtTheSameTimeGoToWhoAskedForEach(t *testing.T) {
	t.Parallel()
	s := fill(t, 40)
	wanted := s.want(store.Filter{})
	left, leave := context.WithCancel(t.Context())
	leave()
	var all sync.WaitGroup
	for round := range 5 {
		for _, id := range wanted {
			all.Go(func() {
				got, err := s.Request(t.Context(), id)
				if err != nil || got.ID != id {
					t.Errorf("asked for %d, got %d: %v", id, got.ID, err)
				}
			})
			all.Go(func() { // who leaves takes nobody with him
				if _, err := s.Request(left, id); err != nil && !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			})
		}
		all.Go(func() {
			if _, err := s.Request(t.Context(), store.FirstOwnID+9_000_000+int64(round)); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("a request that is not there: %v", err)
			}
		})
	}
	all.Wait()
}

func TestAReadingSeesWhatWasCommittedBefore(t *testing.T) {
	t.Parallel()
	s := fill(t, 3)
	id := s.want(store.Filter{})[0]
	stop := make(chan struct{})
	var others sync.WaitGroup
	for range 8 { // readings are under way all the time
		others.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_, _ = s.Request(t.Context(), id)
				}
			}
		})
	}
	for range 50 {
		var version int64
		if err := s.Pool().QueryRow(t.Context(), `update request set version = version + 1 where id = $1 returning version`, id).Scan(&version); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Request(t.Context(), id); err != nil || got.Version < version {
			t.Fatalf("version %d was committed, %d was read: %v", version, got.Version, err)
		}
	}
	close(stop)
	others.Wait()
}

func TestAReaderWhoFindsEveryConnectionTakenWaitsNoLongerThanHeMeansToAndTheNextOneReads(t *testing.T) {
	t.Parallel()
	s := fill(t, 3)
	id := s.want(store.Filter{})[0]
	pool := s.Pool()
	held := make([]interface{ Release() }, pool.Config().MaxConns)
	for i := range held {
		conn, err := pool.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		held[i] = conn
	}
	impatient, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Request(impatient, id); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("every connection is taken: %v", err)
	}
	for _, conn := range held {
		conn.Release()
	}
	if got, err := s.Request(t.Context(), id); err != nil || got.ID != id {
		t.Fatal(got.ID, err)
	}
}

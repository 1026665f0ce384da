package store_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/passerelle-hub/passerelle/internal/pgtest"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// Four processes count one caller together: what is allowed is the limit, and
// what refilled meanwhile, never each one's own.
func TestALimitIsSharedByAllProcesses(t *testing.T) {
	t.Parallel()
	const perMinute, processes, calls = 60, 4, 100
	pool := pgtest.New(t, store.Migrate)
	limits := make([]*store.SharedLimit, processes)
	for i := range limits {
		limits[i] = store.New(pool, nil).NewSharedLimit("test", perMinute)
	}
	var allowed, refused atomic.Int64
	begin := time.Now()
	var all sync.WaitGroup
	for _, l := range limits {
		all.Go(func() {
			for range calls {
				a, err := l.Take(t.Context(), "one")
				switch {
				case err != nil:
					t.Error(err)
				case a.OK:
					allowed.Add(1)
					if a.Left < 0 || a.Left >= perMinute {
						t.Errorf("%d are said to be left", a.Left)
					}
				default:
					refused.Add(1)
					if a.Wait <= 0 || a.Left != 0 || a.Reset <= 0 {
						t.Errorf("a refusal says %+v", a)
					}
				}
			}
		})
	}
	all.Wait()
	refilled := int64(time.Since(begin).Seconds()) + 1 // one a second
	if n := allowed.Load(); n < perMinute || n > perMinute+refilled {
		t.Errorf("%d of %d calls were allowed in %d s, of %d a minute", n, processes*calls, refilled, perMinute)
	}
	if refused.Load() == 0 {
		t.Error("nothing was refused")
	}
	// Another caller's bucket is full.
	if a, err := limits[0].Take(t.Context(), "two"); err != nil || !a.OK {
		t.Errorf("another caller: %+v, %v", a, err)
	}
	// Few of the calls asked the database: a portion serves many.
	var tokens float64
	if err := pool.QueryRow(t.Context(), `select tokens from token_bucket where name = 'test/two'`).Scan(&tokens); err != nil || tokens != perMinute-perMinute/20 {
		t.Errorf("after one call %v are left in the bucket, %v", tokens, err)
	}
}

func TestALimitBelowOnePortionIsExact(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t, store.Migrate)
	one, two := store.New(pool, nil).NewSharedLimit("test", 2), store.New(pool, nil).NewSharedLimit("test", 2)
	n := 0
	for range 5 {
		for _, l := range []*store.SharedLimit{one, two} {
			if a, err := l.Take(t.Context(), "x"); err != nil {
				t.Fatal(err)
			} else if a.OK {
				n++
			}
		}
	}
	if n != 2 { // one more comes each half minute
		t.Errorf("%d allowed, want 2", n)
	}
}

func TestALimitWithoutDatabaseAllowsNothingAndSaysSo(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t, store.Migrate)
	l := store.New(pool, nil).NewSharedLimit("test", 60)
	pool.Close()
	if a, err := l.Take(t.Context(), "x"); err == nil || a.OK {
		t.Errorf("%+v, %v", a, err)
	}
}

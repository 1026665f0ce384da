package store_test

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/pgtest"
	"github.com/passerelle-hub/passerelle/internal/store"
	"github.com/passerelle-hub/passerelle/internal/store/seal"
)

func openSealed(t *testing.T) (*store.Store, *pgxpool.Pool) {
	t.Helper()
	key, err := seal.ParseKey("test", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
	if err != nil {
		t.Fatal(err)
	}
	ring, err := seal.NewKeyring(seal.Config{Keys: []seal.Key{key}, Active: "test", Fingerprints: "test"})
	if err != nil {
		t.Fatal(err)
	}
	pool := pgtest.New(t, store.Migrate)
	return store.New(pool, ring), pool
}

func countRows(t *testing.T, pool *pgxpool.Pool, query string, args ...any) int {
	t.Helper()
	var n int
	if err := pool.QueryRow(t.Context(), query, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestEventIDsSortByTheirTimeAndAreVersion7(t *testing.T) {
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	before, after := store.EventID(at), store.EventID(at.Add(time.Millisecond))
	if before.String() >= after.String() || before.Version() != 7 || before.Variant() != uuid.RFC4122 {
		t.Errorf("%s then %s, version %d, variant %s", before, after, before.Version(), before.Variant())
	}
	if sec, nsec := before.Time().UnixTime(); !time.Unix(sec, nsec).Equal(at) {
		t.Errorf("%s is of %v", before, time.Unix(sec, nsec))
	}
}

func TestEventsToldOfOneSubjectAtOnceGetNumbersWithoutHoles(t *testing.T) {
	s, pool := openSealed(t)
	const n = 40
	two := []*store.Announcements{s.NewAnnouncements(), s.NewAnnouncements()} // as two processes have
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			_, err := two[i%2].Publish(t.Context(), store.Event{ID: store.EventID(time.Now()), Type: "t", Subject: "s", Body: []byte(`{}`), OccurredAt: time.Now()})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := countRows(t, pool, `select count(distinct seq) from event where seq between 1 and $1`, n); got != n {
		t.Errorf("%d different numbers, want %d", got, n)
	}
}

func TestAnEventThatIsRefusedTakesNoOtherOfItsCommitWithIt(t *testing.T) {
	s, pool := openSealed(t)
	a := s.NewAnnouncements()
	const n = 20
	var refused atomic.Int32
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			e := store.Event{ID: store.EventID(time.Now()), Type: "t", Subject: "s" + strconv.Itoa(i), Body: []byte(`{}`), OccurredAt: time.Now()}
			if i%5 == 0 {
				e.RequestID = 404 // there is none
			}
			if _, err := a.Publish(t.Context(), e); err != nil {
				refused.Add(1)
			}
		})
	}
	all.Wait()
	if got := countRows(t, pool, `select count(*) from event`); got != n-n/5 || refused.Load() != n/5 {
		t.Errorf("%d stored, %d refused", got, refused.Load())
	}
}

func TestTheFormWithPersonalDataIsSealedAndPurgedWithTheOther(t *testing.T) {
	s, pool := openSealed(t)
	id := store.EventID(time.Now())
	_, err := s.NewAnnouncements().Publish(t.Context(), store.Event{
		ID: id, Type: "approve", Subject: "s", Body: []byte(`{"ids": 1}`), DataPass: []byte(`{"email":"jeanne@example"}`), OccurredAt: time.Now(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := countRows(t, pool, `select count(*) from event where position('jeanne' in encode(datapass_sealed, 'escape')) > 0`); n != 0 {
		t.Error("the body is stored in clear")
	}
	bodies, err := s.Bodies(t.Context(), id)
	if err != nil || string(bodies.DataPass) != `{"email":"jeanne@example"}` || string(bodies.Standard) != `{"ids": 1}` {
		t.Errorf("bodies %+v %v", bodies, err)
	}
	if n, err := s.PurgeEvents(t.Context(), time.Now().Add(-time.Hour), 10); n != 0 || err != nil {
		t.Errorf("%d purged before their time, %v", n, err)
	}
	if n, err := s.PurgeEvents(t.Context(), time.Now().Add(time.Hour), 10); n != 1 || err != nil {
		t.Errorf("%d purged, %v", n, err)
	}
	if bodies, err := s.Bodies(t.Context(), id); err != nil || bodies.DataPass != nil || bodies.Standard != nil {
		t.Errorf("after the purge %+v %v", bodies, err)
	}
}

func TestTriesLieInDaysThatAreDroppedByAgeAndNoneIsLost(t *testing.T) {
	s, pool := openSealed(t)
	now := time.Now().UTC()
	try := func(at time.Time) {
		t.Helper()
		settled := make(chan error, 1)
		r := s.NewSettlements()
		r.Add(store.Settlement{
			Due: store.Due{EndpointID: 1, EventID: uuid.New(), Type: "t"}, At: at, Outcome: store.Delivered, NextAt: at,
			Result: connectors.DeliveryResult{Status: 200}, Settled: func(err error) { settled <- err },
		})
		if err := <-settled; err != nil {
			t.Fatal(err)
		}
	}
	try(now)
	try(now.AddDate(0, 0, 20)) // no day was made for it
	try(now.AddDate(0, 0, -40))
	if n := countRows(t, pool, `select count(*) from attempt_rest`); n != 2 {
		t.Errorf("%d tries outside of the days, want 2", n)
	}
	// Twenty days later: its day is made around it, the old ones go.
	dropped, err := s.KeepAttempts(t.Context(), now.AddDate(0, 0, 20), now.AddDate(0, 0, 10))
	if err != nil || dropped == 0 {
		t.Fatalf("%d days dropped, %v", dropped, err)
	}
	if n := countRows(t, pool, `select count(*) from attempt`); n != 1 {
		t.Errorf("%d tries left, want that of the day", n)
	}
	if n := countRows(t, pool, `select count(*) from attempt_rest`); n != 0 {
		t.Errorf("%d tries left outside of the days", n)
	}
	if again, err := s.KeepAttempts(t.Context(), now.AddDate(0, 0, 20), now.AddDate(0, 0, 10)); again != 0 || err != nil {
		t.Errorf("a second time: %d dropped, %v", again, err)
	}
}

func TestWhatAStrangerAnswersIsMadeFitToBeKept(t *testing.T) {
	s, pool := openSealed(t)
	settled := make(chan error, 1)
	body := append([]byte("a\x00b\xff"), make([]byte, 30_000)...)
	s.NewSettlements().Add(store.Settlement{
		Due: store.Due{EndpointID: 1, EventID: uuid.New(), Type: "t"}, At: time.Now(), Outcome: store.Delivered, NextAt: time.Now(),
		Result: connectors.DeliveryResult{Status: 200, Body: body}, Settled: func(err error) { settled <- err },
	})
	if err := <-settled; err != nil {
		t.Fatal(err)
	}
	if n := countRows(t, pool, `select length(answer) from attempt where answer like 'a_b_%'`); n != connectors.MaxAnswer {
		t.Errorf("%d characters kept", n)
	}
}

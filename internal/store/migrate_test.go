package store_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/passerelle-hub/passerelle/internal/pgtest"
	"github.com/passerelle-hub/passerelle/internal/store"
)

func TestAskingForTheSchemaLeavesNothingRunning(t *testing.T) {
	pool := pgtest.New(t, store.Migrate)
	check := func(times int) {
		t.Helper()
		for range times {
			if err := store.CheckSchema(t.Context(), pool); err != nil {
				t.Fatal(err)
			}
		}
	}
	check(2)
	before := runtime.NumGoroutine()
	check(50)
	for range 100 {
		if runtime.NumGoroutine() < before+25 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines, %d before 50 checks", runtime.NumGoroutine(), before)
}

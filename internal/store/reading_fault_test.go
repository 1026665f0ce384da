package store

import (
	"strings"
	"sync"
	"testing"

	"github.com/passerelle-hub/passerelle/internal/store/db"
)

func TestAPanicIsAnErrorOfThoseWhoWaitForTheReading(t *testing.T) {
	t.Parallel()
	r := newReadings(db.New(nil)) // no database: its first use panics
	var all sync.WaitGroup
	for id := range int64(40) {
		all.Go(func() {
			if _, err := r.read(t.Context(), id); err == nil || !strings.Contains(err.Error(), "panic in a reading") {
				t.Errorf("%d: %v", id, err)
			}
		})
	}
	all.Wait()
}

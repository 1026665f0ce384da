package store_test

import (
	"testing"
	"time"

	"github.com/passerelle-hub/passerelle/internal/pgtest"
	"github.com/passerelle-hub/passerelle/internal/store"
)

func TestThePoolsEndDoesNotWaitForAFeedOfChanges(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t, store.Migrate)
	feed := store.New(pool, nil).NewChangeFeed("access-token")
	defer feed.Close()
	if _, err := feed.Since(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	go func() { pool.Close(); close(closed) }()
	select {
	case <-closed:
	case <-time.After(20 * time.Second):
		t.Fatal("the pool waits for the feed's connection")
	}
	if _, err := feed.Since(t.Context(), 0); err != nil {
		t.Errorf("the feed has a connection of its own: %v", err)
	}
}

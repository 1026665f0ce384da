package store

import (
	"context"

	"github.com/passerelle-hub/passerelle/internal/store/db"
)

// Gauges is how much of each kind waits; OldestCredential and OldestFolder are in seconds.
type Gauges = db.GaugesRow

// Gauges reads it.
func (s *Store) Gauges(ctx context.Context) (Gauges, error) { return s.q.Gauges(ctx) }

package store

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Clock is the database's, which all processes share: an end that one writes
// must have passed for the others too, and a token that one signs must not be of
// the future for another, though their machines' clocks are minutes apart.
type Clock struct {
	pool  *pgxpool.Pool
	local func() time.Time
	ahead atomic.Int64 // of the local clock, in nanoseconds
}

// closeEnough is a difference that measuring and the machines' own
// synchronisation explain: it is left alone, so that time does not jitter.
const closeEnough = 500 * time.Millisecond

// NewClock gives a clock that is the local one until Measure has answered.
func (s *Store) NewClock(local func() time.Time) *Clock { return &Clock{pool: s.pool, local: local} }

// Now is the database's time.
func (c *Clock) Now() time.Time { return c.local().Add(time.Duration(c.ahead.Load())) }

// Measure asks the database for its time, and gives by how much it is ahead of
// the local one, 0 for less than half a second. What was measured before holds
// when it fails.
func (c *Clock) Measure(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	before := c.local()
	var theirs time.Time
	if err := c.pool.QueryRow(ctx, `select clock_timestamp()`).Scan(&theirs); err != nil {
		return c.Ahead(), err
	}
	took := time.Since(began)
	ahead := theirs.Sub(before.Add(took / 2))
	if ahead.Abs() <= closeEnough+took/2 {
		ahead = 0
	}
	c.ahead.Store(int64(ahead))
	return ahead, nil
}

// Ahead is what Measure found last.
func (c *Clock) Ahead() time.Duration { return time.Duration(c.ahead.Load()) }

package partnertest

import (
	"sync"
	"time"
)

// Clock is the partner's time: the machine's, moved by what a test asks. Two
// simulators may share one.
type Clock struct {
	mu     sync.Mutex
	frozen time.Time // zero: the clock runs
	offset time.Duration
}

// NewClock gives a clock that shows the machine's time.
func NewClock() *Clock { return &Clock{} }

// NewFrozenClock gives a clock that stands still at t and moves by Advance only.
func NewFrozenClock(t time.Time) *Clock { return &Clock{frozen: t} }

// Now gives the partner's time, in UTC.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.frozen.IsZero() {
		return c.frozen.Add(c.offset).UTC()
	}
	return time.Now().Add(c.offset).UTC()
}

// Advance moves the clock by d and gives the new time. Latencies and delays of
// faults are in real time: it does not end them.
func (c *Clock) Advance(d time.Duration) time.Time {
	c.mu.Lock()
	c.offset += d
	c.mu.Unlock()
	return c.Now()
}

// Freeze stops the clock at t.
func (c *Clock) Freeze(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frozen, c.offset = t, 0
}

// Run lets the clock show the machine's time again.
func (c *Clock) Run() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frozen, c.offset = time.Time{}, 0
}

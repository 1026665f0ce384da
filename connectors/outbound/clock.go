package outbound

import (
	"net/http"
	"sync/atomic"
	"time"
)

// clockTolerance is what a Date, in whole seconds and late by the network, may
// differ by without meaning that a clock is wrong.
const clockTolerance = 5 * time.Second

// Clock is a partner's, by the Date of its answers (RFC 9110, 6.6.1): an end that
// the partner enforces has passed when it has passed there. Without a Date it is
// the hub's.
type Clock struct {
	now   func() time.Time
	ahead atomic.Int64 // nanoseconds
}

// NewClock gives one that runs with the hub's, until the partner answers.
func NewClock(now func() time.Time) *Clock { return &Clock{now: now} }

// Saw takes the Date of an answer; nil is none.
func (c *Clock) Saw(a *Answer) {
	if a == nil {
		return
	}
	date, err := http.ParseTime(a.Header.Get("Date"))
	if err != nil {
		return
	}
	ahead := date.Sub(c.now())
	if ahead.Abs() < clockTolerance {
		ahead = 0
	}
	c.ahead.Store(int64(ahead))
}

// Now is the time at the partner.
func (c *Clock) Now() time.Time { return c.now().Add(time.Duration(c.ahead.Load())) }

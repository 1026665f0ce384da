package main

import (
	"context"
	"time"
)

// now is the database's time, the same for all replicas.
func (h *hub) now() time.Time { return h.clock.Now() }

const measureClockEvery = 10 * time.Second

// measureClock looks how far this machine's clock is from the database's. When it
// cannot, what it knew holds: whatever needs the database fails by itself.
func (h *hub) measureClock(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	before := h.clock.Ahead()
	ahead, err := h.clock.Measure(ctx)
	if err == nil && (ahead-before).Abs() > time.Second {
		h.log.Warn().Dur("database_ahead", ahead).Msg("the clock of this machine is not the database's, which is the one that counts")
	}
}

func (h *hub) keepClock(ctx context.Context) {
	tick := time.NewTicker(measureClockEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			h.measureClock(ctx)
		}
	}
}

package store

import "sync"

// gatherer does work for many callers at once: whatever is added while the last
// work is under way goes into the next one, so that a burst costs few round
// trips and commits and a lone caller waits for nobody. It runs only while it
// has something to do.
type gatherer[T any] struct {
	work    func(batch []T)
	max     int // of one batch
	workers int // batches at once

	mu      sync.Mutex
	waiting []T
	active  int
}

// add hands an item over. work runs on another goroutine.
func (g *gatherer[T]) add(item T) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = append(g.waiting, item)
	if g.active < g.workers {
		g.active++
		go g.run()
	}
}

func (g *gatherer[T]) run() {
	for {
		g.mu.Lock()
		if len(g.waiting) == 0 {
			g.active--
			g.mu.Unlock()
			return
		}
		batch := g.waiting
		if len(batch) > g.max {
			batch = batch[:g.max]
		}
		g.waiting = append([]T(nil), g.waiting[len(batch):]...)
		g.mu.Unlock()
		g.work(batch)
	}
}

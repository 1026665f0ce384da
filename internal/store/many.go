package store

import (
	"sync"
	"time"
)

// manyFor is how long a list that had far more requests than totals tell is
// taken to still have more than they tell.
const manyFor = 5 * time.Second

// maxMany bounds the lists that are known so.
const maxMany = 1000

// many knows the lists that are too long for an exact total, so that they are
// not counted for each reader.
type many struct {
	mu    sync.Mutex
	until map[string]time.Time
}

func (m *many) knows(key string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return time.Now().Before(m.until[key])
}

func (m *many) learn(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.until == nil || len(m.until) >= maxMany {
		m.until = map[string]time.Time{}
	}
	m.until[key] = time.Now().Add(manyFor)
}

const (
	countedFor = time.Minute // how long a count says where to start a search
	maxCounts  = 20_000      // that are kept
)

// counts keeps what was counted a moment ago. The zero one is empty.
type counts struct {
	mu   sync.Mutex
	held map[string]count
}

type count struct {
	n     int
	until time.Time
}

func (c *counts) get(key string) (int, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, known := c.held[key]
	return k.n, known && time.Now().Before(k.until)
}

func (c *counts) put(key string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held == nil || len(c.held) >= maxCounts {
		c.held = map[string]count{}
	}
	c.held[key] = count{n, time.Now().Add(countedFor)}
}

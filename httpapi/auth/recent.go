package auth

import (
	"crypto/sha256"
	"sync"
	"time"
)

const (
	// rightsFor is how long the rights that were read are used again. A change by
	// this process ends them at once (store.Rights); one by another process, a
	// command or a replica, is obeyed so much later at the most.
	rightsFor = time.Second
	// beliefFor is how long the signature of a token of an issuer is not verified
	// again. Its end is looked at each time.
	beliefFor = 10 * time.Second
	// maxRecent bounds what is kept of each kind. Only what was believed is kept:
	// strangers cannot fill it.
	maxRecent = 5000
)

// fingerprint stands for a token: the token itself is not kept.
type fingerprint [sha256.Size]byte

func fingerprintOf(parts ...string) fingerprint {
	sum := sha256.New()
	for _, part := range parts {
		sum.Write([]byte(part))
		sum.Write([]byte{0})
	}
	return fingerprint(sum.Sum(nil))
}

// recent keeps what was read a moment ago. The zero one is empty.
type recent[V any] struct {
	mu   sync.RWMutex
	held map[fingerprint]kept[V]
}

type kept[V any] struct {
	value  V
	until  time.Time
	rights uint64 // the number of the rights that it was read under
}

// get gives what is kept, unless it is too old or rights changed since.
func (c *recent[V]) get(key fingerprint, rights uint64) (V, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	k, known := c.held[key]
	return k.value, known && k.rights == rights && time.Now().Before(k.until)
}

// put keeps a value; at is when its reading began, rights the number then.
func (c *recent[V]) put(key fingerprint, value V, at time.Time, lasts time.Duration, rights uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held == nil || len(c.held) >= maxRecent {
		c.held = map[fingerprint]kept[V]{}
	}
	c.held[key] = kept[V]{value, at.Add(lasts), rights}
}

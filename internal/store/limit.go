package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// SharedLimit bounds how often each of many callers does something, all replicas
// together: a bucket of one minute's worth in the database, which refills all the
// time. A process takes a twentieth of it at once, so that few calls ask the
// database; what it holds of a caller who went to another process is that much
// more that he may do there.
type SharedLimit struct {
	store     *Store
	prefix    string // of the buckets' names
	perMinute int
	portion   int

	mu      sync.Mutex
	callers map[string]*portion
	swept   time.Time // when portions that nobody came back to were dropped
}

// portion is what a process holds of a caller's bucket.
type portion struct {
	mu     sync.Mutex
	tokens int
	shared float64   // left in the bucket when it was asked
	asked  time.Time // when that was
	empty  time.Time // nothing to ask for before
	used   time.Time // under the limit's lock, as the others are under the portion's
}

// Allowance is what became of one call.
type Allowance struct {
	OK    bool
	Left  int           // that the caller may send at once, as far as this process knows
	Reset time.Duration // until all of the minute's worth is there again
	Wait  time.Duration // until one more is allowed; of one that is not OK
}

const (
	portions = 20
	// portionFor is how long a portion is kept: an idle caller's goes back by then,
	// as his bucket refills.
	portionFor = time.Minute
)

// NewSharedLimit gives a limit of perMinute under a name of its own.
func (s *Store) NewSharedLimit(prefix string, perMinute int) *SharedLimit {
	return &SharedLimit{store: s, prefix: prefix, perMinute: perMinute, portion: max(perMinute/portions, 1), callers: map[string]*portion{}}
}

// PerMinute is the limit.
func (l *SharedLimit) PerMinute() int { return l.perMinute }

// Take counts one call of a caller.
func (l *SharedLimit) Take(ctx context.Context, caller string) (Allowance, error) {
	now := time.Now()
	p := l.of(caller, now)
	p.mu.Lock()
	defer p.mu.Unlock()
	rate := float64(l.perMinute) / 60
	if now.Sub(p.asked) > portionFor {
		p.tokens = 0
	}
	if p.tokens == 0 && !now.Before(p.empty) {
		taken, left, err := l.ask(ctx, caller, rate)
		if err != nil {
			return Allowance{}, fmt.Errorf("count a call: %w", err)
		}
		p.tokens, p.shared, p.asked = taken, left, now
		if taken == 0 {
			p.empty = now.Add(seconds((1 - left) / rate))
		}
	}
	a := Allowance{OK: p.tokens > 0}
	if a.OK {
		p.tokens--
	} else {
		a.Wait = max(p.empty.Sub(now), time.Millisecond)
	}
	left := min(p.shared+now.Sub(p.asked).Seconds()*rate, float64(l.perMinute)) + float64(p.tokens)
	a.Left = int(left)
	if !a.OK {
		a.Left = 0
	}
	a.Reset = seconds((float64(l.perMinute) - left) / rate)
	return a, nil
}

// of gives what the process holds of a caller's bucket. Those who did not come
// back while their portion was good are forgotten.
func (l *SharedLimit) of(caller string, now time.Time) *portion {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.swept) > portionFor {
		l.swept = now
		maps.DeleteFunc(l.callers, func(_ string, p *portion) bool { return now.Sub(p.used) > portionFor })
	}
	p := l.callers[caller]
	if p == nil {
		p = &portion{}
		l.callers[caller] = p
	}
	p.used = now
	return p
}

// ask takes a portion of a caller's bucket, or what is left of it.
func (l *SharedLimit) ask(ctx context.Context, caller string, rate float64) (taken int, left float64, err error) {
	name := l.prefix + "/" + caller
	for range 2 {
		row, err := l.store.q.TakeTokens(ctx, float64(l.portion), float64(l.perMinute), rate, name)
		if err == nil {
			return int(row.Taken), row.Tokens, nil
		}
		if !errors.Is(err, pgx.ErrNoRows) {
			return 0, 0, err
		}
		if err := l.store.q.FillBucket(ctx, name, float64(l.perMinute)); err != nil {
			return 0, 0, err
		}
	}
	return 0, 0, fmt.Errorf("the bucket %s is neither there nor made", name)
}

func seconds(s float64) time.Duration { return time.Duration(math.Max(s, 0) * float64(time.Second)) }

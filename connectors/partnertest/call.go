package partnertest

import (
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Redacted replaces secrets in the log of calls.
const Redacted = "[redacted]"

// Call is one request that a simulator received. Path, Query and Header hold no
// registered secret.
type Call struct {
	Seq         int           `json:"seq"`            // 1 for the first call since the start or the reset
	Side        string        `json:"side"`           // which listener: "management", "gateway"
	Route       string        `json:"route"`          // the router's pattern; "" when nothing matched or the work was not reached
	Method      string        `json:"method"`         //
	Path        string        `json:"path"`           // decoded
	Query       string        `json:"query"`          // decoded
	Header      http.Header   `json:"header"`         // credentials redacted
	Correlation string        `json:"correlation_id"` // X-Correlation-Id, else X-Request-Id
	At          time.Time     `json:"at"`             // the partner's clock
	Took        time.Duration `json:"took_ns"`        // real time
	Worked      bool          `json:"worked"`         // the partner did the work
	Status      int           `json:"status"`         // what the client was sent; 0: nothing yet, or nothing ever
	Fault       Kind          `json:"fault"`          // what struck, delays excepted
	Done        bool          `json:"done"`           // the call is over
}

// rawCall keeps what the leak check reads. It never leaves the package.
type rawCall struct {
	Call
	rawPath, rawQuery, escaped string
}

// callLog keeps the newest calls, and counts and leaks of all of them.
type callLog struct {
	mu      sync.Mutex
	keep    int
	seq     int
	calls   []*rawCall
	leaks   []Leak         // of calls no longer kept
	dropped map[string]int // counts of calls no longer kept
	secrets secrets
}

// DefaultKeptCalls bounds the log of calls.
const DefaultKeptCalls = 100_000

func (l *callLog) open(c *rawCall) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seq++
	c.Seq = l.seq
	l.calls = append(l.calls, c)
	// Half of the log goes at once, so that dropping stays cheap.
	if len(l.calls) > l.keep {
		drop := (len(l.calls) + 1) / 2
		l.leaks = append(l.leaks, l.secrets.leaksIn(l.calls[:drop])...)
		l.dropped = countInto(l.dropped, l.calls[:drop])
		l.calls = slices.Clone(l.calls[drop:])
	}
}

func (l *callLog) update(c *rawCall, change func(*Call)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(&c.Call)
}

func (l *callLog) list(route Route) []Call {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []Call
	for _, c := range l.calls {
		if route.Matches(c.Side, c.Method, c.rawPath) {
			out = append(out, l.secrets.redact(c))
		}
	}
	return out
}

func (l *callLog) count(route Route) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, c := range l.calls {
		if route.Matches(c.Side, c.Method, c.rawPath) {
			n++
		}
	}
	return n
}

// counts gives the number of calls per "METHOD pattern", calls no longer kept included.
func (l *callLog) counts() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return countInto(maps.Clone(l.dropped), l.calls)
}

func countInto(counts map[string]int, calls []*rawCall) map[string]int {
	if counts == nil {
		counts = map[string]int{}
	}
	for _, c := range calls {
		route := c.Route
		if route == "" {
			route = "(no route)"
		}
		counts[c.Method+" "+route]++
	}
	return counts
}

func (l *callLog) allLeaks() []Leak {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append(slices.Clone(l.leaks), l.secrets.leaksIn(l.calls)...)
}

func (l *callLog) register(values []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.secrets.add(values)
}

func (l *callLog) declare(route Route) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.secrets.declared = append(l.secrets.declared, route)
}

// reset forgets the calls. Secrets stay registered: what was a secret still is.
func (l *callLog) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seq, l.calls, l.leaks, l.dropped = 0, nil, nil, nil
}

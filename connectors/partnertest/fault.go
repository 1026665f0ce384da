package partnertest

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Kind names what goes wrong with a call.
type Kind string

const (
	// KindDelay holds the call for Fault.Delay, then goes on.
	KindDelay Kind = "delay"
	// KindReset closes the connection with a TCP reset.
	KindReset Kind = "reset"
	// KindHalfBody does the work, then sends half of the answer's body and closes.
	KindHalfBody Kind = "half_body"
	// KindAnswer replaces the partner's answer by Fault.Status, Header and Body.
	KindAnswer Kind = "answer"
	// KindHang never answers: the call ends when the client gives up or the simulator closes.
	KindHang Kind = "hang"
)

// Fault goes wrong with the calls that its route picks. Unless After is set,
// it strikes before the partner's work, which is then not done (a delay comes
// before it); with After the work is done first and its answer is held, lost or replaced.
type Fault struct {
	Route  Route
	Kind   Kind
	Skip   int // calls that pass before the first one is struck
	Times  int // calls struck; 0: all of them until the fault is cleared
	After  bool
	Delay  time.Duration // KindDelay
	Status int           // KindAnswer
	Header http.Header   // KindAnswer
	Body   string        // KindAnswer
}

// For gives the same fault for the next n calls only.
func (f Fault) For(n int) Fault {
	f.Times = n
	return f
}

// Skipping gives the same fault, which lets n calls pass first.
func (f Fault) Skipping(n int) Fault {
	f.Skip = n
	return f
}

// AfterWork gives the same fault, which strikes once the work is done.
func (f Fault) AfterWork() Fault {
	f.After = true
	return f
}

// Delay holds calls for d.
func Delay(route Route, d time.Duration) Fault {
	return Fault{Route: route, Kind: KindDelay, Delay: d}
}

// ResetBefore resets the connection before the work.
func ResetBefore(route Route) Fault { return Fault{Route: route, Kind: KindReset} }

// ResetAfter resets the connection once the work is done: the answer is lost.
func ResetAfter(route Route) Fault { return Fault{Route: route, Kind: KindReset, After: true} }

// HalfBody does the work and sends half of its answer.
func HalfBody(route Route) Fault { return Fault{Route: route, Kind: KindHalfBody, After: true} }

// Hang keeps the client waiting until it gives up, without doing the work.
func Hang(route Route) Fault { return Fault{Route: route, Kind: KindHang} }

// Answer answers status and body instead of working.
func Answer(route Route, status int, contentType, body string) Fault {
	return Fault{
		Route: route, Kind: KindAnswer, Status: status, Body: body,
		Header: http.Header{"Content-Type": {contentType}},
	}
}

// Status answers a status with a plain body, as a broken server or a proxy does.
func Status(route Route, status int) Fault {
	return Answer(route, status, "text/plain; charset=utf-8", http.StatusText(status)+"\n")
}

// RateLimited answers 429, with Retry-After in whole seconds unless after is 0.
func RateLimited(route Route, after time.Duration) Fault {
	f := Status(route, http.StatusTooManyRequests)
	if after > 0 {
		f.Header.Set("Retry-After", strconv.Itoa(int((after+time.Second-1)/time.Second)))
	}
	return f
}

// HTML answers an error page where JSON is expected, with the given status
// (some proxies say 200, others 502).
func HTML(route Route, status int) Fault {
	return Answer(route, status, "text/html; charset=utf-8",
		"<!DOCTYPE html>\n<html><head><title>Service indisponible</title></head>"+
			"<body><h1>Service momentanément indisponible</h1></body></html>\n")
}

// Valid says what is wrong with the fault.
func (f Fault) Valid() error {
	if f.Skip < 0 || f.Times < 0 {
		return fmt.Errorf("partnertest: fault %s on %q: skip and times must not be negative", f.Kind, f.Route)
	}
	switch f.Kind {
	case KindDelay:
		if f.Delay <= 0 {
			return fmt.Errorf("partnertest: fault delay on %q: delay must be positive", f.Route)
		}
	case KindAnswer:
		if f.Status < 200 || f.Status > 599 {
			return fmt.Errorf("partnertest: fault answer on %q: status %d is not between 200 and 599", f.Route, f.Status)
		}
	case KindReset, KindHang:
	case KindHalfBody:
		if !f.After {
			return fmt.Errorf("partnertest: fault half_body on %q strikes after the work only", f.Route)
		}
	default:
		return fmt.Errorf("partnertest: unknown fault kind %q", f.Kind)
	}
	return f.Route.Valid()
}

// FaultState is a fault in place and how often it has struck.
type FaultState struct {
	ID     int   `json:"id"`
	Fault  Fault `json:"fault"`
	Struck int   `json:"struck"`
}

// Done reports that the fault has struck as often as it was asked to.
func (s FaultState) Done() bool { return s.Fault.Times > 0 && s.Struck >= s.Fault.Times }

type faults struct {
	mu    sync.Mutex
	next  int
	inUse []*faultSlot
}

type faultSlot struct {
	FaultState
	seen int
}

func (f *faults) add(fault Fault) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next++
	f.inUse = append(f.inUse, &faultSlot{FaultState: FaultState{ID: f.next, Fault: fault}})
	return f.next
}

func (f *faults) clear(ids ...int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(ids) == 0 {
		f.inUse = nil
		return
	}
	kept := f.inUse[:0:0]
	for _, slot := range f.inUse {
		if !slices.Contains(ids, slot.ID) {
			kept = append(kept, slot)
		}
	}
	f.inUse = kept
}

func (f *faults) list() []FaultState {
	f.mu.Lock()
	defer f.mu.Unlock()
	states := make([]FaultState, 0, len(f.inUse))
	for _, slot := range f.inUse {
		states = append(states, slot.FaultState)
	}
	return states
}

// strike gives what goes wrong with one call: every delay that picks it, and
// the first other fault, in the order they were added. It is asked once a call,
// so that a sequence (500, then 502, then normal) is a list of faults.
func (f *faults) strike(side, method, path string) (delays []Fault, fatal *Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, slot := range f.inUse {
		isDelay := slot.Fault.Kind == KindDelay
		if slot.Done() || (!isDelay && fatal != nil) || !slot.Fault.Route.Matches(side, method, path) {
			continue
		}
		if slot.seen < slot.Fault.Skip {
			slot.seen++
			continue
		}
		slot.Struck++
		fault := slot.Fault
		if isDelay {
			delays = append(delays, fault)
		} else {
			fatal = &fault
		}
	}
	return delays, fatal
}

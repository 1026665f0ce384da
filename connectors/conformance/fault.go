package conformance

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

// retryAfter is the delay that a partner asks for.
const retryAfter = 7 * time.Second

func answer(route partnertest.Route, status int, body string) partnertest.Fault {
	return partnertest.Answer(route, status, "application/json", body)
}

// misfortune is one fault and the class that an operation gives when it fails by it.
type misfortune struct {
	name    string
	fault   func(partnertest.Route) partnertest.Fault
	classes []connectors.Class
	// unseen: net/http repeats a GET by itself when a kept connection breaks.
	unseen bool
	// lasts: every further call is struck too, until the repeat.
	lasts bool
	// kills: the caller dies when the work of the call is done; another process,
	// that knows nothing, repeats the operation.
	kills bool
}

var misfortunes = []misfortune{
	{name: "a partner that is down", fault: partnertest.ResetBefore, classes: temporary, lasts: true},
	{name: "a connection reset before the work", fault: partnertest.ResetBefore, classes: temporary, unseen: true},
	{name: "an answer lost after the work", fault: partnertest.ResetAfter, classes: temporary, unseen: true},
	{name: "half an answer", fault: partnertest.HalfBody, classes: temporary},
	{name: "a 500 before the work", fault: status(http.StatusInternalServerError), classes: temporary},
	{name: "a 503 after the work", fault: func(r partnertest.Route) partnertest.Fault {
		return partnertest.Status(r, http.StatusServiceUnavailable).AfterWork()
	}, classes: temporary},
	{name: "a 429 that names its delay", fault: func(r partnertest.Route) partnertest.Fault {
		return partnertest.RateLimited(r, retryAfter)
	}, classes: []connectors.Class{connectors.RateLimited}},
	{name: "a 429 without delay", fault: func(r partnertest.Route) partnertest.Fault { return partnertest.RateLimited(r, 0) }, classes: temporary},
	{name: "an HTML page with 200", fault: html(http.StatusOK), classes: []connectors.Class{connectors.Temporary, connectors.Rejected}},
	{name: "an HTML page with 502", fault: html(http.StatusBadGateway), classes: temporary},
	{name: "an HTML page with 404", fault: html(http.StatusNotFound), classes: []connectors.Class{connectors.Rejected}},
	{name: "a process killed after the work", kills: true, classes: []connectors.Class{connectors.Temporary}, unseen: true},
}

var temporary = []connectors.Class{connectors.Temporary}

func status(code int) func(partnertest.Route) partnertest.Fault {
	return func(r partnertest.Route) partnertest.Fault { return partnertest.Status(r, code) }
}

func html(code int) func(partnertest.Route) partnertest.Fault {
	return func(r partnertest.Route) partnertest.Fault { return partnertest.HTML(r, code) }
}

// operation is one call of the contract: what comes before it, the call, and what
// must hold once it has succeeded.
type operation struct {
	name  string
	needs []need
	begin func(*attempt)
	run   func(*attempt) error
	holds func(*attempt)
	// most is how many keys may live at any moment, the failed one included.
	most int
}

// attempt is an operation under way.
type attempt struct {
	*bench
	first   connectors.Issued
	ask     connectors.IssueRequest
	change  connectors.RotateRequest
	issued  connectors.Issued
	rotated connectors.Rotation
	end     time.Time
}

func begun(a *attempt) { a.first = a.bench.issued() }

var operations = []operation{
	{"subject", []need{subjectObjects}, func(*attempt) {}, func(a *attempt) (err error) {
		a.subjectID, err = a.ensure(a.subject)
		return err
	}, func(a *attempt) {
		id, err := a.ensure(a.subject)
		if err != nil || id != a.subjectID {
			a.t.Errorf("%s, then %s, %v", a.subjectID, id, err)
		}
		a.oneSubject()
	}, 0},
	{"grants", nil, begun, func(a *attempt) error {
		return a.setGrants([]connectors.Handle{a.first.Handle}, a.Scopes[1])
	}, func(a *attempt) {
		a.bench.holds([]connectors.Handle{a.first.Handle}, a.Scopes[1])
		a.settle()
		a.alive(a.first)
		a.live(1)
	}, 1},
	{"issue", nil, func(a *attempt) {
		a.prepare()
		a.ask = a.request()
	}, func(a *attempt) (err error) {
		a.issued, err = a.issue(a.ask)
		return err
	}, func(a *attempt) {
		a.settle()
		a.live(1)
		a.alive(a.issued)
		again, err := a.issue(a.ask)
		if err != nil || !again.Adopted || again.Handle.ID != a.issued.Handle.ID {
			a.t.Errorf("a repeat gives %s, adopted %t, %v", again.Handle.ID, again.Adopted, err)
		}
		a.live(1)
	}, 1},
	{"rotation with a grace", nil, func(a *attempt) {
		begun(a)
		a.change = a.rotation(a.first, grace)
	}, rotateOnce, func(a *attempt) {
		a.settle()
		a.alive(a.rotated.Issued)
		a.live(a.both(a.rotated))
		a.graceEnds(a.first, a.rotated)
	}, 2},
	{"rotation without grace", nil, func(a *attempt) {
		begun(a)
		a.change = a.rotation(a.first, 0)
	}, rotateOnce, func(a *attempt) {
		a.dead(a.first)
		a.alive(a.rotated.Issued)
		a.live(1)
	}, 2},
	{"expiry", []need{nativeExpiry}, func(a *attempt) {
		begun(a)
		a.end = a.Now().Add(grace)
	}, func(a *attempt) error { return a.expire(a.first.Handle, a.end) }, func(a *attempt) {
		a.endsAt(a.first.Handle, a.end)
		a.settle()
		a.alive(a.first)
	}, 0},
	{"revocation", nil, begun, func(a *attempt) error { return a.revoke(a.first.Handle) }, func(a *attempt) {
		a.dead(a.first)
		a.live(0)
	}, 1},
	{"revocation during a grace", []need{someGrace}, func(a *attempt) {
		begun(a)
		rotated, err := a.rotate(a.rotation(a.first, grace))
		a.must(err)
		a.rotated = rotated
		a.settle()
	}, func(a *attempt) error { return a.revoke(a.first.Handle) }, func(a *attempt) {
		a.dead(a.first)
		a.alive(a.rotated.Issued)
		a.live(1)
	}, 0},
	{"verification of a live key", nil, begun, func(a *attempt) error {
		live, err := a.verify(a.first.Handle)
		if live == connectors.Dead {
			a.t.Error("a live key is called dead")
		}
		return err
	}, func(*attempt) {}, 0},
	{"verification of a revoked key", nil, func(a *attempt) {
		begun(a)
		a.must(a.revoke(a.first.Handle))
		a.settle()
	}, func(a *attempt) error {
		live, err := a.verify(a.first.Handle)
		if err == nil && live == connectors.Alive {
			a.t.Error("a revoked key is called alive")
		}
		return err
	}, func(a *attempt) { a.dead(a.first) }, 0},
	{"lookup", nil, begun, func(a *attempt) error {
		found, err := a.lookup(a.first.Handle)
		if err == nil && (found.Live != connectors.Alive || len(found.Scopes) != len(a.Scopes)) {
			a.t.Errorf("%s with %q", found.Live, found.Scopes)
		}
		return err
	}, func(*attempt) {}, 0},
	{"list", []need{lists}, begun, func(a *attempt) error {
		lister := a.Manager.(connectors.Lister)
		for cursor := ""; ; {
			page, next, err := lister.List(a.ctx, cursor)
			if a.watch(err) != nil {
				return err
			}
			if slices.ContainsFunc(page, func(f connectors.Found) bool { return f.Handle.Ref == a.first.Handle.Ref }) {
				return nil
			}
			if cursor = next; next == "" {
				a.t.Error("no error, and a live key is not listed")
				return nil
			}
		}
	}, func(*attempt) {}, 0},
	{"health", nil, func(*attempt) {}, func(a *attempt) error {
		_, err := a.Manager.Health(a.ctx)
		return a.watch(err)
	}, func(*attempt) {}, 0},
}

func rotateOnce(a *attempt) (err error) {
	a.rotated, err = a.rotate(a.change)
	return err
}

// maxCalls bounds the calls of one operation: a loop without end is a fault.
const maxCalls = 40

// runFaults strikes each call of each operation with each misfortune.
func runFaults(t *testing.T, open func(*testing.T) *Fixture, sample *Fixture) {
	t.Helper()
	runMatrix(t, sample, misfortunes, func(m misfortune) string { return m.name }, maxCalls,
		func(t *testing.T, op operation, m misfortune, n int) (struck, told bool) {
			return strike(t, open, op, m, n)
		})
}

// runMatrix has each call of each operation that the sample can do struck by each
// of the blows, most calls of one at most, and prints what came of it. strike hits
// call number n, and tells whether there is one and whether the caller was told.
func runMatrix[B any](t *testing.T, sample *Fixture, blows []B, name func(B) string, most int, strike func(*testing.T, operation, B, int) (struck, told bool)) {
	t.Helper()
	var rows []row
	for _, op := range operations {
		if slices.ContainsFunc(op.needs, func(has need) bool { return !has(sample) }) {
			continue
		}
		t.Run(op.name, func(t *testing.T) {
			for _, b := range blows {
				t.Run(name(b), func(t *testing.T) {
					r := row{operation: op.name, misfortune: name(b)}
					for n := range most + 1 {
						struck, told := strike(t, op, b, n)
						if !struck {
							break
						}
						r.struck++
						if told {
							r.told++
						}
					}
					if r.struck == 0 || r.struck > most {
						t.Errorf("%d calls were struck", r.struck)
					}
					r.failed = t.Failed()
					rows = append(rows, r)
				})
			}
		})
	}
	t.Log(matrix(rows))
}

// row is one line of the matrix: what came of striking each call of an operation.
type row struct {
	operation, misfortune string
	struck, told          int // calls struck; of these, failures that the caller was told
	failed                bool
}

// matrix prints the rows. A failure that was told is repeated, and then ends as
// one without faults.
func matrix(rows []row) string {
	var out strings.Builder
	t := tabwriter.NewWriter(&out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "\noperation\tmisfortune\tcalls struck\ttold, then repeated\tunseen by the caller\tin the end")
	for _, r := range rows {
		end := "as without the fault"
		switch {
		case r.failed:
			end = "WRONG"
		case r.operation == "issue", r.operation == "grants":
			end = "one live key, right grants"
		case strings.HasPrefix(r.operation, "rotation"):
			end = "one new key, the old one as told"
		case r.operation == "revocation":
			end = "no live key, proved"
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%d\t%s\n", r.operation, r.misfortune, r.struck, r.told, r.struck-r.told, end)
	}
	_ = t.Flush() // into memory
	return out.String()
}

// strike lets the misfortune hit the operation's call number n, and tells whether
// there is one and whether the operation failed by it.
func strike(t *testing.T, open func(*testing.T) *Fixture, op operation, m misfortune, n int) (struck, told bool) {
	t.Helper()
	t.Run(fmt.Sprintf("call %d", n+1), func(t *testing.T) {
		a := &attempt{bench: newBench(t, open)}
		op.begin(a)
		var err error
		if m.kills {
			struck, err = a.killed(op, n)
		} else {
			fault := m.fault(a.Admin).Skipping(n)
			if !m.lasts {
				fault = fault.For(1)
			}
			a.Partner.Inject(fault)
			err = op.run(a)
			struck = slices.ContainsFunc(a.Partner.Faults(), func(f partnertest.FaultState) bool { return f.Struck > 0 })
			a.Partner.ClearFaults()
		}
		told = err != nil
		if live := a.Live(a.subject.Ref); op.most > 0 && live > op.most {
			t.Errorf("%d keys live after the fault", live)
		}
		switch {
		case err == nil && struck && op.name == "health" && !m.unseen:
			t.Error("healthy in spite of the fault")
		case err != nil && !struck:
			t.Fatal(err)
		case err != nil:
			a.wantClass(err, m.classes...)
			var e *connectors.Error
			if errors.As(err, &e) && e.Class == connectors.RateLimited && e.After != retryAfter {
				t.Errorf("after %s, want %s", e.After, retryAfter)
			}
			if err := op.run(a); err != nil {
				t.Fatalf("the repeat: %v", err)
			}
		}
		op.holds(a)
	})
	return struck, told
}

// killed runs the operation in a process that dies when the work of its call
// number n is done, and gives the manager of the next process.
func (a *attempt) killed(op operation, n int) (struck bool, err error) {
	whole := a.ctx
	ctx, die := context.WithCancel(whole)
	defer die()
	var calls atomic.Int64
	remove := a.Partner.AfterWork(a.Admin, func(partnertest.Call) {
		if calls.Add(1) == int64(n+1) {
			die()
		}
	})
	a.ctx = ctx
	err = op.run(a)
	remove()
	a.ctx = whole
	if a.Reopen != nil {
		a.Manager = a.Reopen()
	}
	return calls.Load() > int64(n), err
}

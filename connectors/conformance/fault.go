package conformance

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
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
}

var misfortunes = []misfortune{
	{"a connection reset before the work", partnertest.ResetBefore, temporary, true},
	{"an answer lost after the work", partnertest.ResetAfter, temporary, true},
	{"half an answer", partnertest.HalfBody, temporary, false},
	{"a 500 before the work", status(http.StatusInternalServerError), temporary, false},
	{"a 503 after the work", func(r partnertest.Route) partnertest.Fault {
		return partnertest.Status(r, http.StatusServiceUnavailable).AfterWork()
	}, temporary, false},
	{"a 429 that names its delay", func(r partnertest.Route) partnertest.Fault {
		return partnertest.RateLimited(r, retryAfter)
	}, []connectors.Class{connectors.RateLimited}, false},
	{"a 429 without delay", func(r partnertest.Route) partnertest.Fault { return partnertest.RateLimited(r, 0) }, temporary, false},
	{"an HTML page with 200", html(http.StatusOK), []connectors.Class{connectors.Temporary, connectors.Rejected}, false},
	{"an HTML page with 502", html(http.StatusBadGateway), temporary, false},
	{"an HTML page with 404", html(http.StatusNotFound), []connectors.Class{connectors.Rejected}, false},
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
	}},
	{"grants", nil, begun, func(a *attempt) error {
		return a.setGrants([]connectors.Handle{a.first.Handle}, a.Scopes[1])
	}, func(a *attempt) {
		a.bench.holds([]connectors.Handle{a.first.Handle}, a.Scopes[1])
		a.settle()
		a.alive(a.first)
		a.live(1)
	}},
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
	}},
	{"rotation with a grace", nil, func(a *attempt) {
		begun(a)
		a.change = a.rotation(a.first, grace)
	}, rotateOnce, func(a *attempt) {
		a.settle()
		a.alive(a.rotated.Issued)
		a.live(a.both(a.rotated))
		a.graceEnds(a.first, a.rotated)
	}},
	{"rotation without grace", nil, func(a *attempt) {
		begun(a)
		a.change = a.rotation(a.first, 0)
	}, rotateOnce, func(a *attempt) {
		a.dead(a.first)
		a.alive(a.rotated.Issued)
		a.live(1)
	}},
	{"expiry", []need{nativeExpiry}, func(a *attempt) {
		begun(a)
		a.end = a.Now().Add(grace)
	}, func(a *attempt) error { return a.expire(a.first.Handle, a.end) }, func(a *attempt) {
		a.endsAt(a.first.Handle, a.end)
		a.settle()
		a.alive(a.first)
	}},
	{"revocation", nil, begun, func(a *attempt) error { return a.revoke(a.first.Handle) }, func(a *attempt) {
		a.dead(a.first)
		a.live(0)
	}},
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
	}},
	{"verification of a live key", nil, begun, func(a *attempt) error {
		live, err := a.verify(a.first.Handle)
		if live == connectors.Dead {
			a.t.Error("a live key is called dead")
		}
		return err
	}, func(*attempt) {}},
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
	}, func(a *attempt) { a.dead(a.first) }},
	{"lookup", nil, begun, func(a *attempt) error {
		found, err := a.lookup(a.first.Handle)
		if err == nil && (found.Live != connectors.Alive || len(found.Scopes) != len(a.Scopes)) {
			a.t.Errorf("%s with %q", found.Live, found.Scopes)
		}
		return err
	}, func(*attempt) {}},
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
	}, func(*attempt) {}},
	{"health", nil, func(*attempt) {}, func(a *attempt) error {
		_, err := a.Manager.Health(a.ctx)
		return a.watch(err)
	}, func(*attempt) {}},
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
	for _, op := range operations {
		if slices.ContainsFunc(op.needs, func(has need) bool { return !has(sample) }) {
			continue
		}
		t.Run(op.name, func(t *testing.T) {
			for _, m := range misfortunes {
				t.Run(m.name, func(t *testing.T) {
					struck := 0
					for n := range maxCalls + 1 {
						if !strike(t, open, op, m, n) {
							break
						}
						struck++
					}
					if struck == 0 || struck > maxCalls {
						t.Errorf("%d calls were struck", struck)
					}
				})
			}
		})
	}
}

// strike lets the fault hit the operation's call number n, and tells whether there is one.
func strike(t *testing.T, open func(*testing.T) *Fixture, op operation, m misfortune, n int) (struck bool) {
	t.Helper()
	t.Run(fmt.Sprintf("call %d", n+1), func(t *testing.T) {
		a := &attempt{bench: newBench(t, open)}
		op.begin(a)
		a.Partner.Inject(m.fault(a.Admin).Skipping(n).For(1))
		err := op.run(a)
		struck = slices.ContainsFunc(a.Partner.Faults(), func(f partnertest.FaultState) bool { return f.Struck > 0 })
		a.Partner.ClearFaults()
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
	return struck
}

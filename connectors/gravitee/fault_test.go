package gravitee

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/gravitee/graviteetest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

// end is what must be true of a simulator after an operation.
type end struct {
	Applications, Subscriptions int
	Keys                        []string // value's last characters, API, end
}

func (h *hub) end() end {
	state := h.srv.Snapshot()
	e := end{Applications: state.Counts.ActiveApplications, Subscriptions: state.Counts.OpenSubscriptions}
	apis := map[string]string{}
	for _, sub := range state.Subscriptions {
		apis[sub.ID] = sub.API
	}
	for _, key := range state.Keys {
		life := "for ever"
		switch {
		case key.Revoked:
			life = "revoked"
		case key.ExpireAt != nil:
			life = key.ExpireAt.Sub(january).String()
		}
		value := h.srv.Keys()[slices.IndexFunc(state.Keys, func(k graviteetest.Key) bool { return k.ID == key.ID })].Value
		e.Keys = append(e.Keys, fmt.Sprintf("%s on %.5s: %s", value[len(value)-5:], apis[key.Subscriptions[0]], life))
	}
	slices.Sort(e.Keys)
	return e
}

// operation is one method in a situation: prepare sets the situation up without
// faults, run is tried again as a job does until it succeeds.
type operation struct {
	prepare func(h *hub)
	run     func(h *hub) error
}

func operations() map[string]operation {
	rotation := func(grace time.Duration) operation {
		return operation{
			prepare: func(h *hub) {
				first := h.issued("base", "further")
				h.handle = first.Handle
				if err := h.Expire(h.t.Context(), first.Handle, january.Add(30*time.Minute)); err != nil {
					h.t.Fatal(err)
				}
				if _, err := h.Issue(h.t.Context(), h.request("dp-9001-c9", key3, "base", "further")); err != nil {
					h.t.Fatal(err)
				}
			},
			run: func(h *hub) error {
				_, err := h.Rotate(h.t.Context(), connectors.RotateRequest{
					IssueRequest: h.request("dp-9001-c2", key2, "base", "further"), Old: h.handle, Grace: grace,
				})
				return err
			},
		}
	}
	return map[string]operation{
		"issue": {
			prepare: func(*hub) {},
			run: func(h *hub) error {
				app, err := h.EnsureSubject(h.t.Context(), subject())
				if err != nil {
					return err
				}
				h.app = app
				r := h.request("dp-9001-c1", key1, "base", "further")
				r.ExpiresAt = january.Add(240 * time.Hour)
				_, err = h.Issue(h.t.Context(), r)
				return err
			},
		},
		"issue beside another": {
			prepare: func(h *hub) {
				first := h.issued("base")
				if err := h.Expire(h.t.Context(), first.Handle, january.Add(10*time.Minute)); err != nil {
					h.t.Fatal(err)
				}
			},
			run: func(h *hub) error {
				_, err := h.Issue(h.t.Context(), h.request("dp-9001-c2", key2, "base"))
				return err
			},
		},
		"rotate with a grace":    rotation(time.Hour),
		"rotate without a grace": rotation(0),
		"revoke": {
			prepare: func(h *hub) { h.handle = h.issued("base", "further").Handle },
			run: func(h *hub) error {
				if err := h.Revoke(h.t.Context(), h.handle); err != nil {
					return err
				}
				live, err := h.VerifyRevoked(h.t.Context(), h.handle)
				if err == nil && live != connectors.Dead {
					h.t.Errorf("after the revocation: %s", live)
				}
				return err
			},
		},
		"extend to a further plan": {
			prepare: func(h *hub) { h.handle = h.issued("base").Handle },
			run: func(h *hub) error {
				return h.EnsureGrants(h.t.Context(), h.app, []connectors.Handle{h.handle}, grants("base", "further"))
			},
		},
	}
}

// Every call of every operation meets every fault once, before, during or after
// its work; the operation is tried again as a job does. The outcome is the one
// of a day without faults.
func TestEveryCallSurvivesEveryFault(t *testing.T) {
	t.Parallel()
	faults := map[string]func(partnertest.Route) partnertest.Fault{
		"reset before the work": partnertest.ResetBefore,
		"reset after the work":  partnertest.ResetAfter,
		"half of the answer":    partnertest.HalfBody,
		"500":                   func(r partnertest.Route) partnertest.Fault { return partnertest.Status(r, 500) },
		"200 with a page":       func(r partnertest.Route) partnertest.Fault { return partnertest.HTML(r, 200) },
	}
	for name, op := range operations() {
		calm := start(t, graviteetest.Options{})
		op.prepare(calm)
		before := len(calm.srv.Calls(""))
		if err := op.run(calm); err != nil {
			t.Fatalf("%s without faults: %v", name, err)
		}
		calls := calm.srv.Calls("")[before:]
		want := calm.end()
		for i := range calls {
			for kind, fault := range faults {
				t.Run(fmt.Sprintf("%s, call %d %s, %s", name, i, calls[i].Method, kind), func(t *testing.T) {
					t.Parallel()
					h := start(t, graviteetest.Options{})
					op.prepare(h)
					h.srv.Inject(fault("").Skipping(i).For(1))
					tries := 1
					for err := op.run(h); err != nil; err = op.run(h) {
						class := connectors.ClassOf(err)
						if class != connectors.Temporary && class != connectors.RateLimited {
							t.Fatalf("try %d: %v", tries, err)
						}
						if tries++; tries > 3 {
							t.Fatalf("still failing: %v", err)
						}
					}
					if struck := h.srv.Faults()[0].Struck; struck != 1 {
						t.Fatalf("the fault struck %d times", struck)
					}
					if diff := cmp.Diff(want, h.end()); diff != "" {
						t.Errorf("another outcome than without faults:\n%s", diff)
					}
					for _, key := range h.memory.keys() {
						if strings.HasPrefix(key, "renewal/") || strings.HasPrefix(key, "rotation/") {
							t.Errorf("a note of an operation under way is left: %s", key)
						}
					}
				})
			}
		}
	}
}

// The same with the hub's own records failing at each of their uses.
func TestEveryStepSurvivesAFaultOfTheHubsRecords(t *testing.T) {
	t.Parallel()
	for name, op := range operations() {
		for n := range 40 {
			h := start(t, graviteetest.Options{})
			op.prepare(h)
			flaky := &flakyLedger{memory: h.memory, failAt: n}
			h.ledger = flaky
			err := op.run(h)
			if flaky.calls <= n {
				break // fewer uses than that
			}
			if err == nil {
				t.Fatalf("%s: fault %d of the ledger was swallowed", name, n)
			}
			wantClass(t, err, connectors.Temporary)
			if err := op.run(h); err != nil {
				t.Fatalf("%s, ledger fault %d, again: %v", name, n, err)
			}
			calm := start(t, graviteetest.Options{})
			op.prepare(calm)
			if err := op.run(calm); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(calm.end(), h.end()); diff != "" {
				t.Errorf("%s, ledger fault %d:\n%s", name, n, diff)
			}
		}
	}
}

func TestAHangEndsWithinTheTimeLimit(t *testing.T) {
	t.Parallel()
	h := start(t, graviteetest.Options{}, func(c *Config) { c.Timeouts.Total = 100 * time.Millisecond })
	h.srv.Inject(partnertest.Hang("POST /**/applications"))
	_, err := h.EnsureSubject(t.Context(), subject())
	wantClass(t, err, connectors.Temporary)
}

func TestQuickRetriesAreForReadsOnly(t *testing.T) {
	t.Parallel()
	h := start(t, graviteetest.Options{}, func(c *Config) { c.Retries = nil })
	h.subject()
	h.srv.Inject(partnertest.Status("GET /**/subscriptions", http.StatusServiceUnavailable).For(2))
	if _, err := h.Issue(t.Context(), h.request("dp-9001-c1", key1, "base")); err != nil {
		t.Errorf("two failed reads in a row: %v", err)
	}
	h.srv.Inject(partnertest.Status("POST /**/_renew", http.StatusServiceUnavailable))
	_, err := h.Issue(t.Context(), h.request("dp-9001-c2", key2, "base"))
	wantClass(t, err, connectors.Temporary)
	if n := h.srv.Count("POST /**/_renew"); n != 1 {
		t.Errorf("a POST was sent %d times", n)
	}
}

package partnertest_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

func (b *bundle) admin(t *testing.T, method, path, body string) reply {
	t.Helper()
	return b.callWith(t.Context(), t, method, path, body, nil)
}

func TestAdminDrivesASimulatorFromOutside(t *testing.T) {
	t.Parallel()
	resets := 0
	frozen := time.Date(2026, 6, 1, 8, 0, 0, 0, time.UTC)
	b := start(t, partnertest.Options{
		Clock: partnertest.NewFrozenClock(frozen),
		State: func() any { return map[string]int{"things": 3} },
		Reset: func() { resets++ },
		Control: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "control "+r.URL.Path)
		}),
	})
	if got := b.admin(t, "GET", "/_admin/state", ""); got.Body != `{"things":3}` || got.Header.Get("Content-Type") != "application/json" {
		t.Errorf("state: %+v", got)
	}
	if got := b.admin(t, "POST", "/_admin/activate/7", ""); got.Body != "control /_admin/activate/7" {
		t.Errorf("the simulator's own control: %+v", got)
	}
	if got := b.admin(t, "POST", "/_admin/clock", `{"advance":"1h"}`); got.Body != `{"now":"2026-06-01T09:00:00Z"}` {
		t.Errorf("clock: %+v", got)
	}
	if got := b.admin(t, "POST", "/_admin/clock", `{"freeze":"2027-01-01T00:00:00Z","advance":"90s"}`); got.Body != `{"now":"2027-01-01T00:01:30Z"}` {
		t.Errorf("freeze: %+v", got)
	}
	if got := b.admin(t, "GET", "/_admin/clock", ""); got.Body != `{"now":"2027-01-01T00:01:30Z"}` {
		t.Errorf("clock: %+v", got)
	}

	faults := `[{"route":"PUT /things/*","kind":"status","status":500,"times":1},
		{"route":"PUT /things/*","kind":"rate_limited","retry_after":"30s","times":1},
		{"route":"PUT /things/*","kind":"html","times":1},
		{"route":"PUT /things/*","kind":"answer","status":200,"header":{"Content-Type":["text/plain"]},"body":"ok","times":1},
		{"route":"PUT /things/*","kind":"half_body","times":1},
		{"route":"PUT /things/*","kind":"reset","after":true,"times":1},
		{"route":"PUT /things/*","kind":"delay","delay":"1ms"}]`
	if got := b.admin(t, "POST", "/_admin/faults", faults); got.Status != 201 {
		t.Fatalf("faults: %+v", got)
	}
	var statuses []int
	var errs []bool
	for range 7 {
		got := b.call(t, "PUT", "/things/42")
		statuses, errs = append(statuses, got.Status), append(errs, got.Err != nil)
	}
	if diff := cmp.Diff([]int{500, 429, 502, 200, 200, 0, 200}, statuses); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]bool{false, false, false, false, true, true, false}, errs); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
	var states []partnertest.FaultState
	decode(t, b.admin(t, "GET", "/_admin/faults", "").Body, &states)
	if len(states) != 7 || states[5].Fault.Kind != partnertest.KindReset || !states[5].Fault.After || states[6].Struck != 7 {
		t.Errorf("faults read back: %+v", states)
	}

	var page partnertest.CallsPage
	decode(t, b.admin(t, "GET", "/_admin/calls?route=PUT+/things/*&after=5", "").Body, &page)
	if page.Total != 7 || len(page.Calls) != 2 || page.Calls[0].Seq != 6 || page.Counts["PUT /things/{id}"] != 3 {
		t.Errorf("calls: %+v", page)
	}

	if got := b.admin(t, "DELETE", "/_admin/faults", ""); got.Status != 204 || len(b.Faults()) != 0 {
		t.Errorf("clear: %+v, left %+v", got, b.Faults())
	}
	b.Inject(partnertest.Status("", 500))
	if got := b.admin(t, "POST", "/_admin/reset", ""); got.Status != 204 || resets != 1 || b.Count("") != 0 || len(b.Faults()) != 0 {
		t.Errorf("reset: %+v, %d resets, %d calls", got, resets, b.Count(""))
	}
}

func TestAdminRefusesWhatItDoesNotUnderstand(t *testing.T) {
	t.Parallel()
	b := start(t, partnertest.Options{})
	for _, tt := range []struct{ method, path, body string }{
		{"POST", "/_admin/faults", `{"route":"/x","kind":"status","status":500,"tims":1}`},
		{"POST", "/_admin/faults", `{"route":"/x","kind":"nonsense"}`},
		{"POST", "/_admin/faults", `[{"route":"/x","kind":"hang"},{"route":"x y z","kind":"hang"}]`},
		{"POST", "/_admin/faults", `{"route":"/x","kind":"delay","delay":5}`},
		{"POST", "/_admin/faults", `{"kind":"hang"} extra`},
		{"POST", "/_admin/faults", ``},
		{"POST", "/_admin/clock", `{"advance":"tomorrow"}`},
		{"POST", "/_admin/clock", `{"forward":"1h"}`},
		{"GET", "/_admin/calls?after=x", ""},
		{"GET", "/_admin/calls?route=GET+[", ""},
	} {
		if got := b.admin(t, tt.method, tt.path, tt.body); got.Status != 400 || !strings.Contains(got.Body, `"error"`) {
			t.Errorf("%s %s %s: %+v", tt.method, tt.path, tt.body, got)
		}
	}
	if len(b.Faults()) != 0 {
		t.Errorf("a refused list left faults: %+v", b.Faults())
	}
	if got := b.admin(t, "GET", "/_admin/nothing", ""); got.Status != 404 {
		t.Errorf("unknown path: %+v", got)
	}
	if b.Count("") != 0 {
		t.Error("admin calls are in the log of calls")
	}
	if got := b.admin(t, "GET", "/_admin/state", ""); got.Body != "{}" {
		t.Errorf("state of a simulator without any: %+v", got)
	}
}

func TestCallsAreLoggedWithoutSecrets(t *testing.T) {
	t.Parallel()
	b := start(t, partnertest.Options{})
	const secret, inside = "psk_test_7Qm2Zr9LxT4cVb8NwKd3Hs6YpFjG1a240k77", "7Qm2Zr9LxT4c"
	b.callWith(t.Context(), t, "GET", "/things/"+secret+"?token="+secret+"&page=2", "", http.Header{
		"Authorization":    {"Bearer abc"},
		"X-Api-Key":        {"whatever"},
		"X-Note":           {"see " + secret},
		"X-Correlation-Id": {"corr-1"},
		"Idempotency-Key":  {"job-7"},
	})
	// Registered after the call: the log and the check must see it all the same.
	b.RegisterSecret(secret, inside, "")
	call := b.Calls("GET /things/*")[0]
	if call.Path != "/things/[redacted]" || call.Query != "token=[redacted]&page=2" {
		t.Errorf("path %q, query %q", call.Path, call.Query)
	}
	want := http.Header{
		"Authorization": {"[redacted]"}, "X-Api-Key": {"[redacted]"}, "X-Note": {"see [redacted]"},
		"X-Correlation-Id": {"corr-1"}, "Idempotency-Key": {"job-7"},
	}
	for name := range want {
		if diff := cmp.Diff(want[name], call.Header[name]); diff != "" {
			t.Errorf("header %s: %s", name, diff)
		}
	}
	if call.Correlation != "corr-1" || call.Route != "/things/{id}" || call.Status != 200 || call.Seq != 1 {
		t.Errorf("call: %+v", call)
	}
	if text := b.admin(t, "GET", "/_admin/calls", "").Body; strings.Contains(text, secret) || strings.Contains(text, "abc") {
		t.Errorf("the admin surface shows a secret: %s", text)
	}
}

func TestLeakCheck(t *testing.T) {
	t.Parallel()
	const secret = "s3cr3t/+value"
	for _, tt := range []struct {
		name, path, where string
	}{
		{"in the path", "/things/s3cr3t%2F+value", "path"},
		{"in the query", "/things/1?q=s3cr3t/+value", "query"},
		{"in the query, escaped", "/things/1?q=a%20s3cr3t%2F%2Bvalue", "query"},
		{"in a query's name", "/things/1?s3cr3t%2F%2Bvalue=1", "query"},
		{"nowhere", "/things/1?q=s3cr3t", ""},
		{"on a declared route", "/declared/s3cr3t%2F+value", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := start(t, partnertest.Options{SecretsInURL: []partnertest.Route{"GET /declared/**"}})
			b.RegisterSecret(secret)
			b.Inject(partnertest.Status("", 500)) // a leak counts whatever the answer
			b.call(t, "GET", tt.path)
			leaks := b.Leaks()
			if tt.where == "" {
				if len(leaks) != 0 {
					t.Errorf("leaks: %+v", leaks)
				}
				return
			}
			if len(leaks) != 1 || leaks[0].Where != tt.where || leaks[0].Seq != 1 || strings.Contains(leaks[0].Path, secret) {
				t.Errorf("leaks: %+v, want one in the %s", leaks, tt.where)
			}
			b.DeclareSecretInURL("GET /things/*")
			b.DeclareSecretInURL("GET /things/**")
			if leaks := b.Leaks(); len(leaks) != 0 {
				t.Errorf("declared, and still a leak: %+v", leaks)
			}
		})
	}
}

func TestALongLogDropsOldCallsAndKeepsTheirLeaks(t *testing.T) {
	t.Parallel()
	b := start(t, partnertest.Options{KeepCalls: 10})
	b.RegisterSecret("hunter2")
	b.call(t, "GET", "/things/1?password=hunter2")
	for range 25 {
		b.call(t, "GET", "/things/1")
	}
	calls := b.Calls("")
	if len(calls) > 10 || calls[len(calls)-1].Seq != 26 {
		t.Errorf("%d calls kept, the last is %d", len(calls), calls[len(calls)-1].Seq)
	}
	if leaks := b.Leaks(); len(leaks) != 1 || leaks[0].Seq != 1 {
		t.Errorf("leaks: %+v", leaks)
	}
	if got := b.CountPerRoute()["GET /things/{id}"]; got != 26 {
		t.Errorf("counted %d calls, want 26", got)
	}
}

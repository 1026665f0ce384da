package partnertest_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

// bundle is a small partner that counts its work: PUT /things/{id} and GET /things/{id}.
type bundle struct {
	*partnertest.Server
	URL    string
	Work   atomic.Int64
	Client *http.Client
}

const thing = `{"id":"42","name":"Valfleury"}`

func start(t *testing.T, opts partnertest.Options) *bundle {
	t.Helper()
	b := &bundle{}
	mux := http.NewServeMux()
	serve := func(w http.ResponseWriter, _ *http.Request) {
		b.Work.Add(1)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, thing)
	}
	mux.HandleFunc("PUT /things/{id}", serve)
	mux.HandleFunc("GET /things/{id}", serve)
	mux.HandleFunc("DELETE /things/{id}", func(w http.ResponseWriter, _ *http.Request) {
		b.Work.Add(1)
		w.WriteHeader(http.StatusNoContent)
	})
	opts.Name = "things"
	b.Server = partnertest.New(opts)
	url, err := b.Listen("admin", "", mux)
	if err != nil {
		t.Fatal(err)
	}
	b.URL = url
	t.Cleanup(func() { _ = b.Close() })
	b.Client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	return b
}

type reply struct {
	Status int
	Header http.Header
	Body   string
	Err    error
}

func (b *bundle) call(t *testing.T, method, path string) reply {
	t.Helper()
	return b.callWith(t.Context(), t, method, path, "", nil)
}

func (b *bundle) callWith(ctx context.Context, t *testing.T, method, path, body string, header http.Header) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, b.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	answer, err := b.Client.Do(req)
	if err != nil {
		return reply{Err: err}
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	return reply{Status: answer.StatusCode, Header: answer.Header, Body: string(text), Err: err}
}

func TestServerListensOnLoopbackOnly(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{"0.0.0.0:0", "192.0.2.1:0", "example.org:80", "[::]:0", "nonsense"} {
		s := partnertest.New(partnertest.Options{Name: "things"})
		if url, err := s.Listen("admin", addr, http.NotFoundHandler()); err == nil {
			t.Errorf("%s: listens on %s, want an error", addr, url)
		}
		_ = s.Close()
	}
	s := partnertest.New(partnertest.Options{})
	for _, addr := range []string{"", ":0", "127.0.0.1:0", "localhost:0"} {
		url, err := s.Listen("admin", addr, http.NotFoundHandler())
		if err != nil || !strings.HasPrefix(url, "http://127.0.0.1:") {
			t.Errorf("%q: got %q, %v", addr, url, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	if _, err := s.Listen("admin", "", http.NotFoundHandler()); err == nil {
		t.Error("a closed simulator listens again")
	}
}

func TestCloseFreesTheAddress(t *testing.T) {
	t.Parallel()
	b := start(t, partnertest.Options{})
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if got := b.call(t, "GET", "/things/42"); !errors.Is(got.Err, syscall.ECONNREFUSED) {
		t.Errorf("after Close: got %+v, want connection refused", got)
	}
}

func TestClock(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 6, 1, 8, 0, 0, 0, time.UTC)
	c := partnertest.NewFrozenClock(start)
	if got := c.Advance(time.Hour); !got.Equal(start.Add(time.Hour)) || !c.Now().Equal(got) {
		t.Errorf("frozen clock after one hour: %v, then %v", got, c.Now())
	}
	c.Run()
	if d := time.Since(c.Now()); d > time.Minute || d < -time.Minute {
		t.Errorf("a running clock is %v away from the machine's", d)
	}
	c.Advance(48 * time.Hour)
	if d := time.Until(c.Now()); d < 47*time.Hour {
		t.Errorf("a running clock moved by 48 h is %v ahead", d)
	}
	c.Freeze(start)
	if !c.Now().Equal(start) {
		t.Errorf("frozen again: %v", c.Now())
	}
	a, b := partnertest.New(partnertest.Options{Clock: c}), partnertest.New(partnertest.Options{Clock: c})
	a.Advance(time.Minute)
	if !b.Now().Equal(start.Add(time.Minute)) {
		t.Errorf("a shared clock shows %v on the other simulator", b.Now())
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	const route = partnertest.Route("PUT /things/*")
	isReset := func(t *testing.T, got reply) {
		t.Helper()
		if !errors.Is(got.Err, syscall.ECONNRESET) && !errors.Is(got.Err, io.EOF) {
			t.Errorf("got %+v, want a reset", got)
		}
	}
	answers := func(status int, body string) func(*testing.T, reply) {
		return func(t *testing.T, got reply) {
			t.Helper()
			if got.Err != nil || got.Status != status || !strings.Contains(got.Body, body) {
				t.Errorf("got %+v, want %d with %q", got, status, body)
			}
		}
	}
	tests := []struct {
		name   string
		fault  partnertest.Fault
		check  func(*testing.T, reply)
		worked int64
		status int // in the log
		kind   partnertest.Kind
	}{
		{"a reset before the work leaves nothing done", partnertest.ResetBefore(route), isReset, 0, 0, "reset"},
		{"a reset after the work loses the answer", partnertest.ResetAfter(route), isReset, 1, 0, "reset"},
		{"half a body follows the work and breaks off", partnertest.HalfBody(route), func(t *testing.T, got reply) {
			t.Helper()
			if !errors.Is(got.Err, io.ErrUnexpectedEOF) || got.Body != thing[:len(thing)/2] || got.Status != 200 {
				t.Errorf("got %+v, want half of %q", got, thing)
			}
		}, 1, 200, "half_body"},
		{"a 500 comes instead of the work", partnertest.Status(route, 500), answers(500, "Internal Server Error"), 0, 500, "answer"},
		{"a 503 after the work hides it", partnertest.Status(route, 503).AfterWork(), answers(503, "Service Unavailable"), 1, 503, "answer"},
		{"a 429 without delay has no Retry-After", partnertest.RateLimited(route, 0), func(t *testing.T, got reply) {
			t.Helper()
			if _, there := got.Header["Retry-After"]; got.Status != 429 || there {
				t.Errorf("got %+v", got)
			}
		}, 0, 429, "answer"},
		{"a 429 with a delay rounds it up to seconds", partnertest.RateLimited(route, 1500*time.Millisecond), func(t *testing.T, got reply) {
			t.Helper()
			if got.Status != 429 || got.Header.Get("Retry-After") != "2" {
				t.Errorf("got %+v", got)
			}
		}, 0, 429, "answer"},
		{"an HTML page with 200 looks like success", partnertest.HTML(route, 200), func(t *testing.T, got reply) {
			t.Helper()
			if got.Status != 200 || !strings.HasPrefix(got.Header.Get("Content-Type"), "text/html") || !strings.HasPrefix(got.Body, "<!DOCTYPE html>") {
				t.Errorf("got %+v", got)
			}
		}, 0, 200, "answer"},
		{"an HTML page with 502", partnertest.HTML(route, 502), answers(502, "<html>"), 0, 502, "answer"},
		{"any status and body", partnertest.Answer(route, 418, "text/plain", "théière"), answers(418, "théière"), 0, 418, "answer"},
		{"a delay only delays", partnertest.Delay(route, time.Millisecond), answers(200, thing), 1, 200, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := start(t, partnertest.Options{})
			b.Inject(tt.fault.For(1))
			tt.check(t, b.call(t, "PUT", "/things/42"))
			if got := b.Work.Load(); got != tt.worked {
				t.Errorf("work done %d times, want %d", got, tt.worked)
			}
			calls := b.Calls("")
			if len(calls) != 1 || calls[0].Status != tt.status || calls[0].Fault != tt.kind || calls[0].Worked != (tt.worked == 1) || !calls[0].Done {
				t.Errorf("log: %+v", calls)
			}
			if got := b.call(t, "PUT", "/things/42"); got.Err != nil || got.Status != 200 || got.Body != thing {
				t.Errorf("the next call: %+v, want the normal answer", got)
			}
			if got := b.Faults(); len(got) != 1 || !got[0].Done() || got[0].Struck != 1 {
				t.Errorf("faults: %+v", got)
			}
		})
	}
}

func TestHalfBodyOfAnEmptyAnswerIsAReset(t *testing.T) {
	t.Parallel()
	b := start(t, partnertest.Options{})
	b.Inject(partnertest.HalfBody("DELETE /things/42"))
	if got := b.call(t, "DELETE", "/things/42"); got.Err == nil || b.Work.Load() != 1 {
		t.Errorf("got %+v after %d works", got, b.Work.Load())
	}
}

func TestHangLastsUntilTheClientGivesUpOrTheSimulatorCloses(t *testing.T) {
	t.Parallel()
	b := start(t, partnertest.Options{})
	b.Inject(partnertest.Hang("PUT /things/1"), partnertest.Hang("PUT /things/2").AfterWork())
	for path, worked := range map[string]int64{"/things/1": 0, "/things/2": 1} {
		b.Work.Store(0)
		ctx, cancel := context.WithCancel(t.Context())
		b.BeforeWork("PUT "+partnertest.Route(path), func(partnertest.Call) { time.AfterFunc(30*time.Millisecond, cancel) })
		if got := b.callWith(ctx, t, "PUT", path, strings.Repeat("x", 70_000), nil); !errors.Is(got.Err, context.Canceled) {
			t.Errorf("%s: got %+v, want the client's own cancellation", path, got)
		}
		eventually(t, "the hanging call ends", func() bool { return b.Calls("PUT " + partnertest.Route(path))[0].Done })
		if b.Work.Load() != worked {
			t.Errorf("%s: worked %d times, want %d", path, b.Work.Load(), worked)
		}
	}
	b.BeforeWork("PUT /things/1", func(partnertest.Call) { time.AfterFunc(30*time.Millisecond, func() { _ = b.Close() }) })
	if got := b.call(t, "PUT", "/things/1"); got.Err == nil {
		t.Errorf("a call that hangs outlives its simulator: %+v", got)
	}
}

func TestFaultsStrikeInOrderAndOnlyWhatTheyPick(t *testing.T) {
	t.Parallel()
	b := start(t, partnertest.Options{})
	b.Inject(
		partnertest.Status("PUT /things/*", 500).For(1),
		partnertest.Status("PUT /things/*", 502).For(2).Skipping(1),
		partnertest.Delay("", time.Millisecond),
	)
	var got []int
	for range 6 {
		got = append(got, b.call(t, "PUT", "/things/42").Status)
	}
	if diff := cmp.Diff([]int{500, 200, 502, 502, 200, 200}, got); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
	first := b.Inject(partnertest.Status("", 500), partnertest.Status("", 503))
	b.ClearFaults(first)
	if got := b.call(t, "GET", "/things/42").Status; got != 503 {
		t.Errorf("with the first fault cleared: %d, want 503", got)
	}
	b.ClearFaults()
	if got := b.call(t, "GET", "/things/42").Status; got != 200 {
		t.Errorf("with all faults cleared: %d", got)
	}
}

func TestInjectRefusesAFaultThatCannotBe(t *testing.T) {
	t.Parallel()
	s := partnertest.New(partnertest.Options{})
	for name, fault := range map[string]partnertest.Fault{
		"unknown kind":           {Kind: "flood"},
		"no kind":                {},
		"delay of nothing":       partnertest.Delay("", 0),
		"status 99":              partnertest.Status("", 99),
		"negative times":         partnertest.Status("", 500).For(-1),
		"half body before work":  {Kind: partnertest.KindHalfBody},
		"a path without slash":   partnertest.Status("GET things", 500),
		"a glob with open class": partnertest.Status("GET /[a", 500),
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: accepted", name)
				}
			}()
			s.Inject(fault)
		}()
	}
	if got := s.Faults(); len(got) != 0 {
		t.Errorf("in place: %+v", got)
	}
}

func TestHooksSeeTheCallAroundItsWork(t *testing.T) {
	t.Parallel()
	b := start(t, partnertest.Options{})
	var beforeWork, afterWork int64 = -1, -1
	var seen partnertest.Call
	removeBefore := b.BeforeWork("PUT /things/*", func(partnertest.Call) { beforeWork = b.Work.Load() })
	removeAfter := b.AfterWork("admin:PUT /things/*", func(c partnertest.Call) {
		afterWork, seen = b.Work.Load(), c
		b.CloseClientConnections(t)
	})
	b.AfterWork("gateway:", func(partnertest.Call) { t.Error("a hook of another side ran") })
	b.call(t, "PUT", "/things/42")
	if beforeWork != 0 || afterWork != 1 {
		t.Errorf("work done: %d in the hook before, %d in the hook after", beforeWork, afterWork)
	}
	if seen.Status != 200 || seen.Done || seen.Path != "/things/42" || seen.Route != "/things/{id}" {
		t.Errorf("the hook saw %+v", seen)
	}
	removeBefore()
	removeAfter()
	beforeWork, afterWork = -1, -1
	b.call(t, "PUT", "/things/42")
	if beforeWork != -1 || afterWork != -1 {
		t.Error("removed hooks ran")
	}
}

// CloseClientConnections shows that a hook may call the simulator itself.
func (b *bundle) CloseClientConnections(t *testing.T) {
	t.Helper()
	if b.Count("") != 1 || len(b.Faults()) != 0 || len(b.Leaks()) != 0 {
		t.Error("the simulator cannot be asked from a hook")
	}
}

func TestAHookBeforeTheWorkCanInjectTheFaultOfItsOwnCall(t *testing.T) {
	t.Parallel()
	b := start(t, partnertest.Options{})
	b.BeforeWork("", func(c partnertest.Call) {
		if c.Seq == 2 {
			b.Inject(partnertest.Status("", 500).For(1))
		}
	})
	got := []int{b.call(t, "GET", "/things/1").Status, b.call(t, "GET", "/things/1").Status, b.call(t, "GET", "/things/1").Status}
	if diff := cmp.Diff([]int{200, 500, 200}, got); diff != "" {
		t.Error(diff)
	}
}

func TestLatencyHoldsEveryCall(t *testing.T) {
	t.Parallel()
	b := start(t, partnertest.Options{Latency: partnertest.FixedLatency(20 * time.Millisecond)})
	if got := b.call(t, "GET", "/things/1"); got.Status != 200 {
		t.Fatalf("%+v", got)
	}
	if took := b.Calls("")[0].Took; took < 20*time.Millisecond {
		t.Errorf("took %v", took)
	}
	var asked string
	b.SetLatency(func(r *http.Request) time.Duration { asked = r.URL.Path; return 0 })
	b.call(t, "GET", "/things/2")
	if asked != "/things/2" {
		t.Errorf("the function was asked for %q", asked)
	}
	b.SetLatency(nil)
	b.call(t, "GET", "/things/3")
}

// ownKey is what a simulator's own middleware puts in the context.
type ownKey struct{}

func TestRouteOfChiAndOfServeMux(t *testing.T) {
	t.Parallel()
	inner := chi.NewRouter()
	inner.Get("/{id}", func(http.ResponseWriter, *http.Request) {})
	router := chi.NewRouter()
	router.Use(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), ownKey{}, 1)))
		})
	})
	router.Mount("/chi", inner)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /mux/{id}", func(http.ResponseWriter, *http.Request) {})
	s := partnertest.New(partnertest.Options{})
	for path, h := range map[string]http.Handler{"/chi/7": router, "/mux/7": mux, "/chi": router, "/none": mux} {
		s.Wrap("x", h).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil))
	}
	want := map[string]int{"GET /chi/{id}": 1, "GET /mux/{id}": 1, "GET /chi": 1, "GET (no route)": 1}
	got := s.CountPerRoute()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 500 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("never: %s", what)
}

func decode(t *testing.T, text string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}

package gravitee

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/gravitee/graviteetest"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

const (
	owner   = "passerelle-test"
	key1    = "psk_test_7Qm2Zr9LxT4cVb8NwKd3Hs6YpFjG1a240k77"
	key2    = "psk_test_Bf5Rt1Xv9Zc3Mn7Lk2Jh6Gd4Sa8Pq04PWoe1"
	key3    = "psk_test_0000000000000000000000000000000000003"
	api2    = "api-2"
	plan2   = "plan-2"
	planAlt = "plan-alt" // another plan of the demo's API
)

var january = time.Date(2026, 1, 1, 10, 20, 0, 0, time.UTC)

// memory is a ledger and a gate for one test.
type memory struct {
	mu    sync.Mutex
	rows  map[string][]byte
	locks map[string]bool
}

func (l *memory) Get(_ context.Context, key string) ([]byte, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	value, found := l.rows[key]
	return slices.Clone(value), found, nil
}

func (l *memory) Put(_ context.Context, key string, value []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rows[key] = slices.Clone(value)
	return nil
}

func (l *memory) PutNew(_ context.Context, key string, value []byte) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, taken := l.rows[key]; taken {
		return false, nil
	}
	l.rows[key] = slices.Clone(value)
	return true, nil
}

func (l *memory) Delete(_ context.Context, key string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.rows, key)
	return nil
}

func (l *memory) Lock(_ context.Context, name string, _ time.Duration) (func(), bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.locks[name] {
		return nil, false, nil
	}
	l.locks[name] = true
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.locks, name)
	}, true, nil
}

func (l *memory) Take(context.Context, string, float64, int) (time.Duration, error) { return 0, nil }

func (l *memory) keys() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var keys []string
	for key := range l.rows {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// hub is a connector on a simulator of its own.
type hub struct {
	*Manager
	t      *testing.T
	srv    *graviteetest.Server
	memory *memory
	app    string
	handle connectors.Handle // what a prepared situation works on
}

func settings(srv *graviteetest.Server) Config {
	c := Default()
	c.URL = srv.ManagementURL()
	c.Token = connectors.NewSecret(srv.Token())
	c.Timeouts.Total = 5 * time.Second
	c.Grants = map[string]Grant{"api_demo": {
		API: graviteetest.DemoAPI, Plan: graviteetest.DemoPlan,
		Scopes: map[string][]PlanRef{"base": nil, "further": {{api2, plan2}}},
	}}
	return c
}

func apis() []graviteetest.API {
	list := graviteetest.DemoAPIs()
	list[0].Plans = append(list[0].Plans, graviteetest.Plan{ID: planAlt})
	return append(list, graviteetest.API{ID: api2, ContextPath: "/second", Plans: []graviteetest.Plan{{ID: plan2}}})
}

// start opens a connector on a simulator whose clock stands still. No quick
// retries, so that a test counts every call.
func start(t *testing.T, opts graviteetest.Options, change ...func(*Config)) *hub {
	t.Helper()
	if opts.APIs == nil {
		opts.APIs = apis()
	}
	opts.Clock = partnertest.NewFrozenClock(january)
	srv, err := graviteetest.Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = srv.Close() })
	c := settings(srv)
	none := 0
	c.Retries = &none
	c.Breaker.Failures = 1000
	for _, f := range change {
		f(&c)
	}
	h := &hub{t: t, srv: srv, memory: &memory{rows: map[string][]byte{}, locks: map[string]bool{}}}
	h.Manager = h.open(c)
	srv.RegisterSecret(key1, key2, key3)
	t.Cleanup(func() {
		if leaks := srv.Leaks(); len(leaks) > 0 {
			t.Errorf("secrets in URLs: %+v", leaks)
		}
	})
	return h
}

func (h *hub) open(c Config) *Manager {
	h.t.Helper()
	client, err := outbound.Partner("gravitee-test", c.Settings, zerolog.Nop())
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(client.CloseIdle)
	opened, err := c.Open(connectors.Deps{
		Name: "gravitee-test", Owner: owner, Now: h.srv.Now, Partner: client, Ledger: h.memory, Gate: h.memory,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return opened.(*Manager)
}

func subject() connectors.Subject {
	return connectors.Subject{
		Ref: "dp-9001", Name: "Commune de Valfleury - restauration scolaire", Description: "DataPass 9001", Owner: owner,
		Labels: map[string]string{"datapass_id": "9001", "siret": "21380999900013"},
	}
}

func grants(scopes ...string) connectors.Grants {
	return connectors.Grants{Definition: "api_demo", Scopes: scopes}
}

func (h *hub) request(ref, secret string, scopes ...string) connectors.IssueRequest {
	return connectors.IssueRequest{
		Subject: subject(), SubjectID: h.app, Ref: ref, Secret: connectors.NewSecret(secret), Grants: grants(scopes...),
	}
}

func (h *hub) subject() *hub {
	h.t.Helper()
	app, err := h.EnsureSubject(h.t.Context(), subject())
	if err != nil {
		h.t.Fatal(err)
	}
	h.app = app
	return h
}

// issued opens a first credential, "dp-9001-c1" with key1.
func (h *hub) issued(scopes ...string) connectors.Issued {
	h.t.Helper()
	if h.app == "" {
		h.subject()
	}
	issued, err := h.Issue(h.t.Context(), h.request("dp-9001-c1", key1, scopes...))
	if err != nil {
		h.t.Fatal(err)
	}
	return issued
}

// key reads a value's key on the manager; of several, the one on the first API.
func (h *hub) key(value string) graviteetest.Key {
	h.t.Helper()
	key, found := h.srv.KeyByValue(value)
	if !found {
		h.t.Fatalf("no key …%s", value[len(value)-5:])
	}
	return key
}

// passes checks the gateway's word.
func (h *hub) passes(value string, want bool) {
	h.t.Helper()
	if status, _ := h.srv.Probe(value); (status == 200) != want {
		h.t.Errorf("the gateway says %d to …%s, want it to pass: %t", status, value[len(value)-5:], want)
	}
}

func (h *hub) counts(applications, subscriptions, live int) {
	h.t.Helper()
	got := h.srv.Counts()
	if got.ActiveApplications != applications || got.OpenSubscriptions != subscriptions || got.LiveKeys != live {
		h.t.Errorf("%d applications, %d open subscriptions, %d live keys; want %d, %d, %d",
			got.ActiveApplications, got.OpenSubscriptions, got.LiveKeys, applications, subscriptions, live)
	}
}

func wantClass(t *testing.T, err error, class connectors.Class) {
	t.Helper()
	if !connectors.Is(err, class) {
		t.Errorf("got %v, want %s", err, class)
	}
}

// flakyLedger fails its n-th call, before the work.
type flakyLedger struct {
	*memory
	calls, failAt int
}

var errLedger = errors.New("the database is away")

func (l *flakyLedger) due() bool {
	l.calls++
	return l.calls == l.failAt+1
}

func (l *flakyLedger) Get(ctx context.Context, key string) ([]byte, bool, error) {
	if l.due() {
		return nil, false, errLedger
	}
	return l.memory.Get(ctx, key)
}

func (l *flakyLedger) Put(ctx context.Context, key string, value []byte) error {
	if l.due() {
		return errLedger
	}
	return l.memory.Put(ctx, key, value)
}

func (l *flakyLedger) PutNew(ctx context.Context, key string, value []byte) (bool, error) {
	if l.due() {
		return false, errLedger
	}
	return l.memory.PutNew(ctx, key, value)
}

func (l *flakyLedger) Delete(ctx context.Context, key string) error {
	if l.due() {
		return errLedger
	}
	return l.memory.Delete(ctx, key)
}

package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/config"
	"github.com/passerelle-hub/passerelle/httpapi/auth"
	"github.com/passerelle-hub/passerelle/internal/jose"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
	"github.com/passerelle-hub/passerelle/internal/token"
)

// benchReplica is one hub's public listener over the bench's database.
type benchReplica struct {
	hub  *hub
	addr string
}

func openBenchReplica(t *testing.T, url, key string, log io.Writer) benchReplica {
	t.Helper()
	c, err := config.Load("", []string{
		"PASSERELLE_DATABASE_URL=" + url, "PASSERELLE_DATABASE_MAX_CONNS=20", "PASSERELLE_SEALING_KEYS_0_ID=bench", "PASSERELLE_SEALING_KEYS_0_KEY=" + key,
	})
	if err != nil {
		t.Fatal(err)
	}
	h, err := build(t.Context(), c, zerolog.New(log).Level(zerolog.InfoLevel))
	if err != nil {
		t.Fatal(err)
	}
	h.verifier.Issuer, h.audiences = "https://hub.example", []string{"https://api.example"}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan struct{})
	go func() { h.introspector.Run(ctx); close(ended) }()
	server := httptest.NewServer(h.routes.Handler())
	t.Cleanup(func() { server.Close(); cancel(); <-ended; h.close() })
	return benchReplica{h, server.Listener.Addr().String()}
}

const benchJWTs = 10_000 // signing more takes longer than measuring them

// liveTokens fills the database with live credentials of one manager each, as
// many for one request as the key of the table allows, and gives their values:
// JWTs of the built-in issuer first, then the hub's own keys.
func liveTokens(t *testing.T, h *hub, n, jwts int) []string {
	t.Helper()
	ctx, now := t.Context(), time.Now().UTC().Truncate(time.Second)
	if err := h.rotateKeys(ctx); err != nil {
		t.Fatal(err)
	}
	const perRequest = 1000
	for _, sql := range []string{
		`insert into organization (id, siret, name) values (1, '21380999900013', 'Valbrise')`,
		`insert into person (id, email) values (1, 'a@valbrise.example')`,
		fmt.Sprintf(`insert into request (id, origin, public_id, definition, form, state, organization_id, applicant_id, created_at)
			select i, 'native', gen_random_uuid(), 'bench', 'bench', 'validated', 1, 1, now() from generate_series(1, %d) i`, n/perRequest+1),
	} {
		if _, err := h.pool.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	values := make([]string, n)
	end := now.AddDate(1, 0, 0)
	columns := []string{"id", "request_id", "definition", "manager", "number", "ref", "state", "scopes", "fingerprint", "expires_at", "issued_at", "created_at", "updated_at"}
	_, err := h.pool.CopyFrom(ctx, pgx.Identifier{"credential"}, columns, pgx.CopyFromSlice(n, func(i int) ([]any, error) {
		id, request, number := uuid.New(), int64(i/perRequest+1), i%perRequest+1
		var print []byte
		if i < jwts {
			signed, err := h.keys.SignAccessToken(ctx, jose.AccessToken{
				ID: id.String(), Issuer: "https://hub.example", Audience: "https://api.example", Subject: "dp-1", ClientID: "dp-1",
				Scopes: []string{"qf"}, IssuedAt: now, ExpiresAt: end,
			})
			if err != nil {
				return nil, err
			}
			values[i] = signed.Token
		} else {
			value, err := token.New(token.ClientKey, h.tokenEnv())
			if err != nil {
				return nil, err
			}
			values[i], print = value.Value(), h.ring.Fingerprint([]byte(value.Value()))
		}
		return []any{id, request, "bench", fmt.Sprint("m", number), number, fmt.Sprintf("dp-%d-c%d", request, number), "active", []string{"qf"}, print, end, now, now, now}, nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.pool.Exec(ctx, `vacuum analyze credential`); err != nil {
		t.Fatal(err)
	}
	return values
}

// asker asks over one connection that it keeps, with as little work of its own
// as it can: it shares the machine with what it measures.
type asker struct {
	conn   net.Conn
	in     *bufio.Reader
	header string
}

func newAsker(t *testing.T, addr, authorization, path string) *asker {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &asker{conn, bufio.NewReader(conn), "POST " + path + " HTTP/1.1\r\nHost: bench\r\nAuthorization: " + authorization +
		"\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: "}
}

func (a *asker) ask(value string) (active bool, err error) {
	form := "token=" + url.QueryEscape(value)
	if _, err := io.WriteString(a.conn, a.header+strconv.Itoa(len(form))+"\r\n\r\n"+form); err != nil {
		return false, err
	}
	resp, err := http.ReadResponse(a.in, nil)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%d %s", resp.StatusCode, body)
	}
	return strings.HasPrefix(string(body), `{"active":true`), err
}

// closedLoop asks as fast as the answers come, over some connections, for a
// time, and gives the requests a second and the sorted latencies.
func closedLoop(t *testing.T, askers []*asker, lasts time.Duration, next func() string) (float64, []time.Duration) {
	t.Helper()
	var all sync.WaitGroup
	var mu sync.Mutex
	var took []time.Duration
	end := time.Now().Add(lasts)
	for _, a := range askers {
		all.Go(func() {
			var mine []time.Duration
			for began := time.Now(); began.Before(end); began = time.Now() {
				active, err := a.ask(next())
				if err != nil || !active {
					t.Errorf("a live token: active %t, %v", active, err)
					return
				}
				mine = append(mine, time.Since(began))
			}
			mu.Lock()
			took = append(took, mine...)
			mu.Unlock()
		})
	}
	all.Wait()
	slices.Sort(took)
	return float64(len(took)) / lasts.Seconds(), took
}

// offered asks at a fixed rate whether answers come or not; a latency is counted
// from when its request was due.
func offered(t *testing.T, askers []*asker, rate int, lasts time.Duration, next func() string) []time.Duration {
	t.Helper()
	var all sync.WaitGroup
	var mu sync.Mutex
	var took []time.Duration
	began := time.Now().Add(20 * time.Millisecond)
	total := int64(float64(rate) * lasts.Seconds())
	var turn atomic.Int64
	for _, a := range askers {
		all.Go(func() {
			var mine []time.Duration
			for n := turn.Add(1) - 1; n < total; n = turn.Add(1) - 1 {
				due := began.Add(time.Duration(n) * time.Second / time.Duration(rate))
				time.Sleep(time.Until(due))
				if active, err := a.ask(next()); err != nil || !active {
					t.Errorf("a live token: active %t, %v", active, err)
					return
				}
				mine = append(mine, time.Since(due))
			}
			mu.Lock()
			took = append(took, mine...)
			mu.Unlock()
		})
	}
	all.Wait()
	slices.Sort(took)
	return took
}

// TestBenchIntrospection measures what a gateway that asks each time gets.
func TestBenchIntrospection(t *testing.T) {
	scale := bench(t, "introspection")
	tokens := max(int(1_000_000*scale), 2*benchJWTs)
	lasts := max(time.Duration(20*scale*float64(time.Second)), 3*time.Second)
	pg := durablePostgres(t)
	if err := pg.EnsureDatabase(t.Context(), "introspection"); err != nil {
		t.Fatal(err)
	}
	database, key := pg.URL("introspection"), newSealingKey().Reveal()
	if err := store.Migrate(t.Context(), database); err != nil {
		t.Fatal(err)
	}
	a := openBenchReplica(t, database, key, io.Discard)
	b := openBenchReplica(t, database, key, io.Discard)
	gateway := &registry.AddApplication{Name: "passerelle d’API", Scopes: []string{auth.ScopeIntrospect, auth.ScopeRevoke}, Definitions: []string{"*"}}
	if err := a.hub.registry.Record(t.Context(), gateway); err != nil {
		t.Fatal(err)
	}
	authorization := "Basic " + base64.StdEncoding.EncodeToString([]byte(gateway.ID.String()+":"+gateway.Secret.Reveal()))
	began := time.Now()
	values := liveTokens(t, a.hub, tokens, benchJWTs)
	t.Logf("%d live tokens in %s, %d of them JWTs", tokens, time.Since(began).Round(time.Second), benchJWTs)

	dial := func(addr string, n int) []*asker {
		list := make([]*asker, n)
		for i := range list {
			list[i] = newAsker(t, addr, authorization, "/token/introspect")
		}
		return list
	}
	// First seen: JWTs and keys apart, each once.
	firsts := func(from, n int) (float64, []time.Duration) {
		var turn atomic.Int64
		var all sync.WaitGroup
		var mu sync.Mutex
		var took []time.Duration
		started := time.Now()
		for _, asker := range dial(a.addr, 16) {
			all.Go(func() {
				for i := int(turn.Add(1)) - 1; i < n; i = int(turn.Add(1)) - 1 {
					at := time.Now()
					if active, err := asker.ask(values[from+i]); err != nil || !active {
						t.Errorf("first seen: active %t, %v", active, err)
						return
					}
					mu.Lock()
					took = append(took, time.Since(at))
					mu.Unlock()
				}
			})
		}
		all.Wait()
		slices.Sort(took)
		return float64(n) / time.Since(started).Seconds(), took
	}
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	jwtRate, jwtTook := firsts(0, benchJWTs/2)
	keyRate, keyTook := firsts(benchJWTs, benchJWTs/2)
	// The rest without HTTP: what is measured next is a process that knows them all.
	var turn atomic.Int64
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for i := int(turn.Add(1)) - 1; i < len(values); i = int(turn.Add(1)) - 1 {
				if answer, err := a.hub.introspector.Introspect(context.Background(), values[i], []string{"*"}); err != nil || !answer.Active {
					t.Errorf("token %d: active %t, %v", i, answer.Active, err)
					return
				}
			}
		})
	}
	all.Wait()
	runtime.GC()
	runtime.ReadMemStats(&after)

	var at atomic.Int64
	next := func() string { return values[int(at.Add(7919))%len(values)] }
	hydra := hydraIntrospection(t)
	var seen, steady, rival rounds
	for range 5 {
		seen.add(closedLoop(t, dial(a.addr, 32), lasts/5, next))
		steady.add(5000, offered(t, dial(a.addr, 64), 5000, lasts/5, next))
		if hydra != nil {
			rival.add(hydra(lasts / 5))
		}
	}
	delays := revocationDelays(t, a, b, authorization, values, max(int(20*scale), 5))

	rows := [][]string{
		{"what", "a second", "p50", "p99", "max", "goal"},
		seen.row("seen, closed loop, 32 connections", "10,000/s"),
		steady.row("seen, 5,000/s offered", "p99 5 ms"),
		row("first seen, JWT (ES256)", jwtRate, jwtTook, ""),
		row("first seen, hub's key", keyRate, keyTook, ""),
		row("revocation visible on another replica, under 1,000/s", 0, delays, "1 s"),
	}
	rows = append(rows, rival.row("Ory Hydra 2.3.0, one token, state in memory, closed loop, 32 connections", ""))
	table(t, fmt.Sprintf("introspection, %d live tokens, one process that also holds the asker; the first two and Hydra: medians of 5 interleaved rounds (spread)", tokens), rows...)
	t.Logf("memory of a known token: %d bytes, of %d: %d MB", (after.HeapAlloc-before.HeapAlloc)/uint64(tokens), tokens, (after.HeapAlloc-before.HeapAlloc)>>20)
}

// rounds are the figures of one thing measured several times.
type rounds struct {
	rate     []float64
	p50, p99 []time.Duration
	most     time.Duration
}

func (r *rounds) add(rate float64, sorted []time.Duration) {
	r.rate, r.p50, r.p99 = append(r.rate, rate), append(r.p50, quantile(sorted, .5)), append(r.p99, quantile(sorted, .99))
	r.most = max(r.most, quantile(sorted, 1))
}

func (r *rounds) row(what, goal string) []string {
	if len(r.rate) == 0 {
		return []string{what, "not measured: make peers builds it", "", "", "", goal}
	}
	return []string{what, spreadOf(r.rate, "%.0f"), spreadOfTimes(r.p50), spreadOfTimes(r.p99), r.most.Round(100 * time.Microsecond).String(), goal}
}

func row(what string, rate float64, took []time.Duration, goal string) []string {
	if len(took) == 0 {
		return []string{what, "-", "-", "-", "-", goal}
	}
	return []string{
		what, fmt.Sprintf("%.0f", rate), quantile(took, 0.5).Round(10 * time.Microsecond).String(), quantile(took, 0.99).Round(10 * time.Microsecond).String(),
		took[len(took)-1].Round(10 * time.Microsecond).String(), goal,
	}
}

// revocationDelays revokes at a and asks b, which knows the token, until it is
// refused, while both are asked a thousand times a second.
func revocationDelays(t *testing.T, a, b benchReplica, authorization string, values []string, n int) []time.Duration {
	t.Helper()
	load, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for i := range 16 {
		loader := newAsker(t, []string{a.addr, b.addr}[i%2], authorization, "/token/introspect")
		all.Go(func() {
			for k := i; load.Err() == nil; k++ {
				if _, err := loader.ask(values[benchJWTs+k%5000]); err != nil && load.Err() == nil {
					t.Error(err)
					return
				}
				time.Sleep(16 * time.Millisecond)
			}
		})
	}
	revoker, reader := newAsker(t, a.addr, authorization, "/token/revoke"), newAsker(t, b.addr, authorization, "/token/introspect")
	var delays []time.Duration
	for i := range n {
		value := values[i*17]
		if active, err := reader.ask(value); err != nil || !active {
			t.Fatalf("before it is revoked: %t, %v", active, err)
		}
		if _, err := revoker.ask(value); err != nil {
			t.Fatal(err)
		}
		revoked := time.Now()
		for {
			active, err := reader.ask(value)
			if err != nil {
				t.Fatal(err)
			}
			if !active {
				break
			}
		}
		delays = append(delays, time.Since(revoked))
	}
	stop()
	all.Wait()
	slices.Sort(delays)
	if worst := delays[len(delays)-1]; worst > time.Second {
		t.Errorf("a revocation was visible %s later", worst)
	}
	return delays
}

// hydraIntrospection starts Ory Hydra, its state in memory, and gives what measures its
// introspection of one token on this machine; nil where it is not built.
func hydraIntrospection(t *testing.T) func(lasts time.Duration) (float64, []time.Duration) {
	t.Helper()
	program, err := filepath.Abs("../../.tools/peers/hydra/bin/hydra")
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(program); err != nil || info.IsDir() {
		return nil
	}
	admin, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	public, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "serve", "all", "--dev", "--sqa-opt-out")
	_, adminPort, _ := net.SplitHostPort(admin)
	_, publicPort, _ := net.SplitHostPort(public)
	cmd.Env = append(os.Environ(), "DSN=memory", "SQA_OPT_OUT=true", "LOG_LEVEL=error", "SECRETS_SYSTEM=bench-only-secret-of-32-characters",
		"SERVE_ADMIN_HOST=127.0.0.1", "SERVE_ADMIN_PORT="+adminPort, "SERVE_PUBLIC_HOST=127.0.0.1", "SERVE_PUBLIC_PORT="+publicPort,
		"URLS_SELF_ISSUER=http://"+public+"/")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	await(t, func() error {
		status, _, err := browse(t.Context(), http.MethodGet, "http://"+admin+"/health/ready")
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("hydra answers %d", status)
		}
		return err
	})
	post := func(url, kind, body, user string) map[string]any {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", kind)
		if user != "" {
			req.SetBasicAuth(user, "bench-secret")
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var answer map[string]any
		if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode >= 300 {
			t.Fatalf("%s: %d %v %v", url, resp.StatusCode, answer, err)
		}
		return answer
	}
	post("http://"+admin+"/admin/clients", "application/json",
		`{"client_id":"bench","client_secret":"bench-secret","grant_types":["client_credentials"],"token_endpoint_auth_method":"client_secret_basic"}`, "")
	value, _ := post("http://"+public+"/oauth2/token", "application/x-www-form-urlencoded", "grant_type=client_credentials", "bench")["access_token"].(string)
	askers := make([]*asker, 32)
	for i := range askers {
		askers[i] = newAsker(t, admin, "Basic unused", "/admin/oauth2/introspect")
	}
	return func(lasts time.Duration) (float64, []time.Duration) {
		return closedLoop(t, askers, lasts, func() string { return value })
	}
}

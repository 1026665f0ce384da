package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/config"
	"github.com/passerelle-hub/passerelle/connectors/datapass/datapasstest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// TestBenchInbound measures the way in (webhooks accepted and answered) and the
// way through (approved to key issued), beside what the machine can commit.
func TestBenchInbound(t *testing.T) {
	scale := bench(t, "inbound")
	pg := durablePostgres(t)
	commits := pgbenchCommits(t, pg.URL("postgres"), max(3, int(10*scale)))

	const rounds = 5
	perRound := int(15_000 * scale)
	w, stop := openInboundWorld(t, pg.URL("postgres"))
	original := inventedApproval(t, w)
	var rates []float64
	var p50s, p99s []time.Duration
	for range rounds {
		took, latencies := original.post(t, perRound, 64, 0)
		rates = append(rates, float64(perRound)/took.Seconds())
		p50s, p99s = append(p50s, quantile(latencies, .5)), append(p99s, quantile(latencies, .99))
	}
	half := median(rates) / 2
	var half50s, half99s []time.Duration
	for range rounds {
		_, paced := original.post(t, int(half*4*max(scale, 0.3)), 256, half)
		half50s, half99s = append(half50s, quantile(paced, .5)), append(half99s, quantile(paced, .99))
	}
	stop()
	bare := pgbenchPaced(t, pg.URL("postgres"), half, max(3, int(10*scale)))

	round := func(d time.Duration) string { return d.Round(10 * time.Microsecond).String() }
	table(t, "incoming webhooks, one process, fsync on, bodies of "+fmt.Sprint(len(original.body))+" bytes",
		[]string{"what", "measured", "goal"},
		[]string{"accepted, 64 clients in a closed loop, median of 5", fmt.Sprintf("%.0f/s (spread %.0f to %.0f)", median(rates), slices.Min(rates), slices.Max(rates)), "3000/s"},
		[]string{"p50 / p99 of it, medians", round(median(p50s)) + " / " + round(median(p99s)), ""},
		[]string{fmt.Sprintf("p50 / p99 at half of that (%.0f/s offered), medians of 5", half), fmt.Sprintf("%s / %s (p99 %s to %s)", round(median(half50s)), round(median(half99s)), round(slices.Min(half99s)), round(slices.Max(half99s))), "p99 20ms"},
		[]string{"limit: pgbench -N, 10 clients", fmt.Sprintf("%.0f commits/s", commits), ""},
		[]string{"limit: p50 / p99 of pgbench -N at the same half", round(quantile(bare, .5)) + " / " + round(quantile(bare, .99)), ""},
	)
	benchApprovals(t, scale)
}

// benchApprovals measures seconds from the first acceptance to the last key of
// many approvals in a row, with partners that take 20 ms.
func benchApprovals(t *testing.T, scale float64) {
	pg := durablePostgres(t)
	w, stop := openBenchWorld(t, pg.URL("postgres"), everything)
	defer stop()
	w.gravitee.SetLatency(partnertest.FixedLatency(20 * time.Millisecond))
	n := int(1000 * scale)
	ids, err := w.datapass.FileInvented(t.Context(), 0, n)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	for _, id := range ids {
		if _, err := w.datapass.Approve(t.Context(), id, datapasstest.Approval{}); err != nil {
			t.Fatal(err)
		}
	}
	accepted := time.Since(start)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if _, err := eventually(ctx, func() (any, error) {
		var active int
		err := w.hub.pool.QueryRow(ctx, `select count(*) from credential where state = 'active'`).Scan(&active)
		if err == nil && active < n {
			err = fmt.Errorf("%d of %d keys are live", active, n)
		}
		return nil, err
	}); err != nil {
		t.Fatal(err)
	}
	all := time.Since(start)
	var p50, p99 float64
	err = w.hub.pool.QueryRow(ctx, `
		select percentile_cont(0.5) within group (order by s), percentile_cont(0.99) within group (order by s)
		from (select extract(epoch from c.issued_at - i.received_at) s from credential c join inbound_event i on i.token_id = c.id) d`).Scan(&p50, &p99)
	if err != nil {
		t.Fatal(err)
	}
	calls := len(w.gravitee.Calls(""))
	table(t, fmt.Sprintf("%d approvals in a row, partners of 20 ms", n),
		[]string{"what", "measured"},
		[]string{"all submits and approves accepted", accepted.Round(time.Millisecond).String()},
		[]string{"last key live", all.Round(time.Millisecond).String()},
		[]string{"accepted to key issued, p50 / p99", fmt.Sprintf("%.2fs / %.2fs", p50, p99)},
		[]string{"calls to the manager per key", fmt.Sprintf("%.1f", float64(calls)/float64(n))},
	)
}

// openBenchWorld is a world whose hub runs in this process.
func openBenchWorld(t *testing.T, database string, only part) (*world, func()) {
	t.Helper()
	w := benchWorld(t, database, demoTiming)
	runCtx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- w.hub.run(runCtx, only, environment{stdout: io.Discard, stderr: io.Discard}) }()
	w.stopHub = func() error { stop(); return <-ended }
	if err := w.join(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w, func() {
		if err := w.close(); err != nil {
			t.Error(err)
		}
	}
}

// openInboundWorld is a world whose hub is `serve --only=http`, a process of its own.
func openInboundWorld(t *testing.T, database string) (*world, func()) {
	t.Helper()
	w := benchWorld(t, database, demoTiming+"\nlog: {level: info}\n")
	program := serveProcess(t, w, filepath.Join(t.TempDir(), "hub.log"), "--only=http")
	if err := w.join(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w, func() {
		stopProcess(program)
		if err := w.close(); err != nil {
			t.Error(err)
		}
	}
}

// benchWorld is partners and a hub that nothing runs yet.
func benchWorld(t *testing.T, database, timing string) *world {
	t.Helper()
	w := &world{secret: strings.Repeat("0123456789abcdef", 4)}
	if err := w.openPartners(database, timing); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(w.settings, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.RateLimits.PerAddress = 1_000_000
	if err := store.Migrate(t.Context(), c.Database.URL.Reveal()); err != nil {
		t.Fatal(err)
	}
	if w.hub, err = build(t.Context(), c, zerolog.Nop()); err != nil {
		t.Fatal(err)
	}
	return w
}

// approvals are webhooks that approve, each a request of its own.
type approvals struct {
	w      *world
	body   []byte // of the one that the others are made from
	model  []byte // its id, as the body writes it
	serial atomic.Int64
}

func inventedApproval(t *testing.T, w *world) *approvals {
	t.Helper()
	w.datapass.Hold(true)
	defer w.datapass.Hold(false)
	ids, err := w.datapass.FileInvented(t.Context(), 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	deliveries, err := w.datapass.Approve(t.Context(), ids[0], datapasstest.Approval{})
	if err != nil || len(deliveries) == 0 {
		t.Fatalf("no approval to copy: %v", err)
	}
	a := &approvals{w: w, body: deliveries[0].Body, model: []byte(fmt.Sprint(ids[0]))}
	for _, key := range []string{`"model_id":`, `"data":{"id":`} {
		if !bytes.Contains(a.body, append([]byte(key), a.model...)) {
			t.Fatal("the body does not name its request")
		}
	}
	return a
}

// next gives a body that was not sent before, and its headers.
func (a *approvals) next() (header string, body []byte) {
	id := strconv.FormatInt(10_000_000+a.serial.Add(1), 10)
	body = a.body
	for _, key := range []string{`"model_id":`, `"data":{"id":`} {
		body = bytes.Replace(body, append([]byte(key), a.model...), []byte(key+id), 1)
	}
	return "X-Hub-Signature-256: " + datapasstest.Sign(a.w.secret, body) + "\r\nX-App-Environment: sandbox\r\n", body
}

// post sends n of them over some connections, as fast as answers come or at a
// rate a second, and gives how long it took and every latency, sorted. At a
// rate, a latency counts from the moment the request was due.
func (a *approvals) post(t *testing.T, n, connections int, rate float64) (time.Duration, []time.Duration) {
	t.Helper()
	clients := make([]*connection, connections)
	for i := range clients {
		var err error
		if clients[i], err = dial(strings.TrimPrefix(a.w.publicURL, "http://")); err != nil {
			t.Fatal(err)
		}
		defer clients[i].Close()
	}
	latencies := make([]time.Duration, n)
	next := make(chan int, connections)
	start := time.Now()
	due := func(i int) time.Time {
		if rate == 0 {
			return time.Now()
		}
		return start.Add(time.Duration(float64(i) / rate * float64(time.Second)))
	}
	go func() {
		defer close(next)
		for i := range n {
			if rate > 0 {
				time.Sleep(time.Until(due(i)))
			}
			next <- i
		}
	}()
	var all sync.WaitGroup
	for _, c := range clients {
		all.Go(func() {
			for i := range next {
				began := due(i)
				header, body := a.next()
				if _, err := c.send(http.MethodPost, "/webhooks/datapass/"+demoSource, header, body); err != nil {
					t.Error(err)
					return
				}
				latencies[i] = time.Since(began)
			}
		})
	}
	all.Wait()
	took := time.Since(start)
	slices.Sort(latencies)
	return took, latencies
}

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/config"
	"github.com/passerelle-hub/passerelle/connectors/datapass/datapasstest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// signedBody is one webhook ready to send.
type signedBody struct {
	body      []byte
	signature string
}

// TestBenchInbound measures the way in (webhooks accepted and answered) and the
// way through (approved to key issued), beside what the machine can commit.
func TestBenchInbound(t *testing.T) {
	scale := bench(t, "inbound")
	pg := durablePostgres(t)
	commits := pgbenchCommits(t, pg.URL("postgres"), max(3, int(10*scale)))

	const rounds = 5
	perRound := int(15_000 * scale)
	w, stop := openBenchWorld(t, pg.URL("postgres"), onlyHTTP)
	bodies := inventedBodies(t, w, perRound*rounds)
	var rates []float64
	var p50s, p99s []time.Duration
	for round := range rounds {
		took, latencies := post(t, w, bodies[round*perRound:(round+1)*perRound], 64, 0)
		rates = append(rates, float64(perRound)/took.Seconds())
		p50s, p99s = append(p50s, quantile(latencies, .5)), append(p99s, quantile(latencies, .99))
	}
	half := median(rates) / 2
	more := inventedBodies(t, w, int(half*10*scale)+100)
	_, paced := post(t, w, more, 256, half)
	stop()

	table(t, "incoming webhooks, one process, fsync on, bodies of "+fmt.Sprint(len(bodies[0].body))+" bytes",
		[]string{"what", "measured", "goal"},
		[]string{"accepted, 64 clients in a closed loop, median of 5", fmt.Sprintf("%.0f/s (spread %.0f to %.0f)", median(rates), slices.Min(rates), slices.Max(rates)), "3000/s"},
		[]string{"p50 / p99 of it, medians", fmt.Sprintf("%s / %s", median(p50s).Round(10*time.Microsecond), median(p99s).Round(10*time.Microsecond)), ""},
		[]string{fmt.Sprintf("p50 / p99 at half of that (%.0f/s offered)", half), fmt.Sprintf("%s / %s", quantile(paced, .5).Round(10*time.Microsecond), quantile(paced, .99).Round(10*time.Microsecond)), "p99 20ms"},
		[]string{"limit: pgbench -N, 10 clients", fmt.Sprintf("%.0f commits/s", commits), ""},
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
	w := &world{secret: strings.Repeat("0123456789abcdef", 4)}
	if err := w.openPartners(database, demoTiming); err != nil {
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

var benchSerial int

// inventedBodies gives n signed approvals, each of a request of its own.
func inventedBodies(t *testing.T, w *world, n int) []signedBody {
	t.Helper()
	w.datapass.Hold(true)
	defer w.datapass.Hold(false)
	ids, err := w.datapass.FileInvented(t.Context(), benchSerial, 1)
	if err != nil {
		t.Fatal(err)
	}
	benchSerial++
	deliveries, err := w.datapass.Approve(t.Context(), ids[0], datapasstest.Approval{})
	if err != nil || len(deliveries) == 0 {
		t.Fatalf("no approval to copy: %v", err)
	}
	original := deliveries[0].Body
	from, data := []byte(fmt.Sprintf(`"model_id":%d`, ids[0])), []byte(fmt.Sprintf(`"data":{"id":%d`, ids[0]))
	if !bytes.Contains(original, from) || !bytes.Contains(original, data) {
		t.Fatal("the body does not name its request")
	}
	list := make([]signedBody, n)
	for i := range list {
		benchSerial++
		body := bytes.Replace(original, from, []byte(fmt.Sprintf(`"model_id":%d`, 10_000_000+benchSerial)), 1)
		body = bytes.Replace(body, data, []byte(fmt.Sprintf(`"data":{"id":%d`, 10_000_000+benchSerial)), 1)
		list[i] = signedBody{body, datapasstest.Sign(w.secret, body)}
	}
	return list
}

// post sends all bodies over n connections, as fast as answers come or at a
// rate a second, and gives how long it took and every latency, sorted. At a
// rate, a latency counts from the moment the request was due.
func post(t *testing.T, w *world, list []signedBody, connections int, rate float64) (time.Duration, []time.Duration) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections}, Timeout: 30 * time.Second}
	url := w.publicURL + "/webhooks/datapass/" + demoSource
	latencies := make([]time.Duration, len(list))
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
		for i := range list {
			if rate > 0 {
				time.Sleep(time.Until(due(i)))
			}
			next <- i
		}
	}()
	var all sync.WaitGroup
	for range connections {
		all.Go(func() {
			for i := range next {
				began := due(i)
				req, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(list[i].body))
				if err != nil {
					t.Error(err)
					return
				}
				req.Header.Set("Content-Type", "application/json")
				req.Header.Set("X-Hub-Signature-256", list[i].signature)
				req.Header.Set("X-App-Environment", "sandbox")
				resp, err := client.Do(req)
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if resp.StatusCode != http.StatusOK {
					t.Errorf("status %d", resp.StatusCode)
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

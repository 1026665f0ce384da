package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
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
	"github.com/passerelle-hub/passerelle/connectors/webhook"
	"github.com/passerelle-hub/passerelle/internal/localpg"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// deliveryBench is a hub without its listeners on a database of its own, with
// endpoints at the receiver's addresses.
type deliveryBench struct {
	t         *testing.T
	hub       *hub
	tell      tell
	stop      func()
	endpoints []int64
	second    *child // a process that only works the queues; nil: none
	shown     []byte // a body of 3 kB, as DataPass's are
	serial    atomic.Int64
}

const benchBody = 3000

func newDeliveryBench(t *testing.T, pg *localpg.Server, database string, d design, urls []string, ordered bool) *deliveryBench {
	t.Helper()
	b := openDeliveryBench(t, pg, database, newSealingKey().Reveal(), d)
	for i, url := range urls {
		b.endpoints = append(b.endpoints, b.subscribe(fmt.Sprintf("bench_%d", i), url, ordered))
	}
	return b
}

// openDeliveryBench starts a hub on a database that may have been used before.
func openDeliveryBench(t *testing.T, pg *localpg.Server, database, sealing string, d design, more ...string) *deliveryBench {
	t.Helper()
	if err := pg.EnsureDatabase(t.Context(), database); err != nil {
		t.Fatal(err)
	}
	settings := append([]string{
		"PASSERELLE_DATABASE_URL=" + pg.URL(database), "PASSERELLE_EGRESS_ALLOW=127.0.0.0/8", "PASSERELLE_DATABASE_MAX_CONNS=24",
		"PASSERELLE_SEALING_KEYS_0_ID=bench", "PASSERELLE_SEALING_KEYS_0_KEY=" + sealing,
	}, more...)
	c, err := config.Load("", settings)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Migrate(t.Context(), pg.URL(database)); err != nil {
		t.Fatal(err)
	}
	b := &deliveryBench{t: t, shown: []byte(`{"filler":"` + strings.Repeat("x", benchBody-60) + `"}`)}
	log := zerolog.New(io.Discard).Level(zerolog.InfoLevel) // as in production, but for the disk
	if b.hub, err = build(t.Context(), c, log); err != nil {
		t.Fatal(err)
	}
	b.tell, b.stop = d.start(t, b.hub)
	if d.second {
		b.second = &child{t: t, env: settings}
		b.second.start("--only=jobs")
		await(t, func() error {
			if !strings.Contains(b.second.log.String(), `"message":"serving"`) {
				return errors.New("the second process does not serve yet")
			}
			return nil
		})
	}
	return b
}

func (b *deliveryBench) subscribe(definition, url string, ordered bool) int64 {
	b.t.Helper()
	add := &registry.AddEndpoint{Endpoint: store.NewEndpoint{
		Definition: definition, URL: url, Events: []string{"*"}, Format: store.FormatDataPass, Ordered: ordered,
		Secrets: []store.EndpointSecret{{Value: webhook.NewKey().Hex().Reveal()}}, MaxInFlight: defaultInFlight, Enabled: true,
	}}
	if err := b.hub.registry.Record(b.t.Context(), add); err != nil {
		b.t.Fatal(err)
	}
	return add.ID
}

func (b *deliveryBench) close() {
	if b.second != nil {
		if err := b.second.terminate(); err != nil {
			b.t.Error(err, b.second.log.String())
		}
	}
	b.stop()
	b.hub.close()
}

// publish commits one event for the nth endpoint.
func (b *deliveryBench) publish(ctx context.Context, n int) (uuid.UUID, error) {
	serial := b.serial.Add(1)
	return b.tell(ctx, registry.Happening{
		Type: "token.issued", Definition: fmt.Sprintf("bench_%d", n), Subject: "bench/" + strconv.FormatInt(serial, 10),
		Data: map[string]any{"serial": serial}, Shown: b.shown,
	})
}

// cpu is the processor time of the hub's processes.
func (b *deliveryBench) cpu() time.Duration {
	total := ownCPU(b.t)
	if b.second != nil {
		total += processCPU(b.t, b.second.cmd.Process.Pid)
	}
	return total
}

func (b *deliveryBench) count(query string, args ...any) int {
	b.t.Helper()
	var n int
	if err := b.hub.pool.QueryRow(b.t.Context(), query, args...).Scan(&n); err != nil {
		b.t.Fatal(err)
	}
	return n
}

// drained waits until nothing is owed to the bench's endpoints.
func (b *deliveryBench) drained() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Minute)
	defer cancel()
	if _, err := eventually(ctx, func() (any, error) {
		if n := b.count(`select count(*) from delivery where endpoint_id = any($1)`, b.endpoints); n > 0 {
			return nil, fmt.Errorf("%d deliveries are owed", n)
		}
		return nil, nil
	}); err != nil {
		b.t.Fatal(err)
	}
}

// sustained publishes as fast as deliveries are recorded, for a time, and gives
// the deliveries recorded a second.
func (b *deliveryBench) sustained(lasts time.Duration) float64 {
	b.t.Helper()
	const producers, ahead = 32, 2000
	ctx, cancel := context.WithCancel(b.t.Context())
	defer cancel()
	var published, owed atomic.Int64
	var all sync.WaitGroup
	for i := range producers {
		all.Go(func() {
			for n := i; ctx.Err() == nil; n += producers {
				if owed.Load() > ahead {
					time.Sleep(time.Millisecond)
					continue
				}
				if _, err := b.publish(ctx, n%len(b.endpoints)); err != nil {
					if ctx.Err() == nil {
						b.t.Error(err)
					}
					return
				}
				published.Add(1)
				owed.Add(1)
			}
		})
	}
	recorded := func() int64 { return int64(b.count(`select last_value from attempt_id`)) }
	first := recorded()
	watch := func() int64 {
		n := recorded() - first
		owed.Store(published.Load() - n)
		return n
	}
	warm := time.Now().Add(lasts / 3)
	for time.Now().Before(warm) {
		watch()
		time.Sleep(20 * time.Millisecond)
	}
	begin, at := time.Now(), watch()
	for time.Since(begin) < lasts {
		watch()
		time.Sleep(20 * time.Millisecond)
	}
	n, took := watch()-at, time.Since(begin)
	cancel()
	all.Wait()
	return float64(n) / took.Seconds()
}

// paced publishes at a rate and gives the times from commit to arrival, sorted.
func (b *deliveryBench) paced(r benchReceiver, rate float64, lasts time.Duration) []time.Duration {
	b.t.Helper()
	r.take(b.t)
	n := int(rate * lasts.Seconds())
	var mu sync.Mutex
	committed := make(map[string]time.Time, n)
	next := make(chan int, n)
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			for i := range next {
				id, err := b.publish(b.t.Context(), i%len(b.endpoints))
				at := time.Now()
				if err != nil {
					b.t.Error(err)
					return
				}
				mu.Lock()
				committed[id.String()] = at
				mu.Unlock()
			}
		})
	}
	start := time.Now()
	for i := range n {
		time.Sleep(time.Until(start.Add(time.Duration(float64(i) / rate * float64(time.Second)))))
		next <- i
	}
	close(next)
	all.Wait()
	b.drained()
	arrived := r.take(b.t)
	latencies := make([]time.Duration, 0, n)
	for id, at := range committed {
		if arrived[id].IsZero() {
			b.t.Errorf("message %s never arrived", id)
		}
		latencies = append(latencies, max(0, arrived[id].Sub(at)))
	}
	slices.Sort(latencies)
	return latencies
}

// bareLoop is what the machine can post: no database, no guard, no record.
func bareLoop(t *testing.T, urls []string, lasts time.Duration) float64 {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 50}}
	body := bytes.Repeat([]byte("x"), benchBody)
	keys := []webhook.Key{webhook.NewKey()}
	var sent atomic.Int64
	var all sync.WaitGroup
	end := time.Now().Add(lasts)
	for i := range 50 {
		all.Go(func() {
			for time.Now().Before(end) {
				req, err := http.NewRequest(http.MethodPost, urls[i%len(urls)], bytes.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				for name, value := range webhook.Headers(webhook.Message{ID: uuid.NewString(), At: time.Now(), Attempt: 1, Body: body}, keys, nil) {
					req.Header.Set(name, value)
				}
				resp, err := client.Do(req)
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				sent.Add(1)
			}
		})
	}
	all.Wait()
	return float64(sent.Load()) / lasts.Seconds()
}

type sustainedFigures struct{ rate, ownCPU, pgCPU, memory []float64 }

// TestBenchDelivery measures deliveries end to end: the event committed, sent,
// the 2xx and the try recorded; each event to one endpoint.
func TestBenchDelivery(t *testing.T) {
	scale := bench(t, "delivery")
	const rounds = 5
	// Eight runs a round, each on a database of its own and long enough that the start
	// of the lanes is not what is measured: with what surrounds them they fit into ten
	// minutes. The rivals are measured where they are compared.
	lasts := time.Duration(float64(4*time.Second) * max(scale, 0.25))
	r := startReceiver(t, 100)
	pg := durablePostgres(t)
	pid := postmaster(t, pg)
	designs := map[int][]design{
		1:   {ourLanes, ourLanesTwice},
		20:  {ourLanes, ourLanesTwice, contractLanes, jobPerDelivery},
		100: {ourLanes, ourLanesTwice},
	}
	sizes := []int{1, 20, 100}
	figures := map[string]*sustainedFigures{}
	var commits, bare, loads []float64
	for round := range rounds {
		commits = append(commits, pgbenchCommits(t, pg.URL("postgres"), max(2, int(5*scale))))
		bare = append(bare, bareLoop(t, r.URLs, lasts/2))
		for _, n := range sizes {
			for i := range designs[n] {
				d := designs[n][(i+round)%len(designs[n])] // none is always first
				b := newDeliveryBench(t, pg, fmt.Sprintf("d%d_%d_%d", round, n, i), d, r.URLs[:n], false)
				own, server := b.cpu(), processCPU(t, pid)
				rate := b.sustained(lasts)
				b.drained()
				count := float64(b.count(`select last_value from attempt_id`))
				key := d.name + strconv.Itoa(n)
				f := figures[key]
				if f == nil {
					f = &sustainedFigures{}
					figures[key] = f
				}
				f.rate = append(f.rate, rate)
				f.ownCPU = append(f.ownCPU, float64((b.cpu()-own).Microseconds())/1000/count)
				f.pgCPU = append(f.pgCPU, float64((processCPU(t, pid)-server).Microseconds())/1000/count)
				f.memory = append(f.memory, residentMemory(t))
				b.close()
				r.take(t)
			}
		}
		load, _ := strconv.ParseFloat(strings.Fields(loadAverage())[0], 64)
		loads = append(loads, load)
	}
	rows := [][]string{{"design", "endpoints", "deliveries/s, median (spread)", "of pgbench", "CPU hub + Postgres, ms an event", "memory MiB"}}
	for _, n := range sizes {
		for _, d := range designs[n] {
			f := figures[d.name+strconv.Itoa(n)]
			rows = append(rows, []string{
				d.name, strconv.Itoa(n), spreadOf(f.rate, "%.0f"), fmt.Sprintf("%.2f", median(f.rate)/median(commits)),
				fmt.Sprintf("%.2f + %.2f", median(f.ownCPU), median(f.pgCPU)), fmt.Sprintf("%.0f", median(f.memory)),
			})
		}
	}
	rows = append(rows,
		[]string{"bare Go loop, 50 in flight", "100", spreadOf(bare, "%.0f"), fmt.Sprintf("%.2f", median(bare)/median(commits))},
		[]string{"pgbench -N, 10 clients", "", spreadOf(commits, "%.0f"), "1.00"},
	)
	table(t, fmt.Sprintf("deliveries end to end, bodies of %d bytes, fsync on, medians of %d interleaved rounds; load average %s", benchBody, rounds, spreadOf(loads, "%.1f")), rows...)
	benchLatency(t, pg, r, median(figures[ourLanes.name+"20"].rate)/2, lasts, median(commits))
}

// benchLatency measures from commit to arrival, of our lanes and the first design.
func benchLatency(t *testing.T, pg *localpg.Server, r benchReceiver, half float64, lasts time.Duration, commits float64) {
	const endpoints = 20
	designs := []design{ourLanes, jobPerDelivery}
	rates := []float64{50, 500, half}
	type figure struct{ p50, p99 []time.Duration }
	figures := map[string]*figure{}
	for round := range 5 {
		for i := range designs {
			d := designs[(i+round)%len(designs)]
			b := newDeliveryBench(t, pg, fmt.Sprintf("l%d_%d", round, slices.IndexFunc(designs, func(x design) bool { return x.name == d.name })), d, r.URLs[:endpoints], false)
			b.paced(r, 200, lasts/6) // connections and plans are made
			for _, rate := range rates {
				l := b.paced(r, rate, lasts)
				key := fmt.Sprint(d.name, rate)
				if figures[key] == nil {
					figures[key] = &figure{}
				}
				figures[key].p50 = append(figures[key].p50, quantile(l, .5))
				figures[key].p99 = append(figures[key].p99, quantile(l, .99))
			}
			b.close()
		}
	}
	rows := [][]string{{"design", "offered/s", "p50 (spread)", "p99 (spread)"}}
	for _, rate := range rates {
		for _, d := range designs {
			f := figures[fmt.Sprint(d.name, rate)]
			rows = append(rows, []string{d.name, fmt.Sprintf("%.0f", rate), spreadOfTimes(f.p50), spreadOfTimes(f.p99)})
		}
	}
	table(t, fmt.Sprintf("from commit to arrival, %d endpoints, medians of 5 interleaved rounds; pgbench -N %.0f/s, load average %s", endpoints, commits, loadAverage()), rows...)
}

func spreadOf(values []float64, format string) string {
	return fmt.Sprintf(format+" ("+format+" to "+format+")", median(values), slices.Min(values), slices.Max(values))
}

func spreadOfTimes(values []time.Duration) string {
	tenth := 100 * time.Microsecond
	return fmt.Sprintf("%s (%s to %s)", median(values).Round(tenth), slices.Min(values).Round(tenth), slices.Max(values).Round(tenth))
}

// postmaster is the server's process.
func postmaster(t *testing.T, pg *localpg.Server) int {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), pg.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	var file string
	if err := conn.QueryRow(t.Context(), `select pg_read_file('postmaster.pid')`).Scan(&file); err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.Fields(file)[0])
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

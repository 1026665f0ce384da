package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/config"
	"github.com/passerelle-hub/passerelle/connectors/webhook"
	"github.com/passerelle-hub/passerelle/connectors/webhook/webhooktest"
	"github.com/passerelle-hub/passerelle/internal/localpg"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// soakSettings are those of a process that only works the queues, with times
// short enough that a dead one is replaced while the test watches.
const soakSettings = `hub: {name: soak, environment: sandbox, public_url: "http://127.0.0.1:1", contact: ops@passerelle.example}
http: {listen: "%s"}
ops: {listen: "%s"}
database: {url: "%s"}
sealing: {keys: [{id: soak, key: %s}]}
egress: {allow: [127.0.0.0/8]}
jobs: {timeout: 2500ms, rescue_after: 3s}
webhooks:
  timeout: 700ms
  claim_for: 1500ms
  lease: 3s
  schedule: [%s]
  rest: 100ms
  max_rest: 500ms
`

// soak is a hub of several processes on a server of its own, with receivers that
// misbehave, and what it was given to deliver.
type soak struct {
	t         *testing.T
	draw      *rand.Rand // of the faults: one goroutine's
	dir       string
	pg        *localpg.Server
	hub       *hub // publishes; works no queue
	processes []*child
	receiver  *webhooktest.Server
	healthy   atomic.Bool
	gaveUp    map[*child]int // how often a process ended by itself

	kills, crashes, restarts, refused atomic.Int64

	mu        sync.Mutex
	committed map[uuid.UUID]place // told by the hub that it is
	accepted  map[string]int      // by id: how often the receiver said yes
}

type place struct {
	path, subject string
	n             int64
}

const (
	soakEndpoints = 8 // the even ones are ordered
	soakSubjects  = 3 // of each
)

func newSoak(t *testing.T, processes int) *soak {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("the faults' seed is %d", seed)
	s := &soak{t: t, draw: rand.New(rand.NewPCG(seed, 0)), committed: map[uuid.UUID]place{}, accepted: map[string]int{}}
	var err error
	if s.dir, err = os.MkdirTemp("", "soak"); err != nil { // short: the socket's path is in it
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(s.dir) })
	s.startPostgres()
	t.Cleanup(func() {
		if err := s.pg.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	key := webhook.NewKey()
	if s.receiver, err = webhooktest.New(webhooktest.Options{Secrets: []string{key.Hex().Reveal()}, Keep: 1_000_000}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.receiver.Close() })
	at, err := s.receiver.Start("")
	if err != nil {
		t.Fatal(err)
	}
	sealing := newSealingKey().Reveal()
	for i := range processes + 1 {
		file := s.writeSettings(fmt.Sprintf("%d.yml", i), sealing)
		if i > 0 {
			s.processes = append(s.processes, &child{t: t, settings: file})
			continue
		}
		c, err := config.Load(file, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Migrate(t.Context(), c.Database.URL.Reveal()); err != nil {
			t.Fatal(err)
		}
		if s.hub, err = build(t.Context(), c, zerolog.Nop()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.hub.close)
	}
	for i := range soakEndpoints {
		path := soakPath(i)
		s.receiver.AnswerWith(path, s.answer)
		add := &registry.AddEndpoint{Endpoint: store.NewEndpoint{
			Definition: "soak" + path, URL: at + path, Events: []string{"*"}, Format: store.FormatStandard, Ordered: i%2 == 0,
			Secrets: []store.EndpointSecret{{Value: key.Hex().Reveal()}}, MaxInFlight: defaultInFlight, Enabled: true,
		}}
		if err := s.hub.registry.Record(t.Context(), add); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range s.processes {
		p.start("--only=jobs")
		t.Cleanup(func() {
			p.kill()
			if t.Failed() {
				log := p.log.String()
				t.Log(log[max(0, len(log)-20_000):])
			}
		})
	}
	return s
}

func soakPath(i int) string { return "/" + strconv.Itoa(i) }

func (s *soak) startPostgres() {
	s.t.Helper()
	var err error
	if s.pg, err = localpg.Start(s.t.Context(), localpg.Options{Dir: filepath.Join(s.dir, "pg")}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *soak) writeSettings(name, sealing string) string {
	s.t.Helper()
	public, err := freeAddress()
	if err != nil {
		s.t.Fatal(err)
	}
	ops, err := freeAddress()
	if err != nil {
		s.t.Fatal(err)
	}
	schedule := "100ms, 200ms, 400ms"
	for range 300 { // nothing is given up
		schedule += ", 800ms"
	}
	file := filepath.Join(s.dir, name)
	if err := os.WriteFile(file, fmt.Appendf(nil, soakSettings, public, ops, s.pg.URL("postgres"), sealing, schedule), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return file
}

// answer is a receiver that now and then fails, drops the connection before or
// after it took the message in, or hangs.
func (s *soak) answer(d webhooktest.Delivery) webhooktest.Answer {
	fault := 100
	if !s.healthy.Load() {
		fault = rand.IntN(100)
	}
	switch {
	case fault < 4:
		return webhooktest.Answer{Status: http.StatusInternalServerError}
	case fault < 7:
		panic(http.ErrAbortHandler) // not taken in
	case fault < 8:
		time.Sleep(time.Second) // the sender gives up; it is taken in all the same
	}
	s.mu.Lock()
	s.accepted[d.ID]++
	s.mu.Unlock()
	if fault >= 8 && fault < 10 {
		panic(http.ErrAbortHandler) // taken in, and the answer is lost
	}
	return webhooktest.Answer{}
}

// publish tells of one subject after another until ctx ends. What was refused,
// or whose answer was lost with the database, is told again as another message.
func (s *soak) publish(ctx context.Context, every time.Duration) {
	var all sync.WaitGroup
	for i := range soakEndpoints {
		for k := range soakSubjects {
			p := place{path: soakPath(i), subject: fmt.Sprintf("soak/%d/%d", i, k)}
			all.Go(func() {
				for p.n = 1; ctx.Err() == nil; {
					id, err := s.hub.registry.Tell(s.t.Context(), registry.Happening{
						Type: "token.issued", Definition: "soak" + p.path, Subject: p.subject, Data: map[string]any{"subject": p.subject, "seq": p.n},
					})
					if err == nil {
						s.mu.Lock()
						s.committed[id] = p
						s.mu.Unlock()
						p.n++
					} else {
						s.refused.Add(1)
					}
					time.Sleep(every)
				}
			})
		}
	}
	all.Wait()
}

// kill ends a process as a power cut would, and starts it again.
func (s *soak) kill() {
	p := s.processes[s.draw.IntN(len(s.processes))]
	p.kill()
	s.kills.Add(1)
	time.Sleep(time.Duration(s.draw.IntN(1000)) * time.Millisecond)
	p.start("--only=jobs")
}

// restart stops Postgres in order, or at once, and starts it again.
func (s *soak) restart(atOnce bool) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if atOnce {
		cancel()
		s.crashes.Add(1)
	} else {
		s.restarts.Add(1)
	}
	if err := s.pg.Stop(ctx); err != nil && (!atOnce || !errors.Is(err, context.Canceled)) {
		s.t.Error(err)
	}
	time.Sleep(time.Duration(s.draw.IntN(500)) * time.Millisecond)
	s.startPostgres()
}

// settle lets all be delivered, with receivers that are well, and gives how long it took.
func (s *soak) settle(limit time.Duration) time.Duration {
	s.t.Helper()
	s.healthy.Store(true)
	begin := time.Now()
	ctx, cancel := context.WithTimeout(s.t.Context(), limit)
	defer cancel()
	if _, err := eventually(ctx, func() (any, error) {
		s.supervise()
		var owed int
		if err := s.hub.pool.QueryRow(ctx, `select count(*) from delivery`).Scan(&owed); err != nil {
			return nil, err
		}
		if owed > 0 {
			return nil, fmt.Errorf("%d deliveries are owed", owed)
		}
		return nil, nil
	}); err != nil {
		s.t.Fatal(err)
	}
	return time.Since(begin)
}

// supervise starts again a process that ended by itself: one whose start met a
// Postgres that was going down.
func (s *soak) supervise() {
	if s.gaveUp == nil {
		s.gaveUp = make(map[*child]int)
	}
	for _, p := range s.processes {
		if n := strings.Count("\n"+p.log.String(), "\npasserelle serve: "); n > s.gaveUp[p] {
			s.gaveUp[p] = n
			p.kill()
			p.start("--only=jobs")
		}
	}
}

type soakVerdict struct{ repeats, lost, disorder int }

// judge counts at the receivers: each message taken in at least once, and in
// sequence where that is promised.
func (s *soak) judge() (v soakVerdict) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, p := range s.committed {
		if s.accepted[id.String()] == 0 {
			v.lost++
			s.t.Errorf("message %s (%s, number %d) is lost", id, p.subject, p.n)
		}
	}
	for _, n := range s.accepted {
		v.repeats += n - 1
	}
	if len(s.committed) == 0 {
		s.t.Error("nothing was committed")
	}
	last, seen := map[string]int64{}, map[string]bool{}
	for _, d := range s.receiver.Deliveries() {
		if !d.Valid {
			s.t.Errorf("message %s does not verify: %v", d.ID, d.Faults)
		}
		if i, _ := strconv.Atoi(d.Path[1:]); i%2 != 0 || seen[d.ID] {
			continue // unordered, or a repeat, which carries the same id
		}
		seen[d.ID] = true
		if d.Order < last[d.Subject] || d.Order > last[d.Subject]+1 {
			v.disorder++
			s.t.Errorf("%s at the ordered endpoint %s: number %d after %d", d.Subject, d.Path, d.Order, last[d.Subject])
		}
		last[d.Subject] = max(last[d.Subject], d.Order)
	}
	return v
}

func (s *soak) report(lasts, settled time.Duration, v soakVerdict) {
	s.t.Helper()
	totals := s.receiver.Totals()
	count := func(n int64) string { return strconv.FormatInt(n, 10) }
	table(s.t, fmt.Sprintf("soak of %s, %d processes, %d endpoints, load average %s", lasts, len(s.processes), soakEndpoints, loadAverage()),
		[]string{"what", "count"},
		[]string{"processes killed (SIGKILL)", count(s.kills.Load())},
		[]string{"Postgres restarted / ended at once", count(s.restarts.Load()) + " / " + count(s.crashes.Load())},
		[]string{"messages committed", strconv.Itoa(len(s.committed))},
		[]string{"refused while Postgres was away", count(s.refused.Load())},
		[]string{"tries seen by the receivers", strconv.Itoa(totals.Received)},
		[]string{"taken in more than once", strconv.Itoa(v.repeats)},
		[]string{"lost / out of order where order is promised", strconv.Itoa(v.lost) + " / " + strconv.Itoa(v.disorder)},
		[]string{"all delivered after the faults ended", settled.Round(10 * time.Millisecond).String()},
	)
}

// flowing waits until the receiver has got so many more deliveries; a process that
// did not start is started again.
func (s *soak) flowing(more int) {
	s.t.Helper()
	want := s.receiver.Totals().Received + more
	await(s.t, func() error {
		s.supervise()
		if got := s.receiver.Totals().Received; got < want {
			return fmt.Errorf("%d deliveries of %d", got, want)
		}
		return nil
	})
}

// A short soak with each fault once: the long one is make bench-soak.
func TestUnderKillsAndRestartsEveryMessageArrivesInOrder(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute: a dead leader of River's is replaced after 15 s")
	}
	s := newSoak(t, 2)
	publishing, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.publish(publishing, 100*time.Millisecond)
	}()
	for _, fault := range []func(){s.kill, func() { s.restart(false) }, func() { s.restart(true) }} {
		s.flowing(20) // a fault that strikes nothing under way proves nothing
		fault()
	}
	s.flowing(20)
	stop()
	<-done
	s.settle(2 * time.Minute)
	s.judge()
	if n := s.receiver.Totals().Received; n <= len(s.committed) {
		t.Errorf("%d tries of %d messages: no fault was felt", n, len(s.committed))
	}
}

// TestBenchSoak lasts four minutes at full size.
func TestBenchSoak(t *testing.T) {
	scale := bench(t, "soak")
	lasts := max(20*time.Second, time.Duration(float64(4*time.Minute)*scale))
	s := newSoak(t, 3)
	publishing, stop := context.WithTimeout(t.Context(), lasts)
	defer stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.publish(publishing, 50*time.Millisecond)
	}()
	for publishing.Err() == nil {
		select {
		case <-publishing.Done():
		case <-time.After(time.Second + time.Duration(s.draw.IntN(5000))*time.Millisecond):
			[]func(){s.kill, s.kill, func() { s.restart(false) }, func() { s.restart(true) }}[s.draw.IntN(4)]()
		}
	}
	<-done
	settled := s.settle(3 * time.Minute)
	s.report(lasts, settled, s.judge())
}

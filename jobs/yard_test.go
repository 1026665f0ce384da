package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/config/definitions"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/connectors/webhook"
	"github.com/passerelle-hub/passerelle/connectors/webhook/webhooktest"
	"github.com/passerelle-hub/passerelle/internal/pgtest"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
	"github.com/passerelle-hub/passerelle/internal/store/seal"
)

// yard is a process that delivers webhooks, on a database of its own, to a
// receiver that verifies everything. Its clock and the receiver's are one.
type yard struct {
	t        *testing.T
	url      string // of the database
	pool     *pgxpool.Pool
	store    *store.Store
	registry *registry.Registry
	clock    *partnertest.Clock
	receiver *webhooktest.Server
	at       string // the receiver's URL
	key      webhook.Key
	policy   registry.DeliveryPolicy
	workers  int           // of each queue
	timeout  time.Duration // of one delivery
	process  *process
}

// process is one that works the queues.
type process struct {
	workers *Workers
	client  *river.Client[pgx.Tx]
	outbox  *Outbox
	stopped bool
}

const yardSecret = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

func yardPolicy() registry.DeliveryPolicy {
	return registry.DeliveryPolicy{
		Schedule: []time.Duration{10 * time.Second, time.Minute, 10 * time.Minute}, MaxAge: 48 * time.Hour, RetryAfterCap: time.Hour,
		HoldFor: 30 * time.Minute, BreakAfter: 100, Rest: 10 * time.Second, MaxRest: time.Minute, DisableAfter: 5 * 24 * time.Hour,
	}
}

func newYard(t *testing.T, change func(*registry.DeliveryPolicy)) *yard {
	t.Helper()
	return newYardOf(t, 20, time.Second, change)
}

func newYardOf(t *testing.T, workers int, timeout time.Duration, change func(*registry.DeliveryPolicy)) *yard {
	t.Helper()
	y := &yard{t: t, workers: workers, timeout: timeout, clock: partnertest.NewClock(), key: webhook.NewKey(), policy: yardPolicy(), url: pgtest.URL(t, store.Migrate)}
	if change != nil {
		change(&y.policy)
	}
	pool, err := pgxpool.New(t.Context(), y.url)
	if err != nil {
		t.Fatal(err)
	}
	y.pool = pool
	t.Cleanup(pool.Close)
	key, err := seal.ParseKey("test", yardSecret)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := seal.NewKeyring(seal.Config{Keys: []seal.Key{key}, Active: "test", Fingerprints: "test"})
	if err != nil {
		t.Fatal(err)
	}
	y.store = store.New(pool, ring)
	y.receiver, err = webhooktest.New(webhooktest.Options{Clock: y.clock, Secrets: []string{y.key.Hex().Reveal()}, Place: placeOfData})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = y.receiver.Close() })
	if y.at, err = y.receiver.Start(""); err != nil {
		t.Fatal(err)
	}
	y.process = y.start()
	y.registry = y.process.workers.Registry
	return y
}

// start gives one more process on the database.
func (y *yard) start() *process {
	y.t.Helper()
	outbox, err := NewOutbox(y.store, 5*time.Millisecond, y.clock.Now, zerolog.Nop())
	if err != nil {
		y.t.Fatal(err)
	}
	catalogue, report := definitions.Load(definitions.Catalogue(), definitions.Options{})
	if err := report.Err(); err != nil {
		y.t.Fatal(err)
	}
	public, err := outbound.Public(outbound.PublicSettings{Allow: []string{"127.0.0.1"}, Timeouts: outbound.Timeouts{Total: y.timeout}}, zerolog.Nop())
	if err != nil {
		y.t.Fatal(err)
	}
	p := &process{outbox: outbox}
	p.workers = &Workers{
		Store: y.store, Now: y.clock.Now, Log: zerolog.Nop(), KeepBody: time.Hour,
		Registry: registry.New(y.store, outbox, catalogue, noPolicy{}, registry.Settings{OpsAddress: "ops@hub.example", ReplayRate: 50}, y.clock.Now),
		Webhooks: Webhooks{
			Deliverer: webhook.New(public), Sign: signForTests, Policy: y.policy, Timeout: y.timeout, ClaimFor: 2 * time.Second,
			Lease: 4*time.Second + y.timeout, Waker: outbox.Waker(), KeepAttempts: 30 * 24 * time.Hour, KeepBodies: 30 * 24 * time.Hour,
		},
	}
	p.client, err = NewClient(y.pool, p.workers, Settings{
		Timeout: 10 * time.Second, RescueAfter: time.Minute, FetchCooldown: 5 * time.Millisecond, Completed: time.Hour, Cancelled: time.Hour,
		Discarded: time.Hour, WorkersFor: func(string) int { return y.workers }, SoftStop: 5 * time.Second,
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		y.t.Fatal(err)
	}
	if err := p.client.Start(context.WithoutCancel(y.t.Context())); err != nil {
		y.t.Fatal(err)
	}
	outbox.Waker().Listen()
	y.t.Cleanup(func() { y.stop(p) })
	return p
}

func (y *yard) stop(p *process) {
	if p.stopped {
		return
	}
	p.stopped = true
	p.outbox.Waker().Drain()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := errors.Join(p.client.Stop(ctx), p.outbox.Waker().Finish(ctx)); err != nil {
		y.t.Error(err)
	}
}

func signForTests(l store.Lane, d store.Due, at time.Time) (map[string]string, error) {
	keys := make([]webhook.Key, len(l.Secrets))
	for i, s := range l.Secrets {
		var err error
		if keys[i], err = webhook.ParseKey(s); err != nil {
			return nil, err
		}
	}
	h := webhook.Headers(webhook.Message{
		ID: d.EventID.String(), At: at, Attempt: d.Attempts + 1, Sequence: d.Seq, Environment: "sandbox", Body: d.Body,
	}, keys, nil)
	for name, value := range l.Headers {
		h[name] = value
	}
	return h, nil
}

// placeOfData reads what tell puts into the bodies.
func placeOfData(body []byte) (string, int64, bool) { return webhooktest.PlaceOf(body) }

// endpoint subscribes to a definition of its own and gives both.
func (y *yard) endpoint(change func(*store.NewEndpoint)) int64 {
	y.t.Helper()
	e := store.NewEndpoint{
		Definition: "d", URL: y.at + "/a", Events: []string{"*"}, Format: store.FormatStandard, MaxInFlight: 5, Enabled: true,
		Secrets: []store.EndpointSecret{{Value: y.key.Hex().Reveal()}},
	}
	if change != nil {
		change(&e)
	}
	add := &registry.AddEndpoint{Endpoint: e}
	if err := y.registry.Record(y.t.Context(), add); err != nil {
		y.t.Fatal(err)
	}
	return add.ID
}

// tell publishes the nth event of a subject.
func (y *yard) tell(definition, subject string, n int) uuid.UUID {
	y.t.Helper()
	id, err := y.registry.Tell(y.t.Context(), happeningFor(definition, subject, n))
	if err != nil {
		y.t.Fatal(err)
	}
	return id
}

func happeningFor(definition, subject string, n int) registry.Happening {
	return registry.Happening{
		Type: "token.issued", Definition: definition, Subject: subject, Data: map[string]any{"subject": subject, "seq": n},
	}
}

// advance lets time pass, and the lanes look.
func (y *yard) advance(d time.Duration) {
	y.t.Helper()
	y.clock.Advance(d)
	y.look()
}

func (y *yard) look() {
	y.t.Helper()
	due, err := y.store.EndpointsWithDue(y.t.Context(), y.clock.Now())
	if err != nil {
		y.t.Fatal(err)
	}
	y.process.outbox.Waker().Wake(due...)
	y.process.outbox.Waker().Wake(y.ids()...)
}

func (y *yard) ids() []int64 {
	y.t.Helper()
	list, err := y.store.Endpoints(y.t.Context())
	if err != nil {
		y.t.Fatal(err)
	}
	ids := make([]int64, len(list))
	for i, e := range list {
		ids[i] = e.ID
	}
	return ids
}

// until waits for something to be true.
func (y *yard) until(what string, holds func() bool) {
	y.t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if holds() {
			return
		}
	}
	y.t.Fatalf("never: %s\n%s", what, y.picture())
}

// picture shows what is owed and what was tried, for a test that fails.
func (y *yard) picture() string {
	var out string
	for _, q := range []string{
		`select d::text from delivery d`, `select a::text from attempt a order by id`, `select h::text from endpoint_health h`, `select l::text from lane l`,
		`select kind || ' ' || state || ' ' || args::text || ' ' || coalesce(errors::text, '') from river_job where kind = 'deliver_lane' order by id`,
	} {
		rows, err := y.pool.Query(context.Background(), q)
		if err != nil {
			return out + err.Error()
		}
		list, err := pgx.CollectRows(rows, pgx.RowTo[string])
		out += fmt.Sprintln(q, err)
		for _, line := range list {
			out += "  " + line + "\n"
		}
	}
	return out
}

func (y *yard) count(query string, args ...any) int {
	y.t.Helper()
	var n int
	if err := y.pool.QueryRow(y.t.Context(), query, args...).Scan(&n); err != nil {
		y.t.Fatal(err)
	}
	return n
}

func (y *yard) attempts() int { return y.count(`select count(*) from attempt`) }

func (y *yard) untilAttempts(n int) {
	y.t.Helper()
	y.until(strconv.Itoa(n)+" tries", func() bool { return y.attempts() >= n })
}

// drained waits until nothing is owed.
func (y *yard) drained() {
	y.t.Helper()
	y.until("nothing owed", func() bool { return y.count(`select count(*) from delivery where abandoned_at is null`) == 0 })
}

// tries gives the outcomes recorded, oldest first: "failed 500", "failed reset", "delivered 200".
func (y *yard) tries() []string {
	y.t.Helper()
	rows, err := y.pool.Query(y.t.Context(), `select outcome || ' ' || coalesce(status::text, error_class) from attempt order by id`)
	if err != nil {
		y.t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		y.t.Fatal(err)
	}
	return list
}

func (y *yard) health(id int64) store.Health {
	y.t.Helper()
	h, err := y.store.EndpointHealth(y.t.Context(), id)
	if err != nil {
		y.t.Fatal(err)
	}
	return h
}

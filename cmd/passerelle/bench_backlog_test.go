package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/webhook"
	"github.com/passerelle-hub/passerelle/internal/localpg"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// shortRest lets a bench see an endpoint come back: the rests of production are
// up to five minutes. More probes are harder on the others, not easier.
var shortRest = []string{"PASSERELLE_WEBHOOKS_REST=1s", "PASSERELLE_WEBHOOKS_MAX_REST=5s"}

// TestBenchBacklog measures 20 endpoints that do well beside a dead one for
// which a million messages wait, then how fast those drain when it comes back,
// and what the tables and indexes weigh.
func TestBenchBacklog(t *testing.T) {
	scale := bench(t, "backlog")
	const healthy, rounds = 20, 5
	waiting := int(1_000_000 * scale)
	lasts := max(2*time.Second, time.Duration(float64(6*time.Second)*scale))
	r := startReceiver(t, healthy)
	dead, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	pg := durablePostgres(t)
	commits := pgbenchCommits(t, pg.URL("postgres"), max(2, int(5*scale)))

	sealing := newSealingKey().Reveal()
	names := []string{"without", "with"}
	endpoints := map[string][]int64{}
	var deadID int64
	for _, name := range names {
		b := openDeliveryBench(t, pg, name, sealing, ourLanes, shortRest...)
		for i, url := range r.URLs {
			endpoints[name] = append(endpoints[name], b.subscribe(fmt.Sprintf("bench_%d", i), url, false))
		}
		if name == "with" {
			deadID = b.owe(waiting, "http://"+dead)
		}
		b.close()
	}
	rates, p99s := map[string][]float64{}, map[string][]time.Duration{}
	for round := range rounds {
		for i := range names {
			name := names[(i+round)%2]
			b := openDeliveryBench(t, pg, name, sealing, ourLanes, shortRest...)
			b.endpoints = endpoints[name]
			rates[name] = append(rates[name], b.sustained(lasts))
			b.drained()
			p99s[name] = append(p99s[name], quantile(b.paced(r, 300, lasts), .99))
			b.close()
			r.take(t)
		}
	}
	rows := [][]string{{"20 endpoints", "deliveries/s, median (spread)", "p99 at 300/s (spread)"}}
	for _, name := range names {
		rows = append(rows, []string{name + " the backlog", spreadOf(rates[name], "%.0f"), spreadOfTimes(p99s[name])})
	}
	rows = append(rows, []string{"pgbench -N, 10 clients", fmt.Sprintf("%.0f", commits)})
	table(t, fmt.Sprintf("beside %d messages for a dead endpoint, medians of %d interleaved rounds; load average %s", waiting, rounds, loadAverage()), rows...)

	b := openDeliveryBench(t, pg, "with", sealing, ourLanes, shortRest...)
	defer b.close()
	sizes := [][]string{b.weigh("with the backlog")}
	owed := b.count(`select count(*) from delivery where endpoint_id = $1`, deadID)
	r.listen(t, dead)
	drain := b.drain(deadID, owed)
	sizes = append(sizes, b.weigh("drained"))
	if _, err := b.hub.pool.Exec(t.Context(), `vacuum delivery`); err != nil {
		t.Fatal(err)
	}
	sizes = append(sizes, b.weigh("after the next vacuum"))
	one := benchOne(t, pg, r.URLs[:1], lasts)
	table(t, fmt.Sprintf("%d messages drain when the endpoint comes back; load average %s", owed, loadAverage()),
		[]string{"what", "deliveries/s"},
		[]string{"all of it", fmt.Sprintf("%.0f", drain[0])},
		[]string{"first half / second half", fmt.Sprintf("%.0f / %.0f", drain[1], drain[2])},
		[]string{"one endpoint of the same kind, told live", fmt.Sprintf("%.0f", one)},
	)
	table(t, "what the deliveries weigh, MiB", append([][]string{{"when", "rows", "table", "delivery_due", "primary key", "dead rows", "autovacuums"}}, sizes...)...)
}

// benchOne is what one endpoint gets that has no backlog.
func benchOne(t *testing.T, pg *localpg.Server, urls []string, lasts time.Duration) float64 {
	t.Helper()
	b := newDeliveryBench(t, pg, "one", ourLanes, urls, false)
	defer b.close()
	rate := b.sustained(lasts)
	b.drained()
	return rate
}

// owe makes an endpoint at url with n messages that wait, by bulk insert. Their
// bodies are of 300 bytes: what is measured is how many there are.
func (b *deliveryBench) owe(n int, url string) int64 {
	b.t.Helper()
	add := &registry.AddEndpoint{Endpoint: store.NewEndpoint{
		Definition: "dead", URL: url, Events: []string{"*"}, Format: store.FormatStandard, MaxInFlight: defaultInFlight, Enabled: true,
		Secrets: []store.EndpointSecret{{Value: webhook.NewKey().Hex().Reveal()}},
	}}
	if err := b.hub.registry.Record(b.t.Context(), add); err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(b.t.Context(), 5*time.Minute)
	defer cancel()
	tx, err := b.hub.pool.Begin(ctx)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	for _, statement := range []struct {
		sql  string
		args []any
	}{
		{`set local statement_timeout = 0`, nil},
		// Ids as of UUID v7, a millisecond for every hundred.
		{`insert into event (id, type, definition, subject, seq, body, occurred_at)
		  select (lpad(to_hex((extract(epoch from now()) * 1000)::bigint - $1::int / 100 + n / 100), 12, '0') || '7000' || '8000' || lpad(to_hex(n), 12, '0'))::uuid,
		         'bench', 'dead', 'backlog/' || n, 1, json_build_object('type', 'bench', 'data', $2::text), now() - interval '1 hour'
		  from generate_series(1, $1::int) n`, []any{n, strings.Repeat("x", 250)}},
		{`insert into delivery (endpoint_id, event_id, next_at, subject, seq, ordered, created_at)
		  select $1, id, occurred_at + substr(subject, 9)::int * interval '1 millisecond', subject, 1, false, occurred_at from event where definition = 'dead'`, []any{add.ID}},
	} {
		if _, err := tx.Exec(ctx, statement.sql, statement.args...); err != nil {
			b.t.Fatal(err)
		}
	}
	if err := tx.Commit(ctx); err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.hub.pool.Exec(ctx, `analyze delivery`); err != nil { // autovacuum would within a minute
		b.t.Fatal(err)
	}
	return add.ID
}

// drain waits until nothing is owed to an endpoint, and gives deliveries a
// second: in all, of the first half, of the second.
func (b *deliveryBench) drain(id int64, owed int) []float64 {
	b.t.Helper()
	left := func() int { return b.count(`select count(*) from delivery where endpoint_id = $1`, id) }
	for left() > owed-100 { // the rest of its breaker
		time.Sleep(20 * time.Millisecond)
	}
	begin, from := time.Now(), left()
	var half time.Time
	at := from
	for n := from; n > 0; n = left() {
		if half.IsZero() && n <= from/2 {
			half, at = time.Now(), n
		}
		if time.Since(begin) > 8*time.Minute {
			b.t.Fatalf("%d of %d still wait", n, owed)
		}
		time.Sleep(200 * time.Millisecond)
	}
	end := time.Now()
	return []float64{
		float64(from) / end.Sub(begin).Seconds(), float64(from-at) / half.Sub(begin).Seconds(), float64(at) / end.Sub(half).Seconds(),
	}
}

// weigh gives a row of sizes.
func (b *deliveryBench) weigh(when string) []string {
	b.t.Helper()
	row := []string{when}
	for _, query := range []string{
		`select count(*) from delivery`,
		`select pg_relation_size('delivery') / 1048576`, `select pg_relation_size('delivery_due') / 1048576`, `select pg_relation_size('delivery_pkey') / 1048576`,
		`select coalesce(max(n_dead_tup), 0) from pg_stat_user_tables where relname = 'delivery'`,
		`select coalesce(max(autovacuum_count), 0) from pg_stat_user_tables where relname = 'delivery'`,
	} {
		row = append(row, fmt.Sprint(b.count(query)))
	}
	return row
}

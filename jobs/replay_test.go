package jobs

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// A replay of whatever length holds a few seconds' worth of it in the table of
// what is owed, and a process that dies in any step loses and repeats nothing.
func TestAReplayOfManyMessagesIsBoundedAndOutlivesItsProcess(t *testing.T) {
	t.Parallel()
	y := newYard(t, nil)
	y.stop(y.process) // its steps are made here
	const many, rate, ahead = 50_000, 1000, 10
	r := registry.New(y.store, y.process.outbox, nil, noPolicy{}, registry.Settings{ReplayRate: rate}, y.clock.Now)
	id := y.endpoint(nil)
	y.clock.Freeze(time.Now().UTC())
	if _, err := y.pool.Exec(t.Context(), `
		insert into event (id, type, definition, subject, seq, body, occurred_at)
		select (lpad(to_hex((extract(epoch from $1::timestamptz) * 1000)::bigint - $2 + n), 12, '0') || '7000' || '8' || lpad(to_hex(n), 15, '0'))::uuid,
		       'token.issued', 'd', 's' || n, 1, '{}', $1::timestamptz - interval '1 hour'
		from generate_series(1, $2::integer) n`, y.clock.Now().Add(-time.Hour), many); err != nil {
		t.Fatal(err)
	}
	replay := &registry.StartReplay{EndpointID: id, Scope: store.ReplayAll, Since: y.clock.Now().Add(-24 * time.Hour)}
	if err := r.Record(t.Context(), replay); err != nil {
		t.Fatal(err)
	}
	if _, err := y.pool.Exec(t.Context(), `create table sent (event_id uuid)`); err != nil {
		t.Fatal(err)
	}
	most, died := 0, 0
	for step := 0; y.count(`select count(*) from replay where state = 'done'`) == 0; step++ {
		if step > 4*many/rate {
			t.Fatalf("not over after %d steps\n%s", step, y.progress())
		}
		ctx := t.Context()
		if step%5 == 3 { // the process dies: its transaction ends wherever it was
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, time.Duration(step%20)*time.Millisecond)
			defer cancel()
		}
		if err := r.Record(ctx, &registry.CarryReplaysOn{EndpointID: id}); err != nil {
			if ctx.Err() == nil {
				t.Fatal(err)
			}
			died++
		}
		most = max(most, y.count(`select count(*) from delivery`))
		// What is due is delivered.
		if _, err := y.pool.Exec(t.Context(), `with d as (delete from delivery where next_at <= $1 returning event_id) insert into sent select event_id from d`, y.clock.Now()); err != nil {
			t.Fatal(err)
		}
		y.clock.Advance(5 * time.Second)
	}
	if most > rate*ahead {
		t.Errorf("%d messages were queued at once: %d s at %d a second are the bound", most, ahead, rate)
	}
	if died == 0 {
		t.Error("no step was cut: nothing is proved of one that dies")
	}
	if n, once := y.count(`select count(*) from sent`), y.count(`select count(distinct event_id) from sent`); n != many || once != many {
		t.Errorf("%d deliveries of %d messages, of %d\n%s", n, once, many, y.progress())
	}
}

// progress shows the replays.
func (y *yard) progress() string {
	rows, err := y.pool.Query(context.Background(), `select r::text from replay r`)
	if err != nil {
		return err.Error()
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return fmt.Sprint(list, err)
}

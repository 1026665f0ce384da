package jobs

import (
	"bytes"
	"context"
	"os"
	"testing"

	"github.com/passerelle-hub/passerelle/internal/registry"
)

// An event that the database will never take shows to ops; what its source sent
// of other requests, and of the same one, is applied all the same.
func TestAnEventThatTheDatabaseRefusesIsParkedAndHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	y := newYard(t, nil)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { y.registry.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	for _, statement := range []string{
		`create function refuse() returns trigger language plpgsql as $$ begin
			raise exception 'this event is not taken' using errcode = 'character_not_in_repertoire';
		end $$`,
		`create trigger refuse before insert on request for each row when (new.external_id = 48213) execute function refuse()`,
		`create trigger refuse before insert on event for each row when (new.body #>> '{data,datapass_id}' = '48215') execute function refuse()`,
	} {
		if _, err := y.pool.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	body, err := os.ReadFile("../internal/registry/testdata/webhook-submit.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range [][2]string{{}, {"1773330002", "1773330003"}, {"48213", "48214"}, {"48213", "48215"}} {
		hook := registry.Webhook{Source: "datapass", Environment: "sandbox", Body: bytes.ReplaceAll(body, []byte(change[0]), []byte(change[1]))}
		if change[0] == "" {
			hook.Body = body
		}
		if _, err := y.registry.Receive(t.Context(), hook); err != nil {
			t.Fatal(err)
		}
	}
	y.until("those refused are parked, the other is applied", func() bool {
		return y.count(`select count(*) from inbound_event where state = 'parked' and external_id = 48213 and reason <> ''`) == 2 &&
			y.count(`select count(*) from inbound_event where state = 'parked' and external_id = 48215`) == 1 &&
			y.count(`select count(*) from inbound_event where state = 'applied' and external_id = 48214`) == 1
	})
	y.until("no job goes on with them", func() bool {
		return y.count(`select count(*) from river_job where kind = 'apply_inbound' and state <> 'completed'`) == 0
	})
}

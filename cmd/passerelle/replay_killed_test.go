package main

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/webhook/webhooktest"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// All processes are killed in the middle of a replay. Those that come after them
// carry it on: each message is sent again, none is left out, and never is more
// queued than the rate allows for some seconds.
func TestAReplayGoesOnAfterEveryProcessWasKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute: a dead leader of River's is replaced after 15 s")
	}
	t.Parallel()
	const many, ahead = 700, 10 // seconds' worth that is queued at the most
	s := newSoak(t, 2)
	s.healthy.Store(true)
	begin := time.Now()
	path := soakPath(1)
	ids := map[string]bool{}
	for n := range many {
		id, err := s.hub.registry.Tell(t.Context(), registry.Happening{
			Type: "token.issued", Definition: "soak" + path, Subject: fmt.Sprintf("replayed/%d", n), Data: map[string]any{"subject": fmt.Sprintf("replayed/%d", n), "seq": 1},
		})
		if err != nil {
			t.Fatal(err)
		}
		ids[id.String()] = true
	}
	s.settle(time.Minute)
	endpoints, err := s.hub.store.Endpoints(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rate := s.hub.config.Webhooks.ReplayRate
	replay := &registry.StartReplay{Scope: store.ReplayAll, Since: begin.Add(-time.Second)}
	for _, e := range endpoints {
		if e.Definition == "soak"+path {
			replay.EndpointID = e.ID
		}
	}
	if err := s.hub.registry.Record(t.Context(), replay); err != nil {
		t.Fatal(err)
	}
	repeats := func() (all, messages int) {
		seen := map[string]int{}
		for _, d := range s.receiver.Deliveries() {
			seen[d.ID]++
		}
		for id, n := range seen {
			if ids[id] && n > 1 {
				all, messages = all+n-1, messages+1
			}
		}
		return all, messages
	}
	queued := func() int {
		t.Helper()
		var n int
		if err := s.hub.pool.QueryRow(t.Context(), `select count(*) from delivery where rank = $1`, store.Replay).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if float64(n) > rate*ahead {
			t.Errorf("%d messages are queued at once, at %v a second", n, rate)
		}
		return n
	}
	await(t, func() error {
		queued()
		if all, _ := repeats(); all < many/10 {
			return fmt.Errorf("%d of %d were sent again", all, many)
		}
		return nil
	})
	for _, p := range s.processes {
		p.kill()
	}
	all, struck := repeats()
	if struck >= many {
		t.Fatalf("the replay was over when the processes were killed (%d)", all)
	}
	if queued() == 0 {
		t.Log("nothing was under way when they were killed")
	}
	for _, p := range s.processes {
		p.start("--only=jobs")
	}
	// Live traffic goes first.
	live, err := s.hub.registry.Tell(t.Context(), registry.Happening{
		Type: "token.issued", Definition: "soak" + path, Subject: "live", Data: map[string]any{"subject": "live", "seq": 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	over := func() bool {
		t.Helper()
		open := 0
		if err := s.hub.pool.QueryRow(t.Context(), `select count(*) from replay where state <> 'done'`).Scan(&open); err != nil {
			t.Fatal(err)
		}
		return open == 0
	}
	limit := time.Now().Add(4 * time.Minute)
	for !over() {
		s.supervise()
		queued()
		if time.Now().After(limit) {
			all, messages := repeats()
			t.Fatalf("the replay is not over: %d of %d messages were sent again, %d times", messages, many, all)
		}
		time.Sleep(100 * time.Millisecond)
	}
	all, messages := repeats()
	if messages != many {
		t.Errorf("%d of %d messages were sent again", messages, many)
	}
	// Only what was in flight, or not settled, when they died may come once more.
	if all > many+100 {
		t.Errorf("%d messages were sent again %d times", messages, all)
	}
	if !slices.ContainsFunc(s.receiver.Deliveries(), func(d webhooktest.Delivery) bool { return d.ID == live.String() }) {
		t.Error("the live message did not arrive")
	}
}

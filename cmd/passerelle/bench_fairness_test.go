package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"testing"
	"time"
)

// silentReceiver takes connections and reads, and never answers.
func silentReceiver(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(io.Discard, conn)
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

// crowd are endpoints that do not do well beside those that do.
type crowd struct {
	name         string
	hang, refuse int
	p50, p99     []time.Duration
}

// TestBenchFairness measures from commit to arrival at 100 endpoints that do
// well, alone and beside others that hang until the limit or refuse.
func TestBenchFairness(t *testing.T) {
	scale := bench(t, "fairness")
	const healthy, offered, rounds = 100, 300, 5
	limit := max(time.Second, time.Duration(float64(10*time.Second)*scale)) // of one delivery
	lasts := limit * 3 / 2
	r := startReceiver(t, healthy)
	silent := silentReceiver(t)
	closed, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	pg := durablePostgres(t)
	commits := pgbenchCommits(t, pg.URL("postgres"), max(2, int(5*scale)))
	crowds := []*crowd{
		{name: "alone"},
		{name: "beside 5 that hang and 5 that refuse", hang: 5, refuse: 5},
		{name: "beside 600 that hang: more than there are workers", hang: 600},
	}
	for round := range rounds {
		for i := range crowds {
			c := crowds[(i+round)%len(crowds)]
			b := openDeliveryBench(t, pg, fmt.Sprintf("f%d_%d", round, (i+round)%len(crowds)), newSealingKey().Reveal(), ourLanes,
				"PASSERELLE_WEBHOOKS_TIMEOUT="+limit.String())
			for n, url := range r.URLs {
				b.endpoints = append(b.endpoints, b.subscribe(fmt.Sprintf("bench_%d", n), url, false))
			}
			b.paced(r, 200, lasts/8) // connections and plans are made
			for n := range c.hang + c.refuse {
				url := silent
				if n >= c.hang {
					url = "http://" + closed
				}
				b.subscribe(fmt.Sprintf("bench_%d", healthy+n), url, false)
			}
			publishing, stop := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() {
				defer close(done)
				b.bother(publishing, healthy, c.hang+c.refuse)
			}()
			l := b.paced(r, offered, lasts)
			stop()
			<-done
			c.p50, c.p99 = append(c.p50, quantile(l, .5)), append(c.p99, quantile(l, .99))
			b.close()
		}
	}
	rows := [][]string{{"100 endpoints that do well", "p50 (spread)", "p99 (spread)", "p99 more than alone", "goal"}}
	alone := median(crowds[0].p99)
	for _, c := range crowds {
		more := ""
		if c.hang > 0 {
			p99 := median(c.p99)
			more = fmt.Sprintf("%+.1f ms, x%.2f", float64((p99-alone).Microseconds())/1000, float64(p99)/float64(alone))
		}
		rows = append(rows, []string{c.name, spreadOfTimes(c.p50), spreadOfTimes(c.p99), more, map[bool]string{true: "+10 ms or x2 at most"}[more != ""]})
	}
	table(t, fmt.Sprintf("from commit to arrival, %d/s offered, medians of %d interleaved rounds of %s, %s until a delivery is given up; pgbench -N %.0f/s, load average %s",
		offered, rounds, lasts, limit, commits, loadAverage()), rows...)
}

// bother tells of something for each of n endpoints beyond the first ones: at
// once, then ten a second in turn.
func (b *deliveryBench) bother(ctx context.Context, first, n int) {
	for i := 0; n > 0 && ctx.Err() == nil; i++ {
		if _, err := b.publish(ctx, first+i%n); err != nil && ctx.Err() == nil {
			b.t.Error(err)
			return
		}
		if i >= 2*n {
			time.Sleep(100 * time.Millisecond)
		}
	}
}

package webhooktest

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLeanModeOnlyCounts(t *testing.T) {
	t.Parallel()
	s, base := newServer(t, Options{})
	s.Lean(true)
	var mu sync.Mutex
	arrivals := map[string]time.Time{}
	s.OnArrival(func(h http.Header, at time.Time) {
		mu.Lock()
		defer mu.Unlock()
		arrivals[h.Get("webhook-id")] = at
	})
	client := plain()
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			for i := range 50 {
				// Each id is sent by two workers.
				answer, err := client.Do(signed(t.Context(), base, fmt.Sprintf("evt_%d_%d", worker/2, i), "{}"))
				if err != nil {
					t.Error(err)
					return
				}
				_ = answer.Body.Close()
			}
		})
	}
	if err := s.WaitUnique(t.Context(), 200); err != nil {
		t.Fatal(err)
	}
	group.Wait()
	if diff := cmp.Diff(Totals{Received: 400, Unique: 200, Repeats: 200}, s.Totals()); diff != "" {
		t.Error(diff)
	}
	if len(s.Deliveries()) != 0 || len(arrivals) != 200 {
		t.Errorf("%d recorded, %d arrivals", len(s.Deliveries()), len(arrivals))
	}
	s.Lean(false)
	post(t, base, "evt_x", "{}")
	if got := s.Totals(); got.Received != 401 || len(s.Deliveries()) != 1 {
		t.Errorf("%+v", got)
	}
	s.Reset()
	if diff := cmp.Diff(Totals{}, s.Totals()); diff != "" {
		t.Error(diff)
	}
}

// A bench's receiver must cost little beside what it measures: each op is one
// delivery over HTTP, client included.
func BenchmarkLeanDelivery(b *testing.B) {
	s, err := New(Options{Secrets: []string{testSecret}})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	base, err := s.Start("")
	if err != nil {
		b.Fatal(err)
	}
	s.Lean(true)
	client := plain()
	body := strings.Repeat("x", 960)
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			req, _ := http.NewRequestWithContext(b.Context(), http.MethodPost, base, strings.NewReader(body))
			req.Header["Webhook-Id"] = []string{"evt"}
			answer, err := client.Do(req)
			if err != nil {
				b.Error(err)
				return
			}
			_ = answer.Body.Close()
		}
	})
}

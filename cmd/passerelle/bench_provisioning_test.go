package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/datapass/datapasstest"
	"github.com/passerelle-hub/passerelle/connectors/hydra/hydratest"
	"github.com/passerelle-hub/passerelle/connectors/keycloak/keycloaktest"
	"github.com/passerelle-hub/passerelle/connectors/kong/kongtest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/connectors/tyk/tyktest"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// partnerLatency is what each call to a simulated manager takes besides its work.
const partnerLatency = 20 * time.Millisecond

// simulated is a simulated manager beside the world's own Gravitee.
type simulated struct {
	server *partnertest.Server
	yaml   string // type and config of its connector; %s is the map of scopes
	word   string // what each scope maps to
}

func simulators(t *testing.T) map[string]func() simulated {
	t.Helper()
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	return map[string]func() simulated{
		"gravitee": nil, // the world's
		"kong": func() simulated {
			s, err := kongtest.Start(kongtest.Options{})
			must(err)
			return simulated{s.Server, "kong, config: {url: " + s.AdminURL() + ", grants: {api_particulier: {groups: [base], scopes: %s}}", "particulier"}
		},
		"tyk": func() simulated {
			s, err := tyktest.Start(tyktest.Options{})
			must(err)
			return simulated{s.Server, "tyk, config: {url: " + s.ControlURL() + ", secret: " + s.Secret() + ", grants: {api_particulier: {policies: [api-particulier], scopes: %s}}", "dgfip"}
		},
		"keycloak": func() simulated {
			s, err := keycloaktest.Start(keycloaktest.Options{AdminTokenLifespan: 30 * time.Minute})
			must(err)
			return simulated{s.Server, fmt.Sprintf("keycloak, config: {url: %s, realm: %s, client_id: %s, client_secret: %s, grants: {api_particulier: {scopes: %%s}}",
				s.URL(), keycloaktest.DefaultRealm, s.AdminClient(), s.AdminSecret()), "dgfip"}
		},
		"hydra": func() simulated {
			s, err := hydratest.Start(hydratest.Options{Version: hydratest.Version230})
			must(err)
			return simulated{s.Server, "hydra, config: {url: " + s.AdminURL() + ", grants: {api_particulier: {base: [demo], scopes: %s}}", "particulier"}
		},
	}
}

// TestBenchProvisioning: approvals against each simulated manager, each of whose
// calls takes 20 ms more; then all the keys are revoked, and proven dead.
func TestBenchProvisioning(t *testing.T) {
	scale := bench(t, "provisioning")
	approvals, more := max(int(1000*scale), 5), max(int(1000*scale), 5)
	rows := [][]string{{"manager", "approvals", "to the last key", "keys/s", "calls/key", "revoked", "to the last proof", "revoked/s", "calls/end"}}
	open := simulators(t)
	for _, name := range []string{"gravitee", "kong", "tyk", "keycloak", "hydra"} {
		t.Run(name, func(t *testing.T) {
			w, server := openProvisioned(t, open[name])
			server.Inject(partnertest.Delay("", partnerLatency))
			first := server.Count("")
			began := time.Now()
			requests := w.approveMany(t, approvals)
			w.allReach(t, "active", approvals)
			issued, calls := time.Since(began), server.Count("")-first

			requests = append(requests, w.approveMany(t, more)...)
			w.allReach(t, "active", len(requests))
			first, began = server.Count(""), time.Now()
			inParallel(t, requests, func(id int64) error {
				_, err := w.datapass.Revoke(t.Context(), id, "mesure")
				return err
			})
			w.allReach(t, "revoked_verified", len(requests))
			ended, ends := time.Since(began), server.Count("")-first
			rows = append(rows, []string{
				name, fmt.Sprint(approvals), issued.Round(time.Millisecond).String(), fmt.Sprintf("%.1f", float64(approvals)/issued.Seconds()),
				fmt.Sprintf("%.1f", float64(calls)/float64(approvals)), fmt.Sprint(len(requests)), ended.Round(time.Millisecond).String(),
				fmt.Sprintf("%.1f", float64(len(requests))/ended.Seconds()), fmt.Sprintf("%.1f", float64(ends)/float64(len(requests))),
			})
		})
	}
	table(t, fmt.Sprintf("approvals and revocations, %s a call, 10 workers a manager: at most %.0f calls/s", partnerLatency, 10/partnerLatency.Seconds()), rows...)
}

// openProvisioned gives a world on a durable Postgres whose API Particulier is
// served by the manager, nil for the world's Gravitee.
func openProvisioned(t *testing.T, open func() simulated) (*world, *partnertest.Server) {
	t.Helper()
	w := &world{secret: strings.Repeat("0123456789abcdef", 4)}
	database := durablePostgres(t).URL("postgres")
	if err := store.Migrate(t.Context(), database); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.close(); err != nil {
			t.Error(err)
		}
	})
	if err := w.openPartners(database, demoTiming); err != nil {
		t.Fatal(err)
	}
	server := w.gravitee.Server
	if open != nil {
		r := open()
		server = r.server
		t.Cleanup(func() { _ = r.server.Close() })
		scopes, err := scopesOf("api_particulier")
		if err != nil {
			t.Fatal(err)
		}
		for i, s := range scopes {
			scopes[i] = s + ": [" + r.word + "]"
		}
		raw, err := os.ReadFile(w.settings)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Replace(string(raw), "provisioning:\n", "  - {name: mesure, type: "+fmt.Sprintf(r.yaml, "{"+strings.Join(scopes, ", ")+"}")+"}}\nprovisioning:\n", 1)
		text = strings.Replace(text, "managers: ["+demoManager+"]", "managers: [mesure]", 1)
		if err := os.WriteFile(w.settings, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.startHub(t, io.Discard)
	if err := w.join(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w, server
}

// approveMany has DataPass approve n requests, eight at a time.
func (w *world) approveMany(t *testing.T, n int) []int64 {
	t.Helper()
	var mu sync.Mutex
	var ids []int64
	inParallel(t, make([]int64, n), func(int64) error {
		filing := datapasstest.APIParticulier()
		filing.ID, filing.PublicID = 0, ""
		request, err := w.datapass.Create(t.Context(), filing)
		if err != nil {
			return err
		}
		if _, err := w.datapass.Submit(t.Context(), request.ID); err != nil {
			return err
		}
		mu.Lock()
		ids = append(ids, request.ID)
		mu.Unlock()
		_, err = w.datapass.Approve(t.Context(), request.ID, datapasstest.Approval{})
		return err
	})
	if t.Failed() {
		t.FailNow()
	}
	return ids
}

func inParallel(t *testing.T, ids []int64, do func(int64) error) {
	t.Helper()
	work := make(chan int64)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for id := range work {
				if err := do(id); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for _, id := range ids {
		work <- id
	}
	close(work)
	all.Wait()
}

// allReach waits until n credentials are in a state.
func (w *world) allReach(t *testing.T, state string, n int) {
	t.Helper()
	for end := time.Now().Add(4 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		var have int
		if err := w.hub.pool.QueryRow(t.Context(), `select count(*) from credential where state = $1`, state).Scan(&have); err != nil {
			t.Fatal(err)
		}
		if have >= n {
			return
		}
		if time.Now().After(end) || t.Context().Err() != nil {
			t.Fatalf("%d of %d keys are %s", have, n, state)
		}
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/apiparticulier/apiparticuliertest"
	"github.com/passerelle-hub/passerelle/connectors/datapass/datapasstest"
	"github.com/passerelle-hub/passerelle/connectors/hubee/hubeetest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

const (
	citizensOffered = 25 // a second
)

// benchCitizens are people of the simulators who have a file, and the name that
// their folder must hold.
var benchCitizens = []struct{ id, name string }{
	{"fontanel", "FONTANEL"}, {"garrigue", "GARRIGUE"}, {"sissoko", "SISSOKO"}, {"le-bihan", "LE BIHAN"}, {"delmas", "DELMAS"}, {"rouviere", "ROUVIÈRE"},
}

// pageTimes are how long the hub took for each kind of page, as the citizens'
// browsers saw it.
type pageTimes struct {
	http.RoundTripper
	host string
	mu   sync.Mutex
	took map[string][]time.Duration
}

func (p *pageTimes) RoundTrip(r *http.Request) (*http.Response, error) {
	start := time.Now()
	resp, err := p.RoundTripper.RoundTrip(r)
	if r.URL.Host == p.host {
		parts := strings.Split(r.URL.Path, "/")
		if len(parts) > 2 {
			parts[2] = "*"
		}
		kind := r.Method + " " + strings.Join(parts, "/")
		p.mu.Lock()
		p.took[kind] = append(p.took[kind], time.Since(start))
		p.mu.Unlock()
	}
	return resp, err
}

// openJourneyBench is a world whose many communes receive, without limits on
// departures, and whose partners take their time. It gives the communes' pages.
func openJourneyBench(t *testing.T, database string, communes int) (*world, []string) {
	t.Helper()
	w := &world{secret: strings.Repeat("0123456789abcdef", 4)}
	t.Cleanup(func() {
		if err := w.close(); err != nil {
			t.Error(err)
		}
	})
	mustDo(t, w.openPartners(database, demoTiming))
	settings, err := os.ReadFile(w.settings)
	mustDo(t, err)
	limits := "journeys: {per_minute: 0, per_hour: 0, per_habilitation: 0}\nrate_limits: {per_address: 1000000, per_visitor: 1000000}\n"
	mustDo(t, os.WriteFile(w.settings, append(settings, []byte(limits)...), 0o600))
	mustDo(t, store.Migrate(t.Context(), database))
	w.startHub(t, io.Discard)
	mustDo(t, w.join(t.Context()))
	w.datapass.AddSubscription(datapasstest.Subscription{Definition: "formulaire_qf", URL: w.publicURL + "/webhooks/datapass/" + demoSource, Secret: w.secret})
	var pages []string
	for n := range communes {
		pages = append(pages, w.publicURL+"/collectivites/"+w.applyForCommune(t, n))
	}
	w.awaitCommunes(t, communes)
	w.citizen.particulier.SetSwitches(func(s *apiparticuliertest.Switches) { s.FCPerMinute, s.FCPerHour, s.KeyPerMinute = -1, -1, -1 })
	for _, s := range []*partnertest.Server{w.citizen.franceconnect.Server, w.citizen.particulier.Server, w.citizen.hubee.Server} {
		s.SetLatency(partnertest.FixedLatency(partnerLatency))
	}
	return w, pages
}

// applyForCommune has DataPass approve an invented commune, and gives its SIRET.
func (w *world) applyForCommune(t *testing.T, n int) string {
	t.Helper()
	f := datapasstest.FormulaireQF()
	f.ID, f.PublicID, f.Organization = 0, "", datapasstest.Invented(n).Organization
	f.Fields["contact_metier_email"] = datapasstest.Text(fmt.Sprintf("enfance@commune-%d.test", n)) // HubEE takes short ends only
	r, err := w.datapass.Create(t.Context(), f)
	mustDo(t, err)
	_, submitted := w.datapass.Submit(t.Context(), r.ID)
	_, approved := w.datapass.Approve(t.Context(), r.ID, datapasstest.Approval{})
	mustDo(t, submitted, approved)
	return f.Organization.SIRET
}

// awaitCommunes plays HubEE's staff until so many communes receive.
func (w *world) awaitCommunes(t *testing.T, communes int) {
	t.Helper()
	for end := time.Now().Add(4 * time.Minute); ; {
		list, err := w.hub.store.Receivers(t.Context(), registry.FolderProcess)
		mustDo(t, err)
		ready, states := 0, map[string]int{}
		for _, r := range list {
			states[r.State]++
			switch {
			case store.Receives(r):
				ready++
			case r.State == store.ReceiverInactive:
				_ = w.citizen.hubee.Activate(r.SubscriptionID, "API", hubeetest.OrganizationID{}, 0) // again: it is active already
			}
		}
		if ready >= communes {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d communes of %d receive: %v", ready, communes, states)
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// benchVisit is one citizen's whole journey; it compares what arrived with her.
func benchVisit(ctx context.Context, w *world, times http.RoundTripper, page, citizen, name string) error {
	jar, _ := cookiejar.New(nil) // never fails without options
	v := &visitor{client: &http.Client{Jar: jar, Transport: times, Timeout: time.Minute}}
	for _, step := range []func() error{
		func() error { return v.open(ctx, page) },
		func() error { return v.press(ctx, "/demarrer", nil) },
		func() error { return v.identify(ctx, citizen) },
		func() error { return v.until(ctx, pageReview) },
		func() error { return v.press(ctx, "/envoyer", nil) },
		func() error { return v.until(ctx, pageSent) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	found := shownReference.FindStringSubmatch(v.body)
	if found == nil {
		return errors.New("no reference is shown")
	}
	_, err := w.folderOf(found[1], name, page[strings.LastIndex(page, "/")+1:])
	return err
}

// TestBenchJourney sends 25 citizens a second through the whole journey: none
// lost, none mixed.
func TestBenchJourney(t *testing.T) {
	scale := bench(t, "journey")
	pg := durablePostgres(t)
	commits := pgbenchCommits(t, pg.URL("postgres"), max(3, int(10*scale)))
	communes := max(int(500*scale), 25)
	w, pages := openJourneyBench(t, pg.URL("postgres"), communes)
	times := &pageTimes{
		RoundTripper: &http.Transport{MaxIdleConnsPerHost: 200}, host: strings.TrimPrefix(w.publicURL, "http://"), took: map[string][]time.Duration{},
	}
	length := max(time.Duration(float64(3*time.Minute)*scale), 10*time.Second)
	total := int(length.Seconds() * citizensOffered)
	cpu := cpuOfThisProcess()
	tick := time.NewTicker(time.Second / citizensOffered)
	defer tick.Stop()
	var wrong atomic.Int64
	var all sync.WaitGroup
	var mu sync.Mutex
	var whole []time.Duration
	for i := range total {
		<-tick.C
		all.Go(func() {
			start := time.Now()
			who := benchCitizens[i%len(benchCitizens)]
			if err := benchVisit(t.Context(), w, times, pages[i%len(pages)], who.id, who.name); err != nil {
				if wrong.Add(1) <= 5 {
					t.Errorf("citizen %d: %v", i, err)
				}
				return
			}
			mu.Lock()
			whole = append(whole, time.Since(start))
			mu.Unlock()
		})
	}
	all.Wait()
	cpu = cpuOfThisProcess() - cpu
	slices.Sort(whole)
	round := func(d time.Duration) string { return d.Round(100 * time.Microsecond).String() }
	rows := [][]string{
		{"what", "measured", "goal"},
		{fmt.Sprintf("offered %d citizens/s for %s over %d communes", citizensOffered, length, communes), fmt.Sprint(total), ""},
		{"arrived whole at their commune; lost, mixed or failed", fmt.Sprintf("%d; %d", len(whole), wrong.Load()), "all; 0"},
		{"a whole journey, p50 / p95", round(quantile(whole, .5)) + " / " + round(quantile(whole, .95)), ""},
	}
	for _, kind := range slices.Sorted(maps.Keys(times.took)) {
		took := times.took[kind]
		slices.Sort(took)
		rows = append(rows, []string{fmt.Sprintf("%s, %d times, p50 / p95", kind, len(took)), round(quantile(took, .5)) + " / " + round(quantile(took, .95)), "p95 100ms"})
	}
	rows = append(rows,
		[]string{"CPU a journey: hub, simulators and citizens", (cpu / time.Duration(max(total, 1))).Round(10 * time.Microsecond).String(), ""},
		[]string{"memory, peak, all of them", peakMemory(os.Getpid()), ""},
		[]string{"limit: pgbench -N, 10 clients", fmt.Sprintf("%.0f commits/s", commits), ""},
	)
	table(t, fmt.Sprintf("citizens' journeys, partners of %s, fsync on, load and simulators in the same process", partnerLatency), rows...)
}

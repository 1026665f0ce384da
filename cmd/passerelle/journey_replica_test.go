package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// alternating sends each request for the hub to the process whose turn it is, as
// a load balancer does that keeps nothing.
type alternating struct {
	public   string // host and port that families know
	replicas []string
	mu       sync.Mutex
	turn     int
	served   map[string][]string // "GET /demarche/*" -> who
}

func (a *alternating) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host != a.public {
		return http.DefaultTransport.RoundTrip(r)
	}
	a.mu.Lock()
	to := a.replicas[a.turn%len(a.replicas)]
	a.turn++
	parts := strings.Split(r.URL.Path, "/")
	if len(parts) > 2 {
		parts[2] = "*"
	}
	step := r.Method + " " + strings.Join(parts, "/")
	a.served[step] = append(a.served[step], to)
	a.mu.Unlock()
	there := r.Clone(r.Context())
	there.URL.Host, there.Host = to, a.public
	resp, err := http.DefaultTransport.RoundTrip(there)
	if err == nil {
		resp.Request = r
	}
	return resp, err
}

func (a *alternating) visitor() *visitor {
	jar, _ := cookiejar.New(nil) // never fails without options
	return &visitor{client: &http.Client{Jar: jar, Transport: a, Timeout: time.Minute}}
}

// openReplicas gives a world whose hub is two processes on one database.
func openReplicas(t *testing.T, more string) (*world, *alternating) {
	t.Helper()
	w, first := openKillable(t, quickRescue)
	mustDo(t, first.terminate())
	settings, err := os.ReadFile(w.settings)
	mustDo(t, err)
	settings = append(settings, []byte(more)...)
	mustDo(t, os.WriteFile(w.settings, settings, 0o600))
	public := strings.TrimPrefix(w.publicURL, "http://")
	a := &alternating{public: public, replicas: []string{public}, served: map[string][]string{}}
	address, err := freeAddress()
	mustDo(t, err)
	ops, err := freeAddress()
	mustDo(t, err)
	changed := strings.NewReplacer(`listen: "`+public+`"`, `listen: "`+address+`"`, strings.TrimPrefix(w.opsURL, "http://"), ops).Replace(string(settings))
	file := filepath.Join(t.TempDir(), "passerelle.yml")
	mustDo(t, os.WriteFile(file, []byte(changed), 0o600))
	second := &child{t: t, settings: file}
	t.Cleanup(func() {
		second.kill()
		if t.Failed() {
			t.Log(second.log.String())
		}
	})
	first.start()
	second.start()
	a.replicas = append(a.replicas, address)
	for _, replica := range a.replicas {
		await(t, func() error {
			status, _, err := browse(t.Context(), http.MethodGet, "http://"+replica+"/readyz")
			if err == nil && status != http.StatusOK {
				err = fmt.Errorf("%s answers %d", replica, status)
			}
			return err
		})
	}
	_, err = w.openCommune(t.Context())
	mustDo(t, err)
	return w, a
}

func TestAJourneyWhoseEveryStepLandsOnAnotherProcessArrives(t *testing.T) {
	t.Parallel()
	w, balancer := openReplicas(t, "journeys: {per_minute: 0, per_hour: 0, per_habilitation: 0}\nrate_limits: {per_address: 10000, per_visitor: 10000}\n")
	ctx, before := t.Context(), w.citizen.hubee.Totals()
	var visits sync.WaitGroup
	// Side by side: the recipient's turn at API Particulier is taken across processes too.
	for _, c := range benchCitizens[:4] {
		visits.Go(func() {
			v := balancer.visitor()
			err := errors.Join(v.open(ctx, w.communePage()), v.press(ctx, "/demarrer", nil), v.identify(ctx, c.id), v.until(ctx, pageReview))
			if err == nil {
				again := *v // a second click, which lands on the other process
				err = errors.Join(v.press(ctx, "/envoyer", nil), again.press(ctx, "/envoyer", nil), v.until(ctx, pageSent))
			}
			if err != nil {
				t.Errorf("%s: %v", c.id, err)
				return
			}
			found := shownReference.FindStringSubmatch(v.body)
			if list := w.citizen.hubee.Folders("Formulaire-QF-" + found[1]); len(list) != 1 || !list[0].Complete() {
				t.Errorf("%s: HubEE holds %d folders of her reference", c.id, len(list))
			}
			if err := errors.Join(v.open(ctx, v.at.Path+"/document"), v.open(ctx, v.at.String())); err != nil || v.header.Get("Content-Type") != "application/pdf" {
				t.Errorf("%s: her document: %v %v", c.id, v.header, err)
			}
		})
	}
	visits.Wait()
	if n := w.citizen.hubee.Totals(); n.Complete-before.Complete != 4 || n.Duplicates != 0 {
		t.Errorf("HubEE holds %+v", n)
	}
	if n := w.citizen.particulier.Count(questionCall); n != 4 {
		t.Errorf("API Particulier was asked %d times for four citizens", n)
	}

	// One alone: each request goes to the process that did not serve the one before.
	balancer.served = map[string][]string{}
	v := balancer.visitor()
	mustDo(t, v.open(ctx, w.communePage()), v.press(ctx, "/demarrer", nil), v.identify(ctx, "rouviere"))
	id := v.at.String()
	mustDo(t, v.until(ctx, pageReview), v.open(ctx, id), v.press(ctx, "/envoyer", nil), v.until(ctx, pageSent))
	if form := w.held(t, v); form.Identity.FamilyName != "ROUVIÈRE" {
		t.Errorf("the folder holds %q", form.Identity.FamilyName)
	}
	if came, looked := balancer.served["GET /callback"], balancer.served["GET /demarche/*"]; len(came) != 1 || len(looked) < 3 || looked[0] == came[0] {
		t.Errorf("she came back to %v and was shown her page by %v", came, looked)
	}
	mustDo(t, v.press(ctx, "/quitter", nil))
	if v.heading() != "Vous êtes déconnecté de FranceConnect" {
		t.Errorf("after logout: %q", v.heading())
	}
}

func TestTwoProcessesShareTheLimitsOnDeparturesAndTheLine(t *testing.T) {
	t.Parallel()
	const burst, every, waiting = 4, 15 * time.Second, 3 // so many at once, one more each so often
	w, balancer := openReplicas(t, fmt.Sprintf("journeys: {per_minute: 0, per_hour: 0, per_habilitation: %d}\nrate_limits: {per_address: 10000, per_visitor: 10000}\n", burst))
	ctx := t.Context()
	left := func() int { return w.citizen.franceconnect.Count("GET /api/v2/authorize") }
	begun := time.Now()
	allowed := func() int { return burst + int(time.Since(begun)/every) + 1 }
	var line []*visitor
	const pageLine = "Vous êtes dans la file d’attente"
	visitors := 0
	for len(line) < waiting {
		visitors++
		v := balancer.visitor()
		mustDo(t, v.open(ctx, w.communePage()), v.press(ctx, "/demarrer", nil))
		if v.heading() == pageLine {
			line = append(line, v)
		}
	}
	if n := left(); n < burst || n > allowed() || n != visitors-len(line) {
		t.Fatalf("%d of %d have left, %d wait", n, visitors, len(line))
	}
	place := func(v *visitor) string {
		_, rest, _ := strings.Cut(v.body, "en place <strong>")
		place, _, _ := strings.Cut(rest, "<")
		return place
	}
	// Her place is the same whichever process tells it, and nobody behind goes before.
	last := line[len(line)-1]
	var places []string
	for len(places) < 4 && last.heading() == pageLine {
		places = append(places, place(last))
		mustDo(t, last.open(ctx, last.at.String()))
	}
	for i := 1; i < len(places); i++ {
		if places[i] > places[i-1] || places[i] == "" {
			t.Errorf("she goes back in line: %v", places)
		}
	}
	deadline := time.Now().Add(4 * time.Minute)
	for stay := len(line); stay > 0 && time.Now().Before(deadline); {
		stay = 0
		for _, v := range line {
			if v.heading() != pageLine {
				continue
			}
			mustDo(t, v.open(ctx, v.at.String()))
			if v.heading() == pageLine {
				stay++
			}
		}
		if n := left(); n > allowed() {
			t.Fatalf("%d have left where %d may", n, allowed())
		}
		time.Sleep(500 * time.Millisecond) // as pages come again, only sooner
	}
	if n := left(); n != visitors {
		t.Errorf("%d have left of %d", n, visitors)
	}
}

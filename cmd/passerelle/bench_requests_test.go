package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/config"
	"github.com/passerelle-hub/passerelle/httpapi/auth"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/localpg"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// requestsBench is `serve` in a process of its own over a database of many
// requests, with an issuer of people's tokens.
type requestsBench struct {
	t        *testing.T
	w        *world
	pg       *localpg.Server
	dir      string
	program  *exec.Cmd
	readers  []string // tokens: half people, half applications
	applied  []string // tokens of applicants, one a client
	decider  string   // token of an instructor
	answers  []byte   // of a new request
	archive  *archive
	memory   string // of Postgres, for the table
	bareURL  string
	bareProg *exec.Cmd
}

const (
	benchClients = 50
	benchDecides = "api_entreprise" // what the cycles ask for; its keys come from the built-in issuer
)

// TestBenchRequests measures the API of requests with a million of them and five
// million lines of history: reading, listing, searching and deciding at 50
// clients over real connections, beside what the machine itself can do.
func TestBenchRequests(t *testing.T) {
	scale := bench(t, "requests")
	b := newRequestsBench(t)
	b.seed(int(1_000_000 * scale))
	b.restart()
	b.measure(scale)
}

func newRequestsBench(t *testing.T) *requestsBench {
	t.Helper()
	b := &requestsBench{t: t, dir: t.TempDir(), w: &world{secret: strings.Repeat("0123456789abcdef", 4)}}
	// Nothing of the seeding needs to survive a crash: the server starts again, durable, before anything is measured.
	b.startPostgres(map[string]string{
		"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "wal_level": "minimal", "max_wal_senders": "0",
		"max_wal_size": "8GB", "shared_buffers": "1GB", "maintenance_work_mem": "1GB", "autovacuum": "off",
	})
	t.Cleanup(func() {
		b.stopProgram()
		if err := b.w.close(); err != nil {
			t.Error(err)
		}
		b.stopPostgres()
	})
	if err := store.Migrate(t.Context(), b.pg.URL("postgres")); err != nil {
		t.Fatal(err)
	}
	settings := demoTiming + "\nrate_limits: {per_client: 1000000, per_address: 1000000}\nlog: {level: info}\n"
	if err := b.w.openPartners(b.pg.URL("postgres"), settings); err != nil {
		t.Fatal(err)
	}
	b.openHub()
	b.startProgram()
	if err := b.w.join(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.callers()
	return b
}

func (b *requestsBench) startPostgres(settings map[string]string) {
	b.t.Helper()
	var err error
	if b.pg, err = localpg.Start(b.t.Context(), localpg.Options{Dir: filepath.Join(b.dir, "pg"), Settings: settings}); err != nil {
		b.t.Fatal(err)
	}
}

func (b *requestsBench) stopPostgres() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := b.pg.Stop(ctx); err != nil {
		b.t.Error(err)
	}
}

// openHub gives the test a hub of its own, which runs nothing.
func (b *requestsBench) openHub() {
	b.t.Helper()
	c, err := config.Load(b.w.settings, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	if b.w.hub, err = build(b.t.Context(), c, zerolog.Nop()); err != nil {
		b.t.Fatal(err)
	}
}

func (b *requestsBench) startProgram() {
	b.t.Helper()
	b.program = serveProcess(b.t, b.w, filepath.Join(b.dir, "hub.log"), "--only=http")
}

func (b *requestsBench) stopProgram() {
	stopProcess(b.program)
	b.program = nil
}

// restart gives Postgres back the durability of production, with memory as it has
// there (README, Run in production) and what is read often in it.
func (b *requestsBench) restart() {
	b.t.Helper()
	b.w.hub.close()
	before := b.pg.URL("postgres")
	b.stopPostgres()
	settings, memory := benchMemory(b.t, b.archive.requests*6/1000)
	b.memory = memory
	settings["max_wal_size"] = "4GB"
	b.startPostgres(settings)
	raw, err := os.ReadFile(b.w.settings)
	if err == nil {
		err = os.WriteFile(b.w.settings, bytes.ReplaceAll(raw, []byte(before), []byte(b.pg.URL("postgres"))), 0o600)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	b.openHub()
	b.exec("create extension if not exists pg_prewarm")
	for _, table := range []string{"request", "habilitation", "organization", "person"} {
		b.exec(fmt.Sprintf("select pg_prewarm('%s')", table))
		b.exec(fmt.Sprintf("select pg_prewarm(indexrelid) from pg_index where indrelid = '%s'::regclass", table))
	}
	b.exec("select pg_prewarm('request_word_pkey')")
	b.startProgram()
}

// callers makes those who read (people and applications), ask and decide.
func (b *requestsBench) callers() {
	b.t.Helper()
	ctx := b.t.Context()
	grant := func(email string, roles ...string) {
		if err := b.w.hub.registry.Record(ctx, &registry.ChangeRoles{Email: email, Grant: roles}); err != nil {
			b.t.Fatal(err)
		}
	}
	for i := range benchClients {
		email := fmt.Sprintf("lecteur%d@dinum.example", i)
		grant(email, "dinum:*:developer")
		if i%2 == 0 {
			b.readers = append(b.readers, b.signed(email, ""))
			continue
		}
		owner, err := b.w.hub.store.PersonByEmail(ctx, email)
		if err != nil {
			b.t.Fatal(err)
		}
		add := &registry.AddApplication{Name: "logiciel", OwnerID: owner.ID, Scopes: auth.Scopes()}
		if err := b.w.hub.registry.Record(ctx, add); err != nil {
			b.t.Fatal(err)
		}
		b.readers = append(b.readers, b.accessToken(add.ID.String(), add.Secret.Reveal()))
	}
	for i := range benchClients {
		b.applied = append(b.applied, b.signed(fmt.Sprintf("agent%d@valbrise.example", i), siretOf(i)))
	}
	grant("instruction@dinum.example", "dinum:*:instructor")
	b.decider = b.signed("instruction@dinum.example", "")
}

// signed gives a person's token of the issuer.
func (b *requestsBench) signed(email, siret string) string {
	b.t.Helper()
	value, err := b.w.people.Token(email, siret)
	if err != nil {
		b.t.Fatal(err)
	}
	return value
}

// accessToken asks for one as an application does.
func (b *requestsBench) accessToken(id, secret string) string {
	b.t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}, "scope": {"read_authorizations"}}
	resp, err := http.PostForm(b.w.publicURL+"/api/oauth/token", form)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.AccessToken == "" {
		b.t.Fatalf("no access token: %d %v", resp.StatusCode, err)
	}
	return answer.AccessToken
}

// call sends one request of the set-up and gives the answer's body.
func (b *requestsBench) call(method, path, bearer string, body any) []byte {
	b.t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		b.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.w.publicURL+"/hub/v1"+path, bytes.NewReader(raw))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+bearer)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("If-Match", "*")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		b.t.Fatalf("%s %s: %d %v %s", method, path, resp.StatusCode, err, answer)
	}
	return answer
}

// answersTo are complete answers for a definition.
func (b *requestsBench) answersTo(definition, title string) map[string]any {
	b.t.Helper()
	d, ok := b.w.hub.catalogue.Definition(definition)
	if !ok {
		b.t.Fatalf("no definition %s", definition)
	}
	answers := map[string]any{
		"intitule": title, "description": "Calculer le tarif de la cantine et du périscolaire selon les ressources des familles, sans pièces à fournir.",
		"destinataire_donnees_caractere_personnel":       "Le service des familles et la régie",
		"duree_conservation_donnees_caractere_personnel": 12,
		"cadre_juridique_nature":                         "Délibération du conseil municipal",
		"cadre_juridique_url":                            "https://valbrise.example/deliberation",
		"france_connect_eidas":                           "eidas_1",
		"alternative_connexion":                          true,
	}
	for _, c := range habilitation.ContactKinds() {
		maps.Copy(answers, map[string]any{
			c + "_given_name": "Lise", c + "_family_name": "Armand", c + "_job_title": "Directrice", c + "_phone_number": "0612345678",
			c + "_email": strings.ReplaceAll(c, "_", "-") + "@valbrise.example",
		})
	}
	if len(d.Scopes) > 0 {
		answers["scopes"] = []string{d.Scopes[0].Value}
	}
	accepted := d.AcceptedKeys()
	maps.DeleteFunc(answers, func(key string, _ any) bool { return !slices.Contains(accepted, key) })
	return answers
}

// figure is what one kind of load gave, round by round.
type figure struct {
	name  string
	goal  string
	rates []float64
	p50s  []time.Duration
	p99s  []time.Duration
	half  []load // at half of each rate, offered
	cpu   share
}

// of measures in a closed loop, then offers half of what that gave.
func (f *figure) of(lasts time.Duration, measure func(lasts time.Duration, rate float64) load) {
	l := measure(lasts, 0)
	f.add(l)
	f.half = append(f.half, measure(lasts/2, l.rate/2))
}

func (f *figure) add(l load) {
	f.rates = append(f.rates, l.rate)
	f.p50s, f.p99s = append(f.p50s, quantile(l.latencies, .5)), append(f.p99s, quantile(l.latencies, .99))
	f.cpu = f.cpu.plus(l.cpu)
}

func (f *figure) row() []string {
	round := func(d time.Duration) string { return d.Round(10 * time.Microsecond).String() }
	var half50s, half99s []time.Duration
	for _, l := range f.half {
		half50s, half99s = append(half50s, quantile(l.latencies, .5)), append(half99s, quantile(l.latencies, .99))
	}
	return []string{
		f.name, round(median(f.p50s)), fmt.Sprintf("%s (%s to %s)", round(median(f.p99s)), round(slices.Min(f.p99s)), round(slices.Max(f.p99s))),
		fmt.Sprintf("%.0f/s (%.0f to %.0f)", median(f.rates), slices.Min(f.rates), slices.Max(f.rates)),
		fmt.Sprintf("%s / %s (%s to %s)", round(median(half50s)), round(median(half99s)), round(slices.Min(half99s)), round(slices.Max(half99s))),
		f.cpu.String(), f.goal,
	}
}

// measure runs all kinds of load in turn, several times.
func (b *requestsBench) measure(scale float64) {
	const rounds = 5
	lasts := time.Duration(float64(5*time.Second) * max(scale, 0.3))
	b.startBare()
	defer b.stopBare()
	if err := b.pg.EnsureDatabase(b.t.Context(), "pgbench"); err != nil {
		b.t.Fatal(err)
	}
	pgbench := b.pg.URL("pgbench")
	pgbenchTables(b.t, pgbench)
	random := rand.New(rand.NewPCG(3, 1))
	limit := &figure{name: "limit: a bare handler, one indexed select, same pool"}
	reads := []struct {
		*figure
		next func(*rand.Rand) string
	}{
		{&figure{name: "get one request", goal: "p99 20ms"}, b.archive.get},
		{&figure{name: "list a page", goal: "p99 20ms"}, b.archive.page},
		{&figure{name: "search by two filters", goal: "p99 20ms"}, b.archive.filters},
		{&figure{name: "search by text", goal: "p99 20ms"}, b.archive.text},
	}
	cycles := &figure{name: "create, submit, approve: one cycle"}
	var commits []float64
	address, bare := strings.TrimPrefix(b.w.publicURL, "http://"), strings.TrimPrefix(b.bareURL, "http://")
	for _, r := range reads { // the first connections, plans and pages
		b.load(address, b.readers, r.next, time.Second, 0, random.Uint64())
	}
	b.cycles(time.Second, 0)
	for range rounds {
		limit.of(lasts, func(lasts time.Duration, rate float64) load {
			return b.load(bare, b.readers, b.archive.bare, lasts, rate, random.Uint64())
		})
		for _, r := range reads {
			r.of(lasts, func(lasts time.Duration, rate float64) load {
				return b.load(address, b.readers, r.next, lasts, rate, random.Uint64())
			})
		}
		cycles.of(lasts, b.cycles)
		commits = append(commits, pgbenchRun(b.t, pgbench, max(2, int(lasts.Seconds()))))
	}
	goal := min(500, median(commits)/6)
	cycles.goal = fmt.Sprintf("%.0f/s", goal)
	rows := [][]string{{"50 clients in a closed loop, medians of 5 rounds", "p50", "p99 (spread)", "a second (spread)", "p50 / p99 of half of that, offered at a steady rate", "processor: hub, clients, rest", "goal"}}
	for _, r := range reads {
		rows = append(rows, r.row())
	}
	rows = append(rows, cycles.row(), limit.row(),
		[]string{"limit: pgbench -N, 10 clients", "", "", fmt.Sprintf("%.0f commits/s (%.0f to %.0f)", median(commits), slices.Min(commits), slices.Max(commits)), "", "", ""},
		[]string{"memory of the hub's process, most at any time", peakMemory(b.program.Process.Pid), "", "", "", "", "200 MB"})
	table(b.t, fmt.Sprintf("%d requests, %d lines of history, fsync on, Postgres with %s", b.archive.requests, b.archive.lines, b.memory), rows...)
}

// queries gives a path with parameters.
func queries(path string, pairs ...string) string {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	return path + "?" + q.Encode()
}

// cycles makes, submits and approves requests from every client, for a time, as
// fast as they can or at a rate. The latency is that of a whole cycle.
func (b *requestsBench) cycles(lasts time.Duration, rate float64) load {
	b.t.Helper()
	address := strings.TrimPrefix(b.w.publicURL, "http://")
	return b.run(lasts, rate, func(i int, conn *connection) error {
		body, err := conn.send(http.MethodPost, "/hub/v1/requests", as(b.applied[i]), b.answers)
		if err != nil {
			return err
		}
		var made struct {
			ID int64 `json:"id"`
		}
		if err := json.Unmarshal(body, &made); err != nil || made.ID == 0 {
			return errors.Join(err, errors.New("a creation without an id"))
		}
		path := fmt.Sprintf("/hub/v1/requests/%d/", made.ID)
		if _, err := conn.send(http.MethodPost, path+"submit", as(b.applied[i]), consentsBody); err != nil {
			return err
		}
		_, err = conn.send(http.MethodPost, path+"approve", as(b.decider), []byte(`{"message":"Accord"}`))
		return err
	}, address)
}

// as gives the headers of a caller who acts on whatever version there is.
func as(token string) string { return "Authorization: Bearer " + token + "\r\nIf-Match: *\r\n" }

var consentsBody = []byte(`{"terms_of_service_accepted":true,"data_protection_officer_informed":true}`)

// load reads what next names, from every client, for a time, as fast as they can
// or at a rate.
func (b *requestsBench) load(address string, tokens []string, next func(*rand.Rand) string, lasts time.Duration, rate float64, seed uint64) load {
	b.t.Helper()
	choose := make([]*rand.Rand, benchClients)
	for i := range choose {
		choose[i] = rand.New(rand.NewPCG(seed, uint64(i)))
	}
	return b.run(lasts, rate, func(i int, conn *connection) error {
		_, err := conn.send(http.MethodGet, next(choose[i]), as(tokens[i]), nil)
		return err
	}, address)
}

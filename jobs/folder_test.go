package jobs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/config/definitions"
	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/hubee"
	"github.com/passerelle-hub/passerelle/connectors/hubee/hubeetest"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/internal/pgtest"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
	"github.com/passerelle-hub/passerelle/internal/store/seal"
)

// counter is a hub that sends folders to a simulated HubEE; clock and partner
// share their time. Jobs are worked by hand.
type counter struct {
	t    *testing.T
	pool *pgxpool.Pool
	site *hubeetest.Server
	*Workers
	clock    *partnertest.Clock
	log      *bytes.Buffer
	receiver store.Receiver
}

var majastres = connectors.OrganizationRef{Type: "SI", SIRET: "21040107100019", Branch: "04107"}

func newCounter(t *testing.T) *counter {
	t.Helper()
	c := &counter{t: t, pool: pgtest.New(t, store.Migrate), clock: partnertest.NewClock(), log: &bytes.Buffer{}}
	t.Cleanup(func() { checkEvents(t, c.pool) })
	c.clock.Freeze(time.Now().UTC().Truncate(time.Second))
	key, err := seal.ParseKey("test", yardSecret)
	c.must(err)
	ring, err := seal.NewKeyring(seal.Config{Keys: []seal.Key{key}, Active: "test", Fingerprints: "test"})
	c.must(err)
	data := store.New(c.pool, ring)
	outbox, err := NewOutbox(data, 10*time.Millisecond, c.clock.Now, zerolog.Nop())
	c.must(err)
	catalogue, report := definitions.Load(definitions.Catalogue(), definitions.Options{})
	c.must(report.Err())
	reg := registry.New(data, outbox, catalogue, noPolicy{}, registry.Settings{PublicURL: "https://hub.example", OpsAddress: "ops@hub.example"}, c.clock.Now)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { reg.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })

	c.site, err = hubeetest.Start(hubeetest.Options{Clock: c.clock})
	c.must(err)
	t.Cleanup(func() { _ = c.site.Close() })
	c.Workers = &Workers{
		Registry: reg, Store: data, LeaseFor: time.Minute, Now: c.clock.Now, Log: zerolog.New(c.log),
		Folders: &Folders{
			Contact:    ContactRules{Email: hubee.Email, Phone: hubee.Phone},
			CheckAfter: time.Minute, GiveUpAfter: 72 * time.Hour, Keep: 90 * 24 * time.Hour, NoticesEvery: time.Minute, FollowEvery: time.Minute,
		},
	}
	c.connect()
	c.must(data.InTx(t.Context(), func(tx *store.Tx) error {
		now := c.clock.Now()
		c.receiver, err = tx.UpsertReceiver(t.Context(), registry.FolderProcess, majastres, "Commune de Majastres", "04270", now)
		if err != nil {
			return err
		}
		c.receiver.State, c.receiver.ActivatedAt = store.ReceiverActive, &now
		return tx.SaveReceiver(t.Context(), c.receiver, now)
	}))
	return c
}

// connect gives new clients, as a new process has them.
func (c *counter) connect() {
	c.t.Helper()
	config := func(actor hubeetest.Actor) hubee.Config {
		s := hubee.Default()
		pair := c.site.Credential(actor)
		s.URL, s.TokenURL, s.Scope, s.ClientID, s.ClientSecret = c.site.URL(), c.site.TokenURL(), string(actor), pair.ClientID, connectors.NewSecret(pair.ClientSecret)
		none := 0
		s.Retries, s.Breaker.Failures = &none, 1000
		return s
	}
	client, err := outbound.Partner(registry.HubEE, config(hubeetest.OSL).Settings, zerolog.New(c.log))
	c.must(err)
	deps := connectors.Deps{Name: registry.HubEE, Now: c.clock.Now, Partner: client}
	c.Folders.Service, err = config(hubeetest.OSL).OpenSender(deps)
	c.must(err)
	c.Folders.Directory, err = config(hubeetest.DataPass).OpenDirectory(deps)
	c.must(err)
}

func (c *counter) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// people of the tests: none of them may show in a dump or a log.
const (
	testFirstNames = "Zoé-Aïcha Œdipe"
	testLastName   = "D’ÉTRÉPAGNY"
)

func testContent() store.FolderContent {
	return store.FolderContent{FirstNames: testFirstNames, LastName: testLastName, Files: []store.FolderFile{
		{Name: "FormulaireQF.json", Type: "FormulaireQF", MIME: "application/json", Content: []byte(`{"pivot_identity":{"family_name":"D’ÉTRÉPAGNY"},"valeur":123456789}`)},
		{Name: "FormulaireQF.xml", Type: "FormulaireQF", MIME: "application/xml", Content: []byte(`<?xml version="1.0"?><hash><n>D’ÉTRÉPAGNY</n></hash>`)},
		{Name: "quotient_familial_X.pdf", Type: "FormulaireQF", MIME: "application/pdf", Content: append([]byte("%PDF-1.7\n"), bytes.Repeat([]byte("D’ÉTRÉPAGNY "), 500)...)},
	}}
}

func (c *counter) accept() uuid.UUID {
	c.t.Helper()
	id := uuid.New()
	c.must(c.Registry.Record(c.t.Context(), &registry.AcceptFolder{ID: id, Receiver: c.receiver.ID, Reference: registry.NewReference(), Content: testContent()}))
	return id
}

func (c *counter) send(ctx context.Context, id uuid.UUID, attempt int) error {
	w := &sendFolder{Workers: c.Workers}
	return w.Work(ctx, &river.Job[SendFolderArgs]{JobRow: &rivertype.JobRow{Attempt: attempt}, Args: SendFolderArgs{FolderID: id}})
}

// finish sends until the folder is settled, as the queue would.
func (c *counter) finish(id uuid.UUID, from int) {
	c.t.Helper()
	for attempt := from; attempt < from+8; attempt++ {
		err := c.send(c.t.Context(), id, attempt)
		var snooze *river.JobSnoozeError
		if err != nil && !errors.As(err, &snooze) {
			c.t.Logf("attempt %d: %v", attempt, err)
		}
		if f := c.folder(id); f.State == store.FolderSettled {
			return
		}
		c.clock.Advance(2 * time.Minute)
	}
	c.t.Fatalf("the folder ends as %+v", c.folder(id))
}

func (c *counter) folder(id uuid.UUID) store.Folder {
	c.t.Helper()
	f, err := c.Store.Folder(c.t.Context(), id)
	c.must(err)
	return f
}

// wantOnce: HubEE has exactly one complete folder of it, with the three right files.
func (c *counter) wantOnce(id uuid.UUID) error {
	var complete []hubeetest.FolderState
	for _, f := range c.site.Snapshot().Folders {
		if strings.HasPrefix(f.ExternalID, "Formulaire-QF-") && f.ExternalID != "Formulaire-QF-K7QD2M9XTB4HZ" && f.GlobalStatus != hubeetest.HubeeReceived {
			complete = append(complete, f)
		}
	}
	if len(complete) != 1 || !complete[0].Complete() || len(complete[0].Attachments) != 3 {
		return fmt.Errorf("HubEE has %d complete folders: %+v", len(complete), complete)
	}
	for i, file := range testContent().Files {
		held, ok := c.site.File(complete[0].Attachments[i].ID)
		if !ok || !bytes.Equal(held, file.Content) {
			return fmt.Errorf("%s is not what was sent", file.Name)
		}
	}
	f := c.folder(id)
	if f.ExternalID != complete[0].ExternalID || f.SentAt == nil {
		return fmt.Errorf("the hub knows it as %+v", f)
	}
	if _, err := c.Store.FolderContent(c.t.Context(), id); !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("what is personal is still here (%v)", err)
	}
	return nil
}

func TestAFolderIsSentOnceWithThreeRightFilesAndThenForgotten(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	id := c.accept()
	c.must(c.send(t.Context(), id, 1))
	if f := c.folder(id); f.State != store.FolderCompleted || f.SentAt == nil || f.HubeeID == "" || f.CaseID == "" {
		t.Fatalf("after one run: %+v", f)
	}
	var snooze *river.JobSnoozeError
	if err := c.send(t.Context(), id, 1); !errors.As(err, &snooze) {
		t.Errorf("the files are looked at before their time: %v", err)
	}
	c.clock.Advance(time.Minute)
	c.must(c.send(t.Context(), id, 1))
	if err := c.wantOnce(id); err != nil {
		t.Error(err)
	}
	c.must(c.send(t.Context(), id, 1)) // a repeat does nothing
	if n := len(c.site.Calls("POST /teledossiers/v1/folders")); n != 1 {
		t.Errorf("%d folders were made", n)
	}
}

func TestTheSameTransactionIsAcceptedOnce(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	cmd := registry.AcceptFolder{ID: uuid.New(), Receiver: c.receiver.ID, Reference: registry.NewReference(), Content: testContent()}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			again := cmd
			if err := c.Registry.Record(t.Context(), &again); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	var folders, queued int
	c.must(c.pool.QueryRow(t.Context(), "select (select count(*) from folder), (select count(*) from river_job where kind = 'send_folder')").Scan(&folders, &queued))
	if folders != 1 || queued != 1 {
		t.Errorf("%d folders and %d jobs", folders, queued)
	}
}

// The matrix: each call x {before, after, 500, half a body, 401, killed before, killed after}.
func TestFaultMatrixOfTheSender(t *testing.T) {
	t.Parallel()
	calls := []struct {
		name  string
		route partnertest.Route
		skip  int
	}{
		{"token", "POST /oauth2/token", 0},
		{"create", "POST /teledossiers/v1/folders", 0},
		{"upload 1", "PUT /teledossiers/v1/folders/*/attachments/*", 0},
		{"upload 2", "PUT /teledossiers/v1/folders/*/attachments/*", 1},
		{"upload 3", "PUT /teledossiers/v1/folders/*/attachments/*", 2},
		{"complete", "PATCH /teledossiers/v1/folders/*", 0},
		{"check", "GET /teledossiers/v1/folders/*", 0},
	}
	faults := []struct {
		name string
		of   func(partnertest.Route) partnertest.Fault
	}{
		{"down", func(r partnertest.Route) partnertest.Fault { return partnertest.ResetBefore(r) }},
		{"lost answer", func(r partnertest.Route) partnertest.Fault { return partnertest.ResetAfter(r) }},
		{"500", func(r partnertest.Route) partnertest.Fault { return partnertest.Status(r, 500) }},
		{"500 after", func(r partnertest.Route) partnertest.Fault { return partnertest.Status(r, 500).AfterWork() }},
		{"half a body", func(r partnertest.Route) partnertest.Fault { return partnertest.HalfBody(r) }},
		{"401", func(r partnertest.Route) partnertest.Fault {
			return partnertest.Answer(r, 401, "application/json", `{"errors":[{"code":900901,"message":"Invalid Credentials"}]}`)
		}},
		{"HTML", func(r partnertest.Route) partnertest.Fault { return partnertest.HTML(r, 200) }},
	}
	var mu sync.Mutex
	table := map[string]string{}
	t.Cleanup(func() {
		var b strings.Builder
		w := tabwriter.NewWriter(&b, 0, 4, 2, ' ', 0)
		fmt.Fprint(w, "call")
		for _, f := range faults {
			fmt.Fprint(w, "\t", f.name)
		}
		fmt.Fprintln(w, "\tkilled before\tkilled after")
		for _, call := range calls {
			fmt.Fprint(w, call.name)
			for _, f := range append([]string{}, names(faults)...) {
				fmt.Fprint(w, "\t", table[call.name+"/"+f])
			}
			fmt.Fprintln(w, "\t", table[call.name+"/killed before"], "\t", table[call.name+"/killed after"])
		}
		_ = w.Flush()
		t.Log("\n" + b.String())
	})
	record := func(name string, c *counter, id uuid.UUID) {
		outcome := "one complete folder"
		if err := c.wantOnce(id); err != nil {
			outcome = "WRONG"
			c.t.Error(err)
		}
		c.leaks()
		mu.Lock()
		defer mu.Unlock()
		table[name] = outcome
	}
	t.Run("calls", func(t *testing.T) {
		for _, call := range calls {
			for _, fault := range faults {
				name := call.name + "/" + fault.name
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					c := newCounter(t)
					id := c.accept()
					c.site.Inject(fault.of(call.route).Skipping(call.skip).For(2))
					c.finish(id, 1)
					record(name, c, id)
				})
			}
			for _, when := range []string{"killed before", "killed after"} {
				name := call.name + "/" + when
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					c := newCounter(t)
					id := c.accept()
					// The process dies at the call: nothing it would have done afterwards happens.
					dying, die := context.WithCancel(t.Context())
					passed := 0
					hook := func(partnertest.Call) {
						if passed++; passed == call.skip+1 {
							die()
						}
					}
					watch := c.site.BeforeWork
					if when == "killed after" {
						watch = c.site.AfterWork
					}
					remove := watch(call.route, hook)
					for range 3 {
						_ = c.send(dying, id, 1)
						c.clock.Advance(2 * time.Minute)
					}
					remove()
					c.connect() // another process
					c.finish(id, 2)
					record(name, c, id)
				})
			}
		}
	})
}

func names(faults []struct {
	name string
	of   func(partnertest.Route) partnertest.Fault
},
) []string {
	var list []string
	for _, f := range faults {
		list = append(list, f.name)
	}
	return list
}

// leaks: nothing of a person in the log, in any column in clear, or in the queue.
func (c *counter) leaks() {
	c.t.Helper()
	if strings.Contains(c.log.String(), "TRÉPAGNY") || strings.Contains(c.log.String(), "Zoé") || strings.Contains(c.log.String(), "123456789") {
		c.t.Error("the log tells who it is about")
	}
	rows, err := c.pool.Query(c.t.Context(), `select table_name::text from information_schema.tables where table_schema = 'public' and table_type = 'BASE TABLE'`)
	c.must(err)
	var tables []string
	for rows.Next() {
		var name string
		c.must(rows.Scan(&name))
		tables = append(tables, name)
	}
	for _, name := range tables {
		var n int
		c.must(c.pool.QueryRow(c.t.Context(), fmt.Sprintf(`select count(*) from %q x where x::text like '%%TRÉPAGNY%%' or x::text like '%%Zoé%%' or x::text like '%%'||encode('TRÉPAGNY'::bytea,'hex')||'%%'`, name)).Scan(&n))
		if n > 0 {
			c.t.Errorf("table %s tells who it is about", name)
		}
	}
}

func TestALostAnswerOfADuplicateIsMadeAnewAndAStrangersStops(t *testing.T) {
	t.Parallel()
	exists := partnertest.Answer("POST /teledossiers/v1/folders", 400, "application/json",
		`{"errors":[{"code":400,"message":"Folder Formulaire-QF-X already exists"}]}`)
	c := newCounter(t)
	id := c.accept()
	before := c.folder(id).ExternalID
	c.site.Inject(exists.For(1))
	c.finish(id, 2)
	if err := c.wantOnce(id); err != nil {
		t.Error(err)
	}
	if f := c.folder(id); f.ExternalID == before {
		t.Error("made anew under the same id")
	}

	other := newCounter(t)
	id = other.accept()
	other.site.Inject(exists.For(1))
	var cancel *rivertype.JobCancelError
	if err := other.send(t.Context(), id, 1); !errors.As(err, &cancel) {
		t.Errorf("got %v, want the job to end", err)
	}
	if f := other.folder(id); f.State != store.FolderAccepted || f.Problem == "" {
		t.Errorf("got %+v", f)
	}
	other.wantAlert("alerte", 1)
	other.must(other.Registry.Record(t.Context(), &registry.RetryFolder{ID: id, Anew: true}))
	other.finish(id, 1)
	if err := other.wantOnce(id); err != nil {
		t.Error(err)
	}
}

func (c *counter) wantAlert(template string, want int) {
	c.t.Helper()
	var n int
	c.must(c.pool.QueryRow(c.t.Context(), "select count(*) from mail where template = $1", template).Scan(&n))
	if n != want {
		c.t.Errorf("%d alerts, want %d", n, want)
	}
}

func TestAFolderThatCannotBeFinishedIsTakenBackAndMadeAnew(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	id := c.accept()
	c.site.Inject(partnertest.Answer("PUT /teledossiers/v1/folders/*/attachments/*", 400, "application/json",
		`{"errors":[{"code":400,"message":"Size does not match with attachment meta-data"}]}`).Skipping(1).For(1))
	c.finish(id, 1)
	if err := c.wantOnce(id); err != nil {
		t.Error(err)
	}
	if n := len(c.site.Calls("DELETE /teledossiers/v1/folders/*")); n != 1 {
		t.Errorf("%d folders were taken back", n)
	}
	if f := c.folder(id); f.Made != 2 {
		t.Errorf("made %d times", f.Made)
	}
}

func TestARefusalForGoodStopsAfterSomeFoldersAndAsksPeople(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	id := c.accept()
	c.site.Inject(partnertest.Answer("PUT /teledossiers/v1/folders/*/attachments/*", 400, "application/json", `{"errors":[{"code":400,"message":"no"}]}`))
	c.must(c.send(t.Context(), id, 1))
	if f := c.folder(id); f.State != store.FolderAccepted || f.Made != maxMade || f.Problem == "" {
		t.Errorf("got %+v", f)
	}
	c.wantAlert("alerte", 1)
}

func TestACommuneThatHubEERefusesIsSuspendedAndItsFoldersWait(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"not subscribed": "Case recipient SI-21040107100019-04107 does not suscribed to FormulaireQF",
		"unknown":        "Case recipient SI-21040107100019-04107 does not exist",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCounter(t)
			id, other := c.accept(), c.accept()
			c.site.Inject(partnertest.Answer("POST /teledossiers/v1/folders", 400, "application/json", `{"errors":[{"code":400,"message":"`+text+`"}]}`).For(1))
			c.must(c.send(t.Context(), id, 1))
			r, err := c.Store.Receiver(t.Context(), c.receiver.ID)
			c.must(err)
			if r.State != store.ReceiverSuspended || r.SuspendedReason == "" {
				t.Errorf("got %+v", r)
			}
			c.wantAlert("alerte", 1)
			c.must(c.send(t.Context(), other, 1))
			if n := len(c.site.Calls("POST /teledossiers/v1/folders")); n != 1 {
				t.Errorf("%d calls for a suspended commune", n-1)
			}
			var state *registry.StateError
			err = c.Registry.Record(t.Context(), &registry.AcceptFolder{ID: uuid.New(), Receiver: r.ID, Reference: registry.NewReference(), Content: testContent()})
			if !errors.As(err, &state) {
				t.Errorf("another folder is accepted: %v", err)
			}
			if f := c.folder(id); f.State != store.FolderAccepted {
				t.Errorf("the folder is %s", f.State)
			}
		})
	}
}

func TestRefusedFilesRaiseAnAlarmAndAreSentAgain(t *testing.T) {
	t.Parallel()
	for _, status := range []hubeetest.FileStatus{hubeetest.Corrupted, hubeetest.Rejected} {
		t.Run(string(status), func(t *testing.T) {
			t.Parallel()
			c := newCounter(t)
			id := c.accept()
			c.must(c.send(t.Context(), id, 1))
			for _, f := range c.site.Snapshot().Folders {
				if f.ExternalID == c.folder(id).ExternalID {
					c.must(c.site.JudgeFile(f.Attachments[2].ID, status))
				}
			}
			c.clock.Advance(time.Minute)
			var snooze *river.JobSnoozeError
			if err := c.send(t.Context(), id, 1); !errors.As(err, &snooze) {
				t.Errorf("got %v, want to look again", err)
			}
			c.wantAlert("alerte", 1)
			c.clock.Advance(2 * time.Minute)
			c.must(c.send(t.Context(), id, 1))
			if err := c.wantOnce(id); err != nil {
				t.Error(err)
			}
		})
	}
}

func (c *counter) sweep() {
	c.t.Helper()
	c.must((&sweep{Workers: c.Workers}).sweepFolders(c.t.Context()))
}

func TestAtItsDeadlineAFolderIsDestroyedWithAnAlarmAndItsReferenceStaysNinetyDays(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	lost, unacknowledged := c.accept(), c.accept()
	c.must(c.send(t.Context(), unacknowledged, 1))
	c.clock.Advance(71 * time.Hour)
	c.sweep()
	if _, err := c.Store.FolderContent(t.Context(), lost); err != nil {
		t.Fatalf("destroyed before the deadline: %v", err)
	}
	c.clock.Advance(2 * time.Hour)
	c.sweep()
	for id, want := range map[uuid.UUID]string{lost: store.FolderLost, unacknowledged: store.FolderSettled} {
		f := c.folder(id)
		if f.State != want || f.Problem == "" {
			t.Errorf("got %+v, want %s", f, want)
		}
		if _, err := c.Store.FolderContent(t.Context(), id); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("what is personal is still here: %v", err)
		}
	}
	c.wantAlert("alerte", 2)
	c.leaks()
	c.clock.Advance(90*24*time.Hour - 74*time.Hour)
	c.sweep()
	c.folder(lost)
	c.clock.Advance(3 * time.Hour)
	c.sweep()
	if _, err := c.Store.Folder(t.Context(), lost); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the reference is still here: %v", err)
	}
}

func TestAFolderWhoseJobWasGivenUpGetsOneAnew(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	c.accept()
	_, err := c.pool.Exec(t.Context(), "delete from river_job")
	c.must(err)
	c.sweep()
	c.wantJobs(0)
	c.clock.Advance(abandoned + time.Second)
	c.sweep()
	c.wantJobs(1)
	c.sweep()
	c.wantJobs(1)
}

func (c *counter) wantJobs(want int) {
	c.t.Helper()
	var n int
	c.must(c.pool.QueryRow(c.t.Context(), "select count(*) from river_job where kind = 'send_folder'").Scan(&n))
	if n != want {
		c.t.Errorf("%d jobs, want %d", n, want)
	}
}

func (c *counter) read() error {
	return (&readNotices{Workers: c.Workers}).Work(c.t.Context(), &river.Job[ReadNoticesArgs]{JobRow: &rivertype.JobRow{Attempt: 1}})
}

// settled gives a folder that HubEE has acknowledged.
func (c *counter) settled() store.Folder {
	c.t.Helper()
	id := c.accept()
	c.finish(id, 1)
	return c.folder(id)
}

func TestTheAnswerOfACommuneClosesTheFolderAndOtherProcessesAreLeftAlone(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	f := c.settled()
	foreign := 0
	for _, n := range c.site.Snapshot().Notifications {
		if n.ProcessCode != registry.FolderProcess {
			foreign++
		}
	}
	c.must(c.site.MarkCase(f.CaseID, hubeetest.Mark{Status: "SI_RECEIVED"}))
	c.must(c.read())
	if got := c.folder(f.ID); got.CaseStatus != "SI_RECEIVED" || got.AnsweredAt != nil {
		t.Errorf("got %+v", got)
	}
	c.must(c.site.MarkCase(f.CaseID, hubeetest.Mark{Status: "DONE", Message: "Dossier de " + testLastName + " enregistré"}))
	c.must(c.read())
	got := c.folder(f.ID)
	if got.State != store.FolderClosed || got.CaseStatus != "DONE" || got.AnsweredAt == nil || got.ClosedAt == nil {
		t.Errorf("got %+v", got)
	}
	held := c.site.Folders(f.ExternalID)[0]
	if held.GlobalStatus != "CLOSED" || held.Cases[0].Status != "CLOSED" {
		t.Errorf("HubEE shows %s and %s", held.GlobalStatus, held.Cases[0].Status)
	}
	left := 0
	for _, n := range c.site.Snapshot().Notifications {
		if n.ProcessCode != registry.FolderProcess {
			left++
		}
	}
	if left != foreign || foreign == 0 {
		t.Errorf("%d notices of another product are left of %d", left, foreign)
	}
	c.leaks()
}

func TestANoticeIsDeletedOnlyOnceItsEffectIsCommitted(t *testing.T) {
	t.Parallel()
	for _, route := range []partnertest.Route{
		"GET /teledossiers/v1/cases/*/events/*", "PATCH /teledossiers/v1/cases/*/events/*", "PATCH /teledossiers/v1/cases/*",
		"POST /teledossiers/v1/cases/*/events", "PATCH /teledossiers/v1/folders/*", "DELETE /teledossiers/v1/notifications/*",
	} {
		for _, fault := range []partnertest.Fault{partnertest.ResetBefore(route), partnertest.ResetAfter(route), partnertest.Status(route, 500)} {
			t.Run(fmt.Sprint(route, fault.Kind, fault.After), func(t *testing.T) {
				t.Parallel()
				c := newCounter(t)
				f := c.settled()
				c.must(c.site.MarkCase(f.CaseID, hubeetest.Mark{Status: "SI_RECEIVED"}))
				c.must(c.read())
				c.must(c.site.MarkCase(f.CaseID, hubeetest.Mark{Status: "DONE"}))
				c.site.Inject(fault.For(1))
				// The transport itself repeats a GET whose reused connection was reset.
				if err := c.read(); err == nil && !strings.HasPrefix(string(route), "GET") {
					t.Error("the fault went unseen")
				}
				c.must(c.read())
				if got := c.folder(f.ID); got.State != store.FolderClosed || got.ClosedAt == nil {
					t.Errorf("got %+v", got)
				}
				closing := 0
				for _, e := range c.site.Folders(f.ExternalID)[0].Cases[0].Events {
					if e.NewStatus == "CLOSED" {
						closing++
					}
				}
				if closing != 1 {
					t.Errorf("the end was told %d times", closing)
				}
			})
		}
	}
}

func TestStatusesThatAskForPeopleRaiseAnAlarmAndUnknownOnesAreKept(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	f := c.settled()
	c.must(c.site.MarkCase(f.CaseID, hubeetest.Mark{Status: "ADD_AWAITING", Message: "Il manque une pièce"}))
	c.must(c.read())
	c.must(c.read())
	c.wantAlert("alerte", 1)
	if got := c.folder(f.ID); got.CaseStatus != "ADD_AWAITING" {
		t.Errorf("got %+v", got)
	}
	event := connectors.CaseEvent{ID: uuid.NewString(), NewStatus: "A_NEW_WORD"}
	c.must(c.Registry.Record(t.Context(), &registry.CaseAnswered{FolderID: f.ID, Event: event}))
	if got := c.folder(f.ID); got.CaseStatus != "A_NEW_WORD" {
		t.Errorf("got %+v", got)
	}
}

func TestNoticesThatCannotBeProcessedAreKeptAndHideNothing(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	// Folders that this hub does not know, more than one batch of them.
	var strangers []string
	for range noticeBatch + 5 {
		id := c.accept()
		c.must(c.send(t.Context(), id, 1))
		strangers = append(strangers, c.folder(id).CaseID)
	}
	_, err := c.pool.Exec(t.Context(), "update folder set case_id = ''")
	c.must(err)
	for _, caseID := range strangers {
		c.must(c.site.MarkCase(caseID, hubeetest.Mark{Status: "SI_RECEIVED"}))
	}
	f := c.settled()
	c.must(c.site.MarkCase(f.CaseID, hubeetest.Mark{Status: "REFUSED"}))
	c.must(c.read())
	if got := c.folder(f.ID); got.State != store.FolderClosed {
		t.Errorf("hidden behind the others: %+v", got)
	}
	letters, err := c.Store.DeadLetters(t.Context(), 1000)
	c.must(err)
	if len(letters) != len(strangers) {
		t.Errorf("%d are kept, want %d", len(letters), len(strangers))
	}
}

func TestACommuneThatAsksForItGetsADetachedSignature(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	c.Folders.Sign = func(_ context.Context, content []byte) ([]byte, error) {
		return []byte("header.." + fmt.Sprint(len(content))), nil
	}
	c.must(c.Registry.Record(t.Context(), &registry.SetReceiverWishes{ReceiverID: c.receiver.ID, Signature: true}))
	id := c.accept()
	c.finish(id, 1)
	held := c.site.Folders(c.folder(id).ExternalID)[0]
	if len(held.Attachments) != 4 || held.Attachments[3].FileName != "FormulaireQF.json.jws" {
		t.Errorf("HubEE has %+v", held.Attachments)
	}
}

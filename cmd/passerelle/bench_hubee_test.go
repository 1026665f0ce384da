package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/hubee/hubeetest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/internal/journey/qfform"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// folderBench is a hub that sends to a simulated HubEE with many communes, all in
// this process.
type folderBench struct {
	*testing.T
	hub       *hub
	hubee     *hubeetest.Server
	receivers []store.Receiver
}

const (
	benchCommunes  = 500
	foldersOffered = 100 // a second
	hubeeLatency   = 20 * time.Millisecond
)

func benchCommune(i int) hubeetest.OrganizationID {
	return hubeetest.OrganizationID{Type: "SI", CompanyRegister: "21040107100019", BranchCode: fmt.Sprintf("%05d", 10_000+i)}
}

func newFolderBench(t *testing.T, database string) *folderBench {
	t.Helper()
	b := &folderBench{T: t}
	w := benchWorld(t, database, demoTiming)
	b.hubee = w.citizen.hubee
	b.hub = w.hub
	runCtx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- w.hub.run(runCtx, everything, environment{stdout: io.Discard, stderr: io.Discard}) }()
	w.stopHub = func() error { stop(); return <-ended }
	t.Cleanup(func() {
		if err := w.close(); err != nil {
			t.Error(err)
		}
	})
	if err := w.awaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	directory := b.hub.workers.Folders.Directory
	email := connectors.NewSecret("mairie@commune.example.fr")
	now := time.Now()
	for i := range benchCommunes {
		id := benchCommune(i)
		ref := connectors.OrganizationRef{Type: id.Type, SIRET: id.CompanyRegister, Branch: id.BranchCode}
		mustDo(t, directory.CreateReceiver(t.Context(), connectors.Receiver{Ref: ref, Name: fmt.Sprint("COMMUNE ", i), PostalCode: "04270", Territory: "04107", Email: email}))
		made, err := directory.CreateSubscription(t.Context(), connectors.SubscriptionDraft{
			Process: registry.FolderProcess, Receiver: ref, DataPassID: int64(i + 1), Email: email, AdminEmail: email, ValidatedAt: now,
		})
		mustDo(t, err)
		mustDo(t, b.hubee.Activate(made.ID, "API", hubeetest.OrganizationID{}, 0))
		err = b.hub.store.InTx(t.Context(), func(tx *store.Tx) error {
			r, err := tx.UpsertReceiver(t.Context(), registry.FolderProcess, ref, fmt.Sprint("Commune ", i), "04270", now)
			if err != nil {
				return err
			}
			r.State, r.ActivatedAt = store.ReceiverActive, &now
			b.receivers = append(b.receivers, r)
			return tx.SaveReceiver(t.Context(), r, now)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	b.hubee.SetLatency(partnertest.FixedLatency(hubeeLatency))
	return b
}

// offer accepts folders at a steady rate for a time and gives how many.
func (b *folderBench) offer(length time.Duration) int {
	b.Helper()
	total := int(length.Seconds() * foldersOffered)
	tick := time.NewTicker(time.Second / foldersOffered)
	defer tick.Stop()
	var failed atomic.Int64
	done := make(chan struct{}, total)
	slots := make(chan struct{}, 32)
	for i := range total {
		<-tick.C
		slots <- struct{}{}
		go func() {
			defer func() { <-slots; done <- struct{}{} }()
			if err := b.accept(i); err != nil {
				failed.Add(1)
				b.Log(err)
			}
		}()
	}
	for range total {
		<-done
	}
	if n := failed.Load(); n > 0 {
		b.Errorf("%d folders were not accepted", n)
	}
	return total
}

func (b *folderBench) accept(i int) error {
	value := 100 + i%2000
	reference := registry.NewReference()
	form := qfform.Form{
		Reference: reference, Recipient: "Commune", At: time.Now(),
		Identity: connectors.PivotIdentity{FamilyName: fmt.Sprint("NOM", i), GivenNames: []string{"Prénom"}, BirthDate: "1987-03-14", Gender: "female", BirthPlace: "69385", BirthCountry: "99100"},
		Family: &connectors.Family{
			Quotient:     &connectors.Quotient{Provider: "CNAF", Value: &value, Month: connectors.Month{Year: 2026, Month: 9}, ComputedIn: connectors.Month{Year: 2026, Month: 9}},
			Allocataires: []connectors.FamilyMember{{BirthName: fmt.Sprint("NOM", i), GivenNames: "PRENOM", BirthDate: "1987-03-14", Sex: "F"}},
			Enfants:      []connectors.FamilyMember{},
		},
	}
	files, err := form.Files()
	if err != nil {
		return err
	}
	content := store.FolderContent{FirstNames: "Prénom", LastName: form.Identity.FamilyName}
	for _, f := range files {
		content.Files = append(content.Files, store.FolderFile{Name: f.Name, Type: qfform.Type, MIME: f.MIME, Content: f.Content})
	}
	return b.hub.registry.Record(b.Context(), &registry.AcceptFolder{
		ID: uuid.New(), Receiver: b.receivers[i%len(b.receivers)].ID, Reference: reference, Content: content,
	})
}

func (b *folderBench) count(query string) (n int) {
	b.Helper()
	if err := b.hub.pool.QueryRow(b.Context(), query).Scan(&n); err != nil {
		b.Fatal(err)
	}
	return n
}

// drained waits until HubEE has all of every folder, and gives how long that took.
func (b *folderBench) drained(limit time.Duration) time.Duration {
	b.Helper()
	start := time.Now()
	for b.count("select count(*) from folder where state in ('accepted', 'created')") > 0 {
		if time.Since(start) > limit {
			b.Fatalf("%d folders still wait", b.count("select count(*) from folder where state in ('accepted', 'created')"))
		}
		time.Sleep(200 * time.Millisecond)
	}
	return time.Since(start)
}

func (b *folderBench) latency(q float64) time.Duration {
	b.Helper()
	var seconds float64
	err := b.hub.pool.QueryRow(b.Context(), `select coalesce(percentile_cont($1) within group (order by extract(epoch from sent_at - accepted_at)), 0) from folder`, q).Scan(&seconds)
	if err != nil {
		b.Fatal(err)
	}
	return time.Duration(seconds * float64(time.Second)).Round(time.Millisecond)
}

// TestBenchHubee sends 100 folders a second for two minutes, then again with
// HubEE down for a minute: none lost, none twice.
func TestBenchHubee(t *testing.T) {
	scale := bench(t, "hubee")
	pg := durablePostgres(t)
	commits := pgbenchCommits(t, pg.URL("postgres"), max(3, int(10*scale)))
	b := newFolderBench(t, pg.URL("postgres"))
	length := max(time.Duration(float64(2*time.Minute)*scale), 5*time.Second)

	var calls atomic.Int64
	remove := b.hubee.BeforeWork("*", func(partnertest.Call) { calls.Add(1) })
	cpu := cpuOfThisProcess()
	sent := b.offer(length)
	behind := b.drained(5 * time.Minute)
	cpu = cpuOfThisProcess() - cpu
	p50, p99 := b.latency(.5), b.latency(.99)
	perFolder := float64(calls.Load()) / float64(sent)
	remove()
	b.settled(5 * time.Minute)

	down := max(time.Duration(float64(time.Minute)*scale), 5*time.Second)
	b.hubee.Inject(partnertest.ResetBefore("*"))
	waiting := b.offer(down)
	b.hubee.ClearFaults()
	drain := b.drained(10 * time.Minute)
	b.settled(5 * time.Minute)

	totals := b.hubee.Totals()
	if want := sent + waiting; totals.Complete-2 != want || totals.Duplicates != 0 { // two in the example set
		t.Errorf("HubEE has %d complete folders and %d duplicates of %d accepted", totals.Complete-2, totals.Duplicates, want)
	}
	if left := b.count("select count(*) from folder_content"); left != 0 {
		t.Errorf("what is personal of %d folders is still here", left)
	}
	table(t, fmt.Sprintf("folders to HubEE, %s latency, %d communes, fsync on, load and simulator in the same process", hubeeLatency, benchCommunes),
		[]string{"what", "measured", "goal"},
		[]string{fmt.Sprintf("offered %d/s for %s: accepted", foldersOffered, length), fmt.Sprint(sent), ""},
		[]string{"complete at HubEE, lost, twice", fmt.Sprintf("%d, %d, %d", totals.Complete-2-waiting, sent+waiting-(totals.Complete-2), totals.Duplicates), "all, 0, 0"},
		[]string{"accepted to complete, p50 / p99", fmt.Sprint(p50, " / ", p99), ""},
		[]string{"behind the last one accepted", behind.Round(10 * time.Millisecond).String(), ""},
		[]string{"calls per folder until complete", fmt.Sprintf("%.2f", perFolder), "5"},
		[]string{"CPU a folder, hub, simulator and load", (cpu / time.Duration(sent)).Round(10 * time.Microsecond).String(), ""},
		[]string{"memory, peak", peakMemory(os.Getpid()), ""},
		[]string{fmt.Sprintf("HubEE down for %s at the same rate: %d wait, drained in", down, waiting), drain.Round(100 * time.Millisecond).String(), ""},
		[]string{"limit: pgbench -N, 10 clients", fmt.Sprintf("%.0f commits/s", commits), ""},
	)
}

// settled waits until HubEE has acknowledged every file.
func (b *folderBench) settled(limit time.Duration) {
	b.Helper()
	start := time.Now()
	for b.count("select count(*) from folder where state in ('accepted', 'created', 'completed')") > 0 {
		if time.Since(start) > limit {
			b.Fatalf("%d folders are not settled", b.count("select count(*) from folder where state in ('accepted', 'created', 'completed')"))
		}
		time.Sleep(500 * time.Millisecond)
	}
}

func cpuOfThisProcess() time.Duration {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

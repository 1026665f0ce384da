package jobs

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/datapass/datapasstest"
	"github.com/passerelle-hub/passerelle/connectors/hubee"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/connectors/sirene"
	"github.com/passerelle-hub/passerelle/connectors/sirene/sirenetest"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// prefecture is an office that asks a simulated API Sirene.
type prefecture struct {
	*office
	*Workers
	site *sirenetest.Server
	now  time.Time
}

const townHall = "21380999900013" // of the office's applicant

func newPrefecture(t *testing.T) *prefecture {
	t.Helper()
	p := &prefecture{office: newOffice(t), site: sirenetest.New(sirenetest.Options{Establishments: []sirenetest.Establishment{}}), now: time.Now()}
	url, err := p.site.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.site.Close() })
	c := sirene.Default()
	c.URL, c.Key = url, connectors.NewSecret(sirenetest.Key)
	none := 0
	c.Retries, c.Breaker.Failures = &none, 1000
	client, err := outbound.Partner(registry.Sirene, c.Settings, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	register, err := c.Open(connectors.Deps{Name: registry.Sirene, Now: time.Now, Partner: client})
	if err != nil {
		t.Fatal(err)
	}
	p.Workers = &Workers{
		Registry: p.office.Registry, Store: p.store, Now: func() time.Time { return p.now }, Log: zerolog.Nop(),
		Folders:        &Folders{Contact: ContactRules{Email: hubee.Email, Phone: hubee.Phone}},
		Establishments: &Establishments{Register: register, PerMinute: 10, RefreshAfter: 30 * 24 * time.Hour},
	}
	return p
}

func commune(closed bool) sirenetest.Establishment {
	return sirenetest.Establishment{
		SIRET: townHall, Name: "COMMUNE DE VALBRISE", Category: "7210", Commune: "VALBRISE", COG: "38999", PostCode: "38990",
		TreatedAt: "2026-01-05T10:00:00", Closed: closed,
	}
}

func (p *prefecture) round() error {
	w := &readEstablishments{Workers: p.Workers}
	return w.Work(p.t.Context(), &river.Job[ReadEstablishmentsArgs]{JobRow: &rivertype.JobRow{Attempt: 1}})
}

func (p *prefecture) organization() habilitation.Organization {
	p.t.Helper()
	o, err := p.store.OrganizationBySIRET(p.t.Context(), townHall)
	if err != nil {
		p.t.Fatal(err)
	}
	return o
}

func (p *prefecture) add(siret string) {
	p.t.Helper()
	err := p.store.InTx(p.t.Context(), func(tx *store.Tx) error {
		_, err := tx.EnsureOrganization(p.t.Context(), siret)
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *prefecture) calls() int { return p.site.Count("GET /siret/*") }

func TestANativeOrganizationTakesWhatINSEESaysAndIsRefreshed(t *testing.T) {
	t.Parallel()
	p := newPrefecture(t)
	p.site.Put(commune(false))
	if err := p.round(); err != nil {
		t.Fatal(err)
	}
	o := p.organization()
	if o.Name != "COMMUNE DE VALBRISE" || o.LegalCategory() != "7210" || o.Closed() || placeOf(o).COG != "38999" || !json.Valid(o.INSEEPayload) {
		t.Fatalf("%+v", o)
	}
	if err := p.round(); err != nil || p.calls() != 1 {
		t.Errorf("%v: %d calls: a fresh answer is not asked for again", err, p.calls())
	}
	id := p.create("api-entreprise", nil)

	p.site.Put(commune(true))
	p.now = p.now.AddDate(0, 0, 31)
	if err := p.round(); err != nil || p.calls() != 2 || !p.organization().Closed() {
		t.Errorf("%v: %d calls, %+v", err, p.calls(), p.organization())
	}
	err := p.Workers.Registry.Record(t.Context(), &registry.CreateRequest{Caller: p.applicant, Form: "api-entreprise"})
	if !habilitation.RefusedFor(err, habilitation.RefusedOrganizationClosed) {
		t.Errorf("a request of a closed establishment: %v", err)
	}
	if r, err := p.store.Request(t.Context(), id); err != nil || r.Organization.Name != "COMMUNE DE VALBRISE" {
		t.Errorf("%+v %v", r.Organization, err)
	}
}

func TestWhatINSEEDoesNotSayIsKeptAndAskedAgainLater(t *testing.T) {
	t.Parallel()
	p := newPrefecture(t)
	problem := func() string {
		t.Helper()
		text, err := p.store.EstablishmentProblem(t.Context(), p.organization().ID)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	if err := p.round(); err != nil || !strings.Contains(problem(), "ne connaît pas ce SIRET") {
		t.Fatalf("%v %q", err, problem())
	}
	if err := p.round(); err != nil || p.calls() != 1 {
		t.Fatalf("%v: an unknown one is asked about %d times at once", err, p.calls())
	}
	p.now = p.now.Add(25 * time.Hour)
	for name, f := range map[string]partnertest.Fault{
		"before": partnertest.ResetBefore(""), "lost": partnertest.ResetAfter(""), "half": partnertest.HalfBody(""),
	} {
		p.site.Put(commune(false))
		fault := p.site.Inject(f)
		if err := p.round(); err != nil {
			t.Errorf("%s: one failure is not an outage: %v", name, err)
		}
		p.site.ClearFaults(fault)
		if o := p.organization(); o.INSEEPayload != nil || !strings.Contains(problem(), "n’a pas répondu") {
			t.Errorf("%s: %s %q", name, o.LegalCategory(), problem())
		}
		p.now = p.now.Add(11 * time.Minute)
	}
	if err := p.round(); err != nil || problem() != "" || p.organization().LegalCategory() != "7210" {
		t.Errorf("%v %q", err, problem())
	}
}

func TestARegisterThatIsDownOrLimitsIsLeftAloneAndShown(t *testing.T) {
	t.Parallel()
	p := newPrefecture(t)
	for _, siret := range []string{"21690387200018", "21040107100019", "21350998700011", "13002526500013"} {
		p.add(siret)
	}
	p.site.Inject(partnertest.Fault{Kind: partnertest.KindAnswer, Status: 503, Body: "{}"})
	if err := p.round(); connectors.ClassOf(err) != connectors.Temporary || p.calls() != failuresBeforeRest {
		t.Fatalf("%v after %d calls", err, p.calls())
	}
	partners, err := p.store.Partners(t.Context())
	if err != nil || len(partners) != 1 || partners[0].Name != registry.Sirene || partners[0].Reason == "" {
		t.Fatalf("%+v %v", partners, err)
	}
	p.site.ClearFaults()
	limited := partnertest.Fault{Kind: partnertest.KindAnswer, Status: 429, Header: map[string][]string{"Retry-After": {"90"}}, Body: "{}"}
	p.site.Inject(limited)
	var snooze *river.JobSnoozeError
	if err := p.round(); !errors.As(err, &snooze) || snooze.Duration < 89*time.Second {
		t.Errorf("%v", err)
	}
	if n := p.calls(); n != failuresBeforeRest+1 {
		t.Errorf("%d calls: a limit ends the round", n)
	}
	p.site.ClearFaults()
	p.site.Put(commune(false))
	p.now = p.now.Add(time.Hour)
	if err := p.round(); err != nil || p.organization().LegalCategory() != "7210" {
		t.Errorf("%v", err)
	}
}

func TestARoundAsksNoMoreThanAMinuteAllows(t *testing.T) {
	t.Parallel()
	p := newPrefecture(t)
	p.Establishments.PerMinute = 2
	for _, siret := range []string{"21690387200018", "21040107100019", "21350998700011"} {
		p.add(siret)
	}
	for round, want := range []int{2, 4, 4} {
		if err := p.round(); err != nil || p.calls() != want {
			t.Errorf("round %d: %v, %d calls", round, err, p.calls())
		}
	}
}

func TestASetUpThatWaitsForINSEESaysWhyAndGoesOnWhenItAnswers(t *testing.T) {
	t.Parallel()
	p := newPrefecture(t)
	id := p.create("formulaire-qf", nil)
	p.submit(id)
	p.do(&registry.Approve{Target: p.by(p.instructor, id)})
	waits := func() string {
		t.Helper()
		w := &registerReceiver{Workers: p.Workers}
		var snooze *river.JobSnoozeError
		if err := w.Work(t.Context(), &river.Job[RegisterReceiverArgs]{JobRow: &rivertype.JobRow{Attempt: 1}, Args: RegisterReceiverArgs{RequestID: id}}); !errors.As(err, &snooze) {
			t.Errorf("it does not wait: %v", err)
		}
		right, err := p.store.Right(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return right.Problem
	}
	asked := p.Establishments
	p.Establishments = nil
	if got := waits(); !strings.Contains(got, "ce hub n’interroge pas l’INSEE (réglage sirene)") {
		t.Errorf("without settings: %q", got)
	}
	p.Establishments = asked
	if got := waits(); !strings.Contains(got, "n’a pas encore répondu") {
		t.Errorf("before: %q", got)
	}
	if err := p.round(); err != nil {
		t.Fatal(err)
	}
	if got := waits(); !strings.Contains(got, "ne connaît pas ce SIRET") {
		t.Errorf("unknown: %q", got)
	}
	queued := func() (n int) {
		t.Helper()
		if err := p.store.Pool().QueryRow(t.Context(), `select count(*) from river_job where kind = 'register_receiver'`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := queued()
	p.site.Put(commune(false))
	p.now = p.now.Add(25 * time.Hour)
	if err := p.round(); err != nil || queued() != before+1 {
		t.Errorf("%v: %d set-ups queued after %d", err, queued(), before)
	}
	if got := waits(); !strings.Contains(got, "portail") {
		t.Errorf("once INSEE answered: %q", got)
	}
}

func TestAMirroredOrganizationKeepsTheNewerOfItsSourcesAnswers(t *testing.T) {
	m := newMirror(t)
	filing := datapasstest.APIParticulier()
	answer := func(at, category string) json.RawMessage {
		e := commune(false)
		e.SIRET, e.Category, e.TreatedAt = filing.Organization.SIRET, category, at
		return e.JSON()
	}
	filing.Organization.INSEE = answer("2026-01-05T10:00:00", "7210")
	id := m.file(filing, submit)
	m.hear()
	if got := m.read(id).Organization.LegalCategory(); got != "7210" {
		t.Fatalf("%q", got)
	}
	send := func(payload json.RawMessage) string {
		t.Helper()
		if err := m.site.SetINSEE(t.Context(), id, filing.Organization.Name, payload); err != nil {
			t.Fatal(err)
		}
		m.round()
		return m.read(id).Organization.LegalCategory()
	}
	if got := send(answer("2025-01-05T10:00:00", "1000")); got != "7210" {
		t.Errorf("an older answer replaced a newer one: %q", got)
	}
	if got := send(answer("2026-02-05T10:00:00", "7220")); got != "7220" {
		t.Errorf("a newer answer was not taken: %q", got)
	}
}

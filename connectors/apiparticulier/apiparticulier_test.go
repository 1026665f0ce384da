package apiparticulier

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/apiparticulier/apiparticuliertest"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest/contracts"
)

const (
	majastres  = "21040107100019"
	quotientAt = partnertest.Route("GET /v3/dss/quotient_familial/france_connect")
)

var (
	october = time.Date(2026, 10, 15, 8, 10, 0, 0, time.UTC)
	all     = []string{scopeQuotient, scopeAllocataires, scopeEnfants}
)

// bench is a source over a simulated API Particulier. What must never be told is
// looked for in its log and in its errors.
type bench struct {
	*Source
	site  *apiparticuliertest.Server
	clock *partnertest.Clock
	log   *bytes.Buffer
	t     *testing.T
}

func open(t *testing.T, change ...func(*Config)) bench {
	t.Helper()
	clock := partnertest.NewFrozenClock(october)
	site, err := apiparticuliertest.Start(apiparticuliertest.Options{Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	b := bench{site: site, clock: clock, log: &bytes.Buffer{}, t: t}
	c := Default()
	c.URL, c.UserAgent, c.Breaker.Failures = site.URL(), "Passerelle/test", 1000
	for _, one := range change {
		one(&c)
	}
	client, err := outbound.Partner("api-particulier", c.Settings, zerolog.New(b.log))
	if err != nil {
		t.Fatal(err)
	}
	if b.Source, err = c.Open(connectors.Deps{Name: "api-particulier", Now: clock.Now, Partner: client}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, leak := range site.Leaks() {
			t.Errorf("a secret in the %s of %s %s", leak.Where, leak.Method, leak.Path)
		}
		_ = site.Close()
		b.silent(b.log.String())
	})
	return b
}

// silent: a text of ours tells nothing of a family, no token, no question.
func (b bench) silent(text string) {
	b.t.Helper()
	for _, private := range []string{"FONTANEL", "ELODIE", "BRESSAC", "1987-03", "valeur", "TILLEULS", "fc-", "recipient=", majastres, "Bearer "} {
		if strings.Contains(text, private) {
			b.t.Errorf("%q is told: %s", private, text)
		}
	}
}

func (b bench) about(person string) connectors.QuotientQuestion {
	return connectors.QuotientQuestion{
		Token: connectors.NewSecret("fc-" + person), TokenBy: b.clock.Now().Add(50 * time.Second), Recipient: majastres, Scopes: all,
	}
}

// refused: a question that fails, with class and cause.
func (b bench) refused(q connectors.QuotientQuestion, class connectors.Class, cause connectors.QuotientCause) (*connectors.Error, *connectors.QuotientError) {
	b.t.Helper()
	got, err := b.ByFranceConnect(b.t.Context(), q)
	var e *connectors.Error
	var why *connectors.QuotientError
	if !errors.As(err, &e) || !errors.As(err, &why) || e.Class != class || why.Cause != cause {
		b.t.Fatalf("got %v (%v), want %s %s", err, errors.Unwrap(err), class, cause)
	}
	if diff := cmp.Diff(connectors.QuotientAnswer{}, got); diff != "" {
		b.t.Errorf("something is given beside an error: %s", diff)
	}
	text := err.Error() + why.Error()
	b.silent(text)
	if strings.Contains(text, "642") { // a log has durations
		b.t.Errorf("the value is told: %s", text)
	}
	return e, why
}

func sample(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestTestdataIsTheContracts(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(contracts.Dir(t), "api-particulier")
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal(err, len(files))
	}
	for _, file := range files {
		want, err := os.ReadFile(filepath.Join(dir, filepath.Base(file)))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(want, sample(t, filepath.Base(file))) {
			t.Errorf("%s is not the contract's", file)
		}
	}
}

func TestAFamilyIsReadWhole(t *testing.T) {
	t.Parallel()
	b := open(t)
	got, err := b.ByFranceConnect(t.Context(), b.about("fontanel"))
	if err != nil {
		t.Fatal(err)
	}
	bressac := "BRESSAC"
	value := 642
	want := connectors.Family{
		Quotient: &connectors.Quotient{Provider: "CNAF", Value: &value, Month: connectors.Month{Year: 2026, Month: 10}, ComputedIn: connectors.Month{Year: 2026, Month: 7}},
		Allocataires: []connectors.FamilyMember{
			{BirthName: "FONTANEL", UsualName: &bressac, GivenNames: "ELODIE MARGUERITE", BirthDate: "1987-03-14", Sex: "F"},
			{BirthName: "BRESSAC", GivenNames: "THOMAS JULIEN", BirthDate: "1985-11-02", Sex: "M"},
		},
		Enfants: []connectors.FamilyMember{
			{BirthName: "BRESSAC", GivenNames: "LEA CAMILLE", BirthDate: "2016-05-21", Sex: "F"},
			{BirthName: "BRESSAC", GivenNames: "NOE", BirthDate: "2019-09-08", Sex: "M"},
		},
	}
	if diff := cmp.Diff(want, got.Family); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got.RequestID == "" || got.Cached {
		t.Errorf("%q %v", got.RequestID, got.Cached)
	}
	call := b.site.Calls(quotientAt)[0]
	if call.Query != "recipient="+majastres || call.Header.Get("User-Agent") != "Passerelle/test" || call.Header.Get("Cache-Control") != "" {
		t.Errorf("%+v", call)
	}
	again, err := b.ByFranceConnect(t.Context(), b.about("fontanel"))
	if err != nil || !again.Cached {
		t.Errorf("%v %v: the second answer is the cache's", err, again.Cached)
	}
	september := connectors.Month{Year: 2026, Month: time.September}
	q := b.about("fontanel")
	q.Month, q.Fresh = &september, true
	past, err := b.ByFranceConnect(t.Context(), q)
	if err != nil || past.Cached || past.Family.Quotient.Month != september {
		t.Errorf("%v %+v", err, past.Family.Quotient)
	}
	call = b.site.Calls(quotientAt)[2]
	if call.Query != "annee=2026&mois=9&recipient="+majastres || call.Header.Get("Cache-Control") != "no-cache" {
		t.Errorf("%+v", call)
	}
}

func TestWhatTheCommuneMayNotSeeIsNotRead(t *testing.T) {
	t.Parallel()
	b := open(t)
	q := b.about("fontanel")
	q.Scopes = []string{scopeQuotient}
	got, err := b.ByFranceConnect(t.Context(), q)
	if err != nil || got.Family.Quotient == nil || got.Family.Allocataires != nil || got.Family.Enfants != nil {
		t.Errorf("%v %+v", err, got.Family)
	}
	// Nor does it matter what it is.
	family, err := readFamily([]byte(`{"data":{"enfants":[],"allocataires":"FONTANEL"}}`), []string{scopeEnfants})
	if err != nil || family.Enfants == nil || family.Allocataires != nil || family.Quotient != nil {
		t.Errorf("%v %+v", err, family)
	}
}

func TestTheSamplesOfAFamilyAreRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		value, allocataires, enfants int
		provider, birth              string // of the last child
	}{
		"success-cnaf-full.json":               {642, 2, 2, "CNAF", "2019-09-08"},
		"success-msa.json":                     {1187, 2, 1, "MSA", "2014-02-11"},
		"success-qf-only.json":                 {318, -1, -1, "CNAF", ""},
		"success-unknown-birth-day-month.json": {255, 1, 2, "CNAF", "0000-00-00"},
	} {
		got, err := readFamily(sample(t, name), all)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		count := func(list []connectors.FamilyMember) int {
			if list == nil {
				return -1
			}
			return len(list)
		}
		if *got.Quotient.Value != c.value || got.Quotient.Provider != c.provider || count(got.Allocataires) != c.allocataires || count(got.Enfants) != c.enfants {
			t.Errorf("%s: %+v", name, got)
		}
		if c.birth != "" && got.Enfants[len(got.Enfants)-1].BirthDate != c.birth {
			t.Errorf("%s: %+v", name, got.Enfants)
		}
	}
}

func TestAnAnswerOutOfRangeIsNotBelieved(t *testing.T) {
	t.Parallel()
	full := string(sample(t, "success-cnaf-full.json"))
	for _, c := range []struct{ name, old, new, place string }{
		{"a value that is a text", `"valeur": 642`, `"valeur": "642"`, "quotient_familial"},
		{"a value with decimals", `"valeur": 642`, `"valeur": 642.5`, "quotient_familial"},
		{"a negative value", `"valeur": 642`, `"valeur": -1`, "quotient_familial.valeur"},
		{"a fortune", `"valeur": 642`, `"valeur": 1000001`, "quotient_familial.valeur"},
		{"another fund", `"CNAF"`, `"SNCF"`, "quotient_familial.fournisseur"},
		{"a thirteenth month", `"mois": 9`, `"mois": 13`, "quotient_familial.mois"},
		{"no month of computation", `"mois_calcul": 6`, `"mois_calcul": null`, "quotient_familial.mois_calcul"},
		{"a date that is none", `"2016-05-21"`, `"21/05/2016"`, "enfants.date_naissance"},
		{"a month of birth that is none", `"2016-05-21"`, `"2016-13-21"`, "enfants.date_naissance"},
		{"another sex", `"sexe": "F"`, `"sexe": "X"`, "allocataires.sexe"},
		{"a name with a line break", `"FONTANEL"`, `"FON\nTANEL"`, "allocataires.nom_naissance"},
		{"a name without end", `"LEA CAMILLE"`, `"` + strings.Repeat("L", 201) + `"`, "enfants.prenoms"},
		{"a list that is none", `"enfants": [`, `"enfants": null, "ignored": [`, "enfants"},
	} {
		body := strings.Replace(full, c.old, c.new, 1)
		if body == full {
			t.Fatalf("%s: nothing changed", c.name)
		}
		_, err := readFamily([]byte(body), all)
		if !errors.Is(err, errShape) || err.Error() != "unexpected answer: "+c.place {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	crowd := `{"data":{"enfants":[` + strings.TrimSuffix(strings.Repeat(`{"date_naissance":"2020-00-00"},`, 51), ",") + `]}}`
	if _, err := readFamily([]byte(crowd), all); !errors.Is(err, errShape) {
		t.Errorf("fifty-one children: %v", err)
	}
	for _, body := range []string{`[]`, `null`, `{}`, `{"data":null}`, `{"data":[]}`} {
		if _, err := readFamily([]byte(body), all); !errors.Is(err, errShape) {
			t.Errorf("%s: %v", body, err)
		}
	}
	born, err := readFamily([]byte(`{"data":{"quotient_familial":{"fournisseur":"CNAF","valeur":null,"annee":2026,"mois":9,"annee_calcul":2026,"mois_calcul":9},`+
		`"enfants":[{"nom_naissance":"","prenoms":null,"date_naissance":"2027-01-00","sexe":null}]}}`), all)
	if err != nil || born.Quotient.Value != nil || len(born.Enfants) != 1 {
		t.Errorf("no value, and a child to be born: %v %+v", err, born)
	}
}

// AP-8: every sample of an error, and every row of the table that has a sample in
// the text of the contract.
func TestTheTableSortsEverySample(t *testing.T) {
	t.Parallel()
	want := map[string]struct {
		class connectors.Class
		cause connectors.QuotientCause
	}{
		"error-401-00103.json": {connectors.Unauthorized, connectors.QuotientRights},
		"error-401-50002.json": {connectors.Rejected, connectors.QuotientToken},
		"error-401-51502.json": {connectors.Rejected, connectors.QuotientToken},
		"error-404-23003.json": {connectors.NotFound, connectors.QuotientNoFile},
		"error-404-35003.json": {connectors.NotFound, connectors.QuotientUnknownFund},
		"error-409-00015.json": {connectors.Temporary, connectors.QuotientBusy},
		"error-422-00366.json": {connectors.Rejected, connectors.QuotientIdentity},
		"error-422-35560.json": {connectors.NotFound, connectors.QuotientUnrecognised},
		"error-429-00429.json": {connectors.Temporary, connectors.QuotientQuota},
		"error-502-35999.json": {connectors.Temporary, connectors.QuotientDown},
		"error-504-35002.json": {connectors.Temporary, connectors.QuotientDown},
	}
	files, err := filepath.Glob("testdata/error-*.json")
	if err != nil || len(files) != len(want) {
		t.Fatalf("%v, %d samples and %d expectations", err, len(files), len(want))
	}
	for _, file := range files {
		name := filepath.Base(file)
		parts := strings.Split(strings.TrimSuffix(name, ".json"), "-")
		status, err := strconv.Atoi(parts[1])
		if err != nil {
			t.Fatal(err)
		}
		b := open(t)
		b.site.Inject(partnertest.Answer(quotientAt, status, "application/json", string(sample(t, name))))
		e, why := b.refused(b.about("fontanel"), want[name].class, want[name].cause)
		if why.Code != parts[2] || why.Unlisted || e.Status != status || !strings.HasPrefix(e.Detail, parts[2]+" ") {
			t.Errorf("%s: %+v %+v", name, e, why)
		}
	}
}

func TestTheTableSortsWhatTheContractLists(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status                int
		code, title, provider string
		cause                 connectors.QuotientCause
		listed                bool
	}{
		{400, "00401", "Mauvaise requête", "", connectors.QuotientOurs, true},
		{401, "00101", "Interdit", "", connectors.QuotientRights, true},
		{401, "50001", "Accès non autorisé", "", connectors.QuotientToken, true},
		{401, "51501", "Accès non autorisé", "FranceConnect", connectors.QuotientToken, true},
		{401, "50003", "Accès non autorisé", "", connectors.QuotientToken, true},
		{401, "51504", "Accès non autorisé", "FranceConnect", connectors.QuotientToken, true},
		{401, "00777", "Nouveau", "", connectors.QuotientToken, false},
		{403, "00100", "Privilèges insuffisants", "", connectors.QuotientRights, true},
		{403, "00213", "Accès refusé", "", connectors.QuotientRights, true},
		{404, "10003", "Dossier allocataire absent MSA", "MSA", connectors.QuotientNoFile, true},
		{404, "40003", "Dossier allocataire absent RNCPS", "RNCPS", connectors.QuotientNoFile, true},
		{404, "37003", "Dossier allocataire absent CNAF", "CNAV", connectors.QuotientNoFile, true},
		{404, "35003", "Erreur inatendue", "CNAF & MSA", connectors.QuotientDown, true},
		{404, "35003", "Erreur inattendue", "CNAF & MSA", connectors.QuotientDown, true},
		{404, "35003", "Un titre nouveau", "CNAF & MSA", connectors.QuotientUnknownFund, true},
		{404, "23003", "Un titre nouveau", "CNAF", connectors.QuotientNoFile, true},
		{404, "00402", "Version", "", connectors.QuotientOurs, true},
		{404, "00999", "Nouveau", "", connectors.QuotientOurs, false},
		{422, "00355", "Impossible d'identifier l'allocataire", "", connectors.QuotientUnrecognised, true},
		{422, "00355", "Impossible d’identifier l’allocataire", "", connectors.QuotientUnrecognised, true},
		{422, "00355", "Entité non traitable", "", connectors.QuotientOurs, true},
		{422, "35565", "Période", "", connectors.QuotientOurs, true},
		{422, "35561", "Paramètres de civilité refusés", "CNAF & MSA", connectors.QuotientIdentity, true},
		{422, "51564", "Identité inexploitable", "FranceConnect", connectors.QuotientIdentity, true},
		{422, "00210", "Entité non traitable", "", connectors.QuotientOurs, true},
		{422, "99123", "Nouveau", "", connectors.QuotientOurs, false},
		{502, "35000", "Erreur interne", "CNAF & MSA", connectors.QuotientDown, true},
		{502, "51001", "Service non disponible", "FranceConnect", connectors.QuotientDown, true},
		{502, "00501", "Erreur réseau", "", connectors.QuotientDown, true},
		{502, "23502", "Quotient absent", "CNAF", connectors.QuotientDown, true},
		{502, "35777", "Nouveau", "", connectors.QuotientDown, false},
		{503, "35020", "Maintenance", "CNAF & MSA", connectors.QuotientMaintenance, true},
		{503, "51020", "Maintenance", "FranceConnect", connectors.QuotientMaintenance, true},
		{504, "51002", "Intermédiaire hors-délai", "FranceConnect", connectors.QuotientDown, true},
		{500, "00000", "Nouveau", "", connectors.QuotientDown, false},
		{418, "00000", "Nouveau", "", connectors.QuotientOurs, false},
	} {
		found, listed := classify(c.status, problem{Code: c.code, Title: c.title, Provider: c.provider})
		if found.cause != c.cause || listed != c.listed {
			t.Errorf("%d %s %q: %s listed %v, want %s listed %v", c.status, c.code, c.title, found.cause, listed, c.cause, c.listed)
		}
	}
}

func TestEachCitizenOfTheDemoMeetsHerCase(t *testing.T) {
	t.Parallel()
	for _, numbering := range []apiparticuliertest.Numbering{apiparticuliertest.April, apiparticuliertest.September} {
		b := open(t)
		b.site.SetSwitches(func(s *apiparticuliertest.Switches) {
			s.Numbering, s.SourceNull, s.LockFreed, s.ExtraKeys = numbering, numbering == apiparticuliertest.April, true, true
		})
		b.refused(b.about("perrin"), connectors.NotFound, connectors.QuotientNoFile)
		b.refused(b.about("kowalczyk"), connectors.NotFound, connectors.QuotientUnknownFund)
		b.refused(b.about("marchand"), connectors.NotFound, connectors.QuotientUnrecognised)
		b.refused(b.about("tessier"), connectors.Temporary, connectors.QuotientDown)
		b.refused(b.about("personne"), connectors.Rejected, connectors.QuotientToken)
		if _, err := b.ByFranceConnect(t.Context(), b.about("garrigue")); err != nil {
			t.Errorf("%s: %v", numbering, err)
		}
		if numbering == apiparticuliertest.September {
			_, why := b.refused(b.about("leboeuf"), connectors.Rejected, connectors.QuotientIdentity)
			if why.Provider != "FranceConnect" || why.RequestID == "" {
				t.Errorf("%+v", why)
			}
		}
	}
}

func TestFaultsBeforeDuringAndAfterACall(t *testing.T) {
	t.Parallel()
	const half = `{"data":{"quotient_familial":{"fournisseur":"CNAF","valeur":642`
	for name, c := range map[string]struct {
		fault partnertest.Fault
		class connectors.Class
		cause connectors.QuotientCause
		after time.Duration
	}{
		"reset before":              {partnertest.ResetBefore(quotientAt), connectors.Temporary, connectors.QuotientDown, 0},
		"the answer is lost":        {partnertest.ResetAfter(quotientAt), connectors.Temporary, connectors.QuotientDown, 0},
		"half a body":               {partnertest.HalfBody(quotientAt), connectors.Temporary, connectors.QuotientDown, 0},
		"half a body, well framed":  {partnertest.Answer(quotientAt, 200, "application/json", half), connectors.Temporary, connectors.QuotientDown, 0},
		"a page as a success":       {partnertest.HTML(quotientAt, 200), connectors.Temporary, connectors.QuotientDown, 0},
		"a page as a 502":           {partnertest.HTML(quotientAt, 502), connectors.Temporary, connectors.QuotientDown, 0},
		"an empty success":          {partnertest.Answer(quotientAt, 200, "application/json", ""), connectors.Temporary, connectors.QuotientDown, 0},
		"another JSON":              {partnertest.Answer(quotientAt, 200, "application/json", `{"quotientFamilial":642}`), connectors.Rejected, connectors.QuotientDown, 0},
		"a megabyte":                {partnertest.Answer(quotientAt, 200, "application/json", strings.Repeat(" ", 1<<20)), connectors.Rejected, connectors.QuotientDown, 0},
		"a 500 in plain text":       {partnertest.Status(quotientAt, 500), connectors.Temporary, connectors.QuotientDown, 0},
		"a 503 of something before": {partnertest.HTML(quotientAt, 503), connectors.Temporary, connectors.QuotientDown, 0},
		"a banned address":          {partnertest.Answer(quotientAt, 403, "text/plain", "Accès refusé FONTANEL"), connectors.Unauthorized, connectors.QuotientRights, 0},
		"the wrong address":         {partnertest.HTML(quotientAt, 404), connectors.Rejected, connectors.QuotientOurs, 0},
		"a proxy that wants a key":  {partnertest.HTML(quotientAt, 401), connectors.Rejected, connectors.QuotientOurs, 0},
		"a redirect":                {partnertest.HTML(quotientAt, 302), connectors.Rejected, connectors.QuotientOurs, 0},
		"a limit of something else": {partnertest.RateLimited(quotientAt, 7*time.Second), connectors.RateLimited, connectors.QuotientQuota, 7 * time.Second},
		"a limit without a delay":   {partnertest.RateLimited(quotientAt, 0), connectors.Temporary, connectors.QuotientQuota, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := open(t)
			b.site.Inject(c.fault)
			e, _ := b.refused(b.about("fontanel"), c.class, c.cause)
			if e.After != c.after {
				t.Errorf("after %s, want %s", e.After, c.after)
			}
			if n := b.site.Count(quotientAt); n != 1 {
				t.Errorf("%d calls: a journey owns the retries", n)
			}
			b.site.ClearFaults()
			b.site.ClearLocks()
			if _, err := b.ByFranceConnect(t.Context(), b.about("fontanel")); err != nil {
				t.Errorf("and then: %v", err)
			}
		})
	}
}

func TestASlowProviderIsNotWaitedForLongerThanTheAttempt(t *testing.T) {
	t.Parallel()
	b := open(t, func(c *Config) { c.Timeouts.Total = 100 * time.Millisecond })
	b.site.Inject(partnertest.Hang(quotientAt))
	b.refused(b.about("fontanel"), connectors.Temporary, connectors.QuotientDown)
	if n := b.site.Count(quotientAt); n != 1 {
		t.Errorf("%d calls", n)
	}
	if d := Default(); d.Timeouts.Connect != 3*time.Second || d.Timeouts.Total != 20*time.Second || *d.Retries != 0 {
		t.Errorf("%+v", d.Timeouts)
	}
}

func TestDelaysAreToldInEveryForm(t *testing.T) {
	t.Parallel()
	b := open(t)
	if err := b.site.FailNext(apiparticuliertest.Order{Name: "maintenance", RetryIn: 1800, Times: 1}, apiparticuliertest.Order{Name: "network", Times: 1}); err != nil {
		t.Fatal(err)
	}
	if e, _ := b.refused(b.about("fontanel"), connectors.Temporary, connectors.QuotientMaintenance); e.After != 30*time.Minute {
		t.Errorf("maintenance: %s", e.After)
	}
	if e, why := b.refused(b.about("fontanel"), connectors.Temporary, connectors.QuotientDown); e.After != 10*time.Second || why.Code != "00501" {
		t.Errorf("network: %s %+v", e.After, why)
	}
	b.site.SetSwitches(func(s *apiparticuliertest.Switches) { s.FCPerMinute = 1 })
	if e, _ := b.refused(b.about("garrigue"), connectors.RateLimited, connectors.QuotientQuota); e.After <= 0 || e.After > time.Minute {
		t.Errorf("quota: %s", e.After)
	}
	now := time.Now()
	reset := &outbound.Answer{Status: 429, Header: http.Header{
		"Date": {now.UTC().Format(http.TimeFormat)}, "Ratelimit-Reset": {strconv.FormatInt(now.Add(40*time.Second).Unix(), 10)},
	}}
	if got := delay(reset, problem{}); got < 39*time.Second || got > 41*time.Second {
		t.Errorf("RateLimit-Reset: %s", got)
	}
	reset.Status = 422
	if got := delay(reset, problem{RetryIn: time.Second}); got != 0 {
		t.Errorf("a reset in an answer that is no limit: %s", got)
	}
}

func TestTheSameCallInProgressIsBusy(t *testing.T) {
	t.Parallel()
	b := open(t)
	b.refused(b.about("personne"), connectors.Rejected, connectors.QuotientToken) // its lock stays
	b.refused(b.about("fontanel"), connectors.Temporary, connectors.QuotientBusy)
}

func TestNothingIsSentThatMayNotBe(t *testing.T) {
	t.Parallel()
	b := open(t)
	change := func(one func(*connectors.QuotientQuestion)) connectors.QuotientQuestion {
		q := b.about("fontanel")
		one(&q)
		return q
	}
	b.refused(change(func(q *connectors.QuotientQuestion) { q.TokenBy = b.clock.Now() }), connectors.Rejected, connectors.QuotientToken)
	b.refused(change(func(q *connectors.QuotientQuestion) { q.TokenBy = time.Time{} }), connectors.Rejected, connectors.QuotientToken)
	for name, q := range map[string]connectors.QuotientQuestion{
		"no token":                change(func(q *connectors.QuotientQuestion) { q.Token = connectors.Secret{} }),
		"no recipient":            change(func(q *connectors.QuotientQuestion) { q.Recipient = "" }),
		"a SIRET that is none":    change(func(q *connectors.QuotientQuestion) { q.Recipient = "21040107100018" }),
		"a recipient with letter": change(func(q *connectors.QuotientQuestion) { q.Recipient = "2104010710001A" }),
		"a thirteenth month":      change(func(q *connectors.QuotientQuestion) { q.Month = &connectors.Month{Year: 2026, Month: 13} }),
		"no year":                 change(func(q *connectors.QuotientQuestion) { q.Month = &connectors.Month{Month: 3} }),
		"no scope":                change(func(q *connectors.QuotientQuestion) { q.Scopes = nil }),
		"only the address":        change(func(q *connectors.QuotientQuestion) { q.Scopes = []string{"cnaf_adresse"} }),
	} {
		t.Log(name)
		b.refused(q, connectors.Rejected, connectors.QuotientOurs)
	}
	if n := b.site.Count(quotientAt); n != 0 {
		t.Errorf("%d calls", n)
	}
	if !isSIRET("35600000000048") || !isSIRET("35600000012345") {
		t.Error("La Poste's")
	}
}

func TestHealthIsWhatTheApiSaysOfItself(t *testing.T) {
	t.Parallel()
	b := open(t)
	const ping = partnertest.Route("GET /api/cnaf_msa_quotient_familial/ping")
	if _, err := b.Health(t.Context()); err != nil {
		t.Errorf("%v", err)
	}
	for body, good := range map[string]bool{
		`{"status":"ok"}`: true, `{"status":"unknown"}`: true, `{"status":"bad_gateway"}`: false, `{}`: false,
	} {
		b.site.ClearFaults()
		b.site.Inject(partnertest.Answer(ping, 200, "application/json", body))
		if _, err := b.Health(t.Context()); (err == nil) != good {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestSettingsThatCannotWorkAreRefused(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*Config){
		"url: not an absolute URL":          func(c *Config) { c.URL = "particulier.api.gouv.fr" },
		"url: only scheme, host and path":   func(c *Config) { c.URL = "https://a:b@particulier.example" },
		"user_agent: printable":             func(c *Config) { c.UserAgent = "Passerelle\r\nX: y" },
		"retries: 3 is not between 0 and 2": func(c *Config) { three := 3; c.Retries = &three },
	} {
		c := Default()
		c.URL = "https://particulier.example"
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func FuzzAnswers(f *testing.F) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		f.Fatal(err, len(files))
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(200, text)
		f.Add(422, text)
	}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		family, err := readFamily(body, all)
		if err == nil && family.Quotient != nil {
			q := family.Quotient
			if q.Value != nil && (*q.Value < 0 || *q.Value > maxValue) || q.Month.Month < 1 || q.Month.Month > 12 {
				t.Errorf("%+v", q)
			}
			if _, err := json.Marshal(family); err != nil {
				t.Error(err)
			}
		}
		var e *connectors.Error
		var why *connectors.QuotientError
		err = explain(&outbound.Answer{Status: status, Header: http.Header{}, Body: body}, &connectors.Error{Class: connectors.Rejected}, connectors.NewSecret("a-token"))
		if !errors.As(err, &e) || !errors.As(err, &why) || e.Class == "" || why.Cause == "" || len(e.Detail) > connectors.MaxDetail ||
			e.After < 0 || e.After > outbound.MaxRetryAfter || len(why.Provider) > connectors.MaxDetail {
			t.Errorf("%v %v", err, why)
		}
	})
}

package apiparticuliertest

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/passerelle-hub/passerelle/connectors/franceconnect/franceconnecttest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

func TestAS1TheAnswersAreTheContractsSamples(t *testing.T) {
	t.Parallel()
	b := start(t)
	same(t, "success-cnaf-full.json", b.citizen("fontanel", majastres, "").want(200).Text)
	same(t, "success-unknown-birth-day-month.json", b.citizen("sissoko", majastres, "").want(200).Text)
	b.clock.Freeze(time.Date(2026, 10, 20, 8, 0, 0, 0, time.UTC))
	same(t, "success-msa.json", b.citizen("dornano", majastres, "").want(200).Text)
	b.clock.Freeze(september)
	qfOnly := b.identity("le-bihan", set("recipient", plouvenez))
	same(t, "success-qf-only.json", b.ask(keyPlou, qfOnly).want(200).Text)
}

func TestAS1TheErrorsAreTheContractsSamplesInBothNumberings(t *testing.T) {
	t.Parallel()
	b := start(t, unlimited, freed)
	staging := func(s *Switches) { s.Numbering, s.SourceNull = April, true }
	production := func(s *Switches) { s.Numbering, s.SourceNull = September, false }
	b.SetSwitches(production)
	same(t, "error-401-51502.json", b.citizen("personne", majastres, "").want(401).Text)
	same(t, "error-401-00103.json", b.ask("api-particulier-simulator-key-expired", b.identity("fontanel")).want(401).Text)
	same(t, "error-422-35560.json", b.citizen("marchand", majastres, "").want(422).Text)
	for name, ordered := range map[string]string{"error-502-35999.json": "unknown", "error-504-35002.json": "timeout"} {
		if err := b.FailNext(Order{Name: ordered, Times: 1}); err != nil {
			t.Fatal(err)
		}
		same(t, name, b.citizen("fontanel", majastres, "").Text)
	}
	b.SetSwitches(staging)
	same(t, "error-401-50002.json", b.citizen("personne", majastres, "").want(401).Text)
	same(t, "error-404-23003.json", b.citizen("perrin", majastres, "").want(404).Text)
	same(t, "error-404-35003.json", b.citizen("kowalczyk", majastres, "").want(404).Text)
	same(t, "error-422-00366.json", b.ask(keyMaj, b.identity("nowhere")).want(422).Text)
	b.SetSwitches(func(s *Switches) { s.FCPerMinute = 1 })
	same(t, "error-429-00429.json", b.citizen("fontanel", majastres, "").want(429).Text)
	b.mu.Lock()
	b.locks["identite?"+b.identity("garrigue").Encode()+"&"+keyMaj] = b.Now().Add(time.Second)
	b.mu.Unlock()
	same(t, "error-409-00015.json", b.ask(keyMaj, b.identity("garrigue")).want(409).Text)
}

func TestAS1EachParameterIsHeldToItsRule(t *testing.T) {
	t.Parallel()
	b := start(t, unlimited, freed)
	cases := map[string]struct {
		change func(url.Values)
		codes  string // "" for 200
	}{
		"as documented":                      {func(url.Values) {}, ""},
		"no recipient":                       {set("recipient"), "00203"},
		"a recipient that fails Luhn":        {set("recipient", "21040107100010"), "00210"},
		"an establishment of La Poste":       {set("recipient", "35600000012345"), ""},
		"no name":                            {set("nomNaissance"), "00420"},
		"a name with a digit":                {set("nomNaissance", "FONTANEL2"), "00420"},
		"a name with œ":                      {set("nomNaissance", "LEBŒUF"), "00420"},
		"a name of Latin Extended":           {set("nomNaissance", "Ştefan"), "00420"},
		"a name with a dot":                  {set("nomNaissance", "FONTANEL."), "00420"},
		"a name in lower case":               {set("nomNaissance", "fontanel"), ""},
		"no given name":                      {set("prenoms[]"), "00367"},
		"two given names in one":             {set("prenoms[]", "Élodie, Marguerite"), "00367"},
		"one given name is enough":           {set("prenoms[]", "Marguerite"), ""},
		"no sex":                             {set("sexeEtatCivil"), "00427"},
		"a sex of FranceConnect":             {set("sexeEtatCivil", "female"), "00427"},
		"another sex does not weigh":         {set("sexeEtatCivil", "M"), ""},
		"no country":                         {set("codeCogInseePaysNaissance"), "00400"},
		"a country in letters":               {set("codeCogInseePaysNaissance", "FR"), "00400"},
		"a country of the other form":        {set("codeCogInseePaysNaissance", "92352"), "35560"},
		"a commune that is none":             {set("codeCogInseeCommuneNaissance", "2C004"), "00365"},
		"no commune, since May 2026":         {set("codeCogInseeCommuneNaissance"), ""},
		"the commune's name and département": {also(set("codeCogInseeCommuneNaissance"), set("nomCommuneNaissance", "LYON"), set("codeCogInseeDepartementNaissance", "69")), ""},
		"another département":                {also(set("codeCogInseeCommuneNaissance"), set("nomCommuneNaissance", "LYON"), set("codeCogInseeDepartementNaissance", "38")), "35560"},
		"a département that is none":         {also(set("codeCogInseeCommuneNaissance"), set("nomCommuneNaissance", "LYON"), set("codeCogInseeDepartementNaissance", "96")), "00428"},
		"a commune's name alone":             {also(set("codeCogInseeCommuneNaissance"), set("nomCommuneNaissance", "LYON")), "00428"},
		"a name without the year": {also(set("codeCogInseeCommuneNaissance"), set("nomCommuneNaissance", "LYON"),
			set("codeCogInseeDepartementNaissance", "69"), set("anneeDateNaissance")), "00422"},
		"a year alone":                      {also(set("moisDateNaissance"), set("jourDateNaissance")), ""},
		"a month without a year is ignored": {set("anneeDateNaissance"), ""},
		"a day without a month is ignored":  {set("moisDateNaissance"), ""},
		"a year before 1900":                {set("anneeDateNaissance", "1899"), "00363"},
		"a date that is none":               {also(set("moisDateNaissance", "2"), set("jourDateNaissance", "30")), "00363"},
		"a date that is to come":            {also(set("anneeDateNaissance", "2026"), set("moisDateNaissance", "9"), set("jourDateNaissance", "21")), "00363"},
		"a year that is no number":          {set("anneeDateNaissance", "mille"), "00363"},
		"another year of birth":             {set("anneeDateNaissance", "1986"), "35560"},
		"both month and year":               {also(set("annee", "2026"), set("mois", "8")), ""},
		"a month that is to come":           {also(set("annee", "2026"), set("mois", "10")), "00354"},
		"a month alone is not checked":      {set("mois", "12"), "23003"},
		"a year alone takes this month":     {set("annee", "2025"), ""},
		"a month 13":                        {also(set("annee", "2026"), set("mois", "13")), "00354"},
		"a year before the last two":        {also(set("annee", "2023"), set("mois", "12")), "00356"},
		"23 months before":                  {also(set("annee", "2024"), set("mois", "10")), ""},
		"24 months before":                  {also(set("annee", "2024"), set("mois", "9")), "00355"},
		"a nom d'usage beside it":           {set("nomUsage", "BRESSAC"), ""},
		"everything wrong at once":          {also(set("recipient", "1"), set("sexeEtatCivil"), set("prenoms[]")), "00210 00427 00367"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := b.ask(keyMaj, b.identity("fontanel", c.change))
			r.t = t
			if c.codes == "" {
				r.want(200)
			} else if r.codes() != c.codes {
				t.Errorf("%s, want %s", r.Text, c.codes)
			}
		})
	}
	apostrophe := b.identity("dornano", set("nomNaissance", "D’ORNANO-PETIT"))
	b.ask(keyMaj, apostrophe).want(200)
	b.send("GET", "/v1/dss/quotient_familial/identite", keyMaj, "").refused(404, "00402")
	b.send("GET", "/v3/dss/quotient_familial/rien", keyMaj, "").want(404)
}

func also(list ...func(url.Values)) func(url.Values) {
	return func(v url.Values) {
		for _, one := range list {
			one(v)
		}
	}
}

func TestAS1KeysTellAboutThemselves(t *testing.T) {
	t.Parallel()
	b := start(t)
	own := b.send("GET", "/api/introspect", keyMaj, "").want(200)
	if own.get("data.siret") != majastres || own.get("data.scopes.0") != "cnaf_quotient_familial" || own.get("data.exp") == nil {
		t.Errorf("%s", own.Text)
	}
	if there := b.send("GET", "/v3/token/introspect?recipient="+majastres, keyEditor, "").want(200); there.get("data.siret") != majastres {
		t.Errorf("%s", there.Text)
	}
	b.send("GET", "/v3/token/introspect?recipient="+plouvenez, keyEditor, "").refused(403, "00213")
	b.send("GET", "/api/introspect", "inconnu", "").refused(401, "00101")
	for _, path := range []string{"/api/pings", "/api/cnaf_msa_quotient_familial/ping"} {
		b.send("GET", path, "", "").want(200)
	}
	if err := b.FailNext(Order{Name: "unavailable"}); err != nil {
		t.Fatal(err)
	}
	if got := b.send("GET", "/api/cnaf_msa_quotient_familial/ping", "", "").get("status"); got != "bad_gateway" {
		t.Errorf("%v", got)
	}
	b.ClearFailures()
	list := b.send("GET", "/api/errors?operation_id=api_particulier_v3_cnav_quotient_familial_with_civility", "", "").want(200)
	if !strings.Contains(list.Text, `"35560"`) || strings.Contains(list.Text, `"51502"`) || strings.Contains(list.Text, `"00366"`) || list.Header.Get("Cache-Control") != "public, max-age=3600" {
		t.Errorf("%s", list.Text)
	}
	b.SetSwitches(april)
	list = b.send("GET", "/api/errors?operation_id=api_particulier_v3_cnav_quotient_familial_with_france_connect", "", "").want(200)
	if !strings.Contains(list.Text, `"50002"`) || strings.Contains(list.Text, `"35560"`) {
		t.Errorf("%s", list.Text)
	}
	b.send("GET", "/api/errors", "", "").refused(400, "00401")
}

func TestAS2TheTokenIsCheckedWithFranceConnect(t *testing.T) {
	t.Parallel()
	clock := partnertest.NewFrozenClock(september)
	fc := franceconnecttest.New(franceconnecttest.Options{Clock: clock})
	t.Cleanup(func() { _ = fc.Close() })
	b := startWith(t, Options{Clock: clock, FranceConnect: &FranceConnect{
		CheckTokenURL: fc.CheckTokenURL(), ClientID: "api-particulier-simulator",
		ClientSecret: "franceconnect-simulator-data-provider-secret",
	}}, unlimited, freed)
	call := func(token string) result {
		t.Helper()
		return b.send("GET", byFC+"?recipient="+majastres, token, "")
	}
	const all = "openid identite_pivot cnaf_quotient_familial cnaf_allocataires cnaf_enfants"
	for person, code := range map[string]string{
		"fontanel": "", "garrigue": "", "dornano": "", "sissoko": "", "le-bihan": "", "delmas": "", "rouviere": "",
		"perrin": "23003", "kowalczyk": "35003", "marchand": "35560", "tessier": "35000", "leboeuf": "51564",
	} {
		r := call(token(t, fc, person, all))
		if code == "" {
			r.want(200)
		} else if r.codes() != code {
			t.Errorf("%s: %s, want %s", person, r.Text, code)
		}
	}
	if full := call(token(t, fc, "fontanel", all)).want(200); full.get("data.adresse") != nil || full.get("data.enfants.1.prenoms") != "NOE" {
		t.Errorf("%s", full.Text)
	}
	// What the token lacks is not there.
	value := call(token(t, fc, "fontanel", "openid identite_pivot cnaf_quotient_familial")).want(200)
	if value.get("data.quotient_familial.valeur") != 642.0 || value.get("data.allocataires") != nil || value.get("data.enfants") != nil {
		t.Errorf("%s", value.Text)
	}
	if alone := call(token(t, fc, "fontanel", "openid identite_pivot cnaf_adresse")).want(200); alone.get("data.quotient_familial") != nil || alone.get("data.adresse.pays") != "FRANCE" {
		t.Errorf("%s", alone.Text)
	}
	call(token(t, fc, "fontanel", "openid identite_pivot")).refused(403, "00100")
	lacking := call(token(t, fc, "fontanel", "openid cnaf_quotient_familial")).refused(401, "51503")
	if !strings.Contains(lacking.Text, "openid cnaf_quotient_familial.") {
		t.Errorf("%s", lacking.Text)
	}
	late := token(t, fc, "fontanel", all)
	clock.Advance(60 * time.Second)
	call(late).refused(401, "51502")
	b.SetSwitches(april)
	call(late).refused(401, "50002")
	call(token(t, fc, "leboeuf", all)).refused(422, "00420")
	b.SetSwitches(func(s *Switches) { s.Numbering = September })
	call("").refused(401, "51504")
	call(strings.Repeat("x", 5000)).refused(401, "51501")
	call(keyMaj).refused(401, "51502")
	fc.Inject(partnertest.Status("POST /**/checktoken", 500).For(1))
	call(late).refused(502, "51000")
	fc.Inject(partnertest.ResetBefore("POST /**/checktoken").For(1))
	call(late).refused(502, "51001")
}

// token logs a citizen in and gives his access token.
func token(t *testing.T, fc *franceconnecttest.Server, person, scopes string) string {
	t.Helper()
	if err := fc.SetAuto(person); err != nil {
		t.Fatal(err)
	}
	client := fc.Clients()[0]
	answer := noFollow(t, "GET", fc.Issuer()+"/authorize?"+url.Values{
		"client_id": {client.ID}, "response_type": {"code"}, "redirect_uri": {client.RedirectURIs[0]}, "acr_values": {"eidas1"},
		"scope": {scopes}, "state": {strings.Repeat("s", 32)}, "nonce": {strings.Repeat("n", 32)},
	}.Encode(), nil)
	back, err := url.Parse(answer.Header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	return decodeToken(t, noFollow(t, "POST", fc.Issuer()+"/token", url.Values{
		"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")}, "redirect_uri": {client.RedirectURIs[0]},
		"client_id": {client.ID}, "client_secret": {client.Secrets[0]},
	}))
}

func TestAS3StrangersOfOneRecipientCollide(t *testing.T) {
	t.Parallel()
	b := start(t, func(s *Switches) { s.ProviderDelay = Duration(150 * time.Millisecond) })
	first := make(chan result, 1)
	go func() { first <- b.citizen("fontanel", majastres, "") }()
	for b.Snapshot().Locks == 0 {
		time.Sleep(time.Millisecond)
	}
	b.citizen("garrigue", majastres, "").refused(409, "00015")
	b.citizen("garrigue", plouvenez, "").want(200) // another recipient
	(<-first).want(200)
	b.citizen("garrigue", majastres, "").want(200) // freed at the end
	if got := b.Snapshot(); got.Conflicts != 1 || got.MostRunning[majastres] != 1 {
		t.Errorf("%+v", got)
	}
}

func TestAS3TheLockStaysAfterARefusedPreCheck(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.citizen("personne", majastres, "").refused(401, "51502")
	b.citizen("fontanel", majastres, "").refused(409, "00015")
	b.Advance(lockLife)
	b.citizen("fontanel", majastres, "").want(200)
	b.ask(keyMaj, b.identity("fontanel", set("sexeEtatCivil"))).refused(422, "00427")
	b.ask(keyMaj, b.identity("fontanel", set("sexeEtatCivil"))).refused(409, "00015")
	b.SetSwitches(freed)
	b.ClearLocks()
	b.citizen("personne", majastres, "").refused(401, "51502")
	b.citizen("fontanel", majastres, "").want(200)
	// What the caisses refuse frees it.
	b.citizen("perrin", majastres, "").want(404)
	b.citizen("fontanel", majastres, "").want(200)
}

func TestAS3TheCacheOfADayDoesNotSeeTheMonth(t *testing.T) {
	t.Parallel()
	b := start(t)
	first := b.citizen("fontanel", majastres, "").want(200)
	if first.Header.Get("X-Response-Cached") != "false" || first.Header.Get("X-Cache-Expires-in") != "86400" || first.Header.Get("X-Request-ID") == "" {
		t.Errorf("%v", first.Header)
	}
	b.Advance(time.Hour)
	again := b.citizen("fontanel", majastres, "&annee=2026&mois=8").want(200)
	if again.Header.Get("X-Response-Cached") != "true" || again.Header.Get("X-Cache-Expires-in") != "82800" || again.get("data.quotient_familial.mois") != 9.0 {
		t.Errorf("the first answer comes again: %v %s", again.Header, again.Text)
	}
	fresh := b.citizen("fontanel", majastres, "&annee=2026&mois=8", "Cache-Control", "no-cache").want(200)
	if fresh.get("data.quotient_familial.mois") != 8.0 || fresh.get("data.quotient_familial.valeur") != 655.0 {
		t.Errorf("%s", fresh.Text)
	}
	value := 700
	if err := b.SetValue("fontanel-bressac", &value); err != nil {
		t.Fatal(err)
	}
	b.Advance(24*time.Hour - time.Second)
	b.citizen("fontanel", majastres, "").want(200)
	b.Advance(time.Second)
	if after := b.citizen("fontanel", majastres, "").want(200); after.get("data.quotient_familial.valeur") != 700.0 {
		t.Errorf("%s", after.Text)
	}
	// The call by identity knows the month; failures are not kept.
	if august := b.ask(keyMaj, b.identity("fontanel", set("annee", "2026"), set("mois", "8"))).want(200); august.get("data.quotient_familial.mois") != 8.0 {
		t.Errorf("%s", august.Text)
	}
	if err := b.FailNext(Order{Name: "timeout", Times: 1}); err != nil {
		t.Fatal(err)
	}
	b.citizen("garrigue", majastres, "").refused(504, "35002")
	b.citizen("garrigue", majastres, "").want(200)
	if err := b.SetValue("garrigue", nil); err != nil {
		t.Fatal(err)
	}
	if none := b.citizen("garrigue", majastres, "", "Cache-Control", "no-cache").want(200); none.get("data.quotient_familial.valeur") != nil {
		t.Errorf("%s", none.Text)
	}
}

func TestAS5TheCAFKnowsNothingAtTheBeginningOfAMonth(t *testing.T) {
	t.Parallel()
	b := start(t, unlimited, freed)
	for day, known := range map[string]bool{
		"2026-09-01T08:00": false, "2026-09-06T21:00": false, "2026-09-06T22:30": true, "2026-09-07T08:00": true, // Saturday the 5th
		"2025-02-09T08:00": false, "2025-02-10T08:00": true, // begins on a Saturday: after the 8th
		"2026-08-09T12:00": false, "2026-08-10T08:00": true,
	} {
		at, err := time.Parse("2006-01-02T15:04", day)
		if err != nil {
			t.Fatal(err)
		}
		b.clock.Freeze(at)
		b.ClearCache()
		r := b.citizen("fontanel", majastres, "")
		if known {
			r.want(200)
			continue
		}
		r.refused(404, "23003")
		before := monthOf(paris(at)).minus(1)
		earlier := b.citizen("fontanel", majastres, "&annee="+before.String()[:4]+"&mois="+before.String()[5:]).want(200)
		if earlier.get("data.quotient_familial.mois") != float64(before.month) {
			t.Errorf("%s: %s", day, earlier.Text)
		}
		// The MSA answers any day, for now, whatever was asked.
		msa := b.citizen("garrigue", majastres, "&annee="+before.String()[:4]+"&mois="+before.String()[5:]).want(200)
		if msa.get("data.quotient_familial.mois") != float64(before.minus(-1).month) || msa.get("data.quotient_familial.mois_calcul") != msa.get("data.quotient_familial.mois") {
			t.Errorf("%s: %s", day, msa.Text)
		}
	}
}

// The window begins on the 1st, ends on a Monday between the 4th and the 10th,
// and is one piece.
func TestTheEarlyWindowEndsOnAMonday(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		at := time.Date(rapid.IntRange(2020, 2040).Draw(rt, "year"), time.Month(rapid.IntRange(1, 12).Draw(rt, "month")), 1, 0, 0, 0, 0, time.UTC)
		last := 0
		for day := 1; day <= 28; day++ {
			if Early(at.AddDate(0, 0, day-1)) {
				if last != day-1 {
					rt.Fatalf("%s: day %d after day %d", at, day, last)
				}
				last = day
			}
		}
		if end := at.AddDate(0, 0, last); end.Weekday() != time.Monday || last < 3 || last > 9 {
			rt.Fatalf("%s: known from the %d, a %s", at, last+1, end.Weekday())
		}
	})
}

func TestAS6TheFamiliesCoverTheCases(t *testing.T) {
	t.Parallel()
	b := start(t, unlimited, freed, func(s *Switches) { s.SlowDelay = Duration(30 * time.Millisecond) })
	for person, want := range map[string]map[string]any{
		"fontanel": {"quotient_familial.fournisseur": "CNAF", "enfants.1.prenoms": "NOE", "allocataires.0.nom_naissance": "FONTANEL"},
		"dornano":  {"quotient_familial.fournisseur": "MSA", "allocataires.1.nom_naissance": "D'ORNANO-PETIT"},
		"le-bihan": {"quotient_familial.valeur": 318.0, "enfants.0": nil},
		"sissoko":  {"allocataires.0.date_naissance": "1990-00-00", "enfants.1.date_naissance": "0000-00-00"},
		"rouviere": {"allocataires.0.nom_naissance": "LAMBERT", "enfants.0.prenoms": "SAMI"},
		"delmas":   {"enfants.0.prenoms": "SAMI"},
	} {
		r := b.citizen(person, majastres, "").want(200)
		for path, value := range want {
			if got := r.get("data." + path); got != value {
				t.Errorf("%s: %s is %v, want %v", person, path, got, value)
			}
		}
	}
	if r := b.citizen("le-bihan", majastres, ""); !strings.Contains(r.Text, `"enfants":[]`) {
		t.Errorf("%s", r.Text)
	}
	for person, code := range map[string]string{
		"perrin": "23003", "kowalczyk": "35003", "marchand": "35560", "leboeuf": "51564",
	} {
		if r := b.citizen(person, majastres, ""); r.codes() != code {
			t.Errorf("%s: %s", person, r.Text)
		}
	}
	for person, code := range map[string]string{
		"msa-no-file": "10003", "rncps-no-file": "40003", "nowhere": "35561", "unexpected": "35000",
	} {
		if r := b.ask(keyMaj, b.identity(person)); r.codes() != code {
			t.Errorf("%s: %s", person, r.Text)
		}
	}
	for range 3 { // always the same
		if r := b.citizen("tessier", majastres, "").refused(502, "35000"); r.get("errors.0.meta.provider_error_code") != 40000.0 {
			t.Errorf("%s", r.Text)
		}
	}
	begin := time.Now()
	b.citizen("aubert", majastres, "").want(200)
	if took := time.Since(begin); took < 30*time.Millisecond {
		t.Errorf("slow in %s", took)
	}
	b.SetSwitches(april)
	for person, code := range map[string]string{"marchand": "00355", "nowhere": "00366", "unexpected": "35003"} {
		r := b.ask(keyMaj, b.identity(person))
		if r.codes() != code {
			t.Errorf("April, %s: %s", person, r.Text)
		}
	}
	if r := b.ask(keyMaj, b.identity("unexpected")); r.get("errors.0.title") != "Erreur inatendue" {
		t.Errorf("told apart by the title: %s", r.Text)
	}
}

package citizen_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"image/png"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"rsc.io/qr"
)

func TestACommuneIsFoundHoweverItsNameIsWritten(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1_000_000)
	s.france()
	for query, want := range map[string]string{
		"q=majastres":                    "Commune de Majastres",
		"q=MAJ":                          "Commune de Majastres",
		"q=  mairie de Majastres ":       "Commune de Majastres",
		"q=saint etienne":                "Commune de Saint Etienne, Commune de Saint-Étienne-les-Orgues",
		"q=St-Étienne":                   "Commune de Saint Etienne, Commune de Saint-Étienne-les-Orgues",
		"q=étienne orgues":               "Commune de Saint-Étienne-les-Orgues",
		"q=st":                           "Commune de Saint Denis, Commune de Saint Etienne, Commune de Saint-Étienne-les-Orgues, Commune de Strasbourg",
		"q=le havre":                     "Commune de Le Havre",
		"q=Havre":                        "Commune de Le Havre",
		"q=04270":                        "Commune de Majastres",
		"q=042":                          "Commune de Majastres, Commune de Saint-Étienne-les-Orgues",
		"q=04107":                        "Commune de Majastres",
		"q=(04) Majastres":               "Commune de Majastres",
		"q=saint étienne 42000":          "Commune de Saint Etienne",
		"q=saint étienne (42)":           "Commune de Saint Etienne",
		"q=04":                           "Commune de Majastres, Commune de Saint-Étienne-les-Orgues",
		"departement=04":                 "Commune de Majastres, Commune de Saint-Étienne-les-Orgues",
		"q=orgues&departement=42":        "",
		"q=2a":                           "Commune d'Ajaccio",
		"departement=2b":                 "Commune de Bastia",
		"q=2A004":                        "Commune d'Ajaccio",
		"q=20":                           "Commune d'Ajaccio, Commune de Bastia",
		"q=20200":                        "Commune de Bastia",
		"q=974":                          "Commune de Saint Denis",
		"q=97400":                        "Commune de Saint Denis",
		"q=97411":                        "Commune de Saint Denis",
		"q=paris 11e":                    "Ville de Paris",
		"q=Paris 18ème arrondissement":   "Ville de Paris",
		"q=75056":                        "Ville de Paris",
		"q=75120":                        "Ville de Paris",
		"q=75011":                        "Ville de Paris",
		"q=Lyon 3":                       "Commune de Lyon",
		"q=69123":                        "Commune de Lyon",
		"q=69003":                        "Commune de Lyon",
		"q=13016":                        "Commune de Marseille",
		"q=13055":                        "Commune de Marseille",
		"q=04270&type=ccas":              "Centre Communal d'Action Sociale – Majastres",
		"q=majastres&type=ccas":          "Centre Communal d'Action Sociale – Majastres",
		"q=75011&type=caisse_des_ecoles": "Caisse des Ecoles du 11eme Arrondissement – Paris",
		"q=bordeaux":                     "", // not active yet
		"q=saint amand":                  "", // suspended
		"q='; drop table receiver --":    "",
		"q=%":                            "",
		"q=majastres:* | !a":             "Commune de Majastres",
	} {
		values, err := url.ParseQuery(strings.ReplaceAll(query, ";", "%3B"))
		if strings.Contains(query, "%") {
			values, err = url.Values{"q": {"%"}}, nil
		}
		if err != nil {
			t.Fatal(err)
		}
		a := s.get("/collectivites?" + values.Encode())
		if a.status != http.StatusOK || a.names() != want {
			t.Errorf("%s: %d [%s], want [%s]", query, a.status, a.names(), want)
		}
	}
}

func TestWhatBelongsToACommuneIsOfferedApart(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1_000_000)
	s.france()
	a := s.get("/collectivites?q=majastres")
	if strings.Contains(a.names(), "Action") || !strings.Contains(a.body, "centres d’action sociale (CCAS) : 1") || !strings.Contains(a.body, "type=ccas") {
		t.Errorf("the CCAS is among the communes, or not offered: %s", a.body)
	}
	if a := s.get("/collectivites?q=loz%C3%A8re"); !strings.Contains(a.body, `href="/collectivites?departement=48"`) {
		t.Error("the name of a département leads nowhere")
	}
}

func TestASearchHasLimitsThatItExplains(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1_000_000)
	s.france()
	for query, says := range map[string]string{
		"q=" + strings.Repeat("a", 81): "80 caractères au plus",
		"q=%ff":                        "80 caractères au plus",
		"departement=99":               "Choisissez un département",
		"type=mairie":                  "Choisissez un type",
		"q=a&page=0":                   "Les pages vont de 1 à 50",
		"q=a&page=51":                  "Les pages vont de 1 à 50",
		"q=a&page=un":                  "Les pages vont de 1 à 50",
	} {
		if a := s.get("/collectivites?" + query); a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, says) || a.names() != "" {
			t.Errorf("%s: %d, want %q", query, a.status, says)
		}
	}
	if a := s.get("/collectivites?q=%3Cscript%3Ealert(1)%3C/script%3E"); a.status != http.StatusOK {
		t.Errorf("markup answers %d", a.status)
	}
	// Twenty on a page, all of them once.
	var many []receiver
	for i := range 45 {
		siret := "2109" + strings.Repeat("0", 6) + string(rune('0'+i/10)) + string(rune('0'+i%10)) + "11"
		many = append(many, receiver{siret: siret, cog: "90010", name: "COMMUNE DE BELLE " + string(rune('A'+i/10)) + string(rune('A'+i%10)), postal: "90000"})
	}
	s.add(many...)
	seen := map[string]bool{}
	for _, page := range []string{"1", "2", "3"} {
		for _, name := range strings.Split(s.get("/collectivites?q=belle&page="+page).names(), ", ") {
			if seen[name] {
				t.Errorf("%s is on two pages", name)
			}
			seen[name] = true
		}
	}
	if len(seen) != 45 {
		t.Errorf("%d on three pages, want 45", len(seen))
	}
	if a := s.get("/collectivites?q=belle&page=2"); !strings.Contains(a.body, "page=3") || !strings.Contains(a.body, "Résultats 21 à 40") {
		t.Error("the second page leads nowhere")
	}
}

func TestTheCompletionTellsEightAndWhereTheyAre(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1_000_000)
	s.france()
	var list []struct{ Name, Detail, Path string }
	a := s.get("/collectivites/suggestions?q=majas")
	if err := json.Unmarshal([]byte(a.body), &list); err != nil || len(list) != 2 {
		t.Fatalf("%v: %s", err, a.body)
	}
	if list[0].Name != "Commune de Majastres" || list[0].Detail != "04270, Alpes-de-Haute-Provence (04)" || list[0].Path != "/collectivites/21040107100019?cog=04107" {
		t.Errorf("%+v", list[0])
	}
	if a := s.get(list[1].Path); a.status != http.StatusOK || !strings.Contains(a.body, "Majastres") {
		t.Errorf("%s answers %d", list[1].Path, a.status)
	}
	if a := s.get("/collectivites/suggestions?q="); a.body != "[]\n" {
		t.Errorf("nothing typed: %s", a.body)
	}
	if a := s.get("/collectivites/suggestions?q=" + strings.Repeat("a", 81)); a.status != http.StatusUnprocessableEntity {
		t.Errorf("too long: %d", a.status)
	}
}

func TestACommunesPageStartsTheJourneyOfThatCommuneAlone(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1_000_000)
	s.france()
	for _, path := range []string{"/collectivites/21040107100019", "/collectivites/21040107100019/me_connecter", "/collectivites/21040107100019?cog=04107"} {
		a := s.get(path)
		for _, says := range []string{
			`action="/collectivites/21040107100019/demarrer"`, `name="cog" value="04107"`, "FranceConnect", `href="https://franceconnect.gouv.fr/"`,
			"Sans FranceConnect", "/collectivites/21040107100019/sans_france_connect", "Ne pas utiliser ce service n’est jamais un motif de refus",
		} {
			if a.status != http.StatusOK || !strings.Contains(a.body, says) {
				t.Errorf("%s: %d, does not say %s", path, a.status, says)
			}
		}
	}
	a := s.get("/collectivites/21040107100019?external_id=F%22%3E%3Cb&other=x")
	if raw := s.raw("/collectivites/21040107100019?external_id=F%22%3E%3Cb"); strings.Contains(raw, `F"><b`) {
		t.Error("a parameter is written as markup")
	}
	if !strings.Contains(a.body, `name="external_id"`) || strings.Contains(a.body, `name="other"`) {
		t.Error("what the editor's link carried is not handed on, or too much is")
	}
	if a := s.get("/collectivites/21040107100019?external_id=" + strings.Repeat("a", 3000)); a.status != http.StatusOK || strings.Contains(a.body, `name="external_id"`) {
		t.Error("a parameter without limit is handed on")
	}
}

func TestASiretOfSeveralCommunesAsksWhich(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1_000_000)
	s.france()
	a := s.get("/collectivites/21010001200012/me_connecter?external_id=F1")
	if a.status != http.StatusOK || a.names() != "Commune Nouvelle – Abergement, Commune Nouvelle – Abergement-de-Varey" || strings.Contains(a.body, "demarrer") {
		t.Fatalf("%d %s", a.status, a.names())
	}
	if !strings.Contains(a.body, `href="/collectivites/21010001200012/me_connecter?cog=01002&external_id=F1"`) {
		t.Errorf("the choice forgets where one was going: %s", a.body)
	}
	if a := s.get("/collectivites/21010001200012?cog=01002"); !strings.Contains(a.body, `name="cog" value="01002"`) || !strings.Contains(a.body, "/qr.svg?cog=01002") {
		t.Error("the chosen one's page is not its own")
	}
}

func TestACommuneThatReceivesNothingSaysWhatToDo(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1_000_000)
	s.france()
	for path, want := range map[string]struct {
		status int
		says   string
	}{
		"/collectivites/21590560100018":              {http.StatusOK, "ne peut pas recevoir votre quotient familial"},
		"/collectivites/21330063500017":              {http.StatusOK, "ne peut pas recevoir votre quotient familial"},
		"/collectivites/21330063500017/me_connecter": {http.StatusOK, "ne peut pas recevoir votre quotient familial"},
		"/collectivites/99999999999999":              {http.StatusNotFound, "n’est pas sur ce service"},
		"/collectivites/21040107100019?cog=99999":    {http.StatusNotFound, "n’est pas sur ce service"},
		"/collectivites/21040107100019?cog=%27":      {http.StatusNotFound, "n’est pas sur ce service"},
		"/collectivites/abc":                         {http.StatusNotFound, "n’est pas sur ce service"},
		"/collectivites/select?id=abc":               {http.StatusNotFound, "n’est pas sur ce service"},
		"/collectivities/..%2f..%2fx":                {http.StatusNotFound, "n’est pas sur ce service"},
	} {
		a := s.get(path)
		if a.status != want.status || !strings.Contains(a.body, want.says) || strings.Contains(a.body, "demarrer") || !strings.Contains(a.body, "attestation") {
			t.Errorf("%s: %d, want %d with %q and another way", path, a.status, want.status, want.says)
		}
		if strings.Contains(a.body, "révoquée") {
			t.Errorf("%s tells families why the commune lost its right", path)
		}
	}
}

func TestTodaysAddressesLeadToTheSamePages(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1_000_000)
	s.france()
	for path, want := range map[string]string{
		"/collectivites/select?id=21040107100019":       "/collectivites/21040107100019",
		"/collectivites/select?id=21010001200012-01002": "/collectivites/21010001200012?cog=01002",
		"/collectivities/21040107100019":                "/collectivites/21040107100019",
		"/collectivities/21040107100019/me_connecter":   "/collectivites/21040107100019/me_connecter",
		"/collectivities/21040107100019?external_id=F1": "/collectivites/21040107100019?external_id=F1",
		"/collectivites?q=210%20401%20071%2000019":      "/collectivites/21040107100019",
	} {
		if a := s.get(path); a.location != want || a.status < 300 || a.status > 399 {
			t.Errorf("%s: %d to %q, want %q", path, a.status, a.location, want)
		}
	}
}

func TestTheQRCodeIsWhatItsNameSays(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1_000_000)
	s.france()
	a := s.get("/collectivites/21040107100019/qr.png")
	img, err := png.Decode(bytes.NewReader([]byte(s.raw("/collectivites/21040107100019/qr.png"))))
	if err != nil || a.header.Get("Content-Type") != "image/png" || !strings.Contains(a.header.Get("Content-Disposition"), ".png") {
		t.Fatalf("%v, %v", err, a.header)
	}
	code, err := qr.Encode(s.url+"/collectivites/21040107100019", qr.M)
	if err != nil {
		t.Fatal(err)
	}
	const quiet = 4
	modules := code.Size + 2*quiet
	scale := img.Bounds().Dx() / modules
	if img.Bounds().Dx() != modules*scale || img.Bounds().Dx() < 480 {
		t.Errorf("%d pixels for %d modules", img.Bounds().Dx(), modules)
	}
	for y := range modules {
		for x := range modules {
			r, _, _, _ := img.At(x*scale+scale/2, y*scale+scale/2).RGBA()
			if black := r == 0; black != code.Black(x-quiet, y-quiet) {
				t.Fatalf("module %d,%d is wrong", x, y)
			}
		}
	}
	svg := s.get("/collectivites/21040107100019/qr.svg")
	if err := xml.Unmarshal([]byte(svg.body), new(struct{})); err != nil || svg.header.Get("Content-Type") != "image/svg+xml" {
		t.Errorf("%v, %v", err, svg.header)
	}
}

func TestNoPageRunsCodeOfItsOwnNorIsFramed(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1_000_000)
	s.france()
	for _, path := range pages {
		a := s.get(path)
		policy := a.header.Get("Content-Security-Policy")
		for _, rule := range []string{"default-src 'none'", "script-src 'self';", "style-src 'self';", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self' https://identite.exemple.fr"} {
			if !strings.Contains(policy+";", rule) {
				t.Errorf("%s: %q lacks %s", path, policy, rule)
			}
		}
		for name, want := range map[string]string{
			"Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Cache-Control": "no-store",
		} {
			if a.header.Get(name) != want {
				t.Errorf("%s: %s is %q", path, name, a.header.Get(name))
			}
		}
		for _, inline := range []string{"<style", "style=", " onclick", " onload", "javascript:", "<!--"} {
			if strings.Contains(a.body, inline) {
				t.Errorf("%s holds %s", path, inline)
			}
		}
		if strings.Count(a.body, "<script") != strings.Count(a.body, `<script src="/assets/`) {
			t.Errorf("%s holds a script of its own", path)
		}
	}
}

func TestTenThousandOpeningsOfOnePageFromOneAddressAreHeldBackByAPage(t *testing.T) {
	t.Parallel()
	s := newSite(t, 300)
	s.france()
	status := map[int]int{}
	var last answer
	for range 10_000 {
		a := s.get("/collectivites/21040107100019")
		status[a.status]++
		if a.status == http.StatusTooManyRequests {
			last = a
		}
	}
	// A window may begin while they come.
	if status[http.StatusOK] < 300 || status[http.StatusOK]+status[http.StatusTooManyRequests] != 10_000 || status[http.StatusTooManyRequests] < 1000 {
		t.Errorf("%v", status)
	}
	if !strings.Contains(last.body, "Attendez une minute") || last.header.Get("Retry-After") == "" || !strings.Contains(last.body, "attestation") {
		t.Errorf("the page of the limit: %v %s", last.header, last.body)
	}
	if a := s.get("/healthz"); a.status != http.StatusOK {
		t.Errorf("the rest of the hub answers %d", a.status)
	}
}

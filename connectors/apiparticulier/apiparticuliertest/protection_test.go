package apiparticuliertest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/internal/jose"
)

func noFollow(t *testing.T, method, target string, form url.Values) result {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answered, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answered.Body.Close() }()
	text, err := io.ReadAll(answered.Body)
	if err != nil {
		t.Fatal(err)
	}
	return result{t, answered.StatusCode, answered.Header, string(text)}
}

func decodeToken(t *testing.T, r result) string {
	t.Helper()
	var body struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(r.want(200).Text), &body); err != nil {
		t.Fatal(err)
	}
	return body.AccessToken
}

func TestAS4CallsByFranceConnectAreLimitedPerAddress(t *testing.T) {
	t.Parallel()
	b := start(t, freed)
	for i := range 30 {
		r := b.citizen("fontanel", majastres, "", "X-Forwarded-For", "192.0.2.1, 10.0.0.1").want(200)
		if r.Header.Get("RateLimit-Limit") != "30" || r.Header.Get("RateLimit-Remaining") != strconv.Itoa(29-i) {
			t.Fatalf("%d: %v", i, r.Header)
		}
	}
	b.Advance(20 * time.Second)
	full := b.citizen("personne", majastres, "", "X-Forwarded-For", "192.0.2.1").refused(429, "00429")
	if full.Header.Get("Retry-After") != "40" || full.Header.Get("RateLimit-Reset") != strconv.FormatInt(september.Add(time.Minute).Unix(), 10) {
		t.Errorf("%v", full.Header)
	}
	b.citizen("fontanel", plouvenez, "", "X-Forwarded-For", "192.0.2.1").refused(429, "00429") // all communes share it
	b.citizen("fontanel", majastres, "", "X-Forwarded-For", "192.0.2.2").want(200)
	b.Advance(40 * time.Second)
	b.citizen("fontanel", majastres, "", "X-Forwarded-For", "192.0.2.1").want(200)

	b.SetSwitches(func(s *Switches) { s.FCPerMinute, s.FCPerHour = -1, 40 })
	for range 7 { // 33 were counted before
		b.citizen("fontanel", majastres, "", "X-Forwarded-For", "192.0.2.1").want(200)
	}
	hour := b.citizen("fontanel", majastres, "", "X-Forwarded-For", "192.0.2.1")
	if hour.Status != 429 || hour.Header.Get("RateLimit-Limit") != "40" {
		t.Errorf("%d %v", hour.Status, hour.Header)
	}
}

func TestAS4CallsByKeyAreLimitedPerHabilitation(t *testing.T) {
	t.Parallel()
	b := start(t, func(s *Switches) { s.KeyPerMinute = 3 })
	ask := func(key string) result { return b.ask(key, b.identity("fontanel")) }
	ask(keyMaj).want(200)
	ask(keyEditor).want(200)
	ask(keyMaj).want(200)
	ask(keyEditor).refused(429, "00429") // its keys share it
	b.ask(keyPlou, b.identity("fontanel", set("recipient", plouvenez))).want(200)
	b.SetSwitches(april) // 20 a second
	for range 20 {
		ask(keyMaj).want(200)
	}
	if r := ask(keyMaj).refused(429, "00429"); r.Header.Get("Retry-After") != "1" {
		t.Errorf("%v", r.Header)
	}
	b.Advance(time.Second)
	ask(keyMaj).want(200)

	b.SetSwitches(func(s *Switches) { s.BanAfter = 5 })
	for range 5 {
		b.ask("inconnu", b.identity("fontanel"), "X-Forwarded-For", "192.0.2.9").want(401)
	}
	out := b.ask(keyMaj, b.identity("fontanel"), "X-Forwarded-For", "192.0.2.9")
	if out.Status != 403 || strings.HasPrefix(out.Header.Get("Content-Type"), "application/json") || len(b.Snapshot().Banned) != 1 {
		t.Errorf("%+v", out)
	}
	ask(keyMaj).want(200)
	b.Advance(banSpan)
	b.ask(keyMaj, b.identity("fontanel"), "X-Forwarded-For", "192.0.2.9").want(200)
}

func TestAS7FaultsOnDemand(t *testing.T) {
	t.Parallel()
	b := start(t, unlimited, freed)
	route := partnertest.Route("GET " + byFC)
	b.Inject(partnertest.HTML(route, 200).For(1))
	if r := b.citizen("fontanel", majastres, "").want(200); !strings.HasPrefix(r.Text, "<!DOCTYPE html>") {
		t.Errorf("%s", r.Text)
	}
	for name, fault := range map[string]partnertest.Fault{
		"reset": partnertest.ResetBefore(route), "half a body": partnertest.HalfBody(route),
	} {
		b.Inject(fault.For(1))
		req, err := http.NewRequestWithContext(t.Context(), "GET", b.URL()+byFC+"?recipient="+majastres, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer fc-fontanel")
		answered, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
		if err == nil {
			_, err = io.ReadAll(answered.Body)
			_ = answered.Body.Close()
		}
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	b.ClearCache()
	for _, o := range []Order{
		{Name: "unavailable", Times: 1},
		{Name: "maintenance", RetryIn: 120, Times: 1},
		{Status: 422, Code: "35777", Title: "Nouveau", Times: 1},
	} {
		if err := b.FailNext(o); err != nil {
			t.Fatal(err)
		}
	}
	b.citizen("fontanel", majastres, "").refused(502, "35001")
	if r := b.citizen("fontanel", majastres, "").refused(503, "35020"); r.get("errors.0.meta.retry_in") != 120.0 {
		t.Errorf("%s", r.Text)
	}
	b.citizen("fontanel", majastres, "").refused(422, "35777")
	b.citizen("fontanel", majastres, "").want(200) // 502, then 200
	if b.FailNext(Order{Name: "rien"}) == nil || b.FailNext(Order{Status: 200, Code: "1"}) == nil {
		t.Error("an order that cannot be is taken")
	}
	absent := b.citizen("perrin", majastres, "").want(404)
	if strings.Contains(absent.Text, "source") {
		t.Errorf("%s", absent.Text)
	}
	b.SetSwitches(func(s *Switches) { s.SourceNull, s.ExtraKeys = true, true })
	if null := b.citizen("perrin", majastres, "").want(404); !strings.Contains(null.Text, `"source":null`) || null.get("errors.0.nouvelle_cle") == nil {
		t.Errorf("%s", null.Text)
	}
	if extra := b.citizen("fontanel", majastres, "").want(200); extra.get("nouveau") != true || extra.get("data.nouvelle_cle.0") != 1.0 {
		t.Errorf("%s", extra.Text)
	}
}

func TestAS8AnEditorsKeyNeedsADelegation(t *testing.T) {
	t.Parallel()
	b := start(t, freed)
	ask := func(recipient, more string) result {
		values := b.identity("fontanel", set("recipient", recipient))
		if more != "" {
			values.Set("delegation_id", more)
		}
		return b.ask(keyEditor, values)
	}
	ask(majastres, "").want(200)
	ask(plouvenez, "").refused(403, "00213") // revoked
	ask("", "").refused(422, "00203")
	b.AddDelegation(Delegation{ID: "d3", Editor: "Logiciel Enfance", Habilitation: "49001"})
	ask(majastres, "").refused(422, "00212")
	ask(majastres, "d3").want(200)
	ask(majastres, "inconnue").refused(403, "00213")
	list := b.send("GET", "/editeur/api/v1/delegations?per_page=2", keyEditor, "").want(200)
	if list.get("meta.total") != 3.0 || list.get("meta.total_pages") != 2.0 || list.get("data.1.statut") != "revoked" || list.get("data.0.siret") != majastres {
		t.Errorf("%s", list.Text)
	}
	if last := b.send("GET", "/editeur/api/v1/delegations?per_page=2&page=2", keyEditor, "").want(200); last.get("data.0.id") != "d3" {
		t.Errorf("%s", last.Text)
	}
	b.send("GET", "/editeur/api/v1/delegations", keyMaj, "").refused(403, "00100")
	for key, code := range map[string]string{
		"api-particulier-simulator-key-expired": "00103", "api-particulier-simulator-key-blacklisted": "00105", "inconnu": "00101",
	} {
		b.ask(key, b.identity("fontanel")).refused(401, code)
	}
	// A classic key for another recipient is audited, not refused.
	b.ask(keyMaj, b.identity("fontanel", set("recipient", plouvenez))).want(200)
	if got := b.Snapshot().ForeignRecipients; got != 1 {
		t.Errorf("%d", got)
	}
}

func TestAS8ListsAndProofsAreLoggedThenEnforced(t *testing.T) {
	t.Parallel()
	b := start(t, unlimited, freed)
	proving, err := jose.GenerateKey(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	thumbprint, err := proving.Public().Thumbprint()
	if err != nil {
		t.Fatal(err)
	}
	b.AddKey(Key{Token: "liee", Habilitation: "49001", ExpiresAt: september.AddDate(1, 0, 0), IPs: []string{"192.0.2.0/24"}, DPoPJKT: thumbprint})
	number := 0
	proof := func(key jose.PrivateKey, token string) string {
		t.Helper()
		number++
		text, err := key.SignDPoP("preuve-"+strconv.Itoa(number), jose.DPoPCall{Method: "GET", URL: b.URL() + byID, AccessToken: token, Now: b.Now()})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	ask := func(header ...string) result { return b.ask("liee", b.identity("fontanel"), header...) }
	ask().want(200)
	if got := b.Snapshot().Breaches; got["ip"] != 1 || got["dpop"] != 1 {
		t.Errorf("logged: %v", got)
	}
	b.SetSwitches(func(s *Switches) { s.IPList, s.DPoP = Enforced, Off })
	if r := ask().refused(403, "00107"); r.get("errors.0.source.header") != "X-Forwarded-For" {
		t.Errorf("%s", r.Text)
	}
	ask("X-Forwarded-For", "192.0.2.7").want(200)
	b.SetSwitches(func(s *Switches) { s.IPList, s.DPoP = Off, Enforced })
	ask().want(403)
	good := proof(proving, "liee")
	ask("DPoP", good).want(200)
	ask("DPoP", good).want(403) // a proof serves once
	ask("DPoP", proof(proving, "autre")).want(403)
	other, err := jose.GenerateKey(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	ask("DPoP", proof(other, "liee")).want(403)
	late := proof(proving, "liee")
	b.Advance(2 * time.Minute)
	ask("DPoP", late).want(403)

	// Proofs for the caller, where the switch is on.
	asked := func() result { return b.ask(keyMaj, b.identity("garrigue"), "X-Generate-Proof", "pdf") }
	if r := asked().want(200); r.get("meta.pdf_verification_code") != nil {
		t.Errorf("%s", r.Text)
	}
	b.SetSwitches(func(s *Switches) { s.Proofs = true })
	r := asked().want(200)
	link, _ := r.get("links.attestation_pdf").(string)
	if r.get("meta.pdf_link_expires_in") != 300.0 || link == "" {
		t.Fatalf("%s", r.Text)
	}
	noFollow(t, "GET", link, nil).want(200)
	b.Advance(pdfLife)
	noFollow(t, "GET", link, nil).want(410)
	noFollow(t, "GET", b.URL()+"/attestations/rien.pdf", nil).want(404)
}

func TestAS9CallsAreCounted(t *testing.T) {
	t.Parallel()
	b := start(t, unlimited, freed, func(s *Switches) { s.ProviderDelay = Duration(20 * time.Millisecond) })
	var all sync.WaitGroup
	for i := range 4 {
		// Another query each: no lock between them.
		all.Go(func() { b.citizen("fontanel", majastres, "&x="+strconv.Itoa(i), "Cache-Control", "no-cache").want(200) })
	}
	all.Wait()
	b.Advance(time.Minute)
	for _, m := range []string{"7", "8"} {
		b.ask(keyMaj, b.identity("fontanel", set("annee", "2026"), set("mois", m))).want(200)
	}
	got := b.Snapshot()
	if got.PerMinute[majastres]["2026-09-21T08:00"] != 4 || got.PerMinute[majastres]["2026-09-21T08:01"] != 2 {
		t.Errorf("%v", got.PerMinute)
	}
	if got.MostRunning[majastres] < 2 || got.Identities != 1 || got.MostMonths != 3 || got.MostRepeats != 4 {
		t.Errorf("%+v", got)
	}
	state := b.send("GET", "/_admin/state", "", "").want(200)
	for _, private := range []string{"FONTANEL", "fc-fontanel", keyMaj, "642"} {
		if strings.Contains(state.Text, private) {
			t.Errorf("the state holds %s", private)
		}
	}
	if leaks := b.Leaks(); len(leaks) != 0 {
		t.Errorf("%v", leaks)
	}
	b.Reset()
	if got := b.Snapshot(); got.Identities != 0 || len(got.PerMinute) != 0 || got.Switches.FCPerMinute != 30 {
		t.Errorf("%+v", got)
	}
}

func TestTheControlAPI(t *testing.T) {
	t.Parallel()
	b := start(t, unlimited, freed)
	admin := func(method, path, body string) result {
		t.Helper()
		return b.send(method, "/_admin/"+path, "", body)
	}
	admin("POST", "failures", `[{"name":"timeout","times":1},{"name":"internal"}]`).want(204)
	b.citizen("fontanel", majastres, "").refused(504, "35002")
	b.citizen("fontanel", majastres, "").refused(502, "35000")
	admin("DELETE", "failures", "").want(204)
	admin("POST", "failures", `{"name":"rien"}`).want(400)
	if names := admin("GET", "failures", "").want(200); !strings.Contains(names.Text, `"no_file_cnaf"`) {
		t.Errorf("%s", names.Text)
	}
	if r := admin("POST", "switches", `{"numbering":"april","provider_delay":"1ms"}`).want(200); r.get("numbering") != "april" || r.get("fc_per_minute") != -1.0 {
		t.Errorf("%s", r.Text)
	}
	admin("POST", "switches", `{"numero":"april"}`).want(400)
	admin("POST", "keys", `{"token":"neuve","habilitation":"49002","expires_at":"2027-01-01T00:00:00Z"}`).want(204)
	b.ask("neuve", b.identity("fontanel", set("recipient", plouvenez))).want(200)
	admin("POST", "keys", `{"token":"neuve"}`).want(400)
	admin("POST", "delegations", `{"id":"d9","editor":"Logiciel Enfance","habilitation":"49002"}`).want(204)
	b.ask(keyEditor, b.identity("fontanel", set("recipient", plouvenez))).want(200)
	admin("POST", "delegations", `{"id":"d9","habilitation":"rien"}`).want(400)
	admin("POST", "families/sissoko", `{"value":300}`).want(204)
	if r := b.citizen("sissoko", majastres, "").want(200); r.get("data.quotient_familial.valeur") != 300.0 {
		t.Errorf("%s", r.Text)
	}
	admin("POST", "families/rien", `{"value":300}`).want(400)
	admin("POST", "cache/clear", "").want(204)
	admin("POST", "locks/clear", "").want(204)
	if got := admin("GET", "state", "").want(200); got.get("cached") != 0.0 || got.get("locks") != 0.0 {
		t.Errorf("%s", got.Text)
	}
}

func TestOneLineDescribesTheSimulator(t *testing.T) {
	t.Parallel()
	b := start(t)
	line := b.Describe()
	var got struct {
		Partner     string              `json:"partner"`
		API         string              `json:"api"`
		FCTokens    []string            `json:"france_connect_tokens"`
		Credentials []map[string]string `json:"credentials"`
	}
	if err := json.Unmarshal([]byte(line), &got); err != nil || strings.Contains(line, "\n") {
		t.Fatal(err, line)
	}
	if got.Partner != "api-particulier" || len(got.Credentials) != 3 || len(got.FCTokens) != 14 {
		t.Errorf("%s", line)
	}
	for _, c := range got.Credentials {
		recipient := c["recipient"]
		if recipient == "" {
			recipient = majastres
		}
		r := b.ask(c["token"], b.identity("fontanel", set("recipient", recipient)))
		r.want(200)
	}
}

func TestASeedThatCannotBeIsRefused(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "graine.yml")
	for text, fault := range map[string]string{
		"family: []":                         "line 1",
		"families: [{id: a, fund: CAF}]":     "fund",
		"habilitations: [{id: a, siret: 1}]": "no SIRET",
		"habilitations: [{id: a, siret: '21040107100019', ips: [ici]}]": "ips",
		"keys: [{token: a}]":                             "one habilitation, or of an editor",
		"keys: [{token: a, habilitation: b}]":            "one habilitation, or of an editor",
		"delegations: [{id: a, habilitation: b}]":        "no habilitation",
		"france_connect_tokens: [{token: a, person: b}]": "no person",
		"people: [{id: a, family: b, identity: {family_name: A, given_names: [B], birthdate: '1990'}}]":        "a family, or an outcome",
		"people: [{id: a, outcome: rien, identity: {family_name: A, given_names: [B], birthdate: '1990'}}]":    "no outcome",
		"people: [{id: a, outcome: no_file, identity: {family_name: A, given_names: [B], birthdate: '1990'}}]": "fund is",
		"people: [{id: a, outcome: broken, identity: {family_name: A}}]":                                       "are needed",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		seed, err := LoadSeed(file)
		if err == nil {
			var s *Server
			if s, err = Start(Options{Seed: seed}); err == nil {
				_ = s.Close()
			}
		}
		if err == nil || !strings.Contains(err.Error(), fault) {
			t.Errorf("%s: %v, want %q", text, err, fault)
		}
	}
}

func FuzzWhateverIsAskedItIsAnswered(f *testing.F) {
	f.Add(byFC, "recipient="+majastres+"&annee=2026&mois=9", "fc-fontanel")
	f.Add(byID, "recipient="+majastres+"&nomNaissance=A&prenoms[]=B&anneeDateNaissance=-1&moisDateNaissance=99", keyMaj)
	f.Add("/editeur/api/v1/delegations", "page=-1&per_page=0", keyEditor)
	s := New(Options{})
	f.Cleanup(func() { _ = s.Close() })
	s.SetSwitches(func(s *Switches) { unlimited(s); freed(s); s.SlowDelay = 1 })
	handler := s.router()
	f.Fuzz(func(t *testing.T, path, query, token string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://api.test/?"+query, nil)
		if err != nil || !strings.HasPrefix(path, "/") {
			return
		}
		req.URL.Path = path
		req.Header.Set("Authorization", "Bearer "+token)
		w := &recorder{header: http.Header{}}
		handler.ServeHTTP(w, req)
		if w.status == http.StatusInternalServerError || w.status == 0 {
			t.Errorf("%s?%s: %d %s", path, query, w.status, w.body.String())
		}
	})
}

type recorder struct {
	header http.Header
	status int
	body   strings.Builder
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }

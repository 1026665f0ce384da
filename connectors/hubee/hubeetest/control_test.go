package hubeetest

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

func TestHS12FaultsStrikeEachRoute(t *testing.T) {
	t.Parallel()
	b := start(t)
	post := partnertest.Route("POST " + folders)
	header := b.as(OSL).Clone()
	header.Set("Content-Type", "application/json")
	do := func(reference string) (int, error) {
		req, err := http.NewRequestWithContext(t.Context(), "POST", b.URL()+folders, strings.NewReader(compactJSON(newFolder(reference))))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = header
		answered, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
		if err != nil {
			return 0, err
		}
		defer func() { _ = answered.Body.Close() }()
		_, err = io.ReadAll(answered.Body)
		return answered.StatusCode, err
	}
	made := func(reference string) int { return len(b.Folders("Formulaire-QF-" + reference)) }
	for name, c := range map[string]struct {
		fault  partnertest.Fault
		status int  // 0 for an error
		worked bool // the folder is there all the same
	}{
		"Reset":   {partnertest.ResetBefore(post), 0, false},
		"Lost":    {partnertest.ResetAfter(post), 0, true},
		"Half":    {partnertest.HalfBody(post), 201, true},
		"Five":    {partnertest.Status(post, 500), 500, false},
		"Html":    {partnertest.HTML(post, 200), 200, false},
		"Delayed": {partnertest.Delay(post, 10*time.Millisecond), 201, true},
	} {
		b.Inject(c.fault.For(1))
		status, err := do(name)
		if status != c.status || (err != nil) != (c.status == 0 || name == "Half") || (made(name) == 1) != c.worked {
			t.Errorf("%s: %d %v, %d folders", name, status, err, made(name))
		}
	}
	if status, err := do("Five"); status != 201 || err != nil {
		t.Errorf("500, then 201: %d %v", status, err)
	}

	// The gateway wraps a refused upload.
	b.SetSwitches(func(s *Switches) { s.GatewayWrapsRefusals = true })
	folder := b.call(OSL, "POST", folders, newFolder("W")).want(201)
	at := folders + "/" + folder.str("id") + "/attachments/" + folder.str("attachments.0.id")
	b.put(OSL, at, []byte("trop long")).refused(500, "Bad Response : Validation failed.\n[ERROR][RESPONSE][PUT "+at+
		"] [Path '/errors'] Instance type (object) does not match any allowed primitive type (allowed: [\"array\"])")

	// gzip for those who accept it.
	b.SetSwitches(func(s *Switches) { s.Gzip = true })
	header = b.as(OSL).Clone()
	plain := b.send("GET", folders+"/"+seedFolder, header, nil).want(200)
	header.Set("Accept-Encoding", "gzip")
	packed := b.send("GET", folders+"/"+seedFolder, header, nil).want(200)
	reader, err := gzip.NewReader(strings.NewReader(packed.Text))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(reader); err != nil || string(text) != plain.Text || packed.Header.Get("Content-Encoding") != "gzip" {
		t.Errorf("%v %s", err, text)
	}

	// 401 in mid-run: the token dies between two calls.
	b.ExpireTokens()
	b.send("GET", folders+"/"+seedFolder, header, nil).want(401)
}

func TestHS13TheControlAPIPlaysHubEEsStaffAndTheCommune(t *testing.T) {
	t.Parallel()
	b := start(t)
	admin := func(method, path string, body any) result {
		t.Helper()
		var text []byte
		if body != nil {
			text = []byte(compactJSON(body))
		}
		return b.send(method, "/_admin/"+path, nil, text)
	}
	admin("POST", "cases/"+seedCase+"/marks", object{"status": "IN_PROGRESS", "message": "Vu", "author": "Service périscolaire"}).want(204)
	if got := b.statusOf(seedCase); got != InProgress {
		t.Errorf("%s", got)
	}
	if got := b.Totals().Notifications[dinum.String()]; got != 2 {
		t.Errorf("%d notifications of the OSL", got)
	}
	admin("POST", "cases/"+seedCase+"/marks", object{"status": "HUBEE_COMPLETED"}).want(400)
	admin("POST", "cases/"+nobody+"/marks", object{"status": "DONE"}).want(400)
	admin("POST", "cases/"+seedCase+"/marks", object{"statut": "DONE"}).want(400)

	admin("POST", "subscriptions/"+seedIdle+"/activate", object{"after": "1h", "editor": "EDT-91234567500017-35238"}).want(204)
	admin("POST", "clock", object{"advance": "1h"}).want(200)
	b.tokens = map[Actor]string{}
	if got := b.call(OSL, "GET", subscriptions+"/"+seedIdle, nil).want(200); got.str("status") != active {
		t.Errorf("%s", got.Text)
	}
	admin("POST", "subscriptions/"+seedActive+"/status", object{"status": "Suspendu"}).want(204)
	b.call(OSL, "POST", folders, newFolder("S")).refused(400, "Case recipient SI-21040107100019-04107 does not suscribed to FormulaireQF")
	admin("POST", "subscriptions/"+seedActive+"/status", object{"status": "Actif"}).want(204)

	if got := admin("GET", "attachments/"+seedJSON, nil).want(200); len(got.Text) != 1606 {
		t.Errorf("%d bytes", len(got.Text))
	}
	admin("POST", "attachments/"+seedJSON+"/status", object{"status": "CORRUPTED"}).want(204)
	admin("GET", "attachments/"+seedJSON, nil).want(404)

	// Mails leave only where the subscription asks for one each time.
	mails := admin("GET", "mails", nil).want(200).list()
	if len(mails) != 1 || mails[0].(map[string]any)["processCode"] != "ProactiviteCnousBoursiers" {
		t.Errorf("%v", mails)
	}
	if got := admin("POST", "switches", object{"rules": "strict"}).want(200); got.str("rules") != "strict" {
		t.Errorf("%s", got.Text)
	}
	b.mark(SI, foreignOne, Done).refused(403, "Unauthorized user")
	admin("POST", "credentials", object{"actor": "SI", "client_id": "neuf", "organization": majastres.String()}).want(204)
	if got := admin("GET", "credentials", nil).want(200); !strings.Contains(got.Text, `"client_id":"neuf"`) {
		t.Errorf("%s", got.Text)
	}
	admin("DELETE", "credentials/neuf", nil).want(204)
	admin("POST", "tokens/expire", nil).want(204)
	b.send("GET", notifications, b.as(OSL), nil).want(401)
	if got := admin("GET", "calls?route=POST+/oauth2/token", nil).want(200); got.get("counts.POST /oauth2/token") == nil || len(got.get("leaks").([]any)) != 0 {
		t.Errorf("%s", got.Text)
	}

	var state Snapshot
	decode(t, admin("GET", "state", nil).want(200).Text, &state)
	if len(state.Folders) != 2 || state.Totals.Folders != 2 || len(state.Subscriptions) != 3 {
		t.Errorf("%+v", state)
	}
	if strings.Contains(compactJSON(state), "FONTANEL") || strings.Contains(compactJSON(state), "hubee-simulator-osl-secret") {
		t.Error("the state names a person or a secret")
	}
	admin("POST", "reset", nil).want(204)
	if got := b.stored(seedCase); got != HubeeNotified {
		t.Errorf("after the reset: %s", got)
	}
}

// stored reads the state, without a token.
func (b *bundle) stored(caseID string) Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.cases[caseID].status
}

func TestOneLineDescribesTheSimulator(t *testing.T) {
	t.Parallel()
	b := start(t)
	line := b.Describe()
	if strings.Contains(line, "\n") {
		t.Errorf("%q", line)
	}
	var got struct {
		Partner     string              `json:"partner"`
		API         string              `json:"api"`
		TokenURL    string              `json:"token_url"`
		Credentials []map[string]any    `json:"credentials"`
		Rest        map[string]struct{} `json:"-"`
	}
	decode(t, line, &got)
	if got.Partner != "hubee" || got.API != b.URL() || got.TokenURL != b.TokenURL() || len(got.Credentials) != 4 {
		t.Errorf("%s", line)
	}
	for _, c := range got.Credentials {
		pair := Credential{ClientID: c["client_id"].(string), ClientSecret: c["client_secret"].(string)}
		b.token(pair, c["actor"].(string)).want(200)
	}
}

func TestASeedIsAFileOrSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	write("a.json", `{}`)
	const people = `
processes: [{code: FormulaireQF, name: QF}]
organizations:
- {type: OSL, companyRegister: "13002526500013", branchCode: "75107", name: D, postalCode: "75007", territory: "75", email: a@bb.fr, status: Actif}
- {type: SI, companyRegister: "21040107100019", branchCode: "04107", name: M, postalCode: "04270", territory: "04", email: a@bb.fr, status: Actif}
subscriptions:
- {processCode: FormulaireQF, status: Actif, notificationFrequency: Aucune, subscriber: {type: SI, companyRegister: "21040107100019", branchCode: "04107"}}
faults: [{route: GET /**, kind: status, status: 503, times: 1}]
switches: {notify_after: 5m}
folders:
- processCode: FormulaireQF
  externalId: F
  transmitter: {type: OSL, companyRegister: "13002526500013", branchCode: "75107"}
  cases: [{externalId: F-01, recipient: {type: SI, companyRegister: "21040107100019", branchCode: "04107"}}]
  attachments: [{fileName: a.json, type: T, mimeType: application/json, FILE}]
`
	seed, err := LoadSeed(write("good.yml", strings.Replace(people, "FILE", "file: a.json", 1)))
	if err != nil {
		t.Fatal(err)
	}
	s, err := Start(Options{Seed: seed})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if f := s.Folders("F"); len(f) != 1 || !f[0].Complete() || f[0].GlobalStatus != HubeeCompleted {
		t.Errorf("notified after five minutes: %+v", f)
	}
	if len(s.Faults()) != 1 {
		t.Error("the seed's fault is not in place")
	}
	for name, c := range map[string]struct{ text, fault string }{
		"an unknown key":          {"folder: []", "line 1"},
		"a content that is wrong": {strings.Replace(people, "FILE", "content: '{'", 1), "Mime type does not match"},
		"a file that is missing":  {strings.Replace(people, "FILE", "file: b.json", 1), "b.json"},
		"nobody receives":         {strings.Replace(strings.Replace(people, "FILE", "file: a.json", 1), "status: Actif, notif", "status: Inactif, notif", 1), "does not suscribed"},
	} {
		seed, err := LoadSeed(write("bad.yml", c.text))
		if err == nil {
			var s *Server
			if s, err = Start(Options{Seed: seed}); err == nil {
				_ = s.Close()
			}
		}
		if err == nil || !strings.Contains(err.Error(), c.fault) {
			t.Errorf("%s: %v, want %q", name, err, c.fault)
		}
	}
}

func FuzzWhateverIsSentItIsAnswered(f *testing.F) {
	body, _ := json.Marshal(newFolder("Z"))
	f.Add("POST", folders, string(body))
	f.Add("PATCH", folders+"/"+seedFolder, `{"globalStatus":"CLOSED"}`)
	f.Add("POST", casesPath+"/"+seedCase+"/events", `{"actionType":"ATTACH_DEPOSIT","notification":true,"attachments":[{}]}`)
	f.Add("POST", subscriptions, `{"subscriber":null,"localAdministrator":[]}`)
	f.Add("GET", notifications+"?maxResult=-1e3", ``)
	s := New(Options{})
	f.Cleanup(func() { _ = s.Close() })
	all := s.AddCredential(Credential{Actor: Admin, Scopes: []string{"ADMIN"}})
	s.mu.Lock()
	s.tokens["fuzz"] = accessToken{credential: all, scopes: all.Scopes, expires: time.Now().Add(time.Hour)}
	s.mu.Unlock()
	handler := s.router()
	f.Fuzz(func(t *testing.T, method, target, body string) {
		if !strings.HasPrefix(target, "/") {
			return
		}
		req, err := http.NewRequestWithContext(t.Context(), method, "http://hubee.test"+target, strings.NewReader(body))
		if err != nil {
			return
		}
		req.Header = http.Header{"Authorization": {"Bearer fuzz"}, "Content-Type": {"application/json"}}
		w := &recorder{header: http.Header{}}
		handler.ServeHTTP(w, req)
		if w.status == http.StatusInternalServerError || w.status == 0 {
			t.Errorf("%s %s: %d %s", method, target, w.status, w.body.String())
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

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

// described is what every simulator says of itself.
type described struct {
	Partner     string `json:"partner"`
	API         string `json:"api"`
	TokenURL    string `json:"token_url"`
	Admin       string `json:"admin"`
	Issuer      string `json:"issuer"`
	CheckToken  string `json:"checktoken_url"`
	SMTP        string `json:"smtp"`
	Credentials []struct {
		Actor        string   `json:"actor"`
		ClientID     string   `json:"client_id"`
		ClientSecret string   `json:"client_secret"`
		RedirectURIs []string `json:"redirect_uris"`
		Token        string   `json:"token"`
		Recipient    string   `json:"recipient"`
	} `json:"credentials"`
	text string
}

// simulating runs `passerelle simulate` until the test ends, which must be with
// status 0 and nothing more on stdout than the one line.
func simulating(t *testing.T, args ...string) described {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	read, write := io.Pipe()
	var log bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		status := run(ctx, environment{stdout: write, stderr: &log}, append([]string{"simulate"}, args...))
		_ = write.Close()
		ended <- status
	}()
	lines := bufio.NewScanner(read)
	lines.Scan()
	d := described{text: lines.Text()}
	t.Cleanup(func() {
		stop()
		if lines.Scan() {
			t.Errorf("more than one line on stdout: %q", lines.Text())
		}
		if status := <-ended; status != 0 {
			t.Errorf("simulate %q ended with %d: %s", args, status, log.String())
		}
	})
	if err := json.Unmarshal([]byte(d.text), &d); err != nil {
		t.Fatalf("simulate %q says %q: %v", args, d.text, err)
	}
	return d
}

// once is a client that does not try a call again on a connection that died.
var once = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// fetch gives status and body of a call.
func fetch(t *testing.T, method, at string, header http.Header, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, at, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	resp, err := once.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return resp.StatusCode, "cut: " + err.Error()
	}
	return resp.StatusCode, string(text)
}

func TestASimulatedHubEEHoldsOneCompleteFolderThatItsCommuneCanRead(t *testing.T) {
	t.Parallel()
	d := simulating(t, "hubee")
	var token struct {
		AccessToken string `json:"access_token"`
	}
	for _, c := range d.Credentials {
		if c.Actor != "SI" {
			continue
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.TokenURL,
			strings.NewReader(url.Values{"grant_type": {"client_credentials"}, "scope": {"SI"}}.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth(c.ClientID, c.ClientSecret)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		err = json.NewDecoder(resp.Body).Decode(&token)
		if err != nil || resp.Body.Close() != nil {
			t.Fatal(err)
		}
	}
	as := http.Header{"Authorization": {"Bearer " + token.AccessToken}}
	status, text := fetch(t, http.MethodGet, d.API+"/teledossiers/v1/notifications?eventDetails=true", as, "")
	var waiting []struct {
		CaseID      string  `json:"caseId"`
		EventID     *string `json:"eventId"`
		ProcessCode string  `json:"processCode"`
	}
	if err := json.Unmarshal([]byte(text), &waiting); err != nil || status != 200 || len(waiting) != 1 {
		t.Fatalf("%d %s: %v", status, text, err)
	}
	if waiting[0].ProcessCode != "FormulaireQF" || waiting[0].EventID != nil {
		t.Errorf("waiting is %s", text)
	}
	status, text = fetch(t, http.MethodGet, d.API+"/teledossiers/v1/cases/"+waiting[0].CaseID, as, "")
	var file struct {
		Attachments []struct{ ID, FileName, Status string } `json:"attachments"`
	}
	if err := json.Unmarshal([]byte(text), &file); err != nil || status != 200 || len(file.Attachments) != 3 {
		t.Fatalf("%d %s: %v", status, text, err)
	}
	for _, a := range file.Attachments {
		status, content := fetch(t, http.MethodGet, d.API+"/teledossiers/v1/cases/"+waiting[0].CaseID+"/attachments/"+a.ID, as, "")
		if status != 200 || content == "" || a.Status != "RECEIVED" {
			t.Errorf("%s: %d, %d bytes, %s", a.FileName, status, len(content), a.Status)
		}
	}
}

func TestASimulatorKeepsItsPortAndStopsOnSIGTERMWithStatusZero(t *testing.T) {
	t.Parallel()
	address, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "simulate", "hubee", "--listen", address)
	cmd.Env = append(os.Environ(), asHub+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.Contains(line, `"api":"http://`+address+`"`) {
		t.Errorf("says %q: %v", line, err)
	}
	status, _ := fetch(t, http.MethodGet, "http://"+address+"/teledossiers/v1/notifications?x=a-secret-in-a-query", nil, "")
	if status != 401 {
		t.Errorf("without a token: %d", status)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("ended with %v", err)
	}
	if text := log.String(); !strings.Contains(text, `"path":"/teledossiers/v1/notifications"`) || strings.Contains(text, "a-secret") {
		t.Errorf("the log shows %s", text)
	}
}

func TestWhatCannotBeSimulatedIsToldWithStatusTwo(t *testing.T) {
	t.Parallel()
	seed := func(text string) string {
		file := filepath.Join(t.TempDir(), "seed.yml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	type wrong struct {
		args []string
		says string
	}
	cases := []wrong{
		{nil, "simulate hubee|"},
		{[]string{"hubeee"}, `no partner "hubeee"`},
		{[]string{"hubee", "now"}, `"now"`},
		{[]string{"hubee", "--listen", "0.0.0.0:0"}, "--allow-remote"},
		{[]string{"hubee", "--listen", "192.0.2.1:0"}, "--allow-remote"},
		{[]string{"hubee", "--listen", "0.0.0.0:0", "--allow-remote"}, "every interface"},
		{[]string{"hubee", "--listen", "8090"}, "--listen"},
		{[]string{"hubee", "--seed", "/nowhere/seed.yml"}, "/nowhere/seed.yml"},
		{[]string{"hubee", "--seed", seed("switches: {rulez: strict}")}, "rulez"},
		{[]string{"hubee", "--seed", seed("switches: {rules: loose}")}, `rules "loose"`},
		{[]string{"api-particulier", "--seed", seed("switches: {dpop: maybe}")}, `mode "maybe"`},
		{[]string{"franceconnect", "--seed", seed("auto: nobody")}, `"nobody"`},
		{[]string{"datapass", "--seed", seed("subscriptions: [{definition: '*', url: 'ftp://x'}]")}, "subscriptions[0]: url"},
		{[]string{"datapass", "--webhook", "localhost:80"}, "--webhook"},
		{[]string{"receiver", "--secret", "whsec_?"}, "--secret"},
		{[]string{"mailbox", "--seed", seed("security: ssl")}, "security"},
		{[]string{"gravitee", "--seed", seed("apis: [{name: x}]")}, "apis[0]: id"},
		{[]string{"hydra", "--seed", seed("version: v1")}, `version "v1"`},
		{[]string{"api-particulier", "--franceconnect", "http://127.0.0.1:1", "--franceconnect-client-id", "x"}, "go together"},
	}
	for _, p := range simulatedPartners() {
		cases = append(
			cases,
			wrong{[]string{p.name, "--seed", seed("nonsense: 1")}, "nonsense"},
			wrong{[]string{p.name, "--seed", seed(`faults: [{route: "", kind: sleepy}]`)}, "sleepy"},
			wrong{[]string{p.name, "--seed", seed("faults: []\n---\nfaults: []")}, "seed.yml"},
		)
	}
	for _, c := range cases {
		var out, log bytes.Buffer
		status := run(t.Context(), environment{stdout: &out, stderr: &log}, append([]string{"simulate"}, c.args...))
		if status != 2 || out.Len() > 0 || !strings.Contains(log.String(), c.says) {
			t.Errorf("%q: status %d, want 2 and %q: %s%s", c.args, status, c.says, log.String(), out.String())
		}
	}
}

func TestAnAddressInUseIsTheMachinesFault(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, p := range simulatedPartners() {
		var out, log bytes.Buffer
		args := []string{"simulate", p.name, "--listen", taken.Addr().String()}
		if status := run(t.Context(), environment{stdout: &out, stderr: &log}, args); status != 1 || !strings.Contains(log.String(), "in use") {
			t.Errorf("%s: status %d: %s", p.name, status, log.String())
		}
	}
}

// Each kind of fault, by the admin routes and by seed, and what arrived.
func TestEachSimulatorHasFaultsByRouteAndBySeedAndCountsWhatArrived(t *testing.T) {
	t.Parallel()
	for _, p := range simulatedPartners() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "seed.yml")
			if err := os.WriteFile(file, []byte(`faults: [{route: "GET /from-the-seed", kind: status, status: 503}]`), 0o600); err != nil {
				t.Fatal(err)
			}
			d := simulating(t, p.name, "--seed", file)
			if status, text := fetch(t, http.MethodGet, d.API+"/from-the-seed", nil, ""); status != 503 {
				t.Errorf("the seed's fault: %d %s", status, text)
			}
			faults := `[{"route":"GET /a","kind":"delay","delay":"1ms","times":1},{"route":"GET /b","kind":"reset"},
				{"route":"GET /c","kind":"half_body"},{"route":"GET /d","kind":"status","status":500,"times":1},
				{"route":"GET /e","kind":"reset","after":true,"times":1}]`
			if status, text := fetch(t, http.MethodPost, d.Admin+"faults", nil, faults); status != 201 {
				t.Fatalf("faults: %d %s", status, text)
			}
			usual, _ := fetch(t, http.MethodGet, d.API+"/a", nil, "")
			for _, c := range []struct {
				path   string
				status int
			}{{"/b", 0}, {"/d", 500}, {"/d", usual}, {"/e", 0}, {"/e", usual}} {
				if status, text := fetch(t, http.MethodGet, d.API+c.path, nil, ""); status != c.status {
					t.Errorf("%s: %d, want %d: %s", c.path, status, c.status, text)
				}
			}
			if status, text := fetch(t, http.MethodGet, d.API+"/c", nil, ""); status != 0 && !strings.HasPrefix(text, "cut: ") {
				t.Errorf("half a body: %d %s", status, text)
			}
			_, text := fetch(t, http.MethodGet, d.Admin+"calls", nil, "")
			var page partnertest.CallsPage
			if err := json.Unmarshal([]byte(text), &page); err != nil {
				t.Fatal(err, text)
			}
			worked := map[string]int{}
			for _, c := range page.Calls {
				if c.Worked {
					worked[c.Path]++
				}
			}
			if page.Total != 8 || worked["/b"] != 0 || worked["/d"] != 1 || worked["/e"] != 2 {
				t.Errorf("%d calls arrived, worked %v", page.Total, worked)
			}
			if status, text := fetch(t, http.MethodPost, d.Admin+"reset", nil, ""); status != 204 {
				t.Fatalf("reset: %d %s", status, text)
			}
			if status, _ := fetch(t, http.MethodGet, d.API+"/from-the-seed", nil, ""); status != 503 {
				t.Errorf("the seed's fault after a reset: %d", status)
			}
			if status, _ := fetch(t, http.MethodGet, d.API+"/b", nil, ""); status != usual {
				t.Errorf("another fault after a reset: %d", status)
			}
			if status, _ := fetch(t, http.MethodGet, d.Admin+"state", nil, ""); status != 200 {
				t.Errorf("state: %d", status)
			}
		})
	}
}

func TestASimulatedDataPassSendsEveryEventSignedToTheReceiver(t *testing.T) {
	t.Parallel()
	const secret = "a-text-that-both-know-of-32-characters"
	in := simulating(t, "receiver", "--secret", secret)
	if status, text := fetch(t, http.MethodPost, in.Admin+"dialect", nil, `"datapass"`); status != 204 {
		t.Fatalf("dialect: %d %s", status, text)
	}
	d := simulating(t, "datapass", "--webhook", in.API+"/datapass", "--webhook-secret", secret)
	play := func(path, body string) map[string]any {
		t.Helper()
		status, text := fetch(t, http.MethodPost, d.Admin+path, nil, body)
		var out map[string]any
		if err := json.Unmarshal([]byte(text), &out); err != nil || status != 200 {
			t.Fatalf("%s: %d %s", path, status, text)
		}
		return out
	}
	request := "requests/" + strconv.FormatInt(int64(play("requests", `{"invented":7}`)["id"].(float64)), 10)
	for _, step := range [][2]string{
		{"update", `{"fields":{"intitule":"Tarifs"}}`},
		{"submit", ``},
		{"request_changes", `{"reason":"Précisez."}`},
		{"submit", ``},
		{"approve", `{"message":"Bienvenue"}`},
		{"transfer", `{"to":{"email":"lea.roche@commune-000007.example","given_name":"Léa","family_name":"Roche"}}`},
		{"reopen", ``},
		{"cancel_reopening", `{"reason":"Inutile."}`},
		{"revoke", `{"reason":"Fin."}`},
	} {
		play(request+"/"+step[0], step[1])
	}
	second := "requests/" + strconv.FormatInt(int64(play("requests", `{"invented":8}`)["id"].(float64)), 10)
	play(second+"/submit", ``)
	play(second+"/refuse", `{"reason":"Sans objet."}`)
	third := "requests/" + strconv.FormatInt(int64(play("requests", `{"invented":9}`)["id"].(float64)), 10)
	play(third+"/archive", ``)

	_, text := fetch(t, http.MethodGet, in.Admin+"state", nil, "")
	var state struct {
		Deliveries []struct {
			Event  string
			Valid  bool
			Faults []string
		} `json:"deliveries"`
	}
	if err := json.Unmarshal([]byte(text), &state); err != nil {
		t.Fatal(err, text)
	}
	came := map[string]int{}
	for _, delivery := range state.Deliveries {
		came[delivery.Event]++
		if !delivery.Valid {
			t.Errorf("%s is not valid: %v", delivery.Event, delivery.Faults)
		}
	}
	for event, n := range map[string]int{
		"create": 3, "update": 1, "submit": 3, "request_changes": 1, "approve": 1, "transfer": 1, "reopen": 1,
		"cancel_reopening": 1, "revoke": 1, "refuse": 1, "archive": 1,
	} {
		if came[event] != n {
			t.Errorf("%d %s came, want %d: %v", came[event], event, n, came)
		}
	}

	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {d.Credentials[0].ClientID}, "client_secret": {d.Credentials[0].ClientSecret}}
	_, text = fetch(t, http.MethodPost, d.TokenURL, http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, form.Encode())
	var token struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(text), &token); err != nil || token.AccessToken == "" {
		t.Fatal(err, text)
	}
	status, text := fetch(t, http.MethodGet, d.API+"/api/v1/habilitations", http.Header{"Authorization": {"Bearer " + token.AccessToken}}, "")
	if status != 200 || !strings.Contains(text, `"state":"revoked"`) || !strings.Contains(text, `"state":"active"`) {
		t.Errorf("habilitations: %d %s", status, text)
	}
}

// An API Particulier asks the FranceConnect of another process about tokens.
func TestASimulatedAPIParticulierAsksTheSimulatedFranceConnect(t *testing.T) {
	t.Parallel()
	fc := simulating(t, "franceconnect", "--auto", "fontanel", "--redirect-uri", "https://editeur.example/retour")
	api := simulating(t, "api-particulier", "--franceconnect", fc.API)
	client := fc.Credentials[0]
	query := url.Values{
		"response_type": {"code"}, "client_id": {client.ClientID}, "redirect_uri": {"https://editeur.example/retour"},
		"scope": {"openid identite_pivot cnaf_quotient_familial"}, "acr_values": {"eidas1"},
		"state": {"un-etat-de-plus-de-vingt-deux"}, "nonce": {"un-nonce-de-plus-de-vingt-deux"},
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fc.Issuer+"/authorize?"+query.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := once.Transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	back, err := resp.Location()
	if err != nil || back.Host != "editeur.example" {
		t.Fatalf("%d to %v: %v", resp.StatusCode, back, err)
	}
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")}, "redirect_uri": {"https://editeur.example/retour"},
		"client_id": {client.ClientID}, "client_secret": {client.ClientSecret},
	}
	_, text := fetch(t, http.MethodPost, fc.TokenURL, http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, form.Encode())
	var token struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(text), &token); err != nil || token.AccessToken == "" {
		t.Fatal(err, text)
	}
	ask := api.API + "/v3/dss/quotient_familial/france_connect?recipient=" + api.Credentials[0].Recipient
	status, text := fetch(t, http.MethodGet, ask, http.Header{"Authorization": {"Bearer " + token.AccessToken}}, "")
	if status != 200 || !strings.Contains(text, `"quotient_familial"`) || strings.Contains(text, `"allocataires"`) {
		t.Errorf("%d %s", status, text)
	}
	if status, text := fetch(t, http.MethodPost, fc.Admin+"clock", nil, `{"advance":"61s"}`); status != 200 {
		t.Fatalf("%d %s", status, text)
	}
	if status, text := fetch(t, http.MethodGet, ask, http.Header{"Authorization": {"Bearer " + token.AccessToken}, "Cache-Control": {"no-cache"}}, ""); status != 401 {
		t.Errorf("a token of 61 s: %d %s", status, text)
	}
}

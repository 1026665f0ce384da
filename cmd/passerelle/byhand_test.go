package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

const (
	teamAddress = "acces@fournisseur.example"
	handedKey   = "CLE-FAITE-A-LA-MAIN-0001"
)

// openByHand is openProgram with API Entreprise served by a team of people, whose
// settings may say more.
func openByHand(t *testing.T, log io.Writer, more ...string) *world {
	t.Helper()
	w := openPartnersOnly(t)
	raw, err := os.ReadFile(w.settings)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(raw), "provisioning:\n", `  - name: equipe
    type: byhand
    config:
      team: [`+teamAddress+`]
      definitions: {api_entreprise: {all_scopes: true, instructions: "Écran « Partenaires » du portail interne."}}
      `+strings.Join(more, "\n      ")+`
provisioning:
`, 1)
	served := "{definition: api_entreprise, environment: sandbox, managers: ["
	if !strings.Contains(text, served+demoIssuer+"]") {
		t.Fatalf("the demo's settings serve api_entreprise otherwise:\n%s", text)
	}
	text = strings.Replace(text, served+demoIssuer+"]", served+"equipe]", 1)
	if err := os.WriteFile(w.settings, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	w.startHub(t, log)
	if err := w.join(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

// taskLink waits for the nth mail to the team and gives its link.
func (w *world) taskLink(t *testing.T, nth int, says string) string {
	t.Helper()
	var link string
	await(t, func() error {
		mails := w.mailbox.To(teamAddress)
		if len(mails) < nth {
			return fmt.Errorf("%d mails to the team, want %d", len(mails), nth)
		}
		m := mails[nth-1]
		if !strings.Contains(m.Subject, says) {
			return fmt.Errorf("the subject is %q", m.Subject)
		}
		for _, l := range m.Links() {
			if strings.HasPrefix(l, w.publicURL+"/tache/") {
				link = l
				return nil
			}
		}
		return fmt.Errorf("no link in %q", m.Text)
	})
	return link
}

// answer posts a form as the page does.
func answer(t *testing.T, link string, header map[string]string, form url.Values) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, link, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestATeamOpensReplacesAndClosesAnAccessByHand(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	w := openByHand(t, &log)
	g, err := w.approve(t.Context(), "api_entreprise")
	if err != nil {
		t.Fatal(err)
	}
	id, err := g.token()
	if err != nil {
		t.Fatal(err)
	}
	link := w.taskLink(t, 1, "Ouvrir un accès")
	await(t, func() error {
		waiting, err := w.hub.store.Waiting(t.Context(), 10)
		if err == nil && (len(waiting.Tasks) != 1 || waiting.Tasks[0].Manager != "equipe" || len(waiting.Credentials) != 1 || waiting.Credentials[0].Class != "pending") {
			err = fmt.Errorf("tasks %+v, keys %+v", waiting.Tasks, waiting.Credentials)
		}
		return err
	})
	var out bytes.Buffer
	if status := run(t.Context(), environment{stdout: &out, stderr: &out}, []string{"jobs", "--config", w.settings}); status != 0 || !strings.Contains(out.String(), "tasks by hand") || !strings.Contains(out.String(), "equipe") {
		t.Errorf("passerelle jobs: %d %s", status, out.String())
	}
	signedIn := strings.Replace(w.opsURL, "http://", "http://"+demoOps+":"+demoOpsPass+"@", 1)
	if status, body, err := browse(t.Context(), http.MethodGet, signedIn+"/"); err != nil || status != http.StatusOK || !strings.Contains(body, "Tâches d’une équipe") {
		t.Errorf("the ops page does not show the task: %d %v", status, err)
	}

	// The page shows what to do, no person, and no answer by a GET.
	status, page, err := browse(t.Context(), http.MethodGet, link)
	if err != nil || status != http.StatusOK {
		t.Fatalf("the task's page answers %d %v", status, err)
	}
	for _, part := range []string{"Ouvrez un accès", "Écran « Partenaires »", id.String(), `name="cle"`} {
		if !strings.Contains(page, part) {
			t.Errorf("the page does not show %q", part)
		}
	}
	for _, personal := range []string{g.Contact, "Haddad", "Morvan", "@"} {
		if strings.Contains(page, personal) {
			t.Errorf("the page shows %q", personal)
		}
	}
	// What is wrong with an answer is said, and changes nothing.
	for name, c := range map[string]struct {
		header map[string]string
		form   url.Values
		status int
		says   string
	}{
		"another site":      {map[string]string{"Sec-Fetch-Site": "cross-site"}, url.Values{"reponse": {"fait"}, "cle": {handedKey}}, 403, ""},
		"neither":           {nil, url.Values{}, 422, "Choisissez"},
		"no key":            {nil, url.Values{"reponse": {"fait"}}, 422, "Une clé a entre"},
		"a short key":       {nil, url.Values{"reponse": {"fait"}, "cle": {"1234567"}}, 422, "Une clé a entre"},
		"a key with spaces": {nil, url.Values{"reponse": {"fait"}, "cle": {"deux mots bien longs"}}, 422, "ni espace"},
		"a key of 5000":     {nil, url.Values{"reponse": {"fait"}, "cle": {strings.Repeat("k", 5000)}}, 422, "Une clé a entre"},
		"a body of 100 kB":  {nil, url.Values{"reponse": {"fait"}, "cle": {strings.Repeat("k", 100_000)}}, 413, "trop longue"},
		"no reason":         {nil, url.Values{"reponse": {"refus"}}, 422, "Écrivez pourquoi"},
		"a long reason":     {nil, url.Values{"reponse": {"refus"}, "motif": {strings.Repeat("x", 501)}}, 422, "dépasse"},
	} {
		if status, body := answer(t, link, c.header, c.form); status != c.status || !strings.Contains(body, c.says) {
			t.Errorf("%s: %d, want %d that says %q", name, status, c.status, c.says)
		}
	}
	if status, _, err := browse(t.Context(), http.MethodGet, link[:len(link)-4]+"AAAA"); err != nil || status != http.StatusNotFound {
		t.Errorf("a forged link answers %d %v", status, err)
	}

	// Done, with the key: the holder gets it by her own link.
	if status, body := answer(t, link, nil, url.Values{"reponse": {"fait"}, "cle": {" " + handedKey + "\n"}}); status != http.StatusOK || !strings.Contains(body, "C’est fait.") || strings.Contains(body, handedKey) {
		t.Errorf("the answer gets %d", status)
	}
	if status, body := answer(t, link, nil, url.Values{"reponse": {"refus"}, "motif": {"trop tard"}}); status != http.StatusConflict || !strings.Contains(body, "C’est fait.") {
		t.Errorf("a second answer gets %d", status)
	}
	w.live(t, id)
	if key := w.lastKey(t, g, 1); key != handedKey {
		t.Error("the holder is shown another key")
	}
	var kept int
	if err := w.hub.pool.QueryRow(t.Context(), `select count(*) from hand_task where secret_sealed is not null`).Scan(&kept); err != nil || kept != 0 {
		t.Errorf("%d tasks still hold a key, %v", kept, err)
	}

	// A rotation and the end of the old key are tasks of the same kind.
	renewed := w.rotate(t, g, "1h")
	replace := w.taskLink(t, 2, "Remplacer une clé")
	if status, body := answer(t, replace, nil, url.Values{"reponse": {"fait"}, "cle": {handedKey + "-BIS"}}); status != http.StatusOK || !strings.Contains(body, "marcher encore 1 heure(s)") {
		t.Errorf("the replacement answers %d", status)
	}
	w.live(t, renewed)
	for _, sql := range []string{
		`update credential set old_until = now() where state = 'rotating'`,
		`update river_job set scheduled_at = now(), state = 'available' where kind = 'end_credential'`,
	} {
		if _, err := w.hub.pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	shut := w.taskLink(t, 3, "Fermer un accès")
	if c, err := w.hub.store.Credential(t.Context(), id); err != nil || c.State != "rotating" {
		t.Errorf("the old key is %s before its team has said that it is closed, %v", c.State, err)
	}
	if status, _ := answer(t, shut, nil, url.Values{"reponse": {"fait"}}); status != http.StatusOK {
		t.Errorf("the end of the old key answers %d", status)
	}
	w.reaches(t, id, "replaced")

	// A revocation is refused, asked again by an operator, then confirmed.
	if _, err := w.datapass.Revoke(t.Context(), g.Request, "fin de l'expérimentation"); err != nil {
		t.Fatal(err)
	}
	shut = w.taskLink(t, 4, "Fermer un accès")
	if status, _ := answer(t, shut, nil, url.Values{"reponse": {"refus"}, "motif": {"contrat en cours"}}); status != http.StatusOK {
		t.Errorf("a refusal answers %d", status)
	}
	await(t, func() error {
		waiting, err := w.hub.store.Waiting(t.Context(), 10)
		if err == nil && (len(waiting.Credentials) != 1 || waiting.Credentials[0].Detail != "contrat en cours") {
			err = fmt.Errorf("keys %+v", waiting.Credentials)
		}
		return err
	})
	w.operate(t, "retry", renewed)
	shut = w.taskLink(t, 5, "Rappel : Fermer un accès")
	if status, _ := answer(t, shut, nil, url.Values{"reponse": {"fait"}}); status != http.StatusOK {
		t.Errorf("the confirmation answers %d", status)
	}
	w.reaches(t, renewed, "revoked_verified")
	for what, value := range map[string]string{"the key": handedKey, "a task's link": link[strings.LastIndex(link, "/")+1:], "the team's address": teamAddress} {
		if strings.Contains(log.String(), value) || strings.Contains(queueArguments(t, w), value) {
			t.Errorf("%s is in the log or in the queue", what)
		}
	}
}

func (w *world) operate(t *testing.T, word string, id uuid.UUID) {
	t.Helper()
	var out bytes.Buffer
	if status := run(t.Context(), environment{stdout: &out, stderr: &out}, []string{"jobs", "--config", w.settings, word, id.String()}); status != 0 {
		t.Fatalf("jobs %s: %s", word, out.String())
	}
}

func TestATeamIsRemindedAndGetsANewLinkForOneThatIsOver(t *testing.T) {
	t.Parallel()
	w := openByHand(t, io.Discard)
	if _, err := w.approve(t.Context(), "api_entreprise"); err != nil {
		t.Fatal(err)
	}
	w.taskLink(t, 1, "Ouvrir un accès")
	waiting, err := w.hub.store.WaitingTasks(t.Context(), 10)
	if err != nil || len(waiting) != 1 || waiting[0].RemindAt == nil {
		t.Fatalf("%+v, %v", waiting, err)
	}
	if _, err := w.hub.pool.Exec(t.Context(), `update hand_task set remind_at = now()`); err != nil {
		t.Fatal(err)
	}
	w.taskLink(t, 2, "Rappel : Ouvrir un accès") // the sweep's
	w.operate(t, "remind", waiting[0].ID)
	w.taskLink(t, 3, "Rappel : Ouvrir un accès")

	// A link that is over shows nothing of the task, and gives one new link an hour.
	expired := w.expiredTaskLink(t, waiting[0].ID)
	status, body, err := browse(t.Context(), http.MethodGet, expired)
	if err != nil || status != http.StatusNotFound || strings.Contains(body, "Ouvrez") || !strings.Contains(body, "/renouveler") {
		t.Errorf("an expired link answers %d %v", status, err)
	}
	if status, _ := answer(t, expired, nil, url.Values{"reponse": {"fait"}, "cle": {handedKey}}); status != http.StatusNotFound {
		t.Errorf("an answer by an expired link gets %d", status)
	}
	if _, err := w.hub.pool.Exec(t.Context(), `update hand_task set mailed_at = now() - interval '2 hours'`); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if status, _, err := browse(t.Context(), http.MethodPost, expired+"/renouveler"); err != nil || status != http.StatusOK {
			t.Errorf("a renewal answers %d %v", status, err)
		}
	}
	link := w.taskLink(t, 4, "Rappel : Ouvrir un accès")
	if status, _ := answer(t, link, nil, url.Values{"reponse": {"fait"}, "cle": {handedKey}}); status != http.StatusOK {
		t.Errorf("the new link answers %d", status)
	}
	if n := len(w.mailbox.To(teamAddress)); n != 4 {
		t.Errorf("%d mails to the team, want 4", n)
	}
	if err := w.hub.registry.Record(t.Context(), &registry.RemindTask{ID: waiting[0].ID, Now: true}); !isState(err) {
		t.Errorf("a reminder of what is done: %v", err)
	}
}

// expiredTaskLink makes a link of this hub's that is over.
func (w *world) expiredTaskLink(t *testing.T, task uuid.UUID) string {
	t.Helper()
	var value string
	err := w.hub.store.InTx(context.WithoutCancel(t.Context()), func(tx *store.Tx) (err error) {
		value, err = tx.SealTaskLink(store.TaskLink{Task: task, Until: w.hub.now().Add(-1)})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return w.publicURL + "/tache/" + value
}

// A team that hands its keys over itself, and keeps one of a holder: the hub never
// has a key, and an interruption is told before it is made.
func TestATeamHandsItsKeysOverItselfAndTheHubNeverHasThem(t *testing.T) {
	t.Parallel()
	const given = "CLE-QUE-LE-HUB-NE-DOIT-PAS-AVOIR-1"
	var log lockedBuffer
	w := openByHand(t, &log, "hands_over: true", "one_key: true")
	g, err := w.approve(t.Context(), "api_entreprise")
	if err != nil {
		t.Fatal(err)
	}
	id, err := g.token()
	if err != nil {
		t.Fatal(err)
	}
	link := w.taskLink(t, 1, "Ouvrir un accès")
	status, page, err := browse(t.Context(), http.MethodGet, link)
	if err != nil || status != http.StatusOK {
		t.Fatalf("the task's page answers %d %v", status, err)
	}
	if !strings.Contains(page, "Remettez la clé vous-mêmes") || !strings.Contains(page, html.EscapeString(g.Contact)) || !strings.Contains(page, `name="reference"`) || strings.Contains(page, `name="cle"`) {
		t.Errorf("the page does not say to whom the team gives the key, or asks for it:\n%s", page)
	}
	for name, c := range map[string]struct {
		form   url.Values
		status int
		says   string
	}{
		"no reference":               {url.Values{"reponse": {"fait"}}, 422, "Donnez votre référence"},
		"a key in its place":         {url.Values{"reponse": {"fait"}, "reference": {"psk_live_7Qm2Zr9LxT4cVb8NwKd3Hs6YpFjG1a240k77"}}, 422, "ressemble à la clé"},
		"a hexadecimal key":          {url.Values{"reponse": {"fait"}, "reference": {"0f8fad5bd9cb469fa16570867728950e"}}, 422, "ressemble à la clé"},
		"a reference of 81":          {url.Values{"reponse": {"fait"}, "reference": {strings.Repeat("é ", 40) + "fin"}}, 422, "80 caractères"},
		"a key where none is wanted": {url.Values{"reponse": {"fait"}, "cle": {given}}, 422, "Donnez votre référence"},
	} {
		if status, body := answer(t, link, nil, c.form); status != c.status || !strings.Contains(body, c.says) {
			t.Errorf("%s: %d, want %d that says %q", name, status, c.status, c.says)
		}
	}
	if status, body := answer(t, link, nil, url.Values{"reponse": {"fait"}, "reference": {" DOSSIER-2026/118 "}, "cle": {given}}); status != http.StatusOK || !strings.Contains(body, "DOSSIER-2026/118") || strings.Contains(body, g.Contact) {
		t.Errorf("the answer gets %d: %s", status, body)
	}
	w.live(t, id)
	// The contacts are told who gives the key, and get no link.
	letter := w.letterTo(t, g.Contact, "son fournisseur vous remet la clé")
	if !strings.Contains(letter, "DOSSIER-2026/118") || strings.Contains(letter, "/remise/") {
		t.Errorf("the contact is told:\n%s", letter)
	}
	if links := w.linksMailedTo(g.Contact, "Entreprise"); len(links) != 0 {
		t.Errorf("%d links were sent for a key that the hub does not have", len(links))
	}
	bearer, err := w.people.Token(g.Contact, "")
	if err != nil {
		t.Fatal(err)
	}
	var shown struct {
		State     string `json:"state"`
		Reference string `json:"provider_reference"`
	}
	w.hubGet(t, "/keys/"+id.String(), bearer, &shown)
	if shown.State != "active" || shown.Reference != "DOSSIER-2026/118" {
		t.Errorf("the API shows %+v", shown)
	}

	// A replacement interrupts, and says so: before, in the plan, and when it is refused.
	var plan struct {
		Overlap  string `json:"overlap"`
		Accept   bool   `json:"accept_cutover_required"`
		HandedBy string `json:"handed_by"`
		Text     string `json:"text"`
	}
	w.hubGet(t, "/keys/"+id.String()+"/rotation?grace_s=3600", bearer, &plan)
	if plan.Overlap != "cutover" || !plan.Accept || plan.HandedBy != "provider" || !strings.Contains(plan.Text, "remet la nouvelle clé lui-même") {
		t.Errorf("the plan says %+v", plan)
	}
	if status, body := w.hubCall(t, http.MethodPost, "/keys/"+id.String()+"/rotate", bearer, `{"grace_s":3600}`); status != http.StatusConflict || !strings.Contains(body, "/accept_cutover") {
		t.Errorf("a rotation whose interruption was not accepted answers %d %s", status, body)
	}
	status, body := w.hubCall(t, http.MethodPost, "/keys/"+id.String()+"/rotate", bearer, `{"grace_s":3600,"accept_cutover":true}`)
	if status != http.StatusAccepted {
		t.Fatalf("the rotation answers %d %s", status, body)
	}
	var rotated struct {
		NewID uuid.UUID `json:"new_id"`
	}
	if err := json.Unmarshal([]byte(body), &rotated); err != nil {
		t.Fatal(err)
	}
	replace := w.taskLink(t, 2, "Remplacer une clé")
	if _, page, err := browse(t.Context(), http.MethodGet, replace); err != nil || !strings.Contains(page, "Fermez l’ancienne clé tout de suite") {
		t.Errorf("the team is not told to end the old key: %v", err)
	}
	if status, _ := answer(t, replace, nil, url.Values{"reponse": {"fait"}, "reference": {"DOSSIER-2026/119"}}); status != http.StatusOK {
		t.Errorf("the replacement answers %d", status)
	}
	w.live(t, rotated.NewID)
	w.reaches(t, id, "replaced") // by the same answer: nobody is asked again
	if letter := w.letterTo(t, g.Contact, "est remplacée"); !strings.Contains(letter, "la remet lui-même") || strings.Contains(letter, "Un lien pour l’afficher") {
		t.Errorf("of the replacement the contact is told:\n%s", letter)
	}

	// The end of the key is a task that must be confirmed.
	if _, err := w.datapass.Revoke(t.Context(), g.Request, "fin de l'expérimentation"); err != nil {
		t.Fatal(err)
	}
	shut := w.taskLink(t, 3, "Fermer un accès")
	w.hubGet(t, "/keys/"+rotated.NewID.String(), bearer, &shown)
	if shown.State != "revoked_at_hub" {
		t.Errorf("before the team has confirmed, the key is %s", shown.State)
	}
	if status, _ := answer(t, shut, nil, url.Values{"reponse": {"fait"}}); status != http.StatusOK {
		t.Errorf("the confirmation answers %d", status)
	}
	w.reaches(t, rotated.NewID, "revoked_verified")

	// No trace of the key that was pasted, in any column of any table, nor in a log.
	if table := w.tableWith(t, given); table != "" || strings.Contains(log.String(), given) {
		t.Errorf("the key that the hub must not have is in %q, or in the log", table)
	}
	var sealed int
	if err := w.hub.pool.QueryRow(t.Context(), `select (select count(*) from credential where secret_sealed is not null) + (select count(*) from hand_task where secret_sealed is not null) + (select count(*) from handover_link)`).Scan(&sealed); err != nil || sealed != 0 {
		t.Errorf("%d keys or links are kept, %v", sealed, err)
	}
}

// hubCall sends one request to the hub's own API.
func (w *world) hubCall(t *testing.T, method, path, bearer, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, w.publicURL+"/hub/v1"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+bearer)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(answer)
}

func (w *world) hubGet(t *testing.T, path, bearer string, into any) {
	t.Helper()
	status, body := w.hubCall(t, http.MethodGet, path, bearer, "")
	if status != http.StatusOK {
		t.Fatalf("GET %s: %d %s", path, status, body)
	}
	if err := json.Unmarshal([]byte(body), into); err != nil {
		t.Fatal(err)
	}
}

// letterTo waits for a mail whose subject says something, and gives its text.
func (w *world) letterTo(t *testing.T, address, says string) string {
	t.Helper()
	var text string
	await(t, func() error {
		for _, m := range w.mailbox.To(address) {
			if strings.Contains(m.Subject, says) {
				text = m.Text
				return nil
			}
		}
		return fmt.Errorf("no mail that says %q", says)
	})
	return text
}

// tableWith gives the first table that holds a value in clear, in any column.
func (w *world) tableWith(t *testing.T, value string) string {
	t.Helper()
	rows, err := w.hub.pool.Query(t.Context(), `select quote_ident(table_name) from information_schema.tables where table_schema = current_schema() and table_type = 'BASE TABLE'`)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(tables) < 20 {
		t.Fatal(len(tables), err)
	}
	for _, table := range tables {
		var n int
		if err := w.hub.pool.QueryRow(t.Context(), `select count(*) from `+table+` x where x::text like '%' || $1 || '%'`, value).Scan(&n); err != nil {
			t.Fatal(table, err)
		}
		if n > 0 {
			return table
		}
	}
	return ""
}

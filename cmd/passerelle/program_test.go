package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/config"
	"github.com/passerelle-hub/passerelle/connectors/datapass/datapasstest"
	"github.com/passerelle-hub/passerelle/connectors/mail/mailtest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/internal/pgtest"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// openProgram gives a world whose hub runs in this process; its log goes to the
// writer, at the most talkative level.
func openProgram(t *testing.T, log io.Writer) *world {
	t.Helper()
	w := openPartnersOnly(t)
	w.startHub(t, log)
	if err := w.join(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

// openPartnersOnly gives a world whose settings may be changed before startHub.
func openPartnersOnly(t *testing.T) *world {
	t.Helper()
	w := &world{secret: strings.Repeat("0123456789abcdef", 4)}
	database := pgtest.URL(t, store.Migrate) // dropped after the hub has stopped
	t.Cleanup(func() {
		if err := w.close(); err != nil {
			t.Error(err)
		}
	})
	if err := w.openPartners(database, quickRescue); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) startHub(t *testing.T, log io.Writer, change ...func(*hub)) {
	t.Helper()
	c, err := config.Load(w.settings, nil)
	if err != nil {
		t.Fatal(err)
	}
	if w.hub, err = build(t.Context(), c, zerolog.New(log).Level(zerolog.TraceLevel)); err != nil {
		t.Fatal(err)
	}
	for _, c := range change {
		c(w.hub)
	}
	runCtx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- w.hub.run(runCtx, everything, environment{stdout: io.Discard, stderr: io.Discard}) }()
	w.stopHub = func() error { stop(); return <-ended }
}

// await fails the test unless try succeeds within three minutes: on a loaded machine
// everything takes several times as long.
func await(t *testing.T, try func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	if _, err := eventually(ctx, func() (any, error) { return nil, try() }); err != nil {
		t.Fatal(err)
	}
}

func (w *world) post(t *testing.T, path string, header http.Header, body string) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.publicURL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(raw), resp.Header
}

func TestBadInputGetsAClearErrorAndNoEffect(t *testing.T) {
	t.Parallel()
	w := openProgram(t, io.Discard)
	signed := func(body string) http.Header {
		return http.Header{"X-Hub-Signature-256": {datapasstest.Sign(w.secret, []byte(body))}, "Content-Type": {"application/json"}}
	}
	event := `{"event":"approve","fired_at":1,"model_type":"authorization_request/api_entreprise","model_id":7,"data":{}}`
	big := `{"a":"` + strings.Repeat("x", 2<<20) + `"}`
	for name, c := range map[string]struct {
		path   string
		header http.Header
		body   string
		status int
		says   string
	}{
		"no signature":                   {"/webhooks/datapass/" + demoSource, http.Header{}, event, 401, "X-Hub-Signature-256"},
		"a wrong signature":              {"/webhooks/datapass/" + demoSource, http.Header{"X-Hub-Signature-256": {"sha256=" + strings.Repeat("0", 64)}}, event, 401, "X-Hub-Signature-256"},
		"a signature of another body":    {"/webhooks/datapass/" + demoSource, signed(event + " "), event, 401, "X-Hub-Signature-256"},
		"a signature that is no hex":     {"/webhooks/datapass/" + demoSource, http.Header{"X-Hub-Signature-256": {"sha256=zz"}}, event, 401, "X-Hub-Signature-256"},
		"another source":                 {"/webhooks/datapass/unknown", signed(event), event, 401, "X-Hub-Signature-256"},
		"a body over the limit":          {"/webhooks/datapass/" + demoSource, signed(big), big, 413, "taille"},
		"not JSON":                       {"/webhooks/datapass/" + demoSource, signed("event=approve"), "event=approve", 400, "JSON"},
		"JSON that is no event":          {"/webhooks/datapass/" + demoSource, signed(`{}`), `{}`, 400, "/event"},
		"an empty body":                  {"/webhooks/datapass/" + demoSource, signed(""), "", 400, "JSON"},
		"introspection without a client": {"/token/introspect", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, "token=x", 401, "Identification"},
		"an unknown path":                {"/webhooks", signed(event), event, 404, "Introuvable"},
	} {
		t.Run(name, func(t *testing.T) {
			status, body, header := w.post(t, c.path, c.header, c.body)
			if status != c.status || header.Get("Content-Type") != "application/problem+json" || !strings.Contains(body, c.says) {
				t.Errorf("%d %s %s, want %d that says %q", status, header.Get("Content-Type"), body, c.status, c.says)
			}
		})
	}
	var n int
	if err := w.hub.pool.QueryRow(t.Context(), `select count(*) from inbound_event`).Scan(&n); err != nil || n != 0 {
		t.Errorf("%d events stored: %v", n, err)
	}
	t.Run("the test body answers 200 and {}", func(t *testing.T) {
		body := `{"test":true,"timestamp":"2026-08-06T10:30:00+02:00"}`
		if status, answer, _ := w.post(t, "/webhooks/datapass/"+demoSource, signed(body), body); status != 200 || strings.TrimSpace(answer) != "{}" {
			t.Errorf("%d %s", status, answer)
		}
	})
}

func TestWithoutADatabaseTheAnswerIs503AndReadyTellsIt(t *testing.T) {
	t.Parallel()
	w := openProgram(t, io.Discard)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	// The pool loses its database: every connection is ended and none is let in.
	conf, err := pgx.ParseConfig(w.hub.config.Database.URL.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	name := conf.Database
	conf.Database = "postgres"
	admin, err := pgx.ConnectConfig(ctx, conf)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.WithoutCancel(ctx))
	for _, sql := range []string{
		`alter database "` + name + `" allow_connections false`,
		`select pg_terminate_backend(pid) from pg_stat_activity where datname = '` + name + `'`,
	} {
		if _, err := admin.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	body := `{"event":"approve","fired_at":1774346718,"model_type":"authorization_request/api_entreprise","model_id":7,"data":{}}`
	header := http.Header{"X-Hub-Signature-256": {datapasstest.Sign(w.secret, []byte(body))}}
	status, answer, got := w.post(t, "/webhooks/datapass/"+demoSource, header, body)
	if status != http.StatusServiceUnavailable || got.Get("Retry-After") == "" {
		t.Errorf("%d %s, want 503 with Retry-After", status, answer)
	}
	if status, _, err := browse(ctx, http.MethodGet, w.publicURL+"/readyz"); err != nil || status != http.StatusServiceUnavailable {
		t.Errorf("/readyz %d %v", status, err)
	}
	if status, _, err := browse(ctx, http.MethodGet, w.publicURL+"/healthz"); err != nil || status != http.StatusOK {
		t.Errorf("/healthz %d %v", status, err)
	}
	if _, err := admin.Exec(ctx, `alter database "`+name+`" allow_connections true`); err != nil {
		t.Fatal(err)
	}
	await(t, func() error {
		status, answer, _ := w.post(t, "/webhooks/datapass/"+demoSource, header, body)
		if status != http.StatusOK || !strings.Contains(answer, "token_id") {
			return fmt.Errorf("%d %s", status, answer)
		}
		return nil
	})
}

func TestWhenEveryConnectionIsTakenTheAnswerIs503AndNothingIsKept(t *testing.T) {
	t.Parallel()
	w := openProgram(t, io.Discard)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var taken []*pgxpool.Conn
	for range w.hub.pool.Config().MaxConns {
		conn, err := w.hub.pool.Acquire(ctx)
		if err != nil {
			t.Fatal(err)
		}
		taken = append(taken, conn)
	}
	body := `{"event":"approve","fired_at":1774346718,"model_type":"authorization_request/api_entreprise","model_id":7,"data":{}}`
	header := http.Header{"X-Hub-Signature-256": {datapasstest.Sign(w.secret, []byte(body))}}
	status, answer, got := w.post(t, "/webhooks/datapass/"+demoSource, header, body)
	if status != http.StatusServiceUnavailable || got.Get("Retry-After") == "" || got.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d %v %s, want 503 with Retry-After", status, got, answer)
	}
	var kept int
	if err := taken[0].QueryRow(ctx, `select count(*) from inbound_event`).Scan(&kept); err != nil || kept != 0 {
		t.Errorf("%d events kept of a webhook that was refused: %v", kept, err)
	}
	for _, conn := range taken {
		conn.Release()
	}
	if status, answer, _ = w.post(t, "/webhooks/datapass/"+demoSource, header, body); status != http.StatusOK || !strings.Contains(answer, "token_id") {
		t.Errorf("once they are given back: %d %s", status, answer)
	}
}

func TestAPartnerThatFailsDelaysOnlyItsOwnWorkAndShows(t *testing.T) {
	for name, fault := range map[string]partnertest.Fault{
		"answers 500":        partnertest.Status("", 500),
		"resets":             partnertest.ResetBefore(""),
		"answers half":       partnertest.HalfBody(""),
		"asks to wait":       partnertest.RateLimited("", 2*time.Second),
		"answers HTML":       partnertest.HTML("", 502),
		"refuses our secret": partnertest.Status("", 401),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := openProgram(t, io.Discard)
			w.gravitee.Inject(fault)
			blocked, err := w.approve(t.Context(), "api_particulier")
			if err != nil {
				t.Fatal(err)
			}
			free, err := w.approve(t.Context(), "api_entreprise")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.revealOnce(t.Context(), free); err != nil {
				t.Errorf("the other definition waits too: %v", err)
			}
			await(t, func() error {
				waiting, err := w.hub.store.Waiting(t.Context(), 10)
				if err != nil {
					return err
				}
				if len(waiting.Partners) != 1 || waiting.Partners[0].PausedUntil == nil || waiting.Partners[0].Reason == "" {
					return fmt.Errorf("partners: %+v", waiting.Partners)
				}
				if len(waiting.Credentials) != 1 || waiting.Credentials[0].Class == "" {
					return fmt.Errorf("keys: %+v", waiting.Credentials)
				}
				return nil
			})
			var out bytes.Buffer
			if status := run(t.Context(), environment{stdout: &out, stderr: &out}, []string{"jobs", "--config", w.settings}); status != 0 || !strings.Contains(out.String(), demoManager) {
				t.Errorf("passerelle jobs: %d %s", status, out.String())
			}
			w.gravitee.ClearFaults()
			if name == "refuses our secret" {
				// A person mends the secret and says so.
				if status := run(t.Context(), environment{stdout: &out, stderr: &out}, []string{"jobs", "--config", w.settings, "resume", demoManager}); status != 0 {
					t.Fatalf("jobs resume: %s", out.String())
				}
			}
			await(t, func() error {
				_, err := w.provisioned(t.Context(), blocked)
				return err
			})
		})
	}
}

func TestARefusedByTheManagerKeyFailsVisiblyAndIsRetriedByHand(t *testing.T) {
	t.Parallel()
	w := openProgram(t, io.Discard)
	w.gravitee.SetCustomKeys(false)
	g, err := w.approve(t.Context(), "api_particulier")
	if err != nil {
		t.Fatal(err)
	}
	id, err := g.token()
	if err != nil {
		t.Fatal(err)
	}
	await(t, func() error {
		waiting, err := w.hub.store.Waiting(t.Context(), 10)
		if err == nil && (len(waiting.Credentials) != 1 || waiting.Credentials[0].State != "failed") {
			err = fmt.Errorf("keys: %+v", waiting.Credentials)
		}
		return err
	})
	await(t, func() error { _, err := w.told("provisioning.failed", 1); return err })
	// At night the page says what waits, why, for whom, and what mends it.
	signedIn := strings.Replace(w.opsURL, "http://", "http://"+demoOps+":"+demoOpsPass+"@", 1)
	status, page, err := browse(t.Context(), http.MethodGet, signedIn+"/")
	if err != nil || status != http.StatusOK {
		t.Fatal(status, err)
	}
	for _, says := range []string{"Clés en cours : 1", "COMMUNE DE VALBRISE-SUR-ORMES", fmt.Sprintf("D%d", g.Request), "échec", "création", "refusé", "custom API Key", "puis réessayez", "/credentials/" + id.String() + "/retry"} {
		if !strings.Contains(page, says) {
			t.Errorf("the ops page does not say %q:\n%s", says, page)
		}
	}
	w.gravitee.SetCustomKeys(true)
	if status, _, err := browse(t.Context(), http.MethodPost, signedIn+"/credentials/"+id.String()+"/retry"); err != nil || status != http.StatusOK {
		t.Fatal(status, err)
	}
	await(t, func() error { _, err := w.provisioned(t.Context(), g); return err })
}

func TestARefusedAndABouncedMailShowAsSuch(t *testing.T) {
	t.Parallel()
	w := openProgram(t, io.Discard)
	filing := datapasstest.APIParticulier()
	address := *filing.Fields["contact_technique_email"]
	state := func(want string) func() error {
		return func() error {
			waiting, err := w.hub.store.Waiting(t.Context(), 10)
			if err == nil && (len(waiting.Mails) != 1 || waiting.Mails[0].State != want || strings.Contains(waiting.Mails[0].Detail, address)) {
				err = fmt.Errorf("mails: %+v", waiting.Mails)
			}
			return err
		}
	}
	w.mailbox.BounceFor(mailtest.BounceRule{Recipient: address})
	if _, err := w.approve(t.Context(), "api_particulier"); err != nil {
		t.Fatal(err)
	}
	await(t, state("bounced"))
}

func TestARelayThatIsDownRestsAndIsTakenUpAgain(t *testing.T) {
	t.Parallel()
	w := openProgram(t, io.Discard)
	w.mailbox.Fail(mailtest.Fault{Kind: mailtest.Busy})
	var contacts []granted
	for _, definition := range []string{"api_particulier", "api_entreprise"} {
		g, err := w.approve(t.Context(), definition)
		if err != nil {
			t.Fatal(err)
		}
		contacts = append(contacts, g)
	}
	await(t, func() error {
		waiting, err := w.hub.store.Waiting(t.Context(), 10)
		if err == nil && (len(waiting.Partners) != 1 || waiting.Partners[0].Name != registry.MailRelay || waiting.Partners[0].PausedUntil == nil || len(waiting.Mails) == 0) {
			err = fmt.Errorf("partners %+v, mails %+v", waiting.Partners, waiting.Mails)
		}
		return err
	})
	w.mailbox.ClearFaults()
	for _, g := range contacts {
		if _, err := w.revealOnce(t.Context(), g); err != nil {
			t.Error(err)
		}
	}
}

func TestARefusedMailShowsAsRefused(t *testing.T) {
	t.Parallel()
	w := openProgram(t, io.Discard)
	w.mailbox.Fail(mailtest.Fault{Kind: mailtest.RefuseRecipient})
	if _, err := w.approve(t.Context(), "api_particulier"); err != nil {
		t.Fatal(err)
	}
	await(t, func() error {
		waiting, err := w.hub.store.Waiting(t.Context(), 10)
		if err == nil && (len(waiting.Mails) != 1 || waiting.Mails[0].State != "refused") {
			err = fmt.Errorf("mails: %+v", waiting.Mails)
		}
		return err
	})
}

func TestAnExpiredLinkOffersOneNewLinkToTheSameAddress(t *testing.T) {
	t.Parallel()
	w := openProgram(t, io.Discard)
	g, err := w.approve(t.Context(), "api_particulier")
	if err != nil {
		t.Fatal(err)
	}
	link, err := w.mailedLink(t.Context(), g.Contact, g.Definition)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.hub.pool.Exec(t.Context(), `update handover_link set expires_at = now() - interval '1 minute'`); err != nil {
		t.Fatal(err)
	}
	status, expired, err := browse(t.Context(), http.MethodPost, link)
	if err != nil || status != http.StatusNotFound || !strings.Contains(expired, "/renouveler") {
		t.Fatalf("an expired link answers %d %v", status, err)
	}
	unknown := strings.Replace(link, link[len(link)-8:], "00000000", 1)
	_, other, err := browse(t.Context(), http.MethodPost, unknown)
	if err != nil || strings.ReplaceAll(other, unknown[len(w.publicURL):], "") != strings.ReplaceAll(expired, link[len(w.publicURL):], "") {
		t.Error("an unknown link can be told from an expired one")
	}
	for range 3 {
		if status, _, err := browse(t.Context(), http.MethodPost, link+"/renouveler"); err != nil || status != http.StatusOK {
			t.Errorf("renewal answers %d %v", status, err)
		}
	}
	await(t, func() error {
		if n := len(w.linksMailedTo(g.Contact, "Particulier")); n != 2 {
			return fmt.Errorf("%d mails with a link, want the first and one new", n)
		}
		return nil
	})
	links := w.linksMailedTo(g.Contact, "Particulier")
	_, page, err := browse(t.Context(), http.MethodPost, links[1])
	if err != nil || revealed.FindStringSubmatch(page) == nil {
		t.Errorf("the new link shows no key: %v", err)
	}
}

// TestNoSecretLeaksAndADumpRestores plays the story, then searches the dump, the
// log and the queue for what must not be there, and starts a hub on the dump.
func TestNoSecretLeaksAndADumpRestores(t *testing.T) {
	t.Parallel()
	restored := pgtest.URL(t, nil)
	var log lockedBuffer
	w := openProgram(t, &log)
	particulier, err := w.approve(t.Context(), "api_particulier")
	if err != nil {
		t.Fatal(err)
	}
	entreprise, err := w.approve(t.Context(), "api_entreprise")
	if err != nil {
		t.Fatal(err)
	}
	link, err := w.mailedLink(t.Context(), particulier.Contact, particulier.Definition)
	if err != nil {
		t.Fatal(err)
	}
	issued, err := w.revealOnce(t.Context(), entreprise)
	if err != nil {
		t.Fatal(err)
	}
	await(t, func() error { _, err := w.told("token.issued", 2); return err })
	waitingKey, ok := w.gravitee.KeyByValue(firstLiveKey(w))
	if !ok {
		t.Fatal("Gravitee holds no key")
	}
	dump := pgDump(t, w.hub.config.Database.URL.Reveal())
	endpointSecrets := w.endpointSecrets(t)
	hidden := map[string]string{
		"the key at Gravitee": waitingKey.Value, "the issued token": issued, "the one-time link": link[strings.LastIndex(link, "/")+1:],
		"DataPass's secret": w.secret, "the bounce secret": demoBounceSecret, "the sealing key": w.hub.config.Sealing.Keys[0].Key.Reveal(),
	}
	for i, s := range endpointSecrets {
		hidden[fmt.Sprintf("endpoint secret %d", i)] = s
	}
	for what, value := range hidden {
		if value == "" {
			t.Errorf("%s is empty: nothing was searched", what)
		}
		if strings.Contains(dump, value) {
			t.Errorf("%s is in the dump", what)
		}
		if strings.Contains(log.String(), value) {
			t.Errorf("%s is in the log", what)
		}
	}
	args := queueArguments(t, w)
	for _, personal := range []string{
		particulier.Contact, entreprise.Contact, "jeanne.morvan", "Jeanne", "Morvan", "Haddad", "@valbrise",
	} {
		if strings.Contains(log.String(), personal) {
			t.Errorf("%q is in the log", personal)
		}
		if strings.Contains(args, personal) {
			t.Errorf("%q is in the queue's arguments", personal)
		}
	}
	if log.String() == "" || args == "" || !strings.Contains(dump, "COPY public.credential") {
		t.Error("nothing was searched")
	}

	// The same hub on the restored dump: the link still leads to the key, the token is still known.
	if err := w.stopHub(); err != nil {
		t.Fatal(err)
	}
	w.stopHub = nil
	w.hub.close()
	psql(t, restored, dump)
	raw, err := os.ReadFile(w.settings)
	if err != nil {
		t.Fatal(err)
	}
	moved := strings.Replace(string(raw), w.hub.config.Database.URL.Reveal(), restored, 1)
	if err := os.WriteFile(w.settings, []byte(moved), 0o600); err != nil {
		t.Fatal(err)
	}
	w.startHub(t, io.Discard)
	if err := w.awaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	key, err := w.revealOnce(t.Context(), particulier)
	if err != nil || key != waitingKey.Value {
		t.Errorf("the restored hub reveals another key: %v", err)
	}
	if status, err := w.callIssuer(t.Context(), issued); err != nil || status != http.StatusOK {
		t.Errorf("the issued token answers %d on the restored hub: %v", status, err)
	}
}

func firstLiveKey(w *world) string {
	for _, k := range w.gravitee.Keys() {
		return k.Value
	}
	return ""
}

func (w *world) endpointSecrets(t *testing.T) []string {
	t.Helper()
	endpoints, err := w.hub.store.Endpoints(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range endpoints {
		target, err := w.hub.store.Target(t.Context(), e.ID, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range target.Secrets {
			list = append(list, s.Reveal())
		}
	}
	return list
}

func queueArguments(t *testing.T, w *world) string {
	t.Helper()
	rows, err := w.hub.pool.Query(t.Context(), `select args::text || ' ' || metadata::text || ' ' || coalesce(array_to_string(errors, ' '), '') from river_job`)
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(list, "\n")
}

func postgresProgram(t *testing.T, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if len(found) == 0 {
		t.Fatalf("%s is not installed", name)
	}
	return found[len(found)-1]
}

func pgDump(t *testing.T, url string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), postgresProgram(t, "pg_dump"), "--no-owner", "--dbname", url).Output()
	if err != nil {
		t.Fatal(errors.Join(err, t.Context().Err()))
	}
	return string(out)
}

func psql(t *testing.T, url, script string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), postgresProgram(t, "psql"), "--quiet", "--no-psqlrc", "-v", "ON_ERROR_STOP=1", "--dbname", url)
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("psql: %v\n%s", err, out)
	}
}

func TestTheOpsListenerAsksForACredentialAndActs(t *testing.T) {
	t.Parallel()
	w := openProgram(t, io.Discard)
	for path, want := range map[string]int{"/": 401, "/waiting.json": 401, "/river/": 401, "/metrics": 401, "/assets/passerelle.css": 200} {
		if status, _, err := browse(t.Context(), http.MethodGet, w.opsURL+path); err != nil || status != want {
			t.Errorf("%s without a credential: %d %v, want %d", path, status, err, want)
		}
	}
	signedIn := strings.Replace(w.opsURL, "http://", "http://"+demoOps+":"+demoOpsPass+"@", 1)
	for path, says := range map[string]string{"/": "Ce qui attend", "/waiting.json": "Credentials", "/river/": "<html", "/metrics": `passerelle_waiting{kind="events_parked"} 0`, "/river/api/queues": "registry"} {
		status, body, err := browse(t.Context(), http.MethodGet, signedIn+path)
		if err != nil || status != http.StatusOK || !strings.Contains(body, says) {
			t.Errorf("%s: %d %v, want %q in it", path, status, err, says)
		}
	}
	// A page of another site cannot act for an operator who is signed in.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, signedIn+"/partners/"+demoManager+"/pause", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("a cross-site pause answers %d", resp.StatusCode)
	}
	if status, _, err := browse(t.Context(), http.MethodPost, signedIn+"/partners/"+demoManager+"/pause"); err != nil || status != http.StatusOK {
		t.Errorf("pause: %d %v", status, err)
	}
	var waiting store.Waiting
	_, body, err := browse(t.Context(), http.MethodGet, signedIn+"/waiting.json")
	if err != nil || json.Unmarshal([]byte(body), &waiting) != nil || len(waiting.Partners) != 1 || waiting.Partners[0].PausedBy != demoOps {
		t.Errorf("the pause does not show: %s %v", body, err)
	}
}

func TestAWrongSettingStopsTheStartWithAllFaultsAtOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "passerelle.yml")
	text := "hub: {name: x, environment: nowhere}\nhttp: {lisen: 127.0.0.1:1}\nconnectors:\n  - {name: a, type: gravitee, config: {url: ftp://x, tokn: y}}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if status := run(t.Context(), environment{stdout: &out, stderr: &out}, []string{"serve", "--config", file}); status != 1 {
		t.Errorf("status %d", status)
	}
	for _, want := range []string{"passerelle.yml:1", "hub.environment", "passerelle.yml:2", "lisen"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not told:\n%s", want, out.String())
		}
	}
}

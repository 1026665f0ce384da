package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/connectors/apiparticulier/apiparticuliertest"
	"github.com/passerelle-hub/passerelle/connectors/datapass/datapasstest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/internal/journey"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// openJourneys gives a world whose commune receives, without limits on departures.
func openJourneys(t *testing.T, log *lockedBuffer, change ...func(*hub)) *world {
	t.Helper()
	w := openPartnersOnly(t)
	settings, err := os.ReadFile(w.settings)
	mustDo(t, err)
	mustDo(t, os.WriteFile(w.settings, append(settings, []byte(`journeys: {per_minute: 0, per_hour: 0, per_habilitation: 0}
rate_limits: {per_address: 10000, per_visitor: 10000}
`)...), 0o600))
	w.citizen.particulier.SetSwitches(func(s *apiparticuliertest.Switches) { s.FCPerMinute, s.FCPerHour = -1, -1 }) // one test is many citizens
	w.startHub(t, log, change...)
	mustDo(t, w.join(t.Context()))
	if _, err := w.openCommune(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

// personal are what must not show in a dump or a log.
var personal = []string{"FONTANEL", "Marguerite", "1987-03-14", "BRESSAC"}

func TestACitizenSendsHerQuotientWithoutScriptAndNothingPersonalIsLeftBehind(t *testing.T) {
	t.Parallel()
	log := &lockedBuffer{}
	w := openJourneys(t, log)
	ctx := t.Context()
	got, err := w.citizenSends(ctx, "fontanel")
	if err != nil {
		t.Fatal(err)
	}
	t.Log(got)
	left := newVisitor() // stops before she sends
	mustDo(t, left.open(ctx, w.communePage()), left.press(ctx, "/demarrer", nil), left.identify(ctx, "fontanel"), left.until(ctx, pageReview))
	for _, word := range personal {
		if strings.Contains(log.String(), word) {
			t.Errorf("the log holds %q", word)
		}
	}
	for _, secret := range []string{"code=", "state=", "access_token", left.client.Jar.Cookies(left.at)[0].Value} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
	rows, err := w.hub.pool.Query(ctx, `select row_to_json(j)::text from journey j union all select row_to_json(r)::text from river_job r union all select row_to_json(f)::text from folder f union all select row_to_json(c)::text from folder_content c`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			t.Fatal(err)
		}
		n++
		for _, word := range append(personal, left.client.Jar.Cookies(left.at)[0].Value) {
			if strings.Contains(text, word) {
				t.Errorf("a row holds %q: %.200s", word, text)
			}
		}
	}
	if n < 3 {
		t.Errorf("only %d rows were looked at", n)
	}
	if h := left.header; h.Get("Cache-Control") != "no-store" || h.Get("Referrer-Policy") != "no-referrer" || !strings.Contains(h.Get("Content-Security-Policy"), "default-src 'none'") || strings.Contains(left.body, "<!--") {
		t.Errorf("headers %v", h)
	}
}

func mustDo(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func TestHostileAndClumsyVisitsOfAJourneyChangeNothing(t *testing.T) {
	t.Parallel()
	w := openJourneys(t, &lockedBuffer{})
	ctx := t.Context()
	start := func(t *testing.T) *visitor {
		v := newVisitor()
		mustDo(t, v.open(ctx, w.communePage()), v.press(ctx, "/demarrer", nil))
		return v
	}
	review := func(t *testing.T) *visitor {
		v := start(t)
		mustDo(t, v.identify(ctx, "fontanel"), v.until(ctx, pageReview))
		return v
	}
	t.Run("a forged state shows nothing", func(t *testing.T) {
		v := newVisitor()
		mustDo(t, v.open(ctx, w.publicURL+"/callback?code=x&state="+strings.Repeat("a", 64)+"&iss=x"))
		if v.status != http.StatusNotFound || !strings.Contains(v.body, "attestation") {
			t.Errorf("%d %s", v.status, v.heading())
		}
	})
	t.Run("another browser cannot finish a login that it did not begin, nor see it", func(t *testing.T) {
		v := start(t)
		var callback string
		v.client.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
			if r.URL.Path == "/callback" {
				callback = r.URL.String()
				return http.ErrUseLastResponse
			}
			return nil
		}
		_ = v.identify(ctx, "fontanel")
		other := newVisitor()
		mustDo(t, other.open(ctx, callback))
		if other.status != http.StatusNotFound {
			t.Fatalf("%d %s", other.status, other.heading())
		}
		v.client.CheckRedirect = nil
		mustDo(t, v.open(ctx, callback), v.until(ctx, pageReview)) // hers still works
		mustDo(t, other.open(ctx, v.at.String()))
		if other.status != http.StatusNotFound || strings.Contains(other.body, "FONTANEL") {
			t.Errorf("a foreign id shows %d", other.status)
		}
		mustDo(t, v.open(ctx, callback)) // replayed: the current step
		if v.heading() != pageReview {
			t.Errorf("a replayed callback shows %q (%d)", v.heading(), v.status)
		}
	})
	t.Run("double click, reload, back button: one folder", func(t *testing.T) {
		v := review(t)
		page := v.at.String()
		first := *v
		mustDo(t, v.press(ctx, "/envoyer", nil), first.press(ctx, "/envoyer", nil), v.until(ctx, pageSent), v.open(ctx, page), v.until(ctx, pageSent))
		if err := first.press(ctx, "/annuler", nil); err == nil {
			t.Error("a sent page offers to cancel")
		}
		if n := len(w.citizen.hubee.Folders("Formulaire-QF-" + shownReference.FindStringSubmatch(v.body)[1])); n != 1 {
			t.Errorf("%d folders", n)
		}
		mustDo(t, v.open(ctx, page+"/document"))
		if v.header.Get("Content-Type") != "application/pdf" || strings.Contains(v.header.Get("Content-Disposition"), "FONTANEL") || !strings.HasPrefix(v.body, "%PDF-") {
			t.Errorf("document: %v", v.header)
		}
		lost := newVisitor() // her cookie is lost: where it stands, and no more
		mustDo(t, lost.open(ctx, page))
		if lost.heading() != pageSent || strings.Contains(lost.body, `id="reference"`) || strings.Contains(lost.body, "document") {
			t.Errorf("without cookie: %q", lost.heading())
		}
		mustDo(t, v.open(ctx, page), v.press(ctx, "/quitter", nil))
		if v.heading() != "Vous êtes déconnecté de FranceConnect" {
			t.Errorf("after logout: %q %s", v.heading(), v.at.Path)
		}
	})
	t.Run("two visits in one browser never mix", func(t *testing.T) {
		v := start(t)
		second := *v
		mustDo(t, second.open(ctx, w.communePage()), second.press(ctx, "/demarrer", nil), second.identify(ctx, "garrigue"), second.until(ctx, pageReview))
		w.citizen.franceconnect.EndSessions()
		mustDo(t, v.identify(ctx, "fontanel"))
		mustDo(t, v.until(ctx, pageReview), second.open(ctx, second.at.String()))
		if !strings.Contains(v.body, "FONTANEL") || strings.Contains(v.body, "GARRIGUE") || !strings.Contains(second.body, "GARRIGUE") || strings.Contains(second.body, "FONTANEL") {
			t.Error("they mix")
		}
	})
	t.Run("cancel at FranceConnect and here wipes, and comes back with a retry and the other ways", func(t *testing.T) {
		v := start(t)
		mustDo(t, v.press(ctx, "/identity", url.Values{"action": {"cancel"}}), v.until(ctx, "Vous avez annulé votre démarche"))
		mustDo(t, v.press(ctx, "/partir", nil), v.identify(ctx, "fontanel"), v.until(ctx, pageReview), v.press(ctx, "/annuler", nil))
		if v.heading() != "Vous avez annulé votre démarche" || strings.Contains(v.body, "FONTANEL") || !strings.Contains(v.body, "attestation") || !strings.Contains(v.body, "/partir") {
			t.Errorf("%q", v.heading())
		}
	})
	t.Run("another site cannot send for her", func(t *testing.T) {
		v := review(t)
		req, _ := http.NewRequestWithContext(ctx, http.MethodPost, v.at.String()+"/envoyer", nil)
		req.Header.Set("Sec-Fetch-Site", "cross-site")
		resp, err := v.client.Do(req)
		mustDo(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		mustDo(t, err)
		if resp.StatusCode != http.StatusForbidden || !strings.Contains(string(body), "Rien n’a été envoyé") || !strings.Contains(string(body), `lang="fr"`) {
			t.Errorf("%d %s", resp.StatusCode, body)
		}
	})
	t.Run("a link that is not signed gives no way back, a signed one does", func(t *testing.T) {
		v := newVisitor()
		mustDo(t, v.open(ctx, w.communePage()+"?redirect_uri="+url.QueryEscape("javascript:alert(1)")+"&external_id=abc"), v.press(ctx, "/demarrer", nil), v.identify(ctx, "fontanel"), v.until(ctx, pageReview))
		if !strings.Contains(v.body, "incomplet ou périmé") || strings.Contains(v.body, "javascript") {
			t.Error("she is not told, or it is printed")
		}
		key := &registry.AddEditorLinkKey{Editor: "3d_ouest", Until: time.Now().Add(time.Hour), ID: uuid.NewString(), Key: newLinkKey()}
		mustDo(t, w.hub.registry.Record(ctx, key))
		if _, err := w.hub.pool.Exec(ctx, `update receiver_right set editor_id = '3d_ouest'`); err != nil {
			t.Fatal(err)
		}
		entry, expires := journey.Entry{ExternalID: "famille 42", ReturnTo: "https://familles.editeur.example/retour?a=1"}, time.Now().Add(time.Hour).Unix()
		link := url.Values{
			"external_id": {entry.ExternalID}, "redirect_uri": {entry.ReturnTo}, "expires": {fmt.Sprint(expires)}, "key_id": {key.ID},
			"signature": {journey.SignLink([]byte(key.Key.Reveal()), demoCommune.SIRET, entry, expires)},
		}
		for name, altered := range map[string]string{"": "", "external_id": "famille 43", "redirect_uri": "https://attaquant.example/", "expires": fmt.Sprint(expires + 1), "key_id": uuid.NewString()} {
			q := url.Values{}
			for k, v := range link {
				q[k] = v
			}
			if name != "" {
				q.Set(name, altered)
			}
			v := newVisitor()
			mustDo(t, v.open(ctx, w.communePage()+"?"+q.Encode()), v.press(ctx, "/demarrer", nil), v.identify(ctx, "fontanel"), v.until(ctx, pageReview))
			if refused := strings.Contains(v.body, "incomplet ou périmé"); refused != (name != "") {
				t.Errorf("altered %q: refused %v", name, refused)
			}
			if name == "" {
				mustDo(t, v.press(ctx, "/envoyer", nil), v.until(ctx, pageSent))
				if !strings.Contains(v.body, `id="retour" href="https://familles.editeur.example/retour?a=1"`) {
					t.Error("no way back")
				}
			}
		}
	})
	t.Run("a hub that starts again finds her where she was", func(t *testing.T) {
		away, seen := start(t), review(t)
		w.restart(t)
		mustDo(t, away.identify(ctx, "le-bihan"), away.until(ctx, pageReview), seen.press(ctx, "/envoyer", nil))
		w.restart(t)
		mustDo(t, seen.open(ctx, seen.at.String()), seen.until(ctx, pageSent))
	})
	t.Run("a suspended commune sends nobody away, and an open review says so", func(t *testing.T) {
		v := review(t)
		mustDo(t, w.suspend(ctx))
		mustDo(t, v.press(ctx, "/envoyer", nil))
		if v.status != http.StatusConflict {
			t.Errorf("%d %s", v.status, v.heading())
		}
		gone := newVisitor()
		mustDo(t, gone.open(ctx, w.communePage()))
		if strings.Contains(gone.body, "demarrer") || !strings.Contains(gone.body, "attestation") {
			t.Error("a suspended commune offers the journey")
		}
	})
}

func (w *world) restart(t *testing.T) {
	t.Helper()
	mustDo(t, w.stopHub())
	w.hub.close()
	w.startHub(t, &lockedBuffer{})
	mustDo(t, w.awaitReady(t.Context()))
}

// suspend has DataPass revoke the commune's right, and waits until she cannot receive.
func (w *world) suspend(ctx context.Context) error {
	if _, err := w.datapass.Revoke(ctx, datapasstest.QFFormID, "fin du service"); err != nil {
		return err
	}
	_, err := eventually(ctx, func() (any, error) {
		r, err := w.hub.store.ReceiverByKey(ctx, registry.FolderProcess, demoCommune)
		if err == nil && store.Receives(r) {
			err = errors.New("the commune still receives")
		}
		return nil, err
	})
	return err
}

func TestWhileFranceConnectIsKnownToBeDownCommunesPagesShowTheOtherWays(t *testing.T) {
	t.Parallel()
	w := openJourneys(t, &lockedBuffer{})
	ctx := t.Context()
	down := w.citizen.franceconnect.Inject(partnertest.Status(discoveryCall, http.StatusServiceUnavailable))
	v := newVisitor()
	mustDo(t, v.open(ctx, w.communePage()), v.press(ctx, "/demarrer", nil), v.until(ctx, pageDown))
	mustDo(t, v.open(ctx, w.communePage()))
	if strings.Contains(v.body, "/demarrer") || !strings.Contains(v.body, "L’identification n’est pas possible en ce moment") || !strings.Contains(v.body, "Sans FranceConnect") {
		t.Errorf("the page sends people to a FranceConnect that is down: %s", v.body)
	}
	w.citizen.franceconnect.ClearFaults(down)
	await(t, func() error {
		if err := v.open(ctx, w.communePage()); err != nil || strings.Contains(v.body, "/demarrer") {
			return err
		}
		return errors.New("it is back, and the page does not open")
	})
	mustDo(t, v.press(ctx, "/demarrer", nil), v.identify(ctx, "fontanel"), v.until(ctx, pageReview))
}

func TestWhenTheLimitsAreUsedUpACitizenWaitsInLineBeforeSheLeaves(t *testing.T) {
	t.Parallel()
	w := openPartnersOnly(t)
	settings, err := os.ReadFile(w.settings)
	mustDo(t, err)
	mustDo(t, os.WriteFile(w.settings, append(settings, []byte("journeys: {per_minute: 20, per_hour: 500, per_habilitation: 2}\n")...), 0o600))
	w.startHub(t, &lockedBuffer{})
	mustDo(t, w.join(t.Context()))
	_, err = w.openCommune(t.Context())
	mustDo(t, err)
	ctx := t.Context()
	places := map[string]int{}
	var last *visitor
	for range 5 {
		last = newVisitor()
		mustDo(t, last.open(ctx, w.communePage()), last.press(ctx, "/demarrer", nil))
		if last.heading() == "Vous êtes dans la file d’attente" {
			_, rest, _ := strings.Cut(last.body, "en place <strong>")
			place, _, _ := strings.Cut(rest, "<")
			places[place]++
		}
	}
	if len(places) != 3 || places["1"] != 1 || places["2"] != 1 || places["3"] != 1 {
		t.Errorf("places %v, want 1, 2 and 3", places)
	}
	if last.header.Get("Refresh") == "" || w.citizen.franceconnect.Count("GET /api/v2/authorize") != 2 {
		t.Errorf("refresh %q, %d at FranceConnect", last.header.Get("Refresh"), w.citizen.franceconnect.Count("GET /api/v2/authorize"))
	}
	if err := last.open(ctx, last.at.String()+"?actualisation=manuelle"); err != nil || last.header.Get("Refresh") != "" {
		t.Errorf("it cannot be stopped: %v", err)
	}
}

package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// transaction is the id in the address of a visitor's page.
func transaction(t *testing.T, v *visitor) uuid.UUID {
	t.Helper()
	id, err := uuid.Parse(filepath.Base(v.at.Path))
	mustDo(t, err)
	return id
}

// opened gives what the hub keeps of a transaction, opened with the key that only
// its browser has.
func (w *world) opened(t *testing.T, v *visitor) string {
	t.Helper()
	id := transaction(t, v)
	j, err := w.hub.store.Journey(t.Context(), id)
	mustDo(t, err)
	for _, c := range v.client.Jar.Cookies(v.at) {
		if key, err := hex.DecodeString(c.Value); c.Name == "demarche" && err == nil {
			clear, err := store.OpenUnder(key, j.Body, []byte("journey/"+id.String()))
			mustDo(t, err)
			return string(clear)
		}
	}
	t.Fatal("the browser holds no key")
	return ""
}

func (w *world) count(t *testing.T, sql string, args ...any) (n int) {
	t.Helper()
	mustDo(t, w.hub.pool.QueryRow(t.Context(), sql, args...).Scan(&n))
	return n
}

// The page /confidentialite, promise by promise, by a clock that moves.
func TestEachPromiseOfThePrivacyPageIsKept(t *testing.T) {
	t.Parallel()
	clock := partnertest.NewClock()
	log := &lockedBuffer{}
	w := openJourneys(t, log, clocked(t, clock))
	ctx := t.Context()
	promise := newVisitor()
	mustDo(t, promise.open(ctx, w.publicURL+"/confidentialite"))
	for _, says := range []string{"30 minutes sans action de votre part", "3 jours au plus", "90 jours au plus", "36 mois"} {
		if !strings.Contains(promise.body, says) {
			t.Errorf("the page does not promise %q", says)
		}
	}
	gone := func(sql string, id uuid.UUID) {
		t.Helper()
		await(t, func() error {
			if n := w.count(t, sql, id); n != 0 {
				return fmt.Errorf("%s: %d rows are left", sql, n)
			}
			return nil
		})
	}

	// What is sent goes as soon as HubEE has acknowledged it; her summary stays for her alone.
	sent := w.arrives(t, "fontanel", pageReview)
	if !strings.Contains(w.opened(t, sent), "FONTANEL") {
		t.Fatal("a review holds nothing: the test looks at the wrong place")
	}
	w.sends(t, sent)
	id := transaction(t, sent)
	gone(`select count(*) from folder_content where folder_id = $1`, id)
	var kept struct {
		Identity, Family json.RawMessage
		PDF              []byte `json:"pdf"`
	}
	text := w.opened(t, sent)
	mustDo(t, json.Unmarshal([]byte(text), &kept))
	if kept.Identity != nil || kept.Family != nil || strings.Contains(text, "FONTANEL") || !bytes.HasPrefix(kept.PDF, []byte("%PDF-")) {
		t.Errorf("after the sending it holds %.300s", text)
	}
	// Who leaves takes all with her: the row, and the cookies.
	leaving := w.arrives(t, "garrigue", pageReview)
	left, page := transaction(t, leaving), leaving.at
	w.sends(t, leaving)
	mustDo(t, leaving.press(ctx, "/quitter", nil))
	gone(`select count(*) from journey where id = $1`, left)
	for _, at := range []string{page.String(), w.publicURL + "/callback", w.publicURL + "/logout-callback"} {
		u, err := url.Parse(at)
		mustDo(t, err)
		if cookies := leaving.client.Jar.Cookies(u); len(cookies) != 0 {
			t.Errorf("the browser keeps %d cookies for %s", len(cookies), u.Path)
		}
	}

	// To cancel wipes at once; so does an error, but for the identity of someone who is not found.
	cancelled := w.arrives(t, "fontanel", pageReview)
	mustDo(t, cancelled.press(ctx, "/annuler", nil))
	for name, v := range map[string]*visitor{"cancelled": cancelled, "an error": w.arrives(t, "tessier", "La Caf ou la MSA ne répond pas")} {
		if text := w.opened(t, v); strings.Contains(text, "family") || strings.Contains(text, "identity") || strings.Contains(text, "FONTANEL") || strings.Contains(text, "TESSIER") {
			t.Errorf("%s: it holds %.300s", name, text)
		}
	}
	if text := w.opened(t, w.arrives(t, "perrin", pageNoFile)); !strings.Contains(text, "PERRIN") || strings.Contains(text, "family\":") {
		t.Errorf("not found: it holds %.300s", text)
	}

	// Half an hour without a word, and it is over; each word gives another half an hour.
	idle := w.arrives(t, "fontanel", pageReview)
	for range 2 {
		w.advance(clock, 29*time.Minute)
		if mustDo(t, idle.open(ctx, idle.at.String())); idle.heading() != pageReview {
			t.Fatalf("29 minutes after a word: %q", idle.heading())
		}
	}
	w.advance(clock, 31*time.Minute)
	if mustDo(t, idle.open(ctx, idle.at.String())); idle.status != http.StatusNotFound || idle.heading() != pageOver {
		t.Errorf("31 minutes after a word: %d %q", idle.status, idle.heading())
	}
	gone(`select count(*) from journey where $1::uuid is not null`, id) // all of them, her summary too
	if mustDo(t, sent.open(ctx, sent.at.String()+"/document")); sent.header.Get("Content-Type") == "application/pdf" || strings.Contains(sent.body, `id="reference"`) {
		t.Errorf("her summary is still shown: %d %s", sent.status, sent.heading())
	}

	// A folder that cannot leave is destroyed after three days, and she is told.
	w.citizen.hubee.Inject(partnertest.Status("", 503))
	stuck := w.arrives(t, "le-bihan", pageReview)
	mustDo(t, stuck.press(ctx, "/envoyer", nil))
	stuckID := transaction(t, stuck)
	w.advance(clock, 71*time.Hour)
	gone(`select count(*) from journey where id = $1`, stuckID) // a sweep has come by
	if n := w.count(t, `select count(*) from folder_content where folder_id = $1`, stuckID); n != 1 {
		t.Fatalf("after 71 hours %d contents are left", n)
	}
	w.advance(clock, 2*time.Hour)
	gone(`select count(*) from folder_content where folder_id = $1`, stuckID)
	if mustDo(t, stuck.open(ctx, stuck.at.String())); stuck.heading() != "Votre envoi n’a pas abouti" {
		t.Errorf("after three days she reads %q", stuck.heading())
	}
	w.citizen.hubee.ClearFaults()

	// Reference, state and HubEE's ids: ninety days from the sending.
	status := newVisitor()
	w.advance(clock, 86*24*time.Hour)
	if mustDo(t, status.open(ctx, w.publicURL+"/demarche/"+id.String())); status.heading() != pageSent {
		t.Errorf("after 89 days: %q", status.heading())
	}
	w.advance(clock, 36*time.Hour)
	gone(`select count(*) from folder where id = $1`, id)
	if mustDo(t, status.open(ctx, w.publicURL+"/demarche/"+id.String())); status.heading() != pageOver {
		t.Errorf("after ninety days: %q", status.heading())
	}
	w.advance(clock, 4*24*time.Hour)
	gone(`select (select count(*) from folder) + (select count(*) from folder_event) + (select count(*) from folder_content) from (select $1::uuid) x`, id)

	for _, word := range append(personal, "PERRIN", "LE BIHAN", "GARRIGUE", "TESSIER") {
		if strings.Contains(log.String(), word) {
			t.Errorf("the log holds %q", word)
		}
	}
}

func TestTracesTellWhoseDataWasAskedForWhomWithoutANameForThirtySixMonths(t *testing.T) {
	t.Parallel()
	clock := partnertest.NewClock()
	w := openJourneys(t, &lockedBuffer{}, clocked(t, clock))
	export := func(args ...string) (list []shownTrace) {
		t.Helper()
		for _, line := range strings.Split(strings.TrimSpace(w.passerelle(t, "traces", args...)), "\n") {
			var one shownTrace
			if line != "" {
				mustDo(t, json.Unmarshal([]byte(line), &one))
				list = append(list, one)
			}
		}
		return list
	}
	// Two lines from before the time that they are kept, one from after; then it is now.
	const margin = 48 * time.Hour
	limit := time.Now().AddDate(-3, 0, 0)
	w.advance(clock, limit.Add(-margin).Sub(clock.Now()))
	w.sends(t, w.arrives(t, "fontanel", pageReview))
	w.advance(clock, 2*margin)
	w.arrives(t, "perrin", pageNoFile)
	w.advance(clock, time.Until(clock.Now())*-1)
	await(t, func() error {
		if list := export(); len(list) != 1 || list[0].Seq != 3 || list[0].Event != store.TraceConnection || list[0].Outcome != "no_file" {
			return fmt.Errorf("what is left is %+v", list)
		}
		return nil
	})

	v := w.arrives(t, "fontanel", pageReview)
	w.sends(t, v)
	list := export("--siret", demoCommune.SIRET, "--since", time.Now().AddDate(0, 0, -1).Format(time.DateOnly))
	if len(list) != 2 {
		t.Fatalf("%+v", list)
	}
	asked, sent := list[0], list[1]
	if asked.Event != store.TraceConnection || asked.Outcome != "ok" || asked.Siret != demoCommune.SIRET || asked.Cog != demoCommune.Branch || asked.Habilitation == 0 || len(asked.SubHash) != 64 ||
		asked.ACR == "" || strings.Join(asked.Categories, " ") != "allocataires enfants quotient_familial" || asked.RequestID == "" || asked.Notice == "" || asked.Journey != transaction(t, v).String() {
		t.Errorf("a connection is %+v", asked)
	}
	if sent.Event != store.TraceSent || sent.Journey != asked.Journey || sent.Reference != shownReference.FindStringSubmatch(v.body)[1] || sent.Habilitation != asked.Habilitation {
		t.Errorf("a sending is %+v", sent)
	}
	if text := w.passerelle(t, "traces"); strings.Contains(text, "FONTANEL") || strings.Contains(text, "PERRIN") || strings.Contains(text, "1987") {
		t.Errorf("a trace holds what is personal: %s", text)
	}
	if n := w.count(t, `select purge_journey_traces(1000)`); n != 0 {
		t.Errorf("%d traces are purged before their time", n)
	}
	verify := func() (int, string) {
		var out bytes.Buffer
		status := run(t.Context(), environment{stdout: &out, stderr: &out}, []string{"audit", "verify", "--config", w.settings})
		return status, out.String()
	}
	if status, out := verify(); status != 0 || !strings.Contains(out, "3 traces of citizens' connections") || !strings.Contains(out, "the history is whole") {
		t.Errorf("%d %s", status, out)
	}
	for _, c := range []struct{ plant, says, back string }{
		{`update journey_trace set outcome = 'cancelled' where seq = 4`, "was changed", `update journey_trace set outcome = 'ok' where seq = 4`},
		{`delete from journey_trace where seq = 3`, "trace 4 of 21350998700011-35998: does not follow the one before", ""},
		{`delete from journey_trace where seq = 4`, "does not follow the one before", ""},
	} {
		_, err := w.hub.pool.Exec(t.Context(), c.plant)
		mustDo(t, err)
		if status, out := verify(); status != 1 || !strings.Contains(out, c.says) {
			t.Errorf("%s: %d %s", c.plant, status, out)
		}
		if c.back != "" {
			_, err := w.hub.pool.Exec(t.Context(), c.back)
			mustDo(t, err)
		}
	}
	// What cannot be written down is neither shown nor sent.
	review := w.arrives(t, "garrigue", pageReview)
	id, page := transaction(t, review), review.at.String()
	_, err := w.hub.pool.Exec(t.Context(), `alter table journey_trace add constraint full_disk check (false) not valid`)
	mustDo(t, err)
	if lost := w.arrives(t, "fontanel", "La demande a été interrompue"); strings.Contains(lost.body, "FONTANEL") || strings.Contains(w.opened(t, lost), "FONTANEL") {
		t.Error("data that no trace tells of is shown, or kept")
	}
	mustDo(t, review.press(t.Context(), "/envoyer", nil))
	if n := w.count(t, `select count(*) from folder where id = $1`, id); n != 0 || review.status != http.StatusServiceUnavailable {
		t.Errorf("%d folders are sent that no trace tells of; she reads %d %q", n, review.status, review.heading())
	}
	_, err = w.hub.pool.Exec(t.Context(), `alter table journey_trace drop constraint full_disk`)
	mustDo(t, err, review.open(t.Context(), page))
	w.sends(t, review)
	for _, wrong := range [][]string{{"--since", "hier"}, {"--siret", "1"}, {"x"}} {
		var out bytes.Buffer
		if status := run(t.Context(), environment{stdout: &out, stderr: &out}, append([]string{"traces", "--config", w.settings}, wrong...)); status != 2 {
			t.Errorf("%v: %d %s", wrong, status, out.String())
		}
	}
}

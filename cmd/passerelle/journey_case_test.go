package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/apiparticulier/apiparticuliertest"
	"github.com/passerelle-hub/passerelle/connectors/datapass/datapasstest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/internal/journey/qfform"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// clocked gives a hub a clock that the test moves. The database's does not correct
// it: it is asked through connections that are closed.
func clocked(t *testing.T, clock *partnertest.Clock) func(*hub) {
	return func(h *hub) {
		pool, err := pgxpool.New(t.Context(), h.config.Database.URL.Reveal())
		mustDo(t, err)
		pool.Close()
		h.clock = store.New(pool, nil).NewClock(clock.Now)
	}
}

// advance moves the hub's clock and its partners'.
func (w *world) advance(clock *partnertest.Clock, d time.Duration) {
	for _, c := range []*partnertest.Clock{clock, w.citizen.franceconnect.Clock(), w.citizen.particulier.Clock(), w.citizen.hubee.Clock()} {
		c.Advance(d)
	}
}

// passerelle runs one of the hub's commands.
func (w *world) passerelle(t *testing.T, word string, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	if status := run(t.Context(), environment{stdout: &out, stderr: &out}, append([]string{word, "--config", w.settings}, args...)); status != 0 {
		t.Fatalf("passerelle %s %v: %d %s", word, args, status, out.String())
	}
	return out.String()
}

// heldForm is what HubEE holds of a citizen's folder: its JSON, and the texts of
// its first two files.
type heldForm struct {
	ExternalID *string `json:"external_id"`
	Identity   struct {
		FamilyName string `json:"family_name"`
		BirthDate  string `json:"birthdate"`
	} `json:"pivot_identity"`
	V3 *struct {
		Quotient struct {
			Provider string `json:"fournisseur"`
			Value    *int   `json:"valeur"`
			Year     int    `json:"annee"`
			Month    int    `json:"mois"`
		} `json:"quotient_familial"`
		Adults []struct {
			BirthName string `json:"nom_naissance"`
			BirthDate string `json:"date_naissance"`
		} `json:"allocataires"`
		Children []struct {
			GivenNames string `json:"prenoms"`
		} `json:"enfants"`
	} `json:"quotient_familial_v3"`
	V2 *struct {
		Value *int `json:"quotientFamilial"`
		Year  int  `json:"annee"`
		Month int  `json:"mois"`
	} `json:"quotient_familial"`

	texts string
}

// held reads the folder whose reference her page shows. HubEE holds it once, whole.
func (w *world) held(t *testing.T, v *visitor) heldForm {
	t.Helper()
	found := shownReference.FindStringSubmatch(v.body)
	if found == nil {
		t.Fatalf("the page %q shows no reference", v.heading())
	}
	list := w.wholeFolders(found[1])
	if len(list) != 1 || len(list[0].Attachments) != 3 {
		t.Fatalf("HubEE holds %d whole folders of that reference: %+v", len(list), list)
	}
	var form heldForm
	for _, a := range list[0].Attachments[:2] {
		content, _ := w.citizen.hubee.File(a.ID)
		form.texts += string(content)
		if a.FileName == "FormulaireQF.json" {
			mustDo(t, json.Unmarshal(content, &form))
		}
	}
	return form
}

// arrives opens the commune's page, identifies, and comes to a page.
func (w *world) arrives(t *testing.T, citizen, heading string) *visitor {
	t.Helper()
	ctx, v := t.Context(), newVisitor()
	mustDo(t, v.open(ctx, w.communePage()), v.press(ctx, "/demarrer", nil), v.identify(ctx, citizen), v.until(ctx, heading))
	return v
}

// sends presses the button of the review.
func (w *world) sends(t *testing.T, v *visitor) heldForm {
	t.Helper()
	mustDo(t, v.press(t.Context(), "/envoyer", nil), v.until(t.Context(), pageSent))
	return w.held(t, v)
}

func TestWithoutAFileHerIdentityGoesAloneWhereTheCommuneTakesIt(t *testing.T) {
	t.Parallel()
	w := openJourneys(t, &lockedBuffer{})
	ctx := t.Context()
	const offer = "accepte de recevoir votre identité sans quotient familial"
	before := w.citizen.hubee.Totals().Folders
	v := w.arrives(t, "perrin", pageNoFile)
	if strings.Contains(v.body, offer) || strings.Contains(v.body, "/identite") {
		t.Error("a commune that does not take it is offered")
	}
	mustDo(t, v.do(ctx, http.MethodPost, v.at.Path+"/identite", url.Values{}))
	if after := w.citizen.hubee.Totals().Folders; v.heading() != pageNoFile || after != before {
		t.Errorf("a forged button leads to %q; HubEE holds %d folders more", v.heading(), after-before)
	}

	w.passerelle(t, "folders", "--identity-alone", "wishes", demoCommune.SIRET+"-"+demoCommune.Branch)
	mustDo(t, v.open(ctx, v.at.String()))
	if !strings.Contains(v.body, offer) {
		t.Fatal("it is not offered where the commune takes it")
	}
	mustDo(t, v.press(ctx, "/identite", nil), v.until(ctx, pageReview))
	if !strings.Contains(v.body, "votre identité seule, sans quotient familial") || !strings.Contains(v.body, "PERRIN") || strings.Contains(v.body, `id="quotient"`) {
		t.Errorf("the review does not say what goes: %s", v.body)
	}
	// A commune that takes it no more gets none; one that takes it again does.
	review := *v
	w.passerelle(t, "folders", "wishes", demoCommune.SIRET+"-"+demoCommune.Branch)
	mustDo(t, review.press(ctx, "/envoyer", nil))
	if after := w.citizen.hubee.Totals().Folders; review.status != http.StatusConflict || after != before {
		t.Errorf("where it is not taken any more: %d %q, %d folders more", review.status, review.heading(), after-before)
	}
	w.passerelle(t, "folders", "--identity-alone", "wishes", demoCommune.SIRET+"-"+demoCommune.Branch)
	form := w.sends(t, v)
	if form.Identity.FamilyName != "PERRIN" || form.V3 != nil || form.V2 != nil {
		t.Errorf("HubEE holds %+v", form)
	}
	for _, fund := range []string{"CNAF", "MSA"} {
		if strings.Contains(form.texts, fund) {
			t.Errorf("a folder without a quotient names a fund: %s", fund)
		}
	}

	// A fund that is down is no reason to go without: she is told to come back.
	mustDo(t, w.citizen.particulier.FailNext(apiparticuliertest.Order{Name: "unavailable", Times: 3}))
	if v := w.arrives(t, "fontanel", "La Caf ou la MSA ne répond pas"); strings.Contains(v.body, offer) {
		t.Error("a quotient that exists is offered to be left out")
	}
}

func TestEarlyInTheMonthTheMonthBeforeIsAskedAndLabelled(t *testing.T) {
	t.Parallel()
	clock := partnertest.NewClock()
	w := openJourneys(t, &lockedBuffer{}, clocked(t, clock))
	paris, err := time.LoadLocation("Europe/Paris")
	mustDo(t, err)
	now := time.Now().In(paris)
	third := time.Date(now.Year(), now.Month()+1, 3, 10, 0, 0, 0, paris) // always in the window
	month := connectors.MonthOf(third)
	const label = "n’est pas encore calculé par la Caf : voici celui de "
	for _, c := range []struct {
		name, citizen string
		at            time.Time
		want          connectors.Month
		calls         int
	}{
		{"the CAF has not computed this month", "fontanel", third, month.Before(), 2},
		{"the MSA always has", "garrigue", third.Add(time.Hour), month, 1},
		{"the CAF has, after the window", "fontanel", third.AddDate(0, 0, 9), month, 1},
	} {
		w.advance(clock, c.at.Sub(clock.Now()))
		before := w.citizen.particulier.Count(questionCall)
		v := w.arrives(t, c.citizen, pageReview)
		early := c.want != month
		if strings.Contains(v.body, label+qfform.MonthInFrench(c.want)) != early || !strings.Contains(v.body, "pour le mois de <strong>"+qfform.MonthInFrench(c.want)+"</strong>") {
			t.Errorf("%s: the review does not say the month: %s", c.name, v.body)
		}
		calls := w.citizen.particulier.Calls(questionCall)[before:]
		if len(calls) != c.calls || strings.Contains(calls[0].Query, "mois=") {
			t.Fatalf("%s: it is asked %+v", c.name, calls)
		}
		if early {
			again := calls[1]
			if !strings.Contains(again.Query, fmt.Sprintf("annee=%d", c.want.Year)) || !strings.Contains(again.Query, fmt.Sprintf("mois=%d", int(c.want.Month))) || again.Header.Get("Cache-Control") != "no-cache" {
				t.Errorf("%s: the month before is asked by %s, %v", c.name, again.Query, again.Header)
			}
		}
		form := w.sends(t, v)
		if q := form.V3.Quotient; q.Year != c.want.Year || q.Month != int(c.want.Month) || q.Value == nil || form.V2.Year != q.Year || form.V2.Month != q.Month || *form.V2.Value != *q.Value {
			t.Errorf("%s: HubEE holds %+v and %+v", c.name, form.V3, form.V2)
		}
	}
}

func TestABirthDateThatIsNoneOfTheFilesIsAWarningAndNoMore(t *testing.T) {
	t.Parallel()
	w := openJourneys(t, &lockedBuffer{})
	const warning = "n’est celle d’aucun des allocataires de ce dossier"
	for citizen, differs := range map[string]bool{"vasseur": true, "fontanel": false, "sissoko": false} {
		v := w.arrives(t, citizen, pageReview)
		if strings.Contains(v.body, warning) != differs {
			t.Errorf("%s: warned %v", citizen, !differs)
		}
		if !differs {
			continue
		}
		form := w.sends(t, v)
		if form.Identity.BirthDate != "1988-06-15" || len(form.V3.Adults) != 1 || form.V3.Adults[0].BirthDate != "1986-06-15" {
			t.Errorf("HubEE holds %+v: each date as its source gives it is expected", form)
		}
	}
}

// editorsRight gives the commune a right of its own by the form of an editor,
// which covers the quotient and the allocataires.
func (w *world) editorsRight(t *testing.T) {
	t.Helper()
	_, err := w.file(t.Context(), datapasstest.APIParticulierFormulaireQF())
	mustDo(t, err)
	await(t, func() error {
		r, err := w.hub.store.ReceiverByKey(t.Context(), registry.FolderProcess, demoCommune)
		if err != nil {
			return err
		}
		rights, err := w.hub.store.RightsOf(t.Context(), r.ID)
		if err == nil && (len(rights) != 2 || rights[0].EditorID != demoEditor || !store.Receives(r)) {
			err = fmt.Errorf("the commune is %s by %+v", r.State, rights)
		}
		return err
	})
}

func TestOnlyWhatTheHabilitationCoversIsAskedShownAndSent(t *testing.T) {
	t.Parallel()
	w := openJourneys(t, &lockedBuffer{})
	w.editorsRight(t)
	departures := func() []partnertest.Call { return w.citizen.franceconnect.Calls("GET /api/v2/authorize") }
	for _, c := range []struct {
		name, scopes string // "": as the request was approved
		adults       bool
	}{
		{"the quotient and the allocataires", "", true},
		{"the quotient alone", "{cnaf_quotient_familial,cnaf_adresse}", false},
	} {
		if c.scopes != "" {
			_, err := w.hub.pool.Exec(t.Context(), `update receiver_right set scopes = $1::text[] where editor_id = $2`, c.scopes, demoEditor)
			mustDo(t, err)
			w.citizen.particulier.ClearCache()
		}
		v := w.arrives(t, "fontanel", pageReview)
		asked := departures()
		scope := asked[len(asked)-1].Query
		if !strings.Contains(scope, "cnaf_quotient_familial") || strings.Contains(scope, "cnaf_allocataires") != c.adults || strings.Contains(scope, "cnaf_enfants") || strings.Contains(scope, "cnaf_adresse") {
			t.Errorf("%s: FranceConnect is asked %s", c.name, scope)
		}
		if strings.Contains(v.body, "Les allocataires du dossier") != c.adults || strings.Contains(v.body, "Les enfants du dossier") || strings.Contains(v.body, "NOE") {
			t.Errorf("%s: the review shows more, or less: %s", c.name, v.body)
		}
		form := w.sends(t, v)
		if (len(form.V3.Adults) > 0) != c.adults || form.V3.Quotient.Value == nil || *form.V2.Value != *form.V3.Quotient.Value {
			t.Errorf("%s: HubEE holds %+v", c.name, form)
		}
		for word, there := range map[string]bool{"allocataires": c.adults, "THOMAS": c.adults, "enfants": false, "LEA": false, "TILLEULS": false} {
			if strings.Contains(form.texts, word) != there {
				t.Errorf("%s: %q in the folder: %v", c.name, word, !there)
			}
		}
	}
	// A right that does not cover the quotient leads nobody away.
	_, err := w.hub.pool.Exec(t.Context(), `update receiver_right set scopes = '{cnaf_enfants}' where editor_id = $1`, demoEditor)
	mustDo(t, err)
	before := len(departures())
	v := newVisitor()
	mustDo(t, v.open(t.Context(), w.communePage()), v.press(t.Context(), "/demarrer", nil))
	if v.heading() != "Votre collectivité ne reçoit plus de dossiers par ce service" || len(departures()) != before {
		t.Errorf("%q after %d departures", v.heading(), len(departures())-before)
	}
}

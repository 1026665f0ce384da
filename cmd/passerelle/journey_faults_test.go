package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/connectors/apiparticulier/apiparticuliertest"
	"github.com/passerelle-hub/passerelle/connectors/franceconnect/franceconnecttest"
	"github.com/passerelle-hub/passerelle/connectors/hubee/hubeetest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/internal/journey"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// The calls of a journey to FranceConnect and to API Particulier.
const (
	discoveryCall = partnertest.Route("GET /api/v2/.well-known/openid-configuration")
	keysCall      = partnertest.Route("GET /api/v2/jwks")
	tokenCall     = partnertest.Route("POST /api/v2/token")
	userinfoCall  = partnertest.Route("GET /api/v2/userinfo")
	logoutCall    = partnertest.Route("GET /api/v2/session/end")
	questionCall  = partnertest.Route("GET /v3/dss/quotient_familial/france_connect")
)

// Headings of the pages of a journey that did not go through.
const (
	pageDown      = "FranceConnect ne répond pas"
	pageDoubtful  = "Votre identification n’a pas pu être vérifiée"
	pageAgain     = "Le retour de FranceConnect a pris trop de temps"
	pageCaf       = "La Caf ou la MSA ne répond pas"
	pageBusy      = "Le service qui donne les quotients familiaux est très demandé"
	pageNoFile    = "Aucun dossier d’allocations à votre nom"
	pageCancelled = "Vous avez annulé votre démarche"
	pageStopped   = "La demande a été interrompue"
	pageOver      = "Cette démarche est terminée ou a expiré"
)

// fault is what goes wrong with one call of a citizen's journey, and what she
// reads then.
type fault struct {
	call, name string
	citizen    string
	away       bool // it strikes while she is at FranceConnect, at a hub that has just started
	strike     func(*world) error
	limits     func(*journey.Limits)
	page       string
	known      bool // the page shows her who she is: nothing else is kept of her
}

func atIdentity(faults ...partnertest.Fault) func(*world) error {
	return func(w *world) error { w.citizen.franceconnect.Inject(faults...); return nil }
}

func atQuotient(faults ...partnertest.Fault) func(*world) error {
	return func(w *world) error { w.citizen.particulier.Inject(faults...); return nil }
}

func misbehave(what franceconnecttest.Misbehaviour, where franceconnecttest.Place) func(*world) error {
	return func(w *world) error {
		return w.citizen.franceconnect.Misbehave(franceconnecttest.Bad{What: what, Where: where, Times: 1})
	}
}

func failing(name string, times int) func(*world) error {
	return func(w *world) error {
		return w.citizen.particulier.FailNext(apiparticuliertest.Order{Name: name, Times: times})
	}
}

// Limits that make a fault last longer than they allow, in less than their real time.
func shortExchange(l *journey.Limits) { l.Exchange = 500 * time.Millisecond }
func shortAttempts(l *journey.Limits) { l.Attempt = 300 * time.Millisecond }
func shortBudget(l *journey.Limits)   { l.Budget = time.Second }

// answers replaces what a call gives by JSON.
func answers(call partnertest.Route, status int, body string) partnertest.Fault {
	return partnertest.Answer(call, status, "application/json", body)
}

// identityFaults are those of each call to FranceConnect.
func identityFaults() []fault {
	const (
		otherIssuer = `{"issuer":"https://ailleurs.example/api/v2"}`
		deadToken   = `{"error":"invalid_token","error_description":"invalid token provided"}`
		badSecret   = `{"error":"invalid_client","error_description":"client authentication failed"}`
	)
	var list []fault
	add := func(call, name, page string, strike func(*world) error, limits func(*journey.Limits)) {
		list = append(list, fault{call: call, name: name, citizen: "fontanel", page: page, strike: strike, limits: limits})
	}
	for _, c := range []struct {
		name  string
		route partnertest.Route
		lost  string // the page when one answer is lost, and when one is cut
	}{
		{"discovery", discoveryCall, pageDown},
		{"jwks", keysCall, pageReview}, // asked again once
		{"token", tokenCall, pageDown},
		{"userinfo", userinfoCall, pageReview}, // asked again once: FC-6
	} {
		add(c.name, "down", pageDown, atIdentity(partnertest.ResetBefore(c.route)), nil)
		if c.name != "discovery" { // her click waits for it: below
			add(c.name, "slow beyond the limit", pageDown, atIdentity(partnertest.Hang(c.route)), shortExchange)
		}
		add(c.name, "500", pageDown, atIdentity(partnertest.Status(c.route, 500)), nil)
		add(c.name, "429, Retry-After 2", pageDown, atIdentity(partnertest.RateLimited(c.route, 2*time.Second)), nil)
		add(c.name, "half a body", pageDown, atIdentity(partnertest.HalfBody(c.route)), nil)
		add(c.name, "a page of a proxy", pageDown, atIdentity(partnertest.HTML(c.route, 200)), nil)
		add(c.name, "one answer lost", c.lost, atIdentity(partnertest.ResetAfter(c.route).For(1)), nil)
	}
	add("discovery", "slow: 5 s", pageDown, atIdentity(partnertest.Hang(discoveryCall)), nil)
	add("discovery", "of another issuer", pageDown, atIdentity(answers(discoveryCall, 200, otherIssuer)), nil)
	add("discovery", "down when she comes back", pageDown, atIdentity(partnertest.ResetBefore(discoveryCall)), nil)
	list[len(list)-1].away = true
	add("discovery", "slow when she comes back", pageDown, atIdentity(partnertest.Hang(discoveryCall)), shortExchange)
	list[len(list)-1].away = true
	add("token", "our secret refused", pageDown, atIdentity(answers(tokenCall, 401, badSecret)), nil)
	add("token", "a code that has expired", pageAgain, atIdentity(answers(tokenCall, 400,
		`{"error":"invalid_grant","error_description":"x","error_uri":"https://docs.example/?code=Y043F0A8&id=1"}`)), nil)
	add("userinfo", "a dead token", pageAgain, atIdentity(answers(userinfoCall, 401, deadToken)), nil)
	for _, b := range []struct {
		what  franceconnecttest.Misbehaviour
		where []franceconnecttest.Place
	}{
		{franceconnecttest.WrongSignature, []franceconnecttest.Place{franceconnecttest.InIDToken, franceconnecttest.InUserinfo}},
		{franceconnecttest.AlgNone, []franceconnecttest.Place{franceconnecttest.InIDToken, franceconnecttest.InUserinfo}},
		{franceconnecttest.AlgHS256, []franceconnecttest.Place{franceconnecttest.InIDToken, franceconnecttest.InUserinfo}},
		{franceconnecttest.UnknownKID, []franceconnecttest.Place{franceconnecttest.InIDToken, franceconnecttest.InUserinfo}},
		{franceconnecttest.Expired, []franceconnecttest.Place{franceconnecttest.InIDToken, franceconnecttest.InUserinfo}},
		{franceconnecttest.WrongNonce, []franceconnecttest.Place{franceconnecttest.InIDToken}},
		{franceconnecttest.LowACR, []franceconnecttest.Place{franceconnecttest.InIDToken}},
		{franceconnecttest.OtherSubject, []franceconnecttest.Place{franceconnecttest.InUserinfo}},
		{franceconnecttest.PlainJSON, []franceconnecttest.Place{franceconnecttest.InUserinfo}},
		{franceconnecttest.CallbackNoIss, []franceconnecttest.Place{franceconnecttest.InCallback}},
	} {
		for _, where := range b.where {
			add(string(where), strings.ReplaceAll(string(b.what), "_", " "), pageDoubtful, misbehave(b.what, where), nil)
		}
	}
	for _, what := range []franceconnecttest.Misbehaviour{franceconnecttest.CallbackServer, franceconnecttest.CallbackUnready} {
		add("callback", strings.ReplaceAll(string(what), "_", " "), pageDown, misbehave(what, franceconnecttest.InCallback), nil)
	}
	return list
}

// quotientFaults are those of the question to API Particulier.
func quotientFaults() []fault {
	const conflict = `{"errors":[{"code":"00015","title":"Conflit","detail":"x"}]}`
	list := []fault{
		{name: "down", page: pageCaf, strike: atQuotient(partnertest.ResetBefore(questionCall))},
		{name: "reset once", page: pageReview, strike: atQuotient(partnertest.ResetBefore(questionCall).For(1))},
		{name: "slower than an attempt, always", page: pageCaf, strike: atQuotient(partnertest.Hang(questionCall)), limits: shortAttempts},
		{name: "slower than an attempt, once", page: pageReview, strike: atQuotient(partnertest.Hang(questionCall).For(1)), limits: func(l *journey.Limits) { l.Attempt = 3 * time.Second }},
		{name: "slower than the token lives", page: pageCaf, strike: atQuotient(partnertest.Hang(questionCall)), limits: shortBudget},
		{name: "500", page: pageCaf, strike: atQuotient(partnertest.Status(questionCall, 500))},
		{name: "502 once", page: pageReview, strike: failing("unavailable", 1)},
		{name: "502 always", page: pageCaf, strike: failing("unavailable", 0)},
		{name: "504 always", page: pageCaf, strike: failing("timeout", 0)},
		{name: "a page of a proxy", page: pageCaf, strike: atQuotient(partnertest.HTML(questionCall, 502))},
		{name: "429 once, Retry-After 1", page: pageReview, strike: atQuotient(partnertest.RateLimited(questionCall, time.Second).For(1))},
		{name: "429, Retry-After 120", page: pageBusy, strike: atQuotient(partnertest.RateLimited(questionCall, 2*time.Minute))},
		{name: "409 once", page: pageReview, strike: atQuotient(answers(questionCall, 409, conflict).For(1))},
		{name: "409 always", page: pageBusy, strike: atQuotient(answers(questionCall, 409, conflict))},
		{name: "503, an hour", page: "Le service de la Caf et de la MSA est en maintenance", strike: failing("maintenance", 1)},
		{name: "half a body once", page: pageReview, strike: atQuotient(partnertest.HalfBody(questionCall).For(1))},
		{name: "half a body always", page: pageCaf, strike: atQuotient(partnertest.HalfBody(questionCall))},
		{name: "the answer lost once", page: pageReview, strike: atQuotient(partnertest.ResetAfter(questionCall).For(1))},
		{name: "the answer lost always", page: pageCaf, strike: atQuotient(partnertest.ResetAfter(questionCall))},
		{name: "a dead token", page: "L’autorisation de FranceConnect n’est plus valable", strike: failing("fc_unknown", 1)},
		{name: "rights", page: "Votre collectivité ne peut pas recevoir votre quotient familial pour le moment", strike: failing("scopes", 1)},
		{name: "our question", page: "Notre demande n’a pas été comprise", strike: failing("malformed", 1)},
		{name: "an answer without a quotient", page: "Votre caisse n’a pas donné de quotient familial", known: true, strike: atQuotient(answers(questionCall, 200, `{"data":{},"links":{},"meta":{}}`))},
		{name: "no file", citizen: "perrin", page: pageNoFile, known: true},
		{name: "no fund", citizen: "kowalczyk", page: "Vous n’êtes rattaché à aucune caisse", known: true},
		{name: "not recognised", citizen: "marchand", page: "La Caf et la MSA ne vous ont pas reconnu", known: true},
		{name: "a name that is refused", citizen: "leboeuf", page: "Votre identité n’a pas pu être recherchée", known: true},
		{name: "none: MSA", citizen: "garrigue", page: pageReview},
		{name: "none: born on a day that nobody knows", citizen: "sissoko", page: pageReview},
		// The last one: another process has the recipient's turn, and keeps it.
		{name: "her turn does not come", page: "Beaucoup de familles utilisent le service en ce moment", limits: shortBudget, strike: func(w *world) error {
			_, ok, err := w.hub.store.Gate().Lock(context.Background(), "quotient/"+demoCommune.SIRET, 10*time.Minute)
			if err == nil && !ok {
				err = errors.New("somebody has the turn")
			}
			return err
		}},
	}
	for i := range list {
		list[i].call = "quotient"
		if list[i].citizen == "" {
			list[i].citizen = "fontanel"
		}
	}
	return list
}

// cold gives the hub's journeys clients that know nothing yet, as after a start,
// limits, and partners without faults.
func (w *world) cold(t *testing.T, limits func(*journey.Limits)) {
	t.Helper()
	w.hub.journeys.Wait(t.Context())
	fc, ap := w.citizen.franceconnect, w.citizen.particulier
	fc.ClearFaults()
	fc.Behave()
	ap.ClearFaults()
	ap.ClearFailures()
	ap.ClearCache()
	ap.ClearLocks()
	w.started(t)
	l := journey.DefaultLimits()
	l.Backoff = 100 * time.Millisecond
	if limits != nil {
		limits(&l)
	}
	w.hub.journeys.Settings.Limits = l
}

// started gives the hub's journeys the clients that a start gives them.
func (w *world) started(t *testing.T) {
	t.Helper()
	identity, err := w.hub.openIdentityProvider()
	mustDo(t, err)
	quotients, err := w.hub.openQuotientSource()
	mustDo(t, err)
	w.hub.journeys.Identity, w.hub.journeys.Quotients = identity, quotients
}

// kept is what the hub holds of a transaction, opened with the key of its cookie.
func (w *world) kept(ctx context.Context, id uuid.UUID, cookie string) (journey.View, error) {
	key, ok := journey.ParseKey(cookie)
	if !ok {
		return journey.View{}, errors.New("the cookie holds no key")
	}
	v, err := w.hub.journeys.See(ctx, journey.Ticket{ID: id, Key: key})
	if errors.Is(err, journey.ErrGone) {
		return journey.View{}, nil
	}
	return v, err
}

// left says what the hub holds of her under her own key; "" for nothing personal.
func (w *world) left(ctx context.Context, id uuid.UUID, cookie string) (string, error) {
	v, err := w.kept(ctx, id, cookie)
	var held []string
	if v.Identity != nil {
		held = append(held, "identity")
	}
	if v.Family != nil {
		held = append(held, "family")
	}
	if v.HasPDF {
		held = append(held, "document")
	}
	if v.Reference != "" && v.Folder == nil {
		held = append(held, "reference")
	}
	return strings.Join(held, ", "), err
}

// transaction gives the id of the page that a visitor is at, and the key that its
// cookie holds.
func (v *visitor) transaction() (uuid.UUID, string) {
	id, err := uuid.Parse(filepath.Base(v.at.Path))
	if err != nil {
		return uuid.Nil, ""
	}
	for _, c := range v.client.Jar.Cookies(v.at) {
		if c.Name == "demarche" {
			return id, c.Value
		}
	}
	return id, ""
}

// folderOf gives the one folder that HubEE has of a reference. It is whole, and of
// that person for that commune.
func (w *world) folderOf(reference, familyName, siret string) (hubeetest.FolderState, error) {
	held := w.wholeFolders(reference)
	if len(held) != 1 {
		return hubeetest.FolderState{}, fmt.Errorf("HubEE has %d whole folders of that reference", len(held))
	}
	name, err := w.nameIn(held[0])
	switch {
	case err != nil:
		return held[0], err
	case name != familyName:
		return held[0], errors.New("the folder is another citizen's")
	case !strings.Contains(held[0].Cases[0].Recipient, siret):
		return held[0], errors.New("the folder went to another commune")
	}
	return held[0], nil
}

// wholeFolders are what communes see of a reference. Where the answer to a creation
// was lost, HubEE keeps an empty folder beside.
func (w *world) wholeFolders(reference string) []hubeetest.FolderState {
	return slices.DeleteFunc(w.citizen.hubee.Folders("Formulaire-QF-"+reference), func(f hubeetest.FolderState) bool { return !f.Complete() || len(f.Attachments) == 0 })
}

// nameIn reads whose a folder at HubEE is.
func (w *world) nameIn(f hubeetest.FolderState) (string, error) {
	content, _ := w.citizen.hubee.File(f.Attachments[0].ID)
	var form heldForm
	err := json.Unmarshal(content, &form)
	return form.Identity.FamilyName, err
}

// TestFaultMatrixOfAJourney: each fault of each call has true advice, nothing is
// sent twice, and nothing is left of her.
func TestFaultMatrixOfAJourney(t *testing.T) {
	t.Parallel()
	for name, list := range map[string][]fault{"FranceConnect": identityFaults(), "API Particulier": quotientFaults()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := openJourneys(t, &lockedBuffer{})
			matrix(t, "call\tfault\tshe reads\tafter\ttoken calls\tquestions\tkept of her", func(row func(...any)) {
				for _, f := range list {
					w.suffer(t, f, row)
				}
			})
		})
	}
	t.Run("logout", func(t *testing.T) {
		t.Parallel()
		w := openJourneys(t, &lockedBuffer{})
		matrix(t, "call\tfault\tkept of her\tshe reads then", func(row func(...any)) {
			for _, f := range []fault{
				{name: "none"},
				{name: "down", strike: atIdentity(partnertest.ResetBefore(logoutCall))},
				{name: "slow", strike: atIdentity(partnertest.Hang(logoutCall))},
				{name: "500", strike: atIdentity(partnertest.Status(logoutCall, 500))},
				{name: "429, Retry-After 2", strike: atIdentity(partnertest.RateLimited(logoutCall, 2*time.Second))},
				{name: "half a body", strike: atIdentity(partnertest.HalfBody(logoutCall))},
				{name: "the answer lost", strike: atIdentity(partnertest.ResetAfter(logoutCall))},
				{name: "no session left there", strike: func(w *world) error { w.citizen.franceconnect.EndSessions(); return nil }},
				{name: "discovery down", strike: atIdentity(partnertest.ResetBefore(discoveryCall))},
				{name: "discovery slow", strike: atIdentity(partnertest.Hang(discoveryCall))},
			} {
				w.sufferLogout(t, f, row)
			}
		})
	})
}

// matrix prints what fill tells, line by line.
func matrix(t *testing.T, header string, fill func(row func(...any))) {
	t.Helper()
	var out strings.Builder
	tab := tabwriter.NewWriter(&out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(tab, header)
	fill(func(cells ...any) {
		texts := make([]string, len(cells))
		for i, c := range cells {
			texts[i] = fmt.Sprint(c)
		}
		fmt.Fprintln(tab, strings.Join(texts, "\t"))
	})
	_ = tab.Flush()
	t.Log("\n" + out.String())
}

// suffer is one journey with a fault.
func (w *world) suffer(t *testing.T, f fault, row func(...any)) {
	t.Helper()
	fc, ap := w.citizen.franceconnect, w.citizen.particulier
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	fail := func(format string, args ...any) {
		t.Helper()
		t.Errorf(f.call+", "+f.name+": "+format, args...)
	}
	w.cold(t, f.limits)
	fc.EndSessions()
	tokens, questions, begun := fc.Count(tokenCall), ap.Count(questionCall), time.Now()
	v := newVisitor()
	mustDo(t, v.open(ctx, w.communePage()))
	if f.strike != nil && !f.away {
		mustDo(t, f.strike(w))
	}
	mustDo(t, v.press(ctx, "/demarrer", nil))
	if f.away {
		w.started(t)
		mustDo(t, f.strike(w))
	}
	var err error
	if v.heading() != f.page {
		err = errors.Join(v.identify(ctx, f.citizen), v.until(ctx, f.page))
	}
	tokens, questions = fc.Count(tokenCall)-tokens, ap.Count(questionCall)-questions
	id, cookie := v.transaction()
	kept, lost := w.left(ctx, id, cookie)
	row(f.call, f.name, v.heading(), time.Since(begun).Round(100*time.Millisecond), tokens, questions, kept)
	if err = errors.Join(err, lost); err != nil {
		fail("%v", err)
		return
	}
	if tokens > 1 || questions > 3 {
		fail("%d token calls and %d questions", tokens, questions)
	}
	if f.page == pageReview {
		if err := errors.Join(v.press(ctx, "/envoyer", nil), v.until(ctx, pageSent)); err != nil {
			fail("%v", err)
			return
		}
		name := fc.Citizens()[slices.IndexFunc(fc.Citizens(), func(c franceconnecttest.Citizen) bool { return c.ID == f.citizen })].FamilyName
		if _, err := w.folderOf(shownReference.FindStringSubmatch(v.body)[1], name, demoCommune.SIRET); err != nil {
			fail("%v", err)
		}
		return
	}
	if !strings.Contains(v.body, "attestation") || !strings.Contains(v.body, "Rien n’a été transmis") {
		fail("no true advice")
	}
	if _, err := w.hub.store.Folder(ctx, id); !errors.Is(err, store.ErrNotFound) {
		fail("something was sent")
	}
	if want := map[bool]string{true: "identity"}[f.known]; kept != want {
		fail("%q is kept of her, want %q", kept, want)
	}
}

// sufferLogout is the end of a journey that did not go through, with a fault: it
// is wiped here before she leaves.
func (w *world) sufferLogout(t *testing.T, f fault, row func(...any)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	w.cold(t, nil)
	v := newVisitor()
	mustDo(t, v.open(ctx, w.communePage()), v.press(ctx, "/demarrer", nil), v.identify(ctx, "perrin"), v.until(ctx, pageNoFile))
	id, cookie := v.transaction()
	page := v.at.String()
	w.started(t)
	if f.strike != nil {
		mustDo(t, f.strike(w))
	}
	patient, leave := context.WithTimeout(ctx, 10*time.Second) // FranceConnect may never answer her
	defer leave()
	_ = v.press(patient, "/quitter", nil)
	_, gone := w.hub.store.Journey(ctx, id)
	kept, err := w.left(ctx, id, cookie)
	mustDo(t, err, v.open(ctx, page))
	row("logout", f.name, kept, v.heading())
	if !errors.Is(gone, store.ErrNotFound) || kept != "" {
		t.Errorf("logout, %s: %q is kept of her (%v)", f.name, kept, gone)
	}
	if v.status != http.StatusNotFound || v.heading() != pageOver || strings.Contains(v.body, "PERRIN") {
		t.Errorf("logout, %s: then she reads %q (%d)", f.name, v.heading(), v.status)
	}
}

// addCommune opens one more commune, invented, and gives its page and SIRET.
func (w *world) addCommune(t *testing.T, n int) (page, siret string) {
	t.Helper()
	siret = w.applyForCommune(t, n)
	await(t, func() error {
		list, err := w.hub.store.Receivers(t.Context(), registry.FolderProcess)
		if err != nil {
			return err
		}
		for _, r := range list {
			switch {
			case r.Siret != siret:
			case store.Receives(r):
				return nil
			case r.State == store.ReceiverInactive:
				_ = w.citizen.hubee.Activate(r.SubscriptionID, "API", hubeetest.OrganizationID{}, 0)
			}
		}
		return errors.New("the commune does not receive yet")
	})
	return w.publicURL + "/collectivites/" + siret, siret
}

// She cancelled while it was asked and waits in line again: what the old question
// comes to is nothing of hers any more.
func TestWhatAnOldQuestionComesToDoesNotFailAJourneyThatWasBegunAgain(t *testing.T) {
	t.Parallel()
	w := openJourneys(t, &lockedBuffer{})
	ctx := t.Context()
	mustDo(t, failing("malformed", 1)(w))
	asked, answer := make(chan struct{}), make(chan struct{})
	release := w.citizen.particulier.BeforeWork(questionCall, func(partnertest.Call) { close(asked); <-answer })
	v := newVisitor()
	mustDo(t, v.open(ctx, w.communePage()), v.press(ctx, "/demarrer", nil), v.identify(ctx, "fontanel"))
	<-asked
	w.hub.journeys.Settings.PerMinute = 1
	ahead := newVisitor()
	mustDo(t, ahead.open(ctx, w.communePage()), ahead.press(ctx, "/demarrer", nil))
	mustDo(t, v.press(ctx, "/annuler", nil), v.press(ctx, "/partir", nil))
	line := v.heading()
	release()
	close(answer)
	w.hub.journeys.Wait(ctx)
	mustDo(t, v.open(ctx, v.at.String()))
	if line != "Vous êtes dans la file d’attente" || v.heading() != line {
		t.Errorf("she was at %q, and is at %q", line, v.heading())
	}
}

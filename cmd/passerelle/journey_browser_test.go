package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/httpapi/apitest"
	"github.com/passerelle-hub/passerelle/internal/registry"
)

// What tells one page of a journey from the others.
const (
	signFind    = `a[href="/collectivites"]`
	signSearch  = `#q`
	signStart   = `form[action$="/demarrer"] button`
	signWho     = `input[name="citizen"]`    // at FranceConnect
	signConsent = `button[value="continue"]` // at FranceConnect
	signCancel  = `button[value="cancel"]`   // at FranceConnect
	signSend    = `form[action$="/envoyer"] button`
	signAnnul   = `form[action$="/annuler"] button`
	signRestart = `form[action$="/partir"] button`
	signLeave   = `form[action$="/quitter"] button`
	signHeld    = `#reference`
	signArrived = `.fr-alert--success`
)

// phone is a citizen's browser, 360 pixels wide.
type phone struct {
	t    *testing.T
	w    *world
	tab  context.Context
	page string // of her commune
	hers string // her family name
}

func (p *phone) narrow() { apitest.Look(p.t, p.tab, chromedp.EmulateViewport(360, 740)) }

func (p *phone) open(address string) {
	p.t.Helper()
	apitest.Look(p.t, p.tab, chromedp.Navigate(address))
}

func (p *phone) until(sign string) {
	p.t.Helper()
	apitest.Await(p.t, p.tab, fmt.Sprintf("document.querySelector(%q)", sign))
}

func (p *phone) reads(heading string) {
	p.t.Helper()
	apitest.Await(p.t, p.tab, fmt.Sprintf("document.querySelector('h1')?.textContent.trim() === %q", heading))
}

func (p *phone) press(sign string) {
	p.t.Helper()
	apitest.Click(p.t, p.tab, sign, 1)
}

// says whether the page that is shown holds a text.
func (p *phone) says(text string) bool {
	p.t.Helper()
	return apitest.Look(p.t, p.tab, chromedp.Evaluate[bool](fmt.Sprintf("document.documentElement.outerHTML.includes(%q)", text)))
}

func (p *phone) at() string {
	p.t.Helper()
	return apitest.Look(p.t, p.tab, chromedp.Evaluate[string]("location.origin + location.pathname"))
}

// still shows the page that is shown so that it does not come again by itself.
func (p *phone) still() {
	p.t.Helper()
	p.open(p.at() + "?actualisation=manuelle")
}

// transaction gives the id of the page that is shown, and the key in its cookie.
func (p *phone) transaction() (uuid.UUID, string) {
	p.t.Helper()
	at := p.at()
	id, err := uuid.Parse(filepath.Base(at))
	if err != nil {
		p.t.Fatalf("%s is no page of a transaction", at)
	}
	return id, apitest.Cookies(p.t, p.tab, at)["demarche"]
}

// wiped checks that nothing is sent of the transaction that is shown, and that
// her own key opens nothing personal.
func (p *phone) wiped(what string) {
	p.t.Helper()
	id, cookie := p.transaction()
	kept, err := p.w.left(p.t.Context(), id, cookie)
	if err != nil || kept != "" {
		p.t.Errorf("%s: %q is kept of her (%v)", what, kept, err)
	}
	if _, err := p.w.hub.store.Folder(p.t.Context(), id); err == nil {
		p.t.Errorf("%s: something was sent", what)
	}
}

// choose is what she does at FranceConnect's first page.
func (p *phone) choose(citizen string) {
	p.t.Helper()
	p.press("#citizen-" + citizen)
	p.press(`button[value="choose"]`)
	p.until(signConsent)
}

// pageStep is one page further in a journey: how she gets there, and what shows it.
type pageStep struct {
	name string
	do   func(*phone)
	sign string
}

func pressing(sign string) func(*phone) { return func(p *phone) { p.press(sign) } }

// steps are a whole journey, from the commune's page on.
func steps(citizen string) []pageStep {
	return []pageStep{
		{"commune", func(p *phone) { p.open(p.page) }, signStart},
		{"who she is", pressing(signStart), signWho},
		{"consent", func(p *phone) { p.choose(citizen) }, signConsent},
		{"review", pressing(signConsent), signSend},
		{"sent", pressing(signSend), signHeld},
		{"arrived", func(*phone) {}, signArrived},
	}
}

// walk goes through steps; disturb does something at each page.
func (p *phone) walk(list []pageStep, disturb func(pageStep)) {
	p.t.Helper()
	for _, s := range list {
		s.do(p)
		p.until(s.sign)
		if disturb != nil {
			disturb(s)
			p.until(s.sign)
		}
	}
}

// arrived checks that HubEE has one folder of hers for her commune, whole.
func (p *phone) arrived() {
	p.t.Helper()
	p.reads(pageSent)
	reference := strings.TrimSpace(apitest.Look(p.t, p.tab, chromedp.TextContent(signHeld)))
	siret := filepath.Base(p.page)
	if _, err := p.w.folderOf(reference, p.hers, siret); err != nil {
		p.t.Error(err)
	}
	n := 0
	for _, f := range p.w.citizen.hubee.Folders("") {
		if !strings.Contains(f.Cases[0].Recipient, siret) || !f.Complete() {
			continue
		}
		name, err := p.w.nameIn(f)
		if err != nil {
			p.t.Error(err)
		}
		if name == p.hers {
			n++
		}
	}
	if n != 1 {
		p.t.Errorf("HubEE has %d folders of hers", n)
	}
}

// search finds her commune from the first page on: with script in the list that
// completes, else in the page of results.
func search(script bool) []pageStep {
	return []pageStep{
		{"first page", func(p *phone) { p.open(p.w.publicURL + "/") }, signFind},
		{"search", pressing(signFind), signSearch},
		{"commune", func(p *phone) {
			apitest.Look(p.t, p.tab, chromedp.Focus(signSearch))
			apitest.Look(p.t, p.tab, chromedp.KeyEvent("plouvenez"))
			if script {
				p.until("#q-liste [role=option]")
				apitest.Look(p.t, p.tab, chromedp.KeyEvent(kb.ArrowDown))
			}
			apitest.Look(p.t, p.tab, chromedp.KeyEvent("\r"))
			if !script {
				p.press(".fr-results a")
			}
		}, signStart},
	}
}

// leaves ends a journey that has arrived: what is personal is destroyed here once
// HubEE has confirmed it, and her transaction when she leaves.
func (p *phone) leaves() {
	p.t.Helper()
	id, _ := p.transaction()
	p.press(signLeave)
	p.reads("Vous êtes déconnecté de FranceConnect")
	ctx := p.t.Context()
	await(p.t, func() error {
		var n int
		err := p.w.hub.pool.QueryRow(ctx, `select (select count(*) from journey where id = $1) + (select count(*) from folder_content where folder_id = $1)`, id).Scan(&n)
		if err == nil && n > 0 {
			err = fmt.Errorf("%d rows hold something of her", n)
		}
		return err
	})
}

// openPhone gives a citizen a browser.
func openPhone(t *testing.T, browser context.Context, w *world, hers string) *phone {
	t.Helper()
	p := &phone{t: t, w: w, tab: apitest.Person(t, browser), page: w.communePage(), hers: hers}
	p.narrow()
	return p
}

func TestInABrowserAJourneyArrivesOnceWhateverSheDoesOnItsPages(t *testing.T) {
	t.Parallel()
	browser := apitest.Browser(t, 10*time.Minute)
	w := openJourneys(t, &lockedBuffer{})
	other, siret := w.addCommune(t, 7)
	lanes := make(chan struct{}, 3) // side by side: they wait more than they work
	enter := func(t *testing.T) {
		t.Parallel()
		lanes <- struct{}{}
		t.Cleanup(func() { <-lanes })
	}
	run := func(name, hers string, do func(p *phone)) {
		t.Run(name, func(t *testing.T) {
			enter(t)
			do(openPhone(t, browser, w, hers))
		})
	}
	run("with JavaScript", "FONTANEL", func(p *phone) {
		p.walk(append(search(true), steps("fontanel")[1:]...), nil)
		p.arrived()
		p.leaves()
	})
	run("without JavaScript", "GARRIGUE", func(p *phone) {
		apitest.NoScript(p.t, p.tab)
		p.walk(append(search(false), steps("garrigue")[1:]...), nil)
		p.arrived()
		p.leaves()
	})
	run("she loads every page again", "SISSOKO", func(p *phone) {
		p.walk(steps("sissoko"), func(pageStep) { apitest.Reload(p.t, p.tab) })
		p.arrived()
	})
	run("she goes back and forward at every page", "LE BIHAN", func(p *phone) {
		p.walk(steps("le-bihan"), func(pageStep) {
			apitest.Turn(p.t, p.tab, -1)
			apitest.Turn(p.t, p.tab, 1)
		})
		p.arrived()
		for range 3 { // to what she saw before it was sent: it does not come back
			apitest.Turn(p.t, p.tab, -1)
			if strings.HasPrefix(p.at(), w.publicURL) && (p.says("/envoyer") || p.says("LE BIHAN")) {
				p.t.Errorf("going back from a sent page shows %s", p.at())
			}
		}
	})
	run("she clicks twice on send", "DELMAS", func(p *phone) {
		list := steps("delmas")
		list[4].do = func(p *phone) { apitest.Click(p.t, p.tab, signSend, 2) }
		p.walk(list, nil)
		p.arrived()
	})
	run("she begins again from her commune's page", "ROUVIÈRE", func(p *phone) {
		list := steps("rouviere")
		p.walk(list[:4], nil)
		id, _ := p.transaction()
		p.open(p.page)
		p.press(signStart) // FranceConnect knows her
		p.walk(list[3:], nil)
		p.arrived()
		if _, err := w.hub.store.Folder(p.t.Context(), id); err == nil {
			p.t.Error("what she left was sent too")
		}
	})
	run("her cookies are lost at every page", "GARRIGUE", func(p *phone) {
		p.page = other
		list := steps("garrigue")
		lose := func() { // of ours: FranceConnect keeps hers
			ids := []string{w.publicURL + callbackPath}
			if at := p.at(); strings.HasPrefix(at, w.publicURL) {
				ids = append(ids, at)
			}
			apitest.Forget(p.t, p.tab, ids...)
		}
		over := func(where string) {
			p.t.Helper()
			p.reads(pageOver)
			if p.says("GARRIGUE") {
				p.t.Errorf("%s: the page names her", where)
			}
		}
		p.walk(list[:2], nil)
		lose()
		p.choose("garrigue")
		p.press(signConsent)
		over("at FranceConnect's first page")
		p.open(p.page)
		p.press(signStart)
		p.until(signConsent)
		lose()
		p.press(signConsent)
		over("at FranceConnect's last page")
		for _, act := range []func(){pressingOn(p, signSend), pressingOn(p, signAnnul), func() { apitest.Reload(p.t, p.tab) }} {
			p.open(p.page)
			p.press(signStart)
			p.walk(list[3:4], nil)
			lose()
			act()
			over("at the review")
		}
		if n := len(slices.DeleteFunc(w.namesAt(p.t, siret), func(name string) bool { return name != "GARRIGUE" })); n != 0 {
			p.t.Errorf("%d folders were sent without a cookie", n)
		}
		p.open(p.page)
		p.press(signStart)
		p.walk(list[3:], nil)
		p.arrived()
		lose()
		apitest.Reload(p.t, p.tab)
		p.reads(pageSent) // where it stands, and no more
		if p.says("GARRIGUE") || p.says(`id="reference"`) || p.says("/document") {
			p.t.Error("without her cookie the page tells more than where it stands")
		}
	})
	t.Run("two communes in two tabs", func(t *testing.T) {
		enter(t)
		one := openPhone(t, browser, w, "D'ORNANO-PETIT")
		two := &phone{t: t, w: w, tab: apitest.Tab(t, one.tab), page: other, hers: "FONTANEL"}
		two.narrow()
		first, second := steps("dornano"), steps("fontanel")
		one.walk(first[:2], nil)
		two.walk(second[:4], nil)
		apitest.Forget(t, two.tab, w.citizen.franceconnect.Issuer()) // somebody else of the family
		one.walk(first[2:4], nil)
		for _, p := range []*phone{one, two} {
			apitest.Reload(t, p.tab)
			p.until(signSend)
			if !p.says(p.hers) && !p.says(strings.ReplaceAll(p.hers, "'", "&#39;")) || p.says("FONTANEL") != (p == two) {
				t.Errorf("the tab of %s shows another", p.hers)
			}
		}
		one.walk(first[4:5], nil)
		two.walk(second[4:], nil)
		one.walk(first[5:], nil)
		one.arrived()
		two.arrived()
	})
}

func pressingOn(p *phone, sign string) func() { return func() { p.press(sign) } }

// namesAt lists whose folders a commune has at HubEE.
func (w *world) namesAt(t *testing.T, siret string) []string {
	t.Helper()
	var names []string
	for _, f := range w.citizen.hubee.Folders("") {
		if strings.Contains(f.Cases[0].Recipient, siret) && f.Complete() {
			name, err := w.nameIn(f)
			mustDo(t, err)
			names = append(names, name)
		}
	}
	return names
}

func TestInABrowserAJourneyGoesOnWhenTheHubStartsAgainBetweenAnyTwoSteps(t *testing.T) {
	t.Parallel()
	browser := apitest.Browser(t, 10*time.Minute)
	w := openJourneys(t, &lockedBuffer{})
	p := openPhone(t, browser, w, "FONTANEL")
	p.walk(steps("fontanel"), func(pageStep) {
		at := p.at()
		w.restart(t)
		if strings.HasPrefix(at, w.publicURL+"/demarche/") { // it may have come again by itself meanwhile, in vain
			p.open(at)
		}
	})
	p.arrived()
	p.leaves()
}

// audited looks at the page that is shown, at both widths.
func (p *phone) audited(name string) { p.t.Helper(); p.lookedAt(name, apitest.Audit) }

func (p *phone) lookedAt(name string, how func(testing.TB, context.Context, string)) {
	p.t.Helper()
	how(p.t, p.tab, name)
	apitest.Keep(p.t, p.tab, os.Getenv(apitest.Screenshots), name)
	p.narrow()
}

func TestInABrowserEveryFailureIsAPageThatSheCanRead(t *testing.T) {
	t.Parallel()
	browser := apitest.Browser(t, 10*time.Minute)
	w := openJourneys(t, &lockedBuffer{})
	seen, kinds := map[string]bool{pageReview: true}, map[string]bool{}
	for _, f := range append(identityFaults(), quotientFaults()...) {
		if seen[f.page] || f.away || f.limits != nil { // limits that a loaded machine reaches by itself: the matrix has those
			continue
		}
		seen[f.page] = true
		w.cold(t, f.limits)
		mustDo(t, w.citizen.franceconnect.SetAuto(f.citizen)) // FranceConnect's own pages are not ours
		p := openPhone(t, browser, w, "")
		if f.strike != nil {
			mustDo(t, f.strike(w))
		}
		p.open(p.page)
		p.press(signStart)
		p.reads(f.page)
		// One template: what differs in words alone is not given to axe-core again.
		how, kind := apitest.Glance, ""
		for _, part := range []string{"fr-alert--error", "selon FranceConnect", "/identite", "/partir", "/quitter"} {
			kind += fmt.Sprint(p.says(part), " ")
		}
		if !kinds[kind] {
			kinds[kind], how = true, apitest.Audit
		}
		p.lookedAt(fmt.Sprintf("failure-%02d", len(seen)), how)
		for _, advice := range []string{"Rien n’a été transmis", "attestation"} {
			if !p.says(advice) {
				t.Errorf("%q does not say %q", f.page, advice)
			}
		}
		if !f.known {
			p.wiped(f.page)
		}
	}
}

func TestInABrowserEveryOtherPageIsReadAndCancelledAndWiped(t *testing.T) {
	t.Parallel()
	browser := apitest.Browser(t, 10*time.Minute)
	w := openJourneys(t, &lockedBuffer{})
	ctx := t.Context()
	p := openPhone(t, browser, w, "FONTANEL")
	r, err := w.hub.store.ReceiverByKey(ctx, registry.FolderProcess, demoCommune)
	mustDo(t, err)
	mustDo(t, w.hub.registry.Record(ctx, &registry.SetReceiverWishes{ReceiverID: r.ID, IdentityAlone: true}))
	cancelled := func(what, sign string) {
		t.Helper()
		p.press(sign)
		p.reads(pageCancelled)
		p.wiped(what)
	}

	// The line: somebody left a moment ago, and nobody may for a minute.
	w.hub.journeys.Settings.PerMinute = 1
	ahead := newVisitor()
	mustDo(t, ahead.open(ctx, w.communePage()), ahead.press(ctx, "/demarrer", nil))
	p.open(p.page)
	p.press(signStart)
	p.reads("Vous êtes dans la file d’attente")
	p.still()
	p.audited("line")
	cancelled("in line", signAnnul)
	p.audited("cancelled")
	mine := p.at()
	p.press(signRestart)
	p.reads("Vous êtes dans la file d’attente")
	p.still()
	w.hub.journeys.Settings.PerMinute = 0
	p.open(mine)
	p.until(signWho) // her turn has come

	// At FranceConnect, and back at our page by its address.
	p.open(mine)
	p.reads("Votre démarche est en cours chez FranceConnect")
	p.audited("away")
	cancelled("away", signAnnul)
	p.press(signRestart)
	cancelled("at FranceConnect's first page", signCancel)
	p.press(signRestart)
	p.choose("fontanel")
	cancelled("at FranceConnect's last page", signCancel)

	// While her quotient is asked. What comes of it later changes nothing.
	asked, answer := make(chan struct{}, 8), make(chan struct{})
	release := w.citizen.particulier.BeforeWork(questionCall, func(partnertest.Call) { asked <- struct{}{}; <-answer })
	p.press(signRestart)
	p.press(signConsent)
	<-asked
	p.reads("Nous demandons votre quotient familial")
	p.still()
	p.audited("fetching")
	cancelled("while it is asked", signAnnul)
	release()
	close(answer)
	w.hub.journeys.Wait(ctx)
	apitest.Reload(t, p.tab)
	p.reads(pageCancelled)
	p.wiped("once it was asked")

	// A process that died while it asked.
	hold := make(chan struct{})
	w.hub.journeys.Settings.Limits.Silence = time.Hour // it does not show itself meanwhile
	release = w.citizen.particulier.BeforeWork(questionCall, func(partnertest.Call) { asked <- struct{}{}; <-hold })
	p.press(signRestart)
	p.press(signConsent)
	<-asked
	p.reads("Nous demandons votre quotient familial")
	_, err = w.hub.pool.Exec(ctx, `update journey set fetch_by = now() - interval '1 second' where state = 'fetching'`)
	mustDo(t, err)
	p.reads(pageStopped)
	p.audited("interrupted")
	p.wiped("interrupted")
	release()
	close(hold)
	w.hub.journeys.Wait(ctx)
	w.citizen.particulier.ClearLocks() // one that is asked twice at once holds the commune's turn there for a minute

	p.press(signRestart)
	p.press(signConsent)
	p.until(signSend)
	cancelled("at the review", signAnnul)

	// No file: her identity alone, which her commune takes.
	p.press(signRestart)
	p.until(signConsent)
	apitest.Forget(t, p.tab, w.citizen.franceconnect.Issuer())
	apitest.Reload(t, p.tab)
	p.choose("perrin")
	p.press(signConsent)
	p.reads(pageNoFile)
	p.audited("no-file")
	p.press(`form[action$="/identite"] button`)
	p.until(signSend)
	if p.says(`id="quotient"`) {
		t.Error("an identity alone shows a quotient")
	}
	p.audited("identity-review")
	cancelled("at the review of an identity", signAnnul)
	id, _ := p.transaction()
	p.press(signLeave)
	p.reads("Vous êtes déconnecté de FranceConnect")
	p.audited("bye")
	if _, err := w.hub.store.Journey(ctx, id); err == nil {
		t.Error("it is there when she has left")
	}
	p.open(w.publicURL + "/demarche/" + id.String())
	p.reads(pageOver)
	p.audited("over")

	// On its way, then given up.
	w.citizen.hubee.Inject(partnertest.Status("POST /**/folders", 503))
	p.walk(steps("fontanel")[:5], nil)
	p.reads("Votre envoi est en cours")
	p.still()
	p.audited("under-way")
	id, _ = p.transaction()
	mustDo(t, w.hub.registry.Record(ctx, &registry.FolderExpired{ID: id}))
	p.open(p.at())
	p.reads("Votre envoi n’a pas abouti")
	p.audited("lost")
	apitest.Forget(t, p.tab, p.at())
	apitest.Reload(t, p.tab)
	p.reads("Votre envoi n’a pas abouti")
	p.audited("lost-without-cookie")
	w.citizen.hubee.ClearFaults()

	// FranceConnect is down when she leaves.
	p.open(p.page)
	p.press(signStart)
	cancelled("at FranceConnect's page", signCancel)
	p.press(signRestart)
	p.press(signConsent)
	p.until(signSend)
	cancelled("at the review", signAnnul)
	w.cold(t, nil)
	mustDo(t, atIdentity(partnertest.ResetBefore(discoveryCall))(w))
	p.press(signLeave)
	p.reads("Votre démarche est effacée de cet appareil")
	p.audited("bye-logged-in")
	w.cold(t, nil)

	// Her commune loses its right meanwhile.
	p.open(p.page)
	p.press(signStart)
	p.press(signConsent)
	p.until(signSend)
	mine = p.at()
	mustDo(t, w.suspend(ctx))
	p.press(signSend)
	p.reads("Votre collectivité ne reçoit plus de dossiers")
	p.audited("closed-review")
	p.open(mine)
	cancelled("at the review of a closed commune", signAnnul)
	p.press(signRestart)
	p.reads("Votre collectivité ne reçoit plus de dossiers par ce service")
	p.audited("closed")
	p.wiped("closed")
	for _, name := range w.namesAt(t, demoCommune.SIRET) {
		t.Errorf("%s was sent", name)
	}
}

package citizen_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/passerelle-hub/passerelle/httpapi/apitest"
)

func TestNoPageHasAFaultThatKeepsPeopleOut(t *testing.T) {
	t.Parallel()
	tab := apitest.Browser(t, 5*time.Minute)
	s := newSite(t, 1_000_000)
	s.france()
	for i, path := range append(slices.Clone(pages), "/collectivites/21040107100019/demarrer") { // the last is a form's: 405
		apitest.Look(t, tab, chromedp.Navigate(s.url+path))
		apitest.Audit(t, tab, path)
		apitest.Keep(t, tab, os.Getenv(apitest.Screenshots), fmt.Sprintf("%02d", i))
	}
}

func TestACommuneIsFoundByKeyboardWhileItIsTyped(t *testing.T) {
	t.Parallel()
	tab := apitest.Browser(t, 5*time.Minute)
	s := newSite(t, 1_000_000)
	s.france()
	apitest.Look(t, tab, chromedp.EmulateViewport(360, 740))
	apitest.Look(t, tab, chromedp.Navigate(s.url+"/collectivites"))
	apitest.Look(t, tab, chromedp.Focus("#q"))
	apitest.Look(t, tab, chromedp.KeyEvent("etienne"))
	apitest.Look(t, tab, chromedp.WaitVisible("#q-liste [role=option]"))
	apitest.Audit(t, tab, "the list that completes")
	apitest.Look(t, tab, chromedp.KeyEvent(kb.ArrowDown))
	apitest.Look(t, tab, chromedp.KeyEvent(kb.ArrowDown))
	state := apitest.Look(t, tab, chromedp.Evaluate[string](`(() => { const q = document.querySelector("#q"), o = document.getElementById(q.getAttribute("aria-activedescendant"));
		return [q.getAttribute("aria-expanded"), o && o.getAttribute("aria-selected"), o && o.firstChild.textContent, document.querySelector("[role=status]").textContent].join("|") })()`))
	if state != "true|true|Commune de Saint-Étienne-les-Orgues|2 collectivités proposées." {
		t.Errorf("the list says %q", state)
	}
	apitest.Look(t, tab, chromedp.KeyEvent("\r"))
	arrives(t, tab, "/collectivites/21040192300014?cog=04192")
	// Escape gives the field back, and Enter then searches what was typed.
	apitest.Look(t, tab, chromedp.Navigate(s.url+"/collectivites"))
	apitest.Look(t, tab, chromedp.Focus("#q"))
	apitest.Look(t, tab, chromedp.KeyEvent("majastres"))
	apitest.Look(t, tab, chromedp.WaitVisible("#q-liste [role=option]"))
	apitest.Look(t, tab, chromedp.KeyEvent(kb.Escape))
	apitest.Look(t, tab, chromedp.KeyEvent("\r"))
	arrives(t, tab, "q=majastres&departement=")
}

// arrives waits until the browser is at an address that ends so.
func arrives(t *testing.T, tab context.Context, want string) {
	t.Helper()
	apitest.Await(t, tab, fmt.Sprintf("location.href.endsWith(%q)", want))
}

func TestTheTabKeyGoesThroughACommunesPageInItsOrder(t *testing.T) {
	t.Parallel()
	tab := apitest.Browser(t, 5*time.Minute)
	s := newSite(t, 1_000_000)
	s.france()
	apitest.Look(t, tab, chromedp.Navigate(s.url+"/collectivites/21040107100019"))
	var order []string
	for range 30 {
		apitest.Look(t, tab, chromedp.KeyEvent("\t"))
		order = append(order, apitest.Look(t, tab, chromedp.Evaluate[string](`(document.activeElement.getAttribute("href") || document.activeElement.className)`)))
		if order[len(order)-1] == "/cgu_administrations" {
			break
		}
	}
	last := -1
	for _, want := range []string{"#contenu", "#pied", "/", "fr-connect", "https://franceconnect.gouv.fr/", "/collectivites/21040107100019/sans_france_connect", "/faq", "/cgu_administrations"} {
		at := slices.Index(order, want)
		if at <= last {
			t.Fatalf("%s comes at %d, after %d: %q", want, at, last, order)
		}
		last = at
	}
}

package citizen_test

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

	"github.com/passerelle-hub/passerelle/httpapi/apitest"
)

// With PASSERELLE_SCREENSHOTS, a folder, every page is kept there as a picture.
func TestNoPageHasAFaultThatKeepsPeopleOut(t *testing.T) {
	t.Parallel()
	tab := apitest.Browser(t, 5*time.Minute)
	s := newSite(t, 1_000_000)
	s.france()
	for i, path := range pages {
		apitest.Look(t, tab, chromedp.Navigate(s.url+path))
		apitest.Audit(t, tab, path)
		dir := os.Getenv("PASSERELLE_SCREENSHOTS")
		if dir == "" {
			continue
		}
		for _, width := range apitest.Widths {
			apitest.Look(t, tab, chromedp.EmulateViewport(width, 800))
			picture := apitest.Look(t, tab, chromedp.FullScreenshot(100))
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%02d-%d.png", i, width)), picture, 0o600); err != nil {
				t.Fatal(err)
			}
		}
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
	var at string
	for range 300 {
		// Between two pages there is none to ask.
		got, err := chromedp.Run(tab, chromedp.Location())
		if at = got; err == nil && strings.HasSuffix(at, want) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("the browser is at %s, not at %s", at, want)
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

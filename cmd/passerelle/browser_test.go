package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/passerelle-hub/passerelle/httpapi/apitest"
)

func TestInABrowserTheLinkShowsTheKeyOnceByKeyboard(t *testing.T) {
	t.Parallel()
	tab := apitest.Browser(t, 5*time.Minute)
	w := openProgram(t, io.Discard)
	g, err := w.approve(t.Context(), "api_particulier")
	if err != nil {
		t.Fatal(err)
	}
	link, err := w.mailedLink(t.Context(), g.Contact, g.Definition)
	if err != nil {
		t.Fatal(err)
	}
	apitest.Look(t, tab, chromedp.EmulateViewport(360, 740))
	apitest.Look(t, tab, chromedp.Navigate(link))
	before := apitest.Look(t, tab, chromedp.Text("main"))
	lang := apitest.Look(t, tab, chromedp.Evaluate[string](`document.documentElement.lang`))
	width := apitest.Look(t, tab, chromedp.Evaluate[int](`document.documentElement.scrollWidth`))
	apitest.Look(t, tab, chromedp.Focus("main form button"))
	apitest.Look(t, tab, chromedp.KeyEvent("\r"))
	apitest.Look(t, tab, chromedp.WaitVisible("#cle"))
	key := apitest.Look(t, tab, chromedp.Text("#cle"))
	apitest.Look(t, tab, chromedp.Navigate(link))
	after := apitest.Look(t, tab, chromedp.Text("main"))
	if !strings.Contains(before, "une seule fois") || strings.Contains(before, "psk_") {
		t.Errorf("before the click: %s", before)
	}
	if lang != "fr" || width > 360 {
		t.Errorf("lang %q, %d pixels wide on a phone of 360", lang, width)
	}
	if status, err := w.callGravitee(t.Context(), key); err != nil || status != http.StatusOK {
		t.Errorf("the key shown answers %d: %v", status, err)
	}
	if !strings.Contains(after, "ne peut plus être affichée") || strings.Contains(after, key) {
		t.Errorf("a second visit: %s", after)
	}
}

package main

import (
	"context"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// browser opens a real Chromium with a profile of its own.
func browser(t *testing.T) context.Context {
	t.Helper()
	program := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			program = path
			break
		}
	}
	if program == "" {
		t.Skip("no Chromium: make setup installs Debian's")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	allocator, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	tab, closeTab := chromedp.NewContext(allocator)
	t.Cleanup(closeTab)
	limited, cancel := context.WithTimeout(tab, 3*time.Minute)
	t.Cleanup(cancel)
	return limited
}

// look does one thing in the browser and gives what it shows.
func look[T any](t *testing.T, tab context.Context, action chromedp.Action[T]) T {
	t.Helper()
	got, err := chromedp.Run(tab, action)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestInABrowserTheLinkShowsTheKeyOnceByKeyboard(t *testing.T) {
	t.Parallel()
	tab := browser(t)
	w := openProgram(t, io.Discard)
	g, err := w.approve(t.Context(), "api_particulier")
	if err != nil {
		t.Fatal(err)
	}
	link, err := w.mailedLink(t.Context(), g.Contact, g.Definition)
	if err != nil {
		t.Fatal(err)
	}
	look(t, tab, chromedp.EmulateViewport(360, 740))
	look(t, tab, chromedp.Navigate(link))
	before := look(t, tab, chromedp.Text("main"))
	lang := look(t, tab, chromedp.Evaluate[string](`document.documentElement.lang`))
	width := look(t, tab, chromedp.Evaluate[int](`document.documentElement.scrollWidth`))
	look(t, tab, chromedp.Focus("main form button"))
	look(t, tab, chromedp.KeyEvent("\r"))
	look(t, tab, chromedp.WaitVisible("#cle"))
	key := look(t, tab, chromedp.Text("#cle"))
	look(t, tab, chromedp.Navigate(link))
	after := look(t, tab, chromedp.Text("main"))
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

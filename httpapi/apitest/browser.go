package apitest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// Browser opens a real Chromium with a profile of its own; its tab is the context
// of chromedp's actions, for limit at most.
func Browser(t testing.TB, limit time.Duration) context.Context {
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
	limited, cancel := context.WithTimeout(tab, limit)
	t.Cleanup(cancel)
	must(t, chromedp.Do(limited))
	return limited
}

// Person gives a tab of another person's: in the same Chromium, with cookies and a
// history of its own.
func Person(t testing.TB, browser context.Context) context.Context {
	t.Helper()
	return another(t, browser, chromedp.WithNewBrowserContext())
}

// Tab gives one more tab of the same person.
func Tab(t testing.TB, tab context.Context) context.Context {
	t.Helper()
	return another(t, tab)
}

// another tab has a window of its own and the focus: what is hidden is not drawn,
// and hears no click.
func another(t testing.TB, of context.Context, how ...chromedp.ContextOption) context.Context {
	t.Helper()
	tab, closeTab := chromedp.NewContext(of, append(how, chromedp.WithNewWindow(true))...)
	t.Cleanup(closeTab)
	must(t, chromedp.Do(tab))
	_, err := chromedp.Call(tab, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
	must(t, err)
	return tab
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// patience is how long the browser may take for one thing, on a loaded machine.
const patience = 2 * time.Minute

// Look does one thing in the browser and gives what it shows.
func Look[T any](t testing.TB, tab context.Context, action chromedp.Action[T]) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(tab, patience)
	defer cancel()
	got, err := chromedp.Run(ctx, action)
	if err != nil {
		t.Fatalf("%v; the browser shows %s", err, shown(tab))
	}
	return got
}

// shown is the beginning of the page that is shown, and where it is.
func shown(tab context.Context) string {
	ctx, cancel := context.WithTimeout(tab, 10*time.Second)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`location.origin + location.pathname + ": " + document.body.innerText.slice(0, 500)`))
	if err != nil {
		return err.Error()
	}
	return text
}

// Await waits until the page that is shown is whole and an expression of
// JavaScript is true of it: between two pages there is none to ask.
func Await(t testing.TB, tab context.Context, expression string) {
	t.Helper()
	whole := fmt.Sprintf(`document.readyState === "complete" && Boolean(%s)`, expression)
	await(t, tab, expression, func(ctx context.Context) bool {
		is, err := chromedp.Run(ctx, chromedp.Evaluate[bool](whole))
		return err == nil && is
	})
}

func await(t testing.TB, tab context.Context, what string, is func(context.Context) bool) {
	t.Helper()
	try := func() bool {
		ctx, cancel := context.WithTimeout(tab, 10*time.Second)
		defer cancel()
		return is(ctx)
	}
	for end := time.Now().Add(patience); time.Now().Before(end) && tab.Err() == nil; time.Sleep(50 * time.Millisecond) {
		if try() {
			return
		}
	}
	t.Fatalf("never %s; the browser shows %s", what, shown(tab))
}

// Click clicks on the middle of the first element that a selector picks, so many
// times in a row. It finds it as it is shown now, on whatever way the page came
// back: chromedp's own clicks lose a page that the history restores.
func Click(t testing.TB, tab context.Context, selector string, times int) {
	t.Helper()
	Await(t, tab, fmt.Sprintf("document.querySelector(%q)", selector))
	at := Look(t, tab, chromedp.Evaluate[[]float64](fmt.Sprintf(`(() => {
		const e = document.querySelector(%q); e.scrollIntoView({block: "center", behavior: "instant"});
		const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2] })()`, selector)))
	for n := range times {
		Look(t, tab, chromedp.MouseClickXY(at[0], at[1], chromedp.ClickCount(n+1)))
	}
}

// Reload loads the page again and waits for it.
func Reload(t testing.TB, tab context.Context) {
	t.Helper()
	Look(t, tab, chromedp.Evaluate[chromedp.Void](`window.before = true; location.reload()`))
	Await(t, tab, "!window.before")
}

// Turn goes back (-1) or forward (1) in the history of a tab, and waits for the page.
func Turn(t testing.TB, tab context.Context, by int64) {
	t.Helper()
	now := Look(t, tab, chromedp.NavigationEntries())
	to := now.CurrentIndex + by
	if to < 0 || to >= int64(len(now.Entries)) {
		t.Fatalf("no page %d of %d", to, len(now.Entries))
	}
	_, err := chromedp.Call(tab, page.NavigateToHistoryEntry, page.NavigateToHistoryEntryParams{EntryID: now.Entries[to].ID})
	must(t, err)
	await(t, tab, "at the page before or after", func(ctx context.Context) bool {
		now, err := chromedp.Run(ctx, chromedp.NavigationEntries())
		return err == nil && now.CurrentIndex == to
	})
	Await(t, tab, "document.body")
}

// NoScript keeps the pages of a tab from running any script, from the next one on.
func NoScript(t testing.TB, tab context.Context) {
	t.Helper()
	_, err := chromedp.Call(tab, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	must(t, err)
}

// Cookies gives those that a tab would send to an address, by name.
func Cookies(t testing.TB, tab context.Context, address string) map[string]string {
	t.Helper()
	held := map[string]string{}
	for _, c := range cookies(t, tab, address) {
		held[c.Name] = c.Value
	}
	return held
}

func cookies(t testing.TB, tab context.Context, address string) []*network.Cookie {
	t.Helper()
	got, err := chromedp.Call(tab, network.GetCookies, network.GetCookiesParams{URLs: []string{address}})
	must(t, err)
	return got.Cookies
}

// Forget deletes what a tab would send to addresses.
func Forget(t testing.TB, tab context.Context, addresses ...string) {
	t.Helper()
	for _, address := range addresses {
		for _, c := range cookies(t, tab, address) {
			_, err := chromedp.Call(tab, network.DeleteCookies, network.DeleteCookiesParams{Name: c.Name, Domain: c.Domain, Path: c.Path})
			must(t, err)
		}
	}
}

// Screenshots is the variable that names the folder of Keep for tests.
const Screenshots = "PASSERELLE_TEST_SCREENSHOTS"

// Keep writes pictures of the page at both widths into a folder; "" for none.
func Keep(t testing.TB, tab context.Context, folder, name string) {
	t.Helper()
	if folder == "" {
		return
	}
	for _, width := range Widths {
		Look(t, tab, chromedp.EmulateViewport(width, 800))
		picture := Look(t, tab, chromedp.FullScreenshot(100))
		must(t, os.WriteFile(filepath.Join(folder, fmt.Sprintf("%s-%d.png", name, width)), picture, 0o600))
	}
}

package apitest

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// Widths are those at which pages are looked at: a phone's and a desk's.
var Widths = []int64{360, 1280}

// Audit looks at the page that the browser shows, at both widths: axe-core finds no
// serious or critical fault, nothing is wider than the window, there is one h1, no
// level of heading is left out, and every link and button has a name.
func Audit(t testing.TB, tab context.Context, what string) {
	t.Helper()
	look(t, tab, what, axeCore(t))
}

// Glance is Audit without axe-core, for a page that differs in its words alone from
// one that was audited.
func Glance(t testing.TB, tab context.Context, what string) {
	t.Helper()
	look(t, tab, what, "")
}

func look(t testing.TB, tab context.Context, what, axe string) {
	t.Helper()
	if axe != "" {
		Look(t, tab, chromedp.Evaluate[bool](axe+"; true"))
	}
	for _, width := range Widths {
		Look(t, tab, chromedp.EmulateViewport(width, 800))
		if axe != "" {
			if faults := Look(t, tab, chromedp.Evaluate[string](runAxe, chromedp.EvalAwaitPromise)); faults != "[]" {
				t.Errorf("%s at %d px: %s", what, width, faults)
			}
		}
		var page struct {
			Wide     int64    `json:"wide"`
			Lang     string   `json:"lang"`
			Headings []int    `json:"headings"`
			Unnamed  []string `json:"unnamed"`
		}
		if err := json.Unmarshal([]byte(Look(t, tab, chromedp.Evaluate[string](lookAround))), &page); err != nil {
			t.Fatal(err)
		}
		if page.Wide > width {
			t.Errorf("%s is %d pixels wide in a window of %d", what, page.Wide, width)
		}
		if page.Lang != "fr" {
			t.Errorf("%s: its language is %q", what, page.Lang)
		}
		level := 0
		for i, h := range page.Headings {
			if (h == 1) != (i == 0) || h > level+1 {
				t.Errorf("%s: its headings are of levels %v", what, page.Headings)
				break
			}
			level = h
		}
		if len(page.Unnamed) > 0 {
			t.Errorf("%s has links or buttons without a name: %q", what, page.Unnamed)
		}
	}
}

const runAxe = `axe.run(document, {resultTypes: ["violations"]}).then(r => JSON.stringify(
	r.violations.filter(v => v.impact === "serious" || v.impact === "critical")
		.map(v => ({id: v.id, help: v.help, where: v.nodes.slice(0, 3).map(n => n.target.join(" "))}))))`

const lookAround = `JSON.stringify({
	wide: document.documentElement.scrollWidth, lang: document.documentElement.lang,
	headings: [...document.querySelectorAll("h1,h2,h3,h4,h5,h6")].map(h => Number(h.tagName[1])),
	unnamed: [...document.querySelectorAll("a[href],button")].filter(e => !e.textContent.trim() && !e.getAttribute("aria-label")).map(e => e.outerHTML.slice(0, 80)),
})`

// axeCore is the script that .tools/axe pins.
func axeCore(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("not inside the module")
		}
		dir = parent
	}
	script, err := os.ReadFile(filepath.Join(dir, ".tools", "axe", "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		t.Skip("no axe-core: make setup installs it with npm: " + strings.TrimPrefix(err.Error(), dir))
	}
	return string(script)
}

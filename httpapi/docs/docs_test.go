package docs_test

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/passerelle-hub/passerelle/httpapi"
	"github.com/passerelle-hub/passerelle/httpapi/docs"
	"github.com/passerelle-hub/passerelle/httpapi/page"
)

// served gives every page of the documentation by its address.
func served(t *testing.T) map[string]string {
	t.Helper()
	h, err := docs.New(docs.Settings{PublicURL: "https://hub.example", OpenAPI: httpapi.OpenAPI})
	if err != nil {
		t.Fatal(err)
	}
	router := http.StripPrefix("/docs", h.Router(http.NotFound))
	pages := map[string]string{"/docs": get(t, router, "/docs/")}
	files, err := filepath.Glob("pages/*.html")
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		if slug := strings.TrimSuffix(filepath.Base(f), ".html"); slug != "index" {
			pages["/docs/"+slug] = get(t, router, "/docs/"+slug)
		}
	}
	return pages
}

func get(t *testing.T, h http.Handler, path string) string {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	if w.Code != http.StatusOK {
		t.Fatalf("%s answers %d", path, w.Code)
	}
	if got := w.Header().Get("Content-Security-Policy"); got != page.ContentSecurityPolicy {
		t.Fatalf("%s has the policy %q", path, got)
	}
	return w.Body.String()
}

func TestEachPageIsListedOnTheIndexAndInEachMenu(t *testing.T) {
	t.Parallel()
	pages := served(t)
	for path := range pages {
		for on, html := range pages {
			if !strings.Contains(html, `href="`+path+`"`) {
				t.Errorf("%s has no link to %s", on, path)
			}
		}
	}
}

var (
	inline  = regexp.MustCompile(`(?i)<script|<style|\sstyle=|\son[a-z]+=|javascript:`)
	heading = regexp.MustCompile(`<h([1-6])`)
	anchor  = regexp.MustCompile(`\sid="([^"]*)"`)
	link    = regexp.MustCompile(`\shref="([^"]*)"`)
	plain   = regexp.MustCompile(`<title>([^<]*)</title>`)
)

func TestNoPageHasInlineCodeOrAHeadingOutOfOrder(t *testing.T) {
	t.Parallel()
	for path, html := range served(t) {
		if found := inline.FindString(outsideCode(html)); found != "" {
			t.Errorf("%s has %q: our policy refuses it", path, found)
		}
		last := byte('0')
		for _, h := range heading.FindAllStringSubmatch(html, -1) {
			if h[1][0] > last+1 {
				t.Errorf("%s goes from h%c to h%s", path, last, h[1])
			}
			last = h[1][0]
		}
		if strings.Count(html, "<h1") != 1 {
			t.Errorf("%s has not one h1", path)
		}
		if title := plain.FindStringSubmatch(html); title == nil || strings.ContainsAny(title[1], "&") {
			t.Errorf("%s: its title is not plain text: %v", path, title)
		}
	}
}

func outsideCode(html string) string {
	return regexp.MustCompile(`(?s)<code>.*?</code>`).ReplaceAllString(html, "")
}

func TestEachLinkOfAPageLeadsSomewhere(t *testing.T) {
	t.Parallel()
	pages := served(t)
	ids := map[string]bool{}
	for path, html := range pages {
		for _, id := range anchor.FindAllStringSubmatch(html, -1) {
			if ids[path+"#"+id[1]] {
				t.Errorf("%s has two #%s", path, id[1])
			}
			ids[path+"#"+id[1]] = true
		}
	}
	for path, html := range pages {
		for _, l := range link.FindAllStringSubmatch(html, -1) {
			to := l[1]
			if strings.HasPrefix(to, "#") {
				to = path + to
			}
			target, fragment, _ := strings.Cut(to, "#")
			switch {
			case !strings.HasPrefix(target, "/docs") || target == "/docs/openapi.yaml":
			case strings.HasPrefix(target, "/docs/exemples/"):
				if _, err := docs.Sample(strings.TrimPrefix(target, "/docs/exemples/")); err != nil {
					t.Errorf("%s: %v", path, err)
				}
			case pages[target] == "":
				t.Errorf("%s links to %s, which is no page", path, target)
			case fragment != "" && !ids[to]:
				t.Errorf("%s links to %s, which is no anchor", path, to)
			}
		}
	}
}

func TestEachSampleIsShownByAPage(t *testing.T) {
	t.Parallel()
	var all strings.Builder
	for _, html := range served(t) {
		all.WriteString(html)
	}
	err := fs.WalkDir(os.DirFS("samples"), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !strings.Contains(all.String(), `href="/docs/exemples/`+name+`"`) {
			t.Errorf("no page shows samples/%s", name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

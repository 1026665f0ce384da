// Package page renders the hub's French pages: one layout, one stylesheet of
// our own (with the markup and class names of the State's design system, so
// that its official stylesheet can be put in its place), no inline code.
//
// It imports the standard library and zerolog only.
package page

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/rs/zerolog"
)

//go:embed layout.html assets
var files embed.FS

// Page is what every page says about itself.
type Page struct {
	Title string // of the document and of the heading
	Body  any    // what the page's own template shows
}

// Set is the pages of one audience.
type Set struct {
	pages  map[string]*template.Template
	policy string
}

// Frame is what an audience has around its pages.
type Frame struct {
	Layout string // a template over Page that shows "main" of Page.Body
	Policy string // Content-Security-Policy
}

// Parse reads every *.html of a folder; each defines the template "main".
// shared are texts of templates that all of them use.
func Parse(folder fs.FS, funcs template.FuncMap, shared ...string) (*Set, error) {
	layout, err := files.ReadFile("layout.html")
	if err != nil {
		return nil, err
	}
	return Frame{string(layout), ContentSecurityPolicy}.Parse(folder, funcs, shared...)
}

// Parse is Parse for pages in that frame.
func (f Frame) Parse(folder fs.FS, funcs template.FuncMap, shared ...string) (*Set, error) {
	names, err := fs.Glob(folder, "*.html")
	if err != nil {
		return nil, err
	}
	s := &Set{pages: make(map[string]*template.Template, len(names)), policy: f.Policy}
	for _, name := range names {
		t, err := template.New("layout.html").Funcs(funcs).Parse(f.Layout)
		if err != nil {
			return nil, err
		}
		for _, text := range shared {
			if t, err = t.Parse(text); err != nil {
				return nil, err
			}
		}
		if s.pages[name], err = t.ParseFS(folder, name); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Names lists the pages, sorted.
func (s *Set) Names() []string { return slices.Sorted(maps.Keys(s.pages)) }

// Text gives what one template of a page says, without the page.
func (s *Set) Text(name, block string) (string, error) {
	t, ok := s.pages[name]
	if !ok || t.Lookup(block) == nil {
		return "", fmt.Errorf("%s does not define %q", name, block)
	}
	var out strings.Builder
	err := t.ExecuteTemplate(&out, block, nil)
	return strings.TrimSpace(out.String()), err
}

// ContentSecurityPolicy allows our own stylesheet and forms, nothing else.
const ContentSecurityPolicy = "default-src 'none'; style-src 'self'; img-src 'self' data:; font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// Harden sets the headers of every page: nothing is kept, framed, referred to or guessed.
func Harden(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Security-Policy", ContentSecurityPolicy)
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
	h.Set("X-Robots-Tag", "noindex")
}

// Write renders a page as a whole, or not at all.
func (s *Set) Write(w http.ResponseWriter, r *http.Request, status int, name string, p Page) {
	t, ok := s.pages[name]
	if !ok {
		zerolog.Ctx(r.Context()).Error().Str("page", name).Msg("no such page")
		http.Error(w, "Erreur interne", http.StatusInternalServerError)
		return
	}
	write(w, r, status, t, s.policy, p)
}

func write(w http.ResponseWriter, r *http.Request, status int, t *template.Template, policy string, p Page) {
	var out bytes.Buffer
	if err := t.Execute(&out, p); err != nil {
		zerolog.Ctx(r.Context()).Error().Err(err).Str("title", p.Title).Msg("page not rendered")
		http.Error(w, "Erreur interne", http.StatusInternalServerError)
		return
	}
	Harden(w)
	w.Header().Set("Content-Security-Policy", policy)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if _, err := w.Write(out.Bytes()); err != nil {
		zerolog.Ctx(r.Context()).Debug().Err(err).Msg("client left before the end of the page")
	}
}

package docs

import (
	"cmp"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/passerelle-hub/passerelle/httpapi/page"
	"github.com/passerelle-hub/passerelle/httpapi/problem"
	"github.com/passerelle-hub/passerelle/internal/eventtype"
)

//go:embed shared.html pages samples
var files embed.FS

// Settings is what the pages say of this hub.
type Settings struct {
	PublicURL string // without a slash at its end
	OpenAPI   []byte // the contract of the API, YAML
}

// Entry is one page, as the index and the menu show it.
type Entry struct {
	Slug, Title, Summary string
	order                int
}

// Handler serves /docs.
type Handler struct {
	settings Settings
	pages    *page.Set
	entries  []Entry
	api      *API
}

// New reads the pages; an error is a fault of one of the embedded files.
func New(s Settings) (*Handler, error) {
	h := &Handler{settings: s}
	var err error
	if h.api, err = ReadAPI(s.OpenAPI); err != nil {
		return nil, err
	}
	shared, err := files.ReadFile("shared.html")
	if err != nil {
		return nil, err
	}
	folder, err := fs.Sub(files, "pages")
	if err != nil {
		return nil, err
	}
	if h.pages, err = page.Parse(folder, template.FuncMap{"sample": Sample, "table": captioned, "place": place}, string(shared)); err != nil {
		return nil, err
	}
	for _, name := range h.pages.Names() {
		if name == index {
			continue
		}
		e, err := h.entry(name)
		if err != nil {
			return nil, err
		}
		h.entries = append(h.entries, e)
	}
	slices.SortFunc(h.entries, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.order, b.order), cmp.Compare(a.Slug, b.Slug))
	})
	return h, nil
}

const index = "index.html"

func (h *Handler) entry(name string) (Entry, error) {
	e := Entry{Slug: strings.TrimSuffix(name, ".html")}
	for block, into := range map[string]*string{"title": &e.Title, "summary": &e.Summary} {
		text, err := h.pages.Text(name, block)
		if err != nil {
			return Entry{}, err
		}
		*into = text
	}
	order, err := h.pages.Text(name, "order")
	if err != nil {
		return Entry{}, err
	}
	if e.order, err = strconv.Atoi(order); err != nil {
		return Entry{}, fmt.Errorf("%s: order: %w", name, err)
	}
	return e, nil
}

// Router serves the pages and the samples, below /docs.
func (h *Handler) Router(notFound http.HandlerFunc) http.Handler {
	r := chi.NewRouter()
	r.Use(middleware.GetHead)
	r.NotFound(notFound)
	r.Get("/", h.index)
	for _, e := range h.entries {
		r.Get("/"+e.Slug, func(w http.ResponseWriter, r *http.Request) { h.write(w, r, e) })
	}
	r.Get("/openapi.yaml", h.OpenAPI)
	r.Get("/exemples/*", func(w http.ResponseWriter, r *http.Request) {
		s, err := Sample(chi.URLParam(r, "*"))
		if err != nil {
			notFound(w, r)
			return
		}
		page.Harden(w)
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Write([]byte(s.Text))
	})
	return r
}

// OpenAPI serves the contract itself. Browsers of other sites may read it: it
// is public, and tools that show contracts run in them.
func (h *Handler) OpenAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Content-Type", "application/yaml")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Write(h.settings.OpenAPI)
}

// view is what a page's template shows.
type view struct {
	URL      string // of the hub
	Page     Entry
	Entries  []Entry
	Problems []problem.Type
	API      *API
	Events   []eventtype.Type
}

type table struct {
	Caption string
	Rows    []Field
}

func captioned(caption string, rows []Field) table { return table{caption, rows} }

func place(in string) string {
	return map[string]string{"path": "dans le chemin", "query": "dans l’adresse", "header": "en-tête"}[in]
}

func (h *Handler) index(w http.ResponseWriter, r *http.Request) {
	e := Entry{Title: "Documentation", Summary: "Brancher un service sur Passerelle : demander une habilitation, recevoir une clé, suivre ce qui change."}
	h.pages.Write(w, r, http.StatusOK, index, page.Page{Title: e.Title, Body: h.view(e)})
}

func (h *Handler) write(w http.ResponseWriter, r *http.Request, e Entry) {
	h.pages.Write(w, r, http.StatusOK, e.Slug+".html", page.Page{Title: e.Title, Body: h.view(e)})
}

func (h *Handler) view(e Entry) view {
	return view{URL: h.settings.PublicURL, Page: e, Entries: h.entries, Problems: problem.Types(), Events: eventtype.List(), API: h.api}
}

// Code is a sample: a file of samples/.
type Code struct {
	Name string // below samples/, as "webhook/verifier.py"
	Text string
}

// Sample reads a sample; its tests run what the pages show.
func Sample(name string) (Code, error) {
	text, err := files.ReadFile("samples/" + name)
	return Code{Name: name, Text: string(text)}, err
}

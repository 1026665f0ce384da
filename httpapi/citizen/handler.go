package citizen

import (
	"embed"
	"html/template"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/httpapi/auth"
	"github.com/passerelle-hub/passerelle/httpapi/page"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

//go:embed layout.html shared.html pages
var files embed.FS

// Site says who runs the service; it is what its pages promise.
type Site struct {
	PublicURL      string // without a slash at its end
	Operator       string // legal name; "" where nobody has said
	Address        string // postal, on one line
	Publisher      string // who answers for what is published
	Host           string // name, address and telephone of the hosting provider
	DataProtection string // address of the data protection officer
	Contact        string // mail address or URL
	Trial          bool   // no real data: every page says so
	FormTargets    string // origins, separated by spaces, where a form may lead beside this site

	Idle        time.Duration // of a transaction; then what is personal is deleted
	GiveUpAfter time.Duration // a folder that cannot leave is destroyed
	Keep        time.Duration // of references and states
}

// Mail reports whether the contact is an address to write to.
func (s Site) Mail() bool {
	return strings.Contains(s.Contact, "@") && !strings.Contains(s.Contact, "://")
}

// IdleFor, LostAfter and KeptFor say those durations in words.
func (s Site) IdleFor() string   { return inFrench(s.Idle) }
func (s Site) LostAfter() string { return inFrench(s.GiveUpAfter) }
func (s Site) KeptFor() string   { return inFrench(s.Keep) }

// inFrench gives a duration in its largest whole unit: "30 minutes", "3 jours".
func inFrench(d time.Duration) string {
	for _, unit := range []struct {
		of   time.Duration
		name string
	}{{24 * time.Hour, "jour"}, {time.Hour, "heure"}, {time.Minute, "minute"}} {
		if n := int(d / unit.of); n > 0 && d%unit.of == 0 {
			if n > 1 {
				unit.name += "s"
			}
			return strconv.Itoa(n) + " " + unit.name
		}
	}
	return strconv.Itoa(int(d/time.Second)) + " secondes"
}

// Handler serves the pages.
type Handler struct {
	Store *store.Store
	Site  Site
	Now   func() time.Time
	// What the one route of the API that is not for everybody needs.
	Registry   *registry.Registry
	Definition func(uid string) (*habilitation.Definition, bool)
	Callers    interface {
		Identify(r *http.Request) (auth.Caller, error)
	}
	// Open reports whether journeys can start at POST /collectivites/{siret}/demarrer;
	// nil: this hub has none, and the communes' pages say what to do instead.
	Open func() bool

	pages *page.Set
}

// New reads the pages; an error is a fault of one of the embedded files.
func New(h Handler) (*Handler, error) {
	layout, err := files.ReadFile("layout.html")
	if err != nil {
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
	frame := page.Frame{Layout: string(layout), Policy: policy(h.Site.FormTargets)}
	h.pages, err = frame.Parse(folder, template.FuncMap{"site": func() Site { return h.Site }}, string(shared))
	return &h, err
}

// policy allows our own files and scripts, and forms that lead on to the
// identity provider: browsers hold the redirect after a POST against it.
func policy(formTargets string) string {
	return strings.Join([]string{
		"default-src 'none'", "script-src 'self'", "connect-src 'self'", "style-src 'self'", "img-src 'self' data:", "font-src 'self'",
		strings.TrimSpace("form-action 'self' " + formTargets), "base-uri 'none'", "frame-ancestors 'none'",
	}, "; ")
}

// Routes adds every page. The caller limits each address.
func (h *Handler) Routes(r chi.Router) {
	r.Get("/", h.show("accueil.html", "Transmettre mon quotient familial à ma commune"))
	h.communeRoutes(r)
	for _, p := range statics {
		r.Get("/"+p.slug, h.show(p.slug+".html", p.title))
	}
}

// show serves a page that says the same to all.
func (h *Handler) show(name, title string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { h.write(w, r, http.StatusOK, name, title, nil) }
}

func (h *Handler) write(w http.ResponseWriter, r *http.Request, status int, name, title string, body any) {
	h.pages.Write(w, r, status, name, page.Page{Title: title, Body: body})
}

// NotFound says that there is no such page, and where to go on.
func (h *Handler) NotFound(w http.ResponseWriter, r *http.Request) {
	h.write(w, r, http.StatusNotFound, "introuvable.html", "Cette page n’existe pas", nil)
}

// TooMany answers an address that asks more than people do.
func (h *Handler) TooMany(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Retry-After", "60")
	h.write(w, r, http.StatusTooManyRequests, "trop.html", "Trop de demandes depuis votre connexion", nil)
}

// Foreign answers a form that another site sent here: nothing is done.
func (h *Handler) Foreign(w http.ResponseWriter, r *http.Request) {
	h.write(w, r, http.StatusForbidden, "etranger.html", "Cette demande ne vient pas de notre site", nil)
}

// WrongMethod answers an address that only a form leads to.
func (h *Handler) WrongMethod(w http.ResponseWriter, r *http.Request) {
	h.write(w, r, http.StatusMethodNotAllowed, "methode.html", "Cette adresse ne s’ouvre pas ainsi", nil)
}

// unavailable says that nothing was done.
func (h *Handler) unavailable(w http.ResponseWriter, r *http.Request, err error) {
	zerolog.Ctx(r.Context()).Error().Err(err).Msg("page of citizens failed")
	w.Header().Set("Retry-After", "30")
	h.write(w, r, http.StatusServiceUnavailable, "indisponible.html", "Service momentanément indisponible", nil)
}

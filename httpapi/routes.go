// Package httpapi lists every route of the hub on one page; each audience has a
// package of its own below. A handler decodes, authorises and calls one method.
//
// It may import internal/registry, internal/store and what they show; never a
// concrete connector.
package httpapi

import (
	"io/fs"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/httprate"

	"github.com/passerelle-hub/passerelle/httpapi/citizen"
	"github.com/passerelle-hub/passerelle/httpapi/docs"
	"github.com/passerelle-hub/passerelle/httpapi/editor"
	"github.com/passerelle-hub/passerelle/httpapi/handover"
	"github.com/passerelle-hub/passerelle/httpapi/hub"
	"github.com/passerelle-hub/passerelle/httpapi/page"
	"github.com/passerelle-hub/passerelle/httpapi/problem"
	"github.com/passerelle-hub/passerelle/httpapi/team"
	"github.com/passerelle-hub/passerelle/httpapi/token"
	"github.com/passerelle-hub/passerelle/httpapi/v1"
)

// Routes is what the public listener serves.
type Routes struct {
	Around     Around
	Health     *Health
	DataPass   http.Handler
	Bounces    http.Handler
	Token      *token.Handler
	Handover   *handover.Handler
	Team       *team.Handler
	V1         *v1.Handler
	Hub        *hub.Handler
	Editor     *editor.Handler
	Mails      *hub.Unsubscribe
	Follow     *hub.Follow
	Docs       *docs.Handler
	Citizen    *citizen.Handler
	Journeys   *citizen.Journeys
	PerAddress int // requests a minute of one address to pages that need no credential
	PerVisitor int // the same to the pages of families: several may share an address

	DesignSystem fs.FS // the State's, where the operator is entitled to it; nil: our own stylesheet
}

// Handler gives the routes with what is around each of them.
func (rt Routes) Handler() http.Handler {
	r := chi.NewRouter()
	r.Use(rt.Around.Request)
	r.NotFound(rt.notFound)
	r.MethodNotAllowed(rt.methodNotAllowed(r))

	r.Get("/healthz", rt.Health.Live)
	r.Get("/readyz", rt.Health.Ready)

	r.Method(http.MethodPost, "/webhooks/datapass/{source}", rt.DataPass)
	r.Method(http.MethodPost, "/webhooks/mail/bounces", rt.Bounces)

	r.Get("/.well-known/jwks.json", problem.Handle(token.Translate, rt.Token.JWKS))
	r.Post("/token/introspect", problem.Handle(token.Translate, rt.Token.Introspect))
	r.Post("/token/revoke", problem.Handle(token.Translate, rt.Token.Revoke))

	api := *rt.V1
	api.LimitByAddress = func(tooMany http.HandlerFunc) func(http.Handler) http.Handler {
		return limitByAddress(api.PerClient, tooMany)
	}
	r.Mount("/api/v1", api.Router())
	r.Mount("/api/oauth", api.OAuth())
	r.Get("/api/frontal", v1.Frontal)

	if rt.Hub != nil {
		r.Mount("/hub/v1", rt.Hub.Router())
	}
	if rt.Editor != nil {
		editors := *rt.Editor
		editors.LimitToken = func(tooMany http.HandlerFunc) func(http.Handler) http.Handler {
			return limitByAddress(editors.PerEditor, tooMany)
		}
		r.Mount("/editor/v1", editors.Router())
	}

	r.Handle("/assets/*", page.Assets(rt.DesignSystem))
	if rt.Docs != nil {
		limit := limitByAddress(rt.PerAddress, tooMany)
		r.Mount("/docs", limit(rt.Docs.Router(notFound)))
		r.With(limit).Get("/openapi.yaml", rt.Docs.OpenAPI)
	}
	r.Group(func(r chi.Router) {
		r.Use(page.SameSite(page.Foreign), limitByAddress(rt.PerAddress, page.TooMany))
		r.Get("/remise/{link}", rt.Handover.Show)
		r.Post("/remise/{link}", rt.Handover.Reveal)
		r.Post("/remise/{link}/renouveler", rt.Handover.Renew)
		r.Post("/remise/{link}/remplacer", rt.Handover.Replace)
		r.Get("/tache/{link}", rt.Team.Show)
		r.Post("/tache/{link}", rt.Team.Answer)
		r.Post("/tache/{link}/renouveler", rt.Team.Renew)
		r.Get("/demandes/{id}/{public_id}", rt.Follow.Show)
		r.Get("/desinscription/{choice}", rt.Mails.Show)
		r.Post("/desinscription/{choice}", rt.Mails.Apply)
	})
	if rt.Citizen != nil {
		r.Group(func(r chi.Router) {
			r.Use(limitByAddress(rt.PerVisitor, citizen.TooManyAPI))
			rt.Citizen.API(r)
		})
		r.Group(func(r chi.Router) {
			r.Use(page.SameSite(rt.Citizen.Foreign), limitByAddress(rt.PerVisitor, rt.Citizen.TooMany))
			rt.Citizen.Routes(r)
			rt.Journeys.Routes(r, limitByAddress(rt.PerAddress, rt.Citizen.TooMany))
		})
	}
	return r
}

func limitByAddress(perMinute int, tooMany http.HandlerFunc) func(http.Handler) http.Handler {
	key := func(r *http.Request) (string, error) { return network(Address(r)), nil }
	return httprate.LimitBy(perMinute, time.Minute, key, httprate.WithLimitHandler(tooMany))
}

// network is what one subscriber holds: an IPv4 address, or the 64 bits that begin
// an IPv6 one, of which she has as many as she likes.
func network(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil || a.Unmap().Is4() {
		return address
	}
	p, err := a.WithZone("").Prefix(64)
	if err != nil {
		return address
	}
	return p.String()
}

func tooMany(w http.ResponseWriter, r *http.Request) {
	if page.Wanted(r) {
		page.TooMany(w, r)
		return
	}
	p := problem.TooMany()
	p.After = time.Minute
	problem.Write(w, r, p)
}

// notFound answers a browser with a page, everyone else with a problem.
func (rt Routes) notFound(w http.ResponseWriter, r *http.Request) {
	if rt.Citizen != nil && page.Wanted(r) {
		rt.Citizen.NotFound(w, r)
		return
	}
	notFound(w, r)
}

func notFound(w http.ResponseWriter, r *http.Request) {
	problem.Write(w, r, problem.New(http.StatusNotFound, "introuvable", "Introuvable", "Rien n'est servi à cette adresse."))
}

// methods may be allowed at an address.
var methods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}

// methodNotAllowed says which methods are, to a browser with a page.
func (rt Routes) methodNotAllowed(all chi.Routes) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/api/v1/") {
			v1.UnknownMethod(w, r)
			return
		}
		var allowed []string
		for _, m := range methods {
			if all.Match(chi.NewRouteContext(), m, r.URL.Path) {
				allowed = append(allowed, m)
			}
		}
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		switch {
		case page.Wanted(r) && rt.Citizen != nil && citizens.MatchString(r.URL.Path):
			rt.Citizen.WrongMethod(w, r)
		case page.Wanted(r):
			page.Say(w, r, http.StatusMethodNotAllowed, "Cette adresse ne s’ouvre pas ainsi", "Elle répond au bouton d’une page. Rien n’a été fait : revenez à la page d’où vous veniez.")
		default:
			problem.Write(w, r, problem.New(http.StatusMethodNotAllowed, "methode", "Méthode non admise", "Cette adresse n'accepte pas cette méthode."))
		}
	}
}

// citizens are the addresses of the families' pages.
var citizens = regexp.MustCompile(`^/($|collectivit|demarche/|callback$|logout-callback$)`)

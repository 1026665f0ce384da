package editor

import (
	"errors"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/passerelle-hub/passerelle/httpapi/auth"
	"github.com/passerelle-hub/passerelle/httpapi/problem"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// Catalogue is what the API shows of definitions and editors.
type Catalogue interface {
	Definitions() []*habilitation.Definition
	Definition(uid string) (*habilitation.Definition, bool)
	ServiceProvider(id string) (*habilitation.ServiceProviderProfile, bool)
}

// Handler serves /editor/v1.
type Handler struct {
	Store     *store.Store
	Registry  *registry.Registry
	Catalogue Catalogue
	Callers   *auth.Authenticator
	MaxBody   int64 // bytes
	PerEditor int   // requests a minute of one editor, to all processes together
	Fetches   int   // of them, that fetch keys
	Now       func() time.Time
	// LimitToken bounds, by address, how often tokens are asked for; nil: not at all.
	LimitToken func(tooMany http.HandlerFunc) func(http.Handler) http.Handler
}

// Route is one route of the API.
type Route struct {
	Method  string
	Pattern string // below /editor/v1
	Scope   string // that the token must have
	fetches bool   // counts as a fetch
	serve   problem.Handler
}

// Routes lists the API; POST /token, which has no caller yet, comes beside them.
func (h *Handler) Routes() []Route {
	links, keys, ack, changes := auth.ScopeReadLinks, auth.ScopeReadKeys, auth.ScopeAckKeys, auth.ScopeReadChanges
	return []Route{
		{http.MethodGet, "/me", links, false, h.me},
		{http.MethodGet, "/clients", links, false, h.clients},
		{http.MethodGet, "/habilitations", links, false, h.habilitations},
		{http.MethodGet, "/habilitations/{id}", links, false, h.habilitation},
		{http.MethodGet, "/keys", keys, false, h.keys},
		{http.MethodGet, "/keys/{id}", keys, false, h.key},
		{http.MethodPost, "/keys/{id}/fetch", keys, true, h.fetch},
		{http.MethodPost, "/keys/fetch", keys, true, h.fetchMany},
		{http.MethodPost, "/keys/{id}/ack", ack, false, h.acknowledge},
		{http.MethodPost, "/keys/ack", ack, false, h.acknowledgeMany},
		{http.MethodPost, "/keys/{id}/nack", ack, false, h.refuse},
		{http.MethodGet, "/jwk", keys, false, h.publicKey},
		{http.MethodPut, "/jwk", ack, false, h.setPublicKey},
		{http.MethodDelete, "/jwk", ack, false, h.removePublicKey},
		{http.MethodGet, "/changes", changes, false, h.changes},
	}
}

// Router serves Routes, each behind the editor's token, scope and rate.
func (h *Handler) Router() http.Handler {
	r := chi.NewRouter()
	r.NotFound(problem.Handle(translate, func(http.ResponseWriter, *http.Request) error { return notFound() }))
	r.MethodNotAllowed(problem.Handle(translate, func(http.ResponseWriter, *http.Request) error {
		return problem.New(http.StatusMethodNotAllowed, "methode", "Méthode non admise", "Cette adresse n’accepte pas cette méthode.")
	}))
	oauth := auth.OAuth{Authenticator: h.Callers}
	token := http.Handler(http.HandlerFunc(oauth.Token))
	if h.LimitToken != nil {
		token = h.LimitToken(oauth.TooMany)(token)
	}
	r.Method(http.MethodPost, "/token", token)
	// Whichever of its machines asks, an editor is counted once.
	calls := auth.Limit(h.Store.NewSharedLimit("editor-calls", h.PerEditor), auth.Caller.Editor, deny)
	fetches := auth.Limit(h.Store.NewSharedLimit("editor-fetches", h.Fetches), auth.Caller.Editor, deny)
	for _, route := range h.Routes() {
		around := []func(http.Handler) http.Handler{noStore, h.Callers.Require(deny), editorsOnly, auth.RequireScope(route.Scope, deny), calls}
		if route.fetches {
			around = append(around, fetches) // its headers win: it is the tighter one
		}
		r.With(around...).Method(route.Method, route.Pattern, problem.Handle(translate, route.serve))
	}
	return r
}

func noStore(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

func deny(w http.ResponseWriter, r *http.Request, err error) {
	problem.Handle(translate, func(http.ResponseWriter, *http.Request) error { return err })(w, r)
}

// editorsOnly lets the machines of editors through.
func editorsOnly(next http.Handler) http.Handler {
	return problem.Handle(translate, func(w http.ResponseWriter, r *http.Request) error {
		if callerOf(r).Editor() == "" {
			return problem.New(http.StatusForbidden, "editeur", "Accès refusé", "Cette interface est réservée aux éditeurs de logiciels.")
		}
		next.ServeHTTP(w, r)
		return nil
	})
}

func callerOf(r *http.Request) auth.Caller {
	caller, _ := auth.CallerOf(r.Context())
	return caller
}

func notFound() *problem.Problem {
	return problem.New(http.StatusNotFound, "introuvable", "Introuvable", "Rien n’est servi à cette adresse, ou cela ne concerne pas un de vos clients.")
}

// translate turns what this API's methods answer with into problems.
func translate(err error) *problem.Problem {
	var refused *registry.NotFetchableError
	var forgotten *store.FeedForgottenError
	switch {
	case errors.As(err, &refused):
		return refusal(refused.Reason)
	case errors.As(err, &forgotten):
		return problem.New(http.StatusGone, "curseur-trop-ancien", "Curseur trop ancien",
			"Des changements après ce curseur ont été effacés. Relisez les listes, puis suivez les changements sans `after`.")
	case errors.Is(err, store.ErrNotFound):
		return notFound()
	}
	return auth.Translate(err)
}

// refusals are the answers about a key that cannot be handed over.
var refusals = map[registry.FetchRefusal]*problem.Problem{
	registry.NotAllowed:   problem.New(http.StatusForbidden, "cle-not_allowed", "Clé non remise", "Le lien déclaré par le formulaire ne suffit pas pour cette définition : le consentement du client est nécessaire."),
	registry.NotReady:     problem.New(http.StatusConflict, "cle-not_ready", "Clé non remise", "La clé n’est pas encore prête : le changement « key.ready » l’annoncera."),
	registry.KeyOver:      problem.New(http.StatusConflict, "cle-over", "Clé non remise", "La clé est révoquée, remplacée ou expirée."),
	registry.CopyGone:     problem.New(http.StatusGone, "cle-gone", "Clé non remise", "La clé a déjà été remise, ou sa copie est détruite : seul un remplacement en donne une autre."),
	registry.ByProvider:   problem.New(http.StatusConflict, "cle-provider", "Clé non remise", "Le fournisseur de données remet cette clé lui-même à son titulaire : le hub ne l’a jamais eue."),
	registry.ForHolder:    problem.New(http.StatusConflict, "cle-holder_only", "Clé non remise", "La clé est chiffrée pour son titulaire : lui seul peut la lire."),
	registry.TooOften:     problem.New(http.StatusConflict, "cle-too_often", "Clé non remise", "La clé a été lue 10 fois sans être accusée : accusez réception d’une de ces lectures."),
	registry.WrongSum:     problem.New(http.StatusUnprocessableEntity, "cle-fingerprint", "Clé non remise", "L’empreinte n’est pas celle de la clé : ce que vous avez gardé n’est pas ce qui a été remis. La copie reste."),
	registry.UnknownFetch: problem.New(http.StatusUnprocessableEntity, "cle-unknown_fetch", "Clé non remise", "Aucune lecture de cette clé par votre compte n’a cet identifiant."),
}

func refusal(reason registry.FetchRefusal) *problem.Problem {
	known, ok := refusals[reason]
	if !ok {
		return nil
	}
	p := *known
	switch reason {
	case registry.WrongSum:
		return p.At("/fingerprint", "empreinte différente")
	case registry.UnknownFetch:
		return p.At("/fetch_id", "lecture inconnue")
	}
	return &p
}

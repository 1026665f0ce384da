// Package ops is the operators' side, on a listener of its own: what waits, why
// and for whom, and the buttons that mend it; River's own pages for the raw
// queues; metrics. Nothing here is without a credential.
//
// It imports internal/registry, internal/store and httpapi/page.
package ops

import (
	"crypto/sha256"
	"crypto/subtle"
	"embed"
	"encoding/json"
	"errors"
	"html/template"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/httprate"
	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/httpapi/page"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

//go:embed *.html
var templates embed.FS

// User may sign in. Check compares a password in constant time.
type User struct {
	Name     string
	Operator bool // may act; else may only look
	Check    func(password string) bool
}

// Handler serves the ops listener.
type Handler struct {
	Store        *store.Store
	Registry     *registry.Registry
	Users        []User
	MetricsToken string       // Bearer for /metrics; "" for users only
	Metrics      http.Handler //
	Queues       http.Handler // River's own pages, under /river/
	Assets       http.Handler
	Tester       *registry.Tester // of endpoints
	pages        *page.Set
	failures     *httprate.RateLimiter // of sign-ins
}

const listLimit = 200

// Router gives every route of the ops listener.
func (h *Handler) Router() (http.Handler, error) {
	var err error
	h.pages, err = page.Parse(templates, template.FuncMap{
		"bare": bare, "when": when, "since": since, "pause": pause, "task": task, "lasted": lasted, "receiver": receiverState,
		"class": className, "step": stepName, "state": stateName, "mail": mailState, "outcome": outcomeName, "whose": whose,
		"partnerAdvice": adviceOnPartner, "keyAdvice": adviceOnKey, "mailAdvice": adviceOnMail,
	})
	if err != nil {
		return nil, err
	}
	h.failures = httprate.NewRateLimiter(failuresPerMinute, time.Minute)
	r := chi.NewRouter()
	r.Handle("/assets/*", h.Assets)
	r.Get("/metrics", h.metrics)
	r.Group(func(r chi.Router) {
		r.Use(h.signIn, page.SameSite(page.Foreign))
		r.Get("/", h.waiting)
		r.Get("/waiting.json", h.waitingJSON)
		r.Get("/communes", h.communes)
		r.Get("/endpoints", h.endpoints)
		r.Get("/endpoints/{id}", h.messages)
		r.Get("/endpoints/{id}/messages/{message}", h.message)
		r.Group(func(r chi.Router) {
			r.Use(h.operatorsOnly)
			r.Post("/folders/{id}/retry", h.actThen("/communes", retryFolder))
			r.Post("/endpoints/{id}/test", h.testEndpoint)
			r.Post("/endpoints/{id}/enable", h.actThen("/endpoints", enableEndpoint))
			r.Post("/endpoints/{id}/disable", h.actThen("/endpoints", disableEndpoint))
			r.Post("/endpoints/{id}/replay", h.replay)
			r.Post("/endpoints/{id}/messages/{message}/replay", h.replay)
			r.Post("/endpoints/{id}/replays/{replay}/cancel", h.cancelReplay)
			r.Post("/parked/{id}/take-up", h.act(func(r *http.Request) (registry.Command, error) {
				id, err := uuid.Parse(chi.URLParam(r, "id"))
				return &registry.TakeUp{InboundID: id}, err
			}))
			r.Post("/credentials/{id}/retry", h.act(func(r *http.Request) (registry.Command, error) {
				id, err := uuid.Parse(chi.URLParam(r, "id"))
				return &registry.RetryProvisioning{CredentialID: id}, err
			}))
			r.Post("/tasks/{id}/remind", h.act(func(r *http.Request) (registry.Command, error) {
				id, err := uuid.Parse(chi.URLParam(r, "id"))
				return &registry.RemindTask{ID: id, Now: true}, err
			}))
			r.Post("/partners/{name}/pause", h.act(func(r *http.Request) (registry.Command, error) {
				return &registry.PausePartner{Name: chi.URLParam(r, "name"), For: pausedByHand, By: userOf(r).Name, Reason: "mis en pause par un opérateur"}, nil
			}))
			r.Post("/partners/{name}/resume", h.act(func(r *http.Request) (registry.Command, error) {
				return &registry.ResumePartner{Name: chi.URLParam(r, "name")}, nil
			}))
		})
		r.Group(func(r chi.Router) {
			r.Use(readersOnlyLook)
			r.Handle("/river", http.RedirectHandler("/river/", http.StatusFound))
			r.Handle("/river/*", h.Queues)
		})
	})
	return r, nil
}

// pausedByHand lasts until an operator resumes: the hub does not probe it.
const pausedByHand = 10 * 365 * 24 * time.Hour

func (h *Handler) signIn(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, password, given := r.BasicAuth()
		address, _, err := net.SplitHostPort(r.RemoteAddr)
		if err != nil {
			address = r.RemoteAddr
		}
		if _, rate, err := h.failures.Status(address); err == nil && rate >= failuresPerMinute {
			w.Header().Set("Retry-After", "60")
			http.Error(w, "Trop d’essais manqués : attendez une minute.", http.StatusTooManyRequests)
			return
		}
		for _, u := range h.Users {
			if u.Name == name && u.Check(password) {
				ctx := registry.WithActor(r.Context(), "operator:"+u.Name)
				next.ServeHTTP(w, r.WithContext(withUser(ctx, u)))
				return
			}
		}
		if given { // a browser's first call brings nothing
			h.failures.OnLimit(blank{}, r, address)
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="Passerelle", charset="UTF-8"`)
		http.Error(w, "Identification requise", http.StatusUnauthorized)
	})
}

// failuresPerMinute bounds the guesses of one address. A proxy before this
// listener is one address: its operators wait together.
const failuresPerMinute = 10

// blank takes the headers that a count would set.
type blank struct{ http.ResponseWriter }

func (blank) Header() http.Header { return http.Header{} }

func (h *Handler) operatorsOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !userOf(r).Operator {
			http.Error(w, "Réservé aux opérateurs", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// readersOnlyLook lets operators act on the raw queues and readers look at them.
func readersOnlyLook(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !userOf(r).Operator && r.Method != http.MethodGet && r.Method != http.MethodHead {
			http.Error(w, "Réservé aux opérateurs", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (h *Handler) metrics(w http.ResponseWriter, r *http.Request) {
	given, isBearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if isBearer && h.MetricsToken != "" && SamePassword(given, h.MetricsToken) {
		h.Metrics.ServeHTTP(w, r)
		return
	}
	h.signIn(h.Metrics).ServeHTTP(w, r)
}

// SamePassword compares in constant time, whatever the lengths.
func SamePassword(given, expected string) bool {
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(expected))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

func (h *Handler) waiting(w http.ResponseWriter, r *http.Request) {
	waiting, err := h.Store.Waiting(r.Context(), listLimit)
	if err != nil {
		h.unavailable(w, r, err)
		return
	}
	ids, keysAt := make([]uuid.UUID, len(waiting.Credentials)), map[string]int{}
	for i, c := range waiting.Credentials {
		ids[i] = c.ID
		keysAt[c.Manager]++
	}
	resting := map[string]bool{}
	for _, p := range waiting.Partners {
		resting[p.Name] = p.PausedUntil != nil
	}
	next, err := h.Store.NextTries(r.Context(), ids)
	if err != nil {
		h.unavailable(w, r, err)
		return
	}
	h.pages.Write(w, r, http.StatusOK, "waiting.html", page.Page{Title: "Ce qui attend", Body: struct {
		store.Waiting
		Operator bool
		At       time.Time
		Next     map[uuid.UUID]time.Time // tries, by key
		KeysAt   map[string]int          // that wait, by manager
		Resting  map[string]bool         // partners that nothing is sent to now
	}{waiting, userOf(r).Operator, time.Now(), next, keysAt, resting}})
}

func (h *Handler) waitingJSON(w http.ResponseWriter, r *http.Request) {
	waiting, err := h.Store.Waiting(r.Context(), listLimit)
	if err != nil {
		h.unavailable(w, r, err)
		return
	}
	page.Harden(w)
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(waiting); err != nil {
		zerolog.Ctx(r.Context()).Debug().Err(err).Msg("client left before the end of the answer")
	}
}

// act records a command and goes back to the list of what waits.
func (h *Handler) act(command func(*http.Request) (registry.Command, error)) http.HandlerFunc {
	return h.actThen("/", command)
}

// actThen records a command and goes to a page.
func (h *Handler) actThen(page string, command func(*http.Request) (registry.Command, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		cmd, err := command(r)
		if err != nil {
			http.Error(w, "Identifiant illisible", http.StatusBadRequest)
			return
		}
		var state *registry.StateError
		var unknown *registry.UnknownPartnerError
		switch err := h.Registry.Record(r.Context(), cmd); {
		case err == nil:
			http.Redirect(w, r, page, http.StatusSeeOther)
		case errors.Is(err, store.ErrNotFound):
			http.Error(w, "Plus rien n’attend ici : rechargez la page.", http.StatusNotFound)
		case errors.As(err, &unknown):
			http.Error(w, "Aucun partenaire de ce nom. Il y a : "+strings.Join(unknown.Known, ", "), http.StatusNotFound)
		case errors.As(err, &state):
			http.Error(w, "L’état a changé entre-temps : rechargez la page.", http.StatusConflict)
		default:
			h.unavailable(w, r, err)
		}
	}
}

func (h *Handler) unavailable(w http.ResponseWriter, r *http.Request, err error) {
	zerolog.Ctx(r.Context()).Error().Err(err).Msg("ops request failed")
	http.Error(w, "Base de données injoignable", http.StatusServiceUnavailable)
}

func when(t any) string {
	switch t := t.(type) {
	case time.Time:
		if t.IsZero() {
			return "–"
		}
		return t.UTC().Format("2006-01-02 15:04:05 UTC")
	case *time.Time:
		if t != nil {
			return t.UTC().Format("2006-01-02 15:04:05 UTC")
		}
	}
	return "–"
}

// pause says until when a partner rests, and who decided so.
func pause(until *time.Time, by string) string {
	switch {
	case until == nil:
		return "–"
	case by != byHub:
		return "reprise par un opérateur (pause demandée par " + by + ")"
	default:
		return when(until)
	}
}

// task says in French what the people of a provider were asked.
func task(kind string) string {
	switch connectors.TaskKind(kind) {
	case connectors.TaskOpen:
		return "ouvrir un accès"
	case connectors.TaskReplace:
		return "remplacer une clé"
	case connectors.TaskRights:
		return "changer des droits"
	default:
		return "fermer un accès"
	}
}

func since(t time.Time) string { return time.Since(t).Truncate(time.Second).String() }

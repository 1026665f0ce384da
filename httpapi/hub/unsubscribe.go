package hub

import (
	"embed"
	"errors"
	"net/http"

	"github.com/go-chi/chi/v5"
	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/httpapi/page"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

//go:embed unsubscribe*.html follow*.html
var pages embed.FS

// Unsubscribe serves the link at the foot of instructors' mails. Opening it
// changes nothing, mail scanners open links: its button does.
type Unsubscribe struct {
	Registry *registry.Registry
	pages    *page.Set
}

// NewUnsubscribe gives the handler of /desinscription/{choice}.
func NewUnsubscribe(r *registry.Registry) (*Unsubscribe, error) {
	set, err := page.Parse(pages, nil)
	return &Unsubscribe{Registry: r, pages: set}, err
}

// Show asks.
func (u *Unsubscribe) Show(w http.ResponseWriter, r *http.Request) {
	if choice, ok := u.choice(w, r); ok {
		u.pages.Write(w, r, http.StatusOK, "unsubscribe.html", page.Page{Title: "Ne plus recevoir ces messages", Body: choice.Definition})
	}
}

// Apply switches the mails off. A second time has no effect.
func (u *Unsubscribe) Apply(w http.ResponseWriter, r *http.Request) {
	choice, ok := u.choice(w, r)
	if !ok {
		return
	}
	cmd := &registry.SetMail{Person: choice.Person, Definition: choice.Definition, Kind: choice.Kind}
	if err := u.Registry.Record(r.Context(), cmd); err != nil {
		u.fail(w, r, err)
		return
	}
	u.pages.Write(w, r, http.StatusOK, "unsubscribed.html", page.Page{Title: "C’est noté", Body: choice.Definition})
}

func (u *Unsubscribe) choice(w http.ResponseWriter, r *http.Request) (store.MailChoice, bool) {
	choice, err := u.Registry.MailChoice(chi.URLParam(r, "choice"))
	if err != nil {
		u.fail(w, r, err)
	}
	return choice, err == nil
}

func (u *Unsubscribe) fail(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, store.ErrNotFound) {
		u.pages.Write(w, r, http.StatusNotFound, "unsubscribe_over.html", page.Page{Title: "Ce lien n’est plus valable"})
		return
	}
	zerolog.Ctx(r.Context()).Error().Err(err).Msg("mails were not switched off")
	page.Unavailable(w, r)
}

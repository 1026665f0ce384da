package hub

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/httpapi/page"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// Follow serves the link of the mails about a request: where it stands, and where
// it is driven. The link holds the request's public id, which nobody can guess;
// the page names no person and shows no answer.
type Follow struct {
	Requests interface {
		Request(ctx context.Context, id int64) (habilitation.Request, error)
	}
	Label   func(definition string) string
	Sources map[string]string // pages of the sources, by name: "https://datapass.api.gouv.fr"
	pages   *page.Set
}

// NewFollow gives the handler of /demandes/{id}/{public_id}.
func NewFollow(f Follow) (*Follow, error) {
	set, err := page.Parse(pages, nil)
	f.pages = set
	return &f, err
}

var stateWords = map[habilitation.State]string{
	habilitation.Draft: "Brouillon : elle n’a pas encore été soumise.", habilitation.Submitted: "Soumise : l’instruction est en cours.",
	habilitation.ChangesRequested: "Des modifications sont demandées.", habilitation.Validated: "Validée : une habilitation est accordée.",
	habilitation.Refused: "Refusée.", habilitation.Archived: "Supprimée.", habilitation.Revoked: "Révoquée : l’habilitation a pris fin.",
}

// followed is what the page shows.
type followed struct {
	ID                  int64
	Definition, State   string
	Reopening           bool
	Submitted, Decided  string
	Elsewhere, NumberAt string
}

// Show shows where a request stands.
func (f *Follow) Show(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseInt(chi.URLParam(r, "id"), 10, 64)
	if err != nil {
		f.gone(w, r)
		return
	}
	req, err := f.Requests.Request(r.Context(), id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		f.gone(w, r)
		return
	case err != nil:
		zerolog.Ctx(r.Context()).Error().Err(err).Msg("a request was not shown")
		page.Unavailable(w, r)
		return
	case subtle.ConstantTimeCompare([]byte(req.PublicID.String()), []byte(chi.URLParam(r, "public_id"))) != 1:
		f.gone(w, r)
		return
	}
	shown := followed{
		ID: req.ID, Definition: f.Label(req.Definition), State: stateWords[req.State], Reopening: req.Reopening,
		Submitted: day(req.LastSubmittedAt), Decided: day(req.LastValidatedAt),
	}
	if req.Origin == habilitation.Mirrored {
		shown.NumberAt = fmt.Sprintf("D%d", req.ExternalID)
		if site := f.Sources[req.Source]; site != "" {
			shown.Elsewhere = fmt.Sprintf("%s/demandes/%d", site, req.ExternalID)
		}
	}
	f.pages.Write(w, r, http.StatusOK, "follow.html", page.Page{Title: fmt.Sprintf("Demande n° %d", req.ID), Body: shown})
}

func (f *Follow) gone(w http.ResponseWriter, r *http.Request) {
	f.pages.Write(w, r, http.StatusNotFound, "follow_over.html", page.Page{Title: "Ce lien n’est pas valable"})
}

func day(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format("02/01/2006")
}

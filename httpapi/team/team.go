// Package team serves the page behind the link of a task: the people of a
// provider who hold its keys by hand see what to do, and say done, or why not.
//
// A GET shows no secret and changes nothing: mail scanners fetch links. The link
// is made and read by this hub alone and ends; what it leads to names the
// organisation and our references, and no person, but to a team that hands the
// key over itself: it is told to which address, while that is to be done.
// It imports internal/registry, internal/store and httpapi/page.
package team

import (
	"embed"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/httpapi/page"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

//go:embed *.html
var templates embed.FS

// Handler serves /tache/{link}.
type Handler struct {
	registry *registry.Registry
	pages    *page.Set
}

// New gives the handler.
func New(r *registry.Registry) (*Handler, error) {
	pages, err := page.Parse(templates, template.FuncMap{"grace": grace})
	return &Handler{registry: r, pages: pages}, err
}

// shown is the page's body. Of what was sent, the reason alone is shown again.
type shown struct {
	registry.TaskShown
	Field, Fault string // what was wrong with the answer
	Typed        string
}

// Show is the page with both answers.
func (h *Handler) Show(w http.ResponseWriter, r *http.Request) {
	h.show(w, r, http.StatusOK, shown{})
}

func (h *Handler) show(w http.ResponseWriter, r *http.Request, status int, s shown) {
	task, err := h.registry.Task(r.Context(), chi.URLParam(r, "link"))
	if h.over(w, r, err) {
		return
	}
	s.TaskShown = task
	title := task.Action
	if s.Fault != "" {
		title = "Erreur : " + title
	}
	h.pages.Write(w, r, status, "task.html", page.Page{Title: title, Body: s})
}

// maxAnswer bounds an answer's form, in bytes: a key and a reason, each octet
// written in three.
const maxAnswer = 3*(registry.MaxHandedKey+registry.MaxRefusal) + 1024

// Answer records what the team says.
func (h *Handler) Answer(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxAnswer)
	if err := r.ParseForm(); err != nil {
		h.show(w, r, http.StatusRequestEntityTooLarge, shown{Field: "cle", Fault: "La réponse est illisible ou trop longue : rien n’a été enregistré."})
		return
	}
	answer := r.PostForm.Get("reponse")
	if answer != "fait" && answer != "refus" {
		h.show(w, r, http.StatusUnprocessableEntity, shown{Field: "reponse", Fault: "Choisissez l’une des deux réponses."})
		return
	}
	cmd := &registry.AnswerTask{
		Link: chi.URLParam(r, "link"), Done: answer == "fait", Key: connectors.NewSecret(r.PostForm.Get("cle")),
		Reference: r.PostForm.Get("reference"), Reason: r.PostForm.Get("motif"),
	}
	err := h.registry.Record(r.Context(), cmd)
	var wrong *registry.AnswerError
	var state *registry.StateError
	switch {
	case errors.As(err, &wrong):
		h.show(w, r, http.StatusUnprocessableEntity, shown{Field: wrong.Field, Fault: wrong.Text, Typed: r.PostForm.Get("motif")})
	case errors.As(err, &state) && state.What == "task":
		h.show(w, r, http.StatusConflict, shown{}) // it was answered before: the page says so
	case h.over(w, r, err):
	default:
		http.Redirect(w, r, r.URL.Path, http.StatusSeeOther)
	}
}

// Renew mails the team a new link. The answer is the same whatever the link was.
func (h *Handler) Renew(w http.ResponseWriter, r *http.Request) {
	err := h.registry.Record(r.Context(), &registry.RenewTaskLink{Link: chi.URLParam(r, "link")})
	var state *registry.StateError
	if err != nil && !errors.As(err, &state) && !errors.Is(err, store.ErrNotFound) {
		h.unavailable(w, r, err)
		return
	}
	h.pages.Write(w, r, http.StatusOK, "renewed.html", page.Page{Title: "Demande enregistrée"})
}

// over answers when the link leads nowhere, whatever the reason.
func (h *Handler) over(w http.ResponseWriter, r *http.Request, err error) bool {
	var state *registry.StateError
	switch {
	case err == nil:
		return false
	case errors.As(err, &state), errors.Is(err, store.ErrNotFound):
		h.pages.Write(w, r, http.StatusNotFound, "over.html", page.Page{Title: "Ce lien n’est plus valable", Body: chi.URLParam(r, "link")})
	default:
		h.unavailable(w, r, err)
	}
	return true
}

func (h *Handler) unavailable(w http.ResponseWriter, r *http.Request, err error) {
	zerolog.Ctx(r.Context()).Error().Err(err).Msg("a task's page failed")
	w.Header().Set("Retry-After", "30")
	h.pages.Write(w, r, http.StatusServiceUnavailable, "unavailable.html", page.Page{Title: "Service momentanément indisponible"})
}

// grace is "2 jours" or "6 heures".
func grace(d time.Duration) string {
	if days := int(d.Hours()) / 24; days > 1 && d == time.Duration(days)*24*time.Hour {
		return fmt.Sprintf("%d jours", days)
	}
	if d >= time.Hour {
		return fmt.Sprintf("%d heure(s)", int(d.Hours()))
	}
	return fmt.Sprintf("%d minute(s)", int(d.Minutes()))
}

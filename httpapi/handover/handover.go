// Package handover serves the page behind a one-time link: a person sees her
// key once, after a click, then never again (tokens.md, 7.4).
//
// A GET shows nothing secret and changes nothing: mail scanners fetch links.
// What does not exist, was used or is over looks the same.
// It imports internal/registry, internal/store, internal/token and httpapi/page.
package handover

import (
	"embed"
	"errors"
	"net/http"

	"github.com/go-chi/chi/v5"
	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/httpapi/page"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
	"github.com/passerelle-hub/passerelle/internal/token"
)

//go:embed *.html
var templates embed.FS

// Handler serves /remise/{link}.
type Handler struct {
	Store    *store.Store
	Registry *registry.Registry
	pages    *page.Set
}

// New gives the handler.
func New(s *store.Store, r *registry.Registry) (*Handler, error) {
	pages, err := page.Parse(templates, nil)
	return &Handler{Store: s, Registry: r, pages: pages}, err
}

// Show is the page with the button.
func (h *Handler) Show(w http.ResponseWriter, r *http.Request) {
	offer, err := h.Registry.Offer(r.Context(), linkHash(r))
	if h.over(w, r, err) {
		return
	}
	h.pages.Write(w, r, http.StatusOK, "offer.html", page.Page{Title: "Votre clé d’accès est prête", Body: offer})
}

// Reveal shows the key, once.
func (h *Handler) Reveal(w http.ResponseWriter, r *http.Request) {
	reveal := &registry.RevealSecret{LinkHash: linkHash(r)}
	if h.over(w, r, h.Registry.Record(r.Context(), reveal)) {
		return
	}
	h.pages.Write(w, r, http.StatusOK, "key.html", page.Page{Title: "Votre clé d’accès", Body: struct {
		Definition, Key, KID string
	}{reveal.Definition, reveal.Secret.Reveal(), reveal.KID}})
}

// Renew sends a new link to the address of an expired one. The answer is the
// same whatever the link was.
func (h *Handler) Renew(w http.ResponseWriter, r *http.Request) {
	err := h.Registry.Record(r.Context(), &registry.RenewLink{LinkHash: linkHash(r)})
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
		if h.offerReplacement(w, r, http.StatusNotFound, false) {
			return true
		}
		h.pages.Write(w, r, http.StatusNotFound, "over.html", page.Page{Title: "Ce lien n’est plus valable", Body: chi.URLParam(r, "link")})
	default:
		h.unavailable(w, r, err)
	}
	return true
}

// offerReplacement answers where the key of a link lives and its value is not to
// be had any more; false when it did not.
func (h *Handler) offerReplacement(w http.ResponseWriter, r *http.Request, status int, refused bool) bool {
	offer, ok, err := h.Registry.Replaceable(r.Context(), linkHash(r))
	switch {
	case err != nil:
		h.unavailable(w, r, err)
		return true
	case !ok:
		return false
	}
	title := "Cette clé ne peut plus être affichée"
	if refused {
		title = "Erreur : " + title
	}
	h.pages.Write(w, r, status, "replace.html", page.Page{Title: title, Body: struct {
		Offer   registry.Replaceable
		Link    string
		Refused bool // the interruption was not accepted: nothing was done
	}{offer, chi.URLParam(r, "link"), refused}})
	return true
}

// Replace has the key of a spent link replaced. Where that interrupts calls, the
// page says so and has it accepted.
func (h *Handler) Replace(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		page.Unreadable(w, r, err)
		return
	}
	cmd := &registry.ReplaceByLink{LinkHash: linkHash(r), AcceptCutover: r.PostForm.Get("coupure") == "acceptee"}
	err := h.Registry.Record(r.Context(), cmd)
	var cutover *registry.NoOverlapError
	if errors.As(err, &cutover) && h.offerReplacement(w, r, http.StatusConflict, true) {
		return
	}
	if h.over(w, r, err) {
		return
	}
	h.pages.Write(w, r, http.StatusOK, "replaced.html", page.Page{Title: "Remplacement lancé"})
}

const maxForm = 4 << 10 // bytes

func (h *Handler) unavailable(w http.ResponseWriter, r *http.Request, err error) {
	zerolog.Ctx(r.Context()).Error().Err(err).Msg("hand-over failed")
	w.Header().Set("Retry-After", "30")
	h.pages.Write(w, r, http.StatusServiceUnavailable, "unavailable.html", page.Page{Title: "Service momentanément indisponible"})
}

// linkHash is the hash a link is kept by; a value with a wrong checksum hashes
// like any other and is found nowhere.
func linkHash(r *http.Request) []byte { return token.Hash(chi.URLParam(r, "link")) }

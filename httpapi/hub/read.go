package hub

import (
	"fmt"
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/passerelle-hub/passerelle/httpapi/problem"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// get shows one request under its version. It always shows it: the people and the
// organisation that it names change without it.
func (h *Handler) get(w http.ResponseWriter, r *http.Request) error {
	req, access, err := h.read(r)
	if err != nil {
		return err
	}
	w.Header().Set("ETag", etag(req.Version))
	w.Header().Set("Cache-Control", "no-store")
	problem.JSON(w, r, http.StatusOK, h.view(req, access))
	return nil
}

// read gives the request that the path names, if the caller may know of it.
func (h *Handler) read(r *http.Request) (habilitation.Request, habilitation.Access, error) {
	id, err := h.requestID(r)
	if err != nil {
		return habilitation.Request{}, habilitation.AccessNone, err
	}
	req, err := h.Store.Request(r.Context(), id)
	if err != nil {
		return req, habilitation.AccessNone, err
	}
	access := h.access(callerOf(r).Viewer(), req)
	if access == habilitation.AccessNone {
		return req, access, fmt.Errorf("request %d: %w", id, store.ErrNotFound)
	}
	return req, access, nil
}

// habilitation shows one habilitation.
func (h *Handler) habilitation(w http.ResponseWriter, r *http.Request) error {
	req, granted, access, err := h.granted(r)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "private, no-cache")
	problem.JSON(w, r, http.StatusOK, h.viewHabilitation(req, granted, access))
	return nil
}

// granted gives the habilitation that the path names, by our id or its
// source's, if the caller may know of it.
func (h *Handler) granted(r *http.Request) (habilitation.Request, habilitation.Habilitation, habilitation.Access, error) {
	none := func(err error) (habilitation.Request, habilitation.Habilitation, habilitation.Access, error) {
		return habilitation.Request{}, habilitation.Habilitation{}, habilitation.AccessNone, err
	}
	shown, ok := parseID(chi.URLParam(r, "id"), 'H')
	if !ok {
		return none(store.ErrNotFound)
	}
	ids, err := h.Store.RequestsOfHabilitation(r.Context(), shown)
	if err != nil {
		return none(err)
	}
	for _, id := range ids {
		req, err := h.Store.Request(r.Context(), id)
		if err != nil {
			return none(err)
		}
		access := h.access(callerOf(r).Viewer(), req)
		if access == habilitation.AccessNone {
			continue
		}
		for _, granted := range req.Habilitations {
			if granted.ID == shown || granted.ExternalID == shown {
				return req, granted, access, nil
			}
		}
	}
	return none(store.ErrNotFound)
}

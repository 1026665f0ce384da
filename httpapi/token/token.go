// Package token serves what gateways ask about keys: introspection (RFC 7662)
// and the key set of the built-in issuer.
//
// It imports internal/habilitation, internal/jose, internal/registry,
// httpapi/auth and httpapi/problem.
package token

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/passerelle-hub/passerelle/httpapi/auth"
	"github.com/passerelle-hub/passerelle/httpapi/problem"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/jose"
	"github.com/passerelle-hub/passerelle/internal/registry"
)

// Handler serves /token/introspect and /.well-known/jwks.json.
type Handler struct {
	Registry *registry.Registry
	Tokens   registry.TokenReader
	Callers  *auth.Authenticator
	// Definitions lists the catalogue's, for machines that have their owner's rights.
	Definitions func() []*habilitation.Definition
	MaxAge      time.Duration // an answer may be kept that long; 0: not at all
	KeySet      func(ctx context.Context) (jose.JWKS, error)
}

const maxForm = 16 << 10 // bytes: a token and its hint

// Introspect answers {"active":false} alone, 200, to whatever is not a live
// token that the caller may ask about (tokens.md, 7.7).
func (h *Handler) Introspect(w http.ResponseWriter, r *http.Request) error {
	caller, err := h.Callers.Machine(r, auth.ScopeIntrospect)
	if err != nil {
		w.Header().Set("WWW-Authenticate", `Basic realm="passerelle"`)
		return err
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return problem.New(http.StatusRequestEntityTooLarge, "corps-trop-grand", "Corps trop grand", "Le formulaire dépasse 16 Kio.")
		}
		return problem.New(http.StatusBadRequest, "corps", "Corps illisible", "Un formulaire (application/x-www-form-urlencoded) est attendu.")
	}
	value := r.PostForm.Get("token")
	if value == "" {
		return problem.New(http.StatusBadRequest, "corps", "Paramètre manquant", "Le paramètre token est requis.").At("/token", "requis")
	}
	answer, err := h.Registry.Introspect(r.Context(), h.Tokens, value, caller.Introspectable(h.Definitions()))
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	if h.MaxAge > 0 && answer.Active {
		w.Header().Set("Cache-Control", fmt.Sprintf("private, max-age=%d", int(h.MaxAge.Seconds())))
	}
	problem.JSON(w, r, http.StatusOK, answer)
	return nil
}

// JWKS serves the key set with the max-age that its rotation counts on.
func (h *Handler) JWKS(w http.ResponseWriter, r *http.Request) error {
	set, err := h.KeySet(r.Context())
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", fmt.Sprintf("public, max-age=%d", int(set.MaxAge.Seconds())))
	w.Header().Set("ETag", set.ETag)
	if r.Header.Get("If-None-Match") == set.ETag {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	w.Header().Set("Content-Type", "application/jwk-set+json")
	_, err = w.Write(set.Body)
	return err
}

// Translate gives the problem of an error of this package's work.
func Translate(err error) *problem.Problem {
	if errors.Is(err, context.Canceled) {
		return problem.Unavailable()
	}
	return auth.Translate(err)
}

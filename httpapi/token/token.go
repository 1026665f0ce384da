// Package token serves what gateways ask about keys, and what ends one:
// introspection (RFC 7662), revocation (RFC 7009) and the key set of the
// built-in issuer.
//
// It imports internal/jose, internal/registry, internal/store, httpapi/auth and
// httpapi/problem.
package token

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/httpapi/auth"
	"github.com/passerelle-hub/passerelle/httpapi/problem"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/jose"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// Introspector answers for tokens: *registry.Introspector.
type Introspector interface {
	Introspect(ctx context.Context, value string, definitions []string) (registry.Introspection, error)
	// Forget: this process changed the credential.
	Forget(id uuid.UUID)
}

// Handler serves /token/introspect, /token/revoke and /.well-known/jwks.json.
type Handler struct {
	Registry *registry.Registry
	Live     Introspector
	Tokens   registry.TokenReader
	Callers  *auth.Authenticator
	Machines *auth.Remembered // who introspect
	// Definitions lists the catalogue's, for machines that have their owner's rights.
	Definitions func() []*habilitation.Definition
	MaxAge      time.Duration // an answer may be kept that long; 0: not at all
	KeySet      func(ctx context.Context) (jose.JWKS, error)
}

const maxForm = 16 << 10 // bytes: a token and its hint

// Introspect answers {"active":false} alone, 200, to whatever is not a live
// token that the caller may ask about (tokens.md, 7.7).
func (h *Handler) Introspect(w http.ResponseWriter, r *http.Request) error {
	definitions, err := h.Machines.Introspecting(r)
	if err != nil {
		w.Header().Set("WWW-Authenticate", `Basic realm="passerelle"`)
		return err
	}
	value, err := readToken(w, r)
	if err != nil {
		return err
	}
	answer, err := h.Live.Introspect(r.Context(), value, definitions)
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

// Revoke ends the credential that a token stands for: 200 also when there is
// none, or none that the caller may end (RFC 7009, 2.2; tokens.md, 7.8). From its
// commit on every replica refuses the key within a second; its manager follows.
func (h *Handler) Revoke(w http.ResponseWriter, r *http.Request) error {
	caller, err := h.Callers.Machine(r, auth.ScopeRevoke)
	if err != nil {
		w.Header().Set("WWW-Authenticate", `Basic realm="passerelle"`)
		return err
	}
	value, err := readToken(w, r)
	if err != nil {
		return err
	}
	c, err := h.Registry.TokenCredential(r.Context(), h.Tokens, value)
	if err == nil {
		cmd := &registry.RevokeCredential{CredentialID: c.ID, Definitions: caller.Introspectable(h.Definitions()), Reason: "révoquée par l’API (RFC 7009)"}
		err = h.Registry.Record(registry.WithActor(r.Context(), caller.Actor()), cmd)
		h.Live.Forget(c.ID)
	}
	if err != nil && !errors.Is(err, registry.ErrNotOurs) && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	problem.JSON(w, r, http.StatusOK, struct{}{})
	return nil
}

// readToken gives the token of a form.
func readToken(w http.ResponseWriter, r *http.Request) (string, error) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return "", problem.New(http.StatusRequestEntityTooLarge, "corps-trop-grand", "Corps trop grand", "Le formulaire dépasse 16 Kio.")
		}
		return "", problem.New(http.StatusBadRequest, "corps", "Corps illisible", "Un formulaire (application/x-www-form-urlencoded) est attendu.")
	}
	value := r.PostForm.Get("token")
	if value == "" {
		return "", problem.New(http.StatusBadRequest, "corps", "Paramètre manquant", "Le paramètre token est requis.").At("/token", "requis")
	}
	return value, nil
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

// Translate gives the problem of an error of this package's work. That the keys
// cannot be read is no reason to let a token pass, nor to call it dead.
func Translate(err error) *problem.Problem {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, jose.ErrKeysUnavailable) {
		return problem.Unavailable()
	}
	return auth.Translate(err)
}

package registry

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/store"
	"github.com/passerelle-hub/passerelle/internal/token"
)

// Introspection is the answer to "is this token live, and for what" (RFC 7662,
// 2.2; tokens.md, 7.7). The zero value is {"active":false} and says nothing else.
type Introspection struct {
	Active    bool   `json:"active"`
	Scope     string `json:"scope,omitempty"` // space separated: the truth, whatever the token says
	ClientID  string `json:"client_id,omitempty"`
	Subject   string `json:"sub,omitempty"`
	Audience  string `json:"aud,omitempty"` // the definition
	Issuer    string `json:"iss,omitempty"`
	ExpiresAt int64  `json:"exp,omitempty"`
	IssuedAt  int64  `json:"iat,omitempty"`
	ID        string `json:"jti,omitempty"`
	TokenType string `json:"token_type,omitempty"`
	SIRET     string `json:"siret,omitempty"` // of the holder
}

// TokenReader tells the jti of a token that the built-in issuer signed.
// ErrNotOurs for any other text; other errors mean that it cannot be said now.
type TokenReader interface {
	TokenID(ctx context.Context, value string) (uuid.UUID, error)
}

// ErrNotOurs: not a token of this hub: malformed, foreign, badly signed or over.
var ErrNotOurs = errors.New("registry: not a token of this hub")

// Introspect says whether a token is live. definitions are those the caller may
// ask about ("*" for all): a token of another one is not active for it. An
// error means that it cannot be said now: the caller must refuse, not let pass.
func (r *Registry) Introspect(ctx context.Context, tokens TokenReader, value string, definitions []string) (Introspection, error) {
	c, err := r.credentialOf(ctx, tokens, value)
	switch {
	case errors.Is(err, ErrNotOurs), errors.Is(err, store.ErrNotFound):
		return Introspection{}, nil
	case err != nil:
		return Introspection{}, err
	}
	if !slices.Contains(definitions, "*") && !slices.Contains(definitions, c.Definition) || !passes(c, r.now()) {
		return Introspection{}, nil
	}
	req, err := r.store.Request(ctx, c.RequestID)
	if err != nil {
		return Introspection{}, err
	}
	i := Introspection{
		Active: true, Scope: strings.Join(c.Scopes, " "), ClientID: habilitation.SubjectRef(c.RequestID), Subject: habilitation.SubjectRef(c.RequestID),
		Audience: c.Definition, Issuer: r.settings.PublicURL, ID: c.ID.String(), TokenType: "Bearer", SIRET: req.Organization.SIRET,
	}
	if c.ExpiresAt != nil {
		i.ExpiresAt = c.ExpiresAt.Unix()
	}
	if c.IssuedAt != nil {
		i.IssuedAt = c.IssuedAt.Unix()
	}
	return i, nil
}

func (r *Registry) credentialOf(ctx context.Context, tokens TokenReader, value string) (store.Credential, error) {
	if strings.HasPrefix(value, string(token.ClientKey)+"_") {
		// The check sum costs a typo no query.
		if _, err := token.ParseIn(token.Env(r.settings.TokenEnv), value); err != nil {
			return store.Credential{}, ErrNotOurs
		}
		return r.store.CredentialByValue(ctx, value)
	}
	id, err := tokens.TokenID(ctx, value)
	if err != nil {
		return store.Credential{}, err
	}
	return r.store.Credential(ctx, id)
}

// passes: live, or the old one of a rotation: until its manager has made the new
// one, then until the overlap ends.
func passes(c store.Credential, now time.Time) bool {
	if c.ExpiresAt != nil && !c.ExpiresAt.After(now) {
		return false
	}
	state := habilitation.CredentialState(c.State)
	if state == habilitation.CredentialRotating {
		return c.OldUntil == nil || c.OldUntil.After(now)
	}
	return state.Usable()
}

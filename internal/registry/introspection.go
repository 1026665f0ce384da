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
	Active     bool     `json:"active"`
	Scope      string   `json:"scope,omitempty"` // space separated: the truth, whatever the token says
	ClientID   string   `json:"client_id,omitempty"`
	Subject    string   `json:"sub,omitempty"`
	Audience   string   `json:"aud,omitempty"` // the definition
	Issuer     string   `json:"iss,omitempty"`
	ExpiresAt  int64    `json:"exp,omitempty"`
	IssuedAt   int64    `json:"iat,omitempty"`
	ID         string   `json:"jti,omitempty"`
	TokenType  string   `json:"token_type,omitempty"`
	SIRET      string   `json:"siret,omitempty"`       // of the holder
	AllowedIPs []string `json:"allowed_ips,omitempty"` // addresses and networks; absent: any
}

// TokenRef is what a token of the built-in issuer says of itself.
type TokenRef struct {
	ID        uuid.UUID // jti
	ExpiresAt time.Time // zero: it says none
}

// TokenReader reads a token that the built-in issuer signed. ErrNotOurs for any
// other text; other errors mean that it cannot be said now.
type TokenReader interface {
	ReadToken(ctx context.Context, value string) (TokenRef, error)
	// Refresh reads the signing keys again when what is known of them is older
	// than maxAge.
	Refresh(ctx context.Context, maxAge time.Duration) error
}

// ErrNotOurs: not a token of this hub: malformed, foreign, badly signed or over.
var ErrNotOurs = errors.New("registry: not a token of this hub")

// Introspect says whether a token is live, from the database. definitions are
// those the caller may ask about ("*" for all): a token of another one is not
// active for it. An error means that it cannot be said now: the caller must
// refuse, not let pass.
func (r *Registry) Introspect(ctx context.Context, tokens TokenReader, value string, definitions []string) (Introspection, error) {
	ref, err := r.tokenRef(ctx, tokens, value)
	var live store.LiveCredential
	if err == nil {
		live, err = r.store.LiveCredential(ctx, ref.ID)
	}
	switch {
	case errors.Is(err, ErrNotOurs), errors.Is(err, store.ErrNotFound):
		return Introspection{}, nil
	case err != nil:
		return Introspection{}, err
	}
	held := heldOf(live)
	return r.answer(&held, ref.ExpiresAt, definitions), nil
}

// TokenCredential gives the credential that a token stands for, live or not.
// ErrNotOurs or store.ErrNotFound when it stands for none.
func (r *Registry) TokenCredential(ctx context.Context, tokens TokenReader, value string) (store.Credential, error) {
	ref, err := r.tokenRef(ctx, tokens, value)
	if errors.Is(err, ErrNotOurs) && !strings.HasPrefix(value, string(token.ClientKey)+"_") {
		ref.ID, err = r.store.CredentialIDByValue(ctx, value) // made by its manager
	}
	if err != nil {
		return store.Credential{}, err
	}
	return r.store.Credential(ctx, ref.ID)
}

func (r *Registry) tokenRef(ctx context.Context, tokens TokenReader, value string) (TokenRef, error) {
	if strings.HasPrefix(value, string(token.ClientKey)+"_") {
		// The check sum costs a typo no query.
		if _, err := token.ParseIn(token.Env(r.settings.TokenEnv), value); err != nil {
			return TokenRef{}, ErrNotOurs
		}
		id, err := r.store.CredentialIDByValue(ctx, value)
		return TokenRef{ID: id}, err
	}
	return tokens.ReadToken(ctx, value)
}

// held is what is kept of a credential to answer, as small as it can be: there
// may be a million of them.
type held struct {
	id         uuid.UUID
	requestID  int64
	expiresAt  int64 // unix nanoseconds; 0: none
	issuedAt   int64 // unix seconds
	oldUntil   int64 // unix nanoseconds; 0: none
	definition string
	scope      string
	siret      string
	allowed    []string
	usable     bool
	rotating   bool
}

func heldOf(c store.LiveCredential) held {
	state := habilitation.CredentialState(c.State)
	h := held{
		id: c.ID, requestID: c.RequestID, expiresAt: nanos(c.ExpiresAt), oldUntil: nanos(c.OldUntil),
		definition: c.Definition, scope: strings.Join(c.Scopes, " "), siret: c.SIRET,
		usable: state.Usable(), rotating: state == habilitation.CredentialRotating,
	}
	if !c.IssuedAt.IsZero() {
		h.issuedAt = c.IssuedAt.Unix()
	}
	if len(c.AllowedIPs) > 0 {
		h.allowed = c.AllowedIPs
	}
	return h
}

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func (h *held) passes(now int64) bool {
	switch {
	case !h.usable, h.expiresAt != 0 && h.expiresAt <= now:
		return false
	case h.rotating:
		return h.oldUntil == 0 || h.oldUntil > now
	}
	return true
}

// answer is what is said of a credential now.
func (r *Registry) answer(h *held, tokenEnds time.Time, definitions []string) Introspection {
	now := r.now()
	switch {
	case !tokenEnds.IsZero() && !tokenEnds.After(now), !h.passes(now.UnixNano()):
		return Introspection{}
	case !slices.Contains(definitions, "*") && !slices.Contains(definitions, h.definition):
		return Introspection{}
	}
	subject := habilitation.SubjectRef(h.requestID)
	i := Introspection{
		Active: true, Scope: h.scope, ClientID: subject, Subject: subject, Audience: h.definition, Issuer: r.settings.PublicURL,
		IssuedAt: h.issuedAt, ID: h.id.String(), TokenType: "Bearer", SIRET: h.siret, AllowedIPs: h.allowed,
	}
	if h.expiresAt != 0 {
		i.ExpiresAt = h.expiresAt / int64(time.Second)
	}
	return i
}

// passes: live, or the old one of a rotation: until its manager has made the new
// one, then until the overlap ends.
func passes(c store.Credential, now time.Time) bool {
	h := heldOf(store.LiveCredential{State: c.State, ExpiresAt: valueOf(c.ExpiresAt), OldUntil: valueOf(c.OldUntil)})
	return h.passes(now.UnixNano())
}

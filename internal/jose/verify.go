package jose

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// MaxSkew bounds the difference of clocks that a verifier forgives (tokens.md, 7.5).
const MaxSkew = 60 * time.Second

// KeySource finds verification keys: ErrUnknownKey when the issuer has no key of
// that id, ErrKeysUnavailable when that cannot be said now.
type KeySource interface {
	Key(ctx context.Context, kid string) (PublicKey, error)
}

// StaticKeys are keys known beforehand: those an editor registered.
type StaticKeys []PublicKey

// Key finds a key by its id.
func (s StaticKeys) Key(_ context.Context, kid string) (PublicKey, error) {
	for _, k := range s {
		if k.kid == kid {
			return k, nil
		}
	}
	return PublicKey{}, ErrUnknownKey
}

// Verifier believes the tokens of one issuer for one audience. Issuer, Audience,
// Algs and Keys are required. It may be used by many goroutines.
type Verifier struct {
	Issuer   string
	Audience string // must be among the token's
	Algs     []Alg
	Keys     KeySource
	// Types are the header types accepted, lower case without "application/",
	// e.g. "at+jwt". Empty: a plain JWT, with type JWT or none.
	Types []string
	// Required are claims that must be present beside iss, aud and exp.
	Required []string
	// Skew is forgiven on exp, nbf and iat, MaxSkew at most. Zero forgives nothing.
	Skew time.Duration
	// MaxLife refuses a token that still lives longer than this. Zero: no limit.
	MaxLife time.Duration
	// MaxSize bounds the token, in bytes. Zero: MaxToken.
	MaxSize int
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
}

// Verify believes a token or says with a Fault why not. A fault of the token is
// final; ErrKeysUnavailable says nothing of it.
func (v Verifier) Verify(ctx context.Context, token string) (Claims, error) {
	if err := v.check(); err != nil {
		return Claims{}, err
	}
	maxSize := v.MaxSize
	if maxSize == 0 {
		maxSize = MaxToken
	}
	t, err := parseCompact(token, maxSize)
	if err != nil {
		return Claims{}, err
	}
	if !v.accepts(t.typ) {
		return Claims{}, ErrType
	}
	if !slices.Contains(v.Algs, t.alg) {
		return Claims{}, ErrAlgorithm
	}
	if t.kid == "" {
		return Claims{}, ErrKeyIDMissing
	}
	if !validKeyID(t.kid) {
		return Claims{}, ErrUnknownKey
	}
	key, err := v.Keys.Key(ctx, t.kid)
	if err != nil {
		return Claims{}, err
	}
	if key.alg != t.alg {
		return Claims{}, ErrAlgorithm
	}
	if err := verifySignature(t.raw, key); err != nil {
		return Claims{}, err
	}
	claims, err := t.claims()
	if err != nil {
		return Claims{}, err
	}
	if err := v.checkClaims(t.payload, claims); err != nil {
		return Claims{}, err
	}
	return claims, nil
}

func (v Verifier) check() error {
	switch {
	case v.Issuer == "" || v.Audience == "" || v.Keys == nil || len(v.Algs) == 0:
		return fmt.Errorf("%w: a verifier needs issuer, audience, algorithms and keys", ErrConfig)
	case slices.ContainsFunc(v.Algs, func(a Alg) bool { return !a.known() }):
		return fmt.Errorf("%w: algorithms %v", ErrConfig, v.Algs)
	case v.Skew < 0 || v.Skew > MaxSkew || v.MaxLife < 0 || v.MaxSize < 0:
		return fmt.Errorf("%w: skew is 0 to %s, limits are positive", ErrConfig, MaxSkew)
	default:
		return nil
	}
}

func (v Verifier) accepts(typ string) bool {
	if len(v.Types) == 0 {
		return typ == "" || typ == "jwt"
	}
	return slices.Contains(v.Types, typ)
}

func (v Verifier) checkClaims(payload members, c Claims) error {
	for _, name := range append([]string{"iss", "aud", "exp"}, v.Required...) {
		if !payload.has(name) || string(payload[name]) == `""` && name != "scope" {
			return fmt.Errorf("%w: %s", ErrClaim, name)
		}
	}
	now := v.now()
	switch {
	case c.Issuer != v.Issuer:
		return ErrIssuer
	case !slices.Contains(c.Audience, v.Audience):
		return ErrAudience
	case v.Expired(c):
		return ErrExpired
	case c.NotBefore.After(now.Add(v.Skew)) || c.IssuedAt.After(now.Add(v.Skew)):
		return ErrNotYetValid
	case v.MaxLife > 0 && c.ExpiresAt.After(now.Add(v.MaxLife+v.Skew)):
		return ErrLifetime
	default:
		return nil
	}
}

// Expired reports that the time of a token that was believed is over.
func (v Verifier) Expired(c Claims) bool { return !v.now().Before(c.ExpiresAt.Add(v.Skew)) }

func (v Verifier) now() time.Time {
	if v.Now == nil {
		return time.Now()
	}
	return v.Now()
}

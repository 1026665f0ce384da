package jose

import (
	"encoding/json"
	"fmt"

	"github.com/lestrrat-go/jwx/v2/jws"
)

// MaxToken bounds a token of the hub, in bytes (tokens.md, 7.5).
const MaxToken = 4 << 10

// Sign makes a compact JWS of the claims' JSON. Its header holds alg, kid and,
// unless it is empty, typ. ErrTooLarge above MaxToken.
func (k PrivateKey) Sign(typ string, claims any) (string, error) {
	header := map[string]any{jws.KeyIDKey: k.KID()}
	if typ != "" {
		header[jws.TypeKey] = typ
	}
	return k.signWith(header, claims)
}

func (k PrivateKey) signWith(header map[string]any, claims any) (string, error) {
	if k.IsZero() {
		return "", ErrNoSigningKey
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrClaim, err)
	}
	protected := jws.NewHeaders()
	for name, value := range header {
		if err := protected.Set(name, value); err != nil {
			return "", fmt.Errorf("%w: header %s", ErrMalformed, name)
		}
	}
	signed, err := jws.Sign(payload, jws.WithKey(k.Alg().jwa(), k.raw, jws.WithProtectedHeaders(protected)))
	if err != nil {
		return "", ErrKey
	}
	if len(signed) > MaxToken {
		return "", ErrTooLarge
	}
	return string(signed), nil
}

// verifySignature checks a compact JWS with the algorithm of the key.
func verifySignature(token string, key PublicKey) error {
	if key.IsZero() {
		return ErrUnknownKey
	}
	if _, err := jws.Verify([]byte(token), jws.WithCompact(), jws.WithKey(key.alg.jwa(), key.raw)); err != nil {
		return ErrSignature
	}
	return nil
}

// SignDetached signs content that travels beside its signature: a compact JWS
// without payload (RFC 7515, appendix F). Its header holds alg and kid.
func (k PrivateKey) SignDetached(content []byte) (string, error) {
	if k.IsZero() {
		return "", ErrNoSigningKey
	}
	protected := jws.NewHeaders()
	if err := protected.Set(jws.KeyIDKey, k.KID()); err != nil {
		return "", fmt.Errorf("%w: header %s", ErrMalformed, jws.KeyIDKey)
	}
	signed, err := jws.Sign(nil, jws.WithKey(k.Alg().jwa(), k.raw, jws.WithProtectedHeaders(protected)), jws.WithDetachedPayload(content))
	if err != nil {
		return "", ErrKey
	}
	return string(signed), nil
}

// VerifyDetached checks a signature of SignDetached.
func (k PublicKey) VerifyDetached(signature string, content []byte) error {
	if k.IsZero() {
		return ErrUnknownKey
	}
	if _, err := jws.Verify([]byte(signature), jws.WithCompact(), jws.WithKey(k.alg.jwa(), k.raw), jws.WithDetachedPayload(content)); err != nil {
		return ErrSignature
	}
	return nil
}

package jose

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"slices"
)

// IDTokenCheck is what an ID token must agree with (OpenID Connect Core,
// 3.1.3.7; franceconnect.md, 6).
type IDTokenCheck struct {
	Nonce       string   // sent with the authorization request; required
	AccessToken string   // received with the ID token; compared with at_hash where there is one
	ACR         []string // accepted levels; empty accepts any
}

// VerifyIDToken is Verify for an ID token: a plain JWT with sub, iat and nonce.
// That a nonce is used once is the caller's to keep.
func (v Verifier) VerifyIDToken(ctx context.Context, token string, want IDTokenCheck) (Claims, error) {
	if want.Nonce == "" {
		return Claims{}, ErrConfig
	}
	v.Required = append([]string{"sub", "iat", "nonce"}, v.Required...)
	c, err := v.Verify(ctx, token)
	if err != nil {
		return Claims{}, err
	}
	switch {
	case subtle.ConstantTimeCompare([]byte(c.Nonce), []byte(want.Nonce)) != 1:
		return Claims{}, ErrNonce
	case len(c.Audience) > 1 && c.AuthorizedParty == "", c.AuthorizedParty != "" && c.AuthorizedParty != v.Audience:
		return Claims{}, ErrAuthorizedParty
	case c.AccessTokenHash != "" && c.AccessTokenHash != accessTokenHash(c.alg, want.AccessToken):
		return Claims{}, ErrAccessTokenHash
	case len(want.ACR) > 0 && !slices.Contains(want.ACR, c.ACR):
		return Claims{}, ErrACR
	default:
		return c, nil
	}
}

// accessTokenHash is at_hash: the left half of the hash that goes with the
// signature's algorithm (SHA-512 for Ed25519).
func accessTokenHash(alg Alg, accessToken string) string {
	if alg == EdDSA {
		sum := sha512.Sum512([]byte(accessToken))
		return base64.RawURLEncoding.EncodeToString(sum[:32])
	}
	sum := sha256.Sum256([]byte(accessToken))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

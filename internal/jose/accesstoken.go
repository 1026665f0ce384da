package jose

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// AccessTokenType is the header type of an access token (RFC 9068, 2.1): no
// other kind of token passes for one.
const AccessTokenType = "at+jwt"

// AccessToken is what an access token of the hub says (tokens.md, 7.5). It has
// no field for a name, a mail, a SIRET or a title. Times are whole seconds.
type AccessToken struct {
	ID        string // jti
	Issuer    string
	Audience  string // one API
	Subject   string
	ClientID  string
	Scopes    []string
	IssuedAt  time.Time
	ExpiresAt time.Time
	// Thumbprint binds the token to a key of its holder (cnf.jkt, RFC 9449); "" binds to none.
	Thumbprint string
}

type accessTokenClaims struct {
	Issuer       string        `json:"iss"`
	Subject      string        `json:"sub"`
	Audience     string        `json:"aud"`
	ClientID     string        `json:"client_id"`
	Scope        string        `json:"scope"`
	ID           string        `json:"jti"`
	IssuedAt     int64         `json:"iat"`
	ExpiresAt    int64         `json:"exp"`
	Confirmation *confirmation `json:"cnf,omitempty"`
}

type confirmation struct {
	Thumbprint string `json:"jkt"`
}

// SignAccessToken signs t with header type at+jwt: ErrClaim when a required
// claim is missing or malformed.
func (k PrivateKey) SignAccessToken(t AccessToken) (string, error) {
	if err := t.check(); err != nil {
		return "", err
	}
	claims := accessTokenClaims{
		Issuer: t.Issuer, Subject: t.Subject, Audience: t.Audience, ClientID: t.ClientID, Scope: strings.Join(t.Scopes, " "),
		ID: t.ID, IssuedAt: t.IssuedAt.Unix(), ExpiresAt: t.ExpiresAt.Unix(),
	}
	if t.Thumbprint != "" {
		claims.Confirmation = &confirmation{Thumbprint: t.Thumbprint}
	}
	return k.Sign(AccessTokenType, claims)
}

func (t AccessToken) check() error {
	for name, value := range map[string]string{
		"jti": t.ID, "iss": t.Issuer, "aud": t.Audience, "sub": t.Subject, "client_id": t.ClientID,
	} {
		if value == "" {
			return fmt.Errorf("%w: %s", ErrClaim, name)
		}
	}
	if i := slices.IndexFunc(t.Scopes, func(s string) bool { return !ValidScope(s) }); i >= 0 {
		return fmt.Errorf("%w: scope", ErrClaim)
	}
	if t.IssuedAt.IsZero() || !t.ExpiresAt.After(t.IssuedAt) {
		return fmt.Errorf("%w: iat, exp", ErrClaim)
	}
	return nil
}

// ValidScope reports one scope-token of RFC 6749, 3.3.
func ValidScope(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= 0x20 || r > 0x7e || r == '"' || r == '\\'
	})
}

// VerifyAccessToken is Verify for an access token of the hub: type at+jwt, all
// claims of RFC 9068 and one audience. Whether its jti is revoked is not said here.
func (v Verifier) VerifyAccessToken(ctx context.Context, token string) (AccessToken, error) {
	v.Types = []string{AccessTokenType}
	v.Required = append([]string{"sub", "iat", "jti", "client_id", "scope"}, v.Required...)
	c, err := v.Verify(ctx, token)
	if err != nil {
		return AccessToken{}, err
	}
	if len(c.Audience) != 1 {
		return AccessToken{}, ErrAudience
	}
	var extra struct {
		Confirmation *confirmation `json:"cnf"`
	}
	if err := c.Decode(&extra); err != nil {
		return AccessToken{}, err
	}
	t := AccessToken{
		ID: c.ID, Issuer: c.Issuer, Audience: c.Audience[0], Subject: c.Subject, ClientID: c.ClientID,
		Scopes: strings.Fields(c.Scope), IssuedAt: c.IssuedAt, ExpiresAt: c.ExpiresAt,
	}
	if extra.Confirmation != nil {
		// A confirmation this package does not know must not pass for none.
		if extra.Confirmation.Thumbprint == "" {
			return AccessToken{}, fmt.Errorf("%w: cnf", ErrClaim)
		}
		t.Thumbprint = extra.Confirmation.Thumbprint
	}
	return t, nil
}

package jose

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Claims are the registered claims of a verified token. A time that is absent is
// zero. They may hold personal data: they print nothing.
type Claims struct {
	Issuer          string
	Subject         string
	Audience        []string
	ExpiresAt       time.Time
	IssuedAt        time.Time
	NotBefore       time.Time
	ID              string // jti
	ClientID        string
	Scope           string
	AuthorizedParty string // azp
	Nonce           string
	ACR             string
	AuthTime        time.Time
	AccessTokenHash string // at_hash
	KID             string // of the key that signed

	alg  Alg
	body []byte
}

// Decode reads the claims into a struct of the caller's, for those that have no
// field here.
func (c Claims) Decode(into any) error {
	if err := json.Unmarshal(c.body, into); err != nil {
		return ErrClaim // without the cause: it may show a value
	}
	return nil
}

// Format prints nothing of the claims.
func (c Claims) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[claims]")) }

// MarshalJSON writes nothing of the claims.
func (c Claims) MarshalJSON() ([]byte, error) { return []byte(`"[claims]"`), nil }

// claims reads the registered claims, each of its proper type.
func (t compact) claims() (Claims, error) {
	c := Claims{KID: t.kid, alg: t.alg, body: t.body}
	for name, into := range map[string]*string{
		"iss": &c.Issuer, "sub": &c.Subject, "jti": &c.ID, "client_id": &c.ClientID, "scope": &c.Scope,
		"azp": &c.AuthorizedParty, "nonce": &c.Nonce, "acr": &c.ACR, "at_hash": &c.AccessTokenHash,
	} {
		var ok bool
		if *into, ok = t.payload.text(name); !ok {
			return Claims{}, fmt.Errorf("%w: %s", ErrClaim, name)
		}
	}
	for name, into := range map[string]*time.Time{
		"exp": &c.ExpiresAt, "iat": &c.IssuedAt, "nbf": &c.NotBefore, "auth_time": &c.AuthTime,
	} {
		var ok bool
		if *into, ok = t.payload.time(name); !ok {
			return Claims{}, fmt.Errorf("%w: %s", ErrClaim, name)
		}
	}
	var ok bool
	if c.Audience, ok = t.payload.texts("aud", true); !ok || slices.Contains(c.Audience, "") {
		return Claims{}, fmt.Errorf("%w: aud", ErrClaim)
	}
	return c, nil
}

package franceconnect

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
	"github.com/passerelle-hub/passerelle/internal/jose"
)

// Limits of franceconnect.md, 4 to 6 and 11.
const (
	acr          = "eidas1"
	skew         = 5 * time.Second  // forgiven on exp and iat
	callTimeout  = 5 * time.Second  // FC-6
	tokenUse     = 50 * time.Second // of a token's 60 s: no call starts later (api-particulier.md, AP-2)
	tokenReserve = 10 * time.Second // the same for a token that lives less
	maxCode      = 1 << 10          // bytes
	maxToken     = 4 << 10          // bytes of an access token
	maxJWT       = 16 << 10         // bytes of an id_token or a userinfo
	maxAnswer    = 64 << 10         // bytes of any answer
	maxSecrets   = 2                // while one replaces the other (FC-12)
)

// Config is one client at one FranceConnect.
type Config struct {
	Issuer        string // https://oidc.franceconnect.gouv.fr/api/v2; discovery is below it
	ClientID      string
	ClientSecrets []connectors.Secret // tried in order when one is refused
	// ClientKey is a PEM private key (P-256): the client proves itself with it
	// (private_key_jwt) instead of a secret. ClientKeyID is its id there.
	ClientKey   connectors.Secret
	ClientKeyID string
	RedirectURI string // as declared, character for character
	LogoutURI   string // post_logout_redirect_uri, as declared
	Alg         string // of id_token and userinfo: "ES256" or "RS256"
	PKCE        bool   // refused by FranceConnect

	outbound.Settings
}

// Default gives FranceConnect's rules: ES256, no PKCE, the limits of FC-6.
func Default() Config {
	none := 0
	return Config{
		Alg: string(jose.ES256),
		Settings: outbound.Settings{
			Retries: &none, MaxBody: maxAnswer,
			Timeouts: outbound.Timeouts{Connect: 3 * time.Second, TLS: 3 * time.Second, FirstByte: callTimeout, Total: callTimeout},
		},
	}
}

// Validate gives every fault at once (errors.Join).
func (c Config) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	for _, one := range []struct{ name, text string }{
		{"issuer", c.Issuer}, {"redirect_uri", c.RedirectURI}, {"logout_uri", c.LogoutURI},
	} {
		u, err := url.Parse(one.text)
		switch {
		case err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "":
			fault("%s: not an absolute URL", one.name)
		case u.User != nil || u.RawQuery != "" || u.Fragment != "":
			fault("%s: only scheme, host and path", one.name)
		}
	}
	if c.ClientID == "" {
		fault("client_id: missing")
	}
	switch {
	case c.ClientKey.IsZero() && len(c.ClientSecrets) == 0:
		fault("client_secrets: missing")
	case !c.ClientKey.IsZero() && len(c.ClientSecrets) > 0:
		fault("client_key: a client proves itself with a key or with secrets, not with both")
	case len(c.ClientSecrets) > maxSecrets:
		fault("client_secrets: %d are given, %d at most", len(c.ClientSecrets), maxSecrets)
	}
	for i, secret := range c.ClientSecrets {
		if secret.IsZero() {
			fault("client_secrets[%d]: missing", i)
		}
	}
	if _, err := c.key(); err != nil {
		fault("client_key: %w", err)
	}
	if c.Alg != string(jose.ES256) && c.Alg != string(jose.RS256) {
		fault("alg: %q is neither ES256 nor RS256", c.Alg)
	}
	return errors.Join(append(faults, c.Settings.Validate())...)
}

// key reads ClientKey; the zero key when there is none.
func (c Config) key() (jose.PrivateKey, error) {
	if c.ClientKey.IsZero() {
		return jose.PrivateKey{}, nil
	}
	key, err := jose.ParsePrivatePEM([]byte(c.ClientKey.Reveal()), c.ClientKeyID)
	if err != nil {
		return jose.PrivateKey{}, err
	}
	if key.Alg() != jose.ES256 {
		return jose.PrivateKey{}, fmt.Errorf("it signs with %s, FranceConnect takes ES256", key.Alg())
	}
	return key, nil
}

// MAC is a keyed hash of the hub's. purpose keeps two uses of one key apart.
type MAC func(purpose, value string) []byte

// Open gives the provider. Nothing is called yet: a FranceConnect that is down
// stops no start (FC-1).
func (c Config) Open(deps connectors.Deps, mac MAC) (*Provider, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("franceconnect: %w", err)
	}
	key, err := c.key()
	if err != nil {
		return nil, fmt.Errorf("franceconnect: %w", err)
	}
	return &Provider{config: c, key: key, deps: deps, mac: mac}, nil
}

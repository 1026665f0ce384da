package franceconnecttest

import (
	"net/http"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

// Lives of franceconnect.md, 4.
const (
	CodeLife        = 30 * time.Second
	TokenLife       = 60 * time.Second
	InteractionLife = 30 * time.Minute
	SessionLife     = 30 * time.Minute
)

// Client is a fournisseur de services: one that logs citizens in.
type Client struct {
	ID                     string   `yaml:"client_id" json:"client_id"`
	Name                   string   `yaml:"name" json:"name"`
	Secrets                []string `yaml:"client_secrets" json:"client_secrets"` // all valid, while one replaces the other
	RedirectURIs           []string `yaml:"redirect_uris" json:"redirect_uris"`
	PostLogoutRedirectURIs []string `yaml:"post_logout_redirect_uris" json:"post_logout_redirect_uris"`
	Scopes                 []string `yaml:"scopes" json:"scopes"`         // granted in its habilitation; empty: all
	PublicJWK              string   `yaml:"public_jwk" json:"public_jwk"` // for private_key_jwt; "" for client_secret_post only
	Unsigned               bool     `yaml:"unsigned" json:"unsigned"`     // declared without userinfo signature: plain JSON
}

// DataProvider is a fournisseur de données: one that asks about tokens.
type DataProvider struct {
	ID            string   `yaml:"client_id" json:"client_id"`
	Secret        string   `yaml:"client_secret" json:"client_secret"`
	Scopes        []string `yaml:"scopes" json:"scopes"`                 // those it knows; empty: all
	EncryptionJWK string   `yaml:"encryption_jwk" json:"encryption_jwk"` // the answer is a JWE for it; "": the JWS alone
}

// Options set a FranceConnect. The zero value is one on a free port with the
// example set.
type Options struct {
	Addr string // "127.0.0.1:8091"; default a free port
	// Issuer is what the tokens say; default the listener's URL and /api/v2. One
	// of the real FranceConnect is refused.
	Issuer string
	// Seed is what it holds at the start and after a reset; default DefaultSeed.
	Seed *Seed

	Clock     *partnertest.Clock
	Latency   func(*http.Request) time.Duration
	KeepCalls int
	Run       partnertest.Run
}

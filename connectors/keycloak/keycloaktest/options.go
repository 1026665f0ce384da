package keycloaktest

import (
	"net/http"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/internal/jose"
)

// Version is what the server says of itself.
const Version = "26.3.0"

// The realm and the client with the role manage-clients, by default.
const (
	DefaultRealm       = "agents"
	DefaultAdminClient = "passerelle-hub"
	DefaultAdminSecret = "keycloak-simulator-admin-secret"
)

// Lives of access tokens, by default.
const (
	DefaultAdminTokenLifespan = time.Minute
	DefaultTokenLifespan      = 5 * time.Minute
)

// RotationPolicy is a realm's client policy whose profile holds the executor
// secret-rotation. Its periods are in whole seconds.
type RotationPolicy struct {
	Expiration time.Duration `yaml:"expiration"` // life of a secret; default 29 days
	Rotated    time.Duration `yaml:"rotated"`    // life of the secret before it; default 2 days
	Remaining  time.Duration `yaml:"remaining"`  // default 10 days
	// OnUpdate says that the policy's conditions hold for a PUT by the admin
	// client too. Without it, a PUT drops the rotated secret (api-managers.md, 3.6).
	OnUpdate bool `yaml:"on_update"`
}

func (p RotationPolicy) withDefaults() RotationPolicy {
	const day = 24 * time.Hour
	setDefault(&p.Expiration, 29*day)
	setDefault(&p.Rotated, 2*day)
	setDefault(&p.Remaining, 10*day)
	return p
}

// DemoScopes are the client scopes that the realm has besides its own.
func DemoScopes() []string { return []string{"dgfip", "cnaf"} }

// Options of the simulator. The zero value is the realm "agents" of a Keycloak 26
// on free loopback ports, without rotation policy.
type Options struct {
	Addr           string `yaml:"-"` // "127.0.0.1:8080"; default a free port
	ManagementAddr string `yaml:"-"` // "127.0.0.1:9000"; default a free port

	Realm       string `yaml:"realm"`        // default DefaultRealm
	AdminClient string `yaml:"admin_client"` // default DefaultAdminClient
	AdminSecret string `yaml:"admin_secret"` // default DefaultAdminSecret
	// Scopes are client scopes of the realm, optional for its clients; nil means DemoScopes.
	Scopes []string `yaml:"scopes"`
	// Rotation is the policy; nil: a new secret ends the old one at once.
	Rotation *RotationPolicy `yaml:"rotation"`

	AdminTokenLifespan time.Duration `yaml:"admin_token_lifespan"` // default DefaultAdminTokenLifespan
	TokenLifespan      time.Duration `yaml:"token_lifespan"`       // default DefaultTokenLifespan
	// SigningKey signs tokens; default one RSA key per process. Another than RS256 panics.
	SigningKey jose.PrivateKey `yaml:"-"`
	// HealthDisabled is a server built without health-enabled: /health is 404.
	HealthDisabled bool `yaml:"health_disabled"`
	// PropagationDelay is how long the token endpoint ignores a change of a
	// client; a real cluster invalidates its caches.
	PropagationDelay time.Duration `yaml:"propagation_delay"`
	// NewID makes the ids of new clients; default random UUIDs.
	NewID func() string `yaml:"-"`
	// NewSecret makes the secrets of the server's own; default 32 random characters.
	NewSecret func() string `yaml:"-"`

	// Faults are in place at the start and after each reset.
	Faults []partnertest.Fault `yaml:"faults"`

	Clock     *partnertest.Clock                `yaml:"-"`
	Latency   func(*http.Request) time.Duration `yaml:"-"`
	KeepCalls int                               `yaml:"-"`
	Run       partnertest.Run                   `yaml:"-"`
}

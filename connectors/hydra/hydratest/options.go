package hydratest

import (
	"net/http"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/internal/jose"
)

// Version is a release of Hydra.
type Version string

const (
	// Version230 is 2.3.0: a new secret kills the old one at once, and the path of
	// rotations does not exist.
	Version230 Version = "v2.3.0"
	// VersionRotating is a release after v26.2.0, such as the main branch of July
	// 2026: rotations keep five old secrets, lists go by a key, not by an offset.
	VersionRotating Version = "v26.3.0"
)

// Access token strategies.
const (
	StrategyJWT    = "jwt"
	StrategyOpaque = "opaque"
)

// DefaultTokenLifespan is the life of an access token, unless its client says otherwise.
const DefaultTokenLifespan = time.Hour

// Options of the simulator. The zero value is a 2.3.0 on free loopback ports.
type Options struct {
	AdminAddr  string `yaml:"-"` // "127.0.0.1:4445"; default a free port
	PublicAddr string `yaml:"-"` // "127.0.0.1:4444"; default a free port

	Version Version `yaml:"version"` // default Version230
	// Strategy is strategies.access_token: what a client without a strategy of its
	// own gets. Default opaque.
	Strategy string `yaml:"strategy"`
	// Issuer is urls.self.issuer; default the public URL with a slash.
	Issuer string `yaml:"issuer"`
	// SigningKey signs tokens; default one RSA key per process. Another than RS256 panics.
	SigningKey jose.PrivateKey `yaml:"-"`
	// PropagationDelay is how long the public side ignores a change of a client; a
	// real one reads the same database.
	PropagationDelay time.Duration `yaml:"propagation_delay"`
	// NewID makes the ids of clients that bring none and of tokens; default random UUIDs.
	NewID func() string `yaml:"-"`

	// Faults are in place at the start and after each reset.
	Faults []partnertest.Fault `yaml:"faults"`

	Clock     *partnertest.Clock                `yaml:"-"`
	Latency   func(*http.Request) time.Duration `yaml:"-"`
	KeepCalls int                               `yaml:"-"`
	Run       partnertest.Run                   `yaml:"-"`
}

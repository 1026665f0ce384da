package keycloaktest

import (
	"crypto/rand"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/internal/jose"
)

// Sides of the simulator, in routes and in the log of calls. The admin API and
// the realm's own endpoints share a listener.
const (
	SideServer     = "admin"
	SideManagement = "management"
)

// Server is a running simulator. The embedded partnertest.Server gives faults,
// hooks, clock, calls and leaks.
type Server struct {
	*partnertest.Server
	opts               Options
	url, managementURL string

	mu sync.Mutex
	store
	scopes   []scope
	policy   *RotationPolicy
	tokens   map[string]*token
	public   map[string]*client // by clientId: what the token endpoint knows
	toPublic partnertest.Propagation
	dbDown   bool
}

// processKey is drawn once: an RSA key costs a tenth of a second.
var processKey = sync.OnceValue(func() jose.PrivateKey {
	key, err := jose.GenerateKey(jose.RS256)
	if err != nil {
		panic(err) // the system's generator never fails
	}
	return key
})

// New starts a simulator and panics when it cannot listen, as httptest does.
func New(opts Options) *Server {
	s, err := Start(opts)
	if err != nil {
		panic(err)
	}
	return s
}

// Start starts a simulator on its two listeners. Close stops it.
func Start(opts Options) (*Server, error) {
	setDefault(&opts.Realm, DefaultRealm)
	setDefault(&opts.AdminClient, DefaultAdminClient)
	setDefault(&opts.AdminSecret, DefaultAdminSecret)
	setDefault(&opts.AdminTokenLifespan, DefaultAdminTokenLifespan)
	setDefault(&opts.TokenLifespan, DefaultTokenLifespan)
	if opts.Scopes == nil {
		opts.Scopes = DemoScopes()
	}
	if opts.SigningKey.IsZero() {
		opts.SigningKey = processKey()
	}
	if opts.SigningKey.Alg() != jose.RS256 {
		panic("keycloaktest: tokens are signed with RS256")
	}
	if err := opts.check(); err != nil {
		return nil, err
	}
	s := &Server{opts: opts}
	s.Server = partnertest.New(partnertest.Options{
		Name: "keycloak", Dated: true, Clock: opts.Clock, Latency: opts.Latency, KeepCalls: opts.KeepCalls, Faults: opts.Faults, Run: opts.Run,
		State: func() any { return s.Snapshot() }, Reset: s.reset,
	})
	s.reset()
	for _, side := range []struct {
		name, addr string
		handler    http.Handler
		url        *string
	}{
		{SideServer, opts.Addr, s.main(), &s.url},
		{SideManagement, opts.ManagementAddr, s.management(), &s.managementURL},
	} {
		url, err := s.Listen(side.name, side.addr, side.handler)
		if err != nil {
			_ = s.Close()
			return nil, err
		}
		*side.url = url
	}
	return s, nil
}

// builtIn are clients that every realm has.
var builtIn = []string{"account", "account-console", "admin-cli", "broker", "realm-management", "security-admin-console"}

// reset brings everything back to the options.
func (s *Server) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.store = newStore()
	s.tokens = map[string]*token{}
	s.public = map[string]*client{}
	s.toPublic = partnertest.Propagation{} // the seed is known at once
	s.dbDown = false
	s.scopes = realmScopes(s.opts.Scopes)
	s.policy = nil
	if s.opts.Rotation != nil {
		policy := s.opts.Rotation.withDefaults()
		s.policy = &policy
	}
	for _, clientID := range builtIn {
		s.seed(&client{ClientID: clientID, PublicClient: true})
	}
	s.seed(&client{ClientID: s.opts.AdminClient, Secret: s.opts.AdminSecret, ServiceAccountsEnabled: true, admin: true})
	s.toPublic.Delay = s.opts.PropagationDelay
}

func (s *Server) seed(c *client) {
	c.ID = uuid.NewSHA1(uuid.NameSpaceURL, []byte("keycloak:"+s.opts.Realm+":"+c.ClientID)).String()
	c.Enabled, c.Protocol, c.seeded = true, "openid-connect", true
	c.Attributes = map[string]string{}
	s.add(c)
	s.RegisterSecret(c.Secret)
	s.publish(c.ClientID, c)
}

// URL is the base of the server, without path.
func (s *Server) URL() string { return s.url }

// AdminURL is the base of the realm's admin API: clients are below it, at /clients.
func (s *Server) AdminURL() string { return s.url + "/admin/realms/" + s.opts.Realm }

// Issuer is the realm's issuer: its endpoints are below it.
func (s *Server) Issuer() string { return s.url + "/realms/" + s.opts.Realm }

// TokenURL is the realm's token endpoint.
func (s *Server) TokenURL() string { return s.Issuer() + "/protocol/openid-connect/token" }

// ManagementURL is the base of the management interface (GET /health/ready).
func (s *Server) ManagementURL() string { return s.managementURL }

func (s *Server) newID() string {
	if s.opts.NewID != nil {
		return s.opts.NewID()
	}
	return uuid.NewString()
}

// generateSecret gives the client a secret of the server's own.
func (s *Server) generateSecret(c *client) {
	c.Secret = rand.Text() + rand.Text()[:6]
	if s.opts.NewSecret != nil {
		c.Secret = s.opts.NewSecret()
	}
	c.setSeconds(attrSecretCreated, s.Now())
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// seconds of a period, as attributes and configurations count.
func seconds(d time.Duration) int64 { return int64(d / time.Second) }

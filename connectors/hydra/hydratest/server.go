package hydratest

import (
	"net/http"
	"sync"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/internal/jose"
)

// Sides of the simulator, in routes and in the log of calls.
const (
	SideAdmin  = "admin"
	SidePublic = "public"
)

// Server is a running simulator. The embedded partnertest.Server gives faults,
// hooks, clock, calls and leaks.
type Server struct {
	*partnertest.Server
	opts                Options
	adminURL, publicURL string

	mu sync.Mutex
	store
	keys     []jose.PrivateKey // the first one signs
	version  Version
	public   map[string]publicClient // by id: what the public side knows
	toPublic partnertest.Propagation
	dbDown   bool
}

// processKey is drawn once: an RSA key costs a tenth of a second.
var processKey = sync.OnceValue(newSigningKey)

func newSigningKey() jose.PrivateKey {
	key, err := jose.GenerateKey(jose.RS256)
	if err != nil {
		panic(err) // the system's generator never fails
	}
	return key
}

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
	if opts.Version == "" {
		opts.Version = Version230
	}
	if opts.Strategy == "" {
		opts.Strategy = StrategyOpaque
	}
	if opts.SigningKey.IsZero() {
		opts.SigningKey = processKey()
	}
	if opts.SigningKey.Alg() != jose.RS256 {
		panic("hydratest: tokens are signed with RS256")
	}
	if err := opts.check(); err != nil {
		return nil, err
	}
	s := &Server{opts: opts}
	s.Server = partnertest.New(partnertest.Options{
		Name: "hydra", Dated: true, Clock: opts.Clock, Latency: opts.Latency, KeepCalls: opts.KeepCalls, Faults: opts.Faults, Run: opts.Run,
		State: func() any { return s.Snapshot() }, Reset: s.reset,
	})
	s.reset()
	for _, side := range []struct {
		name, addr string
		handler    http.Handler
		url        *string
	}{
		{SideAdmin, opts.AdminAddr, s.adminSide(), &s.adminURL},
		{SidePublic, opts.PublicAddr, s.publicSide(), &s.publicURL},
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

// reset brings everything back to the options.
func (s *Server) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.store = newStore()
	s.keys = []jose.PrivateKey{s.opts.SigningKey}
	s.version = s.opts.Version
	s.public = map[string]publicClient{}
	s.toPublic = partnertest.Propagation{Delay: s.opts.PropagationDelay}
	s.dbDown = false
}

// AdminURL is the base of the admin API: clients are below it, at /admin/clients.
func (s *Server) AdminURL() string { return s.adminURL }

// PublicURL is the base of the public API.
func (s *Server) PublicURL() string { return s.publicURL }

// Issuer is the `iss` of tokens.
func (s *Server) Issuer() string {
	if s.opts.Issuer != "" {
		return s.opts.Issuer
	}
	return s.publicURL + "/"
}

func (s *Server) newID() string {
	if s.opts.NewID != nil {
		return s.opts.NewID()
	}
	return uuid.NewString()
}

package kongtest

import (
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

// Sides of the simulator, in routes and in the log of calls.
const (
	SideAdmin  = "admin"
	SideProxy  = "proxy"
	SideStatus = "status"
)

// Server is a running simulator. The embedded partnertest.Server gives faults,
// hooks, clock, calls and leaks.
type Server struct {
	*partnertest.Server
	opts                          Options
	adminURL, proxyURL, statusURL string
	nodeID                        string

	mu         sync.Mutex
	tables     map[*schema]*table
	routes     []Route
	gateway    gateway
	toGateway  partnertest.Propagation
	adminToken string
	dbDown     bool
	draining   bool
	requests   int // of the admin API, for GET /status
}

// New starts a simulator and panics when it cannot listen, as httptest does.
func New(opts Options) *Server {
	s, err := Start(opts)
	if err != nil {
		panic(err)
	}
	return s
}

// Start starts a simulator on its three listeners. Close stops it.
func Start(opts Options) (*Server, error) {
	if opts.Routes == nil {
		opts.Routes = DemoRoutes()
	}
	if err := opts.check(); err != nil {
		return nil, err
	}
	s := &Server{opts: opts, nodeID: uuid.NewString()}
	s.Server = partnertest.New(partnertest.Options{
		Name: "kong", Dated: true, Clock: opts.Clock, Latency: opts.Latency, KeepCalls: opts.KeepCalls, Faults: opts.Faults, Run: opts.Run,
		State: func() any { return s.Snapshot() }, Reset: s.reset,
	})
	s.reset()
	for _, side := range []struct {
		name, addr string
		handler    http.Handler
		url        *string
	}{
		{SideAdmin, opts.AdminAddr, s.admin(), &s.adminURL},
		{SideProxy, opts.ProxyAddr, s.proxy(), &s.proxyURL},
		{SideStatus, opts.StatusAddr, s.status(), &s.statusURL},
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
	s.tables = map[*schema]*table{}
	for _, of := range schemas {
		s.tables[of] = newTable(of)
	}
	s.routes = slices.Clone(s.opts.Routes)
	s.gateway = newGateway()
	s.toGateway = partnertest.Propagation{Delay: s.opts.PropagationDelay}
	s.adminToken, s.dbDown, s.draining, s.requests = s.opts.AdminToken, false, false, 0
	s.RegisterSecret(s.adminToken)
}

// AdminURL is the base of the admin API.
func (s *Server) AdminURL() string { return s.adminURL }

// ProxyURL is the base of the proxy, without route.
func (s *Server) ProxyURL() string { return s.proxyURL }

// StatusURL is the base of the status API (GET /status/ready).
func (s *Server) StatusURL() string { return s.statusURL }

// now is the clock in milliseconds, the precision of the real server.
func (s *Server) now() time.Time { return s.Now().Truncate(time.Millisecond) }

func (s *Server) newID() string {
	if s.opts.NewID != nil {
		return s.opts.NewID()
	}
	return uuid.NewString()
}

package graviteetest

import (
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

// Sides of the simulator, in routes and in the log of calls.
const (
	SideManagement = "management"
	SideGateway    = "gateway"
	SideTechnical  = "technical"
)

// Server is a running simulator. The embedded partnertest.Server gives faults,
// hooks, clock, calls and leaks.
type Server struct {
	*partnertest.Server
	opts                                    Options
	managementURL, gatewayURL, technicalURL string

	mu sync.Mutex
	state
	token            string
	customKeys       bool
	unhealthy        bool
	propagationDelay time.Duration
	unpublished      map[*Key]struct{} // keys changed by the call under way
}

// state is what POST /_admin/reset brings back to the seed.
type state struct {
	apis     map[string]*API
	apiOrder []*API
	plans    map[string]*Plan

	applications     map[string]*Application
	applicationOrder []*Application

	subscriptions              map[string]*Subscription
	subscriptionOrder          []*Subscription
	subscriptionsByApplication map[string][]*Subscription
	subscriptionsByHRID        map[string]*Subscription // "<API as named in the path>/<hrid>"

	keys               map[string]*Key
	keyOrder           []*Key
	keysByValue        map[string][]*Key
	keysBySubscription map[string][]*Key

	dictionaries    map[string]*Dictionary
	dictionaryOrder []*Dictionary
}

func newState() state {
	return state{
		apis: map[string]*API{}, plans: map[string]*Plan{}, applications: map[string]*Application{},
		subscriptions: map[string]*Subscription{}, subscriptionsByApplication: map[string][]*Subscription{},
		subscriptionsByHRID: map[string]*Subscription{},
		keys:                map[string]*Key{}, keysByValue: map[string][]*Key{}, keysBySubscription: map[string][]*Key{},
		dictionaries: map[string]*Dictionary{},
	}
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
	setDefault(&opts.Organization, "DEFAULT")
	setDefault(&opts.Environment, "DEFAULT")
	setDefault(&opts.Token, DefaultToken)
	setDefault(&opts.User, DefaultUser)
	setDefault(&opts.Password, DefaultPassword)
	if opts.APIs == nil {
		opts.APIs = DemoAPIs()
	}
	if err := opts.check(); err != nil {
		return nil, err
	}
	s := &Server{opts: opts, unpublished: map[*Key]struct{}{}}
	s.Server = partnertest.New(partnertest.Options{
		Name: "gravitee", Dated: true, Clock: opts.Clock, Latency: opts.Latency, KeepCalls: opts.KeepCalls, Faults: opts.Faults, Run: opts.Run,
		State: func() any { return s.Snapshot() }, Reset: s.reset,
	})
	s.reset()
	for _, side := range []struct {
		name, addr string
		handler    http.Handler
		url        *string
	}{
		{SideManagement, opts.ManagementAddr, s.management(), &s.managementURL},
		{SideGateway, opts.GatewayAddr, s.gateway(), &s.gatewayURL},
		{SideTechnical, opts.TechnicalAddr, s.technical(), &s.technicalURL},
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
	s.state = newState()
	s.token, s.customKeys, s.unhealthy = s.opts.Token, !s.opts.CustomKeysRefused, false
	s.propagationDelay = s.opts.PropagationDelay
	s.RegisterSecret(s.opts.Token, s.opts.Password)
	for _, api := range s.opts.APIs {
		s.addAPI(api)
	}
}

func (s *Server) addAPI(api API) {
	setDefault(&api.Name, api.ID)
	if api.HRID != "" {
		setDefault(&api.ContextPath, "/"+api.HRID)
	}
	setDefault(&api.ContextPath, "/"+api.ID)
	stored := &api
	s.apis[api.ID] = stored
	s.apiOrder = append(s.apiOrder, stored)
	for _, plan := range api.Plans {
		setDefault(&plan.Name, plan.ID)
		setDefault(&plan.Status, "PUBLISHED")
		setDefault(&plan.Validation, ValidationManual)
		setDefault(&plan.Security, SecurityAPIKey)
		plan.API = api.ID
		s.plans[plan.ID] = &plan
	}
	stored.Plans = nil // the index holds them
}

// ManagementURL is the base of the management and Automation APIs, without path.
func (s *Server) ManagementURL() string { return s.managementURL }

// GatewayURL is the base of the gateway, without context path.
func (s *Server) GatewayURL() string { return s.gatewayURL }

// TechnicalURL is the base of the technical API (GET /_node/health).
func (s *Server) TechnicalURL() string { return s.technicalURL }

// Token is the personal access token that is accepted now.
func (s *Server) Token() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.token
}

// User and Password are the Basic credentials.
func (s *Server) User() string     { return s.opts.User }
func (s *Server) Password() string { return s.opts.Password }

// now is the clock in milliseconds, the precision of the real server.
func (s *Server) now() time.Time { return s.Now().Truncate(time.Millisecond) }

func (s *Server) newID() string {
	if s.opts.NewID != nil {
		return s.opts.NewID()
	}
	return uuid.NewString()
}

func setDefault(field *string, value string) {
	if *field == "" {
		*field = value
	}
}

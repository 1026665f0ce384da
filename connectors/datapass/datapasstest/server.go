package datapasstest

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

// Environment is what X-App-Environment says.
type Environment string

// DataPass's three environments.
const (
	Production Environment = "production"
	Staging    Environment = "staging"
	Sandbox    Environment = "sandbox"
)

// ErrNotFound is the cause of an error about an id that DataPass does not hold.
var ErrNotFound = errors.New("datapasstest: not found")

// Options set a DataPass. All are optional.
type Options struct {
	// Clock gives every date; default: one of its own, running.
	Clock *partnertest.Clock
	// Environment is sent with every webhook; default sandbox.
	Environment Environment
	// Timeout bounds opening a connection to a receiver and reading its answer,
	// each; default 60 s, as DataPass.
	Timeout time.Duration
	// Transport sends the webhooks; default: one of its own that trusts the system.
	Transport http.RoundTripper
	Run       partnertest.Run
}

// Server is a DataPass: requests, habilitations, subscriptions, applications.
// The embedded base has its faults, clock and log of calls, for API v1. Its
// methods may be called from any goroutine.
type Server struct {
	*partnertest.Server

	client *http.Client

	mu            sync.Mutex
	seed          *Seed // what a reset brings back; nil: nothing
	url           string
	environment   Environment
	held          bool
	ids           ids
	requests      map[int64]*Request
	order         []int64 // requests by creation
	users         map[string]int64
	organizations map[string]int64
	subscriptions map[int64]*Subscription
	deliveries    []*Delivery
	attempts      []*Attempt
	applications  map[string]Application
	tokens        map[string]*accessToken
}

// ids are DataPass's sequences.
type ids struct {
	request, habilitation, event, user, organization, subscription, delivery, attempt int64
}

// firstIDs are beyond those of the samples of datapass.md.
var firstIDs = ids{
	request: 60_000, habilitation: 70_000, event: 900_000, user: 80_000,
	organization: 10_000, subscription: 40, attempt: 300_000,
}

// New gives a DataPass that does not listen yet: webhooks leave all the same.
func New(opts Options) *Server {
	s := &Server{environment: opts.Environment}
	if s.environment == "" {
		s.environment = Sandbox
	}
	timeout := opts.Timeout
	if timeout <= 0 {
		timeout = 60 * time.Second
	}
	transport := opts.Transport
	if transport == nil {
		transport = newTransport(timeout)
	}
	s.client = &http.Client{
		Transport: transport,
		Timeout:   2 * timeout,
		// Redirects are not followed: a 3xx is a failure.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	s.Server = partnertest.New(partnertest.Options{
		Name: "datapass", Clock: opts.Clock, State: s.state, Reset: s.reset, Control: s.control(), Run: opts.Run,
	})
	s.empty()
	return s
}

// Start serves API v1 on a loopback address and gives the base URL of the site;
// API v1 is below it, at /api/v1.
func (s *Server) Start(addr string) (string, error) {
	at, err := s.Listen("api", addr, s.api())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.url = at
	return at, err
}

// Close stops the API and the connections to receivers.
func (s *Server) Close() error {
	s.client.CloseIdleConnections()
	return s.Server.Close()
}

// reset brings everything back to the seed, which Fill has found good.
func (s *Server) reset() {
	s.empty()
	s.mu.Lock()
	seed := s.seed
	s.mu.Unlock()
	if seed == nil {
		return
	}
	if err := s.Fill(*seed); err != nil {
		panic(err)
	}
}

// empty forgets everything that DataPass holds.
func (s *Server) empty() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = false
	s.ids = firstIDs
	s.requests, s.order = map[int64]*Request{}, nil
	s.users, s.organizations = map[string]int64{}, map[string]int64{}
	s.subscriptions = map[int64]*Subscription{}
	s.deliveries, s.attempts = nil, nil
	s.applications, s.tokens = map[string]Application{}, map[string]*accessToken{}
}

// Request gives one request.
func (s *Server) Request(id int64) (Request, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.request(id)
	if err != nil {
		return Request{}, err
	}
	return r.clone(), nil
}

// Requests gives all requests, by creation.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Request, len(s.order))
	for i, id := range s.order {
		out[i] = s.requests[id].clone()
	}
	return out
}

// request needs the lock.
func (s *Server) request(id int64) (*Request, error) {
	r, ok := s.requests[id]
	if !ok {
		return nil, fmt.Errorf("request %d: %w", id, ErrNotFound)
	}
	return r, nil
}

// habilitation needs the lock.
func (s *Server) habilitation(id int64) (*Request, *Habilitation, error) {
	for _, r := range s.requests {
		if h := r.latest(func(h *Habilitation) bool { return h.ID == id }); h != nil {
			return r, h, nil
		}
	}
	return nil, nil, fmt.Errorf("habilitation %d: %w", id, ErrNotFound)
}

// identify gives the person and the organisation their ids: one for each e-mail
// and SIRET. It needs the lock.
func (s *Server) identify(a *Applicant, o *Organization) {
	if a != nil {
		a.ID = known(s.users, a.Email, a.ID, &s.ids.user)
	}
	if o != nil {
		key := o.SIRET
		if key == "" {
			key = "foreign:" + o.Name
		}
		o.ID = known(s.organizations, key, o.ID, &s.ids.organization)
	}
}

func known(table map[string]int64, key string, wanted int64, sequence *int64) int64 {
	if wanted == 0 {
		wanted = table[key]
	}
	if wanted == 0 {
		*sequence++
		wanted = *sequence
	}
	table[key] = wanted
	return wanted
}

package partnertest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// Options are the parts a simulator gives to its base. All are optional.
type Options struct {
	// Name is the partner's, in errors: "gravitee".
	Name string
	// Clock is shared with another simulator; default: one of its own, running.
	Clock *Clock
	// Dated answers carry the Date of Clock; the others that of the machine, as for
	// a partner whose clock only tells when its data came to be.
	Dated bool
	// Latency holds every call before the work, in real time.
	Latency func(*http.Request) time.Duration
	// State gives what GET /_admin/state shows, as JSON.
	State func() any
	// Reset brings the simulator back to its seed, for POST /_admin/reset.
	Reset func()
	// Control serves the simulator's own paths under /_admin/, such as an
	// activation that a person at the partner would do.
	Control http.Handler
	// SecretsInURL are the routes where a secret in the URL cannot be avoided.
	SecretsInURL []Route
	// KeepCalls bounds the log of calls; default DefaultKeptCalls.
	KeepCalls int
	// Faults are in place at the start and after each reset.
	Faults []Fault
	// Run is what a process of its own asks for.
	Run Run
}

// Run is how a simulator runs that is a process of its own.
type Run struct {
	// Remote lets it listen beyond loopback.
	Remote bool
	// Log sees each call once it is over. It may be called from any goroutine.
	Log func(Call)
}

// Server is the base of one simulator: one clock, one set of faults and one log
// of calls for all its listeners. Its methods may be called from any goroutine.
type Server struct {
	opts   Options
	clock  *Clock
	faults faults
	log    callLog
	hooks  hooks

	mu       sync.Mutex
	latency  func(*http.Request) time.Duration
	closed   bool
	running  []*http.Server
	serving  sync.WaitGroup
	stopping context.Context
	stop     context.CancelFunc
}

// New gives a base that does not listen yet.
func New(opts Options) *Server {
	s := &Server{opts: opts, clock: opts.Clock, latency: opts.Latency}
	if s.clock == nil {
		s.clock = NewClock()
	}
	s.log.keep = opts.KeepCalls
	if s.log.keep <= 0 {
		s.log.keep = DefaultKeptCalls
	}
	s.log.secrets.declared = append(s.log.secrets.declared, opts.SecretsInURL...)
	s.stopping, s.stop = context.WithCancel(context.Background())
	s.Inject(opts.Faults...)
	return s
}

// Listen serves h on addr and gives the URL ("http://127.0.0.1:41234"). The
// address must be a loopback one unless Run.Remote; "" and ":0" take a free port
// of 127.0.0.1. side names the listener in the log of calls and in routes.
func (s *Server) Listen(side, addr string, h http.Handler) (string, error) {
	addr, err := s.opts.Run.Address(addr)
	if err != nil {
		return "", fmt.Errorf("partnertest: %s: %w", s.opts.Name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return "", fmt.Errorf("partnertest: %s: closed", s.opts.Name)
	}
	listener, err := new(net.ListenConfig).Listen(s.stopping, "tcp", addr)
	if err != nil {
		return "", fmt.Errorf("partnertest: %s: %w", s.opts.Name, err)
	}
	server := &http.Server{
		Handler:           s.Wrap(side, h),
		BaseContext:       func(net.Listener) context.Context { return s.stopping },
		ReadHeaderTimeout: 10 * time.Second,
	}
	s.running = append(s.running, server)
	s.serving.Go(func() {
		// Serve returns ErrServerClosed after Close; a listener that fails
		// otherwise shows as refused connections, which is what a test sees.
		_ = server.Serve(listener)
	})
	return "http://" + listener.Addr().String(), nil
}

// Close stops every listener, ends calls that hang and closes connections.
func (s *Server) Close() error {
	s.stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	var errs []error
	for _, server := range s.running {
		errs = append(errs, server.Close())
	}
	s.running = nil
	s.serving.Wait() // a listener that Serve had not reached yet is closed by it
	return errors.Join(errs...)
}

// Clock is the partner's clock.
func (s *Server) Clock() *Clock { return s.clock }

// Now is the partner's time.
func (s *Server) Now() time.Time { return s.clock.Now() }

// Advance moves the partner's clock.
func (s *Server) Advance(d time.Duration) time.Time { return s.clock.Advance(d) }

// SetLatency changes the latency of the calls to come; nil removes it.
func (s *Server) SetLatency(latency func(*http.Request) time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latency = latency
}

// FixedLatency is the same latency for every call.
func FixedLatency(d time.Duration) func(*http.Request) time.Duration {
	return func(*http.Request) time.Duration { return d }
}

// Inject puts faults in place and gives the id of the first one. A fault that
// is not valid panics: it is a mistake in the test that wrote it.
func (s *Server) Inject(list ...Fault) int {
	for _, fault := range list {
		if err := fault.Valid(); err != nil {
			panic(err)
		}
	}
	first := 0
	for i, fault := range list {
		if id := s.faults.add(fault); i == 0 {
			first = id
		}
	}
	return first
}

// ClearFaults removes the given faults, or all of them.
func (s *Server) ClearFaults(ids ...int) { s.faults.clear(ids...) }

// Faults lists the faults in place, struck out ones included.
func (s *Server) Faults() []FaultState { return s.faults.list() }

// Calls lists the calls that the route picks, oldest first; "" picks all.
func (s *Server) Calls(route Route) []Call { return s.log.list(route) }

// Count counts the calls that the route picks.
func (s *Server) Count(route Route) int { return s.log.count(route) }

// CountPerRoute counts the calls per "METHOD pattern of the router".
func (s *Server) CountPerRoute() map[string]int { return s.log.counts() }

// RegisterSecret makes the values be looked for in URLs and redacted in the log
// of calls, those already received included.
func (s *Server) RegisterSecret(values ...string) { s.log.register(values) }

// DeclareSecretInURL says that a secret in the URL of this route cannot be avoided.
func (s *Server) DeclareSecretInURL(route Route) { s.log.declare(route) }

// Leaks lists the registered secrets that were seen in a URL outside the declared routes.
func (s *Server) Leaks() []Leak { return s.log.allLeaks() }

// Reset forgets calls, leaks, faults and hooks, and brings the simulator back to
// its seed. The clock goes on: it may be shared.
func (s *Server) Reset() {
	s.faults.clear()
	s.hooks.clear()
	s.log.reset()
	if s.opts.Reset != nil {
		s.opts.Reset()
	}
	s.Inject(s.opts.Faults...)
}

// Address gives where to listen: "" and a missing host are 127.0.0.1. An address
// that is not a loopback one is an error unless Remote; one that means every
// interface always is, since the URLs that a simulator publishes name its host.
func (r Run) Address(addr string) (string, error) {
	if addr == "" {
		addr = ":0"
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", err
	}
	switch host {
	case "", "localhost":
		host = "127.0.0.1"
	default:
		ip := net.ParseIP(host)
		switch {
		case ip != nil && ip.IsUnspecified():
			return "", fmt.Errorf("%s means every interface: name the one that clients call", addr)
		case !r.Remote && (ip == nil || !ip.IsLoopback()):
			return "", fmt.Errorf("%s is not a loopback address", addr)
		}
	}
	return net.JoinHostPort(host, port), nil
}

package mailtest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

// Security is how the relay's connections are protected.
type Security string

// The ways to protect a connection.
const (
	NoTLS       Security = ""
	StartTLS    Security = "starttls" // offered, and required before any mail
	ImplicitTLS Security = "tls"
)

// DefaultMaxSize bounds a mail, in bytes.
const DefaultMaxSize = 10 << 20

// Options set a relay. All are optional.
type Options struct {
	// Clock dates what arrives; default: one of its own, running.
	Clock *partnertest.Clock
	// Hostname is the relay's name in its greeting and its reports.
	Hostname string
	// Username and Password, when set, must be given (AUTH PLAIN or LOGIN).
	Username, Password string
	Security           Security
	// MaxSize bounds a mail, in bytes; default DefaultMaxSize.
	MaxSize int64
	// BounceURL and BounceSecret are where and under which key the reports of
	// bounces are posted (Server.BounceFor).
	BounceURL, BounceSecret string
	// Faults and Bounces are in place at the start and after each reset.
	Faults  []Fault
	Bounces []BounceRule
	// WebFaults are those of the mailbox's pages.
	WebFaults []partnertest.Fault
	Run       partnertest.Run
}

// Server is the relay and its mailbox. Its methods may be called from any goroutine.
type Server struct {
	opts        Options
	web         *partnertest.Server
	certificate *certificate
	client      *http.Client
	stopping    context.Context
	stop        context.CancelFunc
	running     sync.WaitGroup // listeners, sessions and reports

	mu        sync.Mutex
	closed    bool
	listeners []net.Listener
	conns     map[net.Conn]struct{}
	arrived   chan struct{} // closed and replaced when a mail is kept
	seq       int
	messages  []Message
	sessions  int
	faults    []*faultSlot
	hooks     map[int]func(Message)
	hookSeq   int
	rules     []BounceRule
	bounces   []Bounce
	pending   int // reports under way
}

// New gives a relay that does not listen yet.
func New(opts Options) (*Server, error) {
	if opts.Hostname == "" {
		opts.Hostname = "relais.passerelle.example"
	}
	if opts.MaxSize <= 0 {
		opts.MaxSize = DefaultMaxSize
	}
	s := &Server{
		opts: opts, conns: map[net.Conn]struct{}{}, arrived: make(chan struct{}), hooks: map[int]func(Message){},
		client: &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 8}},
	}
	if opts.Security != NoTLS {
		var err error
		if s.certificate, err = newCertificate(); err != nil {
			return nil, fmt.Errorf("mailtest: %w", err)
		}
	}
	s.stopping, s.stop = context.WithCancel(context.Background())
	s.web = partnertest.New(partnertest.Options{
		Name: "mail", Clock: opts.Clock, State: s.state, Reset: s.Reset, Control: s.control(), Faults: opts.WebFaults, Run: opts.Run,
	})
	s.Reset()
	return s, nil
}

// StartSMTP listens on a loopback address ("" takes a free port) and gives
// "127.0.0.1:41234".
func (s *Server) StartSMTP(addr string) (string, error) {
	addr, err := s.opts.Run.Address(addr)
	if err != nil {
		return "", fmt.Errorf("mailtest: %w", err)
	}
	listener, err := new(net.ListenConfig).Listen(s.stopping, "tcp", addr)
	if err != nil {
		return "", fmt.Errorf("mailtest: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return "", errors.Join(errors.New("mailtest: closed"), listener.Close())
	}
	s.listeners = append(s.listeners, listener)
	s.running.Go(func() { s.accept(listener) })
	return listener.Addr().String(), nil
}

// StartWeb serves the mailbox on a loopback address and gives its URL.
func (s *Server) StartWeb(addr string) (string, error) {
	return s.web.Listen("web", addr, s.pages())
}

// Web is the base of the web page: faults, latency and log of its calls.
func (s *Server) Web() *partnertest.Server { return s.web }

// RootCAs trusts the relay's certificate; nil without TLS.
func (s *Server) RootCAs() *x509.CertPool {
	if s.certificate == nil {
		return nil
	}
	return s.certificate.roots
}

// CertificatePEM is the relay's certificate, for clients of another process.
func (s *Server) CertificatePEM() []byte {
	if s.certificate == nil {
		return nil
	}
	return s.certificate.pem
}

// Close ends listeners and sessions, hung ones included, and waits for them.
func (s *Server) Close() error {
	s.stop()
	s.mu.Lock()
	s.closed = true
	var errs []error
	for _, listener := range s.listeners {
		errs = append(errs, listener.Close())
	}
	for conn := range s.conns {
		_ = conn.Close() // a session that ends by itself may have closed it
	}
	s.listeners = nil
	s.mu.Unlock()
	s.running.Wait()
	s.client.CloseIdleConnections()
	return errors.Join(append(errs, s.web.Close())...)
}

// Reset forgets mails, hooks and bounces; of faults and rules those of the
// options are left.
func (s *Server) Reset() {
	s.mu.Lock()
	s.seq, s.messages, s.faults, s.rules, s.bounces = 0, nil, nil, nil, nil
	s.hooks = map[int]func(Message){}
	s.mu.Unlock()
	s.Fail(s.opts.Faults...)
	s.BounceFor(s.opts.Bounces...)
}

func (s *Server) accept(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return // closed: whoever connects later is refused
		}
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			_ = conn.Close()
			return
		}
		s.conns[conn] = struct{}{}
		s.sessions++
		s.mu.Unlock()
		s.running.Go(func() {
			defer func() {
				_ = conn.Close()
				s.mu.Lock()
				delete(s.conns, conn)
				s.mu.Unlock()
			}()
			s.converse(conn)
		})
	}
}

// Sessions counts the connections since the start.
func (s *Server) Sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions
}

func (s *Server) tlsConfig() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{s.certificate.pair}}
}

// AfterAccept runs hook once a mail is kept and before it is acknowledged: the
// point where a killed client does not know that its mail left. The answer
// removes it.
func (s *Server) AfterAccept(hook func(Message)) (remove func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hookSeq++
	id := s.hookSeq
	s.hooks[id] = hook
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.hooks, id)
	}
}

// runHooks calls them outside the lock: a hook may read the mailbox.
func (s *Server) runHooks(m Message) {
	s.mu.Lock()
	list := make([]func(Message), 0, len(s.hooks))
	for _, hook := range s.hooks {
		list = append(list, hook)
	}
	s.mu.Unlock()
	for _, hook := range list {
		hook(m)
	}
}

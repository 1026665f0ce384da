package webhooktest

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

// Options set a receiver. All are optional, but a dialect needs a secret.
type Options struct {
	// Clock is what timestamps are compared with; default: one of its own, running.
	Clock *partnertest.Clock
	// Secrets are those that a provider was shown: "whsec_..." or 64 hexadecimal
	// characters. A signature with any of them is good.
	Secrets []string
	// PublicKeys verify v1a signatures: "whpk_...".
	PublicKeys []string
	// Dialect says which signatures a delivery must carry; default Both.
	Dialect Dialect
	// Tolerance bounds the age of webhook-timestamp; default DefaultTolerance.
	Tolerance time.Duration
	// Place says where an event belongs; default PlaceOf.
	Place Place
	// Keep bounds the deliveries kept; default 100,000. Counts go on.
	Keep int
	// Faults are in place at the start and after each reset.
	Faults []partnertest.Fault
	Run    partnertest.Run
}

// Server is the receiver. The embedded base has its faults, clock and log of
// calls. Its methods may be called from any goroutine.
type Server struct {
	*partnertest.Server

	keep     int
	place    Place
	lean     lean
	run      partnertest.Run
	stopping context.Context
	stop     context.CancelFunc
	serving  sync.WaitGroup

	mu            sync.Mutex
	verifier      verifier
	servers       []*http.Server
	closed        bool
	authority     *authority
	arrived       chan struct{} // closed and replaced at each delivery
	received      int
	invalid       int
	repeats       int
	seen          map[string]struct{}
	deliveries    []Delivery
	answers       map[string]func(Delivery) Answer
	script        map[string][]Answer
	misbehaviours []*misbehaving
}

// New gives a receiver that does not listen yet.
func New(opts Options) (*Server, error) {
	s := &Server{keep: opts.Keep, run: opts.Run, place: opts.Place, arrived: make(chan struct{})}
	s.lean.seed = maphash.MakeSeed()
	if s.keep <= 0 {
		s.keep = 100_000
	}
	if s.place == nil {
		s.place = PlaceOf
	}
	s.verifier = verifier{dialect: opts.Dialect, tolerance: opts.Tolerance}
	if opts.Tolerance <= 0 {
		s.verifier.tolerance = DefaultTolerance
	}
	if err := s.SetSecrets(opts.Secrets...); err != nil {
		return nil, err
	}
	for _, value := range opts.PublicKeys {
		key, err := newPublicKey(value)
		if err != nil {
			return nil, err
		}
		s.verifier.keys = append(s.verifier.keys, key)
	}
	s.stopping, s.stop = context.WithCancel(context.Background())
	s.forget()
	s.Server = partnertest.New(partnertest.Options{
		Name: "webhook", Clock: opts.Clock, Reset: s.forget, Control: s.control(), Faults: opts.Faults, Run: opts.Run,
		State: func() any {
			return map[string]any{"totals": s.Totals(), "disorder": s.Disorder(), "deliveries": s.Deliveries()}
		},
	})
	return s, nil
}

// SetSecrets replaces the secrets, as a provider does who rotates.
func (s *Server) SetSecrets(values ...string) error {
	secrets := make([]secret, len(values))
	for i, value := range values {
		var err error
		if secrets[i], err = newSecret(value); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.verifier.secrets = secrets
	return nil
}

// SetDialect changes which signatures a delivery must carry.
func (s *Server) SetDialect(d Dialect) error {
	if err := d.valid(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.verifier.dialect = d
	return nil
}

// AddPublicKey trusts the v1a signatures of one more key.
func (s *Server) AddPublicKey(key ed25519.PublicKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.verifier.keys = append(s.verifier.keys, key)
}

// Start listens on a loopback address ("" takes a free port) and gives the URL;
// every path below it receives.
func (s *Server) Start(addr string) (string, error) {
	return s.listen("http", addr, nil)
}

// StartTLS is Start over TLS with the given certificate.
func (s *Server) StartTLS(addr string, certificate Certificate) (string, error) {
	issuer, err := s.issuer()
	if err != nil {
		return "", err
	}
	pair, err := issuer.issue(certificate)
	if err != nil {
		return "", fmt.Errorf("webhooktest: %w", err)
	}
	return s.listen("https", addr, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}})
}

func (s *Server) listen(scheme, addr string, secure *tls.Config) (string, error) {
	addr, err := s.run.Address(addr)
	if err != nil {
		return "", fmt.Errorf("webhooktest: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return "", errors.New("webhooktest: closed")
	}
	listener, err := new(net.ListenConfig).Listen(s.stopping, "tcp", addr)
	if err != nil {
		return "", fmt.Errorf("webhooktest: %w", err)
	}
	at := listener.Addr().String()
	if secure != nil {
		listener = tls.NewListener(listener, secure)
	}
	server := &http.Server{
		Handler: s.front(), ReadHeaderTimeout: 10 * time.Second,
		BaseContext: func(net.Listener) context.Context { return s.stopping },
		ErrorLog:    slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // a refused handshake is no news
	}
	s.servers = append(s.servers, server)
	s.serving.Go(func() {
		// Serve returns ErrServerClosed after Close; a listener that fails otherwise
		// shows as refused connections, which is what a test sees.
		_ = server.Serve(listener)
	})
	return scheme + "://" + at, nil
}

// front takes what needs the connection itself; the rest goes through the base.
func (s *Server) front() http.Handler {
	base := s.Wrap("receiver", http.HandlerFunc(s.receive))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/_admin/") {
			base.ServeHTTP(w, r)
			return
		}
		if s.lean.on.Load() {
			s.lean.take(w, r)
			return
		}
		m, bad := s.misbehaviour(r.URL.Path)
		if !bad {
			base.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // not delivered
		}
		s.record(r, body)
		m.do(r.Context(), w)
	})
}

func (s *Server) receive(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.answer(s.record(r, body)).send(w)
}

// Close stops the listeners and ends answers that never end.
func (s *Server) Close() error {
	s.stop()
	s.mu.Lock()
	s.closed = true
	var errs []error
	for _, server := range s.servers {
		errs = append(errs, server.Close())
	}
	s.servers = nil
	s.mu.Unlock()
	s.serving.Wait()
	return errors.Join(append(errs, s.Server.Close())...)
}

// forget drops deliveries, counts, answers and misbehaviours; secrets stay.
func (s *Server) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.received, s.invalid, s.repeats = 0, 0, 0
	s.seen, s.deliveries = map[string]struct{}{}, nil
	s.answers, s.script = map[string]func(Delivery) Answer{}, map[string][]Answer{}
	s.misbehaviours = nil
	s.lean.reset()
}

// control adds to the admin surface of a receiver that runs as a process of its own:
//
//	POST /_admin/answers    {"path":"/x","answer":{"status":503,...}}
//	POST /_admin/misbehave  a Misbehaviour; DELETE ends them
//	POST /_admin/secrets    ["whsec_..."]
//	POST /_admin/dialect    "", "datapass", "standard", "any" or "none"
//	POST /_admin/lean       true or false
func (s *Server) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /_admin/answers", decode(func(in struct {
		Path   string `json:"path"`
		Answer Answer `json:"answer"`
	},
	) error {
		s.SetAnswer(in.Path, in.Answer)
		return nil
	}))
	mux.HandleFunc("POST /_admin/misbehave", decode(func(m Misbehaviour) error {
		if err := m.valid(); err != nil {
			return err
		}
		s.Misbehave(m)
		return nil
	}))
	mux.HandleFunc("DELETE /_admin/misbehave", func(w http.ResponseWriter, _ *http.Request) {
		s.StopMisbehaving()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /_admin/secrets", decode(func(values []string) error { return s.SetSecrets(values...) }))
	mux.HandleFunc("POST /_admin/dialect", decode(s.SetDialect))
	mux.HandleFunc("POST /_admin/lean", decode(func(on bool) error {
		s.Lean(on)
		return nil
	}))
	return mux
}

func decode[T any](do func(T) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in T
		decoder := json.NewDecoder(io.LimitReader(r.Body, 1<<20))
		decoder.DisallowUnknownFields()
		err := decoder.Decode(&in)
		if err == nil {
			err = do(in)
		}
		if err != nil {
			partnertest.WriteJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

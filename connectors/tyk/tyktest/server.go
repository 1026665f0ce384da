package tyktest

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

// Sides of the simulator, in routes and in the log of calls. On a shared port
// every call is of SideProxy.
const (
	SideControl = "admin"
	SideProxy   = "proxy"
)

// Server is a running simulator. The embedded partnertest.Server gives faults,
// hooks, clock, calls and leaks.
type Server struct {
	*partnertest.Server
	opts                 Options
	controlURL, proxyURL string

	mu     sync.Mutex
	secret string
	apis   []API
	// keys of the store, by handle: the hash of their base64 form, or that form
	// itself without hash_keys.
	keys     map[string]*session
	files    map[string]Policy // as written by the control API
	loaded   map[string]Policy // as read at the last reload
	reloadAt time.Time         // zero: no reload is due
	clients  map[string]map[string]*oauthClient
	node     node
	toNode   partnertest.Propagation
	noRedis  bool
}

// New starts a simulator and panics when it cannot listen, as httptest does.
func New(opts Options) *Server {
	s, err := Start(opts)
	if err != nil {
		panic(err)
	}
	return s
}

// Start starts a simulator on its listeners. Close stops it.
func Start(opts Options) (*Server, error) {
	setDefault(&opts.Secret, DefaultSecret)
	setDefault(&opts.KeyHeader, "X-Api-Key")
	if opts.APIs == nil {
		opts.APIs = DemoAPIs()
	}
	if opts.Policies == nil {
		opts.Policies = DemoPolicies()
	}
	if err := opts.check(); err != nil {
		return nil, err
	}
	s := &Server{opts: opts}
	s.Server = partnertest.New(partnertest.Options{
		Name: "tyk", Dated: true, Clock: opts.Clock, Latency: opts.Latency, KeepCalls: opts.KeepCalls, Faults: opts.Faults, Run: opts.Run,
		State: func() any { return s.Snapshot() }, Reset: s.reset,
	})
	s.reset()
	if err := s.listen(); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Server) listen() (err error) {
	if s.opts.SharedPort {
		s.proxyURL, err = s.Listen(SideProxy, s.opts.ProxyAddr, s.control())
		s.controlURL = s.proxyURL
		return err
	}
	if s.controlURL, err = s.Listen(SideControl, s.opts.ControlAddr, s.control()); err != nil {
		return err
	}
	s.proxyURL, err = s.Listen(SideProxy, s.opts.ProxyAddr, s.proxy())
	return err
}

// reset brings everything back to the options.
func (s *Server) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secret, s.noRedis, s.reloadAt = s.opts.Secret, false, time.Time{}
	s.RegisterSecret(s.secret)
	s.apis = nil
	for _, api := range s.opts.APIs {
		s.addAPI(api)
	}
	s.files = map[string]Policy{}
	for _, policy := range s.opts.Policies {
		setDefault(&policy.OrgID, DefaultOrg)
		s.files[policy.ID] = policy
	}
	s.loaded = maps.Clone(s.files)
	s.keys = map[string]*session{}
	s.clients = map[string]map[string]*oauthClient{}
	s.node = newNode()
	s.toNode = partnertest.Propagation{Delay: s.opts.PropagationDelay}
}

func (s *Server) addAPI(api API) {
	setDefault(&api.Name, api.ID)
	setDefault(&api.ListenPath, "/"+api.ID+"/")
	setDefault(&api.OrgID, DefaultOrg)
	s.apis = append(s.apis, api)
}

func (s *Server) api(id string) (API, bool) {
	at := slices.IndexFunc(s.apis, func(api API) bool { return api.ID == id })
	if at < 0 {
		return API{}, false
	}
	return s.apis[at], true
}

// ControlURL is the base of the control API: keys are below it, at /tyk/keys.
func (s *Server) ControlURL() string { return s.controlURL }

// ProxyURL is the base of the proxied APIs, without listen path.
func (s *Server) ProxyURL() string { return s.proxyURL }

// handle is where the store keeps a key of this base64 form.
func (s *Server) handleOf(token string) string {
	if s.opts.ClearKeys {
		return token
	}
	return keyHash(token)
}

// catchUp reads the policies again when a reload was asked for and its time has come.
func (s *Server) catchUp() {
	if !s.reloadAt.IsZero() && !s.Now().Before(s.reloadAt) {
		s.reload()
	}
}

func (s *Server) reload() {
	s.loaded = maps.Clone(s.files)
	s.reloadAt = time.Time{}
}

// hexID is a UUID without hyphens.
func hexID() string { return strings.ReplaceAll(uuid.NewString(), "-", "") }

func setDefault(field *string, value string) {
	if *field == "" {
		*field = value
	}
}

package apiparticuliertest

import (
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

// Server is a running API Particulier. The embedded partnertest.Server gives
// faults, hooks, clock, calls and leaks. Its methods may be called from any
// goroutine.
type Server struct {
	*partnertest.Server
	opts   Options
	seed   *Seed
	url    string
	client *http.Client // to FranceConnect

	mu sync.Mutex
	state
}

// state is what a reset brings back to the seed.
type state struct {
	switches      Switches
	habilitations map[string]Habilitation
	keys          map[string]Key
	delegations   []Delegation
	static        map[string]tokenClaims
	families      map[string]Family
	people        []Someone

	windows  map[string]*window
	bans     map[string]time.Time
	locks    map[string]time.Time
	cache    map[string]fetched
	proofs   map[string]struct{} // ids of DPoP proofs used
	pdfs     map[string]time.Time
	ordered  []order
	breaches map[string]int

	perMinute         map[string]map[string]int // recipient, minute
	running           map[string]int            // per recipient, now
	mostRunning       map[string]int
	questions         map[string]map[month]int // months asked, per identity
	conflicts         int
	foreignRecipients int
}

// New starts an API Particulier and panics when it cannot, as httptest does.
func New(opts Options) *Server {
	s, err := Start(opts)
	if err != nil {
		panic(err)
	}
	return s
}

// Start starts an API Particulier on its listener. Close stops it.
func Start(opts Options) (*Server, error) {
	s := &Server{opts: opts, seed: opts.Seed, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}}
	if s.seed == nil {
		var err error
		if s.seed, err = DefaultSeed(); err != nil {
			return nil, err
		}
	}
	if err := s.seed.check(); err != nil {
		return nil, err
	}
	s.Server = partnertest.New(partnertest.Options{
		Name: "apiparticulier", Clock: opts.Clock, Latency: opts.Latency, KeepCalls: opts.KeepCalls, Run: opts.Run,
		State: func() any { return s.Snapshot() }, Reset: s.load, Control: s.control(),
	})
	s.load()
	var err error
	if s.url, err = s.Listen("api", opts.Addr, s.router()); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

// Close stops the listener and the connections to FranceConnect.
func (s *Server) Close() error {
	s.client.CloseIdleConnections()
	return s.Server.Close()
}

// load brings everything to the seed, which Start has found good.
func (s *Server) load() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = state{
		switches: s.seed.Switches.withDefaults(), habilitations: map[string]Habilitation{}, keys: map[string]Key{},
		delegations: slices.Clone(s.seed.Delegations), static: map[string]tokenClaims{}, families: map[string]Family{},
		people: slices.Clone(s.seed.People), windows: map[string]*window{}, bans: map[string]time.Time{}, locks: map[string]time.Time{},
		cache: map[string]fetched{}, proofs: map[string]struct{}{}, pdfs: map[string]time.Time{}, breaches: map[string]int{},
		perMinute: map[string]map[string]int{}, running: map[string]int{}, mostRunning: map[string]int{},
		questions: map[string]map[month]int{},
	}
	for _, h := range s.seed.Habilitations {
		s.habilitations[h.ID] = h
	}
	for _, k := range s.seed.Keys {
		s.keys[k.Token] = k
		s.RegisterSecret(k.Token)
	}
	for _, f := range s.seed.Families {
		s.families[f.ID] = f
	}
	for _, t := range s.seed.FranceConnectTokens {
		s.static[t.Token] = s.staticClaims(t)
		s.RegisterSecret(t.Token)
	}
	s.Inject(s.seed.Faults...)
}

func (s *Server) router() http.Handler {
	mux := chi.NewRouter()
	mux.Get("/v3/dss/quotient_familial/france_connect", s.byFranceConnect)
	mux.Get("/v3/dss/quotient_familial/identite", s.byIdentity)
	mux.Get("/{version}/dss/quotient_familial/{operation}", s.wrongVersion)
	mux.Get("/api/pings", s.pings)
	mux.Get("/api/cnaf_msa_quotient_familial/ping", s.ping)
	mux.Get("/api/errors", s.listErrors)
	mux.Get("/api/introspect", s.introspectKey)
	mux.Get("/v3/token/introspect", s.introspectKey)
	mux.Get("/editeur/api/v1/delegations", s.listDelegations)
	mux.Get("/attestations/{code}.pdf", s.attestation)
	mux.NotFound(func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusNotFound, map[string]string{"error": "not_found"})
	})
	// Bans come before everything, and count what everything refused.
	return &guard{Router: mux, server: s}
}

// guard is the router with the bans in front of it.
type guard struct {
	chi.Router
	server *Server
}

func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ip := caller(r)
	if g.server.banned(ip) {
		http.Error(w, "Accès refusé", http.StatusForbidden)
		return
	}
	noted := &statusWriter{ResponseWriter: w, status: http.StatusOK}
	g.Router.ServeHTTP(noted, r)
	g.server.note(ip, noted.status)
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// URL is the base of the API, without path.
func (s *Server) URL() string { return s.url }

// Switches are those in force.
func (s *Server) Switches() Switches {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.switches
}

// SetSwitches changes the switches for the calls to come.
func (s *Server) SetSwitches(change func(*Switches)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.switches)
	s.switches = s.switches.withDefaults()
}

// AddKey registers a key, or replaces it: a prolonged key keeps its value.
func (s *Server) AddKey(k Key) {
	s.RegisterSecret(k.Token)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[k.Token] = k
}

// AddDelegation registers a delegation, or replaces the one of that id.
func (s *Server) AddDelegation(d Delegation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delegations = slices.DeleteFunc(s.delegations, func(held Delegation) bool { return held.ID == d.ID })
	s.delegations = append(s.delegations, d)
}

// staticClaims are those of a person of the seed, as FranceConnect gives them.
// It needs the lock.
func (s *Server) staticClaims(t StaticToken) tokenClaims {
	scopes := t.Scopes
	if len(scopes) == 0 {
		scopes = []string{"openid", "identite_pivot", "cnaf_quotient_familial", "cnaf_allocataires", "cnaf_enfants", "cnaf_adresse"}
	}
	i := slices.IndexFunc(s.people, func(p Someone) bool { return p.ID == t.Person })
	return s.people[i].Identity.claims(scopes)
}

// Describe gives the one JSON line that tells a client how to use the simulator.
func (s *Server) Describe() string {
	type credential struct {
		Actor     string `json:"actor"` // habilitation or editor
		Token     string `json:"token"`
		Recipient string `json:"recipient,omitempty"`
		Editor    string `json:"editor,omitempty"`
	}
	line := struct {
		Partner     string       `json:"partner"`
		API         string       `json:"api"`
		Admin       string       `json:"admin"`
		FCTokens    []string     `json:"france_connect_tokens"`
		CheckToken  string       `json:"checktoken_url,omitempty"`
		Credentials []credential `json:"credentials"`
	}{Partner: "api-particulier", API: s.url, Admin: s.url + "/_admin/", FCTokens: []string{}, Credentials: []credential{}}
	if at := s.opts.FranceConnect; at != nil {
		line.CheckToken = at.CheckTokenURL
	} else {
		for _, t := range s.seed.FranceConnectTokens {
			line.FCTokens = append(line.FCTokens, t.Token)
		}
	}
	s.mu.Lock()
	for _, k := range s.seed.Keys {
		if k.Blacklisted || !s.Now().Before(k.ExpiresAt) {
			continue
		}
		shown := credential{Actor: "habilitation", Token: k.Token, Recipient: s.habilitations[k.Habilitation].SIRET}
		if k.Editor != "" {
			shown = credential{Actor: "editor", Token: k.Token, Editor: k.Editor}
		}
		line.Credentials = append(line.Credentials, shown)
	}
	s.mu.Unlock()
	text, _ := json.Marshal(line) // strings only: cannot fail
	return string(text)
}

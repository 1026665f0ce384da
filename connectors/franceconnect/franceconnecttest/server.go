package franceconnecttest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/internal/jose"
)

const basePath = "/api/v2"

// Server is a running FranceConnect. The embedded partnertest.Server gives
// faults, hooks, clock, calls and leaks. Its methods may be called from any
// goroutine.
type Server struct {
	*partnertest.Server
	seed   *Seed
	url    string
	issuer string

	mu sync.Mutex
	state
}

// state is what a reset brings back to the seed.
type state struct {
	keys         keyring
	clients      map[string]Client
	providers    map[string]DataProvider
	citizens     []Citizen
	auto         string
	interactions map[string]*interaction
	codes        map[string]*grant
	tokens       map[string]*grant
	sessions     map[string]*session
	bad          []*Bad
	counts       map[string]int
}

// session is a browser's, so that a second login needs no identity again.
type session struct {
	citizen Citizen
	since   time.Time
	expires time.Time
}

// grant is what a citizen agreed to: first a code, then a token.
type grant struct {
	client       Client
	citizen      Citizen
	scopes       []string
	nonce        string
	redirectURI  string
	amr          bool
	authTime     time.Time
	codeExpires  time.Time
	used         bool
	token        string
	issued       time.Time
	tokenExpires time.Time
	dead         bool
}

// New starts a FranceConnect and panics when it cannot, as httptest does.
func New(opts Options) *Server {
	s, err := Start(opts)
	if err != nil {
		panic(err)
	}
	return s
}

// Start starts a FranceConnect on its listener. Close stops it. It refuses the
// issuer of the real one.
func Start(opts Options) (*Server, error) {
	s := &Server{seed: opts.Seed, issuer: strings.TrimSuffix(opts.Issuer, "/")}
	if err := checkIssuer(s.issuer); err != nil {
		return nil, err
	}
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
		Name: "franceconnect", Clock: opts.Clock, Latency: opts.Latency, KeepCalls: opts.KeepCalls, Run: opts.Run,
		State: func() any { return s.Snapshot() }, Reset: s.reset, Control: s.control(),
	})
	if err := s.load(); err != nil {
		_ = s.Close()
		return nil, err
	}
	var err error
	if s.url, err = s.Listen("op", opts.Addr, s.router()); err != nil {
		_ = s.Close()
		return nil, err
	}
	if s.issuer == "" {
		s.issuer = s.url + basePath
	}
	return s, nil
}

// checkIssuer keeps the simulator from being taken for the real FranceConnect.
func checkIssuer(issuer string) error {
	if issuer == "" {
		return nil
	}
	at, err := url.Parse(issuer)
	if err != nil || at.Host == "" || at.Path != basePath {
		return fmt.Errorf("franceconnecttest: issuer %q is not a URL that ends in %s", issuer, basePath)
	}
	host := strings.ToLower(at.Hostname())
	for _, theirs := range []string{"franceconnect.gouv.fr", "dev-franceconnect.fr"} {
		if host == theirs || strings.HasSuffix(host, "."+theirs) {
			return fmt.Errorf("franceconnecttest: %s is the real FranceConnect's: a simulator does not speak in its name", issuer)
		}
	}
	return nil
}

func (s *Server) load() error {
	keys, err := newKeyring()
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.state = state{
		keys: keys, clients: map[string]Client{}, providers: map[string]DataProvider{}, citizens: slices.Clone(s.seed.Citizens),
		auto: s.seed.Auto, interactions: map[string]*interaction{}, codes: map[string]*grant{}, tokens: map[string]*grant{},
		sessions: map[string]*session{}, counts: map[string]int{},
	}
	s.mu.Unlock()
	for _, c := range s.seed.Clients {
		if err := s.AddClient(c); err != nil {
			return err
		}
	}
	for _, p := range s.seed.DataProviders {
		if err := s.AddDataProvider(p); err != nil {
			return err
		}
	}
	s.Inject(s.seed.Faults...)
	return nil
}

// reset brings everything back to the seed, which Start has found good.
func (s *Server) reset() {
	if err := s.load(); err != nil {
		panic(err)
	}
}

// AddClient registers a client, or replaces it.
func (s *Server) AddClient(c Client) error {
	if err := c.check(); err != nil {
		return err
	}
	s.RegisterSecret(c.Secrets...)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients[c.ID] = c
	return nil
}

func (c Client) check() error {
	if c.ID == "" || len(c.RedirectURIs) == 0 {
		return fmt.Errorf("franceconnecttest: client %q: client_id and redirect_uris are needed", c.ID)
	}
	for _, secret := range c.Secrets {
		if len(secret) < 32 {
			return fmt.Errorf("franceconnecttest: client %s: a secret has at least 32 characters", c.ID)
		}
	}
	for _, name := range c.Scopes {
		if !knownScope(name) {
			return fmt.Errorf("franceconnecttest: client %s: no scope %q", c.ID, name)
		}
	}
	if c.PublicJWK != "" {
		if _, err := jose.ParsePublicKey([]byte(c.PublicJWK)); err != nil {
			return fmt.Errorf("franceconnecttest: client %s: public_jwk: %w", c.ID, err)
		}
	}
	return nil
}

// AddDataProvider registers a data provider, or replaces it.
func (s *Server) AddDataProvider(p DataProvider) error {
	if err := p.check(); err != nil {
		return err
	}
	s.RegisterSecret(p.Secret)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.providers[p.ID] = p
	return nil
}

func (p DataProvider) check() error {
	if p.ID == "" || p.Secret == "" {
		return fmt.Errorf("franceconnecttest: data provider %q: client_id and client_secret are needed", p.ID)
	}
	if p.EncryptionJWK != "" {
		if _, err := jose.ParseRecipient([]byte(p.EncryptionJWK)); err != nil {
			return fmt.Errorf("franceconnecttest: data provider %s: encryption_jwk: %w", p.ID, err)
		}
	}
	return nil
}

// Issuer is what the tokens say; discovery is below it.
func (s *Server) Issuer() string { return s.issuer }

// CheckTokenURL is where data providers ask about a token.
func (s *Server) CheckTokenURL() string { return CheckTokenOf(s.url) }

// CheckTokenOf is the same of a FranceConnect of another process, by its URL
// with or without its path.
func CheckTokenOf(url string) string {
	return strings.TrimSuffix(strings.TrimSuffix(url, "/"), basePath) + basePath + "/checktoken"
}

// JWKSURL is where the keys are published.
func (s *Server) JWKSURL() string { return s.url + basePath + "/jwks" }

// Clients lists the clients, secrets included.
func (s *Server) Clients() []Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Client
	for _, id := range sortedKeys(s.clients) {
		out = append(out, s.clients[id])
	}
	return out
}

// Citizens lists the people.
func (s *Server) Citizens() []Citizen {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.citizens)
}

// SetAuto lets every login to come pass without pages as one citizen; "" brings
// the pages back.
func (s *Server) SetAuto(citizen string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if citizen != "" && !slices.ContainsFunc(s.citizens, func(c Citizen) bool { return c.ID == citizen }) {
		return fmt.Errorf("franceconnecttest: no citizen %q", citizen)
	}
	s.auto = citizen
	return nil
}

// EndSessions ends every browser's session, as after 30 minutes.
func (s *Server) EndSessions() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.sessions)
}

func (s *Server) router() http.Handler {
	mux := chi.NewRouter()
	mux.Get("/", s.showHome)
	mux.Route(basePath, func(r chi.Router) {
		r.Get("/.well-known/openid-configuration", s.discovery)
		r.Get("/jwks", s.serveKeys)
		r.Get("/authorize", s.authorize)
		r.Post("/authorize", s.authorize)
		r.Get("/interaction/{id}", s.showInteraction)
		r.Post("/interaction/{id}/identity", s.chooseIdentity)
		r.Post("/interaction/{id}/consent", s.decide)
		r.Post("/token", s.token)
		r.Get("/userinfo", s.userinfo)
		r.Post("/userinfo", s.userinfo)
		r.Get("/session/end", s.endSession)
		r.Post("/token/revocation", s.revoke)
		r.Post("/checktoken", s.checkToken)
	})
	mux.NotFound(func(w http.ResponseWriter, _ *http.Request) {
		s.showError(w, http.StatusNotFound, "Y000404", "invalid_request", "page inconnue")
	})
	return mux
}

// Describe gives the one JSON line that tells a client how to use the simulator.
func (s *Server) Describe() string {
	type credential struct {
		Actor                  string   `json:"actor"` // FS: fournisseur de services; FD: fournisseur de données
		ClientID               string   `json:"client_id"`
		ClientSecret           string   `json:"client_secret"`
		RedirectURIs           []string `json:"redirect_uris,omitempty"`
		PostLogoutRedirectURIs []string `json:"post_logout_redirect_uris,omitempty"`
	}
	line := struct {
		Partner     string       `json:"partner"`
		API         string       `json:"api"`
		Issuer      string       `json:"issuer"`
		Discovery   string       `json:"discovery"`
		TokenURL    string       `json:"token_url"`
		CheckToken  string       `json:"checktoken_url"`
		Admin       string       `json:"admin"`
		Credentials []credential `json:"credentials"`
		Citizens    []string     `json:"citizens"`
	}{
		Partner: "franceconnect", API: s.url, Issuer: s.issuer, Discovery: s.url + basePath + "/.well-known/openid-configuration",
		TokenURL: s.url + basePath + "/token", CheckToken: s.CheckTokenURL(), Admin: s.url + "/_admin/",
		Credentials: []credential{}, Citizens: []string{},
	}
	for _, c := range s.Clients() {
		shown := credential{
			Actor: "FS", ClientID: c.ID, RedirectURIs: c.RedirectURIs, PostLogoutRedirectURIs: c.PostLogoutRedirectURIs,
		}
		if len(c.Secrets) > 0 {
			shown.ClientSecret = c.Secrets[0]
		}
		line.Credentials = append(line.Credentials, shown)
	}
	s.mu.Lock()
	for _, id := range sortedKeys(s.providers) {
		line.Credentials = append(line.Credentials, credential{Actor: "FD", ClientID: id, ClientSecret: s.providers[id].Secret})
	}
	s.mu.Unlock()
	for _, c := range s.Citizens() {
		line.Citizens = append(line.Citizens, c.ID)
	}
	text, _ := json.Marshal(line) // strings only: cannot fail
	return string(text)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

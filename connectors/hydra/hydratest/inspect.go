package hydratest

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"
)

// Counts sums up what the simulator holds.
type Counts struct {
	Clients int `json:"clients"`
	Secrets int `json:"secrets"` // that the token endpoint takes, old ones included
	Tokens  int `json:"tokens"`  // that introspection calls active
}

// Snapshot is everything the simulator holds, without secrets and tokens.
type Snapshot struct {
	Version Version  `json:"version"`
	Counts  Counts   `json:"counts"`
	Clients []Client `json:"clients"`
}

// Snapshot copies the state, clients by id.
func (s *Server) Snapshot() Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Snapshot{Version: s.version, Counts: s.counts(), Clients: shown(s.order)}
}

func (s *Server) counts() Counts {
	out := Counts{Clients: len(s.order)}
	for _, r := range s.order {
		if r.AuthMethod == authBasic || r.AuthMethod == authPost {
			out.Secrets += 1 + len(r.rotated)
		}
		for value := range r.tokens {
			if s.liveToken(value) != nil {
				out.Tokens++
			}
		}
	}
	return out
}

// Counts sums up the state.
func (s *Server) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts()
}

// Clients lists all clients.
func (s *Server) Clients() []Client { return s.Snapshot().Clients }

// Client finds a client, or false.
func (s *Server) Client(id string) (Client, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.byID[id]; r != nil {
		return r.Client, true
	}
	return Client{}, false
}

// LiveSecrets counts the secrets of a client that the token endpoint takes: 0
// for a client that is missing.
func (s *Server) LiveSecrets(id string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.byID[id]; r != nil {
		return 1 + len(r.rotated)
	}
	return 0
}

// AddClient stores a client that someone else made.
func (s *Server) AddClient(c Client) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.create(c)
	return err
}

// SetVersion switches the release.
func (s *Server) SetVersion(version Version) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version = version
}

// RotateSigningKey makes a new key sign; the old ones stay in the key set.
func (s *Server) RotateSigningKey() {
	key := newSigningKey()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = slices.Insert(s.keys, 0, key)
}

// SetDatabaseReachable changes what GET /health/ready says; without its database
// Hydra answers 500, while /health/alive and the key set go on saying 200.
func (s *Server) SetDatabaseReachable(reachable bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dbDown = !reachable
}

// SetPropagationDelay changes how long the public side ignores a change.
func (s *Server) SetPropagationDelay(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.toPublic.Delay = d
}

// Probe answers as the token endpoint would to a request with this secret: 200
// when it opens one of the clients that have had it, else 401.
func (s *Server) Probe(secret string) (status int, body string) {
	s.mu.Lock()
	ids := slices.Clone(s.holders[hashOf(secret)])
	s.mu.Unlock()
	status, body = s.ProbeClient("", secret)
	for _, id := range ids {
		if status, body = s.ProbeClient(id, secret); status != http.StatusUnauthorized {
			return status, body
		}
	}
	return status, body
}

// ProbeClient answers as the token endpoint would to a client's request for a
// token without scope, by the client's own method; it issues none.
func (s *Server) ProbeClient(id, secret string) (status int, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.toPublic.CatchUp(s.Now())
	c, known := s.public[id]
	if s.dbDown {
		return refused(&serverError)
	}
	switch {
	case !known, !slices.ContainsFunc(c.secrets, func(h hash) bool { return h.matches(secret) }):
		return refused(&invalidClient)
	case !slices.Contains(c.grants, "client_credentials"):
		return refused(&unauthorizedClient)
	}
	return http.StatusOK, http.StatusText(http.StatusOK)
}

func refused(r *refusal) (int, string) {
	text, err := json.Marshal(r.body())
	if err != nil {
		return r.status, err.Error()
	}
	return r.status, string(text)
}

// ProbeToken answers as an API would that checks a JWT offline, with the key set
// alone: 200 until its exp, whatever was revoked (api-managers.md, 3.7, traps).
// An opaque token is never believed so.
func (s *Server) ProbeToken(token string) (status int, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tokens[token] // signed here, so that its signature is good
	if t == nil || t.strategy != StrategyJWT || !s.Now().Before(t.expiresAt) {
		return http.StatusUnauthorized, http.StatusText(http.StatusUnauthorized)
	}
	return http.StatusOK, http.StatusText(http.StatusOK)
}

package keycloaktest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"time"
)

// Client is one client of the realm. Its secrets are not written to JSON;
// Fingerprint is the start of the current one's SHA-256, in hexadecimal.
type Client struct {
	ID             string            `json:"id"`
	ClientID       string            `json:"client_id"`
	Name           string            `json:"name"`
	Enabled        bool              `json:"enabled"`
	Attributes     map[string]string `json:"attributes"` // without those of secrets
	DefaultScopes  []string          `json:"default_scopes"`
	OptionalScopes []string          `json:"optional_scopes"`
	Secret         string            `json:"-"`
	Rotated        string            `json:"-"` // the secret before it, while it is taken
	Fingerprint    string            `json:"fingerprint"`
	ExpiresAt      *time.Time        `json:"expires_at,omitempty"`         // of the secret, by the policy
	RotatedUntil   *time.Time        `json:"rotated_expires_at,omitempty"` // of the one before it
}

// Counts sums up what the simulator holds, without the realm's own clients.
type Counts struct {
	Clients     int `json:"clients"`
	LiveSecrets int `json:"live_secrets"` // that the token endpoint takes, rotated ones included
	Tokens      int `json:"tokens"`       // issued to them and neither over nor revoked
}

// Snapshot is everything the simulator holds, without the realm's own clients.
type Snapshot struct {
	Counts   Counts   `json:"counts"`
	Rotation bool     `json:"rotation"` // there is a policy
	Scopes   []string `json:"scopes"`
	Clients  []Client `json:"clients"`
}

// Snapshot copies the state, clients by clientId.
func (s *Server) Snapshot() Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := Snapshot{Counts: s.counts(), Rotation: s.policy != nil, Clients: []Client{}}
	for _, sc := range s.scopes {
		out.Scopes = append(out.Scopes, sc.Name)
	}
	for _, c := range s.order {
		if !c.seeded {
			out.Clients = append(out.Clients, s.show(c))
		}
	}
	return out
}

func (s *Server) show(c *client) Client {
	sum := sha256.Sum256([]byte(c.Secret))
	out := Client{
		ID: c.ID, ClientID: c.ClientID, Name: c.Name, Enabled: c.Enabled, Secret: c.Secret,
		Attributes:    maps.Clone(c.Attributes),
		DefaultScopes: slices.Clone(c.DefaultScopes), OptionalScopes: slices.Clone(c.OptionalScopes),
		Fingerprint: hex.EncodeToString(sum[:6]),
	}
	for _, name := range []string{attrSecretCreated, attrSecretExpires, attrRotated, attrRotatedCreated, attrRotatedExpires} {
		delete(out.Attributes, name)
	}
	moment := func(attribute string) *time.Time {
		if c.seconds(attribute) == 0 {
			return nil
		}
		at := time.Unix(c.seconds(attribute), 0).UTC()
		return &at
	}
	out.ExpiresAt, out.RotatedUntil = moment(attrSecretExpires), moment(attrRotatedExpires)
	if rotated := c.Attributes[attrRotated]; rotated != "" && c.takes(rotated, s.Now()) {
		out.Rotated = rotated
	}
	return out
}

func (s *Server) counts() Counts {
	var out Counts
	for _, c := range s.order {
		if c.seeded {
			continue
		}
		out.Clients++
		out.LiveSecrets += s.liveSecrets(c)
	}
	for value, t := range s.tokens {
		if s.liveToken(value) != nil && !s.byID[t.id].seeded {
			out.Tokens++
		}
	}
	return out
}

func (s *Server) liveSecrets(c *client) int {
	if !c.Enabled {
		return 0
	}
	n := 0
	for _, secret := range []string{c.Secret, c.Attributes[attrRotated]} {
		if secret != "" && c.takes(secret, s.Now()) {
			n++
		}
	}
	return n
}

// Counts sums up the state.
func (s *Server) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts()
}

// Clients lists the clients, without the realm's own.
func (s *Server) Clients() []Client { return s.Snapshot().Clients }

// Client finds a client by its clientId, or false.
func (s *Server) Client(clientID string) (Client, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.byClientID[clientID]; c != nil {
		return s.show(c), true
	}
	return Client{}, false
}

// LiveSecrets counts the secrets of a client that the token endpoint takes: 0
// for one that is missing or disabled.
func (s *Server) LiveSecrets(clientID string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.byClientID[clientID]; c != nil {
		return s.liveSecrets(c)
	}
	return 0
}

// ScopeID is the id of a client scope of the realm, or "".
func (s *Server) ScopeID(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	sc, _ := s.scopeNamed(name)
	return sc.ID
}

// AddClient stores a confidential client that someone else made, and gives its id.
func (s *Server) AddClient(c Client) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	yes := true
	ch := change{
		ClientID: &c.ClientID, Name: &c.Name, Enabled: &c.Enabled, ServiceAccountsEnabled: &yes,
		DefaultClientScopes: c.DefaultScopes, OptionalClientScopes: c.OptionalScopes, Attributes: map[string]*string{},
	}
	if c.ID != "" {
		ch.ID = &c.ID
	}
	if c.Secret != "" {
		ch.Secret = &c.Secret
	}
	for name, value := range c.Attributes {
		ch.Attributes[name] = &value
	}
	return s.create(ch)
}

// AdminClient and AdminSecret are the credentials of the client with the role
// manage-clients.
func (s *Server) AdminClient() string { return s.opts.AdminClient }

// AdminSecret is the secret that is accepted now.
func (s *Server) AdminSecret() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byClientID[s.opts.AdminClient].Secret
}

// SetAdminSecret replaces the admin client's secret; its tokens live on.
func (s *Server) SetAdminSecret(secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.byClientID[s.opts.AdminClient]
	after := before.copy()
	after.Secret = secret
	s.replace(before, after)
}

// ExpireAdminTokens ends the tokens of the admin client: the calls to come get
// 401 until it asks for another.
func (s *Server) ExpireAdminTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.tokens {
		if t.clientID == s.opts.AdminClient {
			t.expiresAt = s.Now()
		}
	}
}

// SetRotation switches the rotation policy on, or off with nil.
func (s *Server) SetRotation(policy *RotationPolicy) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.policy = nil
	if policy != nil {
		complete := policy.withDefaults()
		s.policy = &complete
	}
}

// SetDatabaseReachable changes what GET /health/ready says; without its database
// Keycloak answers 500, while /health/live goes on saying 200.
func (s *Server) SetDatabaseReachable(reachable bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dbDown = !reachable
}

// SetPropagationDelay changes how long the token endpoint ignores a change.
func (s *Server) SetPropagationDelay(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.toPublic.Delay = d
}

// Probe answers as the token endpoint would to a request with this secret: 200
// when it opens one of the clients that have had it, else 401.
func (s *Server) Probe(secret string) (status int, body string) {
	s.mu.Lock()
	clientIDs := slices.Clone(s.holders[sha256.Sum256([]byte(secret))])
	s.mu.Unlock()
	status, body = s.ProbeClient("", secret)
	for _, clientID := range clientIDs {
		if status, body = s.ProbeClient(clientID, secret); status != http.StatusUnauthorized {
			return status, body
		}
	}
	return status, body
}

// ProbeClient answers as the token endpoint would to a client's request for a
// token; it issues none.
func (s *Server) ProbeClient(clientID, secret string) (status int, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.toPublic.CatchUp(s.Now())
	c := s.public[clientID]
	switch {
	case s.dbDown:
		return refused(unknownError)
	case c == nil, !c.Enabled:
		return refused(unknownClient)
	case !c.takes(secret, s.Now()):
		return refused(wrongSecret)
	case !c.ServiceAccountsEnabled:
		return refused(noAccount)
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

// ProbeToken answers as an API would that checks a JWT offline, with the realm's
// keys alone: 200 until its exp, whatever became of its client (api-managers.md, 3.6).
func (s *Server) ProbeToken(token string) (status int, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.tokens[token]; t == nil || !s.Now().Before(t.expiresAt) {
		return http.StatusUnauthorized, http.StatusText(http.StatusUnauthorized)
	}
	return http.StatusOK, http.StatusText(http.StatusOK)
}

package kongtest

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"time"
)

// Kinds of credentials.
const (
	KindKeyAuth = "key-auth"
	KindJWT     = "jwt"
	KindOAuth2  = "oauth2"
)

// Consumer is whom the credentials belong to.
type Consumer struct {
	ID        string    `json:"id"`
	Username  string    `json:"username"`
	CustomID  string    `json:"custom_id"`
	Tags      []string  `json:"tags"`
	Groups    []string  `json:"groups"` // of the plugin acl, sorted
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// Credential is one key, JWT credential or OAuth2 client. Its secret is not
// written to JSON; Fingerprint is the start of its SHA-256, in hexadecimal.
type Credential struct {
	ID          string     `json:"id"`
	Kind        string     `json:"kind"`
	Consumer    string     `json:"consumer"`            // id
	PublicID    string     `json:"public_id,omitempty"` // key of a JWT credential, client_id
	Secret      string     `json:"-"`
	Fingerprint string     `json:"fingerprint"`
	Tags        []string   `json:"tags"`
	CreatedAt   time.Time  `json:"created_at"`
	ExpiresAt   *time.Time `json:"expires_at,omitempty"`
}

// Counts sums up what the simulator holds.
type Counts struct {
	Consumers   int `json:"consumers"`
	Credentials int `json:"credentials"` // live: a ttl that has passed counts no more
	Groups      int `json:"groups"`      // memberships
}

// Snapshot is everything the simulator holds, secrets by fingerprint.
type Snapshot struct {
	Counts      Counts       `json:"counts"`
	Routes      []Route      `json:"routes"`
	Consumers   []Consumer   `json:"consumers"`
	Credentials []Credential `json:"credentials"`
}

// Snapshot copies the state, by id.
func (s *Server) Snapshot() Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := Snapshot{Routes: slices.Clone(s.routes), Consumers: []Consumer{}, Credentials: []Credential{}}
	for _, e := range s.tables[consumers].order {
		out.Consumers = append(out.Consumers, s.toConsumer(e))
	}
	for _, of := range []*schema{keyAuth, jwts, oauth2} {
		for _, e := range s.tables[of].order {
			if !e.expired(s.now()) {
				out.Credentials = append(out.Credentials, toCredential(of, e))
			}
		}
	}
	out.Counts = s.counts()
	return out
}

// counts copies nothing, so that it can be asked often.
func (s *Server) counts() Counts {
	out := Counts{Consumers: len(s.tables[consumers].order), Groups: len(s.tables[acls].order)}
	now := s.now()
	for _, of := range []*schema{keyAuth, jwts, oauth2} {
		for _, e := range s.tables[of].order {
			if !e.expired(now) {
				out.Credentials++
			}
		}
	}
	return out
}

func (s *Server) toConsumer(e *entity) Consumer {
	out := Consumer{
		ID: e.id(), Username: e.str("username"), CustomID: e.str("custom_id"), Tags: slices.Clone(e.tags()),
		CreatedAt: e.at("created_at"), UpdatedAt: e.at("updated_at"),
	}
	for _, row := range s.tables[acls].byConsumer[e.id()] {
		out.Groups = append(out.Groups, row.str("group"))
	}
	slices.Sort(out.Groups)
	return out
}

func toCredential(of *schema, e *entity) Credential {
	out := Credential{
		ID: e.id(), Kind: of.nested, Consumer: e.consumer, Tags: slices.Clone(e.tags()), CreatedAt: e.at("created_at"),
	}
	switch of {
	case jwts:
		out.PublicID, out.Secret = e.str("key"), e.str("secret")
	case oauth2:
		out.PublicID, out.Secret = e.str("client_id"), e.str("client_secret")
	default:
		out.Secret = e.str("key")
	}
	sum := sha256.Sum256([]byte(out.Secret))
	out.Fingerprint = hex.EncodeToString(sum[:6])
	if !e.expiresAt.IsZero() {
		at := e.expiresAt
		out.ExpiresAt = &at
	}
	return out
}

// Counts sums up the state.
func (s *Server) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts()
}

// Consumers lists all consumers.
func (s *Server) Consumers() []Consumer { return s.Snapshot().Consumers }

// Credentials lists the live credentials, with their clear secrets.
func (s *Server) Credentials() []Credential { return s.Snapshot().Credentials }

// ConsumerByCustomID finds a consumer, or false.
func (s *Server) ConsumerByCustomID(customID string) (Consumer, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.tables[consumers].unique["custom_id"][customID]; e != nil {
		return s.toConsumer(e), true
	}
	return Consumer{}, false
}

// KeyByValue finds the live key with this value, or false.
func (s *Server) KeyByValue(value string) (Credential, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.tables[keyAuth].find("key", value, s.now()); e != nil {
		return toCredential(keyAuth, e), true
	}
	return Credential{}, false
}

// AddConsumer stores a consumer that someone else made, with its groups, and
// gives its id.
func (s *Server) AddConsumer(c Consumer) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	values := map[string]any{}
	for name, value := range map[string]string{"id": c.ID, "username": c.Username, "custom_id": c.CustomID} {
		if value != "" {
			values[name] = value
		}
	}
	if c.Tags != nil {
		values["tags"] = slices.Clone(c.Tags)
	}
	e, err := s.insert(s.tables[consumers], input{values: values})
	if err != nil {
		return "", err
	}
	for _, group := range c.Groups {
		membership := input{values: map[string]any{"group": group}, consumer: e.id()}
		if _, err := s.insert(s.tables[acls], membership); err != nil {
			return "", err
		}
	}
	return e.id(), nil
}

// AddRoute adds a route to the proxy.
func (s *Server) AddRoute(route Route) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.routes = append(s.routes, route)
}

// AdminToken is the token of the Enterprise that is accepted now, or "".
func (s *Server) AdminToken() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.adminToken
}

// SetAdminToken replaces the token: calls with the old one get 401.
func (s *Server) SetAdminToken(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.adminToken = token
	s.RegisterSecret(token)
}

// SetDatabaseReachable changes what GET /status and /status/ready say; without
// its database the admin API answers 500, while the proxy goes on.
func (s *Server) SetDatabaseReachable(reachable bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dbDown = !reachable
}

// SetPropagationDelay changes how long the proxy ignores a change.
func (s *Server) SetPropagationDelay(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.toGateway.Delay = d
}

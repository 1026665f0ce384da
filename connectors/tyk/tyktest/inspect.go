package tyktest

import (
	"cmp"
	"crypto/subtle"
	"maps"
	"slices"
	"time"
)

// Key is one key of the store. The forms in which it can be presented are not
// written to JSON.
type Key struct {
	Hash      string         `json:"hash"`
	Custom    string         `json:"-"` // raw form of a custom key
	Token     string         `json:"-"` // base64 form
	Alias     string         `json:"alias"`
	OrgID     string         `json:"org_id"`
	Policies  []string       `json:"policies"`
	APIs      []string       `json:"apis"` // that it opens, by its policies as they are loaded
	ExpiresAt *time.Time     `json:"expires_at,omitempty"`
	Inactive  bool           `json:"inactive"`
	Tags      []string       `json:"tags"`
	MetaData  map[string]any `json:"meta_data"`
	CreatedAt time.Time      `json:"created_at"`
}

// Counts sums up what the simulator holds.
type Counts struct {
	Keys     int `json:"keys"`
	LiveKeys int `json:"live_keys"` // neither expired nor inactive
}

// Snapshot is everything the simulator holds, keys by hash.
type Snapshot struct {
	Counts   Counts   `json:"counts"`
	APIs     []API    `json:"apis"`
	Policies []Policy `json:"policies"` // as they are loaded
	Keys     []Key    `json:"keys"`
}

// Snapshot copies the state.
func (s *Server) Snapshot() Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.catchUp()
	out := Snapshot{Counts: s.counts(), APIs: slices.Clone(s.apis), Policies: []Policy{}, Keys: []Key{}}
	for _, id := range slices.Sorted(maps.Keys(s.loaded)) {
		out.Policies = append(out.Policies, s.loaded[id])
	}
	for _, key := range s.keys {
		out.Keys = append(out.Keys, s.show(key))
	}
	slices.SortFunc(out.Keys, func(a, b Key) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.Hash, b.Hash))
	})
	return out
}

func (s *Server) show(stored *session) Key {
	key := stored.copy()
	if err := s.applyPolicies(key); err != nil {
		key.AccessRights = nil
	}
	out := Key{
		Hash: keyHash(key.token), Custom: key.customID, Token: key.token, Alias: key.Alias, OrgID: key.OrgID,
		Policies: key.policies(), APIs: slices.Sorted(maps.Keys(key.AccessRights)), Inactive: key.IsInactive,
		Tags: key.Tags, MetaData: key.MetaData, CreatedAt: key.DateCreated,
	}
	if key.Expires > 0 {
		at := time.Unix(key.Expires, 0).UTC()
		out.ExpiresAt = &at
	}
	return out
}

func (s *Server) counts() Counts {
	out := Counts{Keys: len(s.keys)}
	now := s.Now()
	for _, key := range s.keys {
		if !key.IsInactive && !key.expired(now) {
			out.LiveKeys++
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

// Keys lists all keys by creation, with the forms in which they can be presented.
func (s *Server) Keys() []Key { return s.Snapshot().Keys }

// KeyByHash finds a key by its handle, or false.
func (s *Server) KeyByHash(hash string) (Key, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if key := s.keys[hash]; key != nil {
		return s.show(key), true
	}
	return Key{}, false
}

// KeyByCustomID finds a custom key of an organisation, or false.
func (s *Server) KeyByCustomID(org, id string) (Key, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if key := s.keys[s.handleOf(tokenFor(org, id))]; key != nil {
		return s.show(key), true
	}
	return Key{}, false
}

// Token is the base64 form of a custom key of an organisation, and Hash its handle.
func Token(org, id string) string { return tokenFor(org, id) }

// Hash is the handle of a key in base64 form.
func Hash(token string) string { return keyHash(token) }

// Secret is what X-Tyk-Authorization must hold now.
func (s *Server) Secret() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.secret
}

// SetSecret replaces the shared secret: calls with the old one get 403.
func (s *Server) SetSecret(secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secret = secret
	s.RegisterSecret(secret)
}

// AddAPI adds an API to the gateway.
func (s *Server) AddAPI(api API) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addAPI(api)
}

// AddPolicy writes a policy and loads it.
func (s *Server) AddPolicy(policy Policy) {
	s.mu.Lock()
	defer s.mu.Unlock()
	setDefault(&policy.OrgID, DefaultOrg)
	s.files[policy.ID] = policy
	s.loaded[policy.ID] = policy
}

// SetRedisReachable changes what GET /hello and /ready say. Without its Redis,
// Tyk finds no key (404, as if it were gone) and stores none (500), while the
// node lets pass what it remembers.
func (s *Server) SetRedisReachable(reachable bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noRedis = !reachable
}

// SetPropagationDelay changes how long the node ignores a change of a key.
func (s *Server) SetPropagationDelay(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.toNode.Delay = d
}

// ProbeOAuthClient answers as the token endpoint of an API would to a client's
// request: 200 or 403. It issues no token.
func (s *Server) ProbeOAuthClient(api, id, secret string) (status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.clients[api][id]
	if c == nil || subtle.ConstantTimeCompare([]byte(c.Secret), []byte(secret)) != 1 {
		return 403
	}
	return 200
}

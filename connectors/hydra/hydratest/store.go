package hydratest

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"slices"
	"strings"
	"time"
)

// keptOldSecrets are those that a rotation keeps, in the version that has it.
const keptOldSecrets = 5

// record is one client of the database. Only hashes of its secrets are kept.
type record struct {
	Client
	secret  hash
	rotated []hash // newest first
	tokens  map[string]*token
}

type hash [sha256.Size]byte

func hashOf(secret string) hash { return sha256.Sum256([]byte(secret)) }

func (h hash) matches(secret string) bool {
	got := hashOf(secret)
	return subtle.ConstantTimeCompare(h[:], got[:]) == 1
}

// store holds clients by id and by owner, so that neither is searched for.
type store struct {
	byID    map[string]*record
	order   []*record // by id
	byOwner map[string][]*record
	tokens  map[string]*token // by value
	// holders are the clients that have had a secret, by its hash, for Probe.
	holders map[hash][]string
}

func newStore() store {
	return store{
		byID: map[string]*record{}, byOwner: map[string][]*record{}, tokens: map[string]*token{}, holders: map[hash][]string{},
	}
}

func (s *store) add(r *record) {
	s.byID[r.ID] = r
	s.order = inserted(s.order, r)
	s.byOwner[r.Owner] = inserted(s.byOwner[r.Owner], r)
}

func (s *store) remove(r *record) {
	delete(s.byID, r.ID)
	s.order = deleted(s.order, r)
	if s.byOwner[r.Owner] = deleted(s.byOwner[r.Owner], r); len(s.byOwner[r.Owner]) == 0 {
		delete(s.byOwner, r.Owner)
	}
}

// dropTokens deletes the client's tokens. They are remembered as dropped: what
// checks a JWT offline believes it all the same.
func (s *store) dropTokens(r *record) {
	for _, t := range r.tokens {
		t.dropped = true
	}
	clear(r.tokens)
}

func (s *store) hold(id string, h hash) {
	if !slices.Contains(s.holders[h], id) {
		s.holders[h] = append(s.holders[h], id)
	}
}

func position(list []*record, id string) (int, bool) {
	return slices.BinarySearchFunc(list, id, func(r *record, id string) int { return strings.Compare(r.ID, id) })
}

func inserted(list []*record, r *record) []*record {
	at, _ := position(list, r.ID)
	return slices.Insert(list, at, r)
}

func deleted(list []*record, r *record) []*record {
	if at, ok := position(list, r.ID); ok {
		return slices.Delete(list, at, at+1)
	}
	return list
}

// publicClient is what the public side knows of a client.
type publicClient struct {
	id, authMethod, strategy string
	secrets                  []hash
	scopes, audience, grants []string
	lifespan                 time.Duration
}

// publish tells the public side what a client is now; nil: it is no more.
func (s *Server) publish(id string, r *record) {
	known := s.public
	if r == nil {
		s.toPublic.Publish(s.Now(), func() { delete(known, id) })
		return
	}
	c := publicClient{
		id: id, authMethod: r.AuthMethod, strategy: s.strategyOf(r), lifespan: DefaultTokenLifespan,
		secrets: append([]hash{r.secret}, r.rotated...),
		scopes:  strings.Fields(r.Scope), audience: slices.Clone(r.Audience), grants: slices.Clone(r.GrantTypes),
	}
	if life := r.ClientCredentialsAccessToken; life.Set {
		c.lifespan = life.Duration
	}
	s.toPublic.Publish(s.Now(), func() { known[id] = c })
}

func (s *Server) strategyOf(r *record) string {
	if r.Strategy != "" {
		return r.Strategy
	}
	return s.opts.Strategy
}

// generatedSecret is 26 characters, as Hydra makes them.
func generatedSecret() string { return rand.Text() }

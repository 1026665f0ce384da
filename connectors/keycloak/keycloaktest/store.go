package keycloaktest

import (
	"crypto/sha256"
	"crypto/subtle"
	"slices"
	"strings"
)

// store holds clients by id, by clientId and by attribute: none is searched for
// from end to end.
type store struct {
	byID        map[string]*client
	byClientID  map[string]*client
	order       []*client // by clientId
	byAttribute map[string]map[string]*client
	// holders are the clients that have had a secret, by its hash, for Probe.
	holders map[[sha256.Size]byte][]string
}

func newStore() store {
	return store{
		byID: map[string]*client{}, byClientID: map[string]*client{},
		byAttribute: map[string]map[string]*client{}, holders: map[[sha256.Size]byte][]string{},
	}
}

func attributeKey(name, value string) string { return name + "\x00" + value }

func (s *store) add(c *client) {
	s.byID[c.ID], s.byClientID[c.ClientID] = c, c
	at, _ := s.position(c.ClientID)
	s.order = slices.Insert(s.order, at, c)
	for name, value := range c.Attributes {
		key := attributeKey(name, value)
		if s.byAttribute[key] == nil {
			s.byAttribute[key] = map[string]*client{}
		}
		s.byAttribute[key][c.ID] = c
	}
	s.hold(c.ClientID, c.Secret)
}

func (s *store) remove(c *client) {
	delete(s.byID, c.ID)
	delete(s.byClientID, c.ClientID)
	if at, found := s.position(c.ClientID); found {
		s.order = slices.Delete(s.order, at, at+1)
	}
	for name, value := range c.Attributes {
		key := attributeKey(name, value)
		if delete(s.byAttribute[key], c.ID); len(s.byAttribute[key]) == 0 {
			delete(s.byAttribute, key)
		}
	}
}

func (s *store) position(clientID string) (int, bool) {
	return slices.BinarySearchFunc(s.order, clientID, func(c *client, id string) int { return strings.Compare(c.ClientID, id) })
}

func (s *store) hold(clientID, secret string) {
	if hash := sha256.Sum256([]byte(secret)); secret != "" && !slices.Contains(s.holders[hash], clientID) {
		s.holders[hash] = append(s.holders[hash], clientID)
	}
}

// withAttributes gives the clients that have all the pairs, by clientId.
func (s *store) withAttributes(pairs map[string]string) []*client {
	var found []*client
	for name, value := range pairs {
		for _, c := range s.byAttribute[attributeKey(name, value)] {
			found = append(found, c)
		}
		break
	}
	found = slices.DeleteFunc(found, func(c *client) bool {
		for name, value := range pairs {
			if c.Attributes[name] != value {
				return true
			}
		}
		return false
	})
	slices.SortFunc(found, func(a, b *client) int { return strings.Compare(a.ClientID, b.ClientID) })
	return found
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// publish tells the token endpoint what a client is now; nil: it is no more.
func (s *Server) publish(clientID string, c *client) {
	known := s.public
	if c == nil {
		s.toPublic.Publish(s.Now(), func() { delete(known, clientID) })
		return
	}
	published := c.copy()
	s.toPublic.Publish(s.Now(), func() { known[clientID] = published })
}

// replace puts a changed client in the place of what it was.
func (s *Server) replace(before, after *client) {
	s.remove(before)
	s.add(after)
	s.RegisterSecret(after.Secret, after.Attributes[attrRotated])
	if before.ClientID != after.ClientID {
		s.publish(before.ClientID, nil)
	}
	s.publish(after.ClientID, after)
}

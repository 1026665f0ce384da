package keycloaktest

import "time"

// The executor secret-rotation, and what the admin API does around it. Without
// the policy every step ends in forgetting the rotated secret.

// registered runs when a client was created.
func (s *Server) registered(c *client) {
	if s.policy != nil && !c.PublicClient {
		s.startExpiration(c)
	}
}

// updated runs after a PUT. A policy whose conditions do not hold for it lets
// Keycloak drop the rotated secret (api-managers.md, 3.6, trap).
func (s *Server) updated(c *client) {
	switch {
	case s.policy == nil, !s.policy.OnUpdate, c.PublicClient:
		c.forgetRotation()
	case c.seconds(attrSecretExpires) == 0:
		s.startExpiration(c)
	case past(c.seconds(attrSecretExpires), s.Now()):
		old := c.Secret
		s.generateSecret(c)
		s.keepRotated(c, old)
	}
}

// regenerate makes a secret of the server's own, and keeps the old one for the
// rotated period when there is a policy.
func (s *Server) regenerate(c *client) {
	old := c.Secret
	s.generateSecret(c)
	if s.policy == nil || c.PublicClient {
		c.forgetRotation()
		return
	}
	s.keepRotated(c, old)
}

// tokenRequested starts the life of a secret that is older than the policy. The
// policy's conditions leave out the realm's own clients, the admin one among them.
func (s *Server) tokenRequested(c *client) (changed bool) {
	if s.policy == nil || c.seeded || c.PublicClient || c.seconds(attrSecretExpires) > 0 {
		return false
	}
	s.startExpiration(c)
	return true
}

func (s *Server) startExpiration(c *client) {
	c.setSeconds(attrSecretExpires, s.Now().Add(s.policy.Expiration))
}

func (s *Server) keepRotated(c *client, old string) {
	now := s.Now()
	s.startExpiration(c)
	if s.policy.Rotated < time.Second {
		c.forgetRotated()
		return
	}
	c.Attributes[attrRotated] = old
	c.setSeconds(attrRotatedCreated, now)
	c.setSeconds(attrRotatedExpires, now.Add(s.policy.Rotated))
}

func (c *client) forgetRotation() {
	delete(c.Attributes, attrSecretExpires)
	c.forgetRotated()
}

func (c *client) forgetRotated() {
	delete(c.Attributes, attrRotated)
	delete(c.Attributes, attrRotatedCreated)
	delete(c.Attributes, attrRotatedExpires)
}

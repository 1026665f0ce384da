package hydratest

import (
	"fmt"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

// check says what is wrong with a seed.
func (o Options) check() error {
	switch {
	case o.Version != Version230 && o.Version != VersionRotating:
		return fmt.Errorf("hydratest: version %q: %s or %s", o.Version, Version230, VersionRotating)
	case o.Strategy != StrategyJWT && o.Strategy != StrategyOpaque:
		return fmt.Errorf("hydratest: strategy %q: %s or %s", o.Strategy, StrategyOpaque, StrategyJWT)
	case o.PropagationDelay < 0:
		return fmt.Errorf("hydratest: propagation_delay is negative")
	}
	return nil
}

// Describe gives the one JSON line that tells a client how to use the simulator.
// There is no credential: the admin API asks for none, as the real one.
func (s *Server) Describe() string {
	s.mu.Lock()
	version := s.version
	s.mu.Unlock()
	return partnertest.Line(struct {
		Partner     string                   `json:"partner"`
		API         string                   `json:"api"`
		Public      string                   `json:"public"`
		Issuer      string                   `json:"issuer"`
		TokenURL    string                   `json:"token_url"`
		JWKS        string                   `json:"jwks_url"`
		Admin       string                   `json:"admin"`
		Version     Version                  `json:"version"`
		Credentials []partnertest.Credential `json:"credentials"`
	}{
		Partner: "hydra", API: s.adminURL, Public: s.publicURL, Issuer: s.Issuer(), TokenURL: s.publicURL + "/oauth2/token",
		JWKS: s.publicURL + "/.well-known/jwks.json", Admin: s.adminURL + "/_admin/", Version: version, Credentials: []partnertest.Credential{},
	})
}

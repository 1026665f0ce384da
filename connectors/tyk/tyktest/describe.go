package tyktest

import (
	"fmt"
	"maps"
	"slices"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

// check says what is wrong with a seed.
func (o Options) check() error {
	for i, api := range o.APIs {
		if api.ID == "" {
			return fmt.Errorf("tyktest: apis[%d]: api_id is needed", i)
		}
	}
	for i, policy := range o.Policies {
		if policy.ID == "" {
			return fmt.Errorf("tyktest: policies[%d]: id is needed", i)
		}
	}
	if o.PropagationDelay < 0 || o.MinTokenLength < 0 {
		return fmt.Errorf("tyktest: propagation_delay and min_token_length must not be negative")
	}
	return nil
}

// Describe gives the one JSON line that tells a client how to use the simulator.
func (s *Server) Describe() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return partnertest.Line(struct {
		Partner     string                   `json:"partner"`
		API         string                   `json:"api"`
		Proxy       string                   `json:"proxy"`
		Admin       string                   `json:"admin"`
		KeyHeader   string                   `json:"key_header"`
		Credentials []partnertest.Credential `json:"credentials"` // the token goes in X-Tyk-Authorization
		APIs        []API                    `json:"apis"`
		Policies    []string                 `json:"policies"`
	}{
		Partner: "tyk", API: s.controlURL, Proxy: s.proxyURL, Admin: s.controlURL + "/_admin/", KeyHeader: s.opts.KeyHeader,
		Credentials: []partnertest.Credential{{Actor: "manager", Token: s.secret}}, APIs: slices.Clone(s.apis),
		Policies: slices.Sorted(maps.Keys(s.files)),
	})
}

package keycloaktest

import (
	"fmt"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

// check says what is wrong with a seed.
func (o Options) check() error {
	if o.AdminTokenLifespan < 0 || o.TokenLifespan < 0 || o.PropagationDelay < 0 {
		return fmt.Errorf("keycloaktest: admin_token_lifespan, token_lifespan and propagation_delay must not be negative")
	}
	if r := o.Rotation; r != nil && (r.Expiration < 0 || r.Rotated < 0 || r.Remaining < 0) {
		return fmt.Errorf("keycloaktest: rotation: periods must not be negative")
	}
	return nil
}

// Describe gives the one JSON line that tells a client how to use the simulator.
func (s *Server) Describe() string {
	return partnertest.Line(struct {
		Partner     string                   `json:"partner"`
		API         string                   `json:"api"`
		RealmAdmin  string                   `json:"realm_admin"`
		Issuer      string                   `json:"issuer"`
		TokenURL    string                   `json:"token_url"`
		Management  string                   `json:"management"`
		Admin       string                   `json:"admin"`
		Realm       string                   `json:"realm"`
		Scopes      []string                 `json:"scopes"`
		Credentials []partnertest.Credential `json:"credentials"`
	}{
		Partner: "keycloak", API: s.url, RealmAdmin: s.AdminURL(), Issuer: s.Issuer(), TokenURL: s.TokenURL(), Management: s.managementURL,
		Admin: s.url + "/_admin/", Realm: s.opts.Realm, Scopes: s.opts.Scopes,
		Credentials: []partnertest.Credential{{Actor: "manager", ClientID: s.opts.AdminClient, ClientSecret: s.opts.AdminSecret}},
	})
}

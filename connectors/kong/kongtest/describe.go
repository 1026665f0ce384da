package kongtest

import (
	"fmt"
	"strings"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

// check says what is wrong with a seed.
func (o Options) check() error {
	for i, r := range o.Routes {
		if r.Name == "" || !strings.HasPrefix(r.Path, "/") {
			return fmt.Errorf("kongtest: routes[%d]: name is needed, and a path that begins with /", i)
		}
	}
	if o.PropagationDelay < 0 {
		return fmt.Errorf("kongtest: propagation_delay is negative")
	}
	return nil
}

// Describe gives the one JSON line that tells a client how to use the simulator.
func (s *Server) Describe() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	line := struct {
		Partner     string                   `json:"partner"`
		API         string                   `json:"api"`
		Proxy       string                   `json:"proxy"`
		Status      string                   `json:"status"`
		Admin       string                   `json:"admin"`
		KeyHeader   string                   `json:"key_header"`
		Workspace   string                   `json:"workspace,omitempty"`
		Credentials []partnertest.Credential `json:"credentials"` // none: the open-source edition asks for nothing
		Routes      []Route                  `json:"routes"`
	}{
		Partner: "kong", API: s.adminURL, Proxy: s.proxyURL, Status: s.statusURL, Admin: s.adminURL + "/_admin/",
		KeyHeader: keyName, Workspace: s.opts.Workspace, Credentials: []partnertest.Credential{}, Routes: s.routes,
	}
	if s.adminToken != "" {
		line.Credentials = append(line.Credentials, partnertest.Credential{Actor: "manager", Token: s.adminToken})
	}
	return partnertest.Line(line)
}

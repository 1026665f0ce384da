package graviteetest

import (
	"fmt"
	"slices"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

// check says what is wrong with a seed.
func (o Options) check() error {
	plans := map[string]bool{}
	for i, api := range o.APIs {
		if api.ID == "" {
			return fmt.Errorf("graviteetest: apis[%d]: id is needed", i)
		}
		for j, plan := range api.Plans {
			at := fmt.Sprintf("graviteetest: apis[%d].plans[%d]", i, j)
			switch {
			case plan.ID == "":
				return fmt.Errorf("%s: id is needed", at)
			case plans[plan.ID]:
				return fmt.Errorf("%s: id %q is there twice", at, plan.ID)
			case !slices.Contains([]string{"", ValidationAuto, ValidationManual}, plan.Validation):
				return fmt.Errorf("%s: validation is %s or %s", at, ValidationManual, ValidationAuto)
			}
			plans[plan.ID] = true
		}
	}
	if o.PropagationDelay < 0 {
		return fmt.Errorf("graviteetest: propagation_delay is negative")
	}
	return nil
}

// Describe gives the one JSON line that tells a client how to use the simulator.
func (s *Server) Describe() string {
	type plan struct {
		ID         string `json:"id"`
		HRID       string `json:"hrid,omitempty"`
		Security   string `json:"security"`
		Validation string `json:"validation"`
	}
	type api struct {
		ID    string `json:"id"`
		HRID  string `json:"hrid,omitempty"`
		Path  string `json:"path"`
		Plans []plan `json:"plans"`
	}
	line := struct {
		Partner      string                   `json:"partner"`
		API          string                   `json:"api"`
		Gateway      string                   `json:"gateway"`
		Technical    string                   `json:"technical"`
		Admin        string                   `json:"admin"`
		Organization string                   `json:"organization"`
		Environment  string                   `json:"environment"`
		Credentials  []partnertest.Credential `json:"credentials"`
		APIs         []api                    `json:"apis"`
	}{
		Partner: "gravitee", API: s.managementURL, Gateway: s.gatewayURL, Technical: s.technicalURL, Admin: s.managementURL + "/_admin/",
		Organization: s.opts.Organization, Environment: s.opts.Environment,
		Credentials: []partnertest.Credential{
			{Actor: "manager", Token: s.Token()},
			{Actor: "manager", Username: s.opts.User, Password: s.opts.Password},
		},
		APIs: []api{},
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, held := range s.apiOrder {
		shown := api{ID: held.ID, HRID: held.HRID, Path: held.ContextPath, Plans: []plan{}}
		for _, of := range s.opts.APIs {
			if of.ID != held.ID {
				continue
			}
			for _, p := range of.Plans {
				p = *s.plans[p.ID]
				shown.Plans = append(shown.Plans, plan{p.ID, p.HRID, p.Security, p.Validation})
			}
		}
		line.APIs = append(line.APIs, shown)
	}
	return partnertest.Line(line)
}

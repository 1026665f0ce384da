package gravitee

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
)

// Config is one Gravitee in the settings.
type Config struct {
	URL          string            `yaml:"url"` // management host: https://apim.example, without /management
	Organization string            `yaml:"organization"`
	Environment  string            `yaml:"environment"`
	Token        connectors.Secret `yaml:"token"`                  // personal access token
	TokenFile    string            `yaml:"token_file" kind:"path"` // or its file, read again when the token is refused
	Username     string            `yaml:"username"`               // or Basic
	Password     connectors.Secret `yaml:"password"`
	Grants       map[string]Grant  `yaml:"grants"` // by definition
	// Probe is a URL of the gateway that VerifyRevoked calls with the revoked
	// key; {definition} and {api} are replaced. Empty: the manager's word counts.
	Probe string `yaml:"probe"`
	// SyncDelay is how long the gateway may ignore a change.
	SyncDelay time.Duration `yaml:"sync_delay"`
	PageSize  int           `yaml:"page_size"` // applications that one page of List looks at

	outbound.Settings `yaml:",inline"`
}

// Grant says what a definition opens: always Plan of API, and for some scopes
// plans of other APIs. One key opens them all. Gravitee takes a value once for
// each API: the plans of a definition are of different APIs.
type Grant struct {
	API       string               `yaml:"api"`
	Plan      string               `yaml:"plan"`
	Scopes    map[string][]PlanRef `yaml:"scopes"`     // scope -> further plans; none: Plan gives it
	AllScopes bool                 `yaml:"all_scopes"` // Plan gives every scope that Scopes does not name
	Probe     string               `yaml:"probe"`      // instead of Config.Probe
}

// PlanRef names a plan of an API, written "api/plan".
type PlanRef struct{ API, Plan string }

// UnmarshalText reads "api/plan".
func (p *PlanRef) UnmarshalText(text []byte) error {
	api, plan, ok := strings.Cut(string(text), "/")
	if !ok || api == "" || plan == "" || strings.Contains(plan, "/") {
		return fmt.Errorf("%q is not \"api/plan\"", text)
	}
	p.API, p.Plan = api, plan
	return nil
}

// String writes "api/plan".
func (p PlanRef) String() string { return p.API + "/" + p.Plan }

// Default gives the settings of an installation that changed nothing.
func Default() Config {
	return Config{Organization: "DEFAULT", Environment: "DEFAULT", SyncDelay: 5 * time.Second, PageSize: 20}
}

// Validate gives every fault at once (errors.Join).
func (c Config) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if u, err := url.Parse(c.URL); err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" {
		fault("url: not an absolute URL")
	} else if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		fault("url: only scheme, host and path: credentials have settings of their own")
	}
	for name, value := range map[string]string{"organization": c.Organization, "environment": c.Environment} {
		if value == "" {
			fault("%s: missing", name)
		}
	}
	ways := 0
	for _, given := range []bool{!c.Token.IsZero(), c.TokenFile != "", c.Username != "" || !c.Password.IsZero()} {
		if given {
			ways++
		}
	}
	if ways != 1 {
		fault("token, token_file, or username and password: one of them")
	}
	if (c.Username == "") != c.Password.IsZero() {
		fault("username and password go together")
	}
	if c.SyncDelay < 0 {
		fault("sync_delay: %s is negative", c.SyncDelay)
	}
	if c.PageSize < 1 || c.PageSize > perPage {
		fault("page_size: %d is not between 1 and %d", c.PageSize, perPage)
	}
	if len(c.Grants) == 0 {
		fault("grants: missing: no definition can be opened")
	}
	for _, definition := range slices.Sorted(maps.Keys(c.Grants)) {
		for _, err := range c.Grants[definition].faults() {
			fault("grants.%s.%w", definition, err)
		}
		if probe := c.probeURL(definition); probe != "" {
			if u, err := url.Parse(probe); err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" {
				fault("probe of %s: not an absolute URL", definition)
			}
			if c.Host != "" {
				fault("probe of %s: cannot be used with host, which would be sent to the gateway too", definition)
			}
		}
	}
	return errors.Join(append(faults, c.Settings.Validate())...)
}

func (g Grant) faults() []error {
	var faults []error
	if g.API == "" {
		faults = append(faults, errors.New("api: missing"))
	}
	if g.Plan == "" {
		faults = append(faults, errors.New("plan: missing"))
	}
	plans := map[string]string{g.API: g.Plan}
	for _, scope := range slices.Sorted(maps.Keys(g.Scopes)) {
		for _, plan := range g.Scopes[scope] {
			if other, taken := plans[plan.API]; taken && other != plan.Plan {
				faults = append(faults, fmt.Errorf("scopes.%s: %s: a second plan of the same API cannot hold the same key", scope, plan))
			}
			plans[plan.API] = plan.Plan
		}
	}
	return faults
}

// main is the plan that every credential of the definition is for.
func (g Grant) main() PlanRef { return PlanRef{g.API, g.Plan} }

// plans gives what the scopes need, the main plan first. A scope without a
// mapping is named in the error.
func (g Grant) plans(scopes []string) ([]PlanRef, error) {
	plans := []PlanRef{g.main()}
	for _, scope := range scopes {
		further, mapped := g.Scopes[scope]
		if !mapped && !g.AllScopes {
			return nil, fmt.Errorf("scope %s has no mapping", scope)
		}
		for _, plan := range further {
			if !slices.Contains(plans, plan) {
				plans = append(plans, plan)
			}
		}
	}
	return plans, nil
}

// all gives every plan that the definition may need.
func (g Grant) all() []PlanRef {
	plans, _ := g.plans(slices.Sorted(maps.Keys(g.Scopes))) // mapped, all of them
	return plans
}

func (c Config) probeURL(definition string) string {
	grant := c.Grants[definition]
	probe := c.Probe
	if grant.Probe != "" {
		probe = grant.Probe
	}
	return strings.NewReplacer("{definition}", url.PathEscape(definition), "{api}", url.PathEscape(grant.API)).Replace(probe)
}

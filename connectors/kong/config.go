package kong

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

// Config is one Kong in the settings.
type Config struct {
	URL       string            `yaml:"url"`        // admin API: https://kong.example:8444
	Workspace string            `yaml:"workspace"`  // Enterprise; empty: none in the path
	Token     connectors.Secret `yaml:"token"`      // Enterprise: Kong-Admin-Token
	StatusURL string            `yaml:"status_url"` // status listener; empty: not asked
	Grants    map[string]Grant  `yaml:"grants"`     // by definition
	// Propagation is how long a node of the gateway may ignore a change: Kong's
	// db_update_frequency, or the data planes' delay in hybrid mode.
	Propagation time.Duration `yaml:"propagation"`
	// PageSize is how many objects one call lists, 1 to 1000.
	PageSize int `yaml:"page_size"`

	outbound.Settings `yaml:",inline"`
}

// Grant says which groups of the plugin acl a definition opens: Groups always,
// and those of each granted scope.
type Grant struct {
	Groups []string            `yaml:"groups"`
	Scopes map[string][]string `yaml:"scopes"`
}

const maxPageSize = 1000

// Default gives the settings of an installation that changed nothing.
func Default() Config { return Config{Propagation: 5 * time.Second, PageSize: 100} }

// Validate gives every fault at once (errors.Join).
func (c Config) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if err := checkURL(c.URL); err != nil {
		fault("url: %w", err)
	}
	if c.StatusURL != "" {
		if err := checkURL(c.StatusURL); err != nil {
			fault("status_url: %w", err)
		}
	}
	if strings.ContainsAny(c.Workspace, "/?#") {
		fault("workspace: %q is not a name", c.Workspace)
	}
	if c.Propagation < 0 {
		fault("propagation: %s is negative", c.Propagation)
	}
	if c.PageSize < 1 || c.PageSize > maxPageSize {
		fault("page_size: %d is not between 1 and %d", c.PageSize, maxPageSize)
	}
	if len(c.Grants) == 0 {
		fault("grants: missing: no definition can be opened")
	}
	for _, definition := range slices.Sorted(maps.Keys(c.Grants)) {
		grant := c.Grants[definition]
		if len(grant.Groups) == 0 && len(grant.Scopes) == 0 {
			fault("grants.%s: neither groups nor scopes", definition)
		}
		if slices.Contains(grant.Groups, "") {
			fault("grants.%s.groups: an empty name", definition)
		}
		for _, scope := range slices.Sorted(maps.Keys(grant.Scopes)) {
			if slices.Contains(grant.Scopes[scope], "") {
				fault("grants.%s.scopes.%s: an empty name", definition, scope)
			}
		}
	}
	return errors.Join(append(faults, c.Settings.Validate())...)
}

func checkURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "":
		return errors.New("not an absolute URL")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return errors.New("only scheme, host and path: credentials have settings of their own")
	}
	return nil
}

// groups gives what the scopes need, sorted. A scope without a mapping is named
// in the error.
func (g Grant) groups(scopes []string) ([]string, error) {
	groups := slices.Clone(g.Groups)
	for _, scope := range scopes {
		further, mapped := g.Scopes[scope]
		if !mapped {
			return nil, fmt.Errorf("scope %s has no mapping", scope)
		}
		groups = append(groups, further...)
	}
	slices.Sort(groups)
	return slices.Compact(groups), nil
}

// scopes gives the scopes whose groups are all held, sorted.
func (g Grant) scopes(held []string) []string {
	var scopes []string
	for scope, groups := range g.Scopes {
		missing := func(group string) bool { return !slices.Contains(held, group) }
		if !slices.ContainsFunc(slices.Concat(g.Groups, groups), missing) {
			scopes = append(scopes, scope)
		}
	}
	slices.Sort(scopes)
	return scopes
}

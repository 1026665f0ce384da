package tyk

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

// Config is one Tyk Gateway in the settings.
type Config struct {
	URL    string            `yaml:"url"`    // control API: https://tyk.example:9696
	Secret connectors.Secret `yaml:"secret"` // X-Tyk-Authorization
	Org    string            `yaml:"org"`    // organisation of the APIs and policies
	Grants map[string]Grant  `yaml:"grants"` // by definition
	// Listing says that Tyk runs with enable_hashed_keys_listing.
	Listing bool `yaml:"listing"`
	// SessionCache is how long a node may let a dead key pass, in its raw form
	// (local_session_cache.cached_session_timeout).
	SessionCache time.Duration `yaml:"session_cache"`
	// PageSize is how many keys one page of the list reads.
	PageSize int `yaml:"page_size"`

	outbound.Settings `yaml:",inline"`
}

// Grant says which policies a definition opens: Policies always, and those of
// each granted scope.
type Grant struct {
	Policies []string            `yaml:"policies"`
	Scopes   map[string][]string `yaml:"scopes"`
}

// SecretsInURL are the calls, "METHOD route", with a secret in their URL: Tyk
// takes a value of ours in no other way.
func SecretsInURL() []string { return []string{"POST " + keyRoute} }

// Default gives the settings of an installation that changed nothing.
func Default() Config {
	return Config{Org: "default", SessionCache: 10 * time.Second, PageSize: 100}
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
	if c.Secret.IsZero() {
		fault("secret: missing")
	}
	if c.Org == "" || strings.ContainsAny(c.Org, `"\`) {
		fault("org: %q is no organisation", c.Org)
	}
	if c.SessionCache < 0 {
		fault("session_cache: %s is negative", c.SessionCache)
	}
	if c.PageSize < 1 {
		fault("page_size: %d is not positive", c.PageSize)
	}
	if len(c.Grants) == 0 {
		fault("grants: missing: no definition can be opened")
	}
	for _, definition := range slices.Sorted(maps.Keys(c.Grants)) {
		grant := c.Grants[definition]
		if len(grant.Policies) == 0 && len(grant.Scopes) == 0 {
			fault("grants.%s: neither policies nor scopes", definition)
		}
		if slices.Contains(grant.Policies, "") {
			fault("grants.%s.policies: an empty name", definition)
		}
		for _, scope := range slices.Sorted(maps.Keys(grant.Scopes)) {
			policies := grant.Scopes[scope]
			if len(policies)+len(grant.Policies) == 0 || slices.Contains(policies, "") {
				fault("grants.%s.scopes.%s: no policy, or an empty name", definition, scope)
			}
		}
	}
	return errors.Join(append(faults, c.Settings.Validate())...)
}

// policies gives what the scopes need, sorted. A scope without a mapping is named
// in the error.
func (g Grant) policies(scopes []string) ([]string, error) {
	policies := slices.Clone(g.Policies)
	for _, scope := range scopes {
		further, mapped := g.Scopes[scope]
		if !mapped {
			return nil, fmt.Errorf("scope %s has no mapping", scope)
		}
		policies = append(policies, further...)
	}
	slices.Sort(policies)
	policies = slices.Compact(policies)
	if len(policies) == 0 {
		return nil, errors.New("a key without policy is refused by Tyk: policies must name one")
	}
	return policies, nil
}

// scopes gives the scopes whose policies are all held, sorted.
func (g Grant) scopes(held []string) []string {
	var scopes []string
	for scope, policies := range g.Scopes {
		missing := func(policy string) bool { return !slices.Contains(held, policy) }
		if !slices.ContainsFunc(slices.Concat(g.Policies, policies), missing) {
			scopes = append(scopes, scope)
		}
	}
	slices.Sort(scopes)
	return scopes
}

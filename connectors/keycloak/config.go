package keycloak

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

// Config is one realm of a Keycloak in the settings.
type Config struct {
	URL           string            `yaml:"url"`            // https://keycloak.example, with http-relative-path when there is one
	ManagementURL string            `yaml:"management_url"` // management interface (port 9000); empty: not asked
	Realm         string            `yaml:"realm"`
	AdminRealm    string            `yaml:"admin_realm"` // of the hub's own client; empty: Realm
	ClientID      string            `yaml:"client_id"`   // the hub's own client, with the role manage-clients
	ClientSecret  connectors.Secret `yaml:"client_secret"`
	Grants        map[string]Grant  `yaml:"grants"` // by definition
	// RotatedPeriod is the realm's rotated-expiration-period, when a client policy
	// runs the executor secret-rotation; 0: it has none.
	RotatedPeriod time.Duration `yaml:"rotated_period"`
	// TokenLifetime is the realm's access token lifespan: a token outlives a
	// revocation by as much.
	TokenLifetime time.Duration `yaml:"token_lifetime"`
	// PageSize is how many clients one call lists.
	PageSize int `yaml:"page_size"`

	outbound.Settings `yaml:",inline"`
}

// Grant says which client scopes a definition opens: Base always, and those of
// each granted scope.
type Grant struct {
	Base   []string            `yaml:"base"`
	Scopes map[string][]string `yaml:"scopes"`
}

// Default gives the settings of a realm that changed nothing.
func Default() Config { return Config{TokenLifetime: 5 * time.Minute, PageSize: 100} }

// Validate gives every fault at once (errors.Join).
func (c Config) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if err := checkURL(c.URL); err != nil {
		fault("url: %w", err)
	}
	if c.ManagementURL != "" {
		if err := checkURL(c.ManagementURL); err != nil {
			fault("management_url: %w", err)
		}
	}
	if c.Realm == "" {
		fault("realm: missing")
	}
	if c.ClientID == "" {
		fault("client_id: missing")
	}
	if c.ClientSecret.IsZero() {
		fault("client_secret: missing")
	}
	if c.RotatedPeriod < 0 || c.RotatedPeriod%time.Second != 0 {
		fault("rotated_period: %s is negative, or no whole number of seconds", c.RotatedPeriod)
	}
	if c.TokenLifetime <= 0 {
		fault("token_lifetime: %s is not positive", c.TokenLifetime)
	}
	if c.PageSize < 1 {
		fault("page_size: %d is not positive", c.PageSize)
	}
	if len(c.Grants) == 0 {
		fault("grants: missing: no definition can be opened")
	}
	for _, definition := range slices.Sorted(maps.Keys(c.Grants)) {
		grant := c.Grants[definition]
		if len(grant.Base) == 0 && len(grant.Scopes) == 0 {
			fault("grants.%s: neither base nor scopes", definition)
		}
		if slices.Contains(grant.Base, "") {
			fault("grants.%s.base: an empty name", definition)
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

// searchable: Keycloak's search by attribute splits at these.
func searchable(owner string) bool { return owner != "" && !strings.ContainsAny(owner, " :\"\t") }

// clientScopes gives what the scopes need, sorted. A scope without a mapping is
// named in the error.
func (g Grant) clientScopes(scopes []string) ([]string, error) {
	names := slices.Clone(g.Base)
	for _, scope := range scopes {
		further, mapped := g.Scopes[scope]
		if !mapped {
			return nil, fmt.Errorf("scope %s has no mapping", scope)
		}
		names = append(names, further...)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// scopes gives the scopes whose client scopes are all held, sorted.
func (g Grant) scopes(held []string) []string {
	var scopes []string
	for scope, names := range g.Scopes {
		missing := func(name string) bool { return !slices.Contains(held, name) }
		if !slices.ContainsFunc(slices.Concat(g.Base, names), missing) {
			scopes = append(scopes, scope)
		}
	}
	slices.Sort(scopes)
	return scopes
}

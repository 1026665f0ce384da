package hydra

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/outbound"
)

// Config is one Hydra in the settings.
type Config struct {
	URL       string           `yaml:"url"`        // admin API: https://hydra-admin.example:4445
	PublicURL string           `yaml:"public_url"` // where holders ask for tokens; empty: not checked
	Grants    map[string]Grant `yaml:"grants"`     // by definition
	// Strategy is "jwt" (APIs check tokens offline) or "opaque" (they introspect).
	Strategy Strategy `yaml:"strategy"`
	// TokenLifetime is how long an access token lives. Checked offline, it outlives
	// a revocation by as much.
	TokenLifetime time.Duration `yaml:"token_lifetime"`
	// PageSize is how many clients one call lists, 1 to 250.
	PageSize int `yaml:"page_size"`

	outbound.Settings `yaml:",inline"`
}

// Strategy is how Hydra writes access tokens.
type Strategy string

// The strategies.
const (
	JWT    Strategy = "jwt"
	Opaque Strategy = "opaque"
)

// Grant says what a definition opens: the audiences of its tokens, and the words
// of the client's scope: Base always, and those of each granted scope.
type Grant struct {
	Audience []string            `yaml:"audience"`
	Base     []string            `yaml:"base"`
	Scopes   map[string][]string `yaml:"scopes"`
}

// maxPageSize is what Hydra 2.3.0 lists when it is not told.
const maxPageSize = 250

// Default gives JWTs of one hour.
func Default() Config { return Config{Strategy: JWT, TokenLifetime: time.Hour, PageSize: 100} }

// Validate gives every fault at once (errors.Join).
func (c Config) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if err := checkURL(c.URL); err != nil {
		fault("url: %w", err)
	}
	if c.PublicURL != "" {
		if err := checkURL(c.PublicURL); err != nil {
			fault("public_url: %w", err)
		}
	}
	if c.Strategy != JWT && c.Strategy != Opaque {
		fault("strategy: %q is not %s or %s", c.Strategy, JWT, Opaque)
	}
	if c.TokenLifetime < time.Second {
		fault("token_lifetime: %s is under a second", c.TokenLifetime)
	}
	if c.PageSize < 1 || c.PageSize > maxPageSize {
		fault("page_size: %d is not between 1 and %d", c.PageSize, maxPageSize)
	}
	if len(c.Grants) == 0 {
		fault("grants: missing: no definition can be opened")
	}
	for _, definition := range slices.Sorted(maps.Keys(c.Grants)) {
		grant := c.Grants[definition]
		if len(grant.Base) == 0 && len(grant.Scopes) == 0 {
			fault("grants.%s: neither base nor scopes", definition)
		}
		if slices.ContainsFunc(grant.Base, notWord) {
			fault("grants.%s.base: %q: each must be a word of a scope (RFC 6749, 3.3)", definition, grant.Base)
		}
		for _, scope := range slices.Sorted(maps.Keys(grant.Scopes)) {
			words := grant.Scopes[scope]
			if len(words)+len(grant.Base) == 0 || slices.ContainsFunc(words, notWord) {
				fault("grants.%s.scopes.%s: %q: each must be a word of a scope (RFC 6749, 3.3)", definition, scope, words)
			}
		}
	}
	return errors.Join(append(faults, c.Settings.Validate())...)
}

func notWord(s string) bool {
	return s == "" || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' })
}

func checkURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "":
		return errors.New("not an absolute URL")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return errors.New("only scheme, host and path")
	}
	return nil
}

// words gives the client's scope for the granted scopes, sorted. A scope without
// a mapping is named in the error.
func (g Grant) words(scopes []string) ([]string, error) {
	words := slices.Clone(g.Base)
	for _, scope := range scopes {
		further, mapped := g.Scopes[scope]
		if !mapped {
			return nil, fmt.Errorf("scope %s has no mapping", scope)
		}
		words = append(words, further...)
	}
	slices.Sort(words)
	words = slices.Compact(words)
	if len(words) == 0 {
		return nil, errors.New("a client without scope would get the default ones of Hydra: base must name one")
	}
	return words, nil
}

// scopes gives the scopes whose words are all held, sorted.
func (g Grant) scopes(held []string) []string {
	var scopes []string
	for scope, words := range g.Scopes {
		missing := func(word string) bool { return !slices.Contains(held, word) }
		if !slices.ContainsFunc(slices.Concat(g.Base, words), missing) {
			scopes = append(scopes, scope)
		}
	}
	slices.Sort(scopes)
	return scopes
}

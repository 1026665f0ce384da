package jwtissuer

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"time"

	"github.com/passerelle-hub/passerelle/internal/jose"
)

const day = 24 * time.Hour

// Config sets the built-in issuer. The signing keys are the hub's: Schedule says
// how they follow each other.
type Config struct {
	// Issuer is `iss`: the URL under which the hub publishes its keys.
	Issuer string `yaml:"issuer"`
	// Algorithm is ES256 or EdDSA.
	Algorithm jose.Alg `yaml:"algorithm"`
	// Lifetime is given where the request names no end.
	Lifetime time.Duration `yaml:"lifetime"`
	// MaxLifetime refuses a later end. A key is published that long after it signed last.
	MaxLifetime time.Duration `yaml:"max_lifetime"`
	// KeyPeriod is how long a key signs before the next one does.
	KeyPeriod time.Duration `yaml:"key_period"`
	// MaxAge is how long verifiers may keep the published key set.
	MaxAge time.Duration `yaml:"max_age"`
	// Definitions are the APIs served, by DataPass's uid.
	Definitions map[string]Definition `yaml:"definitions"`
}

// Definition is one API.
type Definition struct {
	// Audience is `aud`: the one API that accepts the token.
	Audience string `yaml:"audience"`
	// Scopes gives for each DataPass scope the scope written into the token. One
	// that is not here is refused, never dropped.
	Scopes map[string]string `yaml:"scopes"`
}

// Default gives the settings that an operator does not have to name: 18 months,
// a key each 90 days, a key set kept for ten minutes.
func Default() Config {
	return Config{
		Algorithm: jose.ES256, Lifetime: 548 * day, MaxLifetime: 551 * day, // 18 months are at most 550 days, and a call has its own delay
		KeyPeriod: 90 * day, MaxAge: 10 * time.Minute,
	}
}

// Schedule gives the life of the issuer's signing keys (tokens.md, 7.6).
func (c Config) Schedule() jose.Schedule {
	return jose.Schedule{Alg: c.Algorithm, MaxAge: c.MaxAge, Period: c.KeyPeriod, MaxLife: c.MaxLifetime}
}

// Validate gives every fault at once, one a line.
func (c Config) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if !secureURL(c.Issuer) {
		fault("issuer: %q is not an https URL without query and fragment", c.Issuer)
	}
	if c.Lifetime <= 0 || c.Lifetime > c.MaxLifetime {
		fault("lifetime: %s is not between 0 and max_lifetime (%s)", c.Lifetime, c.MaxLifetime)
	}
	if err := c.Schedule().Check(); err != nil {
		fault("algorithm, key_period, max_age, max_lifetime: %w", err)
	}
	if len(c.Definitions) == 0 {
		fault("definitions: missing: there is nothing to issue for")
	}
	for _, uid := range slices.Sorted(maps.Keys(c.Definitions)) {
		d := c.Definitions[uid]
		if d.Audience == "" {
			fault("definitions.%s.audience: missing", uid)
		}
		for _, scope := range slices.Sorted(maps.Keys(d.Scopes)) {
			if !jose.ValidScope(d.Scopes[scope]) {
				fault("definitions.%s.scopes.%s: %q is not a scope (RFC 6749, 3.3)", uid, scope, d.Scopes[scope])
			}
		}
	}
	return errors.Join(faults...)
}

// secureURL: https, or http on loopback for the demo and for tests.
func secureURL(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return false
	}
	if u.Scheme == "http" {
		ip := net.ParseIP(u.Hostname())
		return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	}
	return u.Scheme == "https"
}

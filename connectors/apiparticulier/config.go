package apiparticulier

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
)

// Config is one API Particulier.
type Config struct {
	URL       string // https://particulier.api.gouv.fr
	UserAgent string // names the client and its version

	outbound.Settings
}

// maxAnswer bounds an answer, in bytes: a family is a few thousand.
const maxAnswer = 256 << 10

// Default gives the limits of one attempt (AP-2). A provider behind API
// Particulier may be down for its own people alone: the breaker is patient.
func Default() Config {
	none := 0
	return Config{
		UserAgent: outbound.UserAgent,
		Settings: outbound.Settings{
			Retries: &none, MaxBody: maxAnswer, Breaker: outbound.Breaker{Failures: 20, OpenFor: 10 * time.Second},
			Timeouts: outbound.Timeouts{Connect: 3 * time.Second, TLS: 3 * time.Second, FirstByte: 20 * time.Second, Total: 20 * time.Second},
		},
	}
}

// Validate gives every fault at once (errors.Join).
func (c Config) Validate() error {
	var faults []error
	if u, err := url.Parse(c.URL); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		faults = append(faults, errors.New("url: not an absolute URL"))
	} else if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		faults = append(faults, errors.New("url: only scheme, host and path"))
	}
	if c.UserAgent == "" || strings.ContainsFunc(c.UserAgent, func(r rune) bool { return r < ' ' || r > '~' }) {
		faults = append(faults, errors.New("user_agent: printable ASCII characters"))
	}
	return errors.Join(append(faults, c.Settings.Validate())...)
}

// Open gives the source. Nothing is called yet.
func (c Config) Open(deps connectors.Deps) (*Source, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("apiparticulier: %w", err)
	}
	return &Source{config: c, deps: deps}, nil
}

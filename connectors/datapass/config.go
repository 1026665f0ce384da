package datapass

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
)

// maxAnswer bounds one page, in bytes; a page that is larger is asked for in
// smaller parts.
const maxAnswer = 8 << 20

// Config is one DataPass in the settings.
type Config struct {
	URL          string // of the site: https://datapass.api.gouv.fr
	ClientID     string
	ClientSecret connectors.Secret

	outbound.Settings
}

// Default gives the limits of a site whose lists take seconds.
func Default() Config {
	return Config{Settings: outbound.Settings{
		MaxBody:  maxAnswer,
		Timeouts: outbound.Timeouts{FirstByte: 25 * time.Second, Total: 30 * time.Second},
	}}
}

// Validate gives every fault at once (errors.Join).
func (c Config) Validate() error {
	var faults []error
	if u, err := url.Parse(c.URL); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		faults = append(faults, errors.New("url: not an absolute URL"))
	} else if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		faults = append(faults, errors.New("url: only scheme, host and path: credentials have settings of their own"))
	}
	if c.ClientID == "" {
		faults = append(faults, errors.New("client_id: missing"))
	}
	if c.ClientSecret.IsZero() {
		faults = append(faults, errors.New("client_secret: missing"))
	}
	return errors.Join(append(faults, c.Settings.Validate())...)
}

// Open gives the source. Nothing is called yet.
func (c Config) Open(deps connectors.Deps) (*Source, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("datapass: %w", err)
	}
	s := &Source{config: c, deps: deps}
	s.pageSize.Store(maxPage)
	return s, nil
}

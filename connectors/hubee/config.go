package hubee

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
)

// Config is one credential at one HubEE.
type Config struct {
	URL          string            `yaml:"url"`       // https://api.hubee.numerique.gouv.fr
	TokenURL     string            `yaml:"token_url"` // https://auth.hubee.numerique.gouv.fr/oauth2/token
	ClientID     string            `yaml:"client_id"`
	ClientSecret connectors.Secret `yaml:"client_secret"`
	Scope        string            `yaml:"scope"` // OSL, DATAPASS or ADMIN

	// Who we are in partnerInfo, 50 characters each at most.
	EditorName      string `yaml:"editor_name"`
	ApplicationName string `yaml:"application_name"`
	SoftwareVersion string `yaml:"software_version"`

	outbound.Settings `yaml:",inline"`
}

// Limits of hubee.md, 3 and 13 (HC-15).
const (
	maxIdentity   = 50
	maxMetadata   = 255
	maxExternalID = 30
	callTimeout   = 35 * time.Second  // of one call without binary
	fileTimeout   = 300 * time.Second // of one binary
)

// Default gives HC-15's limits and the hub's own name.
func Default() Config {
	return Config{
		Scope: "OSL", EditorName: "Passerelle", ApplicationName: "passerelle-qf", SoftwareVersion: "1",
		Settings: outbound.Settings{Timeouts: outbound.Timeouts{
			Connect: 5 * time.Second, FirstByte: 30 * time.Second, Total: fileTimeout,
		}},
	}
}

// Validate gives every fault at once (errors.Join).
func (c Config) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	for name, text := range map[string]string{"url": c.URL, "token_url": c.TokenURL} {
		u, err := url.Parse(text)
		switch {
		case err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "":
			fault("%s: not an absolute URL", name)
		case u.User != nil || u.RawQuery != "" || u.Fragment != "":
			fault("%s: only scheme, host and path: credentials have settings of their own", name)
		}
	}
	if c.ClientID == "" || strings.Contains(c.ClientID, ":") {
		fault("client_id: missing, or with a colon, which HTTP's Basic scheme cannot carry")
	}
	if c.ClientSecret.IsZero() {
		fault("client_secret: missing")
	}
	if c.Scope != "OSL" && c.Scope != "DATAPASS" && c.Scope != "ADMIN" {
		fault("scope: %q is none of OSL, DATAPASS, ADMIN", c.Scope)
	}
	for name, text := range map[string]string{
		"editor_name": c.EditorName, "application_name": c.ApplicationName, "software_version": c.SoftwareVersion,
	} {
		if text == "" || len([]rune(text)) > maxIdentity || strings.ContainsFunc(text, unprintable) {
			fault("%s: 1 to %d printable characters", name, maxIdentity)
		}
	}
	return errors.Join(append(faults, c.Settings.Validate())...)
}

// unprintable in a header: anything but ASCII from space to tilde.
func unprintable(r rune) bool { return r < ' ' || r > '~' }

// OpenSender gives the role of an online service. Nothing is called yet.
func (c Config) OpenSender(deps connectors.Deps) (*Sender, error) {
	cl, err := c.open(deps)
	if err != nil {
		return nil, err
	}
	return &Sender{cl}, nil
}

// OpenDirectory gives the role of onboarding. Nothing is called yet.
func (c Config) OpenDirectory(deps connectors.Deps) (*Directory, error) {
	cl, err := c.open(deps)
	if err != nil {
		return nil, err
	}
	return &Directory{cl}, nil
}

func (c Config) open(deps connectors.Deps) (*client, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("hubee: %w", err)
	}
	return &client{config: c, deps: deps, renewing: make(chan struct{}, 1)}, nil
}

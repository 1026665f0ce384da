package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/passerelle-hub/passerelle/config"
	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/byhand"
	"github.com/passerelle-hub/passerelle/connectors/gravitee"
	"github.com/passerelle-hub/passerelle/connectors/hydra"
	"github.com/passerelle-hub/passerelle/connectors/jwtissuer"
	"github.com/passerelle-hub/passerelle/connectors/keycloak"
	"github.com/passerelle-hub/passerelle/connectors/kong"
	"github.com/passerelle-hub/passerelle/connectors/mail"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
	"github.com/passerelle-hub/passerelle/connectors/tyk"
	"github.com/passerelle-hub/passerelle/internal/jose"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/jobs"
)

// opener opens a connector whose settings were read and are sound.
type opener func(h *hub, deps connectors.Deps) (connectors.KeyManager, error)

// connectorTypes is the table "type -> Config": each entry reads a connector's
// own settings and gives what opens it.
func connectorTypes() map[string]func(*config.Connector) (opener, error) {
	return map[string]func(*config.Connector) (opener, error){
		"byhand": func(c *config.Connector) (opener, error) {
			settings := byhand.Default()
			if err := c.Decode(&settings); err != nil {
				return nil, err
			}
			return func(h *hub, deps connectors.Deps) (connectors.KeyManager, error) {
				h.teams[deps.Name] = registry.Team{
					Addresses: settings.Team, RemindEvery: settings.RemindEvery, Reminders: settings.Reminders, LinkLifetime: settings.LinkLifetime,
				}
				deps.Tasks = h.registry.Tasks(deps.Name)
				return settings.Open(deps)
			}, settings.Validate()
		},
		"gravitee": overHTTP(gravitee.Default, func(c *gravitee.Config) outbound.Settings { return c.Settings }),
		"hydra":    overHTTP(hydra.Default, func(c *hydra.Config) outbound.Settings { return c.Settings }),
		"keycloak": overHTTP(keycloak.Default, func(c *keycloak.Config) outbound.Settings { return c.Settings }),
		"kong":     overHTTP(kong.Default, func(c *kong.Config) outbound.Settings { return c.Settings }),
		"tyk":      overHTTP(tyk.Default, func(c *tyk.Config) outbound.Settings { return c.Settings }),
		"jwtissuer": func(c *config.Connector) (opener, error) {
			settings := jwtissuer.Default()
			if err := c.Decode(&settings); err != nil {
				return nil, err
			}
			return func(h *hub, deps connectors.Deps) (connectors.KeyManager, error) {
				keys, err := h.openKeys(settings.Schedule())
				if err != nil {
					return nil, err
				}
				h.verifier.Issuer = settings.Issuer
				for _, d := range settings.Definitions {
					h.audiences = append(h.audiences, d.Audience)
				}
				return settings.Open(deps, keys)
			}, settings.Validate()
		},
	}
}

// managerConfig is the settings of a manager that is called over HTTP.
type managerConfig interface {
	Validate() error
	Open(connectors.Deps) (connectors.KeyManager, error)
}

// overHTTP reads the settings of such a manager over its defaults, and opens it
// with an outbound client of its own.
func overHTTP[C managerConfig](defaults func() C, client func(*C) outbound.Settings) func(*config.Connector) (opener, error) {
	return func(c *config.Connector) (opener, error) {
		settings := defaults()
		if err := c.Decode(&settings); err != nil {
			return nil, err
		}
		return func(h *hub, deps connectors.Deps) (connectors.KeyManager, error) {
			doer, err := outbound.Partner(deps.Name, client(&settings), h.log)
			if err != nil {
				return nil, err
			}
			deps.Partner, h.certificates[deps.Name] = doer, client(&settings).TLS
			return settings.Open(deps)
		}, settings.Validate()
	}
}

type reader = func(*config.Connector) (opener, error)

func unknownType(name string, types map[string]reader) error {
	return &config.UnknownTypeError{Type: name, Types: slices.Sorted(maps.Keys(types))}
}

// loadConfig reads the settings, those of the connectors with them: every fault
// is shown at once, before anything is started.
func loadConfig(path string, vars []string) (*config.Config, error) {
	types := connectorTypes()
	c, err := config.LoadWith(path, vars, func(connector *config.Connector) error {
		read, known := types[connector.Type]
		if !known {
			return unknownType(connector.Type, types)
		}
		_, err := read(connector)
		return err
	})
	if err != nil {
		return nil, err
	}
	_, err = decodeConnectors(c)
	return c, err
}

// decodeConnectors reads every connector's own settings and gives all their
// faults at once.
func decodeConnectors(c *config.Config) (map[string]opener, error) {
	types := connectorTypes()
	openers := map[string]opener{}
	issuers := 0
	var faults []error
	for i := range c.Connectors {
		connector := &c.Connectors[i]
		read, known := types[connector.Type]
		if !known {
			faults = append(faults, fmt.Errorf("connectors.%s.type: %w", connector.Name, unknownType(connector.Type, types)))
			continue
		}
		if connector.Type == "jwtissuer" {
			issuers++
		}
		open, err := read(connector)
		if err != nil {
			faults = append(faults, fmt.Errorf("connectors.%s: %w", connector.Name, err))
			continue
		}
		openers[connector.Name] = open
	}
	if issuers > 1 {
		faults = append(faults, errors.New("connectors: one jwtissuer at most: it is the hub's own issuer"))
	}
	return openers, errors.Join(faults...)
}

func (h *hub) openManagers() (map[string]jobs.Manager, error) {
	openers, err := decodeConnectors(h.config)
	if err != nil {
		return nil, err
	}
	managers := map[string]jobs.Manager{}
	for _, c := range h.config.Connectors {
		manager, err := openers[c.Name](h, connectors.Deps{
			Name: c.Name, Owner: h.config.Hub.Name, Now: h.now, Ledger: h.store.Ledger(c.Name), Gate: h.store.Gate(),
		})
		if err != nil {
			return nil, fmt.Errorf("connectors.%s: %w", c.Name, err)
		}
		managers[c.Name] = jobs.Manager{KeyManager: manager, Type: c.Type, Paused: c.Paused}
	}
	return managers, nil
}

// openKeys gives the keys that sign access tokens, on the built-in issuer's schedule.
func (h *hub) openKeys(s jose.Schedule) (*jose.Keys, error) {
	keys, err := jose.NewKeys(registry.KeySetPurpose, s, h.store, h.now)
	if err != nil {
		return nil, err
	}
	h.keys = keys
	h.verifier.Keys, h.verifier.Algs = keys, []jose.Alg{jose.ES256, jose.EdDSA}
	// The registry judges the end of a token. That another replica signed it a
	// moment ago is no reason to refuse it.
	h.verifier.Now, h.verifier.Skew = h.now, jose.MaxSkew
	return keys, nil
}

func (h *hub) tokenReader() registry.TokenReader { return tokenReader{h} }

func openMailer(m config.Mail) (connectors.Mailer, error) {
	if !m.Enabled() {
		return noRelay{}, nil
	}
	return mail.Config{
		Host: m.SMTP.Host, Port: m.SMTP.Port, TLS: string(m.SMTP.TLS), Username: m.SMTP.Username, Password: m.SMTP.Password,
		From: m.From, Domain: m.Domain, Timeout: m.Timeout,
	}.Open()
}

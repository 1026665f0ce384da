package main

import (
	"fmt"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/apiparticulier"
	"github.com/passerelle-hub/passerelle/connectors/franceconnect"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
)

// Where FranceConnect sends citizens back to, under hub.public_url: today's
// addresses of the national form (qf-form.md, 1), declared at FranceConnect
// character for character.
const (
	callbackPath       = "/callback"
	logoutCallbackPath = "/logout-callback"
)

// openIdentityProvider gives what identifies citizens; nil without FranceConnect.
func (h *hub) openIdentityProvider() (connectors.IdentityProvider, error) {
	c := h.config.FranceConnect
	if !c.Enabled() {
		return nil, nil
	}
	settings := franceconnect.Default()
	settings.Issuer, settings.ClientID, settings.ClientSecrets = c.Issuer, c.ClientID, c.ClientSecrets
	settings.ClientKey, settings.ClientKeyID = c.ClientKey, c.ClientKeyID
	settings.RedirectURI, settings.LogoutURI = h.config.Hub.PublicURL+callbackPath, h.config.Hub.PublicURL+logoutCallbackPath
	settings.Alg, settings.PKCE, settings.TLS.CAFile = string(c.Algorithm), c.PKCE, c.CAFile
	client, err := outbound.Partner("franceconnect", settings.Settings, h.log)
	if err != nil {
		return nil, fmt.Errorf("franceconnect: %w", err)
	}
	ring, err := openRing(h.config.Sealing)
	if err != nil {
		return nil, err
	}
	// A keyed hash outlives what it was made of: the ring's fingerprint key stays.
	mac := func(purpose, value string) []byte { return ring.Fingerprint([]byte(purpose + "\x00" + value)) }
	return settings.Open(connectors.Deps{Name: "franceconnect", Owner: h.config.Hub.Name, Now: h.now, Partner: client}, mac)
}

// openQuotientSource gives what knows families' quotients; nil without API
// Particulier.
func (h *hub) openQuotientSource() (connectors.QuotientSource, error) {
	c := h.config.APIParticulier
	if !c.Enabled() {
		return nil, nil
	}
	settings := apiparticulier.Default()
	settings.URL, settings.UserAgent, settings.TLS.CAFile = c.URL, outbound.UserAgent+"/"+version(), c.CAFile
	client, err := outbound.Partner("api-particulier", settings.Settings, h.log)
	if err != nil {
		return nil, fmt.Errorf("api_particulier: %w", err)
	}
	return settings.Open(connectors.Deps{Name: "api-particulier", Owner: h.config.Hub.Name, Now: h.now, Partner: client})
}

package main

import (
	"fmt"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
	"github.com/passerelle-hub/passerelle/connectors/sirene"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/jobs"
)

// openEstablishments gives what asks INSEE about organizations; nil without settings.
func (h *hub) openEstablishments() (*jobs.Establishments, error) {
	c := h.config.Sirene
	if !c.Enabled() {
		return nil, nil
	}
	settings := sirene.Default()
	settings.URL, settings.Key, settings.TLS.CAFile = c.URL, c.Key, c.CAFile
	client, err := outbound.Partner(registry.Sirene, settings.Settings, h.log)
	if err != nil {
		return nil, fmt.Errorf("sirene: %w", err)
	}
	register, err := settings.Open(connectors.Deps{Name: registry.Sirene, Owner: h.config.Hub.Name, Now: h.now, Partner: client})
	if err != nil {
		return nil, err
	}
	return &jobs.Establishments{Register: register, PerMinute: c.PerMinute, RefreshAfter: c.RefreshAfter}, nil
}

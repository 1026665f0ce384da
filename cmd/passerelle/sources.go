package main

import (
	"fmt"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/datapass"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
	"github.com/passerelle-hub/passerelle/jobs"
)

// openSources gives the DataPass sources, with their API where it is set.
func (h *hub) openSources() (map[string]jobs.Source, error) {
	sources := map[string]jobs.Source{}
	for _, s := range h.config.DataPass.Sources {
		source := jobs.Source{Definitions: s.Definitions, CatchUpEvery: s.CatchUpEvery}
		if s.API.Enabled() {
			settings := datapass.Default()
			settings.URL, settings.ClientID, settings.ClientSecret = s.API.URL, s.API.ClientID, s.API.ClientSecret
			client, err := outbound.Partner(s.Name, settings.Settings, h.log)
			if err != nil {
				return nil, fmt.Errorf("datapass.sources: %s: %w", s.Name, err)
			}
			if source.API, err = settings.Open(connectors.Deps{Name: s.Name, Owner: h.config.Hub.Name, Now: h.now, Partner: client}); err != nil {
				return nil, fmt.Errorf("datapass.sources: %s: %w", s.Name, err)
			}
		}
		sources[s.Name] = source
	}
	return sources, nil
}

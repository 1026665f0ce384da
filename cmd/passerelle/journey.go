package main

import (
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/passerelle-hub/passerelle/config"
	"github.com/passerelle-hub/passerelle/httpapi/citizen"
	"github.com/passerelle-hub/passerelle/internal/journey"
)

// openJourneys gives citizens' transactions; their pages say what to do instead
// where the hub has no FranceConnect.
func (h *hub) openJourneys(pages *citizen.Handler) *citizen.Journeys {
	c := h.config.Journeys
	j := &citizen.Journeys{
		Handler: pages, Idle: c.Idle, Secure: strings.HasPrefix(h.config.Hub.PublicURL, "https://"), Links: h.links(),
	}
	if h.identity == nil || h.quotients == nil || !h.config.HubEE.Enabled() {
		return j
	}
	paris, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		paris = time.UTC
	}
	steps := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "passerelle_journey_steps_total", Help: "Steps of citizens' journeys, by how they ended."}, []string{"step", "outcome"})
	h.metrics.MustRegister(steps)
	j.Service = &journey.Service{
		Store: h.store, Registry: h.registry, Gate: h.store.Gate(), Identity: h.identity, Quotients: h.quotients, Now: h.now, Log: h.log,
		Settings: journey.Settings{
			Idle: c.Idle, Egress: c.Egress, PerMinute: c.PerMinute, PerHour: c.PerHour, PerHabilitation: c.PerHabilitation,
			FormScopes: c.FormScopes, Location: paris, Limits: journey.DefaultLimits(),
		},
		Count: func(step, outcome string) { steps.WithLabelValues(step, outcome).Inc() },
	}
	h.journeys = j.Service
	pages.Open = func() bool { return h.journeys.Identity.Reachable() }
	return j
}

// finishJourneys lets the questions that this process asks for citizens end:
// nobody else can, their tokens are here only.
func (h *hub) finishJourneys(ctx context.Context) {
	if h.journeys == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.config.HTTP.ShutdownTimeout)
	defer cancel()
	h.journeys.Wait(ctx)
}

// links reads what editors' links carry.
func (h *hub) links() journey.Links {
	return journey.Links{Store: h.store, Now: h.now, Loopback: h.config.Hub.Environment == config.Sandbox}
}

// origin gives scheme and host of an address; "" for none.
func origin(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

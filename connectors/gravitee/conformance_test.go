package gravitee_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/conformance"
	"github.com/passerelle-hub/passerelle/connectors/gravitee"
	"github.com/passerelle-hub/passerelle/connectors/gravitee/graviteetest"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

const owner = "passerelle-test"

func TestGraviteeKeepsTheContract(t *testing.T) {
	t.Parallel()
	conformance.Run(t, func(t *testing.T) *conformance.Fixture {
		srv, err := graviteetest.Start(graviteetest.Options{
			Clock:            partnertest.NewFrozenClock(time.Date(2026, 1, 1, 10, 20, 0, 0, time.UTC)),
			PropagationDelay: 5 * time.Second,
			APIs: append(graviteetest.DemoAPIs(),
				graviteetest.API{ID: "api-impots", Plans: []graviteetest.Plan{{ID: "plan-impots"}}},
				graviteetest.API{ID: "api-quotient", Plans: []graviteetest.Plan{{ID: "plan-quotient"}}}),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = srv.Close() })
		ledger := conformance.NewMemory()
		settings := func(plan string) gravitee.Config {
			c := gravitee.Default()
			c.URL, c.Token = srv.ManagementURL(), connectors.NewSecret(srv.Token())
			c.Grants = map[string]gravitee.Grant{"api_demo": {
				API: graviteetest.DemoAPI, Plan: plan,
				Scopes: map[string][]gravitee.PlanRef{
					"impots": {{API: "api-impots", Plan: "plan-impots"}}, "quotient": {{API: "api-quotient", Plan: "plan-quotient"}},
				},
			}}
			c.PageSize = 2
			none := 0
			c.Retries, c.Breaker.Failures, c.Timeouts.Total = &none, 1000, 5*time.Second
			return c
		}
		openAt := func(c gravitee.Config, now func() time.Time) connectors.KeyManager {
			client, err := outbound.Partner("gravitee-test", c.Settings, zerolog.Nop())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(client.CloseIdle)
			m, err := c.Open(connectors.Deps{
				Name: "gravitee-test", Owner: owner, Now: now, Partner: client, Ledger: ledger, Gate: ledger,
			})
			if err != nil {
				t.Fatal(err)
			}
			return m
		}
		open := func(c gravitee.Config) connectors.KeyManager { return openAt(c, srv.Now) }
		plansOf := func(app string) []string {
			plans := []string{}
			for _, sub := range srv.Subscriptions() {
				if sub.Application == app && sub.Status == graviteetest.StatusAccepted {
					plans = append(plans, sub.Plan)
				}
			}
			slices.Sort(plans)
			return plans
		}
		live := func(ref string) int {
			values := map[string]bool{}
			for _, app := range srv.ApplicationsByClientID(ref) {
				for _, key := range srv.Keys() {
					if key.Application == app.ID && !key.Revoked && (key.ExpireAt == nil || key.ExpireAt.After(srv.Now())) {
						values[key.Value] = true
					}
				}
			}
			return len(values)
		}
		return &conformance.Fixture{
			Off: func(off time.Duration) connectors.KeyManager {
				return openAt(settings(graviteetest.DemoPlan), func() time.Time { return srv.Now().Add(off) })
			},
			Reopen:  func() connectors.KeyManager { return open(settings(graviteetest.DemoPlan)) },
			Manager: open(settings(graviteetest.DemoPlan)), Misconfigured: open(settings("nowhere")), Owner: owner, Ledger: ledger,
			Declared: connectors.Capabilities{
				CallerSecret: true, MultiSecret: true, Grace: connectors.GraceAny, NativeExpiry: true, SecretReadable: true,
				LookupByRef: true, List: true, RevocationBound: 5 * time.Second, GrantModel: connectors.GrantsOnCredential,
			},
			Now: srv.Now, Advance: func(d time.Duration) { srv.Advance(d) },
			Definition: "api_demo", Scopes: [2]string{"impots", "quotient"},
			Native: func(scopes ...string) []string {
				plans := []string{graviteetest.DemoPlan}
				for _, scope := range scopes {
					plans = append(plans, "plan-"+scope)
				}
				slices.Sort(plans)
				return plans
			},
			Rights:   func(subjectID string, _ []connectors.Handle) []string { return plansOf(subjectID) },
			Subjects: func(ref string) int { return len(srv.ApplicationsByClientID(ref)) },
			Live:     live,
			Passes: func(_ connectors.Handle, secret connectors.Secret) bool {
				status, _ := srv.Probe(secret.Reveal())
				return status == http.StatusOK
			},
			Partner: srv.Server, Admin: graviteetest.SideManagement + ":",
			Sick:   func() { srv.Inject(partnertest.HTML(graviteetest.SideManagement+":", http.StatusOK)) },
			Refuse: func() { srv.SetToken("another-token") },
		}
	})
}

package kong_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/conformance"
	"github.com/passerelle-hub/passerelle/connectors/kong"
	"github.com/passerelle-hub/passerelle/connectors/kong/kongtest"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

const owner = "passerelle-test"

var january = time.Date(2026, 1, 1, 10, 20, 0, 0, time.UTC)

// start gives a Kong Enterprise whose proxy learns of changes after 5 s.
func start(t *testing.T, opts kongtest.Options) *kongtest.Server {
	t.Helper()
	opts.Clock = partnertest.NewFrozenClock(january)
	srv, err := kongtest.Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = srv.Close() })
	return srv
}

// settings fit the simulator's routes. No quick retries: each call is seen.
func settings(srv *kongtest.Server) kong.Config {
	c := kong.Default()
	c.URL, c.StatusURL = srv.AdminURL(), srv.StatusURL()
	c.Token = connectors.NewSecret(srv.AdminToken())
	c.PageSize = 2
	c.Grants = map[string]kong.Grant{"api_demo": {Scopes: map[string][]string{"impots": {"dgfip"}, "quotient": {"cnaf"}}}}
	none := 0
	c.Retries, c.Breaker.Failures = &none, 1000
	c.Timeouts.Total = 5 * time.Second
	return c
}

func open(t *testing.T, srv *kongtest.Server, c kong.Config) connectors.KeyManager {
	t.Helper()
	return openAs(t, srv, c, owner, srv.Now)
}

func openAs(t *testing.T, srv *kongtest.Server, c kong.Config, owner string, now func() time.Time) connectors.KeyManager {
	t.Helper()
	client, err := outbound.Partner("kong-test", c.Settings, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdle)
	m, err := c.Open(connectors.Deps{Name: "kong-test", Owner: owner, Now: now, Partner: client})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestKongKeepsTheContract(t *testing.T) {
	conformance.Run(t, func(t *testing.T) *conformance.Fixture {
		srv := start(t, kongtest.Options{AdminToken: "admin-token-of-the-test", PropagationDelay: 5 * time.Second})
		c := settings(srv)
		missing := settings(srv)
		missing.Grants = map[string]kong.Grant{"api_demo": {Groups: []string{"nowhere"}}}
		keys := func(ref string) int {
			consumer, found := srv.ConsumerByCustomID(ref)
			n := 0
			for _, k := range srv.Credentials() {
				if found && k.Consumer == consumer.ID {
					n++
				}
			}
			return n
		}
		return &conformance.Fixture{
			Off: func(off time.Duration) connectors.KeyManager {
				return openAs(t, srv, c, owner, func() time.Time { return srv.Now().Add(off) })
			},
			Reopen:  func() connectors.KeyManager { return open(t, srv, c) },
			Manager: open(t, srv, c), Misconfigured: open(t, srv, missing), Owner: owner,
			Stranger: openAs(t, srv, c, conformance.StrangersName, srv.Now),
			Declared: connectors.Capabilities{
				CallerSecret: true, MultiSecret: true, Grace: connectors.GraceAny, NativeExpiry: true, SecretReadable: true,
				LookupByRef: true, List: true, RevocationBound: 5 * time.Second, GrantModel: connectors.GrantsOnSubject,
			},
			Now: srv.Now, Advance: func(d time.Duration) { srv.Advance(d) },
			Definition: "api_demo", Scopes: [2]string{"impots", "quotient"},
			Native: func(scopes ...string) []string {
				groups := []string{}
				for _, scope := range scopes {
					groups = append(groups, c.Grants["api_demo"].Scopes[scope]...)
				}
				slices.Sort(groups)
				return groups
			},
			Rights: func(subjectID string, _ []connectors.Handle) []string {
				groups := []string{}
				for _, consumer := range srv.Consumers() {
					if consumer.ID == subjectID {
						groups = append(groups, consumer.Groups...)
					}
				}
				return groups
			},
			Subjects: func(ref string) int {
				n := 0
				for _, consumer := range srv.Consumers() {
					if consumer.CustomID == ref || consumer.Username == ref {
						n++
					}
				}
				return n
			},
			Live: keys,
			Passes: func(_ connectors.Handle, secret connectors.Secret) bool {
				status, _ := srv.Probe(secret.Reveal())
				return status == http.StatusOK
			},
			Partner: srv.Server, Admin: kongtest.SideAdmin + ":",
			Sick:   func() { srv.SetDatabaseReachable(false) },
			Refuse: func() { srv.SetAdminToken("another-token") },
		}
	})
}

package keycloak_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/conformance"
	"github.com/passerelle-hub/passerelle/connectors/keycloak"
	"github.com/passerelle-hub/passerelle/connectors/keycloak/keycloaktest"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

const (
	owner = "passerelle-test"
	day   = 24 * time.Hour
)

var january = time.Date(2026, 1, 1, 10, 20, 0, 0, time.UTC)

func start(t *testing.T, opts keycloaktest.Options) *keycloaktest.Server {
	t.Helper()
	opts.Clock = partnertest.NewFrozenClock(january)
	srv, err := keycloaktest.Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = srv.Close() })
	return srv
}

// settings make no quick retries: each call is seen.
func settings(srv *keycloaktest.Server) keycloak.Config {
	c := keycloak.Default()
	c.URL, c.ManagementURL, c.Realm = srv.URL(), srv.ManagementURL(), keycloaktest.DefaultRealm
	c.ClientID, c.ClientSecret, c.PageSize = srv.AdminClient(), connectors.NewSecret(srv.AdminSecret()), 2
	c.Grants = map[string]keycloak.Grant{"api_demo": {Scopes: map[string][]string{"impots": {"dgfip"}, "quotient": {"cnaf"}}}}
	none := 0
	c.Retries, c.Breaker.Failures = &none, 1000
	c.Timeouts.Total = 5 * time.Second
	return c
}

func open(t *testing.T, srv *keycloaktest.Server, c keycloak.Config, ledger connectors.Ledger, owner string) connectors.KeyManager {
	t.Helper()
	return openAt(t, srv, c, ledger, owner, srv.Now)
}

func openAt(t *testing.T, srv *keycloaktest.Server, c keycloak.Config, ledger connectors.Ledger, owner string, now func() time.Time) connectors.KeyManager {
	t.Helper()
	client, err := outbound.Partner("keycloak-test", c.Settings, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdle)
	m, err := c.Open(connectors.Deps{Name: "keycloak-test", Owner: owner, Now: now, Partner: client, Ledger: ledger})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// credentials counts the client's secret when the hub has handed it over: one
// that Keycloak made with the client is nobody's.
func credentials(t *testing.T, srv *keycloaktest.Server, ledger *conformance.Memory, ref string) int {
	t.Helper()
	c, found := srv.Client(ref)
	if !found || srv.LiveSecrets(ref) == 0 {
		return 0
	}
	text, _, err := ledger.Get(t.Context(), "client/"+ref)
	if err != nil {
		t.Fatal(err)
	}
	var kept struct {
		Prints map[string]string `json:"prints"`
	}
	if len(text) > 0 && json.Unmarshal(text, &kept) != nil {
		t.Fatal("the ledger holds no JSON")
	}
	sum := sha256.Sum256([]byte(c.Secret))
	for _, print := range kept.Prints {
		if print == hex.EncodeToString(sum[:]) {
			return 1
		}
	}
	return 0
}

func fixture(t *testing.T, opts keycloaktest.Options, change func(*keycloak.Config)) *conformance.Fixture {
	t.Helper()
	opts.AdminTokenLifespan = 30 * time.Minute // signing one a minute would take most of the suite's time
	srv := start(t, opts)
	c := settings(srv)
	change(&c)
	missing := c
	missing.Grants = map[string]keycloak.Grant{"api_demo": {Base: []string{"nowhere"}}}
	ledger := conformance.NewMemory()
	f := &conformance.Fixture{
		Off: func(off time.Duration) connectors.KeyManager {
			return openAt(t, srv, c, ledger, owner, func() time.Time { return srv.Now().Add(off) })
		},
		Reopen:  func() connectors.KeyManager { return open(t, srv, c, ledger, owner) },
		Manager: open(t, srv, c, ledger, owner), Misconfigured: open(t, srv, missing, ledger, owner), Owner: owner, Ledger: ledger,
		Stranger: open(t, srv, c, conformance.NewMemory(), conformance.StrangersName), OneObject: true, OneOld: true,
		Declared: connectors.Capabilities{
			CallerSecret: true, Grace: connectors.GraceNone, SecretReadable: true, LookupByRef: true, List: true,
			RevocationBound: 5 * time.Minute, GrantModel: connectors.GrantsOnSubject,
		},
		Now: srv.Now, Advance: func(d time.Duration) { srv.Advance(d) },
		Definition: "api_demo", Scopes: [2]string{"impots", "quotient"},
		Native: func(scopes ...string) []string {
			names := []string{}
			for _, scope := range scopes {
				names = append(names, c.Grants["api_demo"].Scopes[scope]...)
			}
			slices.Sort(names)
			return names
		},
		Rights: func(subjectID string, _ []connectors.Handle) []string {
			found, _ := srv.Client(subjectID)
			slices.Sort(found.OptionalScopes)
			return append([]string{}, found.OptionalScopes...)
		},
		Subjects: func(ref string) int {
			n := 0
			for _, found := range srv.Clients() {
				if found.ClientID == ref {
					n++
				}
			}
			return n
		},
		Live: func(ref string) int { return credentials(t, srv, ledger, ref) },
		Passes: func(h connectors.Handle, secret connectors.Secret) bool {
			status, _ := srv.ProbeClient(h.Subject, secret.Reveal())
			return status == http.StatusOK
		},
		Partner: srv.Server, Admin: keycloaktest.SideServer + ":",
		Sick: func() { srv.SetDatabaseReachable(false) },
		Refuse: func() {
			srv.SetAdminSecret("another-secret")
			srv.ExpireAdminTokens()
		},
	}
	return f
}

func TestKeycloakKeepsTheContract(t *testing.T) {
	conformance.Run(t, func(t *testing.T) *conformance.Fixture {
		return fixture(t, keycloaktest.Options{}, func(*keycloak.Config) {})
	})
}

func TestAKeycloakThatRotatesKeepsTheContract(t *testing.T) {
	conformance.Run(t, func(t *testing.T) *conformance.Fixture {
		policy := &keycloaktest.RotationPolicy{Expiration: 90 * day, Rotated: 3 * day}
		f := fixture(t, keycloaktest.Options{Rotation: policy}, func(c *keycloak.Config) { c.RotatedPeriod = 3 * day })
		f.Declared.CallerSecret, f.Declared.MultiSecret, f.Declared.Grace = false, true, connectors.GraceFixed
		return f
	})
}

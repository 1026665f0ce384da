package hydra_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/conformance"
	"github.com/passerelle-hub/passerelle/connectors/hydra"
	"github.com/passerelle-hub/passerelle/connectors/hydra/hydratest"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

const owner = "passerelle-test"

var january = time.Date(2026, 1, 1, 10, 20, 0, 0, time.UTC)

func start(t *testing.T, opts hydratest.Options) *hydratest.Server {
	t.Helper()
	opts.Clock = partnertest.NewFrozenClock(january)
	srv, err := hydratest.Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = srv.Close() })
	return srv
}

// settings make no quick retries: each call is seen.
func settings(adminURL, publicURL string) hydra.Config {
	c := hydra.Default()
	c.URL, c.PublicURL, c.PageSize = adminURL, publicURL, 2
	c.Grants = map[string]hydra.Grant{"api_demo": {
		Audience: []string{"https://api.example.fr"}, Base: []string{"demo"},
		Scopes: map[string][]string{"impots": {"dgfip"}, "quotient": {"cnaf", "msa"}},
	}}
	none := 0
	c.Retries, c.Breaker.Failures = &none, 1000
	c.Timeouts.Total = 5 * time.Second
	return c
}

func open(t *testing.T, now func() time.Time, c hydra.Config, owner string) connectors.KeyManager {
	t.Helper()
	client, err := outbound.Partner("hydra-test", c.Settings, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdle)
	m, err := c.Open(connectors.Deps{Name: "hydra-test", Owner: owner, Now: now, Partner: client})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// registered is a client as Hydra shows it.
type registered struct {
	Scope    string          `json:"scope"`
	Metadata json.RawMessage `json:"metadata"`
}

func (r registered) words() []string {
	words := strings.Fields(r.Scope)
	slices.Sort(words)
	return append([]string{}, words...)
}

func (r registered) credentials() int {
	var kept struct {
		Credential string `json:"hub_credential"`
	}
	if json.Unmarshal(r.Metadata, &kept) != nil || kept.Credential == "" {
		return 0
	}
	return 1
}

// fixture is what the simulator and the real peer have in common. read gives a
// client, or false.
func fixture(c hydra.Config, read func(id string) (registered, bool)) *conformance.Fixture {
	return &conformance.Fixture{
		Owner: owner, OneObject: true, NoEmptyGrants: len(c.Grants["api_demo"].Base) == 0,
		Definition: "api_demo", Scopes: [2]string{"impots", "quotient"},
		Native: func(scopes ...string) []string {
			grant := c.Grants["api_demo"]
			words := slices.Clone(grant.Base)
			for _, scope := range scopes {
				words = append(words, grant.Scopes[scope]...)
			}
			slices.Sort(words)
			return words
		},
		Rights: func(subjectID string, _ []connectors.Handle) []string {
			found, _ := read(subjectID)
			return found.words()
		},
		Subjects: func(ref string) int {
			if _, found := read(ref); found {
				return 1
			}
			return 0
		},
		Live: func(ref string) int {
			found, _ := read(ref)
			return found.credentials()
		},
		Declared: connectors.Capabilities{
			CallerSecret: true, Grace: connectors.GraceNone, LookupByRef: true, List: true,
			RevocationBound: time.Hour, GrantModel: connectors.GrantsOnSubject,
		},
		Admin: hydratest.SideAdmin + ":",
	}
}

func simulated(t *testing.T, version hydratest.Version, change ...func(*hydra.Config)) *conformance.Fixture {
	t.Helper()
	srv := start(t, hydratest.Options{Version: version})
	c := settings(srv.AdminURL(), srv.PublicURL())
	for _, f := range change {
		f(&c)
	}
	f := fixture(c, func(id string) (registered, bool) {
		found, ok := srv.Client(id)
		return registered{Scope: found.Scope, Metadata: found.Metadata}, ok
	})
	missing := c
	missing.PublicURL = srv.AdminURL()
	f.Manager, f.Misconfigured = open(t, srv.Now, c, owner), open(t, srv.Now, missing, owner)
	f.Off = func(off time.Duration) connectors.KeyManager {
		return open(t, func() time.Time { return srv.Now().Add(off) }, c, owner)
	}
	f.Reopen = func() connectors.KeyManager { return open(t, srv.Now, c, owner) }
	f.Stranger = open(t, srv.Now, c, conformance.StrangersName)
	f.Now, f.Advance = srv.Now, func(d time.Duration) { srv.Advance(d) }
	f.Passes = func(h connectors.Handle, secret connectors.Secret) bool {
		status, _ := srv.ProbeClient(h.Subject, secret.Reveal())
		return status == http.StatusOK
	}
	f.Partner = srv.Server
	f.Sick = func() { srv.SetDatabaseReachable(false) }
	return f
}

func TestHydraKeepsTheContract(t *testing.T) {
	conformance.Run(t, func(t *testing.T) *conformance.Fixture { return simulated(t, hydratest.Version230) })
}

func TestHydraWithoutBaseScopesKeepsTheContract(t *testing.T) {
	conformance.Run(t, func(t *testing.T) *conformance.Fixture {
		return simulated(t, hydratest.Version230, func(c *hydra.Config) {
			grant := c.Grants["api_demo"]
			grant.Base = nil
			c.Grants["api_demo"] = grant
		})
	})
}

func TestALaterHydraThatRotatesKeepsTheContract(t *testing.T) {
	conformance.Run(t, func(t *testing.T) *conformance.Fixture {
		f := simulated(t, hydratest.VersionRotating)
		f.Declared.CallerSecret, f.Declared.MultiSecret, f.Declared.Grace = false, true, connectors.GraceAny
		reopen := f.Reopen
		f.Reopen = func() connectors.KeyManager {
			m := reopen()
			if _, err := m.Health(connectors.WithCorrelation(t.Context(), conformance.Correlation)); err != nil {
				t.Error(err)
			}
			return m
		}
		for _, m := range []connectors.KeyManager{f.Manager, f.Stranger} {
			if _, err := m.Health(connectors.WithCorrelation(t.Context(), conformance.Correlation)); err != nil {
				t.Fatal(err)
			}
		}
		return f
	})
}

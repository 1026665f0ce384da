package tyk_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/conformance"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/connectors/tyk"
	"github.com/passerelle-hub/passerelle/connectors/tyk/tyktest"
)

const owner = "passerelle-test"

var january = time.Date(2026, 1, 1, 10, 20, 0, 0, time.UTC)

func start(t *testing.T, opts tyktest.Options) *tyktest.Server {
	t.Helper()
	opts.Clock = partnertest.NewFrozenClock(january)
	srv, err := tyktest.Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = srv.Close() })
	for _, call := range tyk.SecretsInURL() {
		srv.DeclareSecretInURL(partnertest.Route(strings.ReplaceAll(call, "{key}", "*")))
	}
	return srv
}

// settings make no quick retries: each call is seen.
func settings(srv *tyktest.Server) tyk.Config {
	c := tyk.Default()
	c.URL, c.Secret, c.PageSize = srv.ControlURL(), connectors.NewSecret(srv.Secret()), 2
	c.Grants = map[string]tyk.Grant{"api_demo": {
		Policies: []string{"base"}, Scopes: map[string][]string{"impots": {"dgfip"}, "quotient": {"cnaf"}},
	}}
	none := 0
	c.Retries, c.Breaker.Failures = &none, 1000
	c.Timeouts.Total = 5 * time.Second
	return c
}

func open(t *testing.T, srv *tyktest.Server, c tyk.Config, ledger *conformance.Memory, owner string) connectors.KeyManager {
	t.Helper()
	return openAt(t, srv, c, ledger, owner, srv.Now)
}

func openAt(t *testing.T, srv *tyktest.Server, c tyk.Config, ledger *conformance.Memory, owner string, now func() time.Time) connectors.KeyManager {
	t.Helper()
	client, err := outbound.Partner("tyk-test", c.Settings, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdle)
	m, err := c.Open(connectors.Deps{Name: "tyk-test", Owner: owner, Now: now, Partner: client, Ledger: ledger})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// raw is the value inside a base64 form, which passes by itself too.
func raw(token string) string {
	text, err := base64.StdEncoding.DecodeString(token)
	if err != nil {
		return ""
	}
	var key struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(text, &key) != nil {
		return ""
	}
	return key.ID
}

// passes presents a key in both of its forms.
func passes(srv *tyktest.Server, token string) bool {
	for _, form := range []string{token, raw(token)} {
		if status, _ := srv.Probe(form); form != "" && status == http.StatusOK {
			return true
		}
	}
	return false
}

func keysOf(srv *tyktest.Server, subject string) []tyktest.Key {
	return slices.DeleteFunc(srv.Keys(), func(k tyktest.Key) bool {
		return k.MetaData["hub_subject"] != subject || k.Inactive || k.ExpiresAt != nil && srv.Now().After(*k.ExpiresAt)
	})
}

func fixture(t *testing.T, listing bool) *conformance.Fixture {
	t.Helper()
	srv := start(t, tyktest.Options{
		HashedKeyListing: listing,
		Policies: append(tyktest.DemoPolicies(), tyktest.Policy{
			ID: "base", Active: true, AccessRights: map[string]tyktest.AccessDefinition{"demo": {APIID: "demo"}},
		}),
	})
	c := settings(srv)
	c.Listing = listing
	missing := settings(srv)
	missing.Grants = map[string]tyk.Grant{"api_demo": {Policies: []string{"nowhere"}}}
	ledger := conformance.NewMemory()
	return &conformance.Fixture{
		Off: func(off time.Duration) connectors.KeyManager {
			return openAt(t, srv, c, ledger, owner, func() time.Time { return srv.Now().Add(off) })
		},
		Reopen:  func() connectors.KeyManager { return open(t, srv, c, ledger, owner) },
		Manager: open(t, srv, c, ledger, owner), Misconfigured: open(t, srv, missing, ledger, owner), Owner: owner, Ledger: ledger,
		Stranger: open(t, srv, c, conformance.NewMemory(), conformance.StrangersName),
		Declared: connectors.Capabilities{
			CallerSecret: true, MultiSecret: true, Grace: connectors.GraceAny, NativeExpiry: true, LookupByRef: true, List: listing,
			RevocationBound: 10 * time.Second, GrantModel: connectors.GrantsOnCredential,
		},
		Now: srv.Now, Advance: func(d time.Duration) { srv.Advance(d) },
		Definition: "api_demo", Scopes: [2]string{"impots", "quotient"},
		Native: func(scopes ...string) []string {
			policies := []string{"base"}
			for _, scope := range scopes {
				policies = append(policies, c.Grants["api_demo"].Scopes[scope]...)
			}
			slices.Sort(policies)
			return policies
		},
		Rights: func(subjectID string, _ []connectors.Handle) []string {
			policies := []string{}
			for _, k := range keysOf(srv, subjectID) {
				policies = append(policies, k.Policies...)
			}
			slices.Sort(policies)
			return policies
		},
		Live:    func(ref string) int { return len(keysOf(srv, ref)) },
		Passes:  func(_ connectors.Handle, secret connectors.Secret) bool { return passes(srv, secret.Reveal()) },
		Partner: srv.Server, Admin: tyktest.SideControl + ":",
		Sick:   func() { srv.SetRedisReachable(false) },
		Refuse: func() { srv.SetSecret("another-secret") },
	}
}

func TestTykKeepsTheContract(t *testing.T) {
	conformance.Run(t, func(t *testing.T) *conformance.Fixture { return fixture(t, false) })
}

func TestATykThatListsKeepsTheContract(t *testing.T) {
	conformance.Run(t, func(t *testing.T) *conformance.Fixture { return fixture(t, true) })
}

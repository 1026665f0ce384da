package jwtissuer

import (
	"testing"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/conformance"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/internal/jose"
)

// TestTheBuiltInIssuerKeepsTheContract: the gateway is one that verifies the
// signature and then asks for the reference, as introspection does (tokens.md,
// 7.7), from the records alone.
func TestTheBuiltInIssuerKeepsTheContract(t *testing.T) {
	conformance.Run(t, func(t *testing.T) *conformance.Fixture {
		t.Helper()
		clock := partnertest.NewFrozenClock(start)
		ledger := conformance.NewMemory()
		config := testConfig()
		keys, err := jose.NewKeys("access-token", config.Schedule(), &keyStore{keys: map[string]jose.SigningKey{}}, clock.Now)
		if err != nil {
			t.Fatal(err)
		}
		rotate := func() {
			if _, err := keys.Rotate(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		rotate()
		inside := &conformance.Inside{}
		reopen := func() connectors.KeyManager {
			manager, err := config.Open(connectors.Deps{Name: "interne", Owner: "passerelle-test", Now: clock.Now, Ledger: inside.Ledger(ledger)}, keys)
			if err != nil {
				t.Fatal(err)
			}
			return manager
		}
		records := book{ledger}
		standingOf := func(ref string) standing {
			s, err := records.standing(t.Context(), ref)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		verifier := jose.Verifier{Issuer: issuerURL, Audience: audience, Algs: []jose.Alg{jose.ES256}, Keys: keys, Now: clock.Now}
		return &conformance.Fixture{
			Manager: reopen(), Owner: "passerelle-test", Ledger: ledger, Inside: inside, Reopen: reopen,
			Declared: connectors.Capabilities{
				MultiSecret: true, Grace: connectors.GraceAny, NativeExpiry: true, FixedExpiry: true, LookupByRef: true,
				RevocationBound: time.Second, GrantModel: connectors.GrantsAtIntrospection,
			},
			Now: clock.Now,
			Advance: func(d time.Duration) {
				clock.Advance(d)
				rotate() // the hub does so each day
			},
			Definition: "api_particulier", Scopes: [2]string{"cnaf_allocataires", "cnaf_quotient_familial"},
			Native: func(scopes ...string) []string {
				native := []string{}
				for _, scope := range scopes {
					native = append(native, config.Definitions["api_particulier"].Scopes[scope])
				}
				return sorted(native)
			},
			Rights: func(_ string, live []connectors.Handle) []string {
				native := []string{}
				for _, h := range live {
					for _, scope := range standingOf(h.Ref).Scopes {
						native = append(native, config.Definitions["api_particulier"].Scopes[scope])
					}
				}
				return sorted(native)
			},
			Live: func(subject string) int {
				n := 0
				for i := range 9 {
					if standingOf(subject+"-c"+string(rune('1'+i))).liveness(clock.Now()) == connectors.Alive {
						n++
					}
				}
				return n
			},
			Passes: func(_ connectors.Handle, secret connectors.Secret) bool {
				claims, err := verifier.VerifyAccessToken(t.Context(), secret.Reveal())
				if err != nil {
					return false
				}
				for i := range 9 {
					s := standingOf(claims.Subject + "-c" + string(rune('1'+i)))
					if s.Public == claims.ID {
						return s.liveness(clock.Now()) == connectors.Alive
					}
				}
				return false
			},
		}
	})
}

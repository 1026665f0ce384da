package byhand_test

import (
	"testing"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/byhand"
	"github.com/passerelle-hub/passerelle/connectors/byhand/byhandtest"
	"github.com/passerelle-hub/passerelle/connectors/conformance"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

const owner = "passerelle-test"

var november = time.Date(2026, 11, 3, 9, 30, 0, 0, time.UTC)

func settings() byhand.Config {
	c := byhand.Default()
	c.Team, c.CloseWithin = []string{"cles@fournisseur.example"}, 24*time.Hour
	c.Definitions = map[string]byhand.Definition{"api_demo": {
		Instructions: "Portail interne, écran « Accès partenaires ».",
		Scopes:       map[string]string{"impots": "Avis d'imposition", "quotient": "Quotient familial"},
	}}
	return c
}

type bundle struct {
	*byhand.Manager
	team   *byhandtest.Team
	ledger *conformance.Memory
	clock  *partnertest.Clock
}

func open(t *testing.T) bundle {
	t.Helper()
	b := bundle{clock: partnertest.NewFrozenClock(november), ledger: conformance.NewMemory()}
	b.team = byhandtest.New(b.clock.Now)
	var err error
	b.Manager, err = settings().Open(connectors.Deps{Name: "main", Owner: owner, Now: b.clock.Now, Ledger: b.ledger, Tasks: b.team})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestATeamKeepsTheContract(t *testing.T) {
	conformance.Run(t, func(t *testing.T) *conformance.Fixture {
		b := open(t)
		return &conformance.Fixture{
			Manager: b.Manager, Owner: owner, Ledger: b.ledger,
			Declared: connectors.Capabilities{
				MultiSecret: true, Grace: connectors.GraceAny, SecretReadable: true, LookupByRef: true, AsyncApproval: true,
				RevocationBound: 24 * time.Hour, GrantModel: connectors.GrantsOnCredential,
			},
			Now: b.clock.Now, Advance: func(d time.Duration) { b.clock.Advance(d) },
			Definition: "api_demo", Scopes: [2]string{"impots", "quotient"},
			Native: func(scopes ...string) []string {
				native := []string{}
				for _, scope := range scopes {
					native = append(native, settings().Definitions["api_demo"].Scopes[scope])
				}
				return native
			},
			Rights: func(_ string, live []connectors.Handle) []string {
				return append([]string{}, b.team.Rights(live[0].Ref)...)
			},
			Live:   b.team.Live,
			Passes: func(_ connectors.Handle, secret connectors.Secret) bool { return b.team.Probe(secret.Reveal()) },
			Act:    b.team.Act, Refusal: b.team.Refuse,
		}
	})
}

package byhand_test

import (
	"strings"
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
	reopen func() connectors.KeyManager
	inside *conformance.Inside
	team   *byhandtest.Team
	ledger *conformance.Memory
	clock  *partnertest.Clock
}

func open(t *testing.T, change func(*byhand.Config)) bundle {
	t.Helper()
	c := settings()
	change(&c)
	b := bundle{clock: partnertest.NewFrozenClock(november), ledger: conformance.NewMemory(), inside: &conformance.Inside{}}
	b.team = byhandtest.New(b.clock.Now)
	opened := func() *byhand.Manager {
		m, err := c.Open(connectors.Deps{Name: "main", Owner: owner, Now: b.clock.Now, Ledger: b.inside.Ledger(b.ledger), Tasks: b.inside.Tasks(b.team)})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	b.Manager, b.reopen = opened(), func() connectors.KeyManager { return opened() }
	return b
}

// The three ways in which teams work, and the two ones together.
func TestATeamKeepsTheContract(t *testing.T) {
	for name, change := range map[string]func(*byhand.Config){
		"gives the hub its keys":                           func(*byhand.Config) {},
		"hands its keys over itself":                       func(c *byhand.Config) { c.HandsOver = true },
		"keeps one key of a holder":                        func(c *byhand.Config) { c.OneKey = true },
		"hands over itself, and keeps one key of a holder": func(c *byhand.Config) { c.HandsOver, c.OneKey = true, true },
	} {
		t.Run(name, func(t *testing.T) {
			conformance.Run(t, func(t *testing.T) *conformance.Fixture { return fixture(t, change) })
		})
	}
}

func fixture(t *testing.T, change func(*byhand.Config)) *conformance.Fixture {
	t.Helper()
	c := settings()
	change(&c)
	b := open(t, change)
	declared := connectors.Capabilities{
		MultiSecret: true, Grace: connectors.GraceAny, SecretReadable: true, LookupByRef: true, AsyncApproval: true,
		RevocationBound: 24 * time.Hour, GrantModel: connectors.GrantsOnCredential, HandsOver: c.HandsOver,
	}
	if c.OneKey {
		declared.MultiSecret, declared.Grace = false, connectors.GraceNone
	}
	return &conformance.Fixture{
		Manager: b.Manager, Owner: owner, Ledger: b.ledger, Declared: declared, Inside: b.inside, Reopen: b.reopen,
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
		Live: b.team.Live,
		Passes: func(h connectors.Handle, secret connectors.Secret) bool {
			if c.HandsOver {
				return b.team.ProbeRef(h.Ref)
			}
			return b.team.Probe(secret.Reveal())
		},
		Act: b.team.Act, Refusal: b.team.Refuse,
	}
}

// A team that keeps one key is never asked for an overlap, whatever the hub asks.
func TestWhereTwoKeysCannotOverlapTheTaskSaysSoAndAsksForNoGrace(t *testing.T) {
	b := open(t, func(c *byhand.Config) { c.OneKey = true })
	subject := connectors.Subject{Ref: "dp-1", Owner: owner}
	id, err := b.EnsureSubject(t.Context(), subject)
	if err != nil {
		t.Fatal(err)
	}
	r := connectors.IssueRequest{Subject: subject, SubjectID: id, Ref: "dp-1-c1", Public: "p1", Grants: connectors.Grants{Definition: "api_demo", Scopes: []string{"impots"}}}
	_, _ = b.Issue(t.Context(), r) // Pending
	b.team.Act()
	first, err := b.Issue(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	r.Ref, r.Public = "dp-1-c2", "p2"
	_, _ = b.Rotate(t.Context(), connectors.RotateRequest{IssueRequest: r, Old: first.Handle, Grace: 48 * time.Hour})
	waiting := b.team.Waiting()
	if len(waiting) != 1 || waiting[0].Kind != connectors.TaskReplace || waiting[0].Grace != 0 {
		t.Errorf("the team is asked %+v", waiting)
	}
	steps, err := b.Plan(r.Grants)
	if err != nil || len(steps) != 3 || !strings.Contains(steps[2], "ne peut pas garder deux clés") {
		t.Errorf("the plan says %q, %v", steps, err)
	}
}

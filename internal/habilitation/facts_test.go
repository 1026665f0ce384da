package habilitation_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	hab "github.com/passerelle-hub/passerelle/internal/habilitation"
)

func TestFactsOfADefinitionAndItsForm(t *testing.T) {
	features := hab.DefaultFeatures()
	features.Transfer = false
	sandboxDefinition := &hab.Definition{
		UID: "api_hermes_sandbox", Provider: "dgfip", StartableByApplicant: true, Features: features,
		Stage: &hab.Stage{Type: hab.StageSandbox, Next: &hab.StageLink{Definition: "api_hermes", Form: "api-hermes-production"}},
		Rules: hab.Rules{Blocks: []hab.Block{hab.BlockBasicInfos}},
	}
	productionDefinition := &hab.Definition{
		UID: "api_hermes", Provider: "dgfip", StartableByApplicant: true, Features: features,
		Stage: &hab.Stage{Type: hab.StageProduction, Previous: &hab.StageLink{Definition: "api_hermes_sandbox", Form: "api-hermes-sandbox"}},
		Rules: hab.Rules{Blocks: []hab.Block{hab.BlockBasicInfos, hab.BlockOperationalAcceptance}},
	}
	for _, c := range []struct {
		sentence   string
		definition *hab.Definition
		form       hab.Form
		next       *hab.Definition
		want       hab.DefinitionFacts
	}{
		{
			"sandbox knows which fields production adds", sandboxDefinition,
			hab.Form{StartableByApplicant: true},
			productionDefinition,
			hab.DefinitionFacts{
				UID: "api_hermes_sandbox", Provider: "dgfip", Startable: true, Reopening: true,
				Next: &hab.StageLink{Definition: "api_hermes", Form: "api-hermes-production"}, NextOnlyKeys: []string{"operational_acceptance_done"},
			},
		},
		{
			"production goes back to the form that its own names, and a form can forbid to start", productionDefinition,
			hab.Form{PreviousForm: "api-hermes-sandbox-editeur"},
			nil,
			hab.DefinitionFacts{
				UID: "api_hermes", Provider: "dgfip", Reopening: true,
				Previous: &hab.StageLink{Definition: "api_hermes_sandbox", Form: "api-hermes-sandbox-editeur"},
			},
		},
		{
			"production goes back to the previous definition's default form", productionDefinition,
			hab.Form{StartableByApplicant: true},
			nil,
			hab.DefinitionFacts{
				UID: "api_hermes", Provider: "dgfip", Startable: true, Reopening: true,
				Previous: &hab.StageLink{Definition: "api_hermes_sandbox", Form: "api-hermes-sandbox"},
			},
		},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			if diff := cmp.Diff(c.want, hab.FactsOf(c.definition, &c.form, c.next)); diff != "" {
				t.Error(diff)
			}
		})
	}
	if productionDefinition.Stage.Previous.Form != "api-hermes-sandbox" {
		t.Error("the definition was changed")
	}

	t.Run("only a certified form embeds FranceConnect", func(t *testing.T) {
		particulier := &hab.Definition{
			UID: "api_particulier", Scopes: []hab.Scope{{Value: "openid", Group: "FranceConnect"}, {Value: "cnaf_quotient_familial"}},
			Rules: hab.Rules{EmbedsFranceConnect: true, FranceConnectModality: "france_connect"},
		}
		if got := hab.FactsOf(particulier, &hab.Form{FranceConnectCertified: true}, nil); got.EmbeddedModality != "france_connect" || !cmp.Equal(got.FranceConnectScopes, []string{"openid"}) {
			t.Errorf("got %+v", got)
		}
		if got := hab.FactsOf(particulier, &hab.Form{}, nil); got.EmbeddedModality != "" {
			t.Errorf("got %+v", got)
		}
	})
}

package definitions

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/passerelle-hub/passerelle/internal/habilitation"
)

// classesOfDataPass are the definitions that datapass.md, 5.3 gives rules for.
var classesOfDataPass = strings.Fields(`
annuaire_des_entreprises api_captchetat api_cpr_pro_adelie api_declaration_auto_entrepreneur api_declaration_cesu
api_droits_cnam api_e_contacts api_e_pro api_ensu_documents api_entreprise api_ficoba api_gfe_echange_collectivites
api_gfe_echange_editeurs_restauration api_gunenv api_hermes api_impot_particulier api_imprimfip
api_indemnites_journalieres_cnam api_indicateurs_sociaux api_infinoe api_ingres api_inser_jeunes_sup api_mire
api_mobilic api_ocfi api_opale api_particulier api_particulier_demarche_numerique api_pro_sante_connect api_r2p
api_rial api_robf api_satelit api_scolarite api_sfip api_sfip_r2p formulaire_qf france_connect hubee_cert_dc
hubee_dila le_taxi pro_connect_identity_provider pro_connect_service_provider produits_dinum services_cisirh
`)

// sandboxed are the 18 that have a sandbox stage as well.
var sandboxed = strings.Fields(`
api_cpr_pro_adelie api_e_contacts api_e_pro api_ensu_documents api_ficoba api_hermes api_impot_particulier
api_imprimfip api_infinoe api_mire api_ocfi api_opale api_r2p api_rial api_robf api_satelit api_sfip api_sfip_r2p
`)

func TestEveryDefinitionOfDataPassHasItsRules(t *testing.T) {
	t.Parallel()
	rules := builtInRules()
	var want []string
	want = append(want, classesOfDataPass...)
	for _, uid := range sandboxed {
		want = append(want, uid+"_sandbox")
	}
	var got []string
	for uid := range rules {
		if !strings.HasPrefix(uid, ".") {
			got = append(got, uid)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("uids (-want +got):\n%s", diff)
	}
	if len(got) != realDefinitions {
		t.Errorf("%d entries, want %d", len(got), realDefinitions)
	}
}

func TestTheRulesSayWhatTheContractsTableSays(t *testing.T) {
	t.Parallel()
	rules := builtInRules()
	of := func(uid string) habilitation.Rules { return rules[uid].rules }
	volumetries := map[string][]int{
		"api_cpr_pro_adelie": {500}, "api_e_contacts": {500}, "api_e_pro": {500}, "api_ensu_documents": {500}, "api_mire": {500},
		"api_ocfi": {500}, "api_opale": {500}, "api_robf": {500}, "api_satelit": {500}, "api_hermes": {200, 1000},
		"api_imprimfip": {50, 200, 1000}, "api_r2p": {50, 200, 1000}, "api_sfip_r2p": {50, 200, 1000}, "api_infinoe": {200, 500, 1000},
		"api_rial": {50, 100, 200}, "api_ficoba": {200, 500, 700},
		"api_impot_particulier": {50, 100, 200, 500, 750, 1000}, "api_sfip": {50, 100, 200, 500, 750, 1000},
	}
	for _, uid := range sandboxed {
		production, sandbox := of(uid), of(uid+"_sandbox")
		if diff := cmp.Diff(volumetries[uid], production.Volumetries); diff != "" {
			t.Errorf("%s, volumetries (-want +got):\n%s", uid, diff)
		}
		if len(sandbox.Volumetries) > 0 || sandbox.Scopes != production.Scopes || sandbox.IncomeScopes != production.IncomeScopes ||
			!cmp.Equal(sandbox.Modalities, production.Modalities) || !cmp.Equal(sandbox.Contacts, production.Contacts) {
			t.Errorf("%s: the two stages disagree", uid)
		}
		if has := slices.Contains(production.Blocks, habilitation.BlockSafetyCertification); has == (uid == "api_infinoe") {
			t.Errorf("%s: safety certification %v", uid, has)
		}
		if !slices.Contains(production.Blocks, habilitation.BlockOperationalAcceptance) ||
			slices.Contains(sandbox.Blocks, habilitation.BlockOperationalAcceptance) {
			t.Errorf("%s: operational acceptance is for production alone", uid)
		}
		for _, r := range []habilitation.Rules{production, sandbox} {
			if !cmp.Equal(r.Checkboxes, []string{"dpd_homologation_checkbox"}) || !slices.Contains(r.Optional, "contact_technique_extra_email") {
				t.Errorf("%s: %+v", uid, r)
			}
		}
	}
	tests := map[string]bool{
		"the spelling of API E-Contacts is DataPass's": slices.Contains(of("api_e_contacts").Optional, "volumetrie_approximatives") &&
			!slices.Contains(of("api_e_contacts").Optional, "volumetrie_approximative"),
		"API ENSU Documents has no free volume": !slices.Contains(of("api_ensu_documents").Optional, "volumetrie_approximative"),
		"API Entreprise names four contacts":    len(of("api_entreprise").Contacts) == 4,
		"API Particulier has no one in charge of processing": !hasContact(of("api_particulier"), habilitation.ContactResponsable) &&
			len(of("api_particulier").Contacts) == 3,
		"API Particulier's modalities default to params": cmp.Equal(of("api_particulier").DefaultModalities, []string{"params"}),
		"the QF form has no scopes":                      of("formulaire_qf").Scopes == habilitation.ScopesNone,
		"the QF form has personal data":                  slices.Contains(of("formulaire_qf").Blocks, habilitation.BlockPersonalData),
		"CNAM's scopes are fixed":                        cmp.Equal(of("api_droits_cnam").FixedScopes, []string{"droits_assurance_maladie"}),
		"URSSAF's scopes are optional":                   of("api_declaration_cesu").Scopes == habilitation.ScopesOptional,
		"API Mobilic asks for a telephone in France":     of("api_mobilic").Contacts[0].Phone == habilitation.PhoneFrench,
		"API Mobilic has no legal block":                 !slices.Contains(of("api_mobilic").Blocks, habilitation.BlockLegal),
		"CaptchEtat has a technical contact alone":       len(of("api_captchetat").Contacts) == 1,
		"the annuaire has no contact":                    len(of("annuaire_des_entreprises").Contacts) == 0,
		"Services CISIRH has basic infos alone":          len(of("services_cisirh").Blocks) == 1,
		"CertDC is one per organisation":                 of("hubee_cert_dc").OnePerOrganization && !of("hubee_dila").OnePerOrganization,
		"DILA's scopes are exclusive":                    of("hubee_dila").ExclusiveScopes,
		"API SFiP asks for a scope besides its rules":    of("api_sfip").Scopes == habilitation.ScopesRequired && of("api_sfip").IncomeScopes,
		"API SFiP R2P has eight modalities":              len(of("api_sfip_r2p").Modalities) == 8 && len(of("api_r2p").Modalities) == 6,
		"FICOBA has eight modalities":                    len(of("api_ficoba").Modalities) == 8,
	}
	for sentence, holds := range tests {
		if !holds {
			t.Errorf("not so: %s", sentence)
		}
	}
}

func hasContact(r habilitation.Rules, kind string) bool { return r.HasContact(kind) }

func TestAFoldersOwnRulesWinEntryByEntry(t *testing.T) {
	t.Parallel()
	set := mustLoad(t, folder(map[string]string{
		rulesFile: soundRules + "api_entreprise: { contacts: [contact_metier] }\n",
		definitionFile: soundDefinition + strings.NewReplacer("api_exemple", "api_entreprise").Replace(soundDefinition) +
			strings.NewReplacer("api_exemple", "api_gunenv").Replace(soundDefinition),
	}), Options{})
	if d, _ := set.Definition("api_entreprise"); len(d.Rules.Contacts) != 1 {
		t.Errorf("the folder's entry did not win: %+v", d.Rules)
	}
	if d, _ := set.Definition("api_gunenv"); len(d.Rules.Contacts) != 3 {
		t.Errorf("the built-in entry is lost: %+v", d.Rules)
	}
}

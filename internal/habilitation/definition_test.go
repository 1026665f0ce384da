package habilitation_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	hab "github.com/passerelle-hub/passerelle/internal/habilitation"
)

func TestClassesAreSpelledAsDataPassSpellsThem(t *testing.T) {
	t.Parallel()
	for uid, class := range map[string]string{
		"api_particulier": "APIParticulier", "api_entreprise": "APIEntreprise", "formulaire_qf": "FormulaireQF",
		"hubee_cert_dc": "HubEECertDC", "hubee_dila": "HubEEDila", "api_sfip_r2p_sandbox": "APISFiPR2PSandbox",
		"api_impot_particulier_sandbox": "APIImpotParticulierSandbox", "api_captchetat": "APICaptchEtat",
		"api_ensu_documents": "APIENSUDocuments", "api_infinoe": "APIINFINOE", "api_mire": "APIMire", "api_mobilic": "APIMobilic",
		"api_gfe_echange_collectivites": "APIGFEEchangeCollectivites", "api_declaration_cesu": "APIDeclarationCESU",
		"api_droits_cnam": "APIDroitsCNAM", "api_indemnites_journalieres_cnam": "APIIndemnitesJournalieresCNAM",
		"api_e_pro": "APIEPro", "api_e_contacts": "APIEContacts", "pro_connect_service_provider": "ProConnectServiceProvider",
		"annuaire_des_entreprises": "AnnuaireDesEntreprises", "api_cpr_pro_adelie": "APICprProAdelie", "produits_dinum": "ProduitsDinum",
		"services_cisirh": "ServicesCisirh", "api_exemple_dyn": "APIExempleDyn",
	} {
		if got := hab.ClassName(uid); got != "AuthorizationRequest::"+class {
			t.Errorf("%s: got %s, want %s", uid, got, class)
		}
		if got := hab.UIDOfClass("AuthorizationRequest::" + class); got != uid {
			t.Errorf("%s: got %s, want %s", class, got, uid)
		}
	}
}

func TestAClassGivesItsUIDBack(t *testing.T) {
	t.Parallel()
	part := rapid.OneOf(
		rapid.SampledFrom(strings.Fields("api captchetat cesu cnam ensu gfe hubee infinoe qf sfip r2p")),
		rapid.StringMatching(`[a-z][a-z0-9]{3,9}`),
	)
	rapid.Check(t, func(t *rapid.T) {
		uid := strings.Join(rapid.SliceOfN(part, 1, 5).Draw(t, "parts"), "_")
		if got := hab.UIDOfClass(hab.ClassName(uid)); got != uid {
			t.Fatalf("%s gives %s gives %s", uid, hab.ClassName(uid), got)
		}
	})
}

func TestAListIsStoredInOneForm(t *testing.T) {
	t.Parallel()
	for want, values := range map[string][]string{
		`[]`:                     {"", "  "},
		`["a", "b"]`:             {"b", "a", " a", "b "},
		`["d’été", "x < y & z"]`: {"x < y & z", "d’été"},
	} {
		if got := hab.EncodeList(values); got != want {
			t.Errorf("%q: got %s, want %s", values, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		text := hab.EncodeList(rapid.SliceOf(rapid.String()).Draw(t, "values"))
		list := hab.DecodeList(text)
		if !slices.IsSorted(list) || hab.EncodeList(list) != text {
			t.Fatalf("%s is read as %q", text, list)
		}
	})
}

func TestAPrefillIsStoredAsData(t *testing.T) {
	t.Parallel()
	d := standard(func(d *hab.Definition) { d.Scopes[1].Included = true })
	form := &hab.Form{Prefill: hab.Prefill{
		"intitule": {Text: "Cantine"}, "duree_conservation_donnees_caractere_personnel": {Text: "36", Number: true}, "scopes": {List: []string{"openid", "a"}},
	}}
	want := hab.Data{"intitule": "Cantine", "duree_conservation_donnees_caractere_personnel": "36", "scopes": `["a", "b", "openid"]`}
	if diff := cmp.Diff(want, d.EffectivePrefill(form).Data()); diff != "" {
		t.Errorf("prefill (-want +got):\n%s", diff)
	}
	if len(form.Prefill["scopes"].List) != 2 {
		t.Error("the form's own prefill was changed")
	}
	empty := d.EffectivePrefill(&hab.Form{})
	if diff := cmp.Diff([]string{"b"}, empty["scopes"].List); diff != "" {
		t.Errorf("a form without prefill has the scopes always granted:\n%s", diff)
	}
}

package definitions

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/passerelle-hub/passerelle/internal/habilitation"
)

// contractSamples are the two sample files of datapass.md, 4.5.
func contractSamples() fstest.MapFS {
	files := fstest.MapFS{}
	for name, content := range map[string]string{
		definitionFile: `api_exemple_sandbox:
  name: "API Exemple"
  description: "Données fictives"
  provider: "dinum"
  kind: 'api'
  support_email: "support@exemple.example"
  public: true
  access_link: "https://exemple.example/jetons/%{external_provider_id}"
  features: &exemple_features { messaging: false, transfer: false }
  stage: { type: sandbox, next: { id: api_exemple, form_id: api-exemple-production } }
  blocks: [{ name: basic_infos }, { name: scopes }, { name: contacts }]
  scopes:
    - &exemple_scopes
      - { name: "Identité", value: exemple_identite, group: "Personne", included: true }
      - { name: "Adresse", value: exemple_adresse, group: "Personne", deprecated: { since: '2026-05-20', writable: false } }
    - { name: "Nouveauté", value: exemple_nouveau, feature_flag: exemple_nouveau }
api_exemple:
  name: "API Exemple"
  description: "Données fictives"
  provider: "dinum"
  kind: 'api'
  support_email: "support@exemple.example"
  stage: { type: production, previous: { id: api_exemple_sandbox, form_id: api-exemple-editeur } }
  scopes: [*exemple_scopes]
`,
		formFile: `api-exemple-editeur: &exemple_editeur
  authorization_request: APIExempleSandbox
  service_provider_id: mgdis
  steps: [{ name: basic_infos }, { name: contacts }]
  static_blocks: [{ name: scopes }]
  scopes_config: { disabled: [exemple_identite], displayed: [exemple_identite, exemple_adresse] }
  initialize_with: { intitule: "Aides sociales", scopes: [exemple_identite], contact_technique_type: organization, contact_technique_phone_number: "0465710030" }
api-exemple-autre-editeur: { <<: *exemple_editeur, public: false }
api-exemple-defaut: { authorization_request: APIExempleSandbox, default: true }
api-exemple-libre: { authorization_request: APIExempleSandbox }
api-exemple-production: { authorization_request: APIExemple }
`,
		serviceProvidersFile: "shared:\n  mgdis: { type: editor, name: MGDIS, fc_certified: true, apipfc_enabled: true }\n",
	} {
		files[name] = &fstest.MapFile{Data: []byte(content)}
	}
	return files
}

func TestFormsOfADefinitionAreInFileOrderWithDefaultsLast(t *testing.T) {
	t.Parallel()
	set := mustLoad(t, contractSamples(), Options{})
	var got []string
	for _, f := range set.FormsOf("api_exemple_sandbox") {
		got = append(got, f.UID)
	}
	want := []string{"api-exemple-editeur", "api-exemple-autre-editeur", "api-exemple-libre", "api-exemple-defaut"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("forms (-want +got):\n%s", diff)
	}
	if f, ok := set.DefaultForm("api_exemple_sandbox"); !ok || f.UID != "api-exemple-defaut" {
		t.Errorf("default form: %+v", f)
	}
	if f, ok := set.DefaultForm("api_exemple"); !ok || f.UID != "api-exemple-production" {
		t.Errorf("without a default form the first one is: %+v", f)
	}
	if _, ok := set.DefaultForm("api_inconnue"); ok {
		t.Error("an unknown definition has a default form")
	}
}

func TestFormsTakeFromTheirDefinitionAndTheirEditorWhatTheyLeaveOut(t *testing.T) {
	t.Parallel()
	set := mustLoad(t, contractSamples(), Options{})
	f, _ := set.Form("api-exemple-autre-editeur")
	if f.Name != "API Exemple" || f.Description != "Données fictives" || f.Public || !f.StartableByApplicant {
		t.Errorf("%+v", f)
	}
	if !f.FranceConnectCertified {
		t.Error("an editor with both marks does not certify its form")
	}
	d, ok := set.DefinitionOfClass(f.Class)
	if !ok || d.UID != "api_exemple_sandbox" || d.NameWithStage() != "API Exemple (Bac à sable)" {
		t.Errorf("definition of %s: %+v", f.Class, d)
	}
	previous, ok := set.PreviousForm(must(set.Form("api-exemple-production")))
	if !ok || previous.UID != "api-exemple-defaut" {
		t.Errorf("previous form: %+v", previous)
	}
}

func must[T any](value T, _ bool) T { return value }

func TestAScopeIsVisibleToThoseWhoMayStillAskForIt(t *testing.T) {
	t.Parallel()
	at := func(text string) time.Time {
		moment, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return moment
	}
	now := at("2026-08-06T10:00:00+02:00")
	tests := map[string]struct {
		form    string
		created time.Time
		options Options
		want    []string
	}{
		"a request made before the deprecation sees the scope": {
			"api-exemple-libre", at("2026-05-19T23:59:59+02:00"), Options{}, []string{"exemple_identite", "exemple_adresse", "exemple_nouveau"},
		},
		"a request made on the day does not, the day being that of Paris": {
			"api-exemple-libre", at("2026-05-19T22:00:00Z"), Options{}, []string{"exemple_identite", "exemple_nouveau"},
		},
		"an unsaved request counts as made today": {
			"api-exemple-libre", time.Time{}, Options{}, []string{"exemple_identite", "exemple_nouveau"},
		},
		"a scope whose flag is off is hidden": {
			"api-exemple-libre", now, Options{Flags: map[string]bool{"exemple_nouveau": false}}, []string{"exemple_identite"},
		},
		"a form shows what it displays": {
			"api-exemple-editeur", at("2026-01-01T00:00:00Z"), Options{}, []string{"exemple_identite", "exemple_adresse"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := mustLoad(t, contractSamples(), test.options)
			var got []string
			for _, s := range set.VisibleScopes(must(set.Form(test.form)), test.created, now) {
				got = append(got, s.Value)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("scopes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestADeprecatedScopeIsLockedOnlyAfterItsDay(t *testing.T) {
	t.Parallel()
	set := mustLoad(t, contractSamples(), Options{})
	s, _ := must(set.Definition("api_exemple")).Scope("exemple_adresse")
	for day, want := range map[habilitation.Date]bool{"2026-05-19": false, "2026-05-20": false, "2026-05-21": true} {
		if s.DeprecatedOn(day) != want || s.LockedOn(day) != want {
			t.Errorf("on %s: deprecated %v, locked %v, want %v", day, s.DeprecatedOn(day), s.LockedOn(day), want)
		}
	}
}

func TestABundleRebuildsTheSameSet(t *testing.T) {
	t.Parallel()
	options := Options{Production: true, Flags: map[string]bool{"exemple_nouveau": false}, Contacts: map[string]string{"x": "y"}}
	for name, files := range map[string]fstest.MapFS{"the samples": contractSamples(), "the real size": generated()} {
		set := mustLoad(t, files, options)
		again, err := FromBundle(set.Bundle())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if set.Hash() != again.Hash() || !bytes.Equal(set.Bundle(), again.Bundle()) {
			t.Errorf("%s: the rebuilt set has another content", name)
		}
		if diff := cmp.Diff(set.Definitions(), again.Definitions(), cmpopts.IgnoreUnexported(habilitation.Definition{})); diff != "" {
			t.Errorf("%s: definitions (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(set.Forms(), again.Forms()); diff != "" {
			t.Errorf("%s: forms (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(set.ServiceProviders(), again.ServiceProviders()); diff != "" {
			t.Errorf("%s: service providers (-want +got):\n%s", name, diff)
		}
		// A database's jsonb orders keys and changes white space.
		var loose any
		if err := json.Unmarshal(set.Bundle(), &loose); err != nil {
			t.Fatal(err)
		}
		reordered, err := json.MarshalIndent(loose, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if fromJSONB, err := FromBundle(reordered); err != nil || fromJSONB.Hash() != set.Hash() {
			t.Errorf("%s: another hash after jsonb, or %v", name, err)
		}
	}
}

func TestTheHashChangesWithTheContentAlone(t *testing.T) {
	t.Parallel()
	base := mustLoad(t, folder(nil), Options{}).Hash()
	if again := mustLoad(t, folder(nil), Options{Flags: map[string]bool{}}).Hash(); again != base {
		t.Error("the same content has two hashes")
	}
	for name, hash := range map[string]string{
		"another text":     mustLoad(t, folder(map[string]string{formFile: oneForm("  use_case: autre\n")}), Options{}).Hash(),
		"the environment":  mustLoad(t, folder(nil), Options{Production: true}).Hash(),
		"a file's name":    mustLoad(t, folder(map[string]string{formFile: "", "authorization_request_forms/b.yml": oneForm("")}), Options{}).Hash(),
		"a contact to set": mustLoad(t, folder(nil), Options{Contacts: map[string]string{"a": "b"}}).Hash(),
	} {
		if hash == base {
			t.Errorf("the hash does not depend on %s", name)
		}
	}
}

func TestABundleThatIsNoneIsRefusedWithoutShowingIt(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"nothing": "", "not JSON": "secret", "another format": `{"format":2,"options":{"production":false},"files":[]}`,
		"an unknown key": `{"format":1,"secret":1}`,
	} {
		if _, err := FromBundle([]byte(content)); !errors.Is(err, ErrBundle) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := FromBundle([]byte(`{"format":1,"options":{"production":false},"files":[{"name":"` + formFile + `","content":"a: 1"}]}`)); err == nil {
		t.Error("a bundle whose files have faults was accepted")
	}
}

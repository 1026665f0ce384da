package definitions

import (
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/passerelle-hub/passerelle/internal/habilitation"
)

func TestACatalogueOfTheRealSizeIsReadWhole(t *testing.T) {
	t.Parallel()
	set, report := Load(generated(), Options{})
	if err := report.Err(); err != nil {
		t.Fatal(err)
	}
	want := Totals{
		Definitions: realDefinitions, Forms: realForms, Scopes: realScopes, ServiceProviders: realServiceProviders,
		EligibilityRules: 19, DeprecatedScopes: realDeprecations, Tags: realTags, ToSet: 146,
	}
	if diff := cmp.Diff(want, report.Totals); diff != "" {
		t.Errorf("totals (-want +got):\n%s", diff)
	}
	for i := range 2 {
		for _, uid := range []string{pairUID(i) + "_sandbox", pairUID(i)} {
			d, ok := set.Definition(uid)
			if !ok {
				t.Fatalf("%s is missing", uid)
			}
			deprecated := 0
			for _, s := range d.Scopes {
				if s.Deprecated != nil {
					deprecated++
				}
			}
			if deprecated != 14 {
				t.Errorf("%s has %d deprecated scopes, want 14: aliases inside a shared list were lost", uid, deprecated)
			}
		}
	}
}

func BenchmarkLoadOfTheRealSize(b *testing.B) {
	folder := generated()
	for b.Loop() {
		if _, report := Load(folder, Options{}); report.Err() != nil {
			b.Fatal(report.Err())
		}
	}
}

func TestMergesNullsAndOverridesKeepTheirMeaning(t *testing.T) {
	t.Parallel()
	set := mustLoad(t, generated(), Options{})
	d, _ := set.Definition("api_pair_c")
	if d.Name != "API Paire 2" || !d.Public || d.Features.Messaging || d.Features.Transfer || !d.Features.Reopening {
		t.Errorf("a merged definition lost a value: %+v", d)
	}
	if d.Link != "" || d.CGULink != "" {
		t.Errorf("an explicit null is not absent: %+v", d)
	}
	if want := (&habilitation.Stage{
		Type: habilitation.StageProduction, Previous: &habilitation.StageLink{Definition: "api_pair_c_sandbox", Form: "api-pair-c-sandbox"},
	}); !cmp.Equal(want, d.Stage) {
		t.Errorf("stage: %s", cmp.Diff(want, d.Stage))
	}
	f, _ := set.Form("api-pair-c-production")
	if f.StartableByApplicant || !f.Default || f.PreviousForm != "api-pair-c-sandbox" || len(f.Steps) != 2 {
		t.Errorf("a merged form lost a value: %+v", f)
	}
	if f.Description != "Texte, lignes vides gardées.\n\n" {
		t.Errorf("a kept block scalar lost its empty line: %q", f.Description)
	}
}

func TestPrefillIsReadAsWritten(t *testing.T) {
	t.Parallel()
	set := mustLoad(t, folder(map[string]string{
		formFile: oneForm(`
  initialize_with:
    intitule: "  Aides  "
    contact_technique_phone_number: 0184162457
    duree_conservation_donnees_caractere_personnel: 36
    volumetrie_approximative: "0"
    cadre_juridique_url: null
    scopes: [b, a]
`),
	}), Options{})
	f, _ := set.Form("api-exemple")
	want := habilitation.Prefill{
		"intitule":                       {Text: "Aides"},
		"contact_technique_phone_number": {Text: "0184162457"},
		"duree_conservation_donnees_caractere_personnel": {Text: "36", Number: true},
		"volumetrie_approximative":                       {Text: "0"},
		"scopes":                                         {List: []string{"b", "a"}},
	}
	if diff := cmp.Diff(want, f.Prefill); diff != "" {
		t.Errorf("prefill (-want +got):\n%s", diff)
	}
	effective := set.Prefill(f)
	if diff := cmp.Diff([]string{"a", "b", "toujours"}, effective["scopes"].List); diff != "" {
		t.Errorf("the scopes always granted are missing or unsorted:\n%s", diff)
	}
	if got := effective.JSON()["duree_conservation_donnees_caractere_personnel"]; got != jsonNumber("36") {
		t.Errorf("an unquoted number is sent as %#v", got)
	}
}

// TestTheOfficialFilesAreReadWhole reads a checkout of DataPass's own
// repository, whose path an environment variable gives; the counts are those of
// commit c3a17f129 (datapass.md, 4).
func TestTheOfficialFilesAreReadWhole(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("PASSERELLE_DATAPASS_CONFIG")
	if dir == "" {
		t.Skip("PASSERELLE_DATAPASS_CONFIG names no copy of DataPass's config folder")
	}
	set, report := Load(os.DirFS(dir), Options{})
	if err := report.Err(); err != nil {
		t.Fatal(err)
	}
	got := report.Totals
	got.EligibilityRules, got.ToSet = 0, 0 // in another folder there; merges repeat values
	want := Totals{
		Definitions: realDefinitions, Forms: realForms, Scopes: realScopes, ServiceProviders: realServiceProviders,
		DeprecatedScopes: realDeprecations, Tags: realTags,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("totals (-want +got):\n%s", diff)
	}
	for _, w := range report.Warnings {
		if strings.Contains(w.Message, "no rules are known") {
			t.Errorf("%s: %s", w.Position, w.Message)
		}
	}
	if f, ok := set.Form("api-entreprise-entrouvert"); !ok || f.Prefill["contact_technique_phone_number"].Text != "0184162457" {
		t.Error("the unquoted telephone number lost its zero")
	}
}

func mustLoad(t *testing.T, folder fs.FS, options Options) *Set {
	t.Helper()
	set, report := Load(folder, options)
	if err := report.Err(); err != nil {
		t.Fatal(err)
	}
	return set
}

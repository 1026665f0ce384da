package definitions

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/passerelle-hub/passerelle/internal/habilitation"
)

func TestTheEmbeddedCatalogueHasNoFault(t *testing.T) {
	t.Parallel()
	for _, options := range []Options{{}, {Production: true}} {
		set, report := Load(Catalogue(), options)
		if err := report.Err(); err != nil {
			t.Fatal(err)
		}
		for _, w := range report.Warnings {
			if !strings.Contains(w.Message, "already the default form") && !strings.Contains(w.Message, "both a step and static") {
				t.Errorf("%s: %s", w.Position, w.Message) // those two are facts of DataPass's own files
			}
		}
		d, _ := set.Definition("api_particulier")
		if len(d.Scopes) != 61 {
			t.Errorf("API Particulier has %d scopes, want 61", len(d.Scopes))
		}
		f, ok := set.Form("api-particulier-3d-ouest")
		if !ok || f.ServiceProvider != "3d_ouest" || !slices.Contains(f.Prefill["modalities"].List, "formulaire_qf") {
			t.Errorf("the QF form of 3D Ouest: %+v", f)
		}
		if p, ok := set.ServiceProvider("3d_ouest"); !ok || p.SIRET != "44973625500018" {
			t.Errorf("3D Ouest: %+v", p)
		}
	}
}

// TestTheEmbeddedCatalogueSaysWhatDataPassSays compares every fact of
// datapass/catalogue.json, found beside the repository.
func TestTheEmbeddedCatalogueSaysWhatDataPassSays(t *testing.T) {
	t.Parallel()
	var facts struct {
		Definitions map[string]struct {
			Name, Provider, Kind, Link string
			SupportEmail               string `json:"support_email"`
			CGULink                    string `json:"cgu_link"`
			AccessLink                 string `json:"access_link"`
			Public, Unique             bool
			Features                   map[string]bool
			Stage                      *struct {
				Type           string
				Next, Previous *struct {
					ID     string
					FormID string `json:"form_id"`
				}
			}
			Blocks []string
			Scopes []struct {
				Value, Name, Group, Link string
				Included                 bool
				Deprecated               *struct {
					Since    string
					Writable *bool
				}
			}
		}
		Forms map[string]struct {
			Name                 string
			AuthorizationRequest string `json:"authorization_request"`
			UseCase              string `json:"use_case"`
			ServiceProvider      string `json:"service_provider_id"`
			SinglePageView       string `json:"single_page_view"`
			Default              bool
			Public, Startable    *bool `json:"-"`
			Steps                []string
			StaticBlocks         []string                                     `json:"static_blocks"`
			ScopesConfig         struct{ Disabled, Displayed, Hide []string } `json:"scopes_config"`
			Keys                 []string                                     `json:"prefilled_keys"`
			Scopes               []string                                     `json:"prefilled_scopes"`
			Modalities           []string                                     `json:"prefilled_modalities"`
		}
	}
	readContract(t, "datapass/catalogue.json", &facts)
	set := mustLoad(t, Catalogue(), Options{})

	for uid, want := range facts.Definitions {
		d, ok := set.Definition(uid)
		if !ok {
			t.Errorf("%s is missing", uid)
			continue
		}
		got := []any{d.Name, d.Provider, d.Kind, d.Link, d.SupportEmail, d.CGULink, d.AccessLink, d.Public, d.Unique, texts(d.Blocks)}
		if diff := cmp.Diff([]any{want.Name, want.Provider, want.Kind, want.Link, want.SupportEmail, want.CGULink, want.AccessLink, want.Public, want.Unique, want.Blocks}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", uid, diff)
		}
		if len(d.Scopes) != len(want.Scopes) {
			t.Errorf("%s has %d scopes, want %d", uid, len(d.Scopes), len(want.Scopes))
			continue
		}
		for i, w := range want.Scopes {
			expected := habilitation.Scope{
				Name: w.Name, Value: w.Value, Group: w.Group, Link: w.Link, Included: w.Included, FeatureFlag: d.Scopes[i].FeatureFlag,
			}
			if w.Deprecated != nil {
				expected.Deprecated = &habilitation.Deprecation{Since: habilitation.Date(w.Deprecated.Since), Writable: w.Deprecated.Writable == nil || *w.Deprecated.Writable}
			}
			if diff := cmp.Diff(expected, d.Scopes[i]); diff != "" {
				t.Errorf("%s, scope %s (-want +got):\n%s", uid, w.Value, diff)
			}
		}
		if want.Stage != nil && (d.Stage == nil || string(d.Stage.Type) != want.Stage.Type) {
			t.Errorf("%s: stage %+v", uid, d.Stage)
		}
		if v, ok := want.Features["instructor_drafts"]; ok && d.Features.InstructorDrafts != v {
			t.Errorf("%s: features %+v", uid, d.Features)
		}
		if v, ok := want.Features["messaging"]; ok && d.Features.Messaging != v {
			t.Errorf("%s: features %+v", uid, d.Features)
		}
	}
	if len(facts.Forms) != len(set.Forms()) {
		t.Errorf("%d forms, want %d", len(set.Forms()), len(facts.Forms))
	}
	for uid, want := range facts.Forms {
		f, ok := set.Form(uid)
		if !ok {
			t.Errorf("%s is missing", uid)
			continue
		}
		name := want.Name
		if name == "" {
			name = must(set.Definition(f.Definition)).Name
		}
		keys := []string{}
		for key := range f.Prefill {
			keys = append(keys, key)
		}
		slices.Sort(keys)
		got := []any{
			f.Name, f.Class, f.UseCase, f.ServiceProvider, f.SinglePageView, f.Default, texts(f.Steps), texts(f.StaticBlocks),
			list(f.ScopesConfig.Disabled), list(f.ScopesConfig.Displayed), list(f.ScopesConfig.Hide), keys,
			list(f.Prefill["scopes"].List), list(f.Prefill["modalities"].List),
		}
		expected := []any{
			name, "AuthorizationRequest::" + want.AuthorizationRequest, want.UseCase, want.ServiceProvider, want.SinglePageView, want.Default,
			list(want.Steps), list(want.StaticBlocks),
			list(want.ScopesConfig.Disabled), list(want.ScopesConfig.Displayed), list(want.ScopesConfig.Hide), list(want.Keys),
			list(want.Scopes), list(want.Modalities),
		}
		if diff := cmp.Diff(expected, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", uid, diff)
		}
	}
}

func texts(blocks []habilitation.Block) []string {
	names := []string{}
	for _, b := range blocks {
		names = append(names, string(b))
	}
	return names
}

func list(values []string) []string {
	if values == nil {
		return []string{}
	}
	return values
}

// readContract reads a file of the wire contracts, kept beside the repository;
// the test is skipped where they are not.
func readContract(t *testing.T, name string, into any) {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		content, err := os.ReadFile(filepath.Join(dir, "..", "shared", "contracts", name))
		if err != nil {
			continue
		}
		if err := json.Unmarshal(content, into); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Skipf("the contract's %s is not beside the repository", name)
}

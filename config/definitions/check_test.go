package definitions

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

const (
	definitionFile = "authorization_definitions/exemple.yml"
	formFile       = "authorization_request_forms/exemple.yml"
)

const soundDefinition = `api_exemple:
  name: "API Exemple"
  description: "Données fictives"
  provider: dinum
  kind: api
  support_email: "support@exemple.example"
  blocks: [{ name: basic_infos }, { name: scopes }, { name: contacts }]
  scopes:
    - { name: "A", value: a }
    - { name: "B", value: b }
    - { name: "Toujours", value: toujours, included: true }
`

const soundRules = `api_exemple:
  blocks: [basic_infos, personal_data, legal]
  optional: [volumetrie_approximative]
  contacts: [contact_technique]
  scopes: required
  modalities: [params]
`

const soundProviders = `shared:
  mgdis: { type: editor, name: MGDIS }
`

func oneForm(more string) string {
	return "api-exemple:\n  name: Demande libre\n  authorization_request: APIExemple\n" + strings.TrimPrefix(more, "\n")
}

// folder is a sound folder with some files replaced; "" takes one away.
func folder(replaced map[string]string) fstest.MapFS {
	files := map[string]string{
		definitionFile: soundDefinition, formFile: oneForm(""), rulesFile: soundRules, serviceProvidersFile: soundProviders,
	}
	for name, content := range replaced {
		files[name] = content
	}
	fsys := fstest.MapFS{}
	for name, content := range files {
		if content != "" {
			fsys[name] = &fstest.MapFile{Data: []byte(content)}
		}
	}
	return fsys
}

func jsonNumber(s string) any { return json.Number(s) }

func TestASoundFolderHasNeitherFaultNorWarning(t *testing.T) {
	t.Parallel()
	report := Check(folder(nil), Options{})
	if len(report.Faults)+len(report.Warnings) > 0 {
		t.Errorf("%v\n%v", report.Faults, report.Warnings)
	}
}

// An expectation is "file:line:column: message", the message a part of it.
func TestEachFaultIsReportedWhereItIs(t *testing.T) {
	t.Parallel()
	d, f := definitionFile, formFile
	with := func(more string) map[string]string { return map[string]string{d: soundDefinition + more} }
	form := func(more string) map[string]string { return map[string]string{f: oneForm(more)} }
	tests := map[string]struct {
		files map[string]string
		want  []string
	}{
		"an unknown key of a definition": {with("  pubilc: true\n"), []string{d + `:12:3: unknown key "pubilc" (did you mean "public"?)`}},
		"an unknown key of a form":       {form("  etapes: []\n"), []string{f + `:4:3: unknown key "etapes"`}},
		"an unknown key of a scope": {
			with("    - { name: C, value: c, groupe: G }\n"),
			[]string{d + `:12:28: unknown key "groupe" (did you mean "group"?)`},
		},
		"a key set twice": {with("  name: Autre\n"), []string{d + `:12:3: "name" is already set on line 2`}},
		"a uid defined in two files": {
			map[string]string{"authorization_definitions/z.yml": soundDefinition},
			[]string{`authorization_definitions/z.yml:1:1: "api_exemple" is already set on line 1`},
		},
		"a merge is no duplicate, what follows it overrides": {
			map[string]string{d: soundDefinition + "  features: &f { messaging: false }\n", f: oneForm("") + "autre:\n  <<: &x { name: Un }\n  name: Deux\n  authorization_request: APIExemple\n"},
			nil,
		},
		"a uid out of shape": {
			with(strings.ReplaceAll(soundDefinition, "api_exemple", "apiexemple_")),
			[]string{d + `:12:1: the uid "apiexemple_" is not in snake case`},
		},
		"two uids with one class": {
			with(strings.ReplaceAll(soundDefinition, "api_exemple", "api_qf") + strings.ReplaceAll(soundDefinition, "api_exemple", "api_q_f")),
			[]string{d + `:23:1: "api_q_f" has the same class as "api_qf": AuthorizationRequest::APIQF`},
		},
		"a scope listed twice":   {with("    - { name: Z, value: a }\n"), []string{d + `:12:25: the scope "a" is already listed on line 9`}},
		"a scope without a name": {with("    - { value: c }\n"), []string{d + `:12:7: "name" is missing`}},
		"a deprecation without a real date": {
			with("    - { name: C, value: c, deprecated: { since: '2026-02-30' } }\n"),
			[]string{d + `:12:49: "2026-02-30" is not a date`},
		},
		"a quoted boolean":        {with("  public: 'true'\n"), []string{d + `:12:11: true or false is expected here, not "true"`}},
		"a list in place of text": {with("  link: [a]\n"), []string{d + `:12:9: a text is expected here, not a list`}},
		"an unknown kind":         {map[string]string{d: strings.Replace(soundDefinition, "kind: api", "kind: apis", 1)}, []string{d + `:5:9: "apis" is not one of api, service`}},
		"an unknown block":        {form("  steps: [{ name: basic_info }]\n"), []string{f + `:4:19: unknown block "basic_info" (did you mean "basic_infos"?)`}},
		"an unknown class":        {map[string]string{f: strings.Replace(oneForm(""), "APIExemple", "ApiExemple", 1)}, []string{f + `:3:26: unknown class "ApiExemple" (did you mean "APIExemple"?)`}},
		"an unknown class and an unknown editor": {
			map[string]string{f: strings.Replace(oneForm("  service_provider_id: mgdiss\n"), "APIExemple", "ApiExemple", 1)},
			[]string{f + `:3:26: unknown class "ApiExemple" (did you mean "APIExemple"?)`, f + `:4:24: unknown service provider "mgdiss" (did you mean "mgdis"?)`},
		},
		"a form without its class": {map[string]string{f: "api-exemple:\n  name: Libre\n"}, []string{f + `:2:3: "authorization_request" is missing`}},
		"an unknown editor":        {form("  service_provider_id: mgdiss\n"), []string{f + `:4:24: unknown service provider "mgdiss" (did you mean "mgdis"?)`}},
		"a uid with capitals":      {map[string]string{f: strings.Replace(oneForm(""), "api-", "Api-", 1)}, []string{f + `:1:1: the uid "Api-exemple" is not in kebab case`}},
		"a stage that points nowhere": {
			with("  stage: { type: sandbox, next: { id: api_autre, form_id: api-autre } }\n"),
			[]string{d + `:12:10: unknown definition "api_autre"`},
		},
		"a sandbox without a next stage": {with("  stage: { type: sandbox }\n"), []string{d + `:12:10: a sandbox has a "next" stage`}},
		"a stage's form of another definition": {
			with("  stage: { type: sandbox, next: { id: api_exemple, form_id: api-nulle-part } }\n"),
			[]string{d + `:12:10: unknown form "api-nulle-part"`},
		},
		"scalar scopes in a prefill":          {form("  initialize_with: { scopes: a }\n"), []string{f + `:4:30: a list is expected here, not a text`}},
		"an ERB tag of another shape":         {form("  description: \"<%= ENV['HOME'] %>\"\n"), []string{f + `:4:17: this ERB tag has none of the three shapes`}},
		"an ERB tag in a comment":             {form("  # <% system('id') %>\n"), []string{f + `:4:5: this ERB tag has none of the three shapes`}},
		"an ERB if without its end":           {form("  description: \"<% if FeatureFlag.enabled?(:x) %>a\"\n"), []string{f + `:4:16: an ERB if without its end`}},
		"a tag that would make a Ruby object": {form("  description: !ruby/object:Kernel {}\n"), []string{f + `:4:16: a text is expected here, not a mapping`, f + `:4:16: the tag !ruby/object:Kernel is not allowed`}},
		"an anchor that nobody defines":       {form("  steps: *etapes\n"), []string{f + `:4:10: unknown anchor "etapes"`}},
		"an editor of an unknown type": {
			map[string]string{serviceProvidersFile: "shared:\n  mgdis: { type: editeur, name: M }\n"},
			[]string{serviceProvidersFile + `:2:18: "editeur" is not one of editor, saas`},
		},
		"an unquoted yes": {
			map[string]string{eligibilityFile: "- id: 1\n  definition_id: api_exemple\n  options:\n  - { type: particulier, eligible: yes, body: B }\n"},
			[]string{eligibilityFile + `:4:36: quote "yes"`},
		},
		"a rule about an unknown contact": {
			map[string]string{rulesFile: "api_exemple:\n  contacts: [contact_techniqe]\n"},
			[]string{rulesFile + `:2:14: unknown contact "contact_techniqe" (did you mean "contact_technique"?)`},
		},
		"a folder without forms":   {map[string]string{f: ""}, []string{`authorization_request_forms: no *.yml file here`}},
		"a file that is not UTF-8": {map[string]string{d: soundDefinition + "  link: \"caf\xe9\"\n"}, []string{d + `:12:1: not UTF-8`}},
		"a second document": {
			map[string]string{"authorization_definitions/z.yml": "---\napi_autre: {}\n"},
			[]string{
				`authorization_definitions/z.yml:1:1: "---" starts a second document`,
				`authorization_definitions/z.yml:2:12: "kind" is missing`,
				`authorization_definitions/z.yml:2:12: "name" is missing`,
				`authorization_definitions/z.yml:2:12: "provider" is missing`,
			},
		},
		"not a mapping at all": {map[string]string{d: "- a\n- b\n"}, []string{d + `:1:1: a mapping is expected here, not a list`, f + `:3:26: unknown class "APIExemple"`}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set, report := Load(folder(test.files), Options{})
			compareFindings(t, test.want, report.Faults)
			if (set == nil) != (len(report.Faults) > 0) {
				t.Errorf("a set with faults, or none without: %v", report.Faults)
			}
		})
	}
}

func compareFindings(t *testing.T, want []string, got []Finding) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d findings, want %d:\n%v", len(got), len(want), got)
		return
	}
	for i, f := range got {
		if text := f.Position.String() + ": " + f.Message; !strings.HasPrefix(text, want[i]) {
			t.Errorf("got  %s\nwant %s", text, want[i])
		}
	}
}

func TestWhatIsLegalButSuspectIsAWarning(t *testing.T) {
	t.Parallel()
	d, f := definitionFile, formFile
	form := func(more string) map[string]string { return map[string]string{f: oneForm(more)} }
	tests := map[string]struct {
		files map[string]string
		want  []string
	}{
		"a uid without rules": {
			map[string]string{rulesFile: ""},
			[]string{d + `:1:1: no rules are known for "api_exemple": it gets the standard ones`},
		},
		"rules for a uid that is not defined": {
			map[string]string{rulesFile: soundRules + "api_autre: {}\n"},
			[]string{rulesFile + `:7:1: rules for "api_autre", which is not defined`},
		},
		"an unquoted number":       {form("  description: 0184162457\n"), []string{f + `:4:16: unquoted float where a text is expected: read as "0184162457"`}},
		"an anchor defined twice":  {form("  description: &a x\n  introduction: &a y\n"), []string{f + `:5:17: the anchor "a" is already defined on line 4`}},
		"a merge that replaces":    {form("  description: x\n  <<: { description: y }\n"), []string{f + `:5:3: the merge replaces "description"`}},
		"an unknown scope":         {form("  scopes_config: { hide: [z] }\n"), []string{f + `:4:18: "api_exemple" has no scope "z"`}},
		"an unknown prefilled key": {form("  initialize_with: { intitulé: x }\n"), []string{f + `:4:20: requests for "api_exemple" have no field "intitulé"`}},
		"a second default form": {
			map[string]string{f: oneForm("  default: true\n") + "autre: { authorization_request: APIExemple, default: true }\n"},
			[]string{f + `:5:45: "api-exemple" is already the default form`},
		},
		"a malformed SIRET": {
			map[string]string{serviceProvidersFile: "shared:\n  mgdis: { type: editor, name: M, siret: '780261986600048' }\n"},
			[]string{serviceProvidersFile + `:2:42: the SIRET "780261986600048" has not 14 digits`},
		},
		"an underscore in a form's uid": {
			map[string]string{f: strings.Replace(oneForm(""), "api-exemple", "produits_dinum", 1)},
			[]string{f + `:1:1: the uid "produits_dinum" is not in kebab case`},
		},
		"a definition without forms": {
			map[string]string{d: soundDefinition + strings.ReplaceAll(soundDefinition, "api_exemple", "api_seule"), rulesFile: soundRules + "api_seule: { scopes: required }\n"},
			[]string{d + `:12:1: "api_seule" has no form`},
		},
		"a block that is both": {form("  steps: [{ name: legal }]\n  static_blocks: [{ name: legal }]\n"), []string{f + `:5:18: the block "legal" is both a step and static`}},
		"an unknown variable":  {form("  introduction: 'Bonjour %{prenom}'\n"), []string{f + `:4:17: the introduction holds an unknown variable`}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report := Check(folder(test.files), Options{})
			if err := report.Err(); err != nil {
				t.Fatal(err)
			}
			compareFindings(t, test.want, report.Warnings)
		})
	}
}

func TestAReportShowsEveryFaultOfAFolderAtOnce(t *testing.T) {
	t.Parallel()
	report := Check(folder(map[string]string{
		definitionFile: soundDefinition + "  public: peut-être\n",
		"authorization_definitions/cassé.yml": "api_cassee:\n  name: Sain\n  description: \"guillemets\n    sur deux lignes\"\n  link: \"jamais fermé\n" +
			"api_saine:\n  name: [\n  kind: api\n",
		formFile: oneForm("  steps: [{ name: lgeal }]\n  service_provider_id: inconnu\n"),
		"authorization_request_forms/z.yml": "z-form:\n  authorization_request: APICassee\n  steps: *nulle_part\n\tname: tabulation\n" +
			"z-autre:\n  authorization_request: APIExemple\n  name: &nom Nom\n  defaut: true\n",
		serviceProvidersFile: soundProviders + "  hubee: { type: saas, name: HubEE, siret: \"1\" }\n",
	}), Options{})
	var b strings.Builder
	if _, err := report.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "report.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}

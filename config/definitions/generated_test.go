package definitions

import (
	"fmt"
	"strings"
	"testing/fstest"
)

// The real catalogue's size (datapass.md, 4.1 and 4.6).
const (
	realDefinitions      = 63
	realForms            = 244
	realScopes           = 410
	realDeprecations     = 61
	realServiceProviders = 70
	realTags             = 152
)

// generated is a folder of the real catalogue's size with every trait that the
// contract lists: anchors on scalars, lists, mappings and merge values, merges
// before and after other keys, nested lists of scopes, aliased lists that hold
// anchors, anchors defined twice, explicit nulls, block scalars, unquoted
// telephone numbers, the three shapes of ERB tags.
func generated() fstest.MapFS {
	files := fstest.MapFS{}
	write := func(name, content string) { files[name] = &fstest.MapFile{Data: []byte(content)} }
	write("service_providers.yml", generatedProviders())
	write("eligibility_rules.yml", generatedEligibility())
	write("authorization_definitions/a_pairs.yml", generatedPairs())
	write("authorization_definitions/b_singles.yml", generatedSingles())
	for i, content := range generatedForms() {
		write(fmt.Sprintf("authorization_request_forms/forms_%02d.yml", i), content)
	}
	write("rules.yml", generatedRules())
	return files
}

const pairs, singles = 18, 27

func pairUID(i int) string   { return fmt.Sprintf("api_pair_%c", 'a'+i) }
func singleUID(i int) string { return fmt.Sprintf("api_single_x%d", i) }
func dashed(uid string) string {
	return strings.ReplaceAll(uid, "_", "-")
}

// generatedPairs: 36 definitions, and on the first two pairs one list of 40
// scopes shared by four definitions, 14 of them deprecated by an alias to an
// anchor inside the list itself.
func generatedPairs() string {
	var b strings.Builder
	for i := range pairs {
		uid := pairUID(i)
		features := "*pair_features"
		if i == 0 {
			features = "&pair_features { messaging: false, transfer: false }"
		}
		scopes := ""
		switch i {
		case 0:
			scopes = "  scopes: &pair_scopes\n" + sharedScopes()
		case 1:
			scopes = "  scopes: *pair_scopes\n"
		}
		production := scopes
		if i == 0 {
			production = "  scopes: *pair_scopes\n"
		}
		fmt.Fprintf(&b, `%[1]s_sandbox: &%[1]s_sandbox
  name: "API Paire %[2]d"
  description: &%[1]s_description |
    Première ligne.

    Troisième ligne.
  provider: "dgfip"
  kind: 'api'
  support_email: "support@exemple.example"
  public: false
  features: %[3]s
  stage: { type: sandbox, next: { id: %[1]s, form_id: %[4]s-production } }
  blocks: [{ name: basic_infos }, { name: scopes }, { name: contacts }]
%[5]s%[1]s:
  <<: *%[1]s_sandbox
  public: true
  link: null
  cgu_link: ~
  stage:
    type: production
    previous:
      id: %[1]s_sandbox
      form_id: %[4]s-sandbox
%[6]s
`, uid, i, features, dashed(uid), scopes, production)
	}
	return b.String()
}

// sharedScopes: 40 scopes, nested by one level, 14 deprecated.
func sharedScopes() string {
	var b strings.Builder
	b.WriteString("    - - { name: \"Année\", value: annee, group: \"Revenus\", included: true }\n")
	for j := range 39 {
		deprecated := ""
		switch {
		case j == 0:
			deprecated = ", deprecated: &pair_deprecation { since: '2025-05-20', writable: true }"
		case j < 14:
			deprecated = ", deprecated: *pair_deprecation"
		}
		fmt.Fprintf(&b, "      - { name: \"Revenu %d\", value: revenu_%d, group: \"Revenus\"%s }\n", j, j, deprecated)
	}
	return b.String()
}

// generatedSingles: 27 definitions with the 250 scopes and 5 deprecations left.
func generatedSingles() string {
	var b strings.Builder
	left := realScopes - 4*40
	for i := range singles {
		count := left / singles
		if i == 0 {
			count += left % singles
		}
		fmt.Fprintf(&b, `%s:
  name: "API %d"
  description: "Données fictives"
  provider: dinum
  kind: service
  support_email: "support@exemple.example"
  access_link: "https://exemple.example/jetons/%%{external_provider_id}"
  introduction: "Non lue"
  blocks:
    - name: basic_infos
    - name: legal
    - name: scopes
    - name: contacts
  scopes:
`, singleUID(i), i)
		for j := range count {
			more := ""
			switch {
			case i == 0 && j < 5:
				more = ", deprecated: { since: '2026-05-20', writable: false }"
			case j == 6:
				more = ", feature_flag: exemple_nouveau"
			case j == 7:
				more = ", link: null, description: \"Non lue\", disabled: true"
			}
			fmt.Fprintf(&b, "    - { name: \"Donnée %d\", value: donnee_%d, group: \"Groupe\"%s }\n", j, j, more)
		}
	}
	return b.String()
}

func generatedRules() string {
	var b strings.Builder
	b.WriteString(".rules: &rules\n  blocks: [basic_infos, legal]\n  scopes: required\n  modalities: [params, autre]\n" +
		"  contacts: [contact_technique, contact_metier]\n")
	for i := range pairs {
		fmt.Fprintf(&b, "%[1]s_sandbox: { <<: *rules, scopes: optional }\n%[1]s: { <<: *rules, scopes: optional }\n", pairUID(i))
	}
	for i := range singles {
		fmt.Fprintf(&b, "%s: *rules\n", singleUID(i))
	}
	return b.String()
}

// generatedForms: 36 + 208 forms in 39 files.
func generatedForms() []string {
	files := make([]strings.Builder, 39)
	for i := range pairs {
		uid, class := pairUID(i), fmt.Sprintf("APIPair%c", 'A'+i)
		fmt.Fprintf(&files[i%39], `%[1]s-sandbox: &%[2]s_form
  name: Demande libre
  authorization_request: %[3]sSandbox
  default: true
  description: |+
    Texte, lignes vides gardées.

  steps: &%[2]s_steps
    - name: basic_infos
    - name: contacts
  single_page_view: "vue"
%[1]s-production:
  <<: *%[2]s_form
  authorization_request: %[3]s
  startable_by_applicant: false
  stage: { previous_form_uid: %[1]s-sandbox }
`, dashed(uid), uid, class)
	}
	credentials, n := 0, 0
	for k := range realForms - 2*pairs {
		i := k % singles
		b := &files[pairs+k%(39-pairs)]
		fmt.Fprintf(b, `form-%[1]d: &form_%[1]d
  name: Logiciel %[1]d
  authorization_request: APISingleX%[2]d
  use_case: tarification
  service_provider_id: editeur_%[3]d
  introduction: &introduction_%[1]d |
    Le logiciel %%{form_name} de l’éditeur %%{service_provider_name}.<br />
  steps: [{ name: basic_infos }, { name: contacts }]
  static_blocks: [{ name: scopes }]
  scopes_config: { disabled: [donnee_6], displayed: [donnee_6, donnee_7], hide: [donnee_8] }
  initialize_with:
    intitule: "  Aides sociales  "
    scopes: [donnee_7, donnee_6, donnee_7]
    modalities:
      - params
`, k, i, 1+k%(realServiceProviders-1))
		switch {
		case credentials < 146:
			fmt.Fprintf(b, "    <<: &contact_%d\n", k)
			for _, attribute := range []string{"email", "phone_number"} {
				fmt.Fprintf(b, "      contact_technique_%s: \"<%%= Rails.application.credentials.form_%d_%s || 'tech-%d@exemple.example' %%>\"\n",
					attribute, k, attribute, k)
				credentials++
			}
		case n < 4:
			fmt.Fprintf(b, "    contact_technique_email: \"<%%= Rails.env.production? ? 'prod@exemple.example' : 'essai@exemple.example' %%>\"\n")
			n++
		case n == 4:
			fmt.Fprintf(b, "    contact_technique_phone_number: 0184162457\n    description: |\n      Un.<%% if FeatureFlag.enabled?(:depot_dossier_mariage) %%>\n      Deux.<%% end %%>\n")
			n++
		}
	}
	contents := make([]string, len(files))
	for i := range files {
		contents[i] = files[i].String()
	}
	return contents
}

func generatedProviders() string {
	var b strings.Builder
	b.WriteString("---\nshared:\n  hubee:\n    type: saas\n    name: HubEE\n")
	for i := 1; i < realServiceProviders; i++ {
		fmt.Fprintf(&b, "  editeur_%d:\n    type: editor\n    name: Éditeur %d\n", i, i)
		if i == 1 {
			b.WriteString("    siret: \"79511947800027.\"\n    already_integrated: [api_entreprise]\n    fc_certified: true\n    apipfc_enabled: true\n")
		}
	}
	return b.String()
}

func generatedEligibility() string {
	var b strings.Builder
	b.WriteString("---\n")
	for i := range 19 {
		fmt.Fprintf(&b, "- id: %d\n  definition_id: %s\n  options:\n", i, singleUID(i))
		for _, visitor := range visitors {
			fmt.Fprintf(&b, "  - type: %s\n    eligible: 'yes'\n    body: |-\n      <p>Oui</p>\n    cta: { content: Demander, url: https://exemple.example }\n", visitor)
		}
	}
	return b.String()
}

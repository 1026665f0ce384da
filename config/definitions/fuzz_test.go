package definitions

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
)

// bomb is a list of lists of lists, each ten times the one before it.
func bomb(levels int) string {
	var b strings.Builder
	b.WriteString("api_bombe:\n  name: Bombe\n  provider: dinum\n  kind: api\n  link: &l0 x\n  scopes:\n  - &l1 [{ name: a, value: a }]\n")
	for i := 2; i <= levels; i++ {
		fmt.Fprintf(&b, "  - &l%d [%s]\n", i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*l%d, ", i-1), 10), ", "))
	}
	return b.String()
}

func TestAliasBombsAreAFault(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"lists of lists":           bomb(12),
		"a list in itself":         "api_boucle:\n  name: B\n  provider: d\n  kind: api\n  scopes: &a [*a]\n",
		"a merge of itself":        "api_boucle: &a\n  <<: *a\n  name: B\n",
		"merges of merges":         mergeBomb(18),
		"a mapping in itself":      "api_boucle: &a\n  features: *a\n",
		"a stage within its stage": "api_boucle:\n  stage: &s { next: *s }\n",
	} {
		report := Check(folder(map[string]string{definitionFile: content}), Options{})
		if report.Err() == nil {
			t.Errorf("%s: no fault", name)
		}
	}
}

func mergeBomb(levels int) string {
	var b strings.Builder
	b.WriteString("m0: &m0 { name: a }\n")
	for i := 1; i <= levels; i++ {
		fmt.Fprintf(&b, "m%d: &m%d\n  <<: [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*m%d, ", i-1), 9), ", "))
	}
	return b.String()
}

func TestAFolderThatIsTooLargeIsAFault(t *testing.T) {
	t.Parallel()
	report := Check(folder(map[string]string{definitionFile: "# " + strings.Repeat("x", maxBytes)}), Options{})
	if len(report.Faults) == 0 || !strings.Contains(report.Faults[0].Message, "larger than 4 MiB") {
		t.Errorf("%v", report.Faults)
	}
}

func TestManyFaultsAreReportedUpToALimit(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString(soundDefinition)
	for i := range 3 * maxFindings {
		fmt.Fprintf(&b, "  inconnue_%d: 1\n", i)
	}
	report := Check(folder(map[string]string{definitionFile: b.String()}), Options{})
	var text strings.Builder
	if _, err := report.WriteTo(&text); err != nil {
		t.Fatal(err)
	}
	if len(report.Faults) != maxFindings || !strings.Contains(text.String(), "1000 faults or more") {
		t.Errorf("%d faults", len(report.Faults))
	}
}

// FuzzLoad: whatever the files hold, Load ends, never panics, places each
// finding inside a file, and gives a set exactly when there is no fault; that
// set survives its bundle.
func FuzzLoad(f *testing.F) {
	f.Add(soundDefinition, oneForm(""), soundRules, soundProviders, "[]")
	f.Add(bomb(3), oneForm("  description: \"<%= ENV['A'] %>\"\n"), mergeBomb(2), "", "- id: 1\n")
	f.Add("a: \"jamais fermé\n", "b: *inconnue\n", "---\na: 1\n---\nb: 2\n", "\ufeffshared:\n", "a: [")
	f.Add("a: &a [*a]\n", "x: !ruby/object {}\n", ".x: &x {<<: *x}\n", "shared: {1: {}}\n", "- - -\n")
	f.Add("a:\r\n  b: \u2028c\n", "? [a]\n: b\n", "a: {<<: [1]}\n", "\x00", "\xff")
	f.Fuzz(func(t *testing.T, definition, form, rules, providers, eligibility string) {
		if len(definition)+len(form)+len(rules)+len(providers)+len(eligibility) > 1<<16 {
			t.Skip("the size is bounded elsewhere")
		}
		files := fstest.MapFS{}
		for name, content := range map[string]string{
			definitionFile: definition, formFile: form, rulesFile: rules, serviceProvidersFile: providers, eligibilityFile: eligibility,
		} {
			files[name] = &fstest.MapFile{Data: []byte(content)}
		}
		set, report := Load(files, Options{})
		if (set == nil) != (len(report.Faults) > 0) {
			t.Fatal("a set with faults, or none without")
		}
		for _, finding := range report.Faults {
			content, ok := files[finding.File]
			if !ok || finding.Line > 1+bytes.Count(content.Data, []byte("\n")) {
				t.Fatalf("a finding outside of its file: %s: %s", finding.Position, finding.Message)
			}
		}
		if set == nil {
			return
		}
		again, err := FromBundle(set.Bundle())
		if err != nil || again.Hash() != set.Hash() {
			t.Fatalf("the bundle does not rebuild the set: %v", err)
		}
	})
}

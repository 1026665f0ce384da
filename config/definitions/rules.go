package definitions

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"

	"github.com/passerelle-hub/passerelle/internal/habilitation"
)

// builtInFile is what DataPass keeps in the classes of its 63 definitions
// (datapass.md, 5.3).
//
//go:embed rules.yml
var builtInFile string

// standardRules is the entry that a definition without rules of its own gets.
const standardRules = ".standard"

// ruleEntry is one entry of a rules.yml and where it stands.
type ruleEntry struct {
	rules habilitation.Rules
	key   *yaml.Node
}

// builtInRules reads our own file, once. It is part of the program: a fault in
// it is a bug that any test meets.
var builtInRules = sync.OnceValue(func() map[string]ruleEntry {
	report := &Report{}
	l := &loader{report: report, complete: true}
	rules := l.rules(l.open([]file{{Name: rulesFile, Content: builtInFile}}))
	if err := report.Err(); err != nil {
		panic(fmt.Sprintf("built-in rules: %v", err))
	}
	return rules
})

// rules reads a rules.yml: uid -> rules. An entry whose name starts with a dot
// is there for its anchor.
func (l *loader) rules(r *reader, root *yaml.Node) map[string]ruleEntry {
	entries := map[string]ruleEntry{}
	for _, e := range r.top(root) {
		m := r.mapping(e.value)
		if m == nil {
			continue
		}
		entries[e.key.Value] = ruleEntry{rules: m.rules(), key: e.key}
		if !strings.HasPrefix(e.key.Value, ".") {
			l.after(func() {
				if _, ok := l.set.Definition(e.key.Value); !ok {
					r.warn(e.key, "rules for %q, which is not defined", e.key.Value)
				}
			})
		}
	}
	return entries
}

func (m *mapping) rules() habilitation.Rules {
	r := habilitation.Rules{
		Blocks: m.ruleBlocks(), Optional: m.texts("optional"), Required: m.texts("required"), Documents: m.texts("documents"),
		Contacts: m.contacts(), Checkboxes: m.texts("checkboxes"),
		Scopes: habilitation.ScopeRule(m.oneOf("scopes", string(habilitation.ScopesNone), string(habilitation.ScopesOptional),
			string(habilitation.ScopesRequired), string(habilitation.ScopesFixed))),
		FixedScopes: m.texts("fixed_scopes"), IncomeScopes: m.boolean("income_scopes", false),
		Modalities: m.texts("modalities"), DefaultModalities: m.texts("default_modalities"), Volumetries: m.numbers("volumetries"),
		FranceConnectModality: m.text("france_connect_modality"), EmbedsFranceConnect: m.boolean("embeds_france_connect", false),
		TechnicalTeams: m.texts("technical_teams"), TechnicalTeamsNamed: m.texts("technical_teams_named"),
		OnePerOrganization: m.boolean("one_per_organization", false), ExclusiveScopes: m.boolean("exclusive_scopes", false),
	}
	if r.Scopes == "" {
		r.Scopes = habilitation.ScopesNone
	}
	if (r.Scopes == habilitation.ScopesFixed) != (len(r.FixedScopes) > 0) {
		m.fault(m.node, `"fixed_scopes" goes with "scopes: fixed"`)
	}
	subsets := []struct {
		key     string
		some    []string
		allKey  string
		allowed []string
	}{
		{key: "default_modalities", some: r.DefaultModalities, allKey: "modalities", allowed: r.Modalities},
		{key: "france_connect_modality", some: nonBlank(r.FranceConnectModality), allKey: "modalities", allowed: r.Modalities},
		{key: "technical_teams_named", some: r.TechnicalTeamsNamed, allKey: "technical_teams", allowed: r.TechnicalTeams},
	}
	for _, s := range subsets {
		for _, value := range s.some {
			if !slices.Contains(s.allowed, value) {
				m.fault(m.get(s.key), "%q is not one of the %s", value, s.allKey)
			}
		}
	}
	m.close()
	return r
}

func nonBlank(text string) []string {
	if text == "" {
		return nil
	}
	return []string{text}
}

func (m *mapping) ruleBlocks() []habilitation.Block {
	var names []string
	for _, item := range m.items("blocks") {
		name := m.reader.text(item)
		if !slices.Contains(blockNames(), name) {
			m.fault(item, "unknown block %q%s", name, didYouMean(name, blockNames()))
		}
		names = append(names, name)
	}
	return blocksOf(names)
}

func (m *mapping) numbers(key string) []int {
	var numbers []int
	for _, item := range m.items(key) {
		numbers = append(numbers, m.reader.number(item))
	}
	return numbers
}

// contacts reads a list of kinds; a mapping says more of one.
func (m *mapping) contacts() []habilitation.ContactRule {
	var rules []habilitation.ContactRule
	for _, item := range m.items("contacts") {
		rule, at := habilitation.ContactRule{Phone: habilitation.PhoneFree}, item
		if item.Kind == yaml.ScalarNode {
			rule.Kind = m.reader.text(item)
		} else if c := m.reader.mapping(item); c != nil {
			rule.Kind = c.required("kind")
			if phone := c.oneOf("phone", string(habilitation.PhoneFree), string(habilitation.PhoneFrench),
				string(habilitation.PhoneMobile), string(habilitation.PhoneMobileEmbedded)); phone != "" {
				rule.Phone = habilitation.PhoneRule(phone)
			}
			rule.Optional = c.texts("optional")
			c.close()
		}
		if !slices.Contains(habilitation.ContactKinds(), rule.Kind) {
			m.fault(at, "unknown contact %q%s", rule.Kind, didYouMean(rule.Kind, habilitation.ContactKinds()))
		}
		for _, attribute := range rule.Optional {
			if !slices.Contains(habilitation.ContactAttributes(), attribute) {
				m.fault(at, "a contact has no %q", attribute)
			}
		}
		rules = append(rules, rule)
	}
	return rules
}

// rulesOf are the rules of a definition: the folder's own, else the built-in
// ones, else the standard ones, with a warning.
func (l *loader) rulesOf(r *reader, key *yaml.Node, d *habilitation.Definition) habilitation.Rules {
	if e, ok := l.own[d.UID]; ok {
		return e.rules
	}
	if e, ok := l.builtIn[d.UID]; ok {
		return e.rules
	}
	r.warn(key, "no rules are known for %q: it gets the standard ones", d.UID)
	rules := l.builtIn[standardRules].rules
	if len(d.Scopes) > 0 {
		rules.Scopes = habilitation.ScopesRequired
	}
	return rules
}

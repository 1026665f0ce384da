package definitions

import (
	"regexp"

	"go.yaml.in/yaml/v3"

	"github.com/passerelle-hub/passerelle/internal/habilitation"
)

var providerID = regexp.MustCompile(`\A[a-z0-9_-]+\z`)

// serviceProviders reads service_providers.yml (datapass.md, 4.6): one map
// under "shared"; the map of an environment is laid over it.
func (l *loader) serviceProviders(r *reader, root *yaml.Node) {
	for _, section := range r.top(root) {
		switch section.key.Value {
		case "shared":
		case "production":
			if !l.options.Production {
				continue
			}
		case "staging", "sandbox", "development", "test":
			continue
		default:
			r.fault(section.key, "unknown environment %q", section.key.Value)
			continue
		}
		if section.value.Kind != yaml.MappingNode {
			r.fault(section.value, "a mapping is expected here, not %s", kindName(section.value))
			continue
		}
		for _, e := range r.entries(section.value, 0) {
			if m := r.mapping(e.value); m != nil {
				l.serviceProvider(m, e.key)
			}
		}
	}
}

func (l *loader) serviceProvider(m *mapping, key *yaml.Node) {
	if !providerID.MatchString(key.Value) {
		m.fault(key, "the id %q has other characters than a-z, 0-9, _ and -", key.Value)
	}
	p := &habilitation.ServiceProviderProfile{
		ServiceProvider: habilitation.ServiceProvider{
			ID: key.Value, SIRET: m.text("siret"), Type: m.oneOf("type", "editor", "saas"),
		},
		Name:              m.required("name"),
		AlreadyIntegrated: m.texts("already_integrated"),
		FCCertified:       m.boolean("fc_certified", false),
		APIPFCEnabled:     m.boolean("apipfc_enabled", false),
	}
	if p.Type == "" {
		m.fault(m.node, `"type" is missing`)
	}
	if p.SIRET != "" && !habilitation.ValidSIRET(p.SIRET) {
		m.warn(m.at("siret"), "the SIRET %q has not 14 digits or fails Luhn's formula", p.SIRET)
	}
	m.close()
	l.set.addServiceProvider(p)
}

// The closed sets of eligibility rules.
var (
	visitors = []string{"particulier", "collectivite_ou_administration", "entreprise_ou_association"}
	answers  = []string{"yes", "no", "maybe"}
)

// eligibility reads eligibility_rules.yml (datapass.md, 4.6).
func (l *loader) eligibility(r *reader, root *yaml.Node) {
	if root == nil || null(root) {
		return
	}
	ids := map[string]bool{}
	for _, item := range r.items(root) {
		m := r.mapping(item)
		if m == nil {
			continue
		}
		rule := &habilitation.EligibilityRule{Definition: m.required("definition_id")}
		if n := m.get("id"); n != nil {
			rule.ID, _ = r.scalar(n) // an integer in the files
			if ids[rule.ID] {
				r.fault(n, "the id %q is used twice", rule.ID)
			}
			ids[rule.ID] = true
		} else {
			r.fault(item, `"id" is missing`)
		}
		for _, option := range m.items("options") {
			if o := r.mapping(option); o != nil {
				rule.Options = append(rule.Options, o.eligibilityOption())
			}
		}
		m.close()
		if len(rule.Options) != len(visitors) {
			r.warn(item, "%d options instead of one for each of %d kinds of visitor", len(rule.Options), len(visitors))
		}
		l.set.eligibility = append(l.set.eligibility, rule)
		l.report.Totals.EligibilityRules++
		l.after(func() {
			if _, ok := l.set.Definition(rule.Definition); !ok {
				r.warn(m.at("definition_id"), "no definition %q", rule.Definition)
			}
		})
	}
}

func (m *mapping) eligibilityOption() habilitation.EligibilityOption {
	o := habilitation.EligibilityOption{
		Type: m.oneOf("type", visitors...), Eligible: m.oneOf("eligible", answers...), Body: m.required("body"),
	}
	if n := m.values["eligible"].value; n != nil && n.Kind == yaml.ScalarNode && n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) == 0 && o.Eligible != "maybe" {
		m.fault(n, "quote %q: without quotes it is read as true or false", o.Eligible)
	}
	if o.Type == "" || o.Eligible == "" {
		m.fault(m.node, `"type" and "eligible" are needed`)
	}
	if n := m.get("cta"); n != nil {
		if cta := m.reader.mapping(n); cta != nil {
			o.CTA = &habilitation.CallToAction{Content: cta.required("content"), URL: cta.required("url")}
			cta.close()
		}
	}
	m.close()
	return o
}

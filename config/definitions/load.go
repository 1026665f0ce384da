package definitions

import (
	"io/fs"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/passerelle-hub/passerelle/internal/habilitation"
)

// Options is what a folder's values depend on besides its files.
type Options struct {
	// Production chooses between the two values of an environment tag.
	Production bool `json:"production"`
	// Flags are feature flags by name; those not named here are on, but
	// depot_dossier_mariage, which production keeps off (datapass.md, 4.2).
	Flags map[string]bool `json:"flags,omitempty"`
	// Contacts fills the prefilled contacts that the files keep out of sight:
	// the credential's name in the ERB tag -> its value.
	Contacts map[string]string `json:"contacts,omitempty"`
}

func (o Options) flagOn(name string) bool {
	if on, ok := o.Flags[name]; ok {
		return on
	}
	return name != "depot_dossier_mariage" || !o.Production
}

// Load reads a folder laid out as DataPass's config: authorization_definitions,
// authorization_request_forms, and where there are any service_providers.yml,
// eligibility_rules.yml and rules.yml. The set is nil when the report has a
// fault.
func Load(folder fs.FS, options Options) (*Set, Report) {
	report := &Report{}
	files := readFolder(folder, report)
	return build(files, options, report)
}

// loader turns files into a set.
type loader struct {
	report  *Report
	options Options
	set     *Set
	own     map[string]ruleEntry // rules.yml of the folder
	builtIn map[string]ruleEntry

	// complete is false when part of a file could not be read: what is missing
	// may be there, so references are not judged.
	complete bool
	later    []func() // checks that need everything read
}

func build(files []file, options Options, report *Report) (*Set, Report) {
	l := &loader{
		report: report, options: options, complete: len(report.Faults) == 0,
		set: newSet(files, options, report), builtIn: builtInRules(),
	}
	under := func(dir string) []file {
		return slices.DeleteFunc(slices.Clone(files), func(f file) bool { return dirOf(f.Name) != dir })
	}
	named := func(name string) []file {
		return slices.DeleteFunc(slices.Clone(files), func(f file) bool { return f.Name != name })
	}
	l.own = l.rules(l.open(named(rulesFile)))
	l.serviceProviders(l.open(named(serviceProvidersFile)))
	l.definitions(l.open(under(definitionsDir)))
	l.forms(l.open(under(formsDir)))
	l.eligibility(l.open(named(eligibilityFile)))
	for _, check := range l.later {
		check()
	}
	report.sort()
	if len(report.Faults) > 0 {
		return nil, *report
	}
	return l.set, *report
}

func dirOf(name string) string {
	for i := range len(name) {
		if name[i] == '/' {
			return name[:i]
		}
	}
	return ""
}

// open reads a source's document; root is nil when there is none.
func (l *loader) open(files []file) (*reader, *yaml.Node) {
	s := join(files, l.report)
	t := &tags{production: l.options.Production, flagOn: l.options.flagOn, contacts: l.options.Contacts}
	l.report.Totals.Tags += t.check(s, l.report)
	root, whole := s.parse(l.report)
	l.complete = l.complete && whole
	r := &reader{source: s, report: l.report, tags: t, whole: whole}
	if root != nil {
		r.warnRedefinedAnchors(root)
	}
	return r, root
}

// warnRedefinedAnchors points out anchors whose name is used twice: aliases
// below the second mean another value than those above.
func (r *reader) warnRedefinedAnchors(root *yaml.Node) {
	first := map[string]*yaml.Node{}
	var walk func(n *yaml.Node)
	walk = func(n *yaml.Node) {
		if n.Anchor != "" {
			if before := first[n.Anchor]; before != nil {
				r.warn(n, "the anchor %q is already defined on line %d: this one rules from here on", n.Anchor, r.line(before))
			}
			first[n.Anchor] = n
		}
		for _, child := range n.Content {
			walk(child)
		}
	}
	walk(root)
}

// Check loads a folder for its report alone.
func Check(folder fs.FS, options Options) Report {
	_, report := Load(folder, options)
	return report
}

// after puts a check off until everything is read, and drops it when something
// could not be.
func (l *loader) after(check func()) {
	l.later = append(l.later, func() {
		if l.complete {
			check()
		}
	})
}

func blocksOf(names []string) []habilitation.Block {
	if len(names) == 0 {
		return nil
	}
	blocks := make([]habilitation.Block, len(names))
	for i, name := range names {
		blocks[i] = habilitation.Block(name)
	}
	return blocks
}

func blockNames() []string {
	var names []string
	for _, b := range habilitation.Blocks() {
		names = append(names, string(b))
	}
	return names
}

// blocks reads a list of {name: block}.
func (m *mapping) blocks(key string) []habilitation.Block {
	var names []string
	for _, item := range m.items(key) {
		b := m.reader.mapping(item)
		if b == nil {
			continue
		}
		name := b.required("name")
		if n := b.get("name"); n != nil && name != "" && !slices.Contains(blockNames(), name) {
			m.fault(n, "unknown block %q%s", name, didYouMean(name, blockNames()))
		} else if slices.Contains(names, name) {
			m.warn(item, "the block %q is listed twice", name)
		}
		b.close()
		names = append(names, name)
	}
	return blocksOf(names)
}

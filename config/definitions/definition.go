package definitions

import (
	"regexp"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/passerelle-hub/passerelle/internal/habilitation"
)

var definitionUID = regexp.MustCompile(`\A[a-z][a-z0-9]*(?:_[a-z0-9]+)*\z`)

// definitions reads the joined files of definitions (datapass.md, 4.3).
func (l *loader) definitions(r *reader, root *yaml.Node) {
	for _, e := range r.top(root) {
		m := r.mapping(e.value)
		if m == nil {
			continue
		}
		uid := e.key.Value
		if !definitionUID.MatchString(uid) {
			r.fault(e.key, "the uid %q is not in snake case", uid)
		}
		d := l.definition(m, uid)
		if other := l.set.byClass[d.Class]; other != nil {
			r.fault(e.key, "%q has the same class as %q: %s", uid, other.UID, d.Class)
		}
		d.Rules = l.rulesOf(r, e.key, d)
		l.set.addDefinition(d)
		l.after(func() { l.checkDefinition(m, e.key, d) })
	}
}

func (l *loader) definition(m *mapping, uid string) *habilitation.Definition {
	d := &habilitation.Definition{
		UID: uid, Class: habilitation.ClassName(uid),
		Name: m.required("name"), Description: m.text("description"), Introduction: m.text("introduction"),
		Provider: m.required("provider"), Kind: m.oneOf("kind", habilitation.KindAPI, habilitation.KindService),
		SupportEmail: m.text("support_email"), Link: m.text("link"), CGULink: m.text("cgu_link"), AccessLink: m.text("access_link"),
		Public: m.boolean("public", true), StartableByApplicant: m.boolean("startable_by_applicant", true),
		Unique: m.boolean("unique", false),
		Blocks: m.blocks("blocks"), Features: m.features(), Stage: m.stage(),
	}
	if d.Kind == "" {
		m.fault(m.node, `"kind" is missing`)
	}
	values := map[string]int{}
	for _, n := range m.flatten("scopes") {
		if s, at := m.scope(n, l.options); at != nil {
			if line, twice := values[s.Value]; twice {
				m.fault(at, "the scope %q is already listed on line %d", s.Value, line)
			}
			values[s.Value] = m.line(at)
			d.Scopes = append(d.Scopes, s)
		}
	}
	m.close()
	return d
}

func (m *mapping) features() habilitation.Features {
	f := habilitation.DefaultFeatures()
	n := m.get("features")
	if n == nil {
		return f
	}
	switches := m.reader.mapping(n)
	if switches == nil {
		return f
	}
	f.Messaging = switches.boolean("messaging", f.Messaging)
	f.MessageTemplates = switches.boolean("message_templates", f.MessageTemplates)
	f.Reopening = switches.boolean("reopening", f.Reopening)
	f.Transfer = switches.boolean("transfer", f.Transfer)
	f.InstructorDrafts = switches.boolean("instructor_drafts", f.InstructorDrafts)
	switches.close()
	return f
}

func (m *mapping) stage() *habilitation.Stage {
	n := m.get("stage")
	if n == nil {
		return nil
	}
	stage := m.reader.mapping(n)
	if stage == nil {
		return nil
	}
	s := &habilitation.Stage{
		Type:     habilitation.StageType(stage.oneOf("type", string(habilitation.StageSandbox), string(habilitation.StageProduction))),
		Next:     stage.stageLink("next"),
		Previous: stage.stageLink("previous"),
	}
	switch {
	case s.Type == "":
		m.fault(n, `"type" is missing`)
	case s.Type == habilitation.StageSandbox && (s.Next == nil || s.Previous != nil):
		m.fault(n, `a sandbox has a "next" stage and no "previous" one`)
	case s.Type == habilitation.StageProduction && (s.Previous == nil || s.Next != nil):
		m.fault(n, `a production stage has a "previous" stage and no "next" one`)
	}
	stage.close()
	return s
}

func (m *mapping) stageLink(key string) *habilitation.StageLink {
	n := m.get(key)
	if n == nil {
		return nil
	}
	link := m.reader.mapping(n)
	if link == nil {
		return nil
	}
	l := &habilitation.StageLink{Definition: link.required("id"), Form: link.required("form_id")}
	link.close()
	return l
}

// flatten reads a list whose items may be lists themselves, at any depth.
func (m *mapping) flatten(key string) []*yaml.Node {
	var flat []*yaml.Node
	var walk func(items []*yaml.Node, depth int)
	walk = func(items []*yaml.Node, depth int) {
		for _, item := range items {
			switch {
			case item.Kind != yaml.SequenceNode:
				flat = append(flat, item)
			case depth >= maxDepth:
				m.fault(item, "lists are nested too deeply")
			default:
				walk(m.reader.items(item), depth+1)
			}
		}
	}
	walk(m.items(key), 0)
	return flat
}

// scope reads one scope (datapass.md, 4.4); at is its value's place, nil when
// it has none.
func (m *mapping) scope(n *yaml.Node, options Options) (s habilitation.Scope, at *yaml.Node) {
	entry := m.reader.mapping(n)
	if entry == nil {
		return s, nil
	}
	s = habilitation.Scope{
		Name: entry.required("name"), Value: entry.required("value"), Group: entry.text("group"), Link: entry.text("link"),
		Description: entry.text("description"), Included: entry.boolean("included", false),
		Disabled: entry.boolean("disabled", false), FeatureFlag: entry.text("feature_flag"),
	}
	s.FlagOff = s.FeatureFlag != "" && !options.flagOn(s.FeatureFlag)
	if d := entry.get("deprecated"); d != nil {
		s.Deprecated = m.deprecation(d)
	}
	at = entry.get("value")
	entry.close()
	return s, at
}

func (m *mapping) deprecation(n *yaml.Node) *habilitation.Deprecation {
	entry := m.reader.mapping(n)
	if entry == nil {
		return nil
	}
	d := &habilitation.Deprecation{Since: habilitation.Date(entry.required("since")), Writable: entry.boolean("writable", true)}
	if at := entry.get("since"); at != nil {
		if _, err := time.Parse(time.DateOnly, string(d.Since)); err != nil {
			m.fault(at, "%q is not a date (YYYY-MM-DD)", d.Since)
		}
	}
	entry.close()
	return d
}

// externalID is the one variable of an access link.
const externalID = "%{external_provider_id}"

// checkDefinition judges what is legal by itself against the rest.
func (l *loader) checkDefinition(m *mapping, key *yaml.Node, d *habilitation.Definition) {
	if strings.TrimSpace(d.Description) == "" {
		m.warn(key, `%q has no "description"`, d.UID)
	}
	if strings.TrimSpace(d.SupportEmail) == "" {
		m.warn(key, `%q has no "support_email"`, d.UID)
	}
	if strings.Contains(strings.ReplaceAll(d.AccessLink, externalID, ""), "%{") {
		m.warn(m.at("access_link"), "the access link holds another variable than %s", externalID)
	}
	if d.Rules.Scopes == habilitation.ScopesRequired && len(d.Scopes) == 0 {
		m.warn(key, "the rules of %q ask for scopes, but it offers none", d.UID)
	}
	if len(l.set.FormsOf(d.UID)) == 0 {
		m.warn(key, "%q has no form: nobody can ask for it", d.UID)
	}
	if d.Stage != nil {
		l.checkStage(m, d)
	}
}

func (l *loader) checkStage(m *mapping, d *habilitation.Definition) {
	n := m.at("stage")
	for _, link := range []*habilitation.StageLink{d.Stage.Next, d.Stage.Previous} {
		if link == nil {
			continue
		}
		other, ok := l.set.Definition(link.Definition)
		if !ok {
			m.fault(n, "unknown definition %q%s", link.Definition, didYouMean(link.Definition, l.set.uids()))
			continue
		}
		if form, ok := l.set.Form(link.Form); !ok {
			m.fault(n, "unknown form %q", link.Form)
		} else if form.Definition != other.UID {
			m.fault(n, "the form %q belongs to %q, not to %q", link.Form, form.Definition, other.UID)
		}
		if !pointsBack(other, d.UID) {
			m.warn(n, "%q does not point back here", other.UID)
		}
	}
}

func pointsBack(d *habilitation.Definition, uid string) bool {
	if d.Stage == nil {
		return false
	}
	return d.Stage.Next != nil && d.Stage.Next.Definition == uid || d.Stage.Previous != nil && d.Stage.Previous.Definition == uid
}

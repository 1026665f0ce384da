package definitions

import (
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/passerelle-hub/passerelle/internal/habilitation"
)

var (
	formUID      = regexp.MustCompile(`\A[a-z0-9]+(?:-[a-z0-9]+)*\z`)
	formUIDLoose = regexp.MustCompile(`\A[a-z0-9]+(?:[-_][a-z0-9]+)*\z`)
)

// forms reads the joined files of forms (datapass.md, 4.5).
func (l *loader) forms(r *reader, root *yaml.Node) {
	for _, e := range r.top(root) {
		m := r.mapping(e.value)
		if m == nil {
			continue
		}
		uid := e.key.Value
		switch {
		case formUID.MatchString(uid):
		case formUIDLoose.MatchString(uid):
			r.warn(e.key, "the uid %q is not in kebab case", uid)
		default:
			r.fault(e.key, "the uid %q is not in kebab case", uid)
		}
		l.form(m, e.key)
	}
}

func (l *loader) form(m *mapping, key *yaml.Node) {
	class := m.required("authorization_request")
	provider := m.text("service_provider_id")
	f := &habilitation.Form{
		UID: key.Value, ServiceProvider: provider,
		Name: m.text("name"), Description: m.text("description"), Introduction: m.text("introduction"), UseCase: m.text("use_case"),
		Default: m.boolean("default", false), Public: m.boolean("public", true),
		StartableByApplicant: m.boolean("startable_by_applicant", true),
		Steps:                m.blocks("steps"), StaticBlocks: m.blocks("static_blocks"), SinglePageView: m.text("single_page_view"),
		ScopesConfig: m.scopesConfig(), PreviousForm: m.previousForm(),
	}
	f.Prefill, f.ToSet = m.prefill()
	m.get("scopes") // allowed, not read (datapass.md, 4.5)
	m.close()

	d := l.set.byClass["AuthorizationRequest::"+class]
	if d == nil {
		if class != "" && l.complete {
			m.fault(m.at("authorization_request"), "unknown class %q%s", class, didYouMean(class, l.set.shortClasses()))
		}
		l.after(func() { l.checkProvider(m, f) })
		return
	}
	l.inherit(f, d)
	l.set.addForm(f)
	l.after(func() { l.checkForm(m, f, d) })
}

// inherit fills what the form leaves to its definition and to its editor.
func (l *loader) inherit(f *habilitation.Form, d *habilitation.Definition) {
	f.Definition, f.Class = d.UID, d.Class
	f.StartableByApplicant = f.StartableByApplicant && d.StartableByApplicant
	if f.Name == "" {
		f.Name = d.Name
	}
	if f.Description == "" {
		f.Description = d.Description
	}
	editor := ""
	if p, ok := l.set.ServiceProvider(f.ServiceProvider); ok {
		f.FranceConnectCertified = p.FranceConnectCertified()
		editor = p.Name
	}
	f.Introduction = strings.NewReplacer("%{service_provider_name}", editor, "%{form_name}", f.Name).Replace(f.Introduction)
}

func (m *mapping) scopesConfig() habilitation.ScopesConfig {
	var c habilitation.ScopesConfig
	n := m.get("scopes_config")
	if n == nil {
		return c
	}
	config := m.reader.mapping(n)
	if config == nil {
		return c
	}
	c = habilitation.ScopesConfig{Disabled: config.texts("disabled"), Displayed: config.texts("displayed"), Hide: config.texts("hide")}
	config.close()
	return c
}

func (m *mapping) previousForm() string {
	n := m.get("stage")
	if n == nil {
		return ""
	}
	stage := m.reader.mapping(n)
	if stage == nil {
		return ""
	}
	uid := stage.text("previous_form_uid")
	stage.close()
	return uid
}

// listPrefill are the prefilled answers that are lists.
var listPrefill = []string{habilitation.ScopesKey, habilitation.ModalitiesKey}

// prefill reads initialize_with: scalars as they are written, trimmed, lists as
// lists, and the keys whose value the operator may set.
func (m *mapping) prefill() (habilitation.Prefill, map[string]string) {
	prefill, toSet := habilitation.Prefill{}, map[string]string{}
	n := m.get("initialize_with")
	if n == nil {
		return prefill, toSet
	}
	answers := m.reader.mapping(n)
	if answers == nil {
		return prefill, toSet
	}
	for _, e := range answers.order {
		key := e.key.Value
		n := answers.get(key)
		switch {
		case n == nil:
		case n.Kind == yaml.SequenceNode:
			prefill[key] = habilitation.PrefillValue{List: m.reader.texts(n)}
		case slices.Contains(listPrefill, key):
			m.fault(n, "a list is expected here, not %s", kindName(n))
		default:
			m.tags.take()
			prefill[key] = m.prefilled(n)
			for _, credential := range m.tags.take() {
				toSet[key] = credential
			}
		}
	}
	return prefill, toSet
}

// prefilled reads one prefilled scalar. An unquoted whole number stays one; an
// unquoted telephone number is text, as DataPass's parser has it.
func (m *mapping) prefilled(n *yaml.Node) habilitation.PrefillValue {
	if n.Tag == "!!int" && wholeNumber.MatchString(n.Value) {
		return habilitation.PrefillValue{Text: n.Value, Number: true}
	}
	return habilitation.PrefillValue{Text: strings.TrimSpace(m.reader.text(n))}
}

func (l *loader) checkProvider(m *mapping, f *habilitation.Form) {
	if _, ok := l.set.ServiceProvider(f.ServiceProvider); !ok && f.ServiceProvider != "" {
		m.fault(m.at("service_provider_id"), "unknown service provider %q%s", f.ServiceProvider,
			didYouMean(f.ServiceProvider, l.set.providerIDs()))
	}
}

func (l *loader) checkForm(m *mapping, f *habilitation.Form, d *habilitation.Definition) {
	l.checkProvider(m, f)
	if first := l.set.firstDefault(d.UID); f.Default && first != f {
		m.warn(m.values["default"].key, "%q is already the default form of %q: the first one rules", first.UID, d.UID)
	}
	if strings.Contains(f.Introduction, "%{") {
		m.warn(m.at("introduction"), "the introduction holds an unknown variable")
	}
	for _, b := range f.StaticBlocks {
		if slices.Contains(f.Steps, b) {
			m.warn(m.at("static_blocks"), "the block %q is both a step and static", b)
		}
	}
	l.checkFormScopes(m, f, d)
	l.checkPrefill(m, f, d)
	if f.PreviousForm == "" {
		return
	}
	n := m.at("stage")
	switch previous, ok := l.set.Form(f.PreviousForm); {
	case !ok:
		m.fault(n, "unknown form %q", f.PreviousForm)
	case d.Stage == nil || d.Stage.Previous == nil:
		m.warn(n, "%q has no previous stage", d.UID)
	case previous.Definition != d.Stage.Previous.Definition:
		m.warn(n, "the form %q belongs to %q, not to the previous stage", f.PreviousForm, previous.Definition)
	}
}

func (l *loader) checkFormScopes(m *mapping, f *habilitation.Form, d *habilitation.Definition) {
	c := f.ScopesConfig
	for _, value := range slices.Concat(c.Disabled, c.Displayed, c.Hide) {
		if _, ok := d.Scope(value); !ok {
			m.warn(m.at("scopes_config"), "%q has no scope %q", d.UID, value)
		}
	}
	for _, value := range f.Prefill[habilitation.ScopesKey].List {
		if _, ok := d.Scope(value); !ok {
			m.warn(m.at("initialize_with"), "%q has no scope %q: it could not be submitted", d.UID, value)
		}
	}
}

func (l *loader) checkPrefill(m *mapping, f *habilitation.Form, d *habilitation.Definition) {
	known := map[string]bool{}
	for _, field := range d.Fields() {
		known[field.Key] = true
	}
	for key := range f.Prefill {
		if !known[key] {
			m.warn(m.at("initialize_with"), "requests for %q have no field %q", d.UID, key)
		}
	}
	for _, value := range f.Prefill[habilitation.ModalitiesKey].List {
		if !slices.Contains(d.Rules.Modalities, value) {
			m.warn(m.at("initialize_with"), "%q has no modality %q: it could not be submitted", d.UID, value)
		}
	}
}

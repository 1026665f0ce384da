package definitions

import (
	"maps"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // Europe/Paris, also where the system has no zones

	"github.com/passerelle-hub/passerelle/internal/habilitation"
)

// Set is a catalogue as it was loaded. It never changes and may be shared;
// nobody writes to what it returns.
type Set struct {
	files   []file // by name
	options Options

	definitions  []*habilitation.Definition // in file order, like all that follows
	byUID        map[string]*habilitation.Definition
	byClass      map[string]*habilitation.Definition
	forms        []*habilitation.Form
	formByUID    map[string]*habilitation.Form
	providers    []*habilitation.ServiceProviderProfile
	providerByID map[string]*habilitation.ServiceProviderProfile
	eligibility  []*habilitation.EligibilityRule

	report *Report
}

func newSet(files []file, options Options, report *Report) *Set {
	files = slices.Clone(files)
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.Name, b.Name) })
	return &Set{
		files:        files,
		options:      Options{Production: options.Production, Flags: maps.Clone(options.Flags), Contacts: maps.Clone(options.Contacts)},
		byUID:        map[string]*habilitation.Definition{},
		byClass:      map[string]*habilitation.Definition{},
		formByUID:    map[string]*habilitation.Form{},
		providerByID: map[string]*habilitation.ServiceProviderProfile{},
		report:       report,
	}
}

// Definitions lists every definition, in file order.
func (s *Set) Definitions() []*habilitation.Definition { return s.definitions }

// Definition finds a definition by its uid.
func (s *Set) Definition(uid string) (*habilitation.Definition, bool) {
	d, ok := s.byUID[uid]
	return d, ok
}

// DefinitionOfClass finds a definition by its class, "AuthorizationRequest::APIParticulier".
func (s *Set) DefinitionOfClass(class string) (*habilitation.Definition, bool) {
	d, ok := s.byClass[class]
	return d, ok
}

// Forms lists every form, in file order.
func (s *Set) Forms() []*habilitation.Form { return s.forms }

// Form finds a form by its uid.
func (s *Set) Form(uid string) (*habilitation.Form, bool) {
	f, ok := s.formByUID[uid]
	return f, ok
}

// FormsOf lists the forms of a definition as API v1 does: in file order,
// default ones last (datapass.md, 3.2).
func (s *Set) FormsOf(definition string) []*habilitation.Form {
	var forms, defaults []*habilitation.Form
	for _, f := range s.forms {
		switch {
		case f.Definition != definition:
		case f.Default:
			defaults = append(defaults, f)
		default:
			forms = append(forms, f)
		}
	}
	return append(forms, defaults...)
}

// DefaultForm is the form of a request that names its definition only: the
// first that is marked as default, else the first of all (datapass.md, 4.5).
func (s *Set) DefaultForm(definition string) (*habilitation.Form, bool) {
	if f := s.firstDefault(definition); f != nil {
		return f, true
	}
	i := slices.IndexFunc(s.forms, func(f *habilitation.Form) bool { return f.Definition == definition })
	if i < 0 {
		return nil, false
	}
	return s.forms[i], true
}

func (s *Set) firstDefault(definition string) *habilitation.Form {
	for _, f := range s.forms {
		if f.Definition == definition && f.Default {
			return f
		}
	}
	return nil
}

// PreviousForm is the form that cancel_next_stage goes back to: the form's own
// choice, else the default form of the previous stage (datapass.md, 1.7).
func (s *Set) PreviousForm(form *habilitation.Form) (*habilitation.Form, bool) {
	if form.PreviousForm != "" {
		return s.Form(form.PreviousForm)
	}
	d, ok := s.byUID[form.Definition]
	if !ok || d.Stage == nil || d.Stage.Previous == nil {
		return nil, false
	}
	return s.DefaultForm(d.Stage.Previous.Definition)
}

// ServiceProviders lists every service provider, in file order.
func (s *Set) ServiceProviders() []*habilitation.ServiceProviderProfile { return s.providers }

// ServiceProvider finds a service provider by its id.
func (s *Set) ServiceProvider(id string) (*habilitation.ServiceProviderProfile, bool) {
	p, ok := s.providerByID[id]
	return p, ok
}

// ServiceProviderBySIRET finds the one service provider with a SIRET; false when
// none has it, or several do.
func (s *Set) ServiceProviderBySIRET(siret string) (*habilitation.ServiceProviderProfile, bool) {
	var found *habilitation.ServiceProviderProfile
	for _, p := range s.providers {
		if siret == "" || p.SIRET != siret {
			continue
		}
		if found != nil {
			return nil, false
		}
		found = p
	}
	return found, found != nil
}

// EligibilityRules lists the rules of a definition.
func (s *Set) EligibilityRules(definition string) []*habilitation.EligibilityRule {
	var rules []*habilitation.EligibilityRule
	for _, r := range s.eligibility {
		if r.Definition == definition {
			rules = append(rules, r)
		}
	}
	return rules
}

// Prefill is what a new request made with a form starts with: its own prefill
// and the scopes always granted. nil when the form is not of this set.
func (s *Set) Prefill(form *habilitation.Form) habilitation.Prefill {
	d, ok := s.byUID[form.Definition]
	if !ok {
		return nil
	}
	return d.EffectivePrefill(form)
}

// VisibleScopes are the scopes offered to a request made with a form at a time;
// the zero time is a request not saved yet, which counts as made now.
func (s *Set) VisibleScopes(form *habilitation.Form, created, now time.Time) []habilitation.Scope {
	d, ok := s.byUID[form.Definition]
	if !ok {
		return nil
	}
	if created.IsZero() {
		created = now
	}
	return d.VisibleScopes(form, ParisDate(created))
}

// paris is DataPass's zone (datapass.md, 0).
var paris = func() *time.Location {
	location, err := time.LoadLocation("Europe/Paris")
	if err != nil { // its data is linked in
		panic(err)
	}
	return location
}()

// ParisDate is the day of a time in Europe/Paris.
func ParisDate(t time.Time) habilitation.Date {
	return habilitation.Date(t.In(paris).Format(time.DateOnly))
}

func (s *Set) addDefinition(d *habilitation.Definition) {
	d.Prepare()
	s.definitions = append(s.definitions, d)
	s.byUID[d.UID] = d
	s.byClass[d.Class] = d
	s.report.Totals.Definitions++
	s.report.Totals.Scopes += len(d.Scopes)
	for _, scope := range d.Scopes {
		if scope.Deprecated != nil {
			s.report.Totals.DeprecatedScopes++
		}
	}
}

func (s *Set) addForm(f *habilitation.Form) {
	s.forms = append(s.forms, f)
	s.formByUID[f.UID] = f
	s.report.Totals.Forms++
	s.report.Totals.ToSet += len(f.ToSet)
}

func (s *Set) addServiceProvider(p *habilitation.ServiceProviderProfile) {
	if _, replaced := s.providerByID[p.ID]; replaced { // by an environment's own entry
		i := slices.IndexFunc(s.providers, func(q *habilitation.ServiceProviderProfile) bool { return q.ID == p.ID })
		s.providers[i] = p
	} else {
		s.providers = append(s.providers, p)
		s.report.Totals.ServiceProviders++
	}
	s.providerByID[p.ID] = p
}

func (s *Set) uids() []string { return slices.Collect(maps.Keys(s.byUID)) }

func (s *Set) providerIDs() []string { return slices.Collect(maps.Keys(s.providerByID)) }

func (s *Set) shortClasses() []string {
	var classes []string
	for uid := range s.byUID {
		classes = append(classes, habilitation.ShortClassName(uid))
	}
	return classes
}

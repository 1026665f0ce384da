package habilitation

import (
	"cmp"
	"slices"
)

// FieldError is one fault of a request's data.
type FieldError struct {
	Key     string // of the field; "" for the request as a whole
	Message string // French, complete: the field's label and what is wrong
}

func (e FieldError) Error() string { return e.Message }

func fieldError(key, problem string) FieldError {
	if key == "" {
		return FieldError{Message: problem}
	}
	return FieldError{Key: key, Message: Label(key) + " : " + problem}
}

func sortErrors(faults []FieldError) {
	slices.SortFunc(faults, func(a, b FieldError) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Message, b.Message))
	})
}

// Submission is what an applicant submits.
type Submission struct {
	Data          Data // normalised
	TermsAccepted bool // the definition's terms of service
	DPOInformed   bool // the data protection officer knows of the request
}

// Facts is what the rules need and the data do not hold. The zero value knows
// nothing: no FranceConnect habilitation, no other request, no verdict on any
// address.
type Facts struct {
	Today Date
	// LegalCategory of the organisation in INSEE's nomenclature: "7210".
	LegalCategory string
	// FranceConnect are the ids of the organisation's active FranceConnect
	// habilitations, as text.
	FranceConnect []string
	// Siblings are the organisation's other requests of the same definition.
	Siblings []Sibling
	// Emails holds verdicts by address; an address without one was not asked
	// about, or is exempt.
	Emails map[string]Deliverability
	// UnknownCommunes are well-formed INSEE codes that no commune has.
	UnknownCommunes []string
}

// Sibling is another request of the same organisation and definition.
type Sibling struct {
	State  State
	Scopes []string
}

// CheckSubmission returns every fault that keeps a request from being
// submitted, in the order of the blocks (datapass.md, 5.1 to 5.4); none: it may
// be. Static blocks are checked like the others.
func (d *Definition) CheckSubmission(form *Form, s Submission, facts Facts) []FieldError {
	c := &check{definition: d, form: form, data: s.Data, facts: facts}
	for _, b := range d.Rules.Blocks {
		if rule, ok := blockChecks[b]; ok {
			rule(c)
		}
	}
	c.requireAll(d.Rules.Required...)
	c.scopes()
	c.modalities()
	c.embedded()
	c.contacts()
	c.extraContacts()
	c.documents()
	c.consents(s)
	c.siblings()
	return c.faults
}

// CheckCreation returns what keeps an organisation from making one more request
// of a definition: the limits on how many it may have (datapass.md, 4.3 and 5.3).
func (d *Definition) CheckCreation(form *Form, data Data, facts Facts) []FieldError {
	c := &check{definition: d, form: form, data: data, facts: facts}
	c.siblings()
	return c.faults
}

// check gathers the faults of one request.
type check struct {
	definition *Definition
	form       *Form
	data       Data
	facts      Facts
	faults     []FieldError
}

func (c *check) fault(key, problem string) { c.faults = append(c.faults, fieldError(key, problem)) }

const missing = "champ obligatoire"

// require asks for an answer and reports whether there is one.
func (c *check) require(key string) bool {
	if c.data[key] == "" {
		c.fault(key, missing)
		return false
	}
	return true
}

func (c *check) requireAll(keys ...string) {
	for _, key := range keys {
		c.require(key)
	}
}

// oneOf asks for an answer among those allowed.
func (c *check) oneOf(key string, allowed ...string) {
	if c.require(key) && !contains(allowed, c.data[key]) {
		c.fault(key, "n’est pas une valeur proposée")
	}
}

func (c *check) consents(s Submission) {
	if c.definition.CGULink != "" && !s.TermsAccepted {
		c.fault(keyTermsAccepted, "doivent être acceptées")
	}
	if c.definition.Rules.HasContact(ContactDPO) && !s.DPOInformed {
		c.fault(keyDPOInformed, "doit être confirmée")
	}
	for _, key := range c.definition.Rules.Checkboxes {
		if !c.data.Checked(key) {
			c.fault(key, "à cocher")
		}
	}
}

// siblings checks how many requests an organisation may have of a definition.
func (c *check) siblings() {
	d := c.definition
	for _, s := range c.facts.Siblings {
		if d.Unique && s.State != Revoked && s.State != Refused && s.State != Archived ||
			d.Rules.OnePerOrganization && s.State != Archived {
			c.fault("", "Une autre demande d’habilitation de ce type existe déjà pour cette organisation, "+
				"qui ne peut en avoir qu’une.")
			break
		}
	}
	if !d.Rules.ExclusiveScopes {
		return
	}
	for _, s := range c.facts.Siblings {
		if s.State != Archived && intersects(c.data.Scopes(), s.Scopes) {
			c.fault(ScopesKey, "déjà choisies dans une autre demande d’habilitation de l’organisation")
			break
		}
	}
}

func contains(list []string, value string) bool { return slices.Contains(list, value) }

func intersects(a, b []string) bool {
	return slices.ContainsFunc(a, func(v string) bool { return contains(b, v) })
}

package habilitation

// Form is one way to ask for a definition: a use case, often one editor's
// software, with its prefill (datapass.md, 4.5). Blank texts and unset flags
// of the file are already replaced by the definition's.
type Form struct {
	UID          string // kebab case: "api-particulier-3d-ouest"
	Definition   string // uid
	Class        string // of the definition
	Name         string
	Description  string
	Introduction string // HTML, its variables filled in
	UseCase      string

	Default              bool
	Public               bool
	StartableByApplicant bool

	ServiceProvider string // id; "" when the form names none
	// FranceConnectCertified: the editor may embed a FranceConnect request in
	// an API Particulier one (datapass.md, 4.6 and 5.2).
	FranceConnectCertified bool

	Steps          []Block // empty: a single page
	StaticBlocks   []Block // not edited by the applicant
	SinglePageView string
	ScopesConfig   ScopesConfig
	Prefill        Prefill
	PreviousForm   string // where cancel_next_stage goes back to; "": the previous definition's default form

	// ToSet maps a prefilled key whose value is still the file's stand-in to
	// the name of the credential that the operator may set (datapass.md, 4.2).
	ToSet map[string]string
}

// ScopesConfig narrows what a form shows of its definition's scopes.
type ScopesConfig struct {
	Disabled  []string // visible, not changeable
	Displayed []string // empty: all
	Hide      []string
}

// Prefill is what a new request starts with, key by key.
type Prefill map[string]PrefillValue

// PrefillValue is one prefilled answer, as its file wrote it.
type PrefillValue struct {
	Text   string
	List   []string // not nil: the value is a list
	Number bool     // Text is an unquoted integer; API v1 sends it as a number
}

// Data is the prefill as a request stores it.
func (p Prefill) Data() Data {
	data := make(Data, len(p))
	for key, v := range p {
		if v.List != nil {
			data[key] = EncodeList(v.List)
		} else {
			data[key] = v.Text
		}
	}
	return data
}

// Clone copies the prefill; lists are shared.
func (p Prefill) Clone() Prefill {
	c := make(Prefill, len(p))
	for key, v := range p {
		c[key] = v
	}
	return c
}

// EffectivePrefill is the form's own prefill with the scopes that the
// definition always grants; scopes are then present, sorted and unique
// (datapass.md, 4.5).
func (d *Definition) EffectivePrefill(form *Form) Prefill {
	p := form.Prefill.Clone()
	if len(d.Scopes) > 0 {
		p[ScopesKey] = PrefillValue{List: sortedUnique(append(d.IncludedScopes(), p[ScopesKey].List...))}
	}
	return p
}

// ServiceProviderProfile is all that is known of the firm behind a form's
// software (éditeur; datapass.md, 4.6).
type ServiceProviderProfile struct {
	ServiceProvider
	Name              string
	AlreadyIntegrated []string // uids whose data its software uses already
	FCCertified       bool
	APIPFCEnabled     bool
}

// FranceConnectCertified reports whether its forms may embed FranceConnect:
// both marks are needed.
func (p *ServiceProviderProfile) FranceConnectCertified() bool {
	return p.FCCertified && p.APIPFCEnabled
}

// EligibilityRule tells visitors whether a definition is for them. Advisory.
type EligibilityRule struct {
	ID         string
	Definition string
	Options    []EligibilityOption
}

// EligibilityOption is the answer for one kind of visitor.
type EligibilityOption struct {
	Type     string // particulier, collectivite_ou_administration, entreprise_ou_association
	Eligible string // yes, no, maybe
	Body     string // HTML
	CTA      *CallToAction
}

// CallToAction is a link shown below an eligibility answer.
type CallToAction struct {
	Content string
	URL     string
}

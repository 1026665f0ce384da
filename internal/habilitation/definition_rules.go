package habilitation

// Rules is what DataPass keeps in a definition's class rather than in its YAML
// (datapass.md, 5.3): which fields a request has and what submission checks.
type Rules struct {
	// Blocks whose own fields the request has. Scopes, modalities and contacts
	// are described below, not here.
	Blocks     []Block
	Optional   []string // further text fields
	Required   []string // further text fields, checked with basic_infos
	Documents  []string // optional documents, besides those of the blocks
	Contacts   []ContactRule
	Checkboxes []string // to be ticked before submission

	Scopes       ScopeRule
	FixedScopes  []string // with ScopesFixed: never stored, always granted
	IncomeScopes bool     // DGFiP's rules on income scopes

	Modalities        []string // none: the class has no modalities
	DefaultModalities []string // set while there are none

	Volumetries []int // calls a minute on offer; above the smallest a reason is due

	// FranceConnectModality is the modality that needs a FranceConnect
	// habilitation; "" when none does.
	FranceConnectModality string
	// EmbedsFranceConnect: on a certified form that modality asks for
	// FranceConnect in the same request instead.
	EmbedsFranceConnect bool

	TechnicalTeams      []string // kinds of technical team
	TechnicalTeamsNamed []string // those that must be named

	OnePerOrganization bool // no other request of the organisation unless archived
	ExclusiveScopes    bool // no scope that another request of the organisation holds, unless archived
}

// ScopeRule says what submission asks of the scopes.
type ScopeRule string

const (
	ScopesNone     ScopeRule = "none"
	ScopesOptional ScopeRule = "optional"
	ScopesRequired ScopeRule = "required"
	ScopesFixed    ScopeRule = "fixed"
)

// ContactRule is a person, or a service, to be named in a request.
type ContactRule struct {
	Kind     string // prefix of its keys: "contact_technique"
	Phone    PhoneRule
	Optional []string // attributes that may stay blank
}

// The contacts there are.
const (
	ContactResponsable = "responsable_traitement"
	ContactDPO         = "delegue_protection_donnees"
	ContactTechnical   = "contact_technique"
	ContactBusiness    = "contact_metier"
	ContactAdmin       = "administrateur_metier"
)

// ContactKinds lists them.
func ContactKinds() []string {
	return []string{ContactResponsable, ContactDPO, ContactTechnical, ContactBusiness, ContactAdmin}
}

// ContactAttributes are the parts of a contact, in DataPass's order: a key is
// the kind, an underscore and the attribute.
func ContactAttributes() []string {
	return []string{"family_name", "given_name", "email", "phone_number", "job_title"}
}

// PhoneRule says which telephone numbers a contact may have.
type PhoneRule string

const (
	PhoneFree   PhoneRule = "free"
	PhoneFrench PhoneRule = "french"
	PhoneMobile PhoneRule = "mobile"
	// PhoneMobileEmbedded: mobile when the request embeds FranceConnect on a
	// certified form, free otherwise.
	PhoneMobileEmbedded PhoneRule = "mobile_when_embedded"
)

// HasContact reports whether requests name a contact of a kind.
func (r *Rules) HasContact(kind string) bool {
	for _, c := range r.Contacts {
		if c.Kind == kind {
			return true
		}
	}
	return false
}

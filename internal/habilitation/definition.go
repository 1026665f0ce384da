package habilitation

// Date is a calendar day, "YYYY-MM-DD", in Europe/Paris; such days compare as
// text. The zero value is no day.
type Date string

// Definition is one kind of habilitation: what may be asked for and under
// which rules. config/definitions fills it from DataPass's own YAML
// (datapass.md, 4.3) and from the rules that DataPass keeps in classes (5.3).
// Nobody changes it afterwards.
type Definition struct {
	UID          string // snake case: "api_particulier"
	Class        string // "AuthorizationRequest::APIParticulier"
	Name         string
	Description  string
	Introduction string
	Provider     string // slug of the data provider: "dinum"
	Kind         string // KindAPI or KindService
	SupportEmail string
	Link         string
	CGULink      string // not empty: the terms must be accepted at submission
	AccessLink   string // may hold %{external_provider_id}

	Public               bool
	StartableByApplicant bool
	Unique               bool // one live request per organisation

	Blocks   []Block // of the summary, in order
	Features Features
	Stage    *Stage // nil: single stage
	Scopes   []Scope
	Rules    Rules

	// What the rules make of it, once Prepare has run.
	fields []Field
	index  map[string]Field
}

// Prepare works out what is asked of a definition at each request. Whoever fills
// one calls it when it is whole; without, it is worked out each time.
func (d *Definition) Prepare() {
	d.fields = d.listFields()
	d.index = indexed(d.fields)
}

// The two kinds of definition.
const (
	KindAPI     = "api"
	KindService = "service"
)

// NameWithStage is the name shown by API v1: "API Impôt Particulier (Production)"
// (datapass.md, 3.3).
func (d *Definition) NameWithStage() string {
	switch {
	case d.Stage == nil:
		return d.Name
	case d.Stage.Type == StageSandbox:
		return d.Name + " (Bac à sable)"
	default:
		return d.Name + " (Production)"
	}
}

// Features are the switches of a definition (datapass.md, 4.3).
type Features struct {
	Messaging        bool
	MessageTemplates bool
	Reopening        bool
	Transfer         bool
	InstructorDrafts bool
}

// DefaultFeatures are the switches of a definition that names none.
func DefaultFeatures() Features {
	return Features{Messaging: true, MessageTemplates: true, Reopening: true, Transfer: true}
}

// StageType is the stage that a definition stands for.
type StageType string

const (
	StageSandbox    StageType = "sandbox"
	StageProduction StageType = "production"
)

// Stage links the two definitions of a sandbox-then-production pair.
type Stage struct {
	Type     StageType
	Next     *StageLink // of a sandbox definition
	Previous *StageLink // of a production definition
}

// StageLink points at the other definition and at the form to use there.
type StageLink struct {
	Definition string
	Form       string
}

// Block is a part of a request; a step of a form has its block's name.
type Block string

const (
	BlockBasicInfos            Block = "basic_infos"
	BlockPersonalData          Block = "personal_data"
	BlockLegal                 Block = "legal"
	BlockScopes                Block = "scopes"
	BlockContacts              Block = "contacts"
	BlockModalities            Block = "modalities"
	BlockOperationalAcceptance Block = "operational_acceptance"
	BlockSafetyCertification   Block = "safety_certification"
	BlockVolumetrie            Block = "volumetrie"
	BlockFranceConnect         Block = "france_connect"
	BlockFranceConnectEIDAS    Block = "france_connect_eidas"
	BlockSupportingDocuments   Block = "supporting_documents"
	BlockTechnicalTeam         Block = "technical_team"
	BlockCNOUSCriteria         Block = "cnous_data_extraction_criteria"
)

// Blocks lists every block there is (datapass.md, 4.3).
func Blocks() []Block {
	return []Block{
		BlockBasicInfos, BlockPersonalData, BlockLegal, BlockScopes, BlockContacts, BlockModalities,
		BlockOperationalAcceptance, BlockSafetyCertification, BlockVolumetrie, BlockFranceConnect,
		BlockFranceConnectEIDAS, BlockSupportingDocuments, BlockTechnicalTeam, BlockCNOUSCriteria,
	}
}

package habilitation_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	hab "github.com/passerelle-hub/passerelle/internal/habilitation"
)

// standard is a definition with the standard rules, an offer of scopes and
// terms of service; more changes it.
func standard(more func(*hab.Definition)) *hab.Definition {
	d := &hab.Definition{
		UID: "api_exemple", Class: hab.ClassName("api_exemple"), Name: "API Exemple", CGULink: "https://exemple.example/cgu",
		Scopes: []hab.Scope{
			{Name: "A", Value: "a"},
			{Name: "B", Value: "b"},
			{Name: "Naissance", Value: "birthdate", Group: "FranceConnect"},
			{Name: "Identifiant", Value: "openid", Group: "FranceConnect"},
		},
		Rules: hab.Rules{
			Blocks:    []hab.Block{hab.BlockBasicInfos, hab.BlockPersonalData, hab.BlockLegal},
			Optional:  []string{"date_prevue_mise_en_production", "volumetrie_approximative"},
			Documents: []string{"maquette_projet"},
			Contacts: []hab.ContactRule{
				{Kind: hab.ContactResponsable, Phone: hab.PhoneFree},
				{Kind: hab.ContactDPO, Phone: hab.PhoneFree},
				{Kind: hab.ContactTechnical, Phone: hab.PhoneFree},
			},
			Scopes: hab.ScopesRequired,
		},
	}
	if more != nil {
		more(d)
	}
	return d
}

func contact(kind string) hab.Data {
	return hab.Data{
		kind + "_family_name": "Morvan", kind + "_given_name": "Jeanne", kind + "_email": "jeanne.morvan@valbrise-sur-ormes.example",
		kind + "_phone_number": "0465710012", kind + "_job_title": "Responsable",
	}
}

// complete is data that a standard definition accepts.
func complete(d *hab.Definition) hab.Data {
	data := hab.Data{
		"intitule": "Cantine", "description": "Tarifer la cantine", "scopes": `["a"]`,
		"destinataire_donnees_caractere_personnel":       "Agents",
		"duree_conservation_donnees_caractere_personnel": "36",
		"cadre_juridique_nature":                         "Délibération", "cadre_juridique_url": "https://valbrise.example/deliberation.pdf",
	}
	for _, c := range d.Rules.Contacts {
		maps.Copy(data, contact(c.Kind))
	}
	return data
}

var accepted = hab.Submission{TermsAccepted: true, DPOInformed: true}

// faultsOf submits complete data with changes; a value of "" takes a key away.
func faultsOf(d *hab.Definition, form *hab.Form, changes hab.Data, facts hab.Facts) []hab.FieldError {
	s := accepted
	s.Data = d.Merge(form, complete(d), changes)
	return d.CheckSubmission(form, s, facts)
}

// wantKeys checks which fields have a fault, in any order.
func wantKeys(t *testing.T, got []hab.FieldError, want ...string) {
	t.Helper()
	var keys []string
	for _, f := range got {
		keys = append(keys, f.Key)
		if f.Message == "" {
			t.Errorf("%s: a fault without a message", f.Key)
		}
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	slices.Sort(want)
	if !slices.Equal(keys, want) {
		t.Errorf("faults at %v, want %v: %v", keys, want, got)
	}
}

func TestASubmissionIsCheckedBlockByBlock(t *testing.T) {
	t.Parallel()
	with := func(b ...hab.Block) func(*hab.Definition) {
		return func(d *hab.Definition) { d.Rules.Blocks = append(d.Rules.Blocks, b...) }
	}
	certificate := hab.Data{
		"safety_certification_document": "decision.pdf", "safety_certification_authority_name": "Maire",
		"safety_certification_authority_function": "Autorité", "safety_certification_begin_date": "2026-01-01",
		"safety_certification_end_date": "2028-01-01",
	}
	volumes := func(d *hab.Definition) {
		d.Rules.Blocks = append(d.Rules.Blocks, hab.BlockVolumetrie)
		d.Rules.Volumetries = []int{200, 50, 1000}
	}
	teams := func(d *hab.Definition) {
		d.Rules.Blocks = append(d.Rules.Blocks, hab.BlockTechnicalTeam)
		d.Rules.TechnicalTeams, d.Rules.TechnicalTeamsNamed = []string{"editor", "internal", "other"}, []string{"editor", "other"}
	}
	const retention, reason = "duree_conservation_donnees_caractere_personnel", "duree_conservation_donnees_caractere_personnel_justification"
	tests := map[string]struct {
		more    func(*hab.Definition)
		changes hab.Data
		facts   hab.Facts
		want    []string
	}{
		"complete data has no fault":          {nil, nil, hab.Facts{}, nil},
		"a title and a description are due":   {nil, hab.Data{"intitule": "  ", "description": "<p></p>"}, hab.Facts{}, []string{"intitule", "description"}},
		"recipients and retention are due":    {nil, hab.Data{"destinataire_donnees_caractere_personnel": "", retention: ""}, hab.Facts{}, []string{"destinataire_donnees_caractere_personnel", retention}},
		"36 months need no reason":            {nil, hab.Data{retention: "36"}, hab.Facts{}, nil},
		"37 months need a reason":             {nil, hab.Data{retention: "37"}, hab.Facts{}, []string{reason}},
		"37 months with a reason":             {nil, hab.Data{retention: "37", reason: "Archives"}, hab.Facts{}, nil},
		"the nature of the legal basis":       {nil, hab.Data{"cadre_juridique_nature": ""}, hab.Facts{}, []string{"cadre_juridique_nature"}},
		"neither link nor document":           {nil, hab.Data{"cadre_juridique_url": ""}, hab.Facts{}, []string{"cadre_juridique_document", "cadre_juridique_url"}},
		"a document instead of a link":        {nil, hab.Data{"cadre_juridique_url": "", "cadre_juridique_document": "deliberation.pdf"}, hab.Facts{}, nil},
		"a link without a scheme":             {nil, hab.Data{"cadre_juridique_url": "legifrance.gouv.fr"}, hab.Facts{}, nil},
		"a link that is none":                 {nil, hab.Data{"cadre_juridique_url": "ftp://legifrance.gouv.fr"}, hab.Facts{}, []string{"cadre_juridique_url"}},
		"a link with a query before a path":   {nil, hab.Data{"cadre_juridique_url": "legifrance.gouv.fr?x=1"}, hab.Facts{}, []string{"cadre_juridique_url"}},
		"a document that is no PDF":           {nil, hab.Data{"maquette_projet": "maquette.docx"}, hab.Facts{}, []string{"maquette_projet"}},
		"a PDF with a capital extension":      {nil, hab.Data{"maquette_projet": "MAQUETTE.PDF"}, hab.Facts{}, nil},
		"six files":                           {nil, hab.Data{"maquette_projet": "1.pdf, 2.pdf, 3.pdf, 4.pdf, 5.pdf, 6.pdf"}, hab.Facts{}, nil},
		"seven files":                         {nil, hab.Data{"maquette_projet": "1.pdf, 2.pdf, 3.pdf, 4.pdf, 5.pdf, 6.pdf, 7.pdf"}, hab.Facts{}, []string{"maquette_projet"}},
		"a field of another class is ignored": {nil, hab.Data{"volumetrie_appels_par_minute": ""}, hab.Facts{}, nil},

		"the acceptance test is not attested": {with(hab.BlockOperationalAcceptance), nil, hab.Facts{}, []string{"operational_acceptance_done"}},
		"the acceptance test is attested":     {with(hab.BlockOperationalAcceptance), hab.Data{"operational_acceptance_done": "1"}, hab.Facts{}, nil},
		"no safety certification": {with(hab.BlockSafetyCertification), nil, hab.Facts{}, []string{
			"safety_certification_document", "safety_certification_authority_name", "safety_certification_authority_function",
			"safety_certification_begin_date", "safety_certification_end_date",
		}},
		"a safety certification": {with(hab.BlockSafetyCertification), certificate, hab.Facts{}, nil},
		"a safety certification that ends the day it begins": {
			with(hab.BlockSafetyCertification), merge(certificate, hab.Data{"safety_certification_end_date": "2026-01-01"}),
			hab.Facts{},
			[]string{"safety_certification_end_date"},
		},
		"no volume":                        {volumes, nil, hab.Facts{}, []string{"volumetrie_appels_par_minute"}},
		"the smallest volume":              {volumes, hab.Data{"volumetrie_appels_par_minute": "50"}, hab.Facts{}, nil},
		"a larger volume without a reason": {volumes, hab.Data{"volumetrie_appels_par_minute": "200"}, hab.Facts{}, []string{"volumetrie_justification"}},
		"a larger volume with a reason":    {volumes, hab.Data{"volumetrie_appels_par_minute": "200", "volumetrie_justification": "Rentrée"}, hab.Facts{}, nil},
		"no tax certificate":               {with(hab.BlockSupportingDocuments), nil, hab.Facts{}, []string{"attestation_fiscale"}},
		"no level of assurance":            {with(hab.BlockFranceConnectEIDAS), nil, hab.Facts{}, []string{"france_connect_eidas"}},
		"an unknown level of assurance":    {with(hab.BlockFranceConnectEIDAS), hab.Data{"france_connect_eidas": "eidas_3"}, hab.Facts{}, []string{"france_connect_eidas"}},
		"a level of assurance":             {with(hab.BlockFranceConnectEIDAS), hab.Data{"france_connect_eidas": "eidas_2"}, hab.Facts{}, nil},
		"no FranceConnect habilitation":    {with(hab.BlockFranceConnect), nil, hab.Facts{FranceConnect: []string{"12"}}, []string{"france_connect_authorization_id"}},
		"somebody else's habilitation":     {with(hab.BlockFranceConnect), hab.Data{"france_connect_authorization_id": "13"}, hab.Facts{FranceConnect: []string{"12"}}, []string{"france_connect_authorization_id"}},
		"an habilitation of its own":       {with(hab.BlockFranceConnect), hab.Data{"france_connect_authorization_id": "12"}, hab.Facts{FranceConnect: []string{"12"}}, nil},
		"no technical team":                {teams, nil, hab.Facts{}, []string{"technical_team_type"}},
		"an unknown technical team":        {teams, hab.Data{"technical_team_type": "nobody"}, hab.Facts{}, []string{"technical_team_type"}},
		"an editor without a name":         {teams, hab.Data{"technical_team_type": "editor"}, hab.Facts{}, []string{"technical_team_value"}},
		"an editor with a name":            {teams, hab.Data{"technical_team_type": "editor", "technical_team_value": "MGDIS"}, hab.Facts{}, nil},
		"a team of its own":                {teams, hab.Data{"technical_team_type": "internal"}, hab.Facts{}, nil},
		"a required field of the class": {
			func(d *hab.Definition) { d.Rules.Required = []string{"nombre_utilisateurs_finaux_approximatif"} }, nil,
			hab.Facts{},
			[]string{"nombre_utilisateurs_finaux_approximatif"},
		},
		"a checkbox that is not ticked": {
			func(d *hab.Definition) { d.Rules.Checkboxes = []string{"dpd_homologation_checkbox"} },
			hab.Data{"dpd_homologation_checkbox": "0"},
			hab.Facts{},
			[]string{"dpd_homologation_checkbox"},
		},
		"a checkbox that is ticked": {
			func(d *hab.Definition) { d.Rules.Checkboxes = []string{"dpd_homologation_checkbox"} },
			hab.Data{"dpd_homologation_checkbox": "on"},
			hab.Facts{},
			nil,
		},
		"a further address that is none": {
			func(d *hab.Definition) { d.Rules.Optional = []string{"contact_technique_extra_email"} },
			hab.Data{"contact_technique_extra_email": "support"},
			hab.Facts{},
			[]string{"contact_technique_extra_email"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantKeys(t, faultsOf(standard(test.more), &hab.Form{}, test.changes, test.facts), test.want...)
		})
	}
}

func merge(parts ...hab.Data) hab.Data {
	all := hab.Data{}
	for _, p := range parts {
		maps.Copy(all, p)
	}
	return all
}

func TestThePerimeterOfStudentGrants(t *testing.T) {
	t.Parallel()
	d := standard(func(d *hab.Definition) { d.Rules.Blocks = append(d.Rules.Blocks, hab.BlockCNOUSCriteria) })
	sound := hab.Data{"manual_code_insee_communes": `["2A004", "75056"]`, "echelon_bourse": "0Bis", "premiere_date_transmission": "2026-09-01"}
	tests := map[string]struct {
		changes hab.Data
		facts   hab.Facts
		want    []string
	}{
		"sound criteria":                    {nil, hab.Facts{}, nil},
		"no commune":                        {hab.Data{"manual_code_insee_communes": ""}, hab.Facts{}, []string{"manual_code_insee_communes"}},
		"a commune knows its own perimeter": {hab.Data{"manual_code_insee_communes": ""}, hab.Facts{LegalCategory: "7210"}, nil},
		"a code that is none":               {hab.Data{"manual_code_insee_communes": `["20004"]`}, hab.Facts{}, []string{"manual_code_insee_communes"}},
		"a code that no commune has":        {nil, hab.Facts{UnknownCommunes: []string{"75056"}}, []string{"manual_code_insee_communes"}},
		"an unknown level":                  {hab.Data{"echelon_bourse": "8"}, hab.Facts{}, []string{"echelon_bourse"}},
		"today":                             {hab.Data{"premiere_date_transmission": "2026-08-06"}, hab.Facts{}, nil},
		"yesterday":                         {hab.Data{"premiere_date_transmission": "2026-08-05"}, hab.Facts{}, []string{"premiere_date_transmission"}},
		"no day at all":                     {hab.Data{"premiere_date_transmission": "bientôt"}, hab.Facts{}, []string{"premiere_date_transmission"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.facts.Today = "2026-08-06"
			wantKeys(t, faultsOf(d, &hab.Form{}, merge(sound, test.changes), test.facts), test.want...)
		})
	}
}

func TestContactsAreNamed(t *testing.T) {
	t.Parallel()
	const email, phone = "contact_technique_email", "contact_technique_phone_number"
	rule := func(r hab.ContactRule) func(*hab.Definition) {
		return func(d *hab.Definition) {
			r.Kind = hab.ContactTechnical
			d.Rules.Contacts = []hab.ContactRule{r}
		}
	}
	nobody := hab.Data{email: "", phone: "", "contact_technique_family_name": "", "contact_technique_given_name": "", "contact_technique_job_title": ""}
	tests := map[string]struct {
		more    func(*hab.Definition)
		changes hab.Data
		facts   hab.Facts
		want    []string
	}{
		"a person needs all five": {rule(hab.ContactRule{}), nobody, hab.Facts{}, slices.Collect(maps.Keys(nobody))},
		"an organisation needs an address and a telephone": {
			rule(hab.ContactRule{}), merge(nobody, hab.Data{"contact_technique_type": "organization"}), hab.Facts{}, []string{email, phone},
		},
		"another nature":                     {rule(hab.ContactRule{}), hab.Data{"contact_technique_type": "robot"}, hab.Facts{}, []string{"contact_technique_type"}},
		"attributes that may stay blank":     {rule(hab.ContactRule{Optional: []string{"phone_number", "job_title"}}), hab.Data{phone: "", "contact_technique_job_title": ""}, hab.Facts{}, nil},
		"an address that is none":            {nil, hab.Data{email: "jeanne@"}, hab.Facts{}, []string{email}},
		"an address without a dot":           {nil, hab.Data{email: "jeanne@localhost"}, hab.Facts{}, nil},
		"an address that bounces":            {nil, hab.Data{email: "x@y.example"}, hab.Facts{Emails: map[string]hab.Deliverability{"x@y.example": hab.Undeliverable}}, []string{email}},
		"an address without a known verdict": {nil, hab.Data{email: "X@y.example"}, hab.Facts{Emails: map[string]hab.Deliverability{"x@y.example": hab.DeliverabilityUnknown}}, []string{email}},
		"an address that receives":           {nil, hab.Data{email: "x@y.example"}, hab.Facts{Emails: map[string]hab.Deliverability{"x@y.example": hab.Deliverable}}, nil},
		"any telephone":                      {rule(hab.ContactRule{Phone: hab.PhoneFree}), hab.Data{phone: "standard, poste 12"}, hab.Facts{}, nil},
		"a foreign telephone":                {rule(hab.ContactRule{Phone: hab.PhoneFrench}), hab.Data{phone: "+4930123456"}, hab.Facts{}, []string{phone}},
		"a French telephone":                 {rule(hab.ContactRule{Phone: hab.PhoneFrench}), hab.Data{phone: "04 65.71-00 12"}, hab.Facts{}, nil},
		"a line where a mobile is needed":    {rule(hab.ContactRule{Phone: hab.PhoneMobile}), hab.Data{phone: "0465710012"}, hab.Facts{}, []string{phone}},
		"a mobile":                           {rule(hab.ContactRule{Phone: hab.PhoneMobile}), hab.Data{phone: "+33 6 39 98 00 21"}, hab.Facts{}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantKeys(t, faultsOf(standard(test.more), &hab.Form{}, test.changes, test.facts), test.want...)
		})
	}
}

func TestConsentsAreGivenWhereTheyAreAskedFor(t *testing.T) {
	t.Parallel()
	d := standard(nil)
	refused := hab.Submission{Data: complete(d)}
	wantKeys(t, d.CheckSubmission(&hab.Form{}, refused, hab.Facts{}), "terms_of_service_accepted", "data_protection_officer_informed")

	d = standard(func(d *hab.Definition) {
		d.CGULink = ""
		d.Rules.Contacts = []hab.ContactRule{{Kind: hab.ContactTechnical}}
	})
	wantKeys(t, d.CheckSubmission(&hab.Form{}, hab.Submission{Data: complete(d)}, hab.Facts{}))
}

func TestAnOrganisationHasTheNumberOfRequestsThatIsAllowed(t *testing.T) {
	t.Parallel()
	unique := func(d *hab.Definition) { d.Unique = true }
	one := func(d *hab.Definition) { d.Rules.OnePerOrganization = true }
	exclusive := func(d *hab.Definition) { d.Rules.ExclusiveScopes = true }
	tests := map[string]struct {
		more     func(*hab.Definition)
		siblings []hab.Sibling
		want     []string
	}{
		"any number by default":                            {nil, []hab.Sibling{{State: hab.Validated}}, nil},
		"unique: a living one":                             {unique, []hab.Sibling{{State: hab.Refused}, {State: hab.Draft}}, []string{""}},
		"unique: refused, revoked, archived ones":          {unique, []hab.Sibling{{State: hab.Refused}, {State: hab.Revoked}, {State: hab.Archived}}, nil},
		"one per organisation: a revoked one counts":       {one, []hab.Sibling{{State: hab.Revoked}}, []string{""}},
		"one per organisation: an archived one does not":   {one, []hab.Sibling{{State: hab.Archived}}, nil},
		"exclusive scopes: one in common":                  {exclusive, []hab.Sibling{{State: hab.Validated, Scopes: []string{"b", "a"}}}, []string{"scopes"}},
		"exclusive scopes: none in common":                 {exclusive, []hab.Sibling{{State: hab.Validated, Scopes: []string{"b"}}}, nil},
		"exclusive scopes: in common with an archived one": {exclusive, []hab.Sibling{{State: hab.Archived, Scopes: []string{"a"}}}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, facts := standard(test.more), hab.Facts{Siblings: test.siblings}
			wantKeys(t, faultsOf(d, &hab.Form{}, nil, facts), test.want...)
			wantKeys(t, d.CheckCreation(&hab.Form{}, hab.Data{"scopes": `["a"]`}, facts), test.want...)
		})
	}
}

func TestAMessageNamesItsFieldInFrench(t *testing.T) {
	t.Parallel()
	faults := faultsOf(standard(nil), &hab.Form{}, hab.Data{"delegue_protection_donnees_email": "", "intitule": ""}, hab.Facts{})
	var messages []string
	for _, f := range faults {
		messages = append(messages, f.Message)
	}
	want := []string{"Nom du projet : champ obligatoire", "E-mail du délégué à la protection des données : champ obligatoire"}
	if !slices.Equal(messages, want) {
		t.Errorf("got %q, want %q", messages, want)
	}
	for _, f := range standard(func(d *hab.Definition) {
		d.Rules.Blocks = hab.Blocks()
		d.Rules.IncomeScopes, d.Rules.EmbedsFranceConnect, d.Rules.FranceConnectModality = true, true, "france_connect"
		d.Rules.Modalities = []string{"france_connect"}
	}).Fields() {
		if label := hab.Label(f.Key); !f.Prefilled && (label == f.Key || strings.Contains(label, "_")) {
			t.Errorf("%s has no French name", f.Key)
		}
	}
}

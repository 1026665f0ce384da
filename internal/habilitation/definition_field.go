package habilitation

import (
	"slices"
	"strings"
)

// FieldKind says how an answer is written and read.
type FieldKind string

const (
	TextField     FieldKind = "text"
	LowerField    FieldKind = "lower"    // text kept in lower case: a contact's e-mail and telephone
	MonthsField   FieldKind = "months"   // whole number of months
	FlagField     FieldKind = "flag"     // "1" or "0", text in both shapes
	CheckboxField FieldKind = "checkbox" // "1" or "0", boolean in the typed shape
	ListField     FieldKind = "list"
	DocumentField FieldKind = "document" // joined file names; never sent as form data
)

// Field is one answer that a definition's requests may hold.
type Field struct {
	Key  string
	Kind FieldKind
	// Prefilled: set by a form's prefill only, never accepted from a client.
	Prefilled bool
}

// The keys that rules name.
const (
	ScopesKey     = "scopes"
	ModalitiesKey = "modalities"

	keyTitle                 = "intitule"
	keyDescription           = "description"
	keyRecipient             = "destinataire_donnees_caractere_personnel"
	keyRetention             = "duree_conservation_donnees_caractere_personnel"
	keyRetentionReason       = "duree_conservation_donnees_caractere_personnel_justification"
	keyLegalNature           = "cadre_juridique_nature"
	keyLegalURL              = "cadre_juridique_url"
	keyLegalDocument         = "cadre_juridique_document"
	keyAcceptanceDone        = "operational_acceptance_done"
	keyCertDocument          = "safety_certification_document"
	keyCertAuthority         = "safety_certification_authority_name"
	keyCertFunction          = "safety_certification_authority_function"
	keyCertBegin             = "safety_certification_begin_date"
	keyCertEnd               = "safety_certification_end_date"
	keyVolume                = "volumetrie_appels_par_minute"
	keyVolumeReason          = "volumetrie_justification"
	keyFranceConnectID       = "france_connect_authorization_id"
	keyEIDAS                 = "france_connect_eidas"
	keyTaxCertificate        = "attestation_fiscale"
	keyTeamType              = "technical_team_type"
	keyTeamValue             = "technical_team_value"
	keyCommunes              = "manual_code_insee_communes"
	keyEchelon               = "echelon_bourse"
	keyFirstTransmission     = "premiere_date_transmission"
	keyEntityType            = "entity_type"
	keyEntityCode            = "code_insee_entity"
	keySpecific              = "specific_requirements"
	keySpecificDocument      = "specific_requirements_document"
	keyEmbeddedNature        = "fc_cadre_juridique_nature"
	keyEmbeddedURL           = "fc_cadre_juridique_url"
	keyEmbeddedDocument      = "fc_cadre_juridique_document"
	keyEmbeddedEIDAS         = "fc_eidas"
	keyEmbeddedAlternative   = "fc_alternative_connexion"
	keyBuildStep             = "current_build_step"
	keyTermsAccepted         = "terms_of_service_accepted"
	keyDPOInformed           = "data_protection_officer_informed"
	contactTypeSuffix        = "_type"
	contactTypePerson        = "person"
	contactTypeOrganization  = "organization"
	keyExtraOrganizationMail = "extra_organization_contact_email"
	keyExtraTechnicalMail    = "contact_technique_extra_email"
)

// blockFields are the fields that come with a block (datapass.md, 5.2).
var blockFields = map[Block][]Field{
	BlockBasicInfos: {{Key: keyTitle, Kind: TextField}, {Key: keyDescription, Kind: TextField}},
	BlockPersonalData: {
		{Key: keyRecipient, Kind: TextField},
		{Key: keyRetention, Kind: MonthsField},
		{Key: keyRetentionReason, Kind: TextField},
	},
	BlockLegal: {
		{Key: keyLegalNature, Kind: TextField},
		{Key: keyLegalURL, Kind: TextField},
		{Key: keyLegalDocument, Kind: DocumentField},
	},
	BlockOperationalAcceptance: {{Key: keyAcceptanceDone, Kind: FlagField}},
	BlockSafetyCertification: {
		{Key: keyCertDocument, Kind: DocumentField},
		{Key: keyCertAuthority, Kind: TextField},
		{Key: keyCertFunction, Kind: TextField},
		{Key: keyCertBegin, Kind: TextField},
		{Key: keyCertEnd, Kind: TextField},
	},
	BlockVolumetrie:          {{Key: keyVolume, Kind: TextField}, {Key: keyVolumeReason, Kind: TextField}},
	BlockFranceConnect:       {{Key: keyFranceConnectID, Kind: TextField}},
	BlockFranceConnectEIDAS:  {{Key: keyEIDAS, Kind: TextField}},
	BlockSupportingDocuments: {{Key: keyTaxCertificate, Kind: DocumentField}},
	BlockTechnicalTeam:       {{Key: keyTeamType, Kind: TextField}, {Key: keyTeamValue, Kind: TextField}},
	BlockCNOUSCriteria: {
		{Key: keyCommunes, Kind: ListField},
		{Key: keyEchelon, Kind: TextField},
		{Key: keyFirstTransmission, Kind: TextField},
		{Key: keyEntityType, Kind: TextField, Prefilled: true},
		{Key: keyEntityCode, Kind: TextField, Prefilled: true},
	},
}

var embeddedFields = []Field{
	{Key: keyEmbeddedNature, Kind: TextField},
	{Key: keyEmbeddedURL, Kind: TextField},
	{Key: keyEmbeddedDocument, Kind: DocumentField},
	{Key: keyEmbeddedEIDAS, Kind: TextField},
	{Key: keyEmbeddedAlternative, Kind: CheckboxField},
}

var incomeFields = []Field{{Key: keySpecific, Kind: FlagField}, {Key: keySpecificDocument, Kind: DocumentField}}

// Fields lists every answer that the definition's requests may hold, without
// repetition, in the order of its rules. The list is not to be changed.
func (d *Definition) Fields() []Field {
	if d.fields != nil {
		return d.fields
	}
	return d.listFields()
}

func (d *Definition) listFields() []Field {
	r := &d.Rules
	var fields []Field
	for _, b := range r.Blocks {
		fields = append(fields, blockFields[b]...)
	}
	fields = appendFields(fields, TextField, r.Required)
	fields = appendFields(fields, TextField, r.Optional)
	fields = appendFields(fields, DocumentField, r.Documents)
	fields = appendFields(fields, CheckboxField, r.Checkboxes)
	if r.Scopes == ScopesOptional || r.Scopes == ScopesRequired {
		fields = append(fields, Field{Key: ScopesKey, Kind: ListField})
	}
	if r.IncomeScopes {
		fields = append(fields, incomeFields...)
	}
	if len(r.Modalities) > 0 {
		fields = append(fields, Field{Key: ModalitiesKey, Kind: ListField})
	}
	if r.FranceConnectModality != "" {
		fields = append(fields, Field{Key: keyFranceConnectID, Kind: TextField})
	}
	if r.EmbedsFranceConnect {
		fields = append(fields, embeddedFields...)
	}
	for _, c := range r.Contacts {
		fields = append(fields, contactFields(c.Kind)...)
	}
	return uniqueFields(fields)
}

func appendFields(fields []Field, kind FieldKind, keys []string) []Field {
	for _, key := range keys {
		fields = append(fields, Field{Key: key, Kind: kind})
	}
	return fields
}

func contactFields(contact string) []Field {
	fields := []Field{{Key: contact + contactTypeSuffix, Kind: TextField, Prefilled: true}}
	for _, attribute := range ContactAttributes() {
		kind := TextField
		if attribute == "email" || attribute == "phone_number" {
			kind = LowerField
		}
		fields = append(fields, Field{Key: contact + "_" + attribute, Kind: kind})
	}
	return fields
}

func uniqueFields(fields []Field) []Field {
	seen := make(map[string]bool, len(fields))
	return slices.DeleteFunc(fields, func(f Field) bool {
		if seen[f.Key] {
			return true
		}
		seen[f.Key] = true
		return false
	})
}

// fieldIndex is Fields by key.
func (d *Definition) fieldIndex() map[string]Field {
	if d.index != nil {
		return d.index
	}
	return indexed(d.Fields())
}

func indexed(fields []Field) map[string]Field {
	index := make(map[string]Field, len(fields))
	for _, f := range fields {
		index[f.Key] = f
	}
	return index
}

// AcceptedKeys are the data keys that a client may send when it creates or
// changes a request, sorted (datapass.md, 3.4).
func (d *Definition) AcceptedKeys() []string {
	keys := []string{keyBuildStep}
	for _, f := range d.Fields() {
		if !f.Prefilled {
			keys = append(keys, f.Key)
		}
	}
	slices.Sort(keys)
	return keys
}

// labels are the names of the fields in messages; contacts are named by
// contactLabel.
var labels = map[string]string{
	keyTitle:                         "Nom du projet",
	keyDescription:                   "Description du projet",
	keyRecipient:                     "Destinataires des données",
	keyRetention:                     "Durée de conservation des données en mois",
	keyRetentionReason:               "Justification de la durée de conservation",
	keyLegalNature:                   "Nature du cadre juridique",
	keyLegalURL:                      "Lien vers le cadre juridique",
	keyLegalDocument:                 "Document du cadre juridique",
	keyAcceptanceDone:                "Recette fonctionnelle",
	keyCertDocument:                  "Document d’homologation",
	keyCertAuthority:                 "Nom de l’autorité d’homologation",
	keyCertFunction:                  "Fonction de l’autorité d’homologation",
	keyCertBegin:                     "Début de l’homologation",
	keyCertEnd:                       "Fin de l’homologation",
	keyVolume:                        "Limitation de débit",
	keyVolumeReason:                  "Justification de la limitation de débit",
	keyFranceConnectID:               "Habilitation FranceConnect",
	keyEIDAS:                         "Niveau de garantie FranceConnect",
	keyTaxCertificate:                "Attestation fiscale",
	keyTeamType:                      "Équipe technique",
	keyTeamValue:                     "Nom de l’équipe technique",
	keyCommunes:                      "Communes (codes INSEE)",
	keyEchelon:                       "Échelon de bourse",
	keyFirstTransmission:             "Première date de transmission",
	keySpecific:                      "Besoin spécifique",
	keySpecificDocument:              "Document du besoin spécifique",
	keyEmbeddedNature:                "Nature du cadre juridique FranceConnect",
	keyEmbeddedURL:                   "Lien vers le cadre juridique FranceConnect",
	keyEmbeddedDocument:              "Document du cadre juridique FranceConnect",
	keyEmbeddedEIDAS:                 "Niveau de garantie FranceConnect",
	keyEmbeddedAlternative:           "Connexion alternative à FranceConnect",
	keyTermsAccepted:                 "Conditions générales d’utilisation",
	keyDPOInformed:                   "Information du délégué à la protection des données",
	keyExtraOrganizationMail:         "E-mail du contact supplémentaire",
	keyExtraTechnicalMail:            "E-mail générique du contact technique",
	ScopesKey:                        "Données demandées",
	ModalitiesKey:                    "Modalités d’accès",
	"date_prevue_mise_en_production": "Date de mise en production prévue",
	"volumetrie_approximative":       "Volumétrie approximative",
	"volumetrie_approximatives":      "Volumétrie approximative",
	"nombre_utilisateurs_finaux_approximatif": "Nombre approximatif d’utilisateurs finaux",
	"maquette_projet":                         "Maquette du projet",
	"extra_organization_contact_name":         "Nom du contact supplémentaire",
	"dpd_homologation_checkbox":               "Attestation sur le délégué à la protection des données et l’homologation",
	"alternative_connexion":                   "Connexion alternative à FranceConnect",
	"authorize_service_providers_to_connect":  "Autorisation des fournisseurs de services",
	"responsable_traitement_informed":         "Information du responsable de traitement",
}

var (
	contactLabels = map[string]string{
		ContactResponsable: "du responsable de traitement",
		ContactDPO:         "du délégué à la protection des données",
		ContactTechnical:   "du contact technique",
		ContactBusiness:    "du contact métier",
		ContactAdmin:       "de l’administrateur local",
	}
	attributeLabels = map[string]string{
		"family_name": "Nom", "given_name": "Prénom", "email": "E-mail", "phone_number": "Téléphone",
		"job_title": "Fonction", "type": "Nature",
	}
)

// Label names a field in French, for messages and pages; a key without a name
// is its own label.
func Label(key string) string {
	if label, ok := labels[key]; ok {
		return label
	}
	for contact, of := range contactLabels {
		attribute, ok := strings.CutPrefix(key, contact+"_")
		if !ok {
			continue
		}
		if label, ok := attributeLabels[attribute]; ok {
			return label + " " + of
		}
	}
	return key
}

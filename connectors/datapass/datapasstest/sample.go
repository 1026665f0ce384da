package datapasstest

// Ids of the recorded requests.
const (
	APIEntrepriseID  = 48213
	APIParticulierID = 49001
	QFEditorID       = 49002
	NoTechnicalID    = 49003
	QFFormID         = 49117
	HubEEDilaID      = 50211
)

// APIEntreprise is request 48213 of the contract: api_entreprise, no editor.
func APIEntreprise() Filing {
	return Filing{
		ID: APIEntrepriseID, PublicID: "c3a0f5f2-6f6e-4d5b-9a51-0b9f8f1f7d24",
		Definition: "api_entreprise", Form: "api-entreprise",
		Organization: valbrise(), Applicant: jeanneMorvan(),
		Fields: Fields{
			"scopes": List(
				"attestation_fiscale_dgfip", "attestation_sociale_urssaf", "open_data_actes_bilans_inpi",
				"open_data_associations_djepva", "open_data_carte_pro_travaux_publics_fntp",
				"open_data_certifications_batiment_qualibat", "open_data_certifications_bio_agence_bio",
				"open_data_certifications_ingenierie_opqibi", "open_data_certifications_qualifelec",
				"open_data_certifications_rge_ademe", "open_data_conventions_collectives_fabnum",
				"open_data_extrait_rcs_infogreffe", "open_data_immatriculation_eori_douanes",
				"open_data_numero_tva_dgfip", "open_data_unites_legales_etablissements_insee",
				"unites_legales_etablissements_insee"),
			"intitule":                                 Text("Candidatures aux marchés publics de Valbrise-sur-Ormes"),
			"description":                              Text("Récupérer les attestations fiscales et sociales des entreprises candidates, pour ne plus les leur demander."),
			"cadre_juridique_nature":                   Text("Articles R2143-7 à R2143-10 du code de la commande publique"),
			"cadre_juridique_url":                      Text("https://www.legifrance.gouv.fr/codes/id/LEGITEXT000037701019"),
			"volumetrie_approximative":                 Text("1 200 appels par an"),
			"date_prevue_mise_en_production":           Text("2026-05-04"),
			"destinataire_donnees_caractere_personnel": Text("Agents du service de la commande publique"),
			durationField:                              Text("36"),
			durationField + "_justification":           nil,
		}.
			With(contact("contact_metier", "Morvan", "Jeanne", "jeanne.morvan@valbrise-sur-ormes.example", "0465710012", "Responsable de la commande publique")).
			With(contact("contact_technique", "Haddad", "Samir", "samir.haddad@valbrise-sur-ormes.example", "0639980021", "Responsable informatique")).
			With(contact("responsable_traitement", "Garnier", "Odile", "odile.garnier@valbrise-sur-ormes.example", "0465710001", "Maire")).
			With(contact("delegue_protection_donnees", "Lemoine", "Paul", "dpo@valbrise-sur-ormes.example", "0465710002", "Délégué à la protection des données")),
	}
}

// APIEntrepriseUpdate is what the recorded update of request 48213 changes.
func APIEntrepriseUpdate() Fields {
	scopes, _ := parseList(value(APIEntreprise().Fields, "scopes"))
	return Fields{
		"scopes":                   List(append(scopes, "effectifs_urssaf")...),
		"volumetrie_approximative": Text("3 000 appels par an"),
	}
}

// APIParticulier is an api_particulier request without editor, with a technical
// contact: a key is made for it.
func APIParticulier() Filing {
	return Filing{
		ID: APIParticulierID, PublicID: "2c9d8b7a-6e5f-4a3b-9c1d-0e2f4a6b8c10",
		Definition: "api_particulier", Form: "api-particulier-tarification-municipale-enfance",
		Organization: valbrise(), Applicant: jeanneMorvan(),
		Fields: childrenFields("Valbrise-sur-Ormes", "params").
			With(contact("contact_metier", "Morvan", "Jeanne", "jeanne.morvan@valbrise-sur-ormes.example", "0465710012", "Responsable de la commande publique")).
			With(contact("contact_technique", "Haddad", "Samir", "samir.haddad@valbrise-sur-ormes.example", "0639980021", "Responsable informatique")).
			With(contact("delegue_protection_donnees", "Lemoine", "Paul", "dpo@valbrise-sur-ormes.example", "0465710002", "Délégué à la protection des données")),
	}
}

// APIParticulierWithoutTechnicalContact is the same without any contact_technique
// field: some forms do not ask for one.
func APIParticulierWithoutTechnicalContact() Filing {
	f := APIParticulier()
	f.ID, f.PublicID = NoTechnicalID, "4e6f8091-a2b3-4c5d-8e7f-1a2b3c4d5e6f"
	f.Form = "api-particulier-docaposte-fast"
	f.ServiceProvider = &ServiceProvider{ID: "docaposte", Type: "editor"}
	f.Fields = f.Fields.Without("contact_technique_")
	return f
}

// APIParticulierFormulaireQF is request 49002 of the contract: the editor form
// api-particulier-3d-ouest, modalities formulaire_qf and params.
func APIParticulierFormulaireQF() Filing {
	return Filing{
		ID: QFEditorID, PublicID: "7e1b9a34-55c8-4f3e-b0f7-6d2a8c9e1f50",
		Definition: "api_particulier", Form: "api-particulier-3d-ouest",
		Organization: plouvenez(), Applicant: yannLeGoff(),
		ServiceProvider: &ServiceProvider{ID: "3d_ouest", SIRET: "44973625500018", Type: "editor"},
		Fields: Fields{
			"scopes":                         List("cnaf_allocataires", "cnaf_quotient_familial"),
			"modalities":                     List("formulaire_qf", "params"),
			"intitule":                       Text("Tarification de la cantine et du périscolaire selon le quotient familial"),
			"description":                    Text("Calculer le tarif des services à l'enfance sans demander d'attestation aux familles."),
			"cadre_juridique_nature":         Text(plouvenezLaw),
			"cadre_juridique_url":            Text("https://www.plouvenez-la-lande.example/deliberations/2026-014.pdf"),
			"volumetrie_approximative":       Text("400 familles"),
			"date_prevue_mise_en_production": Text("2026-09-01"),
			"destinataire_donnees_caractere_personnel": Text("Agents du service enfance et éducation"),
			durationField:                     Text("12"),
			durationField + "_justification":  nil,
			"france_connect_authorization_id": nil,
		}.With(plouvenezContacts()).
			With(contact("contact_technique", "Rivoal", "Maud", "support-enfance@logiciel-enfance.example", "0261910099", "Support technique de l'éditeur")),
	}
}

// FormulaireQF is request 49117 of the contract: definition formulaire_qf, no
// editor, no scopes.
func FormulaireQF() Filing {
	return Filing{
		ID: QFFormID, PublicID: "f2d4c6b8-1a3e-4c5d-8e7f-90a1b2c3d4e5",
		Definition: "formulaire_qf", Form: "formulaire-qf",
		Organization: plouvenez(), Applicant: yannLeGoff(),
		Fields: Fields{
			"cadre_juridique_nature":                   Text(plouvenezLaw),
			"cadre_juridique_url":                      nil,
			"destinataire_donnees_caractere_personnel": Text("Agents de la municipalité"),
			durationField:                              Text("48"),
			durationField + "_justification":           Text("Durée d'utilité administrative des pièces de facturation"),
		}.With(plouvenezContacts()),
	}
}

// HubEEDila is request 50211 of the contract: INSEE's answer not fetched yet.
func HubEEDila() Filing {
	return Filing{
		ID: HubEEDilaID, PublicID: "a1f4c0de-7c55-4b0e-8f6a-3f7f0a6f2b11",
		Definition: "hubee_dila", Form: "hubee-dila",
		Organization: Organization{ID: 9120, SIRET: "21380999900013"},
		Applicant: Applicant{
			ID: 77341, Email: "lise.armand@valbrise-sur-ormes.example", GivenName: "Lise", FamilyName: "Armand",
		},
		ServiceProvider: &ServiceProvider{ID: "hubee", Type: "saas"},
		Fields: Fields{"scopes": List("etat_civil", "depot_dossier_pacs")}.
			With(contact("administrateur_metier", "Armand", "Lise", "etat-civil@valbrise-sur-ormes.example", "0465710020", "Officier d'état civil")),
	}
}

// Samples are the recorded requests by the name that the admin surface takes.
func Samples() map[string]Filing {
	return map[string]Filing{
		"api_entreprise":                       APIEntreprise(),
		"api_particulier":                      APIParticulier(),
		"api_particulier_no_technical_contact": APIParticulierWithoutTechnicalContact(),
		"api_particulier_formulaire_qf":        APIParticulierFormulaireQF(),
		"formulaire_qf":                        FormulaireQF(),
		"hubee_dila":                           HubEEDila(),
	}
}

const plouvenezLaw = "Article L114-8 du code des relations entre le public et l'administration ; délibération 2026-014 du conseil municipal"

func plouvenezContacts() Fields {
	return contact("contact_metier", "Le Goff", "Yann", "yann.legoff@plouvenez-la-lande.example", "0261910034", "Directeur de l'enfance et de l'éducation").
		With(contact("delegue_protection_donnees", "Kerbrat", "Anne", "dpo@plouvenez-la-lande.example", "0261910035", "Déléguée à la protection des données"))
}

// childrenFields are those of a request that prices a commune's services by the
// quotient familial.
func childrenFields(commune string, modalities ...string) Fields {
	return Fields{
		"scopes":                         List("cnaf_quotient_familial", "cnaf_allocataires", "cnaf_enfants"),
		"modalities":                     List(modalities...),
		"intitule":                       Text("Tarification des services à l'enfance de " + commune),
		"description":                    Text("Calculer le tarif de la cantine sans demander d'attestation aux familles."),
		"cadre_juridique_nature":         Text("Article L114-8 du code des relations entre le public et l'administration"),
		"cadre_juridique_url":            Text("https://www.legifrance.gouv.fr/codes/article_lc/LEGIARTI000045213315"),
		"volumetrie_approximative":       Text("400 familles"),
		"date_prevue_mise_en_production": Text("2026-09-01"),
		"destinataire_donnees_caractere_personnel": Text("Agents du service enfance et éducation"),
		durationField:                     Text("12"),
		durationField + "_justification":  nil,
		"france_connect_authorization_id": nil,
	}
}

func contact(role, family, given, email, phone, job string) Fields {
	return Fields{
		role + "_family_name": Text(family), role + "_given_name": Text(given), role + "_email": Text(email),
		role + "_phone_number": Text(phone), role + "_job_title": Text(job),
	}
}

func jeanneMorvan() Applicant {
	return Applicant{
		ID: 77310, UID: "5d2b0f0c-8a51-4f0e-9c36-7b1f2e4d6a90", Email: "jeanne.morvan@valbrise-sur-ormes.example",
		GivenName: "Jeanne", FamilyName: "Morvan", PhoneNumber: "0465710012", JobTitle: "Responsable de la commande publique",
	}
}

func yannLeGoff() Applicant {
	return Applicant{
		ID: 78002, UID: "0b8d4c7e-2f19-4a63-8f0a-9d1c5e7b3a42", Email: "yann.legoff@plouvenez-la-lande.example",
		GivenName: "Yann", FamilyName: "Le Goff", PhoneNumber: "0261910034", JobTitle: "Directeur de l'enfance et de l'éducation",
	}
}

func valbrise() Organization {
	return commune{
		siret: "21380999900013", name: "VALBRISE-SUR-ORMES",
		number: "2", street: "DE LA LIBERATION", postalCode: "38990", code: "38999",
	}.organization(9120)
}

func plouvenez() Organization {
	return commune{
		siret: "21350998700011", name: "PLOUVENEZ-LA-LANDE",
		number: "5", street: "DU PUITS NEUF", postalCode: "35990", code: "35998",
	}.organization(9344)
}

package habilitation

import "encoding/json"

// closedState is INSEE's etatAdministratifEtablissement of a closed establishment.
const closedState = "F"

// Closed reports whether INSEE says that the establishment is closed: the state
// of its current period, the one without an end (datapass.md, 1.2). Without
// INSEE's answer it is taken as open.
func (o Organization) Closed() bool {
	var payload struct {
		Etablissement struct {
			Periodes []struct {
				DateFin *string `json:"dateFin"`
				Etat    string  `json:"etatAdministratifEtablissement"`
			} `json:"periodesEtablissement"`
		} `json:"etablissement"`
	}
	if len(o.INSEEPayload) == 0 || json.Unmarshal(o.INSEEPayload, &payload) != nil {
		return false
	}
	for _, p := range payload.Etablissement.Periodes {
		if p.DateFin == nil {
			return p.Etat == closedState
		}
	}
	return false
}

// LegalCategory is the organisation's "catégorie juridique" in INSEE's
// nomenclature, "7210" for a commune; "" until INSEE has answered.
func (o Organization) LegalCategory() string {
	var payload struct {
		Etablissement struct {
			UniteLegale struct {
				Categorie string `json:"categorieJuridiqueUniteLegale"`
			} `json:"uniteLegale"`
		} `json:"etablissement"`
	}
	if len(o.INSEEPayload) == 0 || json.Unmarshal(o.INSEEPayload, &payload) != nil {
		return ""
	}
	return payload.Etablissement.UniteLegale.Categorie
}

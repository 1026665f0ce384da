package habilitation

import (
	"encoding/json"
	"strings"
)

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

// naturalPerson is the legal category of an "entrepreneur individuel".
const naturalPerson = "1000"

// notDisclosed is what INSEE writes where a person keeps a field to itself.
const notDisclosed = "[ND]"

// INSEEName is the name in INSEE's answer: the denomination, or a natural
// person's family and first name (datapass.md, 2.4); "" when it gives none.
func (o Organization) INSEEName() string {
	var payload struct {
		Etablissement struct {
			UniteLegale struct {
				Categorie    string `json:"categorieJuridiqueUniteLegale"`
				Denomination string `json:"denominationUniteLegale"`
				Nom          string `json:"nomUniteLegale"`
				Prenom       string `json:"prenom1UniteLegale"`
			} `json:"uniteLegale"`
		} `json:"etablissement"`
	}
	if len(o.INSEEPayload) == 0 || json.Unmarshal(o.INSEEPayload, &payload) != nil {
		return ""
	}
	unit := payload.Etablissement.UniteLegale
	name := unit.Denomination
	if unit.Categorie == naturalPerson {
		name = strings.TrimSpace(unit.Nom + " " + unit.Prenom)
	}
	if strings.Contains(name, notDisclosed) {
		return ""
	}
	return name
}

// newerINSEE reports whether a is an answer of INSEE later than b: both say when
// the establishment was last dealt with. When one does not, neither is later.
func newerINSEE(a, b []byte) bool { return treatedAt(a) > treatedAt(b) && treatedAt(b) != "" }

// treatedAt is a local date and time of INSEE, "2025-11-28T09:41:07": as texts
// they are in the order of time.
func treatedAt(payload []byte) string {
	var body struct {
		Etablissement struct {
			At string `json:"dateDernierTraitementEtablissement"`
		} `json:"etablissement"`
	}
	if len(payload) == 0 || json.Unmarshal(payload, &body) != nil {
		return ""
	}
	return body.Etablissement.At
}

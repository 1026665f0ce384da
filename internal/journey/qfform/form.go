package qfform

import (
	_ "embed"
	"fmt"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
)

// Type is the type of each file, and the process code (qf-form.md, 3 and 5).
const Type = "FormulaireQF"

// Schema is the JSON Schema (2020-12) of FormulaireQF.json.
//
//go:embed FormulaireQF.schema.json
var Schema []byte

// Form is what a citizen sends to a commune. Family is nil when she sends her
// identity alone, which only a commune that accepts it receives.
type Form struct {
	Reference  string // 13 characters (qf-form.md, 4)
	ExternalID string // the editor's id of the family, "" for none
	Identity   connectors.PivotIdentity
	Family     *connectors.Family
	Recipient  string    // the commune's name, for the PDF
	At         time.Time // when the citizen sent it, for the PDF
}

// File is one attachment.
type File struct {
	Name    string
	MIME    string
	Content []byte
}

// Files gives JSON, XML and PDF, in this order.
func (f Form) Files() ([]File, error) {
	root := f.tree()
	text, err := root.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("write FormulaireQF.json: %w", err)
	}
	page, err := f.pdf()
	if err != nil {
		return nil, fmt.Errorf("write the PDF: %w", err)
	}
	return []File{
		{Name: "FormulaireQF.json", MIME: "application/json", Content: text},
		{Name: "FormulaireQF.xml", MIME: "application/xml", Content: root.xml()},
		{Name: "quotient_familial_" + f.Reference + ".pdf", MIME: "application/pdf", Content: page}, // no name of a person (qf-form.md, D-11)
	}, nil
}

// tree is the object that JSON and XML both write, in the order of the samples.
func (f Form) tree() object {
	id := f.Identity
	root := object{
		{"external_id", nullable(f.ExternalID)},
		{"pivot_identity", object{
			{"birthcountry", id.BirthCountry},
			{"birthdate", id.BirthDate},
			{"birthplace", id.BirthPlace},
			{"family_name", id.FamilyName},
			{"given_name", id.GivenName()},
			{"gender", id.Gender},
		}},
	}
	if f.Family == nil {
		return append(root, member{"quotient_familial_v3", nil}, member{"quotient_familial", nil})
	}
	return append(root, member{"quotient_familial_v3", v3(*f.Family)}, member{"quotient_familial", v2(*f.Family)})
}

// v3 is the answer of API Particulier v3, less what is not covered.
func v3(f connectors.Family) object {
	var out object
	if q := f.Quotient; q != nil {
		out = append(out, member{"quotient_familial", object{
			{"fournisseur", q.Provider},
			{"valeur", number(q.Value)},
			{"annee", q.Month.Year},
			{"mois", int(q.Month.Month)},
			{"annee_calcul", q.ComputedIn.Year},
			{"mois_calcul", int(q.ComputedIn.Month)},
		}})
	}
	person := func(p connectors.FamilyMember) object {
		return object{
			{"nom_naissance", p.BirthName},
			{"nom_usage", pointed(p.UsualName)},
			{"prenoms", p.GivenNames},
			{"date_naissance", p.BirthDate},
			{"sexe", p.Sex},
		}
	}
	return append(people(out, f, person), member{"version", "v3"})
}

// v2 tells the same in the shape of the retired API.
func v2(f connectors.Family) object {
	var out object
	if f.Quotient != nil {
		out = append(out, member{"regime", f.Quotient.Provider})
	}
	out = people(out, f, func(p connectors.FamilyMember) object {
		year, month, day := cut(p.BirthDate)
		return object{
			{"nomNaissance", p.BirthName},
			{"nomUsuel", pointed(p.UsualName)},
			{"prenoms", p.GivenNames},
			{"anneeDateDeNaissance", year},
			{"moisDateDeNaissance", month},
			{"jourDateDeNaissance", day},
			{"sexe", p.Sex},
		}
	})
	if q := f.Quotient; q != nil {
		out = append(out, member{"quotientFamilial", number(q.Value)}, member{"annee", q.Month.Year}, member{"mois", int(q.Month.Month)})
	}
	return append(out, member{"version", "v2"})
}

func people(out object, f connectors.Family, of func(connectors.FamilyMember) object) object {
	for _, part := range []struct {
		key  string
		list []connectors.FamilyMember
	}{{"allocataires", f.Allocataires}, {"enfants", f.Enfants}} {
		if part.list == nil {
			continue
		}
		list := array{}
		for _, p := range part.list {
			list = append(list, of(p))
		}
		out = append(out, member{part.key, list})
	}
	return out
}

// cut gives year, month and day as they are written: "00" is possible.
func cut(date string) (year, month, day string) {
	if len(date) != len("2006-01-02") {
		return date, "", ""
	}
	return date[:4], date[5:7], date[8:]
}

func nullable(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func pointed(text *string) any {
	if text == nil {
		return nil
	}
	return *text
}

func number(n *int) any {
	if n == nil {
		return nil
	}
	return *n
}

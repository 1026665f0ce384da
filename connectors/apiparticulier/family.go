package apiparticulier

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/passerelle-hub/passerelle/connectors"
)

// Ranges of what is believed.
const (
	maxValue  = 1_000_000 // euros
	maxPeople = 50        // of one list
	maxText   = 200       // characters
	firstYear = 2000
	lastYear  = 2999
)

var (
	// errNotJSON: something in between, or a body that was cut.
	errNotJSON = errors.New("the answer is not JSON")
	// errShape: JSON, and not what the contract says. Its text names the place, never
	// a value.
	errShape = errors.New("unexpected answer")
)

func shape(place string) error { return fmt.Errorf("%w: %s", errShape, place) }

// quotientJSON and personJSON are api-particulier.md, 3.
type quotientJSON struct {
	Fournisseur string `json:"fournisseur"`
	Valeur      *int   `json:"valeur"`
	Annee       int    `json:"annee"`
	Mois        int    `json:"mois"`
	AnneeCalcul int    `json:"annee_calcul"`
	MoisCalcul  int    `json:"mois_calcul"`
}

type personJSON struct {
	NomNaissance  string  `json:"nom_naissance"`
	NomUsage      *string `json:"nom_usage"`
	Prenoms       string  `json:"prenoms"`
	DateNaissance string  `json:"date_naissance"`
	Sexe          string  `json:"sexe"`
}

// readFamily reads the parts that scopes cover and no other (AP-9). A part that
// the token did not open is not there: the server omits its key.
func readFamily(body []byte, scopes []string) (connectors.Family, error) {
	var envelope struct {
		Data map[string]json.RawMessage `json:"data"`
	}
	var syntax *json.SyntaxError
	switch err := json.Unmarshal(body, &envelope); {
	case errors.As(err, &syntax):
		return connectors.Family{}, errNotJSON
	case err != nil, envelope.Data == nil:
		return connectors.Family{}, shape("data")
	}
	part := func(scope, key string, read func(json.RawMessage) error) error {
		raw, there := envelope.Data[key]
		if !there || !slices.Contains(scopes, scope) {
			return nil
		}
		return read(raw)
	}
	var family connectors.Family
	var err error
	fault := errors.Join(
		part(scopeQuotient, "quotient_familial", func(raw json.RawMessage) error {
			family.Quotient, err = readQuotient(raw)
			return err
		}),
		part(scopeAllocataires, "allocataires", func(raw json.RawMessage) error {
			family.Allocataires, err = readPeople("allocataires", raw)
			return err
		}),
		part(scopeEnfants, "enfants", func(raw json.RawMessage) error {
			family.Enfants, err = readPeople("enfants", raw)
			return err
		}),
	)
	if fault != nil {
		return connectors.Family{}, fault
	}
	return family, nil
}

func readQuotient(raw json.RawMessage) (*connectors.Quotient, error) {
	var q *quotientJSON
	if json.Unmarshal(raw, &q) != nil || q == nil {
		return nil, shape("quotient_familial")
	}
	switch {
	case q.Fournisseur != "CNAF" && q.Fournisseur != "MSA":
		return nil, shape("quotient_familial.fournisseur")
	case q.Valeur != nil && (*q.Valeur < 0 || *q.Valeur > maxValue):
		return nil, shape("quotient_familial.valeur")
	case !isMonth(q.Annee, q.Mois):
		return nil, shape("quotient_familial.mois")
	case !isMonth(q.AnneeCalcul, q.MoisCalcul):
		return nil, shape("quotient_familial.mois_calcul")
	}
	return &connectors.Quotient{
		Provider: q.Fournisseur, Value: q.Valeur, Month: connectors.Month{Year: q.Annee, Month: time.Month(q.Mois)},
		ComputedIn: connectors.Month{Year: q.AnneeCalcul, Month: time.Month(q.MoisCalcul)},
	}, nil
}

func isMonth(year, month int) bool {
	return year >= firstYear && year <= lastYear && month >= 1 && month <= 12
}

// readPeople gives a list that is never nil: empty is another answer than not
// covered.
func readPeople(list string, raw json.RawMessage) ([]connectors.FamilyMember, error) {
	var people []personJSON
	if json.Unmarshal(raw, &people) != nil || people == nil || len(people) > maxPeople {
		return nil, shape(list)
	}
	members := make([]connectors.FamilyMember, 0, len(people))
	for _, p := range people {
		if fault := p.fault(); fault != "" {
			return nil, shape(list + "." + fault)
		}
		members = append(members, connectors.FamilyMember{
			BirthName: p.NomNaissance, UsualName: p.NomUsage, GivenNames: p.Prenoms, BirthDate: p.DateNaissance, Sex: p.Sexe,
		})
	}
	return members, nil
}

// dateRule: a year, a month and a day, each of which may be zeros (AP-10).
var dateRule = regexp.MustCompile(`^\d{4}-(0\d|1[0-2])-([0-2]\d|3[01])$`)

// fault names the first member that will not do. Names and sex may be empty: a
// child to be born is in the list.
func (p personJSON) fault() string {
	switch {
	case !isText(p.NomNaissance):
		return "nom_naissance"
	case p.NomUsage != nil && !isText(*p.NomUsage):
		return "nom_usage"
	case !isText(p.Prenoms):
		return "prenoms"
	case !dateRule.MatchString(p.DateNaissance):
		return "date_naissance"
	case p.Sexe != "F" && p.Sexe != "M" && p.Sexe != "":
		return "sexe"
	}
	return ""
}

func isText(text string) bool {
	return utf8.RuneCountInString(text) <= maxText && !strings.ContainsFunc(text, unicode.IsControl)
}

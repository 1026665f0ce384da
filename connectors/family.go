package connectors

import (
	"strings"
	"time"
)

// PivotIdentity is who a citizen is, as FranceConnect knows it from the national
// register (franceconnect.md, 5). Personal data: never log it.
type PivotIdentity struct {
	FamilyName   string   `json:"family_name"`  // birth name
	GivenNames   []string `json:"given_names"`  // at least one, in their order
	BirthDate    string   `json:"birthdate"`    // YYYY-MM-DD; day and month may be presumed to be 01
	Gender       string   `json:"gender"`       // "male" or "female"
	BirthPlace   string   `json:"birthplace"`   // COG code; "" when born abroad
	BirthCountry string   `json:"birthcountry"` // COG code, 99100 for France
}

// GivenName is all given names separated by a space, as the claim given_name.
func (p PivotIdentity) GivenName() string { return strings.Join(p.GivenNames, " ") }

// Month is a month of a year.
type Month struct {
	Year  int        `json:"year"`
	Month time.Month `json:"month"`
}

// MonthOf gives the month of t, in t's zone.
func MonthOf(t time.Time) Month { return Month{t.Year(), t.Month()} }

// Before gives the month before.
func (m Month) Before() Month { return MonthOf(time.Date(m.Year, m.Month-1, 1, 0, 0, 0, 0, time.UTC)) }

// Family is what API Particulier says of a family, reduced to what was asked
// (api-particulier.md, 3). Personal data: never log it. A part that the right
// does not cover is nil.
type Family struct {
	Quotient     *Quotient      `json:"quotient,omitempty"`
	Allocataires []FamilyMember `json:"allocataires"` // nil: not covered; the order means nothing
	Enfants      []FamilyMember `json:"enfants"`      // nil: not covered; may be empty
}

// Quotient is a quotient familial: the value of a month, and the month in which
// it was computed.
type Quotient struct {
	Provider   string `json:"provider"` // "CNAF" or "MSA"
	Value      *int   `json:"value"`    // euros; nil in some old files
	Month      Month  `json:"month"`
	ComputedIn Month  `json:"computed_in"`
}

// FamilyMember is an allocataire or a child, who may be one to be born: then
// names may be empty.
type FamilyMember struct {
	BirthName  string  `json:"birth_name"`
	UsualName  *string `json:"usual_name"`
	GivenNames string  `json:"given_names"`
	BirthDate  string  `json:"birth_date"` // YYYY-MM-DD; month, day or all may be zeros: never parse it as a date without care
	Sex        string  `json:"sex"`        // "F", "M", or "" for a child to be born
}

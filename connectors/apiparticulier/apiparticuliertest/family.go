package apiparticuliertest

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Funds.
const (
	CNAF = "CNAF"
	MSA  = "MSA"
)

// Person is one of a file, as the caisse writes him.
type Person struct {
	BirthName  string  `json:"nom_naissance" yaml:"nom_naissance"`
	UsualName  *string `json:"nom_usage" yaml:"nom_usage"`
	GivenNames string  `json:"prenoms" yaml:"prenoms"`
	Birthdate  string  `json:"date_naissance" yaml:"date_naissance"` // may hold zeros: 1990-00-00
	Sex        string  `json:"sexe" yaml:"sexe"`
}

// Address is the declared one.
type Address struct {
	Recipient  string  `json:"destinataire" yaml:"destinataire"`
	Complement *string `json:"complement_information" yaml:"complement_information"`
	Building   *string `json:"complement_information_geographique" yaml:"complement_information_geographique"`
	Street     string  `json:"numero_libelle_voie" yaml:"numero_libelle_voie"`
	Place      *string `json:"lieu_dit" yaml:"lieu_dit"`
	Town       string  `json:"code_postal_ville" yaml:"code_postal_ville"`
	Country    string  `json:"pays" yaml:"pays"`
}

// Family is the file of a caisse.
type Family struct {
	ID       string         `yaml:"id"`
	Fund     string         `yaml:"fund"`                   // CNAF or MSA
	Value    *int           `yaml:"value"`                  // null: not computed
	Values   map[string]int `yaml:"values"`                 // by month "2026-08", where it was another one
	Computed int            `yaml:"computed_months_before"` // CNAF: the month of computation is that long before
	Adults   []Person       `yaml:"allocataires"`
	Children []Person       `yaml:"enfants"`
	Address  Address        `yaml:"adresse"`
}

// Outcome is what a call about a person meets.
type Outcome string

// The outcomes; "" is his family's file.
const (
	NoFile        Outcome = "no_file"        // 404 of his fund
	NotReferenced Outcome = "not_referenced" // 404, attached to no caisse
	NotRecognised Outcome = "not_recognised" // 422
	AtTheGate     Outcome = "gate"           // 422 with ProviderCode
	Broken        Outcome = "broken"         // 502 with provider code 40000, always
	Unexpected    Outcome = "unexpected"     // April's 404 that is none; 502 in September
	Slow          Outcome = "slow"           // his file, after SlowDelay
)

// Someone is a person of the register: his identity and what a call meets.
type Someone struct {
	ID           string   `yaml:"id"`
	Identity     Identity `yaml:"identity"`
	Family       string   `yaml:"family"`
	Outcome      Outcome  `yaml:"outcome"`
	Fund         string   `yaml:"fund"`          // of NoFile: CNAF, MSA or RNCPS
	ProviderCode int      `yaml:"provider_code"` // of AtTheGate: 40003, 40013, 40014, 40019
}

func (s Someone) check(families map[string]Family) error {
	_, known := families[s.Family]
	switch {
	case s.Identity.FamilyName == "" || len(s.Identity.Birthdate) < 4 || len(s.Identity.GivenNames) == 0:
		return fmt.Errorf("person %q: family_name, given_names and birthdate are needed", s.ID)
	case (s.Outcome == "" || s.Outcome == Slow) != known:
		return fmt.Errorf("person %q: a family, or an outcome without one", s.ID)
	case s.Outcome == NoFile && s.Fund != CNAF && s.Fund != MSA && s.Fund != "RNCPS":
		return fmt.Errorf("person %q: fund is CNAF, MSA or RNCPS", s.ID)
	case !slices.Contains([]Outcome{"", NoFile, NotReferenced, NotRecognised, AtTheGate, Broken, Unexpected, Slow}, s.Outcome):
		return fmt.Errorf("person %q: no outcome %q", s.ID, s.Outcome)
	default:
		return nil
	}
}

// month is a calendar month.
type month struct{ year, month int }

func monthOf(at time.Time) month { return month{at.Year(), int(at.Month())} }

func (m month) index() int { return m.year*12 + m.month - 1 }

func (m month) minus(n int) month {
	i := m.index() - n
	return month{i / 12, i%12 + 1}
}

func (m month) String() string { return pad(m.year, 4) + "-" + pad(m.month, 2) }

// paris is where the months change.
func paris(at time.Time) time.Time {
	zone, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		return at // without the zone's data, UTC is an hour or two late
	}
	return at.In(zone)
}

// readMonth reads annee and mois. Both are checked together; a month alone is
// taken as it is, a year alone takes the current month.
func readMonth(query url.Values, now time.Time, numbering Numbering) (month, []failure) {
	current := monthOf(now)
	asked := current
	for _, one := range []struct {
		name, fault string
		into        *int
	}{{"annee", "year", &asked.year}, {"mois", "month", &asked.month}} {
		text := query.Get(one.name)
		if text == "" {
			continue
		}
		value, err := strconv.Atoi(text)
		if err != nil {
			return asked, fail(one.fault)
		}
		*one.into = value
	}
	switch {
	case asked.month < 1 || asked.month > 12:
		return asked, fail("month")
	case query.Get("annee") == "":
		return asked, nil
	case asked.year > current.year || asked.year < current.year-2:
		return asked, fail("year")
	case query.Get("mois") != "" && asked.index() > current.index():
		return asked, fail("month")
	case numbering == September && current.index()-asked.index() > 23:
		return asked, fail("period")
	default:
		return asked, nil
	}
}

// Early says whether the CAF still knows nothing of the current month: until the
// Sunday after the first Saturday that is not the 1st (api-particulier.md, 6).
func Early(at time.Time) bool {
	day := time.Date(at.Year(), at.Month(), 2, 0, 0, 0, 0, at.Location())
	for day.Weekday() != time.Saturday {
		day = day.AddDate(0, 0, 1)
	}
	return at.Before(day.AddDate(0, 0, 2)) // the Monday
}

// quotient is the block that the answer begins with.
type quotient struct {
	Fund          string `json:"fournisseur"`
	Value         *int   `json:"valeur"`
	Year          int    `json:"annee"`
	Month         int    `json:"mois"`
	ComputedYear  int    `json:"annee_calcul"`
	ComputedMonth int    `json:"mois_calcul"`
}

// of gives the quotient of a month, or the caisse's failure: the MSA answers for
// now whatever was asked, the CAF for 24 months once it has computed.
func (f Family) of(asked month, now time.Time) (quotient, []failure) {
	if f.Fund == MSA {
		asked = monthOf(now)
		return quotient{MSA, f.value(asked), asked.year, asked.month, asked.year, asked.month}, nil
	}
	current := monthOf(now)
	if (asked == current && Early(now)) || asked.index() > current.index() || current.index()-asked.index() > 23 {
		return quotient{}, fail("no_file_cnaf")
	}
	computed := asked.minus(f.Computed)
	return quotient{CNAF, f.value(asked), asked.year, asked.month, computed.year, computed.month}, nil
}

func (f Family) value(asked month) *int {
	if value, ok := f.Values[asked.String()]; ok {
		return &value
	}
	return f.Value
}

// data is the answer cut down to the scopes: what is not granted is not there.
func (f Family) data(q quotient, scopes []string) map[string]any {
	out := map[string]any{}
	for _, scope := range scopes {
		switch scope {
		case "cnaf_quotient_familial":
			out["quotient_familial"] = q
		case "cnaf_allocataires":
			out["allocataires"] = orEmpty(f.Adults)
		case "cnaf_enfants":
			out["enfants"] = orEmpty(f.Children)
		case "cnaf_adresse":
			out["adresse"] = f.Address
		}
	}
	return out
}

func orEmpty(list []Person) []Person {
	if list == nil {
		return []Person{}
	}
	return list
}

// dataScopes keeps the scopes that give something here.
func dataScopes(scopes []string) []string {
	var out []string
	for _, scope := range scopes {
		if strings.HasPrefix(scope, "cnaf_") {
			out = append(out, scope)
		}
	}
	return out
}

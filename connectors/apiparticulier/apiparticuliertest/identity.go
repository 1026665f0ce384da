package apiparticuliertest

import (
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Identity is a civil status, as a call gives it or as the register holds it.
type Identity struct {
	FamilyName   string   `yaml:"family_name" json:"family_name"`
	GivenNames   []string `yaml:"given_names" json:"given_names"`
	Gender       string   `yaml:"gender" json:"gender"`             // M or F
	Birthdate    string   `yaml:"birthdate" json:"birthdate"`       // YYYY, YYYY-MM or YYYY-MM-DD; "" when not given
	Birthplace   string   `yaml:"birthplace" json:"birthplace"`     // COG code; "" when not known or abroad
	Birthcountry string   `yaml:"birthcountry" json:"birthcountry"` // COG code
	department   string   // in place of the code of the commune
}

var (
	namePattern       = regexp.MustCompile(`^[a-zA-ZÀ-ÖØ-öø-ÿ' -]+$`)
	communePattern    = regexp.MustCompile(`^([013-9]\d|2[AB1-9])\d{3}$`)
	countryPattern    = regexp.MustCompile(`^(99\d{3}|92352)$`)
	departmentPattern = regexp.MustCompile(`^(0[1-9]|1\d|2[1-9AB]|[3-8]\d|9[0-5]|97[1-46])$`)
	siretPattern      = regexp.MustCompile(`^\d{14}$`)
	postPattern       = regexp.MustCompile(`^356000000\d{5}$`) // La Poste's establishments fail Luhn's check
)

const france = "99100"

// ValidRecipient is the rule for a SIRET (api-particulier.md, 2).
func ValidRecipient(siret string) bool {
	if !siretPattern.MatchString(siret) {
		return false
	}
	if postPattern.MatchString(siret) {
		return true
	}
	sum := 0
	for i, digit := range siret {
		value := int(digit - '0')
		if i%2 == 0 {
			if value *= 2; value > 9 {
				value -= 9
			}
		}
		sum += value
	}
	return sum%10 == 0
}

func checkRecipient(query url.Values) []failure {
	switch siret := query.Get("recipient"); {
	case siret == "":
		return fail("recipient_missing")
	case !ValidRecipient(siret):
		return fail("recipient")
	default:
		return nil
	}
}

// readIdentity reads and checks the civil status of a call, all faults together.
func readIdentity(query url.Values, now time.Time) (Identity, []failure) {
	who := Identity{
		FamilyName: typed(query.Get("nomNaissance")), Gender: query.Get("sexeEtatCivil"),
		Birthcountry: query.Get("codeCogInseePaysNaissance"), Birthplace: query.Get("codeCogInseeCommuneNaissance"),
	}
	for _, one := range query["prenoms[]"] {
		who.GivenNames = append(who.GivenNames, typed(one))
	}
	var out []failure
	if who.Gender != "M" && who.Gender != "F" {
		out = append(out, fail("sex")...)
	}
	if !countryPattern.MatchString(who.Birthcountry) {
		out = append(out, fail("birthcountry")...)
	}
	year, birthdate, ok := readBirthdate(query, now)
	if !ok {
		out = append(out, fail("birthdate")...)
	}
	who.Birthdate = birthdate
	out = append(out, who.checkBirthplace(query, year)...)
	if !who.goodGivenNames() {
		out = append(out, fail("given_names")...)
	}
	if !namePattern.MatchString(who.FamilyName) {
		out = append(out, fail("family_name")...)
	}
	return who, out
}

// typed is what the server does to a name: the typographic apostrophe goes.
func typed(name string) string { return strings.TrimSpace(strings.ReplaceAll(name, "’", "'")) }

func (i Identity) goodGivenNames() bool {
	for _, one := range i.GivenNames {
		if !namePattern.MatchString(one) {
			return false
		}
	}
	return len(i.GivenNames) > 0
}

// readBirthdate reads three integers: no month without a year, no day without a
// month; a whole date is between 1900 and yesterday.
func readBirthdate(query url.Values, now time.Time) (year int, text string, ok bool) {
	parts := [3]int{}
	for i, name := range []string{"anneeDateNaissance", "moisDateNaissance", "jourDateNaissance"} {
		value := query.Get(name)
		if value == "" {
			break
		}
		n, err := strconv.Atoi(value)
		if err != nil {
			return 0, "", false
		}
		parts[i] = n
	}
	year, month, day := parts[0], parts[1], parts[2]
	switch {
	case year == 0:
		return 0, "", true
	case year < 1900 || year > now.Year() || month < 0 || month > 12:
		return 0, "", false
	case month == 0:
		return year, pad(year, 4), true
	case day == 0:
		return year, pad(year, 4) + "-" + pad(month, 2), true
	}
	text = pad(year, 4) + "-" + pad(month, 2) + "-" + pad(day, 2)
	at, err := time.Parse(time.DateOnly, text)
	return year, text, err == nil && at.Before(now.Truncate(24*time.Hour))
}

func pad(n, width int) string {
	text := strconv.Itoa(n)
	return strings.Repeat("0", max(0, width-len(text))) + text
}

// checkBirthplace: the code of the commune, or its name with the département and
// the year; neither has been asked for since May 2026, and abroad both are dropped.
func (i *Identity) checkBirthplace(query url.Values, year int) []failure {
	if i.Birthcountry != france {
		i.Birthplace = ""
		return nil
	}
	if i.Birthplace != "" {
		if !communePattern.MatchString(i.Birthplace) {
			return fail("birthplace")
		}
		return nil
	}
	name, department := query.Get("nomCommuneNaissance"), query.Get("codeCogInseeDepartementNaissance")
	if name == "" && department == "" {
		return nil
	}
	var out []failure
	if name == "" {
		out = append(out, fail("birthplace", func(f *failure) { f.parameter = "nomCommuneNaissance" })...)
	}
	if !departmentPattern.MatchString(department) {
		out = append(out, fail("department")...)
	}
	if year == 0 {
		out = append(out, fail("birthyear")...)
	}
	i.department = department
	return out
}

// fromToken makes an identity of FranceConnect's claims, as the server does: the
// given names are cut at spaces, and no nom d'usage is sent.
func fromToken(claims tokenClaims) (Identity, bool) {
	who := Identity{
		FamilyName: typed(claims.FamilyName), GivenNames: strings.Fields(claims.GivenName), Birthdate: claims.Birthdate,
		Birthplace: claims.Birthplace, Birthcountry: claims.Birthcountry,
		Gender: map[string]string{"male": "M", "female": "F"}[claims.Gender],
	}
	return who, namePattern.MatchString(who.FamilyName) && who.goodGivenNames() && who.Gender != "" &&
		countryPattern.MatchString(who.Birthcountry) && len(who.Birthdate) == len(time.DateOnly)
}

// key names the identity for the cache and for counting.
func (i Identity) key() string {
	return strings.Join([]string{
		plain(i.FamilyName), plain(strings.Join(i.GivenNames, " ")), i.Birthdate, i.Birthplace + i.department, i.Birthcountry,
	}, "|")
}

// matches is the register's way: birth name, year and place of birth weigh, one
// given name must agree, sex does not count.
func (i Identity) matches(held Identity) bool {
	if plain(i.FamilyName) != plain(held.FamilyName) || i.Birthcountry != held.Birthcountry {
		return false
	}
	if len(i.Birthdate) >= 4 && i.Birthdate[:4] != held.Birthdate[:4] {
		return false
	}
	if i.Birthplace != "" && i.Birthplace != held.Birthplace || !strings.HasPrefix(held.Birthplace, i.department) {
		return false
	}
	given := strings.Fields(plain(strings.Join(i.GivenNames, " ")))
	for _, one := range strings.Fields(plain(strings.Join(held.GivenNames, " "))) {
		for _, asked := range given {
			if one == asked {
				return true
			}
		}
	}
	return false
}

var accents = strings.NewReplacer(
	"À", "A", "Á", "A", "Â", "A", "Ã", "A", "Ä", "A", "Å", "A", "Æ", "AE", "Ç", "C", "È", "E", "É", "E", "Ê", "E", "Ë", "E", "Ì", "I",
	"Í", "I", "Î", "I", "Ï", "I", "Ñ", "N", "Ò", "O", "Ó", "O", "Ô", "O", "Õ", "O", "Ö", "O", "Ø", "O", "Œ", "OE", "Ù", "U", "Ú", "U",
	"Û", "U", "Ü", "U", "Ý", "Y", "Ÿ", "Y", "-", " ", "'", " ",
)

// plain compares names without case, accents, hyphens and apostrophes.
func plain(name string) string {
	return strings.Join(strings.Fields(accents.Replace(strings.ToUpper(name))), " ")
}

// claims writes the identity as FranceConnect would.
func (i Identity) claims(scopes []string) tokenClaims {
	birthdate := i.Birthdate
	switch len(birthdate) {
	case 4:
		birthdate += "-01-01"
	case 7:
		birthdate += "-01"
	}
	return tokenClaims{
		Active: true, Scope: strings.Join(scopes, " "), GivenName: strings.Join(i.GivenNames, " "), FamilyName: i.FamilyName,
		Birthdate: birthdate, Gender: map[string]string{"M": "male", "F": "female"}[i.Gender], Birthplace: i.Birthplace,
		Birthcountry: i.Birthcountry,
	}
}

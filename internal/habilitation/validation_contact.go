package habilitation

import (
	"regexp"
	"strings"
)

// htmlEmail is the pattern of HTML's <input type=email> (WHATWG HTML, "valid
// e-mail address"), which DataPass uses (datapass.md, 5.4).
var htmlEmail = regexp.MustCompile(
	`\A[a-zA-Z0-9.!#$%&'*+/=?^_` + "`" + `{|}~-]+@` +
		`[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*\z`)

// ValidEmail reports whether an address has the form that HTML5 asks for. An
// address longer than 254 characters is none (RFC 5321, 4.5.3.1.3).
func ValidEmail(address string) bool { return len(address) <= 254 && htmlEmail.MatchString(address) }

// sep is what may stand between the pairs of digits of a telephone number.
const sep = `[\s.-]*`

// Telephone numbers (datapass.md, 5.4). Overseas numbers are accepted both with
// the digits that DataPass counts and with those of the real numbering plans,
// where they differ: nine for +262, eight for +689.
var (
	frenchPhone = regexp.MustCompile(`\A(?:` + strings.Join([]string{
		`0[1-9](?:` + sep + `\d{2}){4}`,
		`\+(?:33|590|594|596|262)` + sep + `[1-9](?:` + sep + `\d{2}){4}`,
		`\+262` + sep + `\d{2}(?:` + sep + `\d{2}){3}`,
		`\+(?:508|681|687)` + sep + `\d{2}(?:` + sep + `\d{2}){2}`,
		`\+689` + sep + `4\d(?:` + sep + `\d{2}){2,3}`,
		`\+689` + sep + `8[79](?:` + sep + `\d{2}){3}`,
	}, "|") + `)\z`)
	mobilePhone = regexp.MustCompile(`\A(?:` + strings.Join([]string{
		`0[67](?:` + sep + `\d{2}){4}`,
		`\+(?:33|590|594|596|262)` + sep + `[67](?:` + sep + `\d{2}){4}`,
		`\+262` + sep + `[67]\d(?:` + sep + `\d{2}){3}`,
		`\+508` + sep + `7\d(?:` + sep + `\d{2}){2}`,
		`\+(?:681|687)` + sep + `\d{2}(?:` + sep + `\d{2}){2}`,
		`\+689` + sep + `8[79](?:` + sep + `\d{2}){2,3}`,
	}, "|") + `)\z`)
)

// FrenchPhone reports whether a number is a French one, overseas included.
func FrenchPhone(number string) bool { return frenchPhone.MatchString(number) }

// MobilePhone reports whether a number is a French mobile one.
func MobilePhone(number string) bool { return mobilePhone.MatchString(number) }

var siretDigits = regexp.MustCompile(`\A\d{14}\z`)

// laPoste starts the SIRETs that are not held to Luhn's formula.
const laPoste = "356000000"

// CheckSIRET returns what is wrong with a SIRET, in DataPass's words: nothing,
// one fault or both (datapass.md, 5.4).
func CheckSIRET(siret string) []string {
	var faults []string
	if !siretDigits.MatchString(siret) {
		faults = append(faults, "ne possède pas 14 chiffres")
	}
	poste := siretDigits.MatchString(siret) && strings.HasPrefix(siret, laPoste)
	if !poste && !luhn(siret) {
		faults = append(faults, "ne respecte pas la formule de Luhn ou n'est pas un siret de La Poste")
	}
	return faults
}

// ValidSIRET reports whether a SIRET has no fault.
func ValidSIRET(siret string) bool { return len(CheckSIRET(siret)) == 0 }

// luhn checks the sum of the digits from the right, every second one doubled.
// Other characters count for nothing, as in DataPass; a blank has no sum.
func luhn(number string) bool {
	if number == "" {
		return false
	}
	sum, double := 0, false
	for i := len(number) - 1; i >= 0; i-- {
		digit := 0
		if number[i] >= '0' && number[i] <= '9' {
			digit = int(number[i] - '0')
		}
		if double {
			if digit *= 2; digit > 9 {
				digit -= 9
			}
		}
		sum += digit
		double = !double
	}
	return sum%10 == 0
}

// Deliverability is what an outside service says of an address.
type Deliverability string

const (
	Deliverable           Deliverability = "deliverable"
	Undeliverable         Deliverability = "undeliverable"
	DeliverabilityUnknown Deliverability = "unknown" // asked, no answer: blocks as well
)

func (c *check) contacts() {
	for _, rule := range c.definition.Rules.Contacts {
		c.contact(rule)
	}
}

// contact checks one contact: e-mail and telephone always, the rest for a
// person only (datapass.md, 5.4).
func (c *check) contact(rule ContactRule) {
	nature := c.data[rule.Kind+contactTypeSuffix]
	if nature != "" && nature != contactTypePerson && nature != contactTypeOrganization {
		c.fault(rule.Kind+contactTypeSuffix, "doit être une personne ou une organisation")
	}
	for _, attribute := range ContactAttributes() {
		direct := attribute == "email" || attribute == "phone_number"
		if (direct || nature != contactTypeOrganization) && !contains(rule.Optional, attribute) {
			c.require(rule.Kind + "_" + attribute)
		}
	}
	c.email(rule.Kind + "_email")
	c.phone(rule)
}

func (c *check) email(key string) {
	address := c.data[key]
	switch {
	case address == "":
	case !ValidEmail(address):
		c.fault(key, "n’est pas une adresse électronique valide")
	case c.facts.Emails[address] == Undeliverable:
		c.fault(key, "n’est pas une adresse électronique joignable")
	case c.facts.Emails[address] == DeliverabilityUnknown:
		c.fault(key, "n’a pas pu être vérifiée")
	}
}

func (c *check) phone(rule ContactRule) {
	key := rule.Kind + "_phone_number"
	number := c.data[key]
	if number == "" {
		return
	}
	mobile := rule.Phone == PhoneMobile || rule.Phone == PhoneMobileEmbedded && c.franceConnectCertified()
	switch {
	case mobile && !MobilePhone(number):
		c.fault(key, "doit être un numéro de téléphone mobile français, par exemple 0639981234 ou +33639981234")
	case rule.Phone == PhoneFrench && !FrenchPhone(number):
		c.fault(key, "doit être un numéro de téléphone français, par exemple 0199001234 ou +33199001234")
	}
}

package franceconnecttest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Citizen is an invented person, as an identity provider and the national
// register know him.
type Citizen struct {
	ID                string   `yaml:"id" json:"id"`
	Case              string   `yaml:"case" json:"case"` // what he is there to show
	GivenNames        []string `yaml:"given_names" json:"given_names"`
	FamilyName        string   `yaml:"family_name" json:"family_name"`
	PreferredUsername string   `yaml:"preferred_username" json:"preferred_username"` // nom d'usage; "" when not known
	Gender            string   `yaml:"gender" json:"gender"`                         // male or female
	Birthdate         string   `yaml:"birthdate" json:"birthdate"`                   // as declared: YYYY, YYYY-MM or YYYY-MM-DD
	Birthplace        string   `yaml:"birthplace" json:"birthplace"`                 // COG code; "" when born abroad
	Birthcountry      string   `yaml:"birthcountry" json:"birthcountry"`             // COG code
	Email             string   `yaml:"email" json:"email"`
}

// completeBirthdate fills a presumed date up, as the register's answer is.
func (c Citizen) completeBirthdate() string {
	switch len(c.Birthdate) {
	case len("2006"):
		return c.Birthdate + "-01-01"
	case len("2006-01"):
		return c.Birthdate + "-01"
	default:
		return c.Birthdate
	}
}

// Name is what pages show.
func (c Citizen) Name() string { return strings.Join(c.GivenNames, " ") + " " + c.FamilyName }

// subject is pairwise: another one for each client, and for the same person once
// his civil status was corrected (franceconnect.md, 4).
func (c Citizen) subject(clientID string) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{
		"franceconnecttest", clientID, strings.Join(c.GivenNames, " "), c.FamilyName, c.completeBirthdate(), c.Gender,
		c.Birthplace, c.Birthcountry,
	}, "\x00")))
	return hex.EncodeToString(sum[:]) + "v1"
}

// scope is one that a client may ask for.
type scope struct {
	name   string
	claims []string
	label  string // on the consent page; "" for openid
}

// scopes in the order of discovery (franceconnect.md, 5).
var scopes = []scope{
	{"openid", nil, ""},
	{"profile", []string{"given_name", "given_name_array", "family_name", "birthdate", "gender", "preferred_username"}, "Votre identité et votre nom d’usage"},
	{"birth", []string{"birthplace", "birthcountry"}, "Votre lieu et votre pays de naissance"},
	{
		"identite_pivot",
		[]string{"given_name", "given_name_array", "family_name", "birthdate", "gender", "birthplace", "birthcountry"},
		"Votre identité : prénoms, nom de naissance, date, lieu et pays de naissance, sexe",
	},
	{"gender", []string{"gender"}, "Votre sexe"},
	{"birthdate", []string{"birthdate"}, "Votre date de naissance"},
	{"birthcountry", []string{"birthcountry"}, "Votre pays de naissance"},
	{"birthplace", []string{"birthplace"}, "Votre lieu de naissance"},
	{"given_name", []string{"given_name", "given_name_array"}, "Vos prénoms"},
	{"family_name", []string{"family_name"}, "Votre nom de naissance"},
	{"email", []string{"email"}, "Votre adresse électronique"},
	{"preferred_username", []string{"preferred_username"}, "Votre nom d’usage"},
	{"idp_birthdate", []string{"idp_birthdate"}, "Votre date de naissance telle que déclarée"},
	{"amr", []string{"amr"}, "Votre moyen de connexion"},
	{"idp_id", []string{"idp_id"}, "Votre fournisseur d’identité"},
	{"cnaf_quotient_familial", nil, "Votre quotient familial (CAF ou MSA)"},
	{"cnaf_allocataires", nil, "Les allocataires de votre dossier (CAF ou MSA)"},
	{"cnaf_enfants", nil, "Les enfants de votre dossier (CAF ou MSA)"},
	{"cnaf_adresse", nil, "Votre adresse (CAF ou MSA)"},
}

func knownScope(name string) bool {
	return slices.ContainsFunc(scopes, func(s scope) bool { return s.name == name })
}

const identityProvider = "simulateur"

// claims are those of the scopes; a nom d'usage that is not known is absent.
func (c Citizen) claims(granted []string) map[string]any {
	all := map[string]any{
		"given_name": strings.Join(c.GivenNames, " "), "given_name_array": c.GivenNames, "family_name": c.FamilyName,
		"birthdate": c.completeBirthdate(), "idp_birthdate": c.Birthdate, "gender": c.Gender, "birthplace": c.Birthplace,
		"birthcountry": c.Birthcountry, "email": c.Email, "amr": []string{"pwd"}, "idp_id": identityProvider,
	}
	if c.PreferredUsername != "" {
		all["preferred_username"] = c.PreferredUsername
	}
	out := map[string]any{}
	for _, s := range scopes {
		if !slices.Contains(granted, s.name) {
			continue
		}
		for _, name := range s.claims {
			if value, ok := all[name]; ok {
				out[name] = value
			}
		}
	}
	return out
}

// check says what is wrong with a citizen of a seed.
func (c Citizen) check() error {
	switch {
	case c.ID == "" || c.FamilyName == "" || len(c.GivenNames) == 0:
		return fmt.Errorf("citizen %q: id, family_name and given_names are needed", c.ID)
	case c.Gender != "male" && c.Gender != "female":
		return fmt.Errorf("citizen %q: gender is male or female", c.ID)
	case !slices.Contains([]int{4, 7, 10}, len(c.Birthdate)):
		return fmt.Errorf("citizen %q: birthdate is YYYY, YYYY-MM or YYYY-MM-DD", c.ID)
	case len(c.Birthcountry) != 5 || (c.Birthcountry == "99100") != (len(c.Birthplace) == 5):
		return fmt.Errorf("citizen %q: birthplace is a COG code when birthcountry is 99100, else empty", c.ID)
	default:
		return nil
	}
}

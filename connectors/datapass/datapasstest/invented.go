package datapasstest

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"github.com/google/uuid"
)

// Invented is the n-th invented api_particulier request (0 <= n < 1,000,000):
// its own commune with a SIRET that passes Luhn, its own applicant and contacts.
// The same n gives the same request, ids excepted.
func Invented(n int) Filing {
	place := communeNames[n%len(communeNames)] + "-" + communeSuffixes[n/len(communeNames)%len(communeSuffixes)]
	host := fmt.Sprintf("commune-%06d.example", n)
	given, family := givenNames[n%len(givenNames)], familyNames[n/7%len(familyNames)]
	phone := fmt.Sprintf("02619100%02d", n%100)
	email := fmt.Sprintf("%s.%s@%s", strings.ToLower(given), strings.ToLower(family), host)
	return Filing{
		PublicID:   uuid.NewSHA1(inventedSpace, fmt.Append(nil, n)).String(),
		Definition: "api_particulier", Form: "api-particulier-tarification-municipale-enfance",
		Organization: commune{
			siret: inventedSIRET(n), name: fmt.Sprintf("%s %d", strings.ToUpper(place), n),
			number: fmt.Sprint(n%90 + 1), street: "DE LA MAIRIE", postalCode: fmt.Sprintf("%05d", 1990+n%90_000), code: fmt.Sprintf("%05d", 1998+n%90_000),
		}.organization(0),
		Applicant: Applicant{
			UID: uuid.NewSHA1(inventedSpace, []byte(email)).String(), Email: email,
			GivenName: given, FamilyName: family, PhoneNumber: phone, JobTitle: "Responsable de l'enfance",
		},
		Fields: childrenFields(place, "params").
			With(contact("contact_metier", family, given, email, phone, "Responsable de l'enfance")).
			With(contact("contact_technique", "Rivoal", "Maud", "informatique@"+host, phone, "Responsable informatique")).
			With(contact("delegue_protection_donnees", "Kerbrat", "Anne", "dpo@"+host, phone, "Déléguée à la protection des données")),
	}
}

// FileInvented creates and submits the invented requests first to first+count-1
// and gives their ids. Each sends its create and submit webhooks to who is
// subscribed to them.
func (s *Server) FileInvented(ctx context.Context, first, count int) ([]int64, error) {
	ids := make([]int64, 0, count)
	for n := first; n < first+count; n++ {
		r, err := s.Create(ctx, Invented(n))
		if err != nil {
			return ids, err
		}
		if _, err := s.Submit(ctx, r.ID); err != nil {
			return ids, err
		}
		ids = append(ids, r.ID)
	}
	return ids, nil
}

var (
	inventedSpace   = uuid.MustParse("6f1d3d0a-54c1-4f7e-9a55-3c1f6f0d7b21")
	communeNames    = []string{"Valmoret", "Kerlanic", "Sauvagnette", "Brisemont", "Lourvigny", "Pontaubault", "Hautefage"}
	communeSuffixes = []string{"sur-Ormes", "la-Lande", "les-Bains", "le-Vieux", "en-Plaine"}
	givenNames      = []string{"Alice", "Bastien", "Chloe", "Damien", "Estelle", "Farid", "Gwenn"}
	familyNames     = []string{"Armand", "Bellec", "Cordier", "Delmas", "Esnault", "Fournel", "Guivarch"}
)

// inventedSIRET begins with 29: that of a real commune begins with 21.
func inventedSIRET(n int) string {
	siren := withLuhn(fmt.Sprintf("29%06d", n))
	return withLuhn(siren + "0001")
}

// withLuhn adds the digit that makes the number pass Luhn's check.
func withLuhn(digits string) string {
	sum := 0
	for i := range digits {
		d := int(digits[len(digits)-1-i] - '0')
		if i%2 == 0 { // the check digit comes after: the last digit is doubled
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return digits + string(rune('0'+(10-sum%10)%10))
}

// sireneJSON is an answer of API Sirene 3.11 to GET /siret/{siret}, with holes.
//
//go:embed sirene.json
var sireneJSON []byte

var sirene = sync.OnceValue(func() string {
	text, err := toJSONB(sireneJSON)
	if err != nil {
		panic(err) // embedded: a mistake of this package
	}
	return string(text)
})

// commune fills the holes of sirene.json. Its texts are plain upper case ASCII.
type commune struct{ siret, name, number, street, postalCode, code string }

func (c commune) organization(id int64) Organization {
	name := "COMMUNE DE " + c.name
	payload := strings.NewReplacer(
		"{siren}", c.siret[:9], "{nic}", c.siret[9:], "{siret}", c.siret, "{name}", name, "{commune}", c.name,
		"{number}", c.number, "{street}", c.street, "{postal_code}", c.postalCode, "{commune_code}", c.code,
	).Replace(sirene())
	return Organization{ID: id, SIRET: c.siret, Name: name, INSEE: json.RawMessage(payload)}
}

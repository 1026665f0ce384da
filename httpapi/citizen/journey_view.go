package citizen

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/journey"
	"github.com/passerelle-hub/passerelle/internal/journey/qfform"
)

// shown is a transaction as its pages show it: all words are made here, so that
// the pages hold nothing more than what is read on them.
type shown struct {
	journey.View
	Path     string
	Name     string // of the commune
	Commune  string // address of its page
	Identity []fact
	Quotient *quotientShown
	Adults   []string
	Children []string
	// ShowChildren: the right covers them; there may be none.
	ShowChildren bool
	Warnings     []string
	Place        int
	Stopped      bool // the page does not come again by itself
}

type fact struct{ Label, Value string }

type quotientShown struct{ Value, Month, Provider string }

// manual stops a page that comes again by itself: ?actualisation=manuelle.
const manual = "actualisation"

func show(v journey.View) shown {
	commune := communeOf(v.Receiver, true)
	s := shown{View: v, Path: path(v.ID), Name: commune.Name, Commune: commune.Path("")}
	if id := v.Identity; id != nil {
		s.Identity = identityFacts(*id)
	}
	f := v.Family
	if f == nil {
		return s
	}
	if q := f.Quotient; q != nil {
		value := "non calculé"
		if q.Value != nil {
			value = fmt.Sprintf("%d €", *q.Value)
		}
		s.Quotient = &quotientShown{value, qfform.MonthInFrench(q.Month), map[string]string{"CNAF": "Caf", "MSA": "MSA"}[q.Provider]}
	}
	s.Adults, s.Children, s.ShowChildren = members(f.Allocataires, true), members(f.Enfants, false), f.Enfants != nil
	if v.BirthDateDiffers {
		s.Warnings = append(s.Warnings, "Votre date de naissance, selon FranceConnect, n’est celle d’aucun des allocataires de ce dossier. Vérifiez qu’il s’agit bien de votre famille avant de transmettre.")
	}
	if v.Early && f.Quotient != nil {
		s.Warnings = append(s.Warnings, "Le quotient familial de ce mois n’est pas encore calculé par la Caf : voici celui de "+qfform.MonthInFrench(f.Quotient.Month)+".")
	}
	return s
}

func identityFacts(id connectors.PivotIdentity) []fact {
	born, gender := "Né le", "Homme"
	if id.Gender == "female" {
		born, gender = "Née le", "Femme"
	}
	facts := []fact{
		{"Nom de naissance", id.FamilyName},
		{"Prénoms", strings.Join(id.GivenNames, ", ")},
		{born, qfform.DateInFrench(id.BirthDate)},
		{"Sexe", gender},
	}
	if id.BirthPlace != "" {
		return append(facts, fact{"Commune de naissance (code Insee)", id.BirthPlace})
	}
	return append(facts, fact{"Pays de naissance (code Insee)", id.BirthCountry})
}

func members(list []connectors.FamilyMember, adults bool) []string {
	if list == nil {
		return nil
	}
	lines := []string{}
	for _, m := range list {
		name := m.GivenNames + " " + m.BirthName
		if adults && m.UsualName != nil && *m.UsualName != "" && *m.UsualName != m.BirthName {
			name += " (nom d’usage " + *m.UsualName + ")"
		}
		born := "né(e) le "
		if len(m.BirthDate) >= 10 && (strings.HasSuffix(m.BirthDate, "-00") || m.BirthDate[:4] == "0000") {
			born = "naissance : "
		}
		lines = append(lines, name+", "+born+qfform.DateInFrench(m.BirthDate))
	}
	slices.Sort(lines) // their order means nothing
	return lines
}

// Summary reports whether there is a summary to give her: not of what never arrived.
func (s shown) Summary() bool { return s.HasPDF && !s.Lost() }

// AcceptedOn is when she sent it.
func (s shown) AcceptedOn() string {
	if s.Folder == nil {
		return ""
	}
	paris, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		paris = time.UTC
	}
	at := s.Folder.AcceptedAt.In(paris)
	return fmt.Sprintf("%s à %d h %02d", qfform.DateInFrench(at.Format(time.DateOnly)), at.Hour(), at.Minute())
}

package qfform

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"codeberg.org/go-pdf/fpdf"
	"golang.org/x/image/font/gofont/goregular"

	"github.com/passerelle-hub/passerelle/connectors"
)

// Measures of the page, in millimetres and points.
const (
	margin     = 20.0
	labelWidth = 55.0
	lineHeight = 6.5
	textSize   = 10.5
	headSize   = 13
	titleSize  = 18
	grey       = 85 // of labels: contrast of 7 to 1 on white
)

var months = [...]string{"janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre", "décembre"}

// paris is the zone of the dates that people read.
var paris = func() *time.Location {
	zone, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		return time.UTC
	}
	return zone
}()

// MonthInFrench gives "septembre 2026".
func MonthInFrench(m connectors.Month) string {
	if m.Month < time.January || m.Month > time.December {
		return fmt.Sprint(m.Year)
	}
	return fmt.Sprintf("%s %d", months[m.Month-1], m.Year)
}

// DateInFrench gives "14 mars 1987"; parts that are not known, written as zeros,
// are left out, down to "date inconnue".
func DateInFrench(date string) string {
	year, month, day := cut(date)
	var m int
	if _, err := fmt.Sscan(strings.TrimPrefix(month, "0"), &m); err != nil || m < 1 || m > 12 {
		m = 0
	}
	switch {
	case year == "" || year == "0000":
		return "date inconnue"
	case m == 0:
		return year
	case day == "00" || day == "":
		return months[m-1] + " " + year
	}
	d := strings.TrimPrefix(day, "0")
	if d == "1" {
		d = "1er"
	}
	return d + " " + months[m-1] + " " + year
}

// page writes labelled lines.
type page struct{ *fpdf.Fpdf }

// pdf writes what the other two files hold, for people. Its font is Unicode's
// Latin, Greek and Cyrillic; title and language are set. It is not tagged: the
// library cannot, the same content is given as a page (qf-form.md, D-29). One
// font: each costs as much time as all the rest.
func (f Form) pdf() ([]byte, error) {
	p := page{fpdf.New("P", "mm", "A4", "")}
	p.AddUTF8FontFromBytes("go", "", goregular.TTF)
	p.SetLang("fr-FR")
	p.SetTitle("Quotient familial, dossier "+f.Reference, true)
	p.SetAuthor("Passerelle", true)
	p.SetCreator("Passerelle", true)
	p.SetCreationDate(f.At.UTC())
	p.SetModificationDate(f.At.UTC())
	p.SetMargins(margin, margin, margin)
	p.SetAutoPageBreak(true, margin)
	p.SetFooterFunc(func() {
		p.SetY(-margin + 5)
		p.SetFont("go", "", 8)
		p.CellFormat(0, 5, fmt.Sprintf("Dossier %s, page %d", f.Reference, p.PageNo()), "", 0, "C", false, 0, "")
	})
	p.AddPage()
	p.SetFont("go", "", titleSize)
	p.MultiCell(0, 9, "Quotient familial", "", "L", false)
	at := f.At.In(paris)
	p.line("Référence du dossier", f.Reference)
	p.line("Transmis à", f.Recipient)
	p.line("Le", fmt.Sprintf("%s à %s", DateInFrench(at.Format(time.DateOnly)), at.Format("15 h 04")))
	if f.ExternalID != "" {
		p.line("Identifiant de l'éditeur", f.ExternalID)
	}

	id := f.Identity
	p.head("Identité transmise par FranceConnect")
	p.line("Nom de naissance", id.FamilyName)
	p.line("Prénoms", strings.Join(id.GivenNames, ", "))
	p.line("Date de naissance", DateInFrench(id.BirthDate))
	p.line("Sexe", map[string]string{"female": "féminin", "male": "masculin"}[id.Gender])
	if id.BirthPlace != "" {
		p.line("Commune de naissance", "code INSEE "+id.BirthPlace)
	}
	p.line("Pays de naissance", "code INSEE "+id.BirthCountry)

	if f.Family == nil {
		p.head("Quotient familial")
		p.text("Aucun quotient familial n'est transmis : ni la CAF ni la MSA n'ont donné de dossier pour cette personne.")
		return p.bytes()
	}
	if q := f.Family.Quotient; q != nil {
		p.head("Quotient familial")
		value := "non calculé"
		if q.Value != nil {
			value = fmt.Sprintf("%d €", *q.Value)
		}
		p.line("Valeur", value)
		p.line("Mois", MonthInFrench(q.Month))
		p.line("Calculé en", MonthInFrench(q.ComputedIn))
		p.line("Organisme", map[string]string{"CNAF": "CAF", "MSA": "MSA"}[q.Provider])
	}
	p.people("Allocataires", f.Family.Allocataires)
	p.people("Enfants", f.Family.Enfants)
	return p.bytes()
}

func (p page) bytes() ([]byte, error) {
	var b bytes.Buffer
	if err := p.Output(&b); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func (p page) head(text string) {
	p.Ln(4)
	p.SetFont("go", "", headSize)
	p.MultiCell(0, 8, text, "", "L", false)
}

func (p page) text(text string) {
	p.SetFont("go", "", textSize)
	p.MultiCell(0, lineHeight, text, "", "L", false)
}

func (p page) line(label, value string) {
	p.SetFont("go", "", textSize)
	p.SetTextColor(grey, grey, grey)
	p.CellFormat(labelWidth, lineHeight, label, "", 0, "L", false, 0, "")
	p.SetTextColor(0, 0, 0)
	p.MultiCell(0, lineHeight, value, "", "L", false)
}

// people writes one line a person; a list that is not covered is not written.
func (p page) people(title string, list []connectors.FamilyMember) {
	if list == nil {
		return
	}
	p.head(title)
	if len(list) == 0 {
		p.text("Aucun")
	}
	for _, m := range list {
		name := m.GivenNames + " " + m.BirthName
		if m.UsualName != nil && *m.UsualName != "" {
			name += ", nom d'usage " + *m.UsualName
		}
		born := "né le "
		if m.Sex == "F" {
			born = "née le "
		}
		if len(m.BirthDate) != len(time.DateOnly) || strings.Contains(m.BirthDate[4:], "-00") {
			born = strings.TrimSuffix(born, "le ") + "en "
		}
		p.text(name + ", " + born + DateInFrench(m.BirthDate))
	}
}

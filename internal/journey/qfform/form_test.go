package qfform

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/passerelle-hub/passerelle/connectors"
)

func pointer[T any](v T) *T { return &v }

// sample is the family of the contract's samples.
func sample() Form {
	return Form{
		Reference: "K7QD2M9XTB4HZ", ExternalID: "famille-48213", Recipient: "Commune de Majastres", At: time.Date(2026, 10, 5, 8, 12, 40, 0, time.UTC),
		Identity: connectors.PivotIdentity{
			FamilyName: "FONTANEL", GivenNames: []string{"Élodie", "Marguerite"}, BirthDate: "1987-03-14", Gender: "female", BirthPlace: "69385", BirthCountry: "99100",
		},
		Family: &connectors.Family{
			Quotient: &connectors.Quotient{Provider: "CNAF", Value: pointer(642), Month: connectors.Month{Year: 2026, Month: 9}, ComputedIn: connectors.Month{Year: 2026, Month: 6}},
			Allocataires: []connectors.FamilyMember{
				{BirthName: "FONTANEL", UsualName: pointer("BRESSAC"), GivenNames: "ELODIE MARGUERITE", BirthDate: "1987-03-14", Sex: "F"},
				{BirthName: "BRESSAC", GivenNames: "THOMAS JULIEN", BirthDate: "1985-11-02", Sex: "M"},
			},
			Enfants: []connectors.FamilyMember{
				{BirthName: "BRESSAC", GivenNames: "LEA CAMILLE", BirthDate: "2016-05-21", Sex: "F"},
				{BirthName: "BRESSAC", GivenNames: "NOE", BirthDate: "2019-09-08", Sex: "M"},
			},
		},
	}
}

func files(t *testing.T, f Form) []File {
	t.Helper()
	list, err := f.Files()
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestJSONAndXMLAreTheSamplesToTheByte(t *testing.T) {
	t.Parallel()
	for _, f := range files(t, sample())[:2] {
		want, err := os.ReadFile(filepath.Join("testdata", f.Name))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(f.Content)); diff != "" {
			t.Errorf("%s:\n%s", f.Name, diff)
		}
	}
}

func TestTestdataIsTheContracts(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"FormulaireQF.json", "FormulaireQF.xml"} {
		want, err := os.ReadFile(filepath.Join("../../../../shared/contracts/qf-form", name))
		if os.IsNotExist(err) {
			t.Skip("the contract is not beside the repository")
		}
		got, readErr := os.ReadFile(filepath.Join("testdata", name))
		if err != nil || readErr != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not the contract's (%v, %v)", name, err, readErr)
		}
	}
}

// hostile names: every accent, apostrophes, ligatures, markup, other alphabets.
func hostile() Form {
	f := sample()
	f.ExternalID = `"><script>&'`
	f.Identity.FamilyName = "D’ŒUVRÉ-ŁUKASZ <b> & Fils"
	f.Identity.GivenNames = []string{"Zoé", "Anaïs-Noëlle", "Ÿves", "Ελένη", "Иван", "\u0301\u0000x"}
	f.Identity.BirthPlace, f.Identity.BirthCountry = "", "99351"
	f.Family.Allocataires[0].BirthDate = "1990-00-00"
	f.Family.Allocataires[1].BirthDate = "0000-00-00"
	f.Family.Enfants = []connectors.FamilyMember{}
	f.Family.Quotient.Value = nil
	return f
}

func TestEveryFormFollowsThePublishedSchemaAndIsWellFormed(t *testing.T) {
	t.Parallel()
	var schema any
	if err := json.Unmarshal(Schema, &schema); err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("form.json", schema); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("form.json")
	if err != nil {
		t.Fatal(err)
	}
	alone := sample()
	alone.Family = nil
	value := sample()
	value.Family = &connectors.Family{Quotient: value.Family.Quotient}
	for name, f := range map[string]Form{"sample": sample(), "hostile": hostile(), "identity alone": alone, "value alone": value} {
		list := files(t, f)
		var got any
		if err := json.Unmarshal(list[0].Content, &got); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := compiled.Validate(got); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		decoder := xml.NewDecoder(bytes.NewReader(list[1].Content))
		for {
			if _, err := decoder.Token(); err != nil {
				if err.Error() != "EOF" {
					t.Errorf("%s: %v", name, err)
				}
				break
			}
		}
		if strings.Contains(string(list[1].Content), "<script>") {
			t.Errorf("%s: markup goes through", name)
		}
	}
}

func TestWhatIsNotCoveredIsNotWritten(t *testing.T) {
	t.Parallel()
	f := sample()
	f.Family = &connectors.Family{Quotient: f.Family.Quotient}
	for _, file := range files(t, f)[:2] {
		for _, word := range []string{"enfants", "allocataires", "BRESSAC"} {
			if strings.Contains(string(file.Content), word) {
				t.Errorf("%s holds %q", file.Name, word)
			}
		}
	}
}

func TestThePDFHoldsEveryLetterItsTitleAndItsLanguage(t *testing.T) {
	t.Parallel()
	f := hostile()
	f.Identity.GivenNames = f.Identity.GivenNames[:5]
	pdf := files(t, f)[2]
	if pdf.Name != "quotient_familial_K7QD2M9XTB4HZ.pdf" {
		t.Errorf("named %q", pdf.Name)
	}
	if !bytes.HasPrefix(pdf.Content, []byte("%PDF-")) || !bytes.Contains(pdf.Content, []byte("/Lang (fr-FR)")) {
		t.Error("no PDF, or no language")
	}
	tool, err := exec.LookPath("pdftotext")
	if err != nil {
		t.Skip("pdftotext is not installed")
	}
	file := filepath.Join(t.TempDir(), "x.pdf")
	if err := os.WriteFile(file, pdf.Content, 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := exec.CommandContext(t.Context(), tool, "-layout", file, "-").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"K7QD2M9XTB4HZ", "D’ŒUVRÉ-ŁUKASZ <b> & Fils", "Anaïs-Noëlle", "Ÿves", "Ελένη", "Иван", "septembre 2026", "non calculé", "née en 1990", "date inconnue", "Aucun"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the PDF does not say %q:\n%s", want, text)
		}
	}
}

func TestTheSameFormGivesTheSameBytes(t *testing.T) {
	t.Parallel()
	once, again := files(t, sample()), files(t, sample())
	for i := range once {
		if !bytes.Equal(once[i].Content, again[i].Content) {
			t.Errorf("%s differs", once[i].Name)
		}
	}
}

func TestDatesAreReadWithCare(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"1987-03-14": "14 mars 1987", "1987-03-01": "1er mars 1987", "1990-00-00": "1990", "1990-05-00": "mai 1990",
		"0000-00-00": "date inconnue", "": "date inconnue", "1990-13-01": "1990", "1990": "1990",
	} {
		if got := DateInFrench(in); got != want {
			t.Errorf("%q gives %q, want %q", in, got, want)
		}
	}
}

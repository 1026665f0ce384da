package habilitation_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	hab "github.com/passerelle-hub/passerelle/internal/habilitation"
)

// varied has a field of every kind.
func varied() *hab.Definition {
	d := particulier()
	d.Rules.Blocks = hab.Blocks()
	d.Rules.Checkboxes = []string{"dpd_homologation_checkbox"}
	d.Rules.TechnicalTeams, d.Rules.TechnicalTeamsNamed = []string{"editor", "internal"}, []string{"editor"}
	return d
}

func TestTheTwoShapesOfFormData(t *testing.T) {
	t.Parallel()
	d := varied()
	data := hab.Data{
		"scopes": `["b", "a"]`, "modalities": `["params"]`, "intitule": "", "description": "Texte",
		"duree_conservation_donnees_caractere_personnel": "12 mois", "dpd_homologation_checkbox": "on", "fc_alternative_connexion": "0",
		"operational_acceptance_done": "1", "volumetrie_appels_par_minute": "200", "contact_technique_type": "organization",
		"maquette_projet": "maquette.pdf", "d_une_autre_classe": "x", "france_connect_authorization_id": "54410",
	}
	typed := map[string]any{
		"scopes": []string{"a", "b"}, "modalities": []string{"params"}, "manual_code_insee_communes": []string{}, "intitule": "", "description": "Texte",
		"duree_conservation_donnees_caractere_personnel": 12, "dpd_homologation_checkbox": true, "fc_alternative_connexion": false,
		"operational_acceptance_done": "1", "volumetrie_appels_par_minute": "200", "contact_technique_type": "organization",
		"france_connect_authorization_id": "54410",
	}
	if diff := cmp.Diff(typed, d.Typed(data)); diff != "" {
		t.Errorf("typed (-want +got):\n%s", diff)
	}
	raw := map[string]string{}
	for key, value := range data {
		if key != "maquette_projet" {
			raw[key] = value
		}
	}
	if diff := cmp.Diff(raw, d.Raw(data)); diff != "" {
		t.Errorf("raw (-want +got):\n%s", diff)
	}
}

func TestAClassWithoutScopesOrModalitiesSendsNone(t *testing.T) {
	t.Parallel()
	d := standard(func(d *hab.Definition) { d.Rules.Scopes = hab.ScopesFixed })
	typed := d.Typed(hab.Data{"intitule": "x"})
	for _, key := range []string{"scopes", "modalities"} {
		if _, ok := typed[key]; ok {
			t.Errorf("%s is sent", key)
		}
	}
}

func TestPartnersDataIsReadInEitherShape(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		object string
		want   hab.Data
		fails  bool
	}{
		"typed": {
			`{"scopes":["b","a"],"n":36,"ok":true,"non":false,"texte":"x","vide":"","rien":null}`,
			hab.Data{"scopes": `["a", "b"]`, "n": "36", "ok": "1", "non": "0", "texte": "x", "vide": ""},
			false,
		},
		"raw":                         {`{"scopes":"[\"b\", \"a\"]","n":"36","ok":"on"}`, hab.Data{"scopes": `["a", "b"]`, "n": "36", "ok": "on"}, false},
		"a list never set":            {`{"scopes":"","modalities":[]}`, hab.Data{"scopes": "[]", "modalities": "[]"}, false},
		"a list of one as plain text": {`{"scopes":"a"}`, hab.Data{"scopes": `["a"]`}, false},
		"text is kept as it came":     {`{"intitule":" <b>x</b> "}`, hab.Data{"intitule": " <b>x</b> "}, false},
		"nothing":                     {`{}`, hab.Data{}, false},
		"null":                        {`null`, hab.Data{}, false},
		"an object in the object":     {`{"a":{"b":1}}`, nil, true},
		"a list of numbers":           {`{"scopes":[1]}`, nil, true},
		"an array":                    {`[]`, nil, true},
		"not JSON":                    {`{`, nil, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := hab.DecodeData([]byte(test.object))
			if (err != nil) != test.fails {
				t.Fatalf("error %v", err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("data (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatAClientSendsIsCheckedForItsType(t *testing.T) {
	t.Parallel()
	const months = "duree_conservation_donnees_caractere_personnel"
	tests := map[string]struct {
		object  string
		want    hab.Data
		unknown []string
		faults  []string
	}{
		"every key that does not exist": {`{"b":1,"intitule":"x","a":2,"contact_technique_type":"person"}`, hab.Data{"intitule": "x"}, []string{"a", "b", "contact_technique_type"}, nil},
		"the wizard's step is accepted": {`{"current_build_step":"legal"}`, hab.Data{}, nil, nil},
		"text":                          {`{"intitule":"Projet","description":null}`, hab.Data{"intitule": "Projet", "description": ""}, nil, nil},
		"a number for a text":           {`{"intitule":42}`, hab.Data{}, nil, []string{"intitule"}},
		"a list for a text":             {`{"intitule":["x"]}`, hab.Data{}, nil, []string{"intitule"}},
		"a list":                        {`{"scopes":["b","a","b",""]}`, hab.Data{"scopes": `["a", "b"]`}, nil, nil},
		"a list as text":                {`{"scopes":"[\"b\", \"a\"]"}`, hab.Data{"scopes": `["a", "b"]`}, nil, nil},
		"a text that holds no list":     {`{"scopes":"a"}`, hab.Data{}, nil, []string{"scopes"}},
		"a list of numbers":             {`{"scopes":[1]}`, hab.Data{}, nil, []string{"scopes"}},
		"a number for a list":           {`{"scopes":1}`, hab.Data{}, nil, []string{"scopes"}},
		"months":                        {`{"` + months + `":36}`, hab.Data{months: "36"}, nil, nil},
		"months as text":                {`{"` + months + `":" 036 "}`, hab.Data{months: "36"}, nil, nil},
		"half a month":                  {`{"` + months + `":1.5}`, hab.Data{}, nil, []string{months}},
		"negative months":               {`{"` + months + `":-1}`, hab.Data{}, nil, []string{months}},
		"months in words":               {`{"` + months + `":"trois"}`, hab.Data{}, nil, []string{months}},
		"months without end":            {`{"` + months + `":999999999999999999999}`, hab.Data{}, nil, []string{months}},
		"a checkbox":                    {`{"dpd_homologation_checkbox":true,"fc_alternative_connexion":"0","operational_acceptance_done":"on"}`, hab.Data{"dpd_homologation_checkbox": "1", "fc_alternative_connexion": "0", "operational_acceptance_done": "1"}, nil, nil},
		"a word for a checkbox":         {`{"dpd_homologation_checkbox":"oui","operational_acceptance_done":1}`, hab.Data{}, nil, []string{"dpd_homologation_checkbox", "operational_acceptance_done"}},
		"a document":                    {`{"maquette_projet":["1.pdf","2.pdf"],"attestation_fiscale":"a.pdf"}`, hab.Data{"maquette_projet": "1.pdf, 2.pdf", "attestation_fiscale": "a.pdf"}, nil, nil},
		"a number for a document":       {`{"maquette_projet":1}`, hab.Data{}, nil, []string{"maquette_projet"}},
		"an object for a text":          {`{"intitule":{}}`, hab.Data{}, nil, []string{"intitule"}},
	}
	d := varied()
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, unknown, faults, err := d.ReadAnswers([]byte(test.object))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("answers (-want +got):\n%s", diff)
			}
			if !slices.Equal(unknown, test.unknown) {
				t.Errorf("unknown %q, want %q", unknown, test.unknown)
			}
			wantKeys(t, faults, test.faults...)
		})
	}
	if _, _, _, err := d.ReadAnswers([]byte(`"x"`)); !errors.Is(err, hab.ErrNotAnObject) {
		t.Errorf("text for data: %v", err)
	}
}

func TestAcceptedKeysAreTheClassesOwn(t *testing.T) {
	t.Parallel()
	keys := standard(nil).AcceptedKeys()
	for key, want := range map[string]bool{
		"intitule": true, "scopes": true, "modalities": false, "maquette_projet": true, "cadre_juridique_document": true,
		"contact_technique_email": true, "contact_technique_type": false, "contact_metier_email": false, "current_build_step": true,
		"duree_conservation_donnees_caractere_personnel_justification": true, "terms_of_service_accepted": false,
	} {
		if slices.Contains(keys, key) != want {
			t.Errorf("%s: want %v", key, want)
		}
	}
}

func TestAnswersAreLaidOverData(t *testing.T) {
	t.Parallel()
	d := standard(nil)
	old := hab.Data{"intitule": "Ancien", "description": "Texte", "scopes": `["a"]`}
	got := d.Merge(&hab.Form{}, old, hab.Data{"intitule": " <i>Nouveau</i> ", "description": "", "contact_technique_email": " Jeanne@Ville.Example "})
	want := hab.Data{"intitule": "Nouveau", "scopes": `["a"]`, "contact_technique_email": "jeanne@ville.example"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("merged (-want +got):\n%s", diff)
	}
	if old["intitule"] != "Ancien" {
		t.Error("the old data was changed")
	}
}

func TestTextIsCleaned(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"  x\n":                            "x",
		"a < b > c":                        "a < b > c",
		"<p>Un</p><br />deux":              "Undeux",
		"<scr<b>ipt>alert(1)</scr</b>ipt>": "alert(1)",
		"<<b>b>x":                          "x",
		"<b":                               "<b",
		"5 <6> 7":                          "5 <6> 7",
		"<!-- caché -->vu":                 "vu",
		"<?php x ?>vu":                     "vu",
		"a\x00b":                           "ab",
		"caf\xe9":                          "caf",
		"\ufeff\u200b ":                    "",
		"<a title='>'>x":                   "'>x",
	} {
		got := standard(nil).Normalise(&hab.Form{}, hab.Data{"intitule": text})["intitule"]
		if got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	deep := strings.Repeat("<", 200_000) + strings.Repeat("b>", 200_000)
	if got := standard(nil).Normalise(&hab.Form{}, hab.Data{"intitule": deep})["intitule"]; got != "" {
		t.Errorf("nested tags are left: %d bytes", len(got))
	}
}

// anyAnswer is text, often of the kinds that cleaning acts on.
func anyAnswer() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.String(),
		rapid.SampledFrom([]string{
			"", " ", "<b>x</b>", "<<b>b>", "<K>", "a", "1", "0", "on", "true", "36", "12 mois", `["b", "a"]`, `[" a ", "", "a"]`, "[", "editor",
			`["france_connect"]`, `["params"]`, "É\u0130", "\x00", "\xff",
		}),
		rapid.StringOf(rapid.SampledFrom([]rune("<>/!? ab\"[],\\\u212a\u2028"))),
	)
}

func anyData(d *hab.Definition) *rapid.Generator[hab.Data] {
	var keys []string
	for _, f := range d.Fields() {
		keys = append(keys, f.Key)
	}
	return rapid.Custom(func(t *rapid.T) hab.Data {
		return rapid.MapOf(rapid.SampledFrom(append(keys, "d_une_autre_classe")), anyAnswer()).Draw(t, "data")
	})
}

func TestNormalisingTwiceChangesNothing(t *testing.T) {
	t.Parallel()
	d := varied()
	rapid.Check(t, func(t *rapid.T) {
		form := &hab.Form{FranceConnectCertified: rapid.Bool().Draw(t, "certified")}
		once := d.Normalise(form, anyData(d).Draw(t, "data"))
		if diff := cmp.Diff(once, d.Normalise(form, once)); diff != "" {
			t.Fatalf("a second pass changes (-once +twice):\n%s", diff)
		}
	})
}

func TestDataSurvivesBothShapes(t *testing.T) {
	t.Parallel()
	d := varied()
	documents := []string{}
	for _, f := range d.Fields() {
		if f.Kind == hab.DocumentField {
			documents = append(documents, f.Key)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		form := &hab.Form{FranceConnectCertified: rapid.Bool().Draw(t, "certified")}
		data := d.Normalise(form, anyData(d).Draw(t, "data"))
		for _, key := range append(documents, "d_une_autre_classe") {
			delete(data, key)
		}
		// What a type check would have refused does not survive.
		for _, f := range d.Fields() {
			value, held := data[f.Key]
			if held && (f.Kind == hab.CheckboxField && value != "0" && value != "1" || f.Kind == hab.MonthsField && value != "36") {
				delete(data, f.Key)
			}
		}
		for name, shape := range map[string]any{"typed": d.Typed(data), "raw": d.Raw(data)} {
			text, err := json.Marshal(shape)
			if err != nil {
				t.Fatal(err)
			}
			back, err := hab.DecodeData(text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(data, back); diff != "" {
				t.Fatalf("%s (-want +got):\n%s", name, diff)
			}
		}
	})
}

// FuzzDecodeData: no partner's data makes the reader panic, and what it reads
// it writes in a shape that it reads again, the same.
func FuzzDecodeData(f *testing.F) {
	f.Add([]byte(`{"scopes":["a"],"n":36,"ok":true,"x":null,"modalities":"[\"params\"]"}`))
	f.Add([]byte(`{"scopes":"[","manual_code_insee_communes":[null,"75056"],"a":-1e9}`))
	f.Add([]byte(`[{}]`))
	d := varied()
	f.Fuzz(func(t *testing.T, object []byte) {
		if len(object) > 1<<16 {
			t.Skip("callers bound the body")
		}
		data, err := hab.DecodeData(object)
		if err == nil {
			text, err := json.Marshal(data)
			if err != nil {
				t.Fatal(err)
			}
			again, err := hab.DecodeData(text)
			if err != nil || !cmp.Equal(data, again) {
				t.Fatalf("read again: %v\n%s", err, cmp.Diff(data, again))
			}
		}
		answers, _, _, err := d.ReadAnswers(object)
		if err != nil {
			return
		}
		form := &hab.Form{}
		merged := d.Merge(form, nil, answers)
		if again := d.Normalise(form, merged); !cmp.Equal(merged, again) {
			t.Fatalf("not normalised: %s", cmp.Diff(merged, again))
		}
		d.CheckSubmission(form, hab.Submission{Data: merged}, hab.Facts{})
	})
}

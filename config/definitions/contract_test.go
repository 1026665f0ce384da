package definitions

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/passerelle-hub/passerelle/internal/habilitation"
)

// The sample bodies of DataPass's webhooks are real answers to the embedded
// definitions: they are read, found complete, and written back the same.
func TestTheContractsSamplesAreCompleteRequests(t *testing.T) {
	t.Parallel()
	set := mustLoad(t, Catalogue(), Options{})
	for _, name := range []string{
		"webhook-submit.json", "webhook-approve.json", "webhook-revoke.json",
		"webhook-approve-formulaire-qf.json", "webhook-approve-formulaire-qf-no-editor.json",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var body struct {
				Data struct {
					Type           string
					FormUID        string `json:"form_uid"`
					Data           json.RawMessage
					Authorizations []struct {
						Data  json.RawMessage
						Class string `json:"authorization_request_class"`
					}
				}
			}
			readContract(t, "datapass/"+name, &body)
			form, ok := set.Form(body.Data.FormUID)
			if !ok || form.Class != body.Data.Type {
				t.Fatalf("form %q of %q: %+v", body.Data.FormUID, body.Data.Type, form)
			}
			definition, _ := set.Definition(form.Definition)
			data, err := habilitation.DecodeData(body.Data.Data)
			if err != nil {
				t.Fatal(err)
			}
			s := habilitation.Submission{Data: definition.Normalise(form, data), TermsAccepted: true, DPOInformed: true}
			s.Data["cadre_juridique_document"] = "deliberation.pdf" // documents are not in a body
			for _, fault := range definition.CheckSubmission(form, s, habilitation.Facts{Today: "2026-08-06"}) {
				t.Errorf("%s: %s", fault.Key, fault.Message)
			}
			sameJSON(t, body.Data.Data, definition.Typed(data))

			for _, a := range body.Data.Authorizations {
				d, ok := set.DefinitionOfClass(a.Class)
				if !ok {
					t.Fatalf("class %s", a.Class)
				}
				stored, err := habilitation.DecodeData(a.Data)
				if err != nil {
					t.Fatal(err)
				}
				sameJSON(t, withoutNulls(t, a.Data), d.Raw(stored))
			}
		})
	}
}

func sameJSON(t *testing.T, want json.RawMessage, got any) {
	t.Helper()
	text, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	var a, b any
	if json.Unmarshal(want, &a) != nil || json.Unmarshal(text, &b) != nil {
		t.Fatal("not JSON")
	}
	if diff := cmp.Diff(a, b); diff != "" {
		t.Errorf("form data (-want +got):\n%s", diff)
	}
}

func withoutNulls(t *testing.T, object json.RawMessage) json.RawMessage {
	t.Helper()
	var values map[string]any
	if err := json.Unmarshal(object, &values); err != nil {
		t.Fatal(err)
	}
	for key, value := range values {
		if value == nil {
			delete(values, key)
		}
	}
	text, err := json.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// The complete body of datapass.md, 2.4, for DILA.
func TestTheContractsDILARequestIsComplete(t *testing.T) {
	t.Parallel()
	set := mustLoad(t, Catalogue(), Options{})
	d, _ := set.Definition("hubee_dila")
	form, _ := set.DefaultForm("hubee_dila")
	data := habilitation.Data{
		"scopes":                             `["depot_dossier_pacs", "etat_civil"]`,
		"administrateur_metier_email":        "etat-civil@valbrise-sur-ormes.example",
		"administrateur_metier_job_title":    "Officier d'état civil",
		"administrateur_metier_given_name":   "Lise",
		"administrateur_metier_family_name":  "Armand",
		"administrateur_metier_phone_number": "0465710020",
	}
	s := habilitation.Submission{Data: d.Normalise(form, data), TermsAccepted: true}
	if faults := d.CheckSubmission(form, s, habilitation.Facts{}); len(faults) > 0 {
		t.Error(faults)
	}
	s.Data["administrateur_metier_phone_number"] = "+4930123456"
	taken := habilitation.Facts{Siblings: []habilitation.Sibling{{State: habilitation.Refused, Scopes: []string{"etat_civil"}}}}
	faults := d.CheckSubmission(form, s, taken)
	if len(faults) != 2 || faults[0].Key != "administrateur_metier_phone_number" || faults[1].Key != "scopes" {
		t.Error(faults)
	}
}

package store

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestStoredDocumentsAreReadAsTheStandardLibraryReadsThem(t *testing.T) {
	t.Parallel()
	for _, document := range []string{
		`[]`, `null`, `[{}]`,
		`[{"id": 12, "external_id": null, "definition": "api", "state": "active", "parent_id": null, "data": {"intitulé": "l'\"accord\" é\u2028\ud83d\ude00 <b>", "vide": "", "\u00e9": "\\\n"},
		   "organization": {"ID": 3, "SIRET": "21690387200018", "Name": "Ville", "INSEEPayload": "eyJhIjogMX0="},
		   "applicant": {"ID": 9007199254740993, "Email": "claire@essai.example"}, "message": "", "created_at": "2026-03-24T11:05:18.123456+01:00", "unknown": {"x": []}}]`,
	} {
		var want, got []grantedRow
		if err := json.Unmarshal([]byte(document), &want); err != nil {
			t.Fatal(err)
		}
		if err := readStored([]byte(document), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s\n%s", document, diff)
		}
	}
	var rows []grantedRow
	for _, broken := range []string{``, `[`, `{"id": 1}`, `[{"id": "x"}]`, `[{"created_at": "hier"}]`} {
		if err := readStored([]byte(broken), &rows); err == nil {
			t.Errorf("%q was read", broken)
		}
	}
}

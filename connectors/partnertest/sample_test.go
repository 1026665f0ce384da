package partnertest_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

func writeSample(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sample.json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestReplayNamesEveryDifference(t *testing.T) {
	t.Parallel()
	b := start(t, partnertest.Options{})
	for _, tt := range []struct {
		name, response string
		want           []string
	}{
		{"the same", `{"status":200,"headers":{"Content-Type":"application/json; charset=utf-8"},"body":{"name":"Valfleury","id":"42"}}`, nil},
		{"another status and header", `{"status":201,"headers":{"Location":"/things/42"},"body":{"id":"42","name":"Valfleury"}}`, []string{
			`header Location: want "/things/42", got ""`, "status: want 201, got 200",
		}},
		{"a key more, a key less, another value", `{"status":200,"body":{"id":42,"siret":[1,{"a":null}]}}`, []string{
			`body.id: want 42, got "42"`, `body.name: not in the sample, got "Valfleury"`, `body.siret: want [1,{"a":null}], absent`,
		}},
		{"another type", `{"status":200,"body":["id"]}`, []string{`body: want ["id"], got {"id":"42","name":"Valfleury"}`}},
		{"raw text", `{"status":200,"body":"plain"}`, []string{`body: want "plain", got "{\"id\":\"42\",\"name\":\"Valfleury\"}"`}},
		{"no body", `{"status":200}`, []string{`body: want none, got "{\"id\":\"42\",\"name\":\"Valfleury\"}"`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sample, err := partnertest.LoadSample(writeSample(t, `{"exchanges":[{"side":"admin","request":{"method":"PUT","path":"/things/42",
				"query":{"a":["1","2"],"b":3},"headers":{"Authorization":"Bearer <t>"},"body":{"x":1}},"response":`+tt.response+`}]}`))
			if err != nil {
				t.Fatal(err)
			}
			got, err := sample.Exchanges[0].Replay(t.Context(), b.URL, map[string][]string{"Authorization": {"Bearer real"}})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("differences (-want +got):\n%s", diff)
			}
			if call := b.Calls("")[0]; call.Query != "a=1&a=2&b=3" {
				t.Errorf("query %q", call.Query)
			}
		})
	}
}

func TestLoadSampleRefusesKeysASampleCannotHave(t *testing.T) {
	t.Parallel()
	if s, err := partnertest.LoadSample(writeSample(t, `{"exchanges":[],"extra":1}`)); err == nil {
		t.Errorf("got %+v", s)
	}
}

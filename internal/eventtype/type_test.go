package eventtype_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/passerelle-hub/passerelle/internal/eventtype"
	"github.com/passerelle-hub/passerelle/internal/eventtype/eventtypetest"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
)

func TestEveryTypeHasASchemaThatItsExampleMeetsInBothFormats(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, typ := range eventtype.List() {
		if seen[typ.Name] {
			t.Errorf("%s is listed twice", typ.Name)
		}
		seen[typ.Name] = true
		if typ.Title == "" || typ.Description == "" {
			t.Errorf("%s has no words for people", typ.Name)
		}
		for _, f := range []eventtype.Format{eventtype.Standard, eventtype.DataPassFormat} {
			if err := eventtypetest.Check(typ, f, typ.Example(f)); err != nil {
				t.Errorf("the example of %s in %s: %v", typ.Name, f, err)
			}
		}
	}
}

func TestTheCatalogueHoldsAllOfDataPasssEvents(t *testing.T) {
	t.Parallel()
	for _, name := range habilitation.WebhookEvents() {
		if typ, ok := eventtype.Lookup(string(name)); !ok || !typ.DataPass || !eventtype.Subscribable(string(name)) {
			t.Errorf("%s: listed %t, %+v", name, ok, typ)
		}
	}
	if eventtype.Subscribable("nothing") || eventtype.Subscribable(eventtype.Test) || eventtype.Subscribable("") || !eventtype.Subscribable(eventtype.All) {
		t.Error("what may be chosen is not what the catalogue says")
	}
}

func TestASchemaRefusesWhatIsNotItsEvent(t *testing.T) {
	t.Parallel()
	issued, _ := eventtype.Lookup("token.issued")
	example := string(issued.Example(eventtype.Standard))
	for name, body := range map[string]string{
		"another type":        strings.Replace(example, "token.issued", "token.revoked", 1),
		"a key that is amiss": strings.Replace(example, `"token_id"`, `"tokenid"`, 1),
		"a key too many":      strings.Replace(example, `"token_id"`, `"email": "a@b.example", "token_id"`, 1),
		"a number for a text": strings.Replace(example, `"21380999900013"`, `21380999900013`, 1),
		"no uuid":             strings.Replace(example, "0197a3c5-", "xxxxxxxx-", 1),
		"no object":           `[]`,
	} {
		if eventtypetest.Check(issued, eventtype.Standard, []byte(body)) == nil {
			t.Errorf("%s is let through", name)
		}
	}
}

// The contract's own samples are read by the schema of DataPass's format.
func TestTheContractsSamplesMeetTheSchemaOfDataPassFormat(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../registry/testdata/webhook-*.json")
	if err != nil || len(files) < 3 {
		t.Fatalf("%d samples: %v", len(files), err)
	}
	for _, path := range files {
		body, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name, _, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), "webhook-"), ".json"), "-")
		typ, ok := eventtype.Lookup(name)
		if name == "test" {
			typ, ok = eventtype.Lookup(eventtype.Test)
		}
		if !ok {
			t.Fatalf("%s: no type %s", path, name)
		}
		if err := eventtypetest.Check(typ, eventtype.DataPassFormat, bytes.TrimSpace(body)); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

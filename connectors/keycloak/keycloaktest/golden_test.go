package keycloaktest_test

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/passerelle-hub/passerelle/connectors/keycloak/keycloaktest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

var arrangements = map[string]struct {
	opts    keycloaktest.Options
	arrange func(*bundle)
	before  map[int]func(*bundle) // before the exchange of that index
	after   func(*bundle)
}{
	"keycloak-client-create": {opts: keycloaktest.Options{NewID: func() string { return sampleID }}},
	"keycloak-rotation-lost-on-put": {
		opts: keycloaktest.Options{
			Rotation:  &keycloaktest.RotationPolicy{},
			NewSecret: func() string { return "exampleNewSecret000000000000000" },
		},
		arrange: (*bundle).create,
		before:  map[int]func(*bundle){2: func(b *bundle) { b.opens(oldSecret, true) }},
		after:   func(b *bundle) { b.opens(oldSecret, false) },
	},
}

// beyondSamples: the sample's representation is shortened, and its Location
// leaves out the host.
var beyondSamples = regexp.MustCompile(`^(body\[0\]\.\w+: not in the sample` +
	`|body\[0\]\.attributes\.client\.secret\.creation\.time: not in the sample` +
	`|header Location: want "/admin/realms/agents/clients/` + sampleID + `", got "http://127\.0\.0\.1:\d+/admin/realms/agents/clients/` + sampleID + `")`)

func TestSamplesOfTheContract(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/keycloak-*.json")
	if err != nil || len(files) != len(arrangements) {
		t.Fatalf("%d samples for %d arrangements, %v", len(files), len(arrangements), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		arrangement, ok := arrangements[name]
		if !ok {
			t.Errorf("%s has no arrangement", file)
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sample, err := partnertest.LoadSample(file)
			if err != nil {
				t.Fatal(err)
			}
			b := start(t, arrangement.opts)
			if arrangement.arrange != nil {
				arrangement.arrange(b)
			}
			for i, exchange := range sample.Exchanges {
				if before := arrangement.before[i]; before != nil {
					before(b)
				}
				header := http.Header{"Authorization": {"Bearer " + b.token}}
				differences, err := exchange.Replay(t.Context(), b.URL(), header)
				if err != nil {
					t.Fatal(err)
				}
				for _, difference := range differences {
					if !beyondSamples.MatchString(difference) {
						t.Errorf("exchange %d: %s", i, difference)
					}
				}
			}
			if arrangement.after != nil {
				arrangement.after(b)
			}
			if leaks := b.Leaks(); len(leaks) != 0 {
				t.Errorf("leaks: %+v", leaks)
			}
		})
	}
}

// The copies in testdata are those of the contract, where it is at hand.
func TestTestdataIsTheContracts(t *testing.T) {
	t.Parallel()
	const contract = "../../../../shared/contracts/api-managers"
	files, err := filepath.Glob(filepath.Join(contract, "keycloak-*.json"))
	if err != nil || len(files) == 0 {
		t.Skip("the contract's samples are not beside this checkout")
	}
	for _, file := range files {
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join("testdata", filepath.Base(file)))
		if err != nil || string(got) != string(want) {
			t.Errorf("%s differs from the contract's (%v)", filepath.Base(file), err)
		}
	}
}

package graviteetest_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/gravitee/graviteetest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

// Ids of the samples.
const (
	sampleApp  = "5a7d1c90-2222-4333-8444-555566667777"
	sampleSub  = "c1a2b3d4-3333-4444-8555-666677778888"
	sampleKey1 = "00000000-0000-4000-8000-000000000011"
	sampleKey2 = "00000000-0000-4000-8000-000000000012"
)

func sampleApplication(b *bundle, hrid string) {
	b.t.Helper()
	_, err := b.AddApplication(graviteetest.Application{
		ID: sampleApp, HRID: hrid, Name: "Commune de Valfleury - restauration scolaire", Description: "DataPass 9001",
		Type: "BACKEND_TO_BACKEND", ClientID: "dp-9001", APIKeyMode: "EXCLUSIVE",
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

func sampleSubscription(b *bundle) {
	b.t.Helper()
	sampleApplication(b, "")
	b.call("POST", subs, object{
		"applicationId": sampleApp, "planId": graviteetest.DemoPlan, "customApiKey": oldKey,
	}).Want(201)
}

var arrangements = map[string]struct {
	opts    graviteetest.Options
	ids     []string
	arrange func(*bundle)
	before  map[int]func(*bundle) // before the exchange of that index
	leaks   int
}{
	"gravitee-application-create":     {ids: []string{sampleApp}},
	"gravitee-application-exists":     {arrange: func(b *bundle) { sampleApplication(b, "") }},
	"gravitee-subscription-create":    {ids: []string{sampleSub, sampleKey1}, arrange: func(b *bundle) { sampleApplication(b, "") }},
	"gravitee-subscription-duplicate": {ids: []string{sampleSub, sampleKey1}, arrange: sampleSubscription},
	"gravitee-custom-key-refused": {
		opts:    graviteetest.Options{CustomKeysRefused: true},
		arrange: func(b *bundle) { sampleApplication(b, "") },
		leaks:   1, // the second call carries it in the URL, to show the refusal
	},
	"gravitee-key-rotate": {
		ids: []string{sampleSub, sampleKey1, sampleKey2},
		arrange: func(b *bundle) {
			sampleSubscription(b)
			b.Clock().Freeze(time.Date(2026, 6, 1, 8, 0, 0, 0, time.UTC))
		},
		before: map[int]func(*bundle){2: func(b *bundle) { b.Advance(time.Second) }},
	},
	"gravitee-key-existing": {
		ids: []string{sampleSub, sampleKey1, sampleKey2},
		arrange: func(b *bundle) {
			sampleSubscription(b)
			b.call("POST", subs+"/"+sampleSub+"/api-keys/_renew", object{"customApiKey": newKey}).Want(200)
		},
	},
	"gravitee-key-revoke": {
		ids: []string{sampleKey1, sampleKey2},
		arrange: func(b *bundle) {
			sampleApplication(b, "")
			b.call("PUT", automation+"/apis/"+graviteetest.DemoAPI+
				"/subscriptions?hridContainsUUID=true&hridContainsApiUUID=true&hridContainsAppUUID=true", object{
				"hrid": sampleSub, "applicationHrid": sampleApp, "planHrid": graviteetest.DemoPlan,
				"apiKeys": []object{{"key": oldKey}, {"key": newKey}},
			}).Want(200)
			b.Clock().Freeze(time.Date(2026, 6, 8, 8, 0, 0, 0, time.UTC))
		},
	},
	"gravitee-automation-rotate": {
		ids: []string{sampleSub, sampleKey1, sampleKey2},
		arrange: func(b *bundle) {
			sampleApplication(b, "dp-9001")
			b.call("PUT", automation+"/apis/api-demo/subscriptions", object{
				"hrid": "dp-9001-restauration", "applicationHrid": "dp-9001", "planHrid": "api-key",
				"metadata": object{"hub_ref": "dp-9001"}, "apiKeys": []object{{"key": oldKey}},
			}).Want(200)
			b.Clock().Freeze(time.Date(2026, 6, 1, 8, 0, 0, 0, time.UTC))
		},
		before: map[int]func(*bundle){1: func(b *bundle) {
			b.lives(oldKey, true)
			b.lives(newKey, true)
		}},
	},
}

// beyondSamples are keys that 4.12 answers and the samples leave out.
var beyondSamples = regexp.MustCompile(`^body(\.data\[\d+\])?\.metadata: not in the sample`)

func TestSamplesOfTheContract(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/gravitee-*.json")
	if err != nil || len(files) != len(arrangements) {
		t.Fatalf("%d samples for %d arrangements, %v", len(files), len(arrangements), err)
	}
	for _, file := range files {
		name := filepath.Base(file[:len(file)-len(".json")])
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
			ids := slices.Clone(arrangement.ids)
			opts := arrangement.opts
			opts.NewID = func() string {
				if len(ids) == 0 {
					t.Error("an id more than the sample has")
					return "none"
				}
				id := ids[0]
				ids = ids[1:]
				return id
			}
			b := start(t, opts)
			if arrangement.arrange != nil {
				arrangement.arrange(b)
			}
			for i, exchange := range sample.Exchanges {
				if before := arrangement.before[i]; before != nil {
					before(b)
				}
				differences, err := exchange.Replay(t.Context(), b.ManagementURL(), b.bearer())
				if err != nil {
					t.Fatal(err)
				}
				for _, difference := range differences {
					if !beyondSamples.MatchString(difference) {
						t.Errorf("exchange %d: %s", i, difference)
					}
				}
			}
			if len(ids) != 0 {
				t.Errorf("ids not used: %v", ids)
			}
			if leaks := b.Leaks(); len(leaks) != arrangement.leaks {
				t.Errorf("leaks: %+v", leaks)
			}
		})
	}
}

// The copies in testdata are those of the contract, where it is at hand.
func TestTestdataIsTheContracts(t *testing.T) {
	t.Parallel()
	const contract = "../../../../shared/contracts/api-managers"
	files, err := filepath.Glob(filepath.Join(contract, "gravitee-*.json"))
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

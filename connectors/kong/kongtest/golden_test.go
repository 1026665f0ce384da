package kongtest_test

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/kong/kongtest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

// Ids of the samples.
const (
	sampleConsumer   = "00000000-0000-4000-8000-000000000021"
	sampleMembership = "00000000-0000-4000-8000-000000000022"
)

var arrangements = map[string]struct {
	ids     []string
	arrange func(*bundle)
	before  map[int]func(*bundle) // before the exchange of that index
	header  map[int]http.Header   // in the place of the sample's placeholders
}{
	"kong-consumer-upsert": {
		ids:    []string{sampleConsumer, sampleMembership},
		before: map[int]func(*bundle){1: func(b *bundle) { b.Advance(time.Second) }},
	},
	"kong-consumer-conflict": {
		// Kong draws an id before it looks for a conflict.
		ids:     []string{sampleConsumer, sampleMembership, "unused-1", "unused-2"},
		arrange: func(b *bundle) { b.consumer() },
	},
	"kong-key-rotate": {
		ids: []string{sampleConsumer, sampleMembership},
		arrange: func(b *bundle) {
			b.consumer()
			b.Advance(2 * time.Second)
			b.call("PUT", "/consumers/dp-9001/key-auth/"+oldID, object{"key": oldKey, "tags": []string{"dp-9001"}}).Want(200)
		},
		before: map[int]func(*bundle){2: func(b *bundle) {
			b.answers(oldKey, 200)
			b.answers(newKey, 200)
			b.Advance(604800 * time.Second)
			b.answers(newKey, 200)
		}},
		header: map[int]http.Header{3: {"Apikey": {oldKey}}},
	},
	"kong-delete-unknown": {
		ids:     []string{sampleConsumer, sampleMembership},
		arrange: func(b *bundle) { b.consumer() },
	},
	"kong-status-db-down": {arrange: func(b *bundle) { b.SetDatabaseReachable(false) }},
}

// counters of connections differ from the sample's; their names must not.
var counters = regexp.MustCompile(`^body\.server\.[a-z_]+: want \d+, got \d+$`)

func TestSamplesOfTheContract(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/kong-*.json")
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
			ids := slices.Clone(arrangement.ids)
			b := start(t, kongtest.Options{NewID: func() string {
				if len(ids) == 0 {
					t.Error("an id more than the sample has")
					return "none"
				}
				id := ids[0]
				ids = ids[1:]
				return id
			}})
			if arrangement.arrange != nil {
				arrangement.arrange(b)
			}
			for i, exchange := range sample.Exchanges {
				if before := arrangement.before[i]; before != nil {
					before(b)
				}
				base := b.AdminURL()
				switch {
				case exchange.Side == kongtest.SideProxy:
					base = b.ProxyURL()
				case strings.HasPrefix(exchange.Side, kongtest.SideStatus):
					base = b.StatusURL()
				}
				differences, err := exchange.Replay(t.Context(), base, arrangement.header[i])
				if err != nil {
					t.Fatal(err)
				}
				for _, difference := range differences {
					if !counters.MatchString(difference) {
						t.Errorf("exchange %d: %s", i, difference)
					}
				}
			}
			if len(ids) != 0 {
				t.Errorf("ids not used: %v", ids)
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
	files, err := filepath.Glob(filepath.Join(contract, "kong-*.json"))
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

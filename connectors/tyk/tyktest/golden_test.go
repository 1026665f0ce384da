package tyktest_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/connectors/tyk/tyktest"
)

func presented(value string) http.Header { return http.Header{"X-Api-Key": {value}} }

var arrangements = map[string]struct {
	arrange func(*bundle)
	before  map[int]func(*bundle) // before the exchange of that index
	header  map[int]http.Header   // in the place of the sample's placeholders
	// A custom key is a segment of the URL where it is made, and in raw form
	// wherever it is named: the samples show it.
	leaks int
}{
	"tyk-key-create-custom": {leaks: 2},
	"tyk-custom-key-404-trap": {
		arrange: func(b *bundle) { b.add() },
		before:  map[int]func(*bundle){5: func(b *bundle) { b.Advance(10 * time.Second) }},
		leaks:   1 + 1, // its creation, and the DELETE in raw form
	},
	"tyk-expiry": {
		arrange: func(b *bundle) {
			b.Clock().Freeze(time.Unix(1795302000, 0))
			b.add()
		},
		before: map[int]func(*bundle){3: func(b *bundle) { b.Advance(11 * time.Second) }},
		header: map[int]http.Header{1: presented(custom), 3: presented(custom)},
		leaks:  1 + 2,
	},
	"tyk-errors": {
		arrange: func(b *bundle) { b.add(with("is_inactive", true)) },
		header:  map[int]http.Header{4: presented(token)},
		leaks:   1,
	},
}

func TestSamplesOfTheContract(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/tyk-*.json")
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
			b := start(t, tyktest.Options{})
			if arrangement.arrange != nil {
				arrangement.arrange(b)
			}
			for i, exchange := range sample.Exchanges {
				if before := arrangement.before[i]; before != nil {
					before(b)
				}
				base, header := b.ControlURL(), http.Header{}
				if exchange.Side == tyktest.SideProxy {
					base = b.ProxyURL()
				}
				if exchange.Request.Headers["X-Tyk-Authorization"] != "" {
					header.Set("X-Tyk-Authorization", b.Secret())
				}
				for name, values := range arrangement.header[i] {
					header[name] = values
				}
				differences, err := exchange.Replay(t.Context(), base, header)
				if err != nil {
					t.Fatal(err)
				}
				for _, difference := range differences {
					t.Errorf("exchange %d: %s", i, difference)
				}
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
	files, err := filepath.Glob(filepath.Join(contract, "tyk-*.json"))
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

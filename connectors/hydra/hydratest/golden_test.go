package hydratest_test

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/hydra/hydratest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

var june = time.Date(2026, 6, 1, 8, 0, 0, 990943468, time.UTC)

func basic(id, secret string) http.Header {
	text := base64.StdEncoding.EncodeToString([]byte(id + ":" + secret))
	return http.Header{"Authorization": {"Basic " + text}}
}

var arrangements = map[string]struct {
	arrange func(*bundle)
	// In the place of the sample's placeholders.
	header map[int]http.Header
	token  bool // a live one for "<jwt issued before>"
}{
	"hydra-client-create": {},
	"hydra-secret-rotate": {
		arrange: func(b *bundle) {
			b.create()
			b.Clock().Freeze(june.Truncate(time.Second))
		},
		header: map[int]http.Header{1: basic("dp-9001", oldSecret)},
	},
	"hydra-put-resets": {arrange: func(b *bundle) {
		b.create()
		b.Clock().Freeze(june)
	}},
	"hydra-revoke-verify": {
		arrange: (*bundle).create,
		header:  map[int]http.Header{4: basic("dp-9001", oldSecret)},
		token:   true,
	},
}

// beyondSamples: keys that a running 2.3.0 shows and the samples leave out, what
// is drawn at random, and the instants between two reads of its clock.
var beyondSamples = regexp.MustCompile(`^body(\[\d+\])?\.(` +
	`(redirect_uris|policy_uri|allowed_cors_origins|tos_uri|client_uri|logo_uri|contacts|subject_type|` +
	`userinfo_signed_response_alg|skip_logout_consent|[a-z_]+_lifespan): not in the sample` +
	`|registration_access_token: want "ory_at_example", got "ory_at_[\w-]+\.[\w-]+"` +
	`|registration_client_uri: want "http://127.0.0.1:4444/oauth2/register/dp-9001", got "http://127.0.0.1:\d+/oauth2/register/dp-9001"` +
	`|updated_at: want "2026-06-01T08:00:00.991141Z", got "2026-06-01T08:00:00.990943Z")`)

func TestSamplesOfTheContract(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/hydra-*.json")
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
			b := start(t, hydratest.Options{})
			if arrangement.arrange != nil {
				arrangement.arrange(b)
			}
			var token string
			if arrangement.token {
				if token = b.token(oldSecret).Want(200).Str("access_token"); !b.active(token) {
					t.Fatal("the token is not active")
				}
			}
			for i, exchange := range sample.Exchanges {
				exchange.Request.Body = bytes.ReplaceAll(exchange.Request.Body, []byte("<jwt issued before>"), []byte(token))
				base := b.AdminURL()
				if exchange.Side == hydratest.SidePublic {
					base = b.PublicURL()
				}
				differences, err := exchange.Replay(t.Context(), base, arrangement.header[i])
				if err != nil {
					t.Fatal(err)
				}
				for _, difference := range differences {
					if !beyondSamples.MatchString(difference) {
						t.Errorf("exchange %d: %s", i, difference)
					}
				}
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
	files, err := filepath.Glob(filepath.Join(contract, "hydra-*.json"))
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

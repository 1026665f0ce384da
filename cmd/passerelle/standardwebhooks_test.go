package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/config"
	"github.com/passerelle-hub/passerelle/connectors/webhook"
	"github.com/passerelle-hub/passerelle/internal/pgtest"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// judged is what a published library is asked about.
type judged struct {
	name    string
	accepts bool

	Secret  string            `json:"secret"`
	Headers map[string]string `json:"headers"`
	Body    []byte            `json:"body"`
}

// altered gives the same with a change, which is to be refused.
func (j judged) altered(name string, change func(*judged)) judged {
	c := judged{name: j.name + ", " + name, Secret: j.Secret, Headers: map[string]string{}, Body: bytes.Clone(j.Body)}
	for key, value := range j.Headers {
		c.Headers[key] = value
	}
	change(&c)
	return c
}

// lanesDeliver gives what the hub's lanes deliver to an endpoint of each format,
// in the middle of a rotation: the secrets are the new one and the old one.
func lanesDeliver(t *testing.T, secrets ...webhook.Key) map[string]judged {
	t.Helper()
	got := make(chan judged, 4)
	var all sync.Mutex
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		all.Lock()
		defer all.Unlock()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		j := judged{name: strings.TrimPrefix(r.URL.Path, "/"), accepts: true, Headers: map[string]string{}, Body: body}
		for name := range r.Header {
			j.Headers[strings.ToLower(name)] = r.Header.Get(name)
		}
		got <- j
	}))
	t.Cleanup(receiver.Close)
	database := pgtest.URL(t, store.Migrate)
	c, err := config.Load("", []string{
		"PASSERELLE_DATABASE_URL=" + database, "PASSERELLE_EGRESS_ALLOW=127.0.0.0/8", "PASSERELLE_SEALING_KEYS_0_ID=test",
		"PASSERELLE_SEALING_KEYS_0_KEY=" + newSealingKey().Reveal(),
	})
	if err != nil {
		t.Fatal(err)
	}
	h, err := build(t.Context(), c, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	tell, stop := ourLanes.start(t, h)
	t.Cleanup(func() { stop(); h.close() })
	var sealed []store.EndpointSecret
	for _, key := range secrets {
		sealed = append(sealed, store.EndpointSecret{Value: key.Hex().Reveal(), NotAfter: time.Now().Add(time.Hour)})
	}
	sealed[0].NotAfter = time.Time{}
	for _, format := range []string{store.FormatStandard, store.FormatDataPass} {
		if err := h.registry.Record(t.Context(), &registry.AddEndpoint{Endpoint: store.NewEndpoint{
			Definition: "api_entreprise", URL: receiver.URL + "/" + format, Events: []string{"*"}, Format: format, Secrets: sealed, MaxInFlight: 1, Enabled: true,
		}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tell(t.Context(), registry.Happening{
		Type: "token.issued", Definition: "api_entreprise", Subject: "request/1", Data: map[string]any{"note": "<é> & \u2028"},
	}); err != nil {
		t.Fatal(err)
	}
	deliveries := map[string]judged{}
	for len(deliveries) < 2 {
		select {
		case j := <-got:
			deliveries[j.name] = j
		case <-time.After(time.Minute):
			t.Fatalf("%d deliveries of 2", len(deliveries))
		}
	}
	return deliveries
}

func TestThePublishedLibrariesOfStandardWebhooksAcceptOurDeliveries(t *testing.T) {
	t.Parallel()
	key, old, stranger := webhook.NewKey(), webhook.NewKey(), webhook.NewKey()
	var cases []judged
	for _, d := range lanesDeliver(t, key, old) {
		for name, k := range map[string]webhook.Key{"the new secret": key, "the old secret": old} {
			good := d
			good.name, good.Secret = d.name+" format, "+name, k.Whsec().Reveal()
			set := func(header, value string) func(*judged) { return func(j *judged) { j.Headers[header] = value } }
			cases = append(cases, good,
				good.altered("one byte of the body changed", func(j *judged) { j.Body[len(j.Body)-2]++ }),
				good.altered("a line break after the body", func(j *judged) { j.Body = append(j.Body, '\n') }),
				good.altered("another id", set("webhook-id", "0197a3c5-6a53-7b1e-9c84-5f0b1d2e3f40")),
				good.altered("another time", set("webhook-timestamp", "1782136022")),
				good.altered("a stranger's secret", func(j *judged) { j.Secret = stranger.Whsec().Reveal() }),
				good.altered("no signature", func(j *judged) { delete(j.Headers, "webhook-signature") }),
				good.altered("no signature of its version", func(j *judged) {
					j.Headers["webhook-signature"] = strings.ReplaceAll(j.Headers["webhook-signature"], "v1,", "v2,")
				}),
			)
		}
	}
	input, err := json.Marshal(cases)
	if err != nil {
		t.Fatal(err)
	}
	peers, err := filepath.Abs("../../.tools/peers")
	if err != nil {
		t.Fatal(err)
	}
	for name, library := range map[string]struct{ at, command string }{
		"npm": {"standardwebhooks", "node judge.js"},
		"Go":  {"standardwebhooks-go", "bin/standardwebhooks-go"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(peers, library.at)
			if _, err := os.Stat(filepath.Join(dir, "bin", "pinned")); err != nil {
				t.Skip("the library is not installed: make setup does it")
			}
			command := strings.Fields(library.command)
			cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
			cmd.Dir, cmd.Stdin = dir, bytes.NewReader(input)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v\n%s", err, stderr.String())
			}
			verdicts := strings.Split(strings.TrimSpace(string(out)), "\n")
			if len(verdicts) != len(cases) {
				t.Fatalf("%d verdicts on %d deliveries\n%s", len(verdicts), len(cases), out)
			}
			for i, c := range cases {
				if verdict := verdicts[i]; (verdict == "accepted") != c.accepts {
					t.Errorf("%s: %s", c.name, verdict)
				}
			}
		})
	}
}

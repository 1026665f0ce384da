package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/webhook"
	"github.com/passerelle-hub/passerelle/httpapi/docs"
)

// received is a delivery as a receiver gets it from the wire.
type received struct {
	Headers map[string]string `json:"entetes"`
	Body    []byte            `json:"corps"`
}

// delivered posts a signed message over HTTP, and gives what arrived.
func delivered(t *testing.T, m webhook.Message, keys ...webhook.Key) received {
	t.Helper()
	var got received
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got.Headers = map[string]string{}
		for name := range r.Header {
			got.Headers[strings.ToLower(name)] = r.Header.Get(name)
		}
		got.Body, _ = io.ReadAll(r.Body)
	}))
	defer server.Close()
	result := webhook.New(http.DefaultClient).Deliver(t.Context(), connectors.Delivery{URL: server.URL, Header: webhook.Headers(m, keys, nil), Body: m.Body})
	if result.Status != http.StatusOK {
		t.Fatalf("%+v", result)
	}
	return got
}

func (r received) with(change func(*received)) received {
	c := received{map[string]string{}, bytes.Clone(r.Body)}
	for name, value := range r.Headers {
		c.Headers[name] = value
	}
	change(&c)
	return c
}

func TestTheSamplesOfVerificationTakeGoodDeliveriesAndRefuseAlteredOnes(t *testing.T) {
	t.Parallel()
	key, next := webhook.NewKey(), webhook.NewKey()
	now := time.Now()
	body := []byte(`{"type":"token.issued","timestamp":"2026-03-24T11:05:18Z","data":{"intitulé":"<é> \u00e9"}}`)
	message := func(id string, at time.Time) webhook.Message {
		return webhook.Message{ID: id, At: at, Attempt: 1, Sequence: 4, Environment: "sandbox", Body: body}
	}
	good := delivered(t, message("m1", now), key)
	datapass := func(r *received) {
		for _, name := range []string{webhook.HeaderID, webhook.HeaderTimestamp, webhook.HeaderSignature} {
			delete(r.Headers, strings.ToLower(name))
		}
	}
	set := func(name, value string) func(*received) { return func(r *received) { r.Headers[name] = value } }
	cases := []struct {
		name string
		r    received
		want string
	}{
		{"a good one", good, "traité m1"},
		{"the same again", delivered(t, message("m1", now), key), "doublon m1"},
		{"during a rotation", delivered(t, message("m2", now), next, key), "traité m2"},
		{"one that an older clock signed", delivered(t, message("m3", now.Add(-time.Minute)), key), "traité m3"},
		{"DataPass's headers alone", good.with(datapass), "traité "},
		{"the same again, without an id", good.with(datapass), "doublon "},
		{"another secret", delivered(t, message("m4", now), next), "refus signature"},
		{"another secret, DataPass", delivered(t, message("m4", now), next).with(datapass), "refus signature"},
		{"a body changed by one byte", good.with(func(r *received) { r.Body[1]++ }), "refus signature"},
		{"a line break after the body", good.with(func(r *received) { r.Body = append(r.Body, '\n') }), "refus signature"},
		{"a body changed, DataPass", good.with(func(r *received) { datapass(r); r.Body = append(r.Body, ' ') }), "refus signature"},
		{"another id", good.with(set("webhook-id", "m9")), "refus signature"},
		{"no id", good.with(func(r *received) { delete(r.Headers, "webhook-id") }), "refus en-tête"},
		{"no time", good.with(func(r *received) { delete(r.Headers, "webhook-timestamp") }), "refus en-tête"},
		{"a time in words", good.with(set("webhook-timestamp", "hier")), "refus en-tête"},
		{"an old one", delivered(t, message("m5", now.Add(-10*time.Minute)), key), "refus horodatage"},
		{"one to come", delivered(t, message("m6", now.Add(10*time.Minute)), key), "refus horodatage"},
		{"an empty signature", good.with(set("webhook-signature", "")), "refus signature"},
		{"a signature in hexadecimal", good.with(set("webhook-signature", "v1,"+hex.EncodeToString(make([]byte, 32)))), "refus signature"},
		{"no signature at all", good.with(func(r *received) { datapass(r); delete(r.Headers, strings.ToLower(webhook.HeaderDataPass)) }), "refus signature"},
	}
	all, want := make([]received, len(cases)), make([]string, len(cases))
	for i, c := range cases {
		all[i], want[i] = c.r, c.name+": "+c.want
	}
	input, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	for sample, command := range map[string][]string{
		"verifier.go": {"go", "run"}, "verifier.rb": {"ruby"}, "verifier.py": {"python3"}, "verifier.js": {"node"}, "verifier.php": {"php"},
	} {
		t.Run(sample, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(command[0]); err != nil {
				t.Skipf("%s is not installed: make setup does it on Debian", command[0])
			}
			code, err := docs.Sample(sample)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), sample)
			if err := os.WriteFile(file, []byte(code.Text), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), command[0], append(command[1:], file)...)
			cmd.Env = append(os.Environ(), "WEBHOOK_SECRET="+key.Hex().Reveal(), "LC_ALL=C.UTF-8")
			cmd.Stdin = bytes.NewReader(input)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v\n%s", err, stderr.String())
			}
			got := strings.Split(strings.TrimSpace(string(out)), "\n")
			for i := range min(len(got), len(cases)) {
				if strings.HasSuffix(cases[i].want, " ") && strings.HasPrefix(got[i], cases[i].want) { // a hash of the body
					got[i] = cases[i].want
				}
				got[i] = cases[i].name + ": " + got[i]
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got)\n%s\n%s", diff, stderr.String())
			}
		})
	}
}

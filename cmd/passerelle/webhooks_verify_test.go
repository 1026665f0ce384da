package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/webhook"
)

func TestVerifySaysWhatIsWrongWithADelivery(t *testing.T) {
	t.Parallel()
	key, other := webhook.NewKey(), webhook.NewKey()
	body := []byte(`{"type":"token.issued","data":{"a":1}}`)
	now := time.Now()
	signed := webhook.Headers(webhook.Message{ID: "0199d3a1-4c00-7b3e-8f10-5a2c9d7e6b41", At: now, Body: body}, []webhook.Key{key}, nil)
	old := webhook.Headers(webhook.Message{ID: "0199d3a1-4c00-7b3e-8f10-5a2c9d7e6b41", At: now.Add(-time.Hour), Body: body}, []webhook.Key{key}, nil)
	only := func(headers map[string]string, keep ...string) map[string]string {
		kept := map[string]string{}
		for name, value := range headers {
			for _, k := range keep {
				if strings.EqualFold(name, k) {
					kept[name] = value
				}
			}
		}
		return kept
	}
	for name, c := range map[string]struct {
		headers map[string]string
		body    string
		secret  string
		args    []string
		status  int
		says    []string
	}{
		"both dialects are right":       {signed, string(body), key.Hex().Reveal(), nil, 0, []string{"valid, by secret 1"}},
		"the other form of the secret":  {signed, string(body), key.Whsec().Reveal(), nil, 0, []string{"valid"}},
		"the second of two secrets":     {signed, string(body), other.Hex().Reveal() + "\n" + key.Hex().Reveal(), nil, 0, []string{"by secret 2"}},
		"another secret":                {signed, string(body), other.Hex().Reveal(), nil, 1, []string{"another secret"}},
		"no secret":                     {signed, string(body), "", nil, 1, []string{"no secret"}},
		"a secret that is none":         {signed, string(body), "motdepasse", nil, 1, []string{"neither 64 hexadecimal characters nor whsec_"}},
		"a line break after the body":   {signed, string(body) + "\n", key.Hex().Reveal(), nil, 1, []string{"without the blanks around it"}},
		"a body that was written again": {signed, `{"type": "token.issued", "data": {"a": 1}}`, key.Hex().Reveal(), nil, 1, []string{"decoded and encoded again"}},
		"an old one":                    {old, string(body), key.Hex().Reveal(), nil, 1, []string{"more than 5m0s"}},
		"an old one, at its time":       {old, string(body), key.Hex().Reveal(), []string{"--at", now.Add(-time.Hour).Format(time.RFC3339)}, 0, []string{"valid"}},
		"a header is missing":           {only(signed, webhook.HeaderID, webhook.HeaderSignature), string(body), key.Hex().Reveal(), nil, 1, []string{"webhook-timestamp is missing"}},
		"no header":                     {map[string]string{"Content-Type": "application/json"}, string(body), key.Hex().Reveal(), nil, 1, []string{"neither"}},
		"DataPass alone":                {only(signed, webhook.HeaderDataPass), string(body), key.Hex().Reveal(), nil, 0, []string{"valid"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			var lines strings.Builder
			for n, v := range c.headers {
				lines.WriteString(n + ": " + v + "\r\n")
			}
			file := filepath.Join(dir, "headers")
			if err := os.WriteFile(file, []byte("POST /webhook HTTP/1.1\r\n"+lines.String()), 0o600); err != nil {
				t.Fatal(err)
			}
			secret := filepath.Join(dir, "secret")
			if err := os.WriteFile(secret, []byte(c.secret), 0o600); err != nil {
				t.Fatal(err)
			}
			var stdout, stderr bytes.Buffer
			status := run(t.Context(), environment{stdin: strings.NewReader(c.body), stdout: &stdout, stderr: &stderr},
				append([]string{"webhooks", "verify", "--headers", file, "--secret-file", secret}, c.args...))
			said := stdout.String() + stderr.String()
			if status != c.status {
				t.Errorf("status %d, want %d: %s", status, c.status, said)
			}
			for _, want := range c.says {
				if !strings.Contains(said, want) {
					t.Errorf("%q is not said: %s", want, said)
				}
			}
			for _, hidden := range []string{key.Hex().Reveal(), key.Whsec().Reveal(), other.Hex().Reveal(), "motdepasse"} {
				if strings.Contains(said, hidden) {
					t.Error("the secret is shown")
				}
			}
		})
	}
}

func TestVerifyReadsTheSecretFromTheEnvironment(t *testing.T) {
	t.Parallel()
	key, body := webhook.NewKey(), "{}"
	file := filepath.Join(t.TempDir(), "headers")
	signed := webhook.Headers(webhook.Message{ID: "m", At: time.Now(), Body: []byte(body)}, []webhook.Key{key}, nil)
	if err := os.WriteFile(file, []byte(webhook.HeaderDataPass+": "+signed[webhook.HeaderDataPass]), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	env := environment{vars: []string{secretVar + "=" + key.Whsec().Reveal()}, stdin: strings.NewReader(body), stdout: &out, stderr: &out}
	if status := run(t.Context(), env, []string{"webhooks", "verify", "--headers", file}); status != 0 {
		t.Errorf("%d %s", status, out.String())
	}
}

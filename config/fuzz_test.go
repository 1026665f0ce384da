package config

import (
	"errors"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/passerelle-hub/passerelle/connectors"
)

// FuzzLoad feeds any file and any environment: Load answers with settings that
// can be printed without their secrets, or with faults that each have a place.
func FuzzLoad(f *testing.F) {
	f.Add(Example(), "PASSERELLE_LOG_LEVEL=debug\nDATABASE_URL=postgres://a/b")
	f.Add([]byte("a: &a [*a]\n"), "PASSERELLE_OPS_USERS_0_NAME=a\nPASSERELLE_OPS_USERS_0_PASSWORD=correct-horse")
	f.Add([]byte("log: &l {level: info, <<: *l}\n"), "PASSERELLE_JOBS_WORKERS=a:1,b:2")
	f.Add([]byte("egress: {allow: &a [b, *a], ports: *a}\n"), "PASSERELLE_HTTP_TRUSTED_PROXIES=::/0")
	f.Add([]byte("? [a]\n: b\n--- \n"), "PASSERELLE_=")
	f.Add([]byte("connectors: [{name: a, type: b, config: {url: x, plans: {c: {id: d}}, extra: !!binary x}}]"), "")
	f.Add([]byte(partnerYAML), "PASSERELLE_DATAPASS_SOURCES_0_SECRETS_FILE=/dev/null")
	f.Fuzz(func(t *testing.T, file []byte, environ string) {
		c, err := load("passerelle.yml", file, strings.Split(environ, "\n"))
		if err != nil {
			placed(t, err)
			return
		}
		for i := range c.Connectors {
			if err := c.Connectors[i].Decode(&partnerConfig{}); err != nil {
				placed(t, err)
			}
		}
		out := printed(t, c)
		var read map[string]any
		if err := yaml.Unmarshal([]byte(out), &read); err != nil {
			t.Fatalf("what is printed is not YAML: %v\n%s", err, out)
		}
		shown := stripComments(out)
		eachSecret(c, func(key string, s connectors.Secret) {
			// Only a value that is nowhere else in the file can be told apart.
			if secret := s.Reveal(); len(secret) >= minSecret && strings.Count(string(file)+environ, secret) == 1 && strings.Contains(shown, secret) {
				t.Errorf("%s is shown", key)
			}
		})
	})
}

// placed checks that every fault has a place and a problem.
func placed(t *testing.T, err error) {
	t.Helper()
	var faults FaultsError
	if !errors.As(err, &faults) || len(faults) == 0 {
		t.Fatalf("not faults but %T: %v", err, err)
	}
	for _, f := range faults {
		if f.Place == "" || f.Problem == "" {
			t.Errorf("a fault without place or problem: %#v", f)
		}
	}
}

// stripComments keeps what is before " #" on each line.
func stripComments(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		b.WriteString(line + "\n")
	}
	return b.String()
}

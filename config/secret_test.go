package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/passerelle-hub/passerelle/connectors"
)

func printed(t *testing.T, c *Config) string {
	t.Helper()
	var out bytes.Buffer
	if err := c.Print(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// filled gives settings whose every list has an element and whose every secret
// is one of its own, with the secrets' keys.
func filled() (*Config, map[string]string) {
	c, secrets := Default(), map[string]string{}
	var walk func(v reflect.Value, key string)
	walk = func(v reflect.Value, key string) {
		switch {
		case v.Type() == secretType:
			secrets[key] = fmt.Sprintf("s3cret-%d", len(secrets))
			v.Set(reflect.ValueOf(connectors.NewSecret(secrets[key])))
		case v.Type() == nodeType, isText(v.Type()):
		case v.Kind() == reflect.Struct:
			for _, f := range fields(v) {
				walk(f.value, join(key, f.name))
			}
		case v.Kind() == reflect.Slice:
			if v.Len() == 0 {
				v.Set(reflect.Append(v, newElement(v.Type().Elem())))
			}
			for i := range v.Len() {
				walk(v.Index(i), index(key, i))
			}
		}
	}
	walk(reflect.ValueOf(c).Elem(), "")
	return c, secrets
}

func TestNoWayOfPrintingShowsASecret(t *testing.T) {
	c, secrets := filled()
	want := []string{
		"database.owner_url", "database.url", "datapass.sources[0].api.client_secret", "datapass.sources[0].secrets[0]",
		"egress.proxy.url", "franceconnect.client_key", "franceconnect.client_secrets[0]", "hubee.client_secret", "hubee.onboarding.client_secret", "mail.bounce_secret", "mail.smtp.password", "ops.metrics_token", "ops.users[0].password",
		"sealing.fingerprint_key", "sealing.keys[0].key", "sirene.key",
	}
	var keys []string
	eachSecret(c, func(key string, _ connectors.Secret) { keys = append(keys, key) })
	slices.Sort(keys)
	if !slices.Equal(keys, want) || len(secrets) != len(want) {
		t.Fatalf("the secrets of the settings are %q, want %q", keys, want)
	}
	asJSON, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	asYAML, err := yaml.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for way, text := range map[string]string{
		"Print": printed(t, c), "%v": fmt.Sprintf("%v", c), "%+v": fmt.Sprintf("%+v", *c), "%#v": fmt.Sprintf("%#v", *c),
		"JSON": string(asJSON), "YAML": string(asYAML),
	} {
		if strings.Contains(text, "s3cret-") {
			t.Errorf("%s shows a secret", way)
		}
		if !strings.Contains(text, connectors.Redacted) {
			t.Errorf("%s does not even show the mark of a secret: it was not printed", way)
		}
	}
}

func TestNoFaultQuotesASecret(t *testing.T) {
	_, secrets := filled()
	for key := range secrets {
		// The secret is wrong by itself: a text that no check takes for good.
		name := variableOf(key)
		_, err := load("", nil, []string{name + "=s3cret"})
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", name, err)
		}
		for _, bad := range []string{"$s3cret", "s3cret://:%zz@", "!!int s3cret", "[s3cret]", "{s3cret: s3cret, b: &s3cret c}", "*s3cret", "%s3cret", "'s3cret", "|s3cret", "!s3cret x"} {
			_, err := load("passerelle.yml", []byte(fileOf(key, bad)), nil)
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%s: %s: %v", key, bad, err)
			}
		}
	}
}

// variableOf gives the variable of a key: a.b[0].c is PASSERELLE_A_B_0_C.
func variableOf(key string) string {
	key = strings.TrimSuffix(key, "secrets[0]") + map[bool]string{true: "secrets"}[strings.HasSuffix(key, "secrets[0]")]
	return prefix + strings.ToUpper(strings.NewReplacer(".", "_", "[", "_", "]", "").Replace(key))
}

// fileOf writes a file that gives value to key.
func fileOf(key, value string) string {
	var b strings.Builder
	indent := ""
	for _, part := range strings.Split(key, ".") {
		name, list := strings.CutSuffix(part, "[0]")
		fmt.Fprintf(&b, "\n%s%s:", indent, name)
		indent += "  "
		if list {
			fmt.Fprintf(&b, "\n%s-", indent)
			indent += "  "
		}
	}
	return b.String() + " " + value + "\n"
}

package config

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/passerelle-hub/passerelle/connectors"
)

// partnerConfig is what a connector's own settings look like.
type partnerConfig struct {
	URL      string            `yaml:"url"`
	Token    connectors.Secret `yaml:"token"`
	Plans    map[string]plan   `yaml:"plans"`
	Retries  *int              `yaml:"retries"`
	Extra    any               `yaml:"extra"`
	Strict   bool              `yaml:"strict"`
	Hidden   string            `yaml:"-"`
	Shared   shared            `yaml:",inline"`
	internal string
}

type plan struct {
	ID   string            `yaml:"id"`
	Seal connectors.Secret `yaml:"seal"`
}

type shared struct {
	Timeout time.Duration `yaml:"timeout"`
	CAFile  string        `yaml:"ca_file" kind:"path"`
}

const partnerYAML = `
connectors:
  - name: m
    type: kong
    config:
      url: https://kong.exemple.fr
      token_file: token
      plans:
        api_particulier: {id: p-1, seal: s3cret-of-a-plan}
      retries: 0
      extra: [1, a]
      timeout: 3s
      ca_file: ca.pem
`

func TestAConnectorsOwnSettingsAreDecodedOverItsDefaults(t *testing.T) {
	dir := secretDir(t, map[string]string{"token": "s3cret-of-a-file\n"})
	c, err := load(filepath.Join(dir, "passerelle.yml"), []byte(partnerYAML), nil)
	if err != nil {
		t.Fatal(err)
	}
	two := 2
	got := partnerConfig{Strict: true, Retries: &two, internal: "kept"}
	if err := c.Connectors[0].Decode(&got); err != nil {
		t.Fatal(err)
	}
	zero := 0
	want := partnerConfig{
		URL: "https://kong.exemple.fr", Token: connectors.NewSecret("s3cret-of-a-file"),
		Plans: map[string]plan{"api_particulier": {"p-1", connectors.NewSecret("s3cret-of-a-plan")}}, Retries: &zero,
		Extra: []any{1, "a"}, Strict: true, Shared: shared{3 * time.Second, filepath.Join(dir, "ca.pem")}, internal: "kept",
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(partnerConfig{}, connectors.Secret{})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if two != 2 {
		t.Error("the default was written through its pointer")
	}
}

func TestPrintShowsAConnectorOnlyWhenItKnowsItsSecrets(t *testing.T) {
	dir := secretDir(t, map[string]string{"token": "s3cret-of-a-file\n"})
	c, err := load(filepath.Join(dir, "passerelle.yml"), []byte(partnerYAML), nil)
	if err != nil {
		t.Fatal(err)
	}
	before := printed(t, c)
	if strings.Contains(before, "s3cret") || strings.Contains(before, "kong.exemple.fr") {
		t.Errorf("what was not decoded is shown:\n%s", before)
	}
	if err := c.Connectors[0].Decode(&partnerConfig{}); err != nil {
		t.Fatal(err)
	}
	after := printed(t, c)
	if strings.Contains(after, "s3cret") {
		t.Errorf("a secret is shown:\n%s", after)
	}
	file := filepath.Join(dir, "passerelle.yml")
	for _, line := range []string{
		"      url: https://kong.exemple.fr # " + file + ":6\n",
		"      token: '[redacted]' # " + file + ":7, read from " + dir + "/token\n",
		"          seal: '[redacted]' # " + file + ":9\n",
		"      strict: false # default\n",
		"      extra: [1, a] # " + file + ":11\n",
	} {
		if !strings.Contains(after, line) {
			t.Errorf("no line %q in:\n%s", line, after)
		}
	}
}

func TestAConnectorsFaultsNameTheirKeyAndPlace(t *testing.T) {
	c := mustLoad(t, `
connectors:
  - name: m
    type: kong
    config:
      urll: https://kong.exemple.fr
      token: a
      token_file: b
      plans: {x: {id: [1]}}
      Hidden: x
      strict: "true"
`)
	err := c.Connectors[0].Decode(&partnerConfig{})
	want := `passerelle.yml:6: connectors[0].config.urll: unknown key: did you mean url?
passerelle.yml:8: connectors[0].config.token: both token and token_file are given: keep one
passerelle.yml:9: connectors[0].config.plans.x.id: expected a text, got a list of 1
passerelle.yml:10: connectors[0].config.Hidden: unknown key
passerelle.yml:11: connectors[0].config.strict: "true" is not true or false`
	var faults FaultsError
	if !errors.As(err, &faults) {
		t.Fatalf("got %v", err)
	}
	if diff := cmp.Diff(want, faults.Error()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestDecodeConnectorTakesANodeOfItsOwn(t *testing.T) {
	var document yaml.Node
	if err := yaml.Unmarshal([]byte("url: a\ntimeout: 1\n"), &document); err != nil {
		t.Fatal(err)
	}
	err := DecodeConnector(&document, &partnerConfig{})
	if want := `line 2: timeout: "1" is not a duration such as 45s, 5m or 2h`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	kept := partnerConfig{URL: "default"}
	if err := DecodeConnector(&yaml.Node{}, &kept); err != nil || kept.URL != "default" {
		t.Errorf("a connector without settings keeps its defaults: %v, %q", err, kept.URL)
	}
}

package kong_test

import (
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/kong"
)

const full = `
url: https://kong.example:8444
workspace: hub
token: admin-token
status_url: https://kong.example:8007
propagation: 10s
page_size: 50
timeouts: {total: 10s}
grants:
  api_particulier:
    groups: [particulier]
    scopes:
      cnaf_quotient_familial: [cnaf]
      cnaf_adresse: []
`

func decode(t *testing.T, text string) kong.Config {
	t.Helper()
	c := kong.Default()
	dec := yaml.NewDecoder(strings.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSettingsAreReadOverTheDefaults(t *testing.T) {
	c := decode(t, full)
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	if c.Propagation != 10*time.Second || c.Timeouts.Total != 10*time.Second || c.Token.Reveal() != "admin-token" ||
		c.Grants["api_particulier"].Scopes["cnaf_quotient_familial"][0] != "cnaf" {
		t.Errorf("%+v", c)
	}
	if d := decode(t, "url: https://kong.example:8444"); d.Propagation != 5*time.Second || d.PageSize != 100 {
		t.Errorf("defaults: %+v", d)
	}
}

func TestEveryFaultOfTheSettingsIsSaidAtOnce(t *testing.T) {
	for name, tt := range map[string]struct {
		spoil func(*kong.Config)
		want  []string
	}{
		"none":                   {func(*kong.Config) {}, nil},
		"no URL":                 {func(c *kong.Config) { c.URL = "" }, []string{"url: "}},
		"a password in the URL":  {func(c *kong.Config) { c.URL = "https://a:b@kong.example" }, []string{"url: "}},
		"a status URL with path": {func(c *kong.Config) { c.StatusURL = "kong:8007" }, []string{"status_url: "}},
		"a workspace of two":     {func(c *kong.Config) { c.Workspace = "a/b" }, []string{"workspace: "}},
		"no grants":              {func(c *kong.Config) { c.Grants = nil }, []string{"grants: missing"}},
		"several": {func(c *kong.Config) {
			c.Propagation, c.PageSize, c.MaxBody = -1, 5000, -1
			c.Grants = map[string]kong.Grant{"a": {}, "b": {Groups: []string{""}, Scopes: map[string][]string{"s": {""}}}}
		}, []string{"propagation: ", "page_size: ", "max_body: ", "grants.a: ", "grants.b.groups: ", "grants.b.scopes.s: "}},
	} {
		t.Run(name, func(t *testing.T) {
			c := decode(t, full)
			tt.spoil(&c)
			err := c.Validate()
			if (err == nil) != (tt.want == nil) {
				t.Fatal(err)
			}
			for _, part := range tt.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%v does not say %q", err, part)
				}
			}
			if err != nil {
				if _, err := c.Open(connectors.Deps{Name: "kong", Owner: owner, Now: time.Now}); err == nil {
					t.Error("opened all the same")
				}
			}
		})
	}
}

func TestAManagerIsNotOpenedWithoutWhatItNeeds(t *testing.T) {
	if _, err := decode(t, full).Open(connectors.Deps{Name: "kong", Owner: owner, Now: time.Now}); err == nil {
		t.Error("opened without a client")
	}
}

package hydra_test

import (
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/hydra"
)

const full = `
url: https://hydra.example:4445
public_url: https://hydra.example
strategy: opaque
token_lifetime: 10m
tls: {server_name: hydra}
grants:
  api_particulier:
    audience: [https://particulier.api.example.fr]
    base: [particulier]
    scopes: {cnaf_quotient_familial: [qf, cnaf]}
`

func decode(t *testing.T, text string) hydra.Config {
	t.Helper()
	c := hydra.Default()
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
	if c.Strategy != hydra.Opaque || c.TokenLifetime != 10*time.Minute || c.TLS.ServerName != "hydra" ||
		len(c.Grants["api_particulier"].Scopes["cnaf_quotient_familial"]) != 2 {
		t.Errorf("%+v", c)
	}
	if d := decode(t, "url: https://hydra.example:4445"); d.Strategy != hydra.JWT || d.TokenLifetime != time.Hour || d.PageSize != 100 {
		t.Errorf("defaults: %+v", d)
	}
}

func TestEveryFaultOfTheSettingsIsSaidAtOnce(t *testing.T) {
	for name, tt := range map[string]struct {
		spoil func(*hydra.Config)
		want  []string
	}{
		"none":                  {func(*hydra.Config) {}, nil},
		"no URL":                {func(c *hydra.Config) { c.URL = "" }, []string{"url: "}},
		"a password in the URL": {func(c *hydra.Config) { c.PublicURL = "https://a:b@hydra.example" }, []string{"public_url: "}},
		"no grants":             {func(c *hydra.Config) { c.Grants = nil }, []string{"grants: missing"}},
		"several": {func(c *hydra.Config) {
			c.Strategy, c.TokenLifetime, c.PageSize, c.MaxBody = "paseto", 0, 1000, -1
			c.Grants = map[string]hydra.Grant{
				"a": {}, "b": {Base: []string{"two words"}}, "c": {Scopes: map[string][]string{"s": {}}},
				"d": {Scopes: map[string][]string{"s": {`quo"te`}}},
			}
		}, []string{
			"strategy: ", "token_lifetime: ", "page_size: ", "max_body: ", "grants.a: ", "grants.b.base: ", "grants.c.scopes.s: ", "grants.d.scopes.s: ",
		}},
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
				if _, err := c.Open(connectors.Deps{Name: "hydra", Owner: owner, Now: time.Now}); err == nil {
					t.Error("opened all the same")
				}
			}
		})
	}
}

func TestAManagerIsNotOpenedWithoutWhatItNeeds(t *testing.T) {
	if _, err := decode(t, full).Open(connectors.Deps{Name: "hydra", Owner: owner, Now: time.Now}); err == nil {
		t.Error("opened without a client")
	}
}

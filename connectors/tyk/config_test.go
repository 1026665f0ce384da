package tyk_test

import (
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/conformance"
	"github.com/passerelle-hub/passerelle/connectors/tyk"
)

const full = `
url: https://tyk.example:9696
secret: control-secret
org: dinum
listing: true
session_cache: 5s
retries: 1
grants:
  api_particulier:
    policies: [particulier]
    scopes: {cnaf_quotient_familial: [cnaf]}
`

func decode(t *testing.T, text string) tyk.Config {
	t.Helper()
	c := tyk.Default()
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
	if c.Org != "dinum" || c.SessionCache != 5*time.Second || *c.Retries != 1 || c.Secret.Reveal() != "control-secret" || !c.Listing {
		t.Errorf("%+v", c)
	}
	if d := decode(t, "url: https://tyk.example"); d.Org != "default" || d.SessionCache != 10*time.Second || d.Listing {
		t.Errorf("defaults: %+v", d)
	}
}

func TestEveryFaultOfTheSettingsIsSaidAtOnce(t *testing.T) {
	for name, tt := range map[string]struct {
		spoil func(*tyk.Config)
		want  []string
	}{
		"none":                  {func(*tyk.Config) {}, nil},
		"no URL":                {func(c *tyk.Config) { c.URL = "" }, []string{"url: "}},
		"a password in the URL": {func(c *tyk.Config) { c.URL = "https://a:b@tyk.example" }, []string{"url: "}},
		"no secret":             {func(c *tyk.Config) { c.Secret = connectors.Secret{} }, []string{"secret: "}},
		"no grants":             {func(c *tyk.Config) { c.Grants = nil }, []string{"grants: missing"}},
		"several": {func(c *tyk.Config) {
			c.Org, c.SessionCache, c.PageSize, c.MaxBody = `a"b`, -1, 0, -1
			c.Grants = map[string]tyk.Grant{
				"a": {}, "b": {Policies: []string{""}}, "c": {Scopes: map[string][]string{"s": {}}}, "d": {Scopes: map[string][]string{"s": {""}}},
			}
		}, []string{
			"org: ", "session_cache: ", "page_size: ", "max_body: ", "grants.a: ", "grants.b.policies: ", "grants.c.scopes.s: ", "grants.d.scopes.s: ",
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
				if _, err := c.Open(connectors.Deps{Name: "tyk", Owner: owner, Now: time.Now, Ledger: conformance.NewMemory()}); err == nil {
					t.Error("opened all the same")
				}
			}
		})
	}
}

func TestAManagerIsNotOpenedWithoutWhatItNeeds(t *testing.T) {
	if _, err := decode(t, full).Open(connectors.Deps{Name: "tyk", Owner: owner, Now: time.Now}); err == nil {
		t.Error("opened without client and ledger")
	}
}

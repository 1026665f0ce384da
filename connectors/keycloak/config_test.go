package keycloak_test

import (
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.yaml.in/yaml/v3"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/conformance"
	"github.com/passerelle-hub/passerelle/connectors/keycloak"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
)

const full = `
url: https://keycloak.example/auth
management_url: https://keycloak.example:9000
realm: agents
admin_realm: ops
client_id: passerelle
client_secret: client-secret
rotated_period: 48h
token_lifetime: 10m
retries: 0
grants:
  api_particulier:
    base: [particulier]
    scopes: {cnaf_quotient_familial: [cnaf]}
`

func decode(t *testing.T, text string) keycloak.Config {
	t.Helper()
	c := keycloak.Default()
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
	if c.AdminRealm != "ops" || c.RotatedPeriod != 48*time.Hour || c.TokenLifetime != 10*time.Minute || *c.Retries != 0 || c.ClientSecret.Reveal() != "client-secret" {
		t.Errorf("%+v", c)
	}
	if d := decode(t, "url: https://keycloak.example"); d.TokenLifetime != 5*time.Minute || d.RotatedPeriod != 0 || d.PageSize != 100 {
		t.Errorf("defaults: %+v", d)
	}
}

func TestEveryFaultOfTheSettingsIsSaidAtOnce(t *testing.T) {
	for name, tt := range map[string]struct {
		spoil func(*keycloak.Config)
		want  []string
	}{
		"none":                  {func(*keycloak.Config) {}, nil},
		"no URL":                {func(c *keycloak.Config) { c.URL = "" }, []string{"url: "}},
		"a password in the URL": {func(c *keycloak.Config) { c.ManagementURL = "https://a:b@keycloak.example" }, []string{"management_url: "}},
		"no grants":             {func(c *keycloak.Config) { c.Grants = nil }, []string{"grants: missing"}},
		"several": {func(c *keycloak.Config) {
			c.Realm, c.ClientID, c.ClientSecret = "", "", connectors.Secret{}
			c.RotatedPeriod, c.TokenLifetime, c.PageSize, c.MaxBody = time.Millisecond, 0, 0, -1
			c.Grants = map[string]keycloak.Grant{"a": {}, "b": {Base: []string{""}}, "c": {Scopes: map[string][]string{"s": {""}}}}
		}, []string{
			"realm: ", "client_id: ", "client_secret: ", "rotated_period: ", "token_lifetime: ", "page_size: ", "max_body: ",
			"grants.a: ", "grants.b.base: ", "grants.c.scopes.s: ",
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
				if _, err := c.Open(connectors.Deps{Name: "keycloak", Owner: owner, Now: time.Now}); err == nil {
					t.Error("opened all the same")
				}
			}
		})
	}
}

func TestAManagerIsNotOpenedWithoutWhatItNeeds(t *testing.T) {
	c := decode(t, full)
	client, err := outbound.Partner("keycloak", c.Settings, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	deps := connectors.Deps{Name: "keycloak", Owner: owner, Now: time.Now, Partner: client, Ledger: conformance.NewMemory()}
	if _, err := c.Open(deps); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*connectors.Deps){
		"no client": func(d *connectors.Deps) { d.Partner = nil }, "no ledger": func(d *connectors.Deps) { d.Ledger = nil },
		"no clock": func(d *connectors.Deps) { d.Now = nil }, "a name that cannot be searched for": func(d *connectors.Deps) { d.Owner = "two words" },
	} {
		spoiled := deps
		spoil(&spoiled)
		if _, err := c.Open(spoiled); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
}

package jwtissuer

import (
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/jose"
)

func TestSettingsAreReadFromYAMLOverTheDefaults(t *testing.T) {
	c := Default()
	dec := yaml.NewDecoder(strings.NewReader(`
issuer: https://hub.example.fr
algorithm: EdDSA
lifetime: 720h
definitions:
  api_particulier:
    audience: https://particulier.api.example.fr
    scopes: {cnaf_quotient_familial: qf.read}
`))
	dec.KnownFields(true)
	if err := dec.Decode(&c); err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	if c.Algorithm != jose.EdDSA || c.Lifetime != 30*day || c.MaxLifetime != 551*day || c.Definitions["api_particulier"].Scopes["cnaf_quotient_familial"] != "qf.read" {
		t.Errorf("%+v", c)
	}
}

func TestEveryFaultOfTheSettingsIsSaidAtOnce(t *testing.T) {
	for name, tt := range map[string]struct {
		spoil func(*Config)
		want  []string // parts of the message
	}{
		"none":                         {func(*Config) {}, nil},
		"http on loopback for a demo":  {func(c *Config) { c.Issuer = "http://127.0.0.1:8080" }, nil},
		"http elsewhere":               {func(c *Config) { c.Issuer = "http://hub.example.fr" }, []string{"issuer: "}},
		"an issuer with a query":       {func(c *Config) { c.Issuer = "https://hub.example.fr?x=1" }, []string{"issuer: "}},
		"no issuer":                    {func(c *Config) { c.Issuer = "" }, []string{"issuer: "}},
		"RSA":                          {func(c *Config) { c.Algorithm = jose.RS256 }, []string{"algorithm, "}},
		"a symmetric algorithm":        {func(c *Config) { c.Algorithm = "HS256" }, []string{"algorithm, "}},
		"no lifetime":                  {func(c *Config) { c.Lifetime = 0 }, []string{"lifetime: "}},
		"longer than the longest life": {func(c *Config) { c.Lifetime = c.MaxLifetime + 1 }, []string{"lifetime: "}},
		"keys that change each hour":   {func(c *Config) { c.KeyPeriod = time.Hour }, []string{"key_period"}},
		"no definition":                {func(c *Config) { c.Definitions = nil }, []string{"definitions: "}},
		"several at once": {func(c *Config) {
			c.Issuer = "hub"
			c.Definitions = map[string]Definition{"a": {}, "b": {Audience: "x", Scopes: map[string]string{"s": "two words"}}}
		}, []string{"issuer: ", "definitions.a.audience: missing", `definitions.b.scopes.s: "two words"`}},
	} {
		t.Run(name, func(t *testing.T) {
			c := testConfig()
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
				if _, err := c.Open(connectors.Deps{Name: "interne"}, nil); err == nil {
					t.Error("opened all the same")
				}
			}
		})
	}
}

func TestAnIssuerIsNotOpenedWithoutWhatItNeeds(t *testing.T) {
	deps := open(t)
	full := connectors.Deps{Name: "interne", Now: time.Now, Ledger: deps.ledger}
	for name, tt := range map[string]struct {
		deps   connectors.Deps
		signer Signer
	}{
		"no ledger": {connectors.Deps{Name: "interne", Now: time.Now}, deps.keys},
		"no clock":  {connectors.Deps{Name: "interne", Ledger: deps.ledger}, deps.keys},
		"no signer": {full, nil},
	} {
		if _, err := testConfig().Open(tt.deps, tt.signer); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
	if _, err := testConfig().Open(full, deps.keys); err != nil {
		t.Error(err)
	}
}

// 18 calendar months, counted from any day, and asked with the delay of a queue.
func TestEighteenMonthsFitTheLongestLife(t *testing.T) {
	for d := range 4 * 366 {
		now := start.AddDate(0, 0, d)
		if life := now.AddDate(0, 18, 0).Sub(now); life > Default().MaxLifetime {
			t.Fatalf("18 months from %s are %s", now, life)
		}
	}
}

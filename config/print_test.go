package config

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.yaml.in/yaml/v3"

	"github.com/passerelle-hub/passerelle/connectors"
)

func TestPrintSaysWhereEachValueCameFrom(t *testing.T) {
	out := printed(t, mustLoad(
		t, "http:\n  max_body: 64KiB\njobs:\n  workers: {mail: 2}\nops:\n  users:\n    - {name: a, password: correct-horse}\ndefinitions:\n  contacts: {NAME: 'a: b'}\n",
		"PASSERELLE_WEBHOOKS_SCHEDULE=90s,168h", "PASSERELLE_LOG_LEVEL=debug",
	))
	for _, want := range []string{
		"  # Address to listen on.\n  listen: 127.0.0.1:8080 # default\n",
		"  max_body: 64KiB # passerelle.yml:2\n",
		"  workers:\n    default: 20 # default\n    mail: 2 # passerelle.yml:4\n",
		"  public_url: http://127.0.0.1:8080 # follows http.listen\n",
		"  level: debug # environment PASSERELLE_LOG_LEVEL\n",
		"  schedule: [1m30s, 168h] # environment PASSERELLE_WEBHOOKS_SCHEDULE\n",
		"      password: '[redacted]' # passerelle.yml:7\n",
		"      role: reader # default\n",
		"    NAME: 'a: b' # passerelle.yml:9\n",
		"  metrics_token: \"\" # default\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	if strings.Contains(out, exampleMark) {
		t.Error("what is in force is marked as an example")
	}
}

func TestWhatPrintWritesLoadsAgainAsTheSameSettings(t *testing.T) {
	c := mustLoad(t, `
hub: {contact: "a # b: \"c\""}
http: {trusted_proxies: [10.0.0.0/8]}
connectors: [{name: m, type: kong}]
provisioning: [{definition: d, managers: [m], token_lifetime: 90d}]
definitions: {contacts: {A: "two\nlines", B: "1", C: "[x, y]"}}
`)
	again := mustLoad(t, printed(t, c))
	opts := cmp.Options{
		cmpopts.IgnoreUnexported(Config{}, Connector{}), cmpopts.IgnoreFields(Connector{}, "Config"), cmpopts.EquateEmpty(),
		cmp.AllowUnexported(Lifetime{}, connectors.Secret{}), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	}
	if diff := cmp.Diff(c, again, opts); diff != "" {
		t.Errorf("(-printed +read again)\n%s", diff)
	}
}

func TestEverySettingIsInTheExampleWithItsExplanation(t *testing.T) {
	texts := explanations()
	for _, key := range allKeys() {
		if texts[key] == "" {
			t.Errorf("%s has no explanation in example.yml", key)
		}
	}
}

// allKeys lists the keys of all settings, groups included, elements written "[]".
func allKeys() []string {
	var keys []string
	var walk func(t reflect.Type, key string)
	walk = func(t reflect.Type, key string) {
		if key != "" {
			keys = append(keys, key)
		}
		switch {
		case isGroup(t):
			for _, f := range fields(reflect.New(t).Elem()) {
				walk(f.value.Type(), join(key, f.name))
			}
		case t.Kind() == reflect.Slice && isGroup(t.Elem()):
			for _, f := range fields(reflect.New(t.Elem()).Elem()) {
				walk(f.value.Type(), join(key+"[]", f.name))
			}
		}
	}
	walk(reflect.TypeFor[Config](), "")
	return keys
}

func TestTheExampleLoads(t *testing.T) {
	c, err := load("example.yml", Example(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.DataPass.Sources) == 0 || len(c.Provisioning) == 0 || !c.Mail.Enabled() {
		t.Error("the example shows too little")
	}
	if _, err := load("example.yml", Example(), []string{"PASSERELLE_HUB_ENVIRONMENT=production"}); err == nil {
		t.Error("the example's secrets were taken in production")
	}
	Example()[0] = 'x'
	if Example()[0] == 'x' {
		t.Error("a caller can change the example")
	}
}

// The example says that what it does not mark shows the default.
func TestWhatTheExampleDoesNotMarkIsTheDefault(t *testing.T) {
	texts := explanations()
	shown := func(c *Config) map[string]string {
		lines := map[string]string{}
		var walk func(n *yaml.Node, key string)
		walk = func(n *yaml.Node, key string) {
			if n.Kind != yaml.MappingNode {
				lines[key] = leaf(reflect.ValueOf(*n))
				return
			}
			for i := 0; i < len(n.Content); i += 2 {
				walk(n.Content[i+1], join(key, n.Content[i].Value))
			}
		}
		var document yaml.Node
		if err := yaml.Unmarshal([]byte(printed(t, c)), &document); err != nil {
			t.Fatal(err)
		}
		walk(document.Content[0], "")
		return lines
	}
	example, defaults := shown(mustLoad(t, string(Example()))), shown(mustLoad(t, ""))
	compared := 0
	for key, value := range defaults {
		if strings.Contains(texts[key], exampleMark) || strings.HasPrefix(example[key], "[{") || example[key] == "" {
			continue
		}
		compared++
		got, _, _ := strings.Cut(example[key], " #")
		want, _, _ := strings.Cut(value, " #")
		if got != want {
			t.Errorf("%s: the example shows %s, the default is %s", key, got, want)
		}
	}
	if compared < 40 {
		t.Errorf("only %d settings were compared", compared)
	}
}

func TestVariablesAreNamedAfterTheirKeys(t *testing.T) {
	c, _ := filled()
	known := map[string]variable{}
	variables(reflect.ValueOf(c).Elem(), prefix, "", known)
	seen := map[string]bool{}
	for name, v := range known {
		want := prefix + strings.ToUpper(strings.NewReplacer(".", "_", "[", "_", "]", "").Replace(v.key))
		if name != want {
			t.Errorf("%s is set by %s, want %s", v.key, name, want)
		}
		seen[indices.ReplaceAllString(v.key, "[]")] = true
	}
	for _, key := range allKeys() {
		isLeaf := true
		for _, other := range allKeys() {
			isLeaf = isLeaf && !within(other, key)
		}
		if isLeaf && !seen[key] && key != "connectors[].config" {
			t.Errorf("no variable sets %s", key)
		}
	}
}

package config

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Valid values for settings that need some.
const (
	sealingKey1 = "aqyPoS7nKcQCRRQFVGUsKJSzNFkdMcSdbFrjLrgiIuE="
	sealingKey2 = "rbkzmVeNi4m6WRUXxtcRmhzTaNCrj2rtcFY2YrgOwfY="
)

// faultsOf loads one file named passerelle.yml and gives what is wrong, a line each.
func faultsOf(t *testing.T, yml string, environ ...string) []string {
	t.Helper()
	_, err := load("passerelle.yml", []byte(yml), environ)
	if err == nil {
		return nil
	}
	var faults FaultsError
	if !errors.As(err, &faults) {
		t.Fatalf("the error is no FaultsError but %T: %v", err, err)
	}
	return strings.Split(err.Error(), "\n")
}

type faultCase struct {
	name    string
	yml     string
	environ []string
	want    string
}

func runFaults(t *testing.T, cases []faultCase) {
	t.Helper()
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			got := faultsOf(t, tc.yml, tc.environ...)
			if diff := cmp.Diff([]string{tc.want}, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestFileFaults(t *testing.T) {
	runFaults(t, []faultCase{
		{"broken syntax is told with its line", "hub:\n  name: [\n", nil, "passerelle.yml:2: is not YAML: did not find expected node content"},
		{"an unquoted star is not quoted back, it may be a secret", "ops:\n  metrics_token: *s3cret\n", nil, "passerelle.yml:1: an alias (*) names no anchor (&): a value that starts with * needs quotes"},
		{"two documents are one too many", "hub: {}\n---\nhub: {}\n", nil, "passerelle.yml:2: holds more than one document (---)"},
		{"a list at the top is no settings", "- hub\n", nil, "passerelle.yml:1: expected a group of settings, got a list of 1"},
		{"an unknown section", "htpt:\n  listen: x\n", nil, "passerelle.yml:1: htpt: unknown key: did you mean http?"},
		{"an unknown key near a known one", "http:\n  lisen: 127.0.0.1:1\n", nil, "passerelle.yml:2: http.lisen: unknown key: did you mean listen?"},
		{"an unknown key near none", "http:\n  colour: blue\n", nil, "passerelle.yml:2: http.colour: unknown key"},
		{"an unknown key deep in a list", "ops:\n  users:\n    - {name: a, password: correct-horse, rôle: reader}\n", nil, "passerelle.yml:3: ops.users[0].rôle: unknown key: did you mean role?"},
		{"a file beside what is no secret", "hub:\n  name_file: /etc/hostname\n", nil, "passerelle.yml:2: hub.name_file: unknown key"},
		{"a key given twice", "log:\n  level: info\n  level: warn\n", nil, "passerelle.yml:3: log.level: given twice, first at line 2"},
		{"a key that is no name", "log:\n  [a]: info\n", nil, "passerelle.yml:2: log: a key must be a plain name"},
		{"a value where a group is due", "http: 8080\n", nil, "passerelle.yml:1: http: expected a group of settings, got a single value"},
		{"a value where a list is due", "hub:\n  name: x\negress:\n  ports: 443\n", nil, "passerelle.yml:4: egress.ports: expected a list, got a single value"},
		{"a list where a value is due", "http:\n  listen: [a]\n", nil, "passerelle.yml:2: http.listen: expected a text, got a list of 1"},
		{"a group where a secret is due", "ops:\n  metrics_token: {a: b}\n", nil, "passerelle.yml:2: ops.metrics_token: expected a text, got a group of settings"},
		{"a list where a duration is due", "jobs:\n  timeout: [1s]\n", nil, "passerelle.yml:2: jobs.timeout: expected a duration such as 45s, 5m or 2h, got a list of 1"},
		{"a duration without a unit", "jobs:\n  timeout: 45\n", nil, `passerelle.yml:2: jobs.timeout: "45" is not a duration such as 45s, 5m or 2h`},
		{"a size with a wrong unit", "http:\n  max_body: 1MB\n", nil, `passerelle.yml:2: http.max_body: "1MB" is not a size such as 512, 64KiB or 1MiB`},
		{"a number that is none", "database:\n  max_conns: many\n", nil, `passerelle.yml:2: database.max_conns: "many" is not a whole number in range`},
		{"a number in the list that is none", "egress:\n  ports: [443, x]\n", nil, `passerelle.yml:2: egress.ports[1]: "x" is not a whole number in range`},
		{"a number in the map that is none", "jobs:\n  workers: {mail: x}\n", nil, `passerelle.yml:2: jobs.workers.mail: "x" is not a whole number in range`},
		{"yes is not true", "connectors:\n  - {name: a, type: b, paused: yes}\n", nil, `passerelle.yml:2: connectors[0].paused: "yes" is not true or false`},
		{"a range of addresses that is none", "http:\n  trusted_proxies: [10.0.0.0]\n", nil, `passerelle.yml:2: http.trusted_proxies[0]: "10.0.0.0" is not a range of addresses such as 10.0.0.0/8`},
		{"an alias that contains itself", "egress:\n  allow: &a [*a]\n", nil, "passerelle.yml:2: egress.allow[0]: the alias contains itself"},
		{"a merge of what merges itself", "log: {<<: &a {<<: {level: info}}}\n", nil, "passerelle.yml:1: log: what is merged (<<) holds plain settings only"},
		{"a merge of a value", "log: {<<: info}\n", nil, "passerelle.yml:1: log: a merge (<<) takes a group of settings"},
	})
}

func TestEnvironmentFaults(t *testing.T) {
	runFaults(t, []faultCase{
		{"an unknown variable", "", []string{"PASSERELLE_HTTP_LISEN=x"}, "environment PASSERELLE_HTTP_LISEN: unknown variable"},
		{"a list with a hole", "", []string{"PASSERELLE_OPS_USERS_1_NAME=x"}, "environment PASSERELLE_OPS_USERS_1_NAME: unknown variable"},
		{"a file for what is no secret", "", []string{"PASSERELLE_HUB_NAME_FILE=/x"}, "environment PASSERELLE_HUB_NAME_FILE: unknown variable"},
		{"a duration that is none", "", []string{"PASSERELLE_JOBS_TIMEOUT=45"}, `environment PASSERELLE_JOBS_TIMEOUT: jobs.timeout: "45" is not a duration such as 45s, 5m or 2h`},
		{"a size that is none", "", []string{"PASSERELLE_HTTP_MAX_BODY=big"}, `environment PASSERELLE_HTTP_MAX_BODY: http.max_body: "big" is not a size such as 512, 64KiB or 1MiB`},
		{"a number that is none", "", []string{"PASSERELLE_DATABASE_MAX_CONNS=x"}, `environment PASSERELLE_DATABASE_MAX_CONNS: database.max_conns: "x" is not a whole number in range`},
		{"a boolean that is none", "", []string{"PASSERELLE_EGRESS_PROXY_GUARDED=x"}, `environment PASSERELLE_EGRESS_PROXY_GUARDED: egress.proxy.guarded: "x" is not true or false`},
		{"a list of numbers that is none", "", []string{"PASSERELLE_EGRESS_PORTS=443,x"}, `environment PASSERELLE_EGRESS_PORTS: egress.ports: "443,x" is not a list, separated by commas, each a whole number in range`},
		{"a list of ranges that is none", "", []string{"PASSERELLE_HTTP_TRUSTED_PROXIES=a"}, `environment PASSERELLE_HTTP_TRUSTED_PROXIES: http.trusted_proxies: "a" is not a list, separated by commas, each a range of addresses such as 10.0.0.0/8`},
		{"a map that is none", "", []string{"PASSERELLE_JOBS_WORKERS=mail"}, `environment PASSERELLE_JOBS_WORKERS: jobs.workers: "mail" is not a list of name:value, separated by commas`},
		{"a value out of range names its variable", "database:\n  max_conns: 8\n", []string{"PASSERELLE_DATABASE_MAX_CONNS=0"}, "environment PASSERELLE_DATABASE_MAX_CONNS: database.max_conns: 0 is out of range: from 2 to 1000"},
		{
			"two databases", "sealing: {keys: [{id: a, key: " + sealingKey1 + "}]}\n",
			[]string{"DATABASE_URL=postgres://a/b", "PASSERELLE_DATABASE_URL=postgres://c/d"},
			"environment PASSERELLE_DATABASE_URL: database.url: differs from DATABASE_URL: keep one",
		},
	})
}

func TestEveryFaultIsReportedAtOnceInTheOrderOfTheFileThenOfTheEnvironment(t *testing.T) {
	got := faultsOf(t, `
hub:
  name: Passerelle
  public_url: http://exemple.fr
http:
  max_body: huge
ops:
  listen: 0.0.0.0:9090
provisioning:
  - {definition: api_particulier, managers: [nobody], colour: blue}
webhooks: {lease: 1s}
`, "PASSERELLE_LOG_LEVEL=loud", "PASSERELLE_NOPE=1")
	want := []string{
		`passerelle.yml:3: hub.name: "Passerelle" is not a name: small letters, digits and -, 63 at most`,
		`passerelle.yml:4: hub.public_url: must be https: only loopback may be http`,
		`passerelle.yml:6: http.max_body: "huge" is not a size such as 512, 64KiB or 1MiB`,
		`passerelle.yml:8: ops.listen: is not loopback: it demands at least one of ops.users`,
		`passerelle.yml:10: provisioning[0].colour: unknown key`,
		`passerelle.yml:10: provisioning[0].managers[0]: "nobody" is not the name of one of connectors`,
		`passerelle.yml:11: webhooks.lease: 1s is not more than jobs.timeout (45s): deliveries would be sent twice`,
		`environment PASSERELLE_NOPE: unknown variable`,
		`environment PASSERELLE_LOG_LEVEL: log.level: "loud" is not one of trace, debug, info, warn, error`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestLoadTellsAFileThatCannotBeRead(t *testing.T) {
	_, err := Load(t.TempDir()+"/absent.yml", nil)
	if err == nil || !strings.HasSuffix(err.Error(), "absent.yml: cannot be read: no such file or directory") {
		t.Errorf("got %v", err)
	}
	if _, err := Load(t.TempDir(), nil); err == nil {
		t.Error("a folder was read as settings")
	}
	large := filepath.Join(secretDir(t, map[string]string{"large.yml": strings.Repeat("#", maxFile+1)}), "large.yml")
	if _, err := Load(large, nil); err == nil || !strings.HasSuffix(err.Error(), "it is larger than 1MiB") {
		t.Errorf("a file too large: %v", err)
	}
}

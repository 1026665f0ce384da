package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// secretDir holds files for a test: name -> content.
func secretDir(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestSecretsComeFromFiles(t *testing.T) {
	dir := secretDir(t, map[string]string{
		"token":   "metrics-token-of-a-file\n",
		"other":   "metrics-token-of-another\r\n",
		"spaces":  "  kept, commas and spaces  \n",
		"list":    "first-secret-of-the-list\nsecond,secret,with,commas\n\n",
		"example": "",
	})
	const token = "ops.metrics_token"
	for _, tc := range []struct {
		name, yml string
		environ   []string
		want      string
		place     string
	}{
		{"named in YAML, from the folder of the file", "ops: {metrics_token_file: token}", nil, "metrics-token-of-a-file", "DIR/passerelle.yml:1, read from DIR/token"},
		{"named in YAML by a full path", "ops: {metrics_token_file: DIR/spaces}", nil, "  kept, commas and spaces  ", "DIR/passerelle.yml:1, read from DIR/spaces"},
		{"named by a variable", "", []string{"PASSERELLE_OPS_METRICS_TOKEN_FILE=DIR/other"}, "metrics-token-of-another", "environment PASSERELLE_OPS_METRICS_TOKEN_FILE, read from DIR/other"},
		{"a variable's file wins over YAML's value", "ops: {metrics_token: metrics-token-in-clear}", []string{"PASSERELLE_OPS_METRICS_TOKEN_FILE=DIR/other"}, "metrics-token-of-another", "environment PASSERELLE_OPS_METRICS_TOKEN_FILE, read from DIR/other"},
		{"a variable's file wins over YAML's file", "ops: {metrics_token_file: token}", []string{"PASSERELLE_OPS_METRICS_TOKEN_FILE=DIR/other"}, "metrics-token-of-another", "environment PASSERELLE_OPS_METRICS_TOKEN_FILE, read from DIR/other"},
		{"a variable's value wins over YAML's file", "ops: {metrics_token_file: token}", []string{"PASSERELLE_OPS_METRICS_TOKEN=metrics-token-in-clear"}, "metrics-token-in-clear", "environment PASSERELLE_OPS_METRICS_TOKEN"},
		{"an empty variable names no file", "ops: {metrics_token_file: token}", []string{"PASSERELLE_OPS_METRICS_TOKEN_FILE="}, "metrics-token-of-a-file", "DIR/passerelle.yml:1, read from DIR/token"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := func(s string) string { return strings.ReplaceAll(s, "DIR", dir) }
			for i := range tc.environ {
				tc.environ[i] = in(tc.environ[i])
			}
			c, err := load(filepath.Join(dir, "passerelle.yml"), []byte(in(tc.yml)), tc.environ)
			if err != nil {
				t.Fatal(err)
			}
			if got := c.Ops.MetricsToken.Reveal(); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
			if got := c.trail[token].String(); got != in(tc.place) {
				t.Errorf("from %q, want %q", got, in(tc.place))
			}
		})
	}
}

func TestAListOfSecretsHasOneALine(t *testing.T) {
	dir := secretDir(t, map[string]string{"list": "first-secret-of-the-list\r\n\nsecond,secret,with,commas\n"})
	for name, load := range map[string]func() *Config{
		"in YAML": func() *Config { return mustLoad(t, "datapass: {sources: [{name: a, secrets_file: "+dir+"/list}]}") },
		"a variable": func() *Config {
			return mustLoad(t, "", "PASSERELLE_DATAPASS_SOURCES_0_NAME=a", "PASSERELLE_DATAPASS_SOURCES_0_SECRETS_FILE="+dir+"/list")
		},
		"a variable over YAML": func() *Config {
			return mustLoad(t, "datapass: {sources: [{name: a, secrets: [0123456789abcdef]}]}", "PASSERELLE_DATAPASS_SOURCES_0_SECRETS_FILE="+dir+"/list")
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, s := range load().DataPass.Sources[0].Secrets {
				got = append(got, s.Reveal())
			}
			if diff := cmp.Diff([]string{"first-secret-of-the-list", "second,secret,with,commas"}, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestDatabaseURLComesFromAFileToo(t *testing.T) {
	dir := secretDir(t, map[string]string{"url": "postgres://a/b\n"})
	for _, name := range []string{"DATABASE_URL_FILE", "PASSERELLE_DATABASE_URL_FILE"} {
		if got := mustLoad(t, withKey, name+"="+dir+"/url").Database.URL.Reveal(); got != "postgres://a/b" {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

func TestSecretFileFaults(t *testing.T) {
	dir := secretDir(t, map[string]string{
		"token": "metrics-token-of-a-file", "empty": "\n", "short": "short",
		"large": strings.Repeat("s3cret", maxSecretFile),
	})
	const variable = "PASSERELLE_OPS_METRICS_TOKEN"
	runFaults(t, []faultCase{
		{"a value and a file in YAML", "ops:\n  metrics_token: metrics-token-in-clear\n  metrics_token_file: " + dir + "/token", nil, "passerelle.yml:3: ops.metrics_token: both metrics_token and metrics_token_file are given: keep one"},
		{"a value and a file in the environment", "", []string{variable + "=metrics-token-in-clear", variable + "_FILE=" + dir + "/token"}, "environment " + variable + "_FILE: ops.metrics_token: both " + variable + " and " + variable + "_FILE are given: keep one"},
		{"a file that is not there", "ops: {metrics_token_file: /absent}", nil, "passerelle.yml:1: ops.metrics_token_file: cannot read /absent: no such file or directory"},
		{"a file of a variable that is not there", "", []string{variable + "_FILE=/absent"}, "environment " + variable + "_FILE: ops.metrics_token: cannot read /absent: no such file or directory"},
		{"a folder", "ops: {metrics_token_file: " + dir + "}", nil, "passerelle.yml:1: ops.metrics_token_file: " + dir + " is not a file"},
		{"a device that never ends", "ops: {metrics_token_file: /dev/zero}", nil, "passerelle.yml:1: ops.metrics_token_file: /dev/zero is not a file"},
		{"an empty file", "ops: {metrics_token_file: " + dir + "/empty}", nil, "passerelle.yml:1: ops.metrics_token_file: " + dir + "/empty is empty"},
		{"a file too large", "ops: {metrics_token_file: " + dir + "/large}", nil, "passerelle.yml:1: ops.metrics_token_file: cannot read " + dir + "/large: it is larger than 64KiB"},
		{"a list of files", "ops: {metrics_token_file: [a]}", nil, "passerelle.yml:1: ops.metrics_token_file: expected the path of a file"},
		{"what is in the file is checked, not quoted", "ops: {metrics_token_file: " + dir + "/short}", nil, "passerelle.yml:1: ops.metrics_token: is too short: 16 characters at least"},
	})
}

package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func mustLoad(t *testing.T, yml string, environ ...string) *Config {
	t.Helper()
	c, err := load("passerelle.yml", []byte(yml), environ)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestEachLayerWinsOverTheOneBefore(t *testing.T) {
	const yml = "database: {max_conns: 8}\n"
	variable := "PASSERELLE_DATABASE_MAX_CONNS=4"
	for _, tc := range []struct {
		name  string
		got   *Config
		want  int
		place string
	}{
		{"the default, when nobody says", mustLoad(t, ""), 16, "default"},
		{"the file over the default", mustLoad(t, yml), 8, "passerelle.yml:1"},
		{"the environment over the file", mustLoad(t, yml, variable), 4, "environment PASSERELLE_DATABASE_MAX_CONNS"},
		{"the environment over the default", mustLoad(t, "", variable), 4, "environment PASSERELLE_DATABASE_MAX_CONNS"},
		{"an empty variable says nothing", mustLoad(t, yml, "PASSERELLE_DATABASE_MAX_CONNS="), 8, "passerelle.yml:1"},
		{"an empty setting says nothing", mustLoad(t, "database: {max_conns: }\n"), 16, "default"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := tc.got.Database.MaxConns; got != tc.want {
				t.Errorf("got %d, want %d", got, tc.want)
			}
			if got := tc.got.trail["database.max_conns"].String(); got != tc.place {
				t.Errorf("from %q, want %q", got, tc.place)
			}
		})
	}
}

func TestTheEnvironmentReachesEveryKindOfValue(t *testing.T) {
	c := mustLoad(
		t, "datapass: {sources: [{name: dp, secrets: [0123456789abcdef]}]}\njobs: {workers: {mail: 1}}\negress: {ports: [1]}",
		"PASSERELLE_HUB_NAME=passerelle-prod",
		"PASSERELLE_HTTP_MAX_BODY=2MiB",
		"PASSERELLE_HTTP_TRUSTED_PROXIES=10.0.0.0/8,fd00::/8",
		"PASSERELLE_JOBS_WORKERS=lanes:100,mail:4",
		"PASSERELLE_EGRESS_PORTS=443,8443",
		"PASSERELLE_WEBHOOKS_SCHEDULE=1s,2m",
		"PASSERELLE_DATAPASS_SOURCES_0_SECRETS=aaaaaaaaaaaaaaaa,bbbbbbbbbbbbbbbb",
		"PASSERELLE_OPS_USERS_0_NAME=astreinte",
		"PASSERELLE_OPS_USERS_0_PASSWORD=correct-horse",
		"PASSERELLE_CONNECTORS_0_NAME=m",
		"PASSERELLE_CONNECTORS_0_TYPE=kong",
		"PASSERELLE_CONNECTORS_0_PAUSED=true",
		"PASSERELLE_PROVISIONING_0_DEFINITION=d",
		"PASSERELLE_PROVISIONING_0_MANAGERS=m",
		"PASSERELLE_PROVISIONING_0_TOKEN_LIFETIME=30d",
	)
	type picture struct {
		Name            string
		MaxBody         Size
		Proxies         []string
		Workers         map[string]int
		Ports           []int
		Schedule        []time.Duration
		Secrets         []string
		User            string
		Role            Role
		Paused          bool
		Lifetime        string
		Policy          ArchivePolicy
		Notices         []int
		Following, From string
	}
	got := picture{
		c.Hub.Name, c.HTTP.MaxBody, nil, c.Jobs.Workers, c.Egress.Ports, c.Webhooks.Schedule, nil,
		c.Ops.Users[0].Name + ":" + c.Ops.Users[0].Password.Reveal(), c.Ops.Users[0].Role, c.Connectors[0].Paused,
		c.Provisioning[0].TokenLifetime.String(), c.Provisioning[0].ArchivePolicy, c.Provisioning[0].Notices,
		string(c.Provisioning[0].Environment), c.trail["provisioning[0].environment"].String(),
	}
	for _, p := range c.HTTP.TrustedProxies {
		got.Proxies = append(got.Proxies, p.String())
	}
	for _, s := range c.DataPass.Sources[0].Secrets {
		got.Secrets = append(got.Secrets, s.Reveal())
	}
	want := picture{
		"passerelle-prod", 2 << 20,
		[]string{netip.MustParsePrefix("10.0.0.0/8").String(), "fd00::/8"},
		map[string]int{"lanes": 100, "mail": 4, "default": 20},
		[]int{443, 8443},
		[]time.Duration{time.Second, 2 * time.Minute},
		[]string{"aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb"},
		"astreinte:correct-horse", Reader, true, "30d", ArchiveRevoke,
		[]int{90, 60, 30, 14, 7, 1, 0},
		"sandbox", "follows hub.environment",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if n := c.Jobs.WorkersFor("hubee"); n != 20 {
		t.Errorf("a queue that is not named has %d workers, want the default's 20", n)
	}
}

func TestVariablesOfOthersAreLeftAlone(t *testing.T) {
	mustLoad(
		t, "",
		"PATH=/bin", "PASSERELLE_PEERS=kong", "broken",
		"PASSERELLE_SERVICE_HOST=10.0.0.1", "PASSERELLE_SERVICE_PORT=80", "PASSERELLE_SERVICE_PORT_HTTP=80",
		"PASSERELLE_PORT=tcp://10.0.0.1:80", "PASSERELLE_PORT_80_TCP=tcp://10.0.0.1:80", "PASSERELLE_PORT_80_TCP_ADDR=10.0.0.1",
		"PASSERELLE_OPS_SERVICE_HOST=10.0.0.2", "PASSERELLE_OPS_PORT=tcp://10.0.0.2:90",
	)
}

func TestDatabaseURLStandsForTheDatabase(t *testing.T) {
	for _, environ := range [][]string{
		{"DATABASE_URL=postgres://a/b"},
		{"PASSERELLE_DATABASE_URL=postgres://a/b"},
		{"DATABASE_URL=postgres://a/b", "PASSERELLE_DATABASE_URL=postgres://a/b"},
	} {
		c := mustLoad(t, withKey+"database: {url: 'postgres://file/b'}", environ...)
		if got := c.Database.URL.Reveal(); got != "postgres://a/b" || c.Database.Private() {
			t.Errorf("%v: got %q", environ, got)
		}
		if c.Sealing.Active != "a" || c.Sealing.Fingerprints != "a" {
			t.Errorf("the only key does not seal: %q %q", c.Sealing.Active, c.Sealing.Fingerprints)
		}
	}
}

func TestSettingsThatFollowOthers(t *testing.T) {
	c := mustLoad(t, "mail: {from: 'P <a@b.fr>'}\nhttp: {listen: '127.0.0.1:81'}\ndatapass: {sources: [{name: a, secrets: [0123456789abcdef]}]}")
	got := []any{c.Hub.PublicURL, c.Handover.Audience, c.Mail.Domain, c.DataPass.Sources[0].CatchUpEvery, c.DataPass.Sources[0].Environment}
	want := []any{"http://127.0.0.1:81", "http://127.0.0.1:81", "b.fr", time.Duration(0), Sandbox}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestAnchorsAndMergesOfYAML(t *testing.T) {
	c := mustLoad(t, `
datapass:
  sources:
    - &first
      name: first
      definitions: &some [api_particulier]
      secrets: [0123456789abcdef]
      api: &api {url: https://a.fr, client_id: c, client_secret: s}
    - <<: *first
      name: second
      secrets: [fedcba9876543210]
    - {name: third, definitions: *some, secrets: [aaaaaaaaaaaaaaaa], api: {<<: [*api], client_id: d}}
`)
	var got []string
	for _, s := range c.DataPass.Sources {
		got = append(got, s.Name+" "+s.Definitions[0]+" "+s.Secrets[0].Reveal()+" "+s.API.URL+" "+s.API.ClientID)
	}
	want := []string{
		"first api_particulier 0123456789abcdef https://a.fr c",
		"second api_particulier fedcba9876543210 https://a.fr c",
		"third api_particulier aaaaaaaaaaaaaaaa https://a.fr d",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestLoadReadsTheFileItIsGiven(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "catalogue"), 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "hub.yml")
	if err := os.WriteFile(path, []byte("hub: {name: file}\ndefinitions: {dir: catalogue}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Hub.Name != "file" || c.Definitions.Dir != filepath.Join(dir, "catalogue") {
		t.Errorf("got %q, %q: a path starts at the file's folder", c.Hub.Name, c.Definitions.Dir)
	}
}

func TestLoadWithoutAPathTakesThePlainFileWhenThereIsOne(t *testing.T) {
	t.Chdir(t.TempDir())
	c, err := Load("", nil)
	if err != nil || c.Hub.Name != "passerelle" {
		t.Fatalf("without a file: %v", err)
	}
	if err := os.WriteFile(DefaultFile, []byte("hub: {name: here}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err = Load("", nil); err != nil || c.Hub.Name != "here" {
		t.Fatalf("with a file: %v", err)
	}
}

// load is loadWith for tests without connectors of their own.
func load(path string, data []byte, environ []string) (*Config, error) {
	return loadWith(path, data, environ, nil)
}

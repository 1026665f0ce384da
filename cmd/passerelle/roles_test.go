package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/passerelle-hub/passerelle/internal/pgtest"
	"github.com/passerelle-hub/passerelle/internal/store"
)

func TestRolesAndApplicationsAreKeptByTheOperator(t *testing.T) {
	vars := []string{
		"PASSERELLE_HUB_PUBLIC_URL=https://hub.example", "DATABASE_URL=" + pgtest.URL(t, store.Migrate),
		"PASSERELLE_SEALING_KEYS_0_ID=a", "PASSERELLE_SEALING_KEYS_0_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
	}
	passerelle := func(args ...string) (int, string) {
		t.Helper()
		var out bytes.Buffer
		status := run(t.Context(), environment{vars: vars, stdout: &out, stderr: &out}, args)
		return status, out.String()
	}
	for _, c := range []struct {
		args   string
		status int
		want   string
	}{
		{"roles", 2, "roles list | grant"},
		{"roles grant", 2, "roles list | grant"},
		{"roles grant nadia dinum:*:developer", 2, "nadia is no address"},
		{"roles grant nadia@dinum.example dinum:rien:developer", 2, `role "dinum:rien:developer"`},
		{"roles revoke nadia@dinum.example admin", 1, "nobody has the address nadia@dinum.example"},
		{"clients --name logiciel --owner nadia@dinum.example", 2, "the owner is no developer"},
		{"roles grant nadia@dinum.example dinum:api_entreprise:developer dinum:*:instructor", 0, "nadia@dinum.example  dinum:api_entreprise:developer dinum:*:instructor"},
		{"roles list", 0, "nadia@dinum.example  dinum:api_entreprise:developer dinum:*:instructor"},
		{"clients --name logiciel", 2, "--owner says whose developer roles it has"},
		{"clients --name logiciel --owner nadia@dinum.example --definitions api_entreprise", 2, "--definitions is for applications without an owner"},
		{"clients --name logiciel --owner nadia@dinum.example --scopes tout", 2, "no scope tout"},
		{"clients --name passerelle --definitions rien", 2, "no definition rien"},
		{"clients --name logiciel --owner nadia@dinum.example", 0, "client_secret  psh_test_"},
		{"clients --name passerelle --definitions *", 0, "client_secret  psh_test_"},
		{"clients", 0, "logiciel  owner=nadia@dinum.example editor=  [public read_authorizations]"},
		{"clients", 0, "passerelle  owner= editor=  [introspect]  [*]"},
		{"clients --disable rien", 2, "rien is no id"},
		{"clients --disable 00000000-0000-0000-0000-000000000000", 1, "no live application"},
		{"roles forget nadia@dinum.example", 1, "no account at an identity provider is known of nadia@dinum.example"},
		{"roles revoke nadia@dinum.example dinum:api_entreprise:developer", 0, "1 applications ended with the last developer role"},
		{"clients", 0, "[public read_authorizations]  []  disabled"},
	} {
		status, out := passerelle(strings.Fields(c.args)...)
		if status != c.status || !strings.Contains(out, c.want) {
			t.Errorf("%s: status %d, want %d\n%s\nwant %q", c.args, status, c.status, out, c.want)
		}
	}
}

package main

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/passerelle-hub/passerelle/httpapi/auth"
	"github.com/passerelle-hub/passerelle/internal/pgtest"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

// gateway is a machine that introspects and revokes at two replicas of one database.
type gateway struct {
	t             *testing.T
	authorization string
	a, b          benchReplica
	values        []string
}

func openGateway(t *testing.T, tokens int) *gateway {
	t.Helper()
	database, key := pgtest.URL(t, store.Migrate), newSealingKey().Reveal()
	g := &gateway{t: t, a: openBenchReplica(t, database, key, io.Discard), b: openBenchReplica(t, database, key, io.Discard)}
	add := &registry.AddApplication{Name: "passerelle d’API", Scopes: []string{auth.ScopeIntrospect, auth.ScopeRevoke}, Definitions: []string{"bench"}}
	if err := g.a.hub.registry.Record(t.Context(), add); err != nil {
		t.Fatal(err)
	}
	g.authorization = "Basic " + base64.StdEncoding.EncodeToString([]byte(add.ID.String()+":"+add.Secret.Reveal()))
	g.values = liveTokens(t, g.a.hub, tokens, 1)
	return g
}

func (g *gateway) post(r benchReplica, path, value string) (int, string) {
	g.t.Helper()
	req, err := http.NewRequestWithContext(g.t.Context(), http.MethodPost, "http://"+r.addr+path, strings.NewReader(url.Values{"token": {value}}.Encode()))
	if err != nil {
		g.t.Fatal(err)
	}
	req.Header.Set("Authorization", g.authorization)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(body))
}

func (g *gateway) active(r benchReplica, value string) bool {
	g.t.Helper()
	status, body := g.post(r, "/token/introspect", value)
	if status != http.StatusOK {
		g.t.Fatalf("introspection: %d %s", status, body)
	}
	if strings.HasPrefix(body, `{"active":true`) {
		return true
	}
	if body != `{"active":false}` {
		g.t.Fatalf("a dead token is told %s", body)
	}
	return false
}

func TestARevocationAtOneReplicaIsObeyedByAnotherWithinASecond(t *testing.T) {
	t.Parallel()
	g := openGateway(t, 2)
	for n, value := range g.values { // a JWT, and a key of the hub's
		if !g.active(g.a, value) || !g.active(g.b, value) {
			t.Fatalf("token %d does not live", n)
		}
		if status, body := g.post(g.a, "/token/revoke", value); status != http.StatusOK || body != "{}" {
			t.Fatalf("%d %s", status, body)
		}
		if g.active(g.a, value) {
			t.Errorf("token %d passes where it was revoked", n)
		}
		time.Sleep(time.Second)
		if g.active(g.b, value) {
			t.Errorf("token %d passes at the other replica a second later", n)
		}
		// Again, and what is none: the same answer.
		for _, again := range []string{value, "psk_test_0000000000000000000000000000004HT7zC", "a.b.c", "x"} {
			if status, body := g.post(g.b, "/token/revoke", again); status != http.StatusOK || body != "{}" {
				t.Errorf("%.12s: %d %s", again, status, body)
			}
		}
	}
}

func TestAReplicaCutFromTheDatabaseRefusesAndRecovers(t *testing.T) {
	t.Parallel()
	g := openGateway(t, 2)
	value := g.values[0]
	if !g.active(g.b, value) {
		t.Fatal("the token does not live")
	}
	conf := g.a.hub.pool.Config().ConnConfig.Copy()
	name := conf.Database
	conf.Database = "postgres"
	admin, err := pgx.ConnectConfig(t.Context(), conf)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(t.Context())
	run := func(sql string) {
		t.Helper()
		if _, err := admin.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	run(`alter database "` + name + `" allow_connections false`)
	run(`select pg_terminate_backend(pid) from pg_stat_activity where datname = '` + name + `'`)
	time.Sleep(time.Second)
	for range 3 {
		if status, body := g.post(g.b, "/token/introspect", value); status != http.StatusServiceUnavailable {
			t.Errorf("it says %d %s", status, body)
		}
		if status, body := g.post(g.b, "/token/revoke", value); status != http.StatusServiceUnavailable {
			t.Errorf("a revocation that is not recorded is told %d %s", status, body)
		}
	}
	run(`alter database "` + name + `" allow_connections true`)
	await(t, func() error {
		if status, body := g.post(g.b, "/token/introspect", value); status != http.StatusOK {
			return fmt.Errorf("%d %s", status, body)
		}
		return nil
	})
	if !g.active(g.b, value) {
		t.Error("a live token is refused when the database is back")
	}
}

func TestBadInputOfTokensIsNamed(t *testing.T) {
	t.Parallel()
	g := openGateway(t, 2)
	for _, path := range []string{"/token/introspect", "/token/revoke"} {
		if status, body := g.post(g.a, path, ""); status != http.StatusBadRequest || !strings.Contains(body, `"/token"`) {
			t.Errorf("%s without a token: %d %s", path, status, body)
		}
		if status, _ := g.post(g.a, path, strings.Repeat("x", 20<<10)); status != http.StatusRequestEntityTooLarge {
			t.Errorf("%s with 20 KiB: %d", path, status)
		}
		authorization := g.authorization
		g.authorization = "Basic bm9ib2R5Onh4"
		if status, _ := g.post(g.a, path, g.values[0]); status != http.StatusUnauthorized {
			t.Errorf("%s as a stranger: %d", path, status)
		}
		g.authorization = authorization
	}
	if !g.active(g.a, g.values[0]) {
		t.Error("a refused call revoked")
	}
}

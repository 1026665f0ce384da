package auth_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/config/definitions"
	"github.com/passerelle-hub/passerelle/httpapi/auth"
	"github.com/passerelle-hub/passerelle/internal/pgtest"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
	"github.com/passerelle-hub/passerelle/internal/store/seal"
	"github.com/passerelle-hub/passerelle/internal/token"
	"github.com/passerelle-hub/passerelle/jobs"
)

// site serves the token endpoints over a database of its own.
type site struct {
	t         *testing.T
	url       string
	store     *store.Store
	pool      *pgxpool.Pool
	registry  *registry.Registry
	catalogue *definitions.Set
	callers   *auth.Authenticator
	ahead     *atomic.Int64 // how far its clock is ahead, in nanoseconds
}

type noPolicy struct{}

func (noPolicy) Policy(string) (registry.Policy, bool) { return registry.Policy{}, false }

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, ahead: &atomic.Int64{}}
	s.pool = pgtest.New(t, store.Migrate)
	key, err := seal.ParseKey("test", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
	if err != nil {
		t.Fatal(err)
	}
	ring, err := seal.NewKeyring(seal.Config{Keys: []seal.Key{key}, Active: "test", Fingerprints: "test"})
	if err != nil {
		t.Fatal(err)
	}
	s.store = store.New(s.pool, ring)
	outbox, err := jobs.NewOutbox(s.store, 10*time.Millisecond, s.now, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	var report definitions.Report
	s.catalogue, report = definitions.Load(definitions.Catalogue(), definitions.Options{})
	if err := report.Err(); err != nil {
		t.Fatal(err)
	}
	s.registry = registry.New(s.store, outbox, s.catalogue, noPolicy{}, registry.Settings{PublicURL: "https://hub.example", TokenEnv: string(token.Test)}, s.now)
	s.callers = &auth.Authenticator{Store: s.store, Registry: s.registry, Env: token.Test, Now: s.now}
	o := auth.OAuth{Authenticator: s.callers}
	mux := http.NewServeMux()
	mux.HandleFunc("/oauth/token", o.Token)
	mux.HandleFunc("/oauth/revoke", o.Revoke)
	mux.HandleFunc("/oauth/introspect", o.Introspect)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

func (s *site) now() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) }

func (s *site) record(cmd registry.Command) {
	s.t.Helper()
	if err := s.registry.Record(s.t.Context(), cmd); err != nil {
		s.t.Fatalf("%T: %v", cmd, err)
	}
}

func (s *site) person(email string, roles ...string) store.Person {
	s.t.Helper()
	cmd := &registry.ChangeRoles{Email: email, Grant: roles}
	s.record(cmd)
	return cmd.Person
}

func (s *site) application(owner store.Person, scopes ...string) *registry.AddApplication {
	s.t.Helper()
	if len(scopes) == 0 {
		scopes = auth.Scopes()
	}
	cmd := &registry.AddApplication{Name: "logiciel", OwnerID: owner.ID, Scopes: scopes}
	s.record(cmd)
	return cmd
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

func (s *site) send(method, path, body string, header ...string) answer {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, raw}
}

func (s *site) post(path, body string, header ...string) answer {
	s.t.Helper()
	return s.send(http.MethodPost, path, body, header...)
}

// authenticated posts a form as an application.
func (s *site) authenticated(path string, app *registry.AddApplication, form url.Values, basic bool) answer {
	s.t.Helper()
	if basic {
		req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "/", nil)
		if err != nil {
			s.t.Fatal(err)
		}
		req.SetBasicAuth(app.ID.String(), app.Secret.Reveal())
		return s.post(path, form.Encode(), "Authorization", req.Header.Get("Authorization"))
	}
	form.Set("client_id", app.ID.String())
	form.Set("client_secret", app.Secret.Reveal())
	return s.post(path, form.Encode())
}

func (s *site) token(app *registry.AddApplication, scopes ...string) string {
	s.t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {strings.Join(scopes, " ")}}
	a := s.authenticated("/oauth/token", app, form, false)
	var got struct {
		Value string `json:"access_token"`
	}
	if err := json.Unmarshal(a.body, &got); err != nil || got.Value == "" {
		s.t.Fatalf("no token: %d %s", a.status, a.body)
	}
	return got.Value
}

// identify asks who calls with a bearer token.
func (s *site) identify(bearer string, header ...string) (auth.Caller, error) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, "/", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+bearer)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return s.callers.Identify(r)
}

func denied(err error, reason auth.Reason) bool {
	var d *auth.Denial
	return errors.As(err, &d) && d.Reason == reason
}

func (s *site) count(query string, args ...any) int {
	s.t.Helper()
	var n int
	if err := s.pool.QueryRow(s.t.Context(), query, args...).Scan(&n); err != nil {
		s.t.Fatal(err)
	}
	return n
}

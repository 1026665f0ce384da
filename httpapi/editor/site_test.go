package editor_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/config/definitions"
	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/httpapi"
	"github.com/passerelle-hub/passerelle/httpapi/apitest"
	"github.com/passerelle-hub/passerelle/httpapi/auth"
	"github.com/passerelle-hub/passerelle/httpapi/editor"
	"github.com/passerelle-hub/passerelle/httpapi/handover"
	"github.com/passerelle-hub/passerelle/httpapi/hub"
	"github.com/passerelle-hub/passerelle/httpapi/v1"
	"github.com/passerelle-hub/passerelle/internal/pgtest"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
	"github.com/passerelle-hub/passerelle/internal/store/seal"
	"github.com/passerelle-hub/passerelle/internal/token"
	"github.com/passerelle-hub/passerelle/jobs"
)

const (
	maxBody   = 256 << 10
	ourEditor = "3d_ouest" // the one that the sample names
	other     = "agedi"
	ourForm   = "api-particulier-3d-ouest"
)

// site is the public listener over a database of its own; every exchange with
// editors is held against the contract.
type site struct {
	t        testing.TB
	url      string
	client   *http.Client
	contract *apitest.Contract
	store    *store.Store
	pool     *pgxpool.Pool
	registry *registry.Registry
	ahead    *atomic.Int64 // how far its clock is ahead, in nanoseconds
	handler  *editor.Handler
	next     int64                 // id of the next request
	grace    connectors.GraceModel // that the manager has
}

// declared lets editors fetch by a declared link, but for one definition.
type declared struct{}

func (declared) Policy(definition string) (registry.Policy, bool) {
	p := registry.Policy{Managers: []string{"m"}, Lifetime: func(t time.Time) time.Time { return t.AddDate(0, 18, 0) }, EditorFetch: registry.FetchByDeclared}
	if definition != "api_particulier" {
		p.EditorFetch = registry.FetchByConsent
	}
	return p, true
}

func newSite(t testing.TB, change ...func(*editor.Handler)) *site {
	t.Helper()
	s := &site{t: t, ahead: &atomic.Int64{}, next: 70_000, grace: connectors.GraceAny}
	s.pool = pgtest.New(t, store.Migrate)
	sealing, err := seal.ParseKey("test", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
	if err != nil {
		t.Fatal(err)
	}
	ring, err := seal.NewKeyring(seal.Config{Keys: []seal.Key{sealing}, Active: "test", Fingerprints: "test"})
	if err != nil {
		t.Fatal(err)
	}
	s.store = store.New(s.pool, ring)
	outbox, err := jobs.NewOutbox(s.store, 10*time.Millisecond, s.now, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	catalogue, report := definitions.Load(definitions.Catalogue(), definitions.Options{})
	if err := report.Err(); err != nil {
		t.Fatal(err)
	}
	s.registry = registry.New(s.store, outbox, catalogue, declared{}, registry.Settings{
		PublicURL: "https://hub.example", TokenEnv: string(token.Test), LinkLifetime: 7 * 24 * time.Hour, CopyLifetime: 30 * 24 * time.Hour,
		ReplaceGrace: 24 * time.Hour, Capabilities: func(string) (connectors.Capabilities, bool) {
			return connectors.Capabilities{Grace: s.grace, CallerSecret: true}, true
		},
	}, s.now)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { s.registry.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })

	callers := &auth.Authenticator{Store: s.store, Registry: s.registry, Env: token.Test, Now: s.now}
	s.handler = &editor.Handler{
		Store: s.store, Registry: s.registry, Catalogue: catalogue, Callers: callers, MaxBody: maxBody, PerEditor: 1_000_000, Fetches: 1_000_000, Now: s.now,
	}
	for _, c := range change {
		c(s.handler)
	}
	pages, err := handover.New(s.store, s.registry)
	if err != nil {
		t.Fatal(err)
	}
	mails, err := hub.NewUnsubscribe(s.registry)
	if err != nil {
		t.Fatal(err)
	}
	routes := httpapi.Routes{
		Around: httpapi.Around{Log: zerolog.New(shownOnFailure(t)).Level(zerolog.WarnLevel), Duration: httpapi.NewDuration()}, Health: &httpapi.Health{},
		DataPass: http.NotFoundHandler(), Bounces: http.NotFoundHandler(), Mails: mails, Handover: pages, Editor: s.handler,
		V1: &v1.Handler{
			Store: s.store, Registry: s.registry, Callers: callers, Catalogue: catalogue, PerClient: 1_000_000, MaxBody: maxBody, Now: s.now,
		},
		Hub:        &hub.Handler{Store: s.store, Registry: s.registry, Callers: callers, Catalogue: catalogue, PerClient: 1_000_000, MaxBody: maxBody},
		PerAddress: 1_000_000,
	}
	server := httptest.NewServer(routes.Handler())
	t.Cleanup(server.Close)
	s.url = server.URL
	s.contract = apitest.Load(t, "/editor/v1/")
	s.client = s.contract.Client(t)
	return s
}

func shownOnFailure(t testing.TB) io.Writer {
	var log bytes.Buffer
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(log.String())
		}
	})
	return zerolog.SyncWriter(&log)
}

func (s *site) now() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) }

func (s *site) later(d time.Duration) { s.ahead.Add(int64(d)) }

func (s *site) record(cmd registry.Command) {
	s.t.Helper()
	if err := s.registry.Record(s.t.Context(), cmd); err != nil {
		s.t.Fatalf("%T: %v", cmd, err)
	}
}

// machine gives an access token of a new machine of an editor.
func (s *site) machine(id string, scopes ...string) string {
	s.t.Helper()
	add := &registry.AddApplication{Name: "logiciel", Editor: id, Scopes: auth.EditorScopes()}
	s.record(add)
	return s.sign(add, scopes...)
}

func (s *site) sign(add *registry.AddApplication, scopes ...string) string {
	s.t.Helper()
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {add.ID.String()}, "client_secret": {add.Secret.Reveal()}, "scope": {strings.Join(scopes, " ")},
	}
	var got struct {
		Value   string `json:"access_token"`
		Expires int    `json:"expires_in"`
	}
	s.call(http.MethodPost, "/token", "", form.Encode(), "Content-Type", "application/x-www-form-urlencoded").into(http.StatusOK, &got)
	if got.Expires != 600 {
		s.t.Errorf("an editor's token lives %d s, want 600", got.Expires)
	}
	return got.Value
}

// granted is a request of a client with its key.
type granted struct {
	request int64 // ours
	source  int64 // DataPass's
	id      uuid.UUID
	secret  string
}

// body is DataPass's sample, for another request.
func (s *site) body(id int64, event, editorID string, firedAt time.Time) []byte {
	s.t.Helper()
	raw, err := os.ReadFile("../../internal/registry/testdata/webhook-approve-formulaire-qf.json")
	if err != nil {
		s.t.Fatal(err)
	}
	var b map[string]any
	if err := json.Unmarshal(raw, &b); err != nil {
		s.t.Fatal(err)
	}
	data := b["data"].(map[string]any)
	b["event"], b["fired_at"], b["model_id"], data["id"] = event, firedAt.Unix(), id, id
	data["public_id"] = uuid.NewString()
	for i, h := range data["authorizations"].([]any) {
		h.(map[string]any)["id"] = id*10 + int64(i)
		if event == "revoke" {
			h.(map[string]any)["state"] = "revoked"
		}
	}
	if event == "revoke" {
		data["state"] = "revoked"
	}
	data["service_provider"] = map[string]any{"id": editorID, "type": "editor", "siret": nil}
	if editorID == "" {
		data["service_provider"] = nil
		data["form_uid"] = "api-particulier"
	}
	out, err := json.Marshal(b)
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

func (s *site) receive(source int64, event, editorID string, firedAt time.Time) {
	s.t.Helper()
	_, err := s.registry.Receive(s.t.Context(), registry.Webhook{
		Source: "datapass", Environment: "sandbox", Declared: "sandbox", Body: s.body(source, event, editorID, firedAt),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.record(&registry.ApplyInbound{Key: store.InboundKey{Source: "datapass", ExternalID: source}})
}

// approve has a request granted whose form names the editor, and its key made.
func (s *site) approve(editorID string) granted {
	s.t.Helper()
	s.next++
	g := granted{source: s.next}
	s.receive(g.source, "approve", editorID, time.Now().Add(-time.Hour))
	err := s.pool.QueryRow(s.t.Context(), `select r.id, c.id from request r join credential c on c.request_id = r.id where r.external_id = $1`, g.source).
		Scan(&g.request, &g.id)
	if err != nil {
		s.t.Fatal(err)
	}
	g.secret = s.issue(g.id)
	return g
}

// issue does what a manager's job does.
func (s *site) issue(id uuid.UUID) string {
	s.t.Helper()
	value, err := token.New(token.ClientKey, token.Test)
	if err != nil {
		s.t.Fatal(err)
	}
	s.record(&registry.PrepareCredential{CredentialID: id, Secret: connectors.NewSecret(value.Value()), Hint: value.Display()})
	s.record(&registry.StartStep{CredentialID: id, Step: "subject"})
	s.record(&registry.CredentialVerified{CredentialID: id})
	return value.Value()
}

type answer struct {
	t      testing.TB
	status int
	header http.Header
	body   []byte
	what   string
}

// call sends body: any JSON value, text as it is, nil for none. header is pairs.
func (s *site) call(method, path, bearer string, body any, header ...string) answer {
	s.t.Helper()
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(b)
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			s.t.Fatal(err)
		}
		reader = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+"/editor/v1"+path, reader)
	if err != nil {
		s.t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := s.client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	if resp.Header.Get("Cache-Control") != "no-store" {
		s.t.Errorf("%s %s: Cache-Control is %q", method, path, resp.Header.Get("Cache-Control"))
	}
	return answer{s.t, resp.StatusCode, resp.Header, raw, method + " " + path}
}

func (s *site) get(path, bearer string) answer { return s.call(http.MethodGet, path, bearer, nil) }

func (s *site) post(path, bearer string, body any) answer {
	return s.call(http.MethodPost, path, bearer, body)
}

// into decodes an answer of that status.
func (a answer) into(status int, v any) {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("%s: %d, want %d: %s", a.what, a.status, status, a.body)
	}
	if v == nil {
		return
	}
	if err := json.Unmarshal(a.body, v); err != nil {
		a.t.Fatalf("%s: %v: %s", a.what, err, a.body)
	}
}

// problem gives the status, the code and the places at fault, on one line.
func (a answer) problem() string {
	a.t.Helper()
	var p struct {
		Type   string `json:"type"`
		Errors []struct {
			Pointer, Parameter string
		} `json:"errors"`
	}
	if a.header.Get("Content-Type") != "application/problem+json" {
		a.t.Fatalf("%s: %d is no problem document: %s", a.what, a.status, a.body)
	}
	if err := json.Unmarshal(a.body, &p); err != nil {
		a.t.Fatal(err)
	}
	text := fmt.Sprintf("%d %s", a.status, strings.TrimPrefix(p.Type, "/docs/erreurs#"))
	for _, e := range p.Errors {
		text += " " + e.Pointer + e.Parameter
	}
	return text
}

type fetched struct {
	ID          uuid.UUID `json:"id"`
	FetchID     uuid.UUID `json:"fetch_id"`
	Secret      string    `json:"secret"`
	Format      string    `json:"format"`
	KID         string    `json:"kid"`
	Fingerprint string    `json:"fingerprint"`
}

func (s *site) fetch(bearer string, id uuid.UUID) fetched {
	s.t.Helper()
	var f fetched
	s.post("/keys/"+id.String()+"/fetch", bearer, nil).into(http.StatusOK, &f)
	return f
}

func (s *site) count(query string, args ...any) int {
	s.t.Helper()
	var n int
	if err := s.pool.QueryRow(s.t.Context(), query, args...).Scan(&n); err != nil {
		s.t.Fatal(err)
	}
	return n
}

type change struct {
	Seq    int64  `json:"seq"`
	Type   string `json:"type"`
	Object struct {
		Type, ID string
	} `json:"object"`
}

type feed struct {
	Data    []change `json:"data"`
	Next    string   `json:"next"`
	HasMore bool     `json:"has_more"`
}

func (s *site) feed(bearer, after string) feed {
	s.t.Helper()
	var f feed
	s.get("/changes?after="+url.QueryEscape(after), bearer).into(http.StatusOK, &f)
	return f
}

func (f feed) types() string {
	var types []string
	for _, c := range f.Data {
		types = append(types, c.Type)
	}
	return strings.Join(types, " ")
}

package v1_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/config/definitions"
	"github.com/passerelle-hub/passerelle/httpapi"
	"github.com/passerelle-hub/passerelle/httpapi/apitest"
	"github.com/passerelle-hub/passerelle/httpapi/auth"
	"github.com/passerelle-hub/passerelle/httpapi/v1"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/pgtest"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
	"github.com/passerelle-hub/passerelle/internal/store/seal"
	"github.com/passerelle-hub/passerelle/internal/token"
	"github.com/passerelle-hub/passerelle/jobs"
)

// site is the public listener over a database of its own.
type site struct {
	t         *testing.T
	url       string
	store     *store.Store
	pool      *pgxpool.Pool
	registry  *registry.Registry
	catalogue *definitions.Set
	ahead     *atomic.Int64 // how far its clock is ahead, in nanoseconds
	log       *bytes.Buffer
	client    *http.Client // holds every exchange against openapi.yaml
}

var (
	loadContract sync.Once
	theContract  *apitest.Contract
)

// contract is openapi.yaml, read once.
func contract(t *testing.T) *apitest.Contract {
	t.Helper()
	loadContract.Do(func() { theContract = apitest.Load(t, "/api/") })
	return theContract
}

type oneManager struct{}

func (oneManager) Policy(string) (registry.Policy, bool) {
	return registry.Policy{Managers: []string{"m"}, Lifetime: func(t time.Time) time.Time { return t.AddDate(0, 18, 0) }}, true
}

const maxBody = 64 << 10

func newSite(t *testing.T) *site { return newSiteWith(t, 10_000) }

// newSiteWith lets an application send perClient requests a minute.
func newSiteWith(t *testing.T, perClient int) *site {
	t.Helper()
	s := &site{t: t, ahead: &atomic.Int64{}, log: &bytes.Buffer{}, client: contract(t).Client(t)}
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
	s.registry = registry.New(s.store, outbox, s.catalogue, oneManager{}, registry.Settings{
		PublicURL: "https://hub.example", TokenEnv: string(token.Test), LinkLifetime: time.Hour,
	}, s.now)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { s.registry.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })

	callers := &auth.Authenticator{Store: s.store, Registry: s.registry, Env: token.Test, Now: s.now}
	routes := httpapi.Routes{
		Around:   httpapi.Around{Log: zerolog.New(zerolog.SyncWriter(s.log)), Duration: httpapi.NewDuration()},
		Health:   &httpapi.Health{},
		DataPass: http.NotFoundHandler(), Bounces: http.NotFoundHandler(),
		V1: &v1.Handler{
			Store: s.store, Registry: s.registry, Callers: callers, Catalogue: s.catalogue, PerClient: perClient, MaxBody: maxBody, Now: s.now,
			Sources: map[string]string{"datapass": "https://datapass.example"},
		},
		PerAddress: 10_000,
	}
	prometheus.NewRegistry().MustRegister(routes.Around.Duration)
	server := httptest.NewServer(routes.Handler())
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

func (s *site) now() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) }

// person has roles.
func (s *site) person(email string, roles ...string) store.Person {
	s.t.Helper()
	cmd := &registry.ChangeRoles{Email: email, Grant: roles}
	s.record(cmd)
	return cmd.Person
}

func (s *site) record(cmd registry.Command) {
	s.t.Helper()
	if err := s.registry.Record(s.t.Context(), cmd); err != nil {
		s.t.Fatalf("%T: %v", cmd, err)
	}
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

// token asks for one as a client does.
func (s *site) token(app *registry.AddApplication, scopes ...string) string {
	s.t.Helper()
	if len(scopes) == 0 {
		scopes = auth.Scopes()
	}
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {app.ID.String()}, "client_secret": {app.Secret.Reveal()},
		"scope": {strings.Join(scopes, " ")},
	}
	resp, err := s.client.PostForm(s.url+"/api/v1/oauth/token", form)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.AccessToken == "" {
		s.t.Fatalf("no token: %d %v", resp.StatusCode, err)
	}
	return answer.AccessToken
}

// developer gives a token with every scope, for these roles.
func (s *site) developer(roles ...string) string {
	s.t.Helper()
	return s.token(s.application(s.person("dev-"+uuid.NewString()+"@dinum.example", roles...)))
}

type answer struct {
	status int
	header http.Header
	body   []byte
	req    *http.Request
}

// call sends body (any JSON value, a string as it is, nil for none).
func (s *site) call(method, path, bearer string, body any, header ...string) answer {
	s.t.Helper()
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(b)
	case io.Reader:
		reader = b
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			s.t.Fatal(err)
		}
		reader = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, reader)
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
	return answer{resp.StatusCode, resp.Header, raw, req}
}

func (s *site) get(path, bearer string) answer {
	s.t.Helper()
	return s.call(http.MethodGet, path, bearer, nil)
}

// into decodes a success.
func (a answer) into(t *testing.T, status int, v any) {
	t.Helper()
	if a.status != status {
		t.Fatalf("%s %s: %d %s", a.req.Method, a.req.URL.Path, a.status, a.body)
	}
	if err := json.Unmarshal(a.body, v); err != nil {
		t.Fatal(err)
	}
}

type wireError struct {
	Status string `json:"status"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Source *struct {
		Pointer string `json:"pointer"`
	} `json:"source"`
}

// line is an error on one line.
func (e wireError) line() string {
	text := e.Status + " " + e.Title + ": " + e.Detail
	if e.Source != nil {
		text += " [" + e.Source.Pointer + "]"
	}
	return text
}

// errors decodes errors[]; it fails when the answer has another form.
func (a answer) errors(t *testing.T) []string {
	t.Helper()
	var body struct {
		Errors []wireError `json:"errors"`
	}
	decoder := json.NewDecoder(bytes.NewReader(a.body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&body); err != nil || len(body.Errors) == 0 || a.header.Get("Content-Type") != "application/json" {
		t.Fatalf("%s %s: not errors[]: %d %s %s", a.req.Method, a.req.URL.Path, a.status, a.header.Get("Content-Type"), a.body)
	}
	lines := make([]string, len(body.Errors))
	for i, e := range body.Errors {
		lines[i] = e.line()
	}
	return lines
}

// mirror has the hub take in one of DataPass's bodies.
func (s *site) mirror(name string) {
	s.t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "..", "internal", "registry", "testdata", name))
	if err != nil {
		s.t.Fatal(err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, raw); err != nil {
		s.t.Fatal(err)
	}
	_, err = s.registry.Receive(s.t.Context(), registry.Webhook{Source: "datapass", Environment: "sandbox", Body: compact.Bytes()})
	if err != nil {
		s.t.Fatal(err)
	}
	var envelope struct {
		ModelID int64 `json:"model_id"`
	}
	if err := json.Unmarshal(raw, &envelope); err != nil {
		s.t.Fatal(err)
	}
	s.record(&registry.ApplyInbound{Key: store.InboundKey{Source: "datapass", ExternalID: envelope.ModelID}})
}

// creation is the body of a creation for API Entreprise, with changes laid over it.
func creation(changes map[string]any) map[string]any {
	demande := map[string]any{
		"form_uid": "api-entreprise", "type": "api_entreprise",
		"applicant": map[string]any{
			"email": "Jeanne.Morvan@valbrise-sur-ormes.example", "given_name": "Jeanne", "family_name": "Morvan",
			"job_title": "Responsable de la commande publique", "phone_number": "0465710012",
		},
		"organization": map[string]any{"siret": "21380999900013"},
		"data":         map[string]any{"intitule": "Candidatures aux marchés publics", "scopes": []string{"attestation_fiscale_dgfip"}},
	}
	for key, value := range changes {
		if value == nil {
			delete(demande, key)
		} else {
			demande[key] = value
		}
	}
	return map[string]any{"demande": demande}
}

// created is a request made through the API.
func (s *site) created(bearer string) int64 {
	s.t.Helper()
	var made struct {
		ID int64 `json:"id"`
	}
	s.call(http.MethodPost, "/api/v1/demandes", bearer, creation(nil)).into(s.t, http.StatusCreated, &made)
	return made.ID
}

// applicantOf is the applicant of a native request, as the rules see him.
func (s *site) applicantOf(id int64) registry.Target {
	s.t.Helper()
	r, err := s.store.Request(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	return registry.Target{ID: id, Caller: habilitation.Viewer{
		Actor: habilitation.Actor{Person: r.Applicant.ID, Organization: r.Organization.ID}, Email: r.Applicant.Email, Verified: true,
	}}
}

func instructor(id int64) registry.Target {
	roles, _ := habilitation.ParseRoles([]string{"dinum:*:instructor"})
	return registry.Target{ID: id, Caller: habilitation.Viewer{Actor: habilitation.Actor{Person: 1, Roles: roles}}}
}

func (s *site) count(query string, args ...any) int {
	s.t.Helper()
	var n int
	if err := s.pool.QueryRow(s.t.Context(), query, args...).Scan(&n); err != nil {
		s.t.Fatal(err)
	}
	return n
}

// endpoint is a subscription to a definition's events.
func (s *site) endpoint(definition string) int64 {
	s.t.Helper()
	return int64(s.count(`
insert into endpoint (definition, url, secrets_sealed, events, created_at, updated_at)
values ($1, 'https://fournisseur.example', '', '{*}', now(), now()) returning id`, definition))
}

// attempt is one try to deliver the approval of the first request; status is a
// number or null.
func (s *site) attempt(endpoint int64, at, status, answer string) {
	s.t.Helper()
	_, err := s.pool.Exec(s.t.Context(), `
insert into attempt (endpoint_id, event_id, type, request_id, n, at, outcome, status, duration_ms, answer)
select $1, gen_random_uuid(), 'approve', min(id), 1, $2, 'failed', `+status+`, 3, $3 from request`, endpoint, at, answer)
	if err != nil {
		s.t.Fatal(err)
	}
}

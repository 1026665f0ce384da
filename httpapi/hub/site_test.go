package hub_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/config/definitions"
	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
	"github.com/passerelle-hub/passerelle/connectors/webhook"
	"github.com/passerelle-hub/passerelle/httpapi"
	"github.com/passerelle-hub/passerelle/httpapi/apitest"
	"github.com/passerelle-hub/passerelle/httpapi/auth"
	"github.com/passerelle-hub/passerelle/httpapi/hub"
	"github.com/passerelle-hub/passerelle/httpapi/v1"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/jose"
	"github.com/passerelle-hub/passerelle/internal/pgtest"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
	"github.com/passerelle-hub/passerelle/internal/store/seal"
	"github.com/passerelle-hub/passerelle/internal/token"
	"github.com/passerelle-hub/passerelle/jobs"
)

const (
	maxBody  = 64 << 10
	issuer   = "https://identite.example"
	audience = "passerelle"
	town     = "21380999900013"
	ccas     = "21380999900021"
)

// site is the public listener over a database of its own; every exchange is
// held against the contract.
type site struct {
	t         testing.TB
	url       string
	client    *http.Client
	contract  *apitest.Contract
	store     *store.Store
	pool      *pgxpool.Pool
	registry  *registry.Registry
	catalogue *definitions.Set
	ahead     *atomic.Int64 // how far its clock is ahead, in nanoseconds
	key       jose.PrivateKey
	handler   *hub.Handler
	can       connectors.Capabilities // of the one manager
}

type oneManager struct{}

func (oneManager) Policy(string) (registry.Policy, bool) {
	return registry.Policy{Managers: []string{"m"}, Lifetime: func(t time.Time) time.Time { return t.AddDate(0, 18, 0) }}, true
}

func newSite(t testing.TB) *site { return newLimitedSite(t, 1_000_000) }

func newLimitedSite(t testing.TB, perMinute int) *site {
	t.Helper()
	s := &site{t: t, ahead: &atomic.Int64{}, can: connectors.Capabilities{
		CallerSecret: true, MultiSecret: true, Grace: connectors.GraceAny, RevocationBound: 5 * time.Second,
	}}
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
	var report definitions.Report
	s.catalogue, report = definitions.Load(definitions.Catalogue(), definitions.Options{})
	if err := report.Err(); err != nil {
		t.Fatal(err)
	}
	public, err := outbound.Public(outbound.PublicSettings{Allow: []string{"127.0.0.1"}, Ports: []int{443, 8443}}, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	if s.key, err = jose.GenerateKey(jose.ES256); err != nil {
		t.Fatal(err)
	}
	s.registry = registry.New(s.store, outbox, s.catalogue, oneManager{}, registry.Settings{
		PublicURL: "https://hub.example", TokenEnv: string(token.Test), LinkLifetime: time.Hour, OpsAddress: "ops@hub.example",
		SigningKeys: signingKeys{}, CheckURL: public.CheckURL, MaxEndpoints: maxEndpoints,
		ReplayRate:   50,
		Capabilities: func(name string) (connectors.Capabilities, bool) { return s.can, name == "m" },
	}, s.now)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { s.registry.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })

	callers := &auth.Authenticator{Store: s.store, Registry: s.registry, Env: token.Test, Now: s.now, Issuers: []auth.Issuer{{
		Verifier: jose.Verifier{
			Issuer: issuer, Audience: audience, Algs: []jose.Alg{jose.ES256}, Keys: jose.StaticKeys{s.key.Public()}, Types: []string{"", "jwt"}, Now: s.now,
		},
	}}}
	s.handler = &hub.Handler{
		Store: s.store, Registry: s.registry, Callers: callers, Catalogue: s.catalogue, PerClient: perMinute, MaxBody: maxBody,
		Sources: map[string]string{"datapass": "https://datapass.example"},
		Tester:  &registry.Tester{Registry: s.registry, Deliverer: webhook.New(public), Sign: signed, Timeout: 5 * time.Second},
	}
	mails, err := hub.NewUnsubscribe(s.registry)
	if err != nil {
		t.Fatal(err)
	}
	routes := httpapi.Routes{
		Around: httpapi.Around{Log: zerolog.New(shownOnFailure(t)).Level(zerolog.WarnLevel), Duration: httpapi.NewDuration()}, Health: &httpapi.Health{},
		DataPass: http.NotFoundHandler(), Bounces: http.NotFoundHandler(), Mails: mails, Hub: s.handler,
		V1: &v1.Handler{
			Store: s.store, Registry: s.registry, Callers: callers, Catalogue: s.catalogue, PerClient: 1_000_000, MaxBody: maxBody, Now: s.now,
		},
		PerAddress: 1_000_000,
	}
	server := httptest.NewServer(routes.Handler())
	t.Cleanup(server.Close)
	s.url = server.URL
	s.contract = apitest.Load(t, "/hub/v1/")
	s.client = s.contract.Client(t)
	return s
}

// shownOnFailure keeps the log of a test that passed out of its output.
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

// person gives the token of a person of an organisation ("" for none) with roles.
func (s *site) person(email, siret string, verified bool, roles ...string) string {
	s.t.Helper()
	err := s.store.InTx(s.t.Context(), func(tx *store.Tx) error {
		p, err := tx.UpsertPerson(s.t.Context(), habilitation.Applicant{Email: email, GivenName: "Zoé", FamilyName: "Martin"})
		if err != nil {
			return err
		}
		if err := tx.SetRoles(s.t.Context(), p.ID, roles); err != nil || siret == "" {
			return err
		}
		o, err := tx.EnsureOrganization(s.t.Context(), siret)
		if err != nil {
			return err
		}
		return tx.Link(s.t.Context(), p.ID, o.ID, verified)
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return s.signed(email)
}

func (s *site) signed(email string) string {
	s.t.Helper()
	value, err := s.key.Sign("JWT", map[string]any{
		"iss": issuer, "aud": audience, "sub": "sub-" + email, "iat": s.now().Unix(), "exp": s.now().Add(time.Hour).Unix(),
		"email": email, "email_verified": true,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return value
}

// application gives the access token of an application of a person.
func (s *site) application(owner string, scopes ...string) string {
	s.t.Helper()
	p, err := s.store.PersonByEmail(s.t.Context(), owner)
	if err != nil {
		s.t.Fatal(err)
	}
	add := &registry.AddApplication{Name: "logiciel", OwnerID: p.ID, Scopes: auth.Scopes()}
	s.record(add)
	issue := &registry.IssueAccessToken{Application: store.Application{ID: add.ID}, Scopes: scopes}
	s.record(issue)
	return issue.Value.Reveal()
}

func (s *site) record(cmd registry.Command) {
	s.t.Helper()
	if err := s.registry.Record(s.t.Context(), cmd); err != nil {
		s.t.Fatalf("%T: %v", cmd, err)
	}
}

// answer is what came back.
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
	case io.Reader:
		reader = b
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			s.t.Fatal(err)
		}
		reader = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+"/hub/v1"+path, reader)
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
	return answer{s.t, resp.StatusCode, resp.Header, raw, method + " " + path}
}

func (s *site) get(path, bearer string) answer {
	s.t.Helper()
	return s.call(http.MethodGet, path, bearer, nil)
}

// do posts an action on whatever version the request has.
func (s *site) do(id int64, action, bearer string, body any) answer {
	s.t.Helper()
	return s.call(http.MethodPost, fmt.Sprintf("/requests/%d/%s", id, action), bearer, body, "If-Match", "*")
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

// request is what tests read of one.
type request struct {
	ID            int64          `json:"id"`
	State         string         `json:"state"`
	Definition    string         `json:"definition_id"`
	Reopening     bool           `json:"reopening"`
	Version       int64          `json:"version"`
	Summary       bool           `json:"summary"`
	Data          map[string]any `json:"data"`
	Habilitations []struct {
		ID    int64  `json:"id"`
		State string `json:"state"`
	} `json:"habilitations"`
}

// faults gives the problem's status, code and the places at fault, on one line.
func (a answer) problem() string {
	a.t.Helper()
	var p struct {
		Type   string `json:"type"`
		Status int    `json:"status"`
		Errors []struct {
			Pointer, Header, Parameter string
		} `json:"errors"`
	}
	if a.header.Get("Content-Type") != "application/problem+json" {
		a.t.Fatalf("%s: %d %s is no problem document: %s", a.what, a.status, a.header.Get("Content-Type"), a.body)
	}
	if err := json.Unmarshal(a.body, &p); err != nil || p.Status != a.status {
		a.t.Fatalf("%s: %v: %s", a.what, err, a.body)
	}
	text := fmt.Sprintf("%d %s", p.Status, strings.TrimPrefix(p.Type, "/docs/erreurs#"))
	for _, e := range p.Errors {
		text += " " + e.Pointer + e.Header + e.Parameter
	}
	return text
}

// data are complete answers for API Entreprise, or as many as a definition takes.
func (s *site) data(definition string, more map[string]any) map[string]any {
	s.t.Helper()
	answers := map[string]any{
		"intitule": "Cantine scolaire", "description": "Calculer le tarif de la cantine.",
		"destinataire_donnees_caractere_personnel":       "Le service des familles",
		"duree_conservation_donnees_caractere_personnel": 12,
		"cadre_juridique_nature":                         "Délibération", "cadre_juridique_url": "https://valbrise.example/deliberation",
		"scopes": []string{"unites_legales_etablissements_insee"},
	}
	for _, c := range habilitation.ContactKinds() {
		maps.Copy(answers, map[string]any{
			c + "_given_name": "Lise", c + "_family_name": "Armand", c + "_job_title": "Directrice", c + "_phone_number": "0612345678",
			c + "_email": strings.ReplaceAll(c, "_", "-") + "@valbrise.example",
		})
	}
	d, ok := s.catalogue.Definition(definition)
	if !ok {
		s.t.Fatalf("no definition %s", definition)
	}
	accepted := map[string]bool{}
	for _, key := range d.AcceptedKeys() {
		accepted[key] = true
	}
	maps.DeleteFunc(answers, func(key string, _ any) bool { return !accepted[key] })
	maps.Copy(answers, more)
	return answers
}

// sandbox are complete answers for the first stage of API Impôt particulier.
func (s *site) sandbox() map[string]any {
	return s.data("api_impot_particulier_sandbox", map[string]any{
		"scopes": []string{"dgfip_annee_n_moins_1", "dgfip_rfr"}, "modalities": []string{"with_spi"}, "dpd_homologation_checkbox": true,
	})
}

// people are the callers of most tests.
type people struct{ applicant, instructor string }

func (s *site) people() people {
	return people{
		s.person("jeanne.morvan@valbrise.example", town, true),
		s.person("ines.lacombe@dinum.example", "", false, "dinum:*:instructor", "dgfip:*:instructor"),
	}
}

func (s *site) create(bearer, definition string, data map[string]any) request {
	s.t.Helper()
	var r request
	s.call(http.MethodPost, "/requests", bearer, map[string]any{"definition_id": definition, "data": data}).into(http.StatusCreated, &r)
	return r
}

var consents = map[string]any{"terms_of_service_accepted": true, "data_protection_officer_informed": true}

// in brings a new request into a state, by the API.
func (s *site) in(p people, state, definition string, data map[string]any) request {
	s.t.Helper()
	r := s.create(p.applicant, definition, data)
	step := func(action, bearer string, body any) { s.do(r.ID, action, bearer, body).into(http.StatusOK, &r) }
	if state == "draft" {
		return r
	}
	step("submit", p.applicant, consents)
	switch state {
	case "submitted":
	case "refused":
		step("refuse", p.instructor, map[string]any{"reason": "Non"})
	case "changes_requested":
		step("request-changes", p.instructor, map[string]any{"reason": "Précisez"})
	default:
		step("approve", p.instructor, nil)
	}
	switch state {
	case "reopening":
		step("reopen", p.applicant, nil)
	case "next_stage":
		step("start-next-stage", p.applicant, nil)
	case "revoked":
		step("revoke", p.instructor, map[string]any{"reason": "Non"})
	}
	return r
}

func (s *site) count(query string, args ...any) int {
	s.t.Helper()
	var n int
	if err := s.pool.QueryRow(s.t.Context(), query, args...).Scan(&n); err != nil {
		s.t.Fatal(err)
	}
	return n
}

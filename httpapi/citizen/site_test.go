package citizen_test

import (
	"context"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/config/definitions"
	"github.com/passerelle-hub/passerelle/httpapi"
	"github.com/passerelle-hub/passerelle/httpapi/apitest"
	"github.com/passerelle-hub/passerelle/httpapi/auth"
	"github.com/passerelle-hub/passerelle/httpapi/citizen"
	"github.com/passerelle-hub/passerelle/httpapi/v1"
	"github.com/passerelle-hub/passerelle/internal/habilitation"
	"github.com/passerelle-hub/passerelle/internal/pgtest"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
	"github.com/passerelle-hub/passerelle/jobs"
)

// site is the public listener over a database of its own.
type site struct {
	t     testing.TB
	url   string
	pool  *pgxpool.Pool
	store *store.Store
	http  *http.Client

	contract *apitest.Contract
}

// callers are known by their names.
type callers struct{}

func (callers) Identify(r *http.Request) (auth.Caller, error) {
	switch r.Header.Get("Authorization") {
	case "Bearer developer":
		return auth.Caller{Roles: habilitation.Roles{List: []habilitation.Role{{Provider: "dinum", Definition: "formulaire_qf", Kind: habilitation.RoleDeveloper}}}}, nil
	case "Bearer reader":
		return auth.Caller{}, nil
	}
	return auth.Caller{}, &auth.Denial{Reason: auth.Missing}
}

func newSite(t testing.TB, perMinute int) *site {
	t.Helper()
	s := &site{t: t, pool: pgtest.New(t, store.Migrate)}
	s.store = store.New(s.pool, nil)
	outbox, err := jobs.NewOutbox(s.store, 10*time.Millisecond, time.Now, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	catalogue, report := definitions.Load(definitions.Catalogue(), definitions.Options{})
	if err := report.Err(); err != nil {
		t.Fatal(err)
	}
	s.contract = apitest.Load(t, "/api/collectivites")
	server := httptest.NewUnstartedServer(nil)
	s.url = "http://" + server.Listener.Addr().String()
	handler, err := citizen.New(citizen.Handler{
		Store: s.store, Now: time.Now, Callers: callers{}, Definition: catalogue.Definition,
		Registry: registry.New(s.store, outbox, catalogue, nil, registry.Settings{}, time.Now), Open: func() bool { return true },
		Site: citizen.Site{
			PublicURL: s.url, Contact: "aide@exemple.fr", Trial: true, Operator: "Agence des usages publics", Address: "1 rue des Essais, 75000 Paris",
			Publisher: "Camille Fictive", Host: "Hébergeur Exemple, 2 rue des Essais, 75000 Paris, 01 00 00 00 00", DataProtection: "dpo@exemple.fr",
			FormTargets: "https://identite.exemple.fr", Idle: 30 * time.Minute, GiveUpAfter: 72 * time.Hour, Keep: 90 * 24 * time.Hour,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	routes := httpapi.Routes{
		Around: httpapi.Around{Log: zerolog.Nop(), Duration: httpapi.NewDuration()}, Health: &httpapi.Health{},
		DataPass: http.NotFoundHandler(), Bounces: http.NotFoundHandler(), V1: &v1.Handler{PerClient: 1}, Citizen: handler, PerAddress: 1, PerVisitor: perMinute,
	}
	server.Config.Handler = routes.Handler()
	server.Start()
	t.Cleanup(server.Close)
	s.http = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return s
}

// receiver is one that the tests add.
type receiver struct{ siret, cog, name, place, postal, state string }

func (s *site) add(list ...receiver) {
	s.t.Helper()
	for _, r := range list {
		if r.state == "" {
			r.state = store.ReceiverActive
		}
		_, err := s.pool.Exec(s.t.Context(), `insert into receiver (process, siret, cog, name, place, postal_code, state, state_since, suspended_reason, approved_at, updated_at)
			values ('FormulaireQF', $1, $2, $3, $4, $5, $6, now(), case when $6 = 'suspended' then 'habilitation révoquée' else '' end, now(), now())`,
			r.siret, r.cog, r.name, r.place, r.postal, r.state)
		if err != nil {
			s.t.Fatal(err)
		}
	}
}

// France is a country of invented organizations on real communes.
func (s *site) france() {
	s.t.Helper()
	s.add(
		receiver{siret: "21040107100019", cog: "04107", name: "COMMUNE DE MAJASTRES", place: "MAJASTRES", postal: "04270"},
		receiver{siret: "26040107100018", cog: "04107", name: "CENTRE COMMUNAL D'ACTION SOCIALE", place: "MAJASTRES", postal: "04270"},
		receiver{siret: "21420218100017", cog: "42218", name: "COMMUNE DE SAINT ETIENNE", place: "SAINT-ÉTIENNE", postal: "42000", state: store.ReceiverDelegated},
		receiver{siret: "21040192300014", cog: "04192", name: "Commune de Saint-Étienne-les-Orgues", place: "Saint-Étienne-les-Orgues", postal: "04230"},
		receiver{siret: "21670482500019", cog: "67482", name: "COMMUNE DE STRASBOURG", place: "STRASBOURG", postal: "67000"},
		receiver{siret: "21750001600019", cog: "75104", name: "VILLE DE PARIS", place: "PARIS 4", postal: "75004"},
		receiver{siret: "26750011500012", cog: "75111", name: "CAISSE DES ECOLES DU 11EME ARRONDISSEMENT", place: "PARIS 11", postal: "75011"},
		receiver{siret: "21690123100011", cog: "69381", name: "COMMUNE DE LYON", place: "LYON", postal: "69001"},
		receiver{siret: "21130055300016", cog: "13202", name: "COMMUNE DE MARSEILLE", place: "MARSEILLE 2", postal: "13002"},
		receiver{siret: "21200410017001", cog: "2A004", name: "COMMUNE D'AJACCIO", place: "AJACCIO", postal: "20000"},
		receiver{siret: "21200330500018", cog: "2B033", name: "COMMUNE DE BASTIA", place: "BASTIA", postal: "20200"},
		receiver{siret: "21970411100017", cog: "97411", name: "COMMUNE DE SAINT DENIS", place: "SAINT-DENIS", postal: "97400"},
		receiver{siret: "21480095500012", cog: "48095", name: "COMMUNE DE MENDE", place: "MENDE", postal: "48000"},
		receiver{siret: "21760351700014", cog: "76351", name: "COMMUNE DE LE HAVRE", place: "LE HAVRE", postal: "76600"},
		receiver{siret: "21590560100018", cog: "59560", name: "COMMUNE DE SAINT-AMAND", postal: "59230", state: store.ReceiverSuspended},
		receiver{siret: "21330063500017", cog: "33063", name: "COMMUNE DE BORDEAUX", place: "BORDEAUX", postal: "33000", state: store.ReceiverInactive},
		receiver{siret: "21010001200012", cog: "01001", name: "COMMUNE NOUVELLE", place: "ABERGEMENT", postal: "01400"},
		receiver{siret: "21010001200012", cog: "01002", name: "COMMUNE NOUVELLE", place: "ABERGEMENT-DE-VAREY", postal: "01640"},
	)
}

type answer struct {
	status   int
	header   http.Header
	body     string
	location string
}

func (s *site) get(path string) answer {
	s.t.Helper()
	return s.do(s.t.Context(), http.MethodGet, path, "")
}

func (s *site) do(ctx context.Context, method, path, body string, header ...string) answer {
	s.t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Accept", "text/html")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := s.http.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, html.UnescapeString(string(raw)), resp.Header.Get("Location")}
}

var resultName = regexp.MustCompile(`fr-results__name">([^<]*)<`)

// names are those of the results on a page.
func (a answer) names() string {
	var names []string
	for _, m := range resultName.FindAllStringSubmatch(a.body, -1) {
		names = append(names, m[1])
	}
	return strings.Join(names, ", ")
}

// raw is a body as it came, entities and all.
func (s *site) raw(path string) string {
	s.t.Helper()
	resp, err := s.http.Get(s.url + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(raw)
}

// pages are every page that needs nothing before it.
var pages = []string{
	"/", "/collectivites", "/collectivites?q=saint", "/collectivites?q=zzz", "/collectivites?departement=99", "/collectivites/21040107100019",
	"/collectivites/21040107100019/sans_france_connect", "/collectivites/21040107100019/affiche", "/collectivites/21010001200012",
	"/collectivites/21590560100018", "/collectivites/99999999999999", "/rien",
	"/accessibilite", "/mentions-legales", "/faq", "/confidentialite", "/cgu_usagers", "/cgu_administrations",
}

// api is an exchange held against the contract.
func (s *site) api(method, path, bearer, body string) answer {
	s.t.Helper()
	client := s.http
	s.http = s.contract.Client(s.t)
	defer func() { s.http = client }()
	header := []string{"Accept", "application/json"}
	if body != "" {
		header = append(header, "Content-Type", "application/json")
	}
	if bearer != "" {
		header = append(header, "Authorization", "Bearer "+bearer)
	}
	return s.do(s.t.Context(), method, path, body, header...)
}

func (s *site) count(query string, args ...any) int {
	s.t.Helper()
	var n int
	if err := s.pool.QueryRow(s.t.Context(), query, args...).Scan(&n); err != nil {
		s.t.Fatal(err)
	}
	return n
}

// waitingRight is an habilitation of an organization whose commune INSEE has not told.
func (s *site) waitingRight(siret string) {
	s.t.Helper()
	_, err := s.pool.Exec(s.t.Context(), `with o as (insert into organization (siret, name) values ('`+siret+`', 'COMMUNE DE VALBRISE') returning id),
		p as (insert into person (email) values ('jeanne.morvan@valbrise.example') returning id),
		r as (insert into request (origin, public_id, definition, form, state, organization_id, applicant_id, created_at)
			select 'native', gen_random_uuid(), 'formulaire_qf', 'formulaire-qf', 'validated', o.id, p.id, now() from o, p returning id)
		insert into receiver_right (request_id, process, habilitation_id, definition, scopes, granted_at) select id, 'FormulaireQF', 1, 'formulaire_qf', '{}', now() from r`)
	if err != nil {
		s.t.Fatal(err)
	}
}

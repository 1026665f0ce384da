package datapass

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/datapass/datapasstest"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

// bench is a source over a simulated DataPass.
type bench struct {
	*Source
	site *datapasstest.Server
	log  *bytes.Buffer
}

func open(t *testing.T, scopes ...string) bench {
	t.Helper()
	site := datapasstest.New(datapasstest.Options{})
	url, err := site.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if leaks := site.Leaks(); len(leaks) > 0 {
			t.Errorf("secrets were sent where they are logged: %v", leaks)
		}
		_ = site.Close()
	})
	app := site.AddApplication(datapasstest.Application{Scopes: scopes, Definitions: []string{"api_particulier", "api_entreprise", "france_connect"}})
	return bench{dial(t, url, app.ClientID, app.ClientSecret, &bytes.Buffer{}), site, nil}
}

func dial(t *testing.T, url, id, secret string, log *bytes.Buffer) *Source {
	t.Helper()
	c := Default()
	c.URL, c.ClientID, c.ClientSecret = url, id, connectors.NewSecret(secret)
	none := 0
	c.Retries, c.Breaker.Failures = &none, 1000
	client, err := outbound.Partner("datapass-test", c.Settings, zerolog.New(log))
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Open(connectors.Deps{Name: "datapass-test", Now: time.Now, Partner: client})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (b bench) approved(t *testing.T, filing datapasstest.Filing) datapasstest.Request {
	t.Helper()
	ctx := t.Context()
	r, err := b.site.Create(ctx, filing)
	if err != nil {
		t.Fatal(err)
	}
	_, submitted := b.site.Submit(ctx, r.ID)
	_, approved := b.site.Approve(ctx, r.ID, datapasstest.Approval{})
	if err := errors.Join(submitted, approved); err != nil {
		t.Fatal(err)
	}
	if r, err = b.site.Request(r.ID); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestARequestIsReadWhole(t *testing.T) {
	b := open(t)
	filed := b.approved(t, datapasstest.APIParticulier())
	got, asOf, err := b.Request(t.Context(), filed.ID)
	if err != nil {
		t.Fatal(err)
	}
	if since := time.Since(asOf); since < -time.Second || since > time.Minute {
		t.Errorf("as of %v", asOf)
	}
	var data map[string]*string
	if err := json.Unmarshal(got.Data, &data); err != nil || data["scopes"] == nil || !strings.HasPrefix(*data["scopes"], `["cnaf_`) {
		t.Errorf("%v %s", err, got.Data)
	}
	if len(got.Organization.INSEEPayload) < 100 {
		t.Errorf("INSEE's answer: %s", got.Organization.INSEEPayload)
	}
	if len(got.Habilitations) != 1 || got.Habilitations[0].State != "active" || got.Habilitations[0].Definition != "api_particulier" || len(got.Habilitations[0].Data) < 100 {
		t.Errorf("%+v", got.Habilitations)
	}
	names := []string{}
	for _, e := range got.Events {
		names = append(names, e.Name)
		if e.At.IsZero() || e.ID == 0 {
			t.Errorf("%+v", e)
		}
	}
	if diff := cmp.Diff([]string{"create", "submit", "approve"}, names); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	got.Data, got.Organization.INSEEPayload, got.Habilitations, got.Events = nil, nil, nil, nil
	want := connectors.SourceRequest{
		ID: filed.ID, PublicID: filed.PublicID, Definition: "api_particulier", Form: filed.Form, State: "validated",
		CreatedAt: filed.CreatedAt.Truncate(time.Millisecond), LastSubmittedAt: filed.LastSubmittedAt.Truncate(time.Millisecond), LastValidatedAt: filed.LastValidatedAt.Truncate(time.Millisecond),
		Organization: connectors.SourceOrganization{ID: filed.Organization.ID, SIRET: filed.Organization.SIRET},
		Applicant: connectors.SourceApplicant{
			ID: filed.Applicant.ID, Email: filed.Applicant.Email, GivenName: filed.Applicant.GivenName, FamilyName: filed.Applicant.FamilyName, PhoneNumber: filed.Applicant.PhoneNumber,
		},
	}
	sameTime := cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) })
	if diff := cmp.Diff(want, got, sameTime); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestListsAreReadPageByPageNewestFirst(t *testing.T) {
	b := open(t)
	first, second := b.approved(t, datapasstest.APIParticulier()), b.approved(t, datapasstest.APIEntreprise())
	page, err := b.Requests(t.Context(), 0)
	if err != nil || len(page.Items) != 2 || page.Items[0].ID != second.ID || page.Items[1].ID != first.ID {
		t.Fatalf("%v %v", page.Items, err)
	}
	if page, err = b.Requests(t.Context(), 2); err != nil || len(page.Items) != 0 {
		t.Errorf("after the end: %d %v", len(page.Items), err)
	}
	if _, err := b.site.Revoke(t.Context(), first.ID, "motif"); err != nil {
		t.Fatal(err)
	}
	for state, want := range map[string]int{"": 2, "active": 1, "revoked": 1, "obsolete": 0} {
		grants, err := b.Habilitations(t.Context(), state, 0)
		if err != nil || len(grants.Items) != want {
			t.Errorf("%q: %d %v", state, len(grants.Items), err)
		}
		for _, h := range grants.Items {
			if h.RequestID == 0 || state != "" && h.State != state {
				t.Errorf("%+v", h)
			}
		}
	}
	if n := b.site.Count("POST /api/v1/oauth/token"); n != 1 {
		t.Errorf("%d tokens were asked for", n)
	}
}

func TestWhatDataPassDoesNotShowIsNotFound(t *testing.T) {
	b := open(t)
	hidden := datapasstest.FormulaireQF() // not among the application's definitions
	if _, err := b.site.Create(t.Context(), hidden); err != nil {
		t.Fatal(err)
	}
	for _, id := range []int64{hidden.ID, 1} {
		if _, _, err := b.Request(t.Context(), id); !connectors.Is(err, connectors.NotFound) {
			t.Errorf("%d: %v", id, err)
		}
	}
}

func TestATokenThatEndsIsReplacedOnce(t *testing.T) {
	b := open(t)
	if _, err := b.Requests(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	b.site.RevokeTokens() // DataPass then answers 422
	if _, err := b.Requests(t.Context(), 0); err != nil {
		t.Errorf("revoked: %v", err)
	}
	b.site.Advance(3 * time.Hour) // and 401 to one that expired
	if _, err := b.Requests(t.Context(), 0); err != nil {
		t.Errorf("expired: %v", err)
	}
	if n := b.site.Count("POST /api/v1/oauth/token"); n != 3 {
		t.Errorf("%d tokens were asked for", n)
	}
}

func TestOurOwnFaultsAreTold(t *testing.T) {
	b := open(t, datapasstest.ScopePublic, datapasstest.ScopeRead)
	if _, err := dial(t, b.config.URL, b.config.ClientID, "another-secret", &bytes.Buffer{}).Health(t.Context()); !connectors.Is(err, connectors.Unauthorized) {
		t.Errorf("a wrong secret: %v", err)
	}
	lacking := open(t, datapasstest.ScopePublic)
	if _, err := lacking.Requests(t.Context(), 0); !connectors.Is(err, connectors.Rejected) {
		t.Errorf("a scope that we were not given: %v", err)
	}
	// The token is good, its rights are not: 422 with the new token too.
	b.site.Inject(partnertest.Answer("GET /api/v1/demandes", http.StatusUnprocessableEntity, "application/json", `{"errors":[{"status":"422","title":"Entité non traitable","detail":"Un problème est survenu lors du traitement de la requête."}]}`))
	if _, err := b.Requests(t.Context(), 0); !connectors.Is(err, connectors.Unauthorized) {
		t.Errorf("a token without the scope: %v", err)
	}
}

func TestFaultsOfTheSiteSayWhatToDoNext(t *testing.T) {
	const route = partnertest.Route("GET /api/v1/demandes")
	for name, c := range map[string]struct {
		fault partnertest.Fault
		want  connectors.Class
	}{
		"down":             {partnertest.Status(route, 502), connectors.Temporary},
		"reset":            {partnertest.ResetBefore(route), connectors.Temporary},
		"half a body":      {partnertest.HalfBody(route), connectors.Temporary},
		"an HTML page":     {partnertest.HTML(route, 200), connectors.Temporary},
		"too many calls":   {partnertest.RateLimited(route, 7*time.Second), connectors.RateLimited},
		"another shape":    {partnertest.Answer(route, 200, "application/json", `{"demandes":[]}`), connectors.Rejected},
		"a list of texts":  {partnertest.Answer(route, 200, "application/json", `["a"]`), connectors.Rejected},
		"a wrong date":     {partnertest.Answer(route, 200, "application/json", `[{"created_at":"hier"}]`), connectors.Temporary},
		"the site's token": {partnertest.Answer("POST /api/v1/oauth/token", 200, "application/json", `{}`), connectors.Rejected},
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			b.site.Inject(c.fault)
			_, err := b.Requests(t.Context(), 0)
			if connectors.ClassOf(err) != c.want {
				t.Errorf("%v, want %s", err, c.want)
			}
			b.site.ClearFaults()
			if _, err := b.Requests(t.Context(), 0); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

func TestAPageTooLargeIsReadInSmallerParts(t *testing.T) {
	var limits []int
	var total atomic.Int64
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Method == http.MethodPost {
			_, _ = w.Write([]byte(`{"access_token":"jeton-de-test","expires_in":7200}`))
			return
		}
		limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
		limits = append(limits, limit)
		items := make([]map[string]any, limit)
		for i := range items {
			items[i] = map[string]any{"id": i + 1, "data": map[string]string{"description": strings.Repeat("a", 20_000)}}
		}
		body, _ := json.Marshal(items)
		n, _ := w.Write(body)
		total.Add(int64(n))
	}))
	defer site.Close()
	s := dial(t, site.URL, "id", "secret", &bytes.Buffer{})
	page, err := s.Requests(t.Context(), 0)
	if err != nil || len(page.Items) != 250 {
		t.Fatalf("%d %v", len(page.Items), err)
	}
	if _, err := s.Requests(t.Context(), 250); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{1000, 500, 250, 250}, limits); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestWhatIsReadIsDatedByTheSourcesClock(t *testing.T) {
	date := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	start := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	header := http.Header{"Date": {date.Format(http.TimeFormat)}}
	if got := asOf(header, start, 3*time.Second); !got.Equal(date.Add(-3 * time.Second)) {
		t.Errorf("%v", got)
	}
	if got := asOf(http.Header{}, start, 3*time.Second); !got.Equal(start) {
		t.Errorf("without a Date: %v", got)
	}
}

func TestTheLogHoldsNoTokenAndNobodysName(t *testing.T) {
	b := open(t)
	filed := b.approved(t, datapasstest.APIParticulier())
	var log bytes.Buffer
	s := dial(t, b.config.URL, b.config.ClientID, b.config.ClientSecret.Reveal(), &log)
	ctx := connectors.WithCorrelation(context.Background(), "correlation-1")
	if _, _, err := s.Request(ctx, filed.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Requests(ctx, 0); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{s.token.Reveal(), b.config.ClientSecret.Reveal(), filed.Applicant.FamilyName, filed.Applicant.Email, filed.Organization.SIRET} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
	if !strings.Contains(log.String(), "/api/v1/demandes/{id}") {
		t.Error("the log names no route")
	}
}

func TestSettingsThatCannotWorkAreTold(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"no URL":                 func(c *Config) { c.URL = "" },
		"a path":                 func(c *Config) { c.URL = "/datapass" },
		"another scheme":         func(c *Config) { c.URL = "ftp://datapass.example" },
		"credentials in the URL": func(c *Config) { c.URL = "https://a:b@datapass.example" },
		"no client":              func(c *Config) { c.ClientID = "" },
		"no secret":              func(c *Config) { c.ClientSecret = connectors.Secret{} },
	} {
		c := Default()
		c.URL, c.ClientID, c.ClientSecret = "https://datapass.example", "id", connectors.NewSecret("secret")
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		change(&c)
		if _, err := c.Open(connectors.Deps{}); err == nil {
			t.Errorf("%s: no fault", name)
		}
	}
}

package sirene

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/connectors/sirene/sirenetest"
)

const townHall = "21690387200018"

func open(t *testing.T, key string) (*Register, *sirenetest.Server, *bytes.Buffer) {
	t.Helper()
	site := sirenetest.New(sirenetest.Options{Establishments: []sirenetest.Establishment{}})
	url, err := site.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = site.Close() })
	site.Put(sirenetest.Establishment{SIRET: townHall, Name: "COMMUNE D'ESSAI", Category: "7210", Commune: "ESSAI", COG: "69387", PostCode: "69007", TreatedAt: "2025-11-28T09:41:07"})
	c := Default()
	c.URL, c.Key = url+"/", connectors.NewSecret(key)
	none := 0
	c.Retries, c.Breaker.Failures = &none, 1000
	log := &bytes.Buffer{}
	client, err := outbound.Partner("sirene", c.Settings, zerolog.New(log))
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.Open(connectors.Deps{Name: "sirene", Now: time.Now, Partner: client})
	if err != nil {
		t.Fatal(err)
	}
	return r, site, log
}

func TestTheWholeAnswerIsGivenAsItCame(t *testing.T) {
	t.Parallel()
	r, site, _ := open(t, sirenetest.Key)
	got, err := r.Establishment(t.Context(), townHall)
	if err != nil {
		t.Fatal(err)
	}
	var body struct {
		Header        struct{ Statut int }
		Etablissement struct {
			SIRET   string `json:"siret"`
			Adresse struct {
				Commune string `json:"codeCommuneEtablissement"`
			} `json:"adresseEtablissement"`
			Unite struct {
				Name string `json:"denominationUniteLegale"`
			} `json:"uniteLegale"`
			Periods []any `json:"periodesEtablissement"`
		}
	}
	if err := json.Unmarshal(got, &body); err != nil {
		t.Fatal(err)
	}
	e := body.Etablissement
	if body.Header.Statut != 200 || e.SIRET != townHall || e.Adresse.Commune != "69387" || e.Unite.Name != "COMMUNE D'ESSAI" || len(e.Periods) != 2 {
		t.Errorf("%s", got)
	}
	if n := site.Count("GET /siret/" + townHall); n != 1 {
		t.Errorf("%d calls", n)
	}
}

func TestEachFailureHasItsClassAndShowsNoKey(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		key, siret string
		fault      *partnertest.Fault
		want       connectors.Class
	}{
		"an unknown establishment":         {sirenetest.Key, "21040107100019", nil, connectors.NotFound},
		"a wrong key":                      {"00000000-wrong-key-0000", townHall, nil, connectors.Unauthorized},
		"no answer":                        {sirenetest.Key, townHall, fault(partnertest.ResetBefore("")), connectors.Temporary},
		"an answer lost":                   {sirenetest.Key, townHall, fault(partnertest.ResetAfter("")), connectors.Temporary},
		"half an answer":                   {sirenetest.Key, townHall, fault(partnertest.HalfBody("")), connectors.Temporary},
		"a failure of the register":        {sirenetest.Key, townHall, answer(503, `{"header":{"statut":503,"message":"Service indisponible"}}`), connectors.Temporary},
		"a page":                           {sirenetest.Key, townHall, answer(200, "<html>maintenance</html>"), connectors.Temporary},
		"another establishment":            {sirenetest.Key, townHall, answer(200, `{"etablissement":{"siret":"21040107100019"}}`), connectors.Rejected},
		"an answer without establishment":  {sirenetest.Key, townHall, answer(200, `{}`), connectors.Rejected},
		"too many calls":                   {sirenetest.Key, townHall, limited(), connectors.RateLimited},
		"a SIRET that is none":             {sirenetest.Key, "123", nil, connectors.Rejected},
		"a SIRET that would name a folder": {sirenetest.Key, "..", nil, connectors.Rejected},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, site, log := open(t, c.key)
			if c.fault != nil {
				site.Inject(*c.fault)
			}
			got, err := r.Establishment(t.Context(), c.siret)
			if connectors.ClassOf(err) != c.want || got != nil {
				t.Errorf("%v, %s", err, got)
			}
			if strings.Contains(err.Error()+log.String(), c.key) {
				t.Error("the key shows")
			}
			if c.fault != nil {
				site.ClearFaults()
				if _, err := r.Establishment(t.Context(), c.siret); err != nil {
					t.Errorf("afterwards: %v", err)
				}
			}
		})
	}
}

func TestACallEndsWithItsContext(t *testing.T) {
	t.Parallel()
	r, site, _ := open(t, sirenetest.Key)
	site.Inject(partnertest.Hang(""))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := r.Establishment(ctx, townHall); connectors.ClassOf(err) != connectors.Temporary {
		t.Error(err)
	}
}

func TestSettingsAreCheckedAtOnce(t *testing.T) {
	t.Parallel()
	_, err := Config{URL: "api.insee.fr"}.Open(connectors.Deps{})
	if err == nil || !strings.Contains(err.Error(), "url") || !strings.Contains(err.Error(), "key") {
		t.Error(err)
	}
}

func fault(f partnertest.Fault) *partnertest.Fault { return &f }

func answer(status int, body string) *partnertest.Fault {
	return &partnertest.Fault{Kind: partnertest.KindAnswer, Status: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: body}
}

func limited() *partnertest.Fault {
	f := answer(http.StatusTooManyRequests, `{"header":{"statut":429,"message":"quota"}}`)
	f.Header.Set("Retry-After", "30")
	return f
}

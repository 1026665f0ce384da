package citizen_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/passerelle-hub/passerelle/internal/registry"
)

func TestThePublicListIsTheOneOfTodaysForm(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1_000_000)
	s.france()
	a := s.api(http.MethodGet, "/api/collectivites", "", "")
	var list []map[string]string
	if err := json.Unmarshal([]byte(a.body), &list); err != nil || a.status != http.StatusOK {
		t.Fatalf("%d %v: %s", a.status, err, a.body)
	}
	found := false
	for _, c := range list {
		found = found || c["name"] == "COMMUNE DE MAJASTRES" && c["siret"] == "21040107100019" && c["code_cog"] == "04107" && len(c) == 3
		if c["siret"] == "21590560100018" || c["siret"] == "21330063500017" {
			t.Errorf("%s receives nothing and is listed", c["name"])
		}
	}
	if !found || len(list) != 16 || a.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("%d listed, %v: %s", len(list), a.header, a.body)
	}
	for path, want := range map[string]string{
		"/api/collectivites/04107": `{"name":"COMMUNE DE MAJASTRES","siret":"21040107100019","code_cog":"04107"}`,
		"/api/collectivites/2a004": `{"name":"COMMUNE D'AJACCIO","siret":"21200410017001","code_cog":"2A004"}`,
		"/api/collectivites/33063": `{"error":"Collectivity not found"}`,
		"/api/collectivites/x":     `{"error":"Collectivity not found"}`,
	} {
		if a := s.api(http.MethodGet, path, "", ""); strings.TrimSpace(a.body) != want || (a.status == http.StatusOK) != !strings.Contains(want, "error") {
			t.Errorf("%s: %d %s, want %s", path, a.status, a.body, want)
		}
	}
	if a := s.api(http.MethodOptions, "/api/collectivites", "", ""); a.status != http.StatusNoContent || !strings.Contains(a.header.Get("Access-Control-Allow-Methods"), "POST") {
		t.Errorf("a browser that asks first: %d %v", a.status, a.header)
	}
}

func TestNoCollectivityIsMadeWithoutAnHabilitation(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1_000_000)
	s.france()
	s.waitingRight("21380999900013")
	before := s.count("select count(*) from receiver")
	valid := func(siret string) string {
		return `{"collectivity":{"name":"Commune de Valbrise","siret":"` + siret + `","code_cog":"38999","status":"active","editor":"Éditeur","departement":"38"}}`
	}
	for name, c := range map[string]struct {
		bearer, body string
		status       int
		says         string
	}{
		"nobody":              {"", valid("21380999900013"), http.StatusUnauthorized, `"error"`},
		"a wrong token":       {"wrong", valid("21380999900013"), http.StatusUnauthorized, `"error"`},
		"a token without it":  {"reader", valid("21380999900013"), http.StatusForbidden, "write_authorizations"},
		"no JSON":             {"developer", "{", http.StatusBadRequest, "collectivity"},
		"nothing":             {"developer", "{}", http.StatusUnprocessableEntity, "collectivity"},
		"too much":            {"developer", valid(strings.Repeat("1", 20_000)), http.StatusRequestEntityTooLarge, "16 Kio"},
		"a wrong SIRET":       {"developer", valid("21380999900014"), http.StatusUnprocessableEntity, "siret"},
		"a wrong code":        {"developer", strings.Replace(valid("21380999900013"), "38999", "3899", 1), http.StatusUnprocessableEntity, "code_cog"},
		"a wrong status":      {"developer", strings.Replace(valid("21380999900013"), "active", "ouverte", 1), http.StatusUnprocessableEntity, "status"},
		"a wrong département": {"developer", strings.Replace(valid("21380999900013"), `"38"`, `"99"`, 1), http.StatusUnprocessableEntity, "departement"},
		"one that is there":   {"developer", valid("21040107100019"), http.StatusConflict, "déjà"},
		"no habilitation":     {"developer", valid("21380999900021"), http.StatusUnprocessableEntity, "habilitation"},
	} {
		if a := s.api(http.MethodPost, "/api/collectivites", c.bearer, c.body); a.status != c.status || !strings.Contains(a.body, c.says) {
			t.Errorf("%s: %d %s, want %d with %s", name, a.status, a.body, c.status, c.says)
		}
	}
	if after := s.count("select count(*) from receiver"); after != before {
		t.Errorf("what was refused left %d rows", after-before)
	}
	a := s.api(http.MethodPost, "/api/collectivites", "developer", valid("21380999900013"))
	if a.status != http.StatusCreated || strings.TrimSpace(a.body) != `{"name":"Commune de Valbrise","siret":"21380999900013","code_cog":"38999"}` {
		t.Fatalf("with an habilitation: %d %s", a.status, a.body)
	}
	if n := s.count("select count(*) from receiver where siret = '21380999900013' and cog = '38999' and state = 'approved' and process = $1", registry.FolderProcess); n != 1 {
		t.Errorf("%d receivers were made", n)
	}
	if a := s.api(http.MethodPost, "/api/collectivites", "developer", valid("21380999900013")); a.status != http.StatusConflict {
		t.Errorf("a second time: %d", a.status)
	}
}

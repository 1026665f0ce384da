package v1_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/passerelle-hub/passerelle/internal/registry"
)

func TestAMirroredRequestIsShownAsDataPassShowsIt(t *testing.T) {
	s := newSite(t)
	dev := s.developer("dinum:api_entreprise:developer")
	s.mirror("webhook-approve.json")
	var shown map[string]any
	s.get("/api/v1/demandes/48213", dev).into(t, http.StatusOK, &shown)

	keys := []string{}
	for key := range shown {
		keys = append(keys, key)
	}
	want := "applicant created_at data definition_id events external_provider_id form_uid habilitations id last_submitted_at last_validated_at organisation public_id reopened_at reopening state type"
	if diff := cmp.Diff(strings.Fields(want), sorted(keys)); diff != "" {
		t.Errorf("keys (-want +got)\n%s", diff)
	}
	grant := shown["habilitations"].([]any)[0].(map[string]any)
	for name, pair := range map[string][2]any{
		"id":           {shown["id"], 48213.0},
		"type":         {shown["type"], "AuthorizationRequest::APIEntreprise"},
		"state":        {shown["state"], "validated"},
		"created_at":   {shown["created_at"], "2026-03-09T10:14:27.418+01:00"},
		"reopening":    {shown["reopening"], false},
		"reopened_at":  {shown["reopened_at"], nil},
		"scopes":       {strings.HasPrefix(shown["data"].(map[string]any)["scopes"].(string), `["attestation_fiscale_dgfip", "`), true},
		"siret":        {shown["organisation"].(map[string]any)["siret"], "21380999900013"},
		"insee":        {shown["organisation"].(map[string]any)["insee_payload"].(map[string]any)["etablissement"] != nil, true},
		"organisation": {len(shown["organisation"].(map[string]any)), 3},
		"applicant":    {len(shown["applicant"].(map[string]any)), 5},
		"revoked":      {grant["revoked"], false},
		"slug":         {grant["slug"], nil},
		"class":        {grant["authorization_request_class"], "AuthorizationRequest::APIEntreprise"},
		"grant":        {len(grant), 8},
		"months":       {grant["data"].(map[string]any)["duree_conservation_donnees_caractere_personnel"], "36"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: %v, want %v", name, pair[0], pair[1])
		}
	}
	if id, _ := shown["external_provider_id"].(string); len(id) != 36 {
		t.Errorf("external_provider_id: %v", shown["external_provider_id"])
	}
}

func sorted(list []string) []string {
	for i := range list {
		for j := i; j > 0 && list[j] < list[j-1]; j-- {
			list[j], list[j-1] = list[j-1], list[j]
		}
	}
	return list
}

func TestIdsAreTakenWithAndWithoutTheirPrefix(t *testing.T) {
	s := newSite(t)
	dev := s.developer("dinum:*:developer")
	s.mirror("webhook-approve.json")
	var request struct {
		Habilitations []struct{ ID int64 }
	}
	s.get("/api/v1/demandes/48213", dev).into(t, http.StatusOK, &request)
	grant := request.Habilitations[0].ID
	for _, path := range []string{
		"/demandes/48213", "/demandes/D48213", "/demandes/d48213", "/demandes/D48213/events",
		fmt.Sprintf("/habilitations/%d", grant), fmt.Sprintf("/habilitations/H%d", grant), fmt.Sprintf("/habilitations/h%d", grant),
	} {
		if a := s.get("/api/v1"+path, dev); a.status != http.StatusOK {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	for _, path := range []string{
		"/demandes/H48213", "/demandes/D", "/demandes/DD48213", "/demandes/48213x", "/demandes/-48213", "/demandes/0", "/demandes/1e3",
		"/demandes/99999999999999999999", "/demandes/48213%00", "/habilitations/D1", "/habilitations/48213--api-entreprise", "/demandes/%F0%9F%92%A9",
	} {
		if lines := s.get("/api/v1"+path, dev).errors(t); lines[0] != "404 Non trouvé: La ressource demandée est introuvable." {
			t.Errorf("%s: %q", path, lines)
		}
	}
}

func TestARevokedHabilitationSaysSoBothWays(t *testing.T) {
	s := newSite(t)
	dev := s.developer("dinum:*:developer")
	s.mirror("webhook-approve.json")
	s.mirror("webhook-revoke.json")
	var list []struct {
		ID           int64          `json:"id"`
		State        string         `json:"state"`
		Revoked      bool           `json:"revoked"`
		RequestID    int64          `json:"request_id"`
		Organisation map[string]any `json:"organisation"`
	}
	s.get("/api/v1/habilitations", dev).into(t, http.StatusOK, &list)
	states := map[string]int{}
	for _, h := range list {
		states[h.State]++
		if h.Revoked != (h.State == "revoked") || h.RequestID != 48213 || h.Organisation["siret"] != "21380999900013" {
			t.Errorf("%+v", h)
		}
	}
	if states["revoked"] != 1 || states["obsolete"] != 1 {
		t.Errorf("%v", states)
	}
	for query, want := range map[string]int{
		"state=revoked": 1, "state[]=revoked&state[]=obsolete": 2, "state=active": 0, "state=perdu": 0, "state=%00": 0,
		"siret=21380999900013": 2, "siret=21350998700011": 0, "siret=x": 0, "siret=%00": 0, "offset=1": 1, "limit=1": 1,
	} {
		s.get("/api/v1/habilitations?"+query, dev).into(t, http.StatusOK, &list)
		if len(list) != want {
			t.Errorf("%s: %d, want %d", query, len(list), want)
		}
	}
}

func TestEventsAreNewestFirstAndARunOfUpdatesIsOne(t *testing.T) {
	s := newSite(t)
	dev := s.developer("dinum:*:developer")
	id := s.created(dev)
	for i := range 3 {
		target := s.applicantOf(id)
		s.record(&registry.UpdateRequest{Target: target, Answers: fmt.Appendf(nil, `{"intitule":"essai %d"}`, i)})
	}
	s.call(http.MethodPatch, fmt.Sprintf("/api/v1/demandes/%d", id), dev, map[string]any{"demande": map[string]any{"data": map[string]any{"intitule": "autre"}}})
	var events []struct {
		ID   int64  `json:"id"`
		Name string `json:"name"`
	}
	s.get(fmt.Sprintf("/api/v1/demandes/D%d/events", id), dev).into(t, http.StatusOK, &events)
	names := []string{}
	for _, e := range events {
		names = append(names, e.Name)
	}
	if diff := cmp.Diff([]string{"update_by_api", "update", "create_by_api"}, names); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	var request struct {
		Events []struct{ Name string }
	}
	s.get(fmt.Sprintf("/api/v1/demandes/%d", id), dev).into(t, http.StatusOK, &request)
	if len(request.Events) != 5 {
		t.Errorf("the request's own events are not collapsed: %v", request.Events)
	}
}

func TestListsKeepDataPassesBoundsAndOrder(t *testing.T) {
	s := newSite(t)
	dev := s.developer("dinum:*:developer")
	for range 12 {
		s.created(dev)
	}
	s.mirror("webhook-submit.json") // created long before
	ids := func(query string) []int64 {
		t.Helper()
		var list []struct{ ID int64 }
		s.get("/api/v1/demandes?"+query, dev).into(t, http.StatusOK, &list)
		out := []int64{}
		for _, r := range list {
			out = append(out, r.ID)
		}
		return out
	}
	all := ids("limit=1000")
	if len(all) != 13 || all[12] != 48213 {
		t.Fatalf("%v", all)
	}
	for i := 1; i < 12; i++ {
		if all[i] > all[i-1] {
			t.Errorf("not newest first: %v", all)
		}
	}
	for query, want := range map[string][]int64{
		"": all[:10], "limit=0": all[:10], "limit=-3": all[:10], "limit=dix": all[:10], "limit=3": all[:3], "limit=5000": all,
		"limit=99999999999999999999": all, "limit=2&offset=11": all[11:], "offset=13": {}, "offset=-1": all[:10], "offset=abc": all[:10],
		"state=submitted": {48213}, "state[]=submitted&state[]=refused": {48213}, "state=submitted&state=draft&limit=1000": all,
		"state=perdu": {}, "state=": all[:10], "siret=21380999900013&limit=1000": all, "siret=21350998700011": {}, "siret=%00": {},
		"offset=250000": {},
	} {
		if diff := cmp.Diff(want, ids(query)); diff != "" {
			t.Errorf("%q (-want +got)\n%s", query, diff)
		}
	}
	for query, want := range map[string]string{
		"offset=1000000":              "[/offset]",
		"offset=99999999999999999999": "[/offset]",
		"cursor=xyz":                  "[/cursor]",
		"cursor=e30":                  "[/cursor]",
		"updated_since=hier":          "[/updated_since]",
		"updated_since=%00":           "[/updated_since]",
	} {
		for _, list := range []string{"demandes", "habilitations"} {
			a := s.get("/api/v1/"+list+"?"+query, dev)
			if lines := a.errors(t); a.status != http.StatusBadRequest || !strings.HasPrefix(lines[0], "400 Paramètre invalide: ") || !strings.HasSuffix(lines[0], want) {
				t.Errorf("%s?%s: %q", list, query, lines)
			}
		}
	}
}

func TestACursorWalksAListWhateverComesInBetween(t *testing.T) {
	s := newSite(t)
	dev := s.developer("dinum:*:developer")
	for range 7 {
		s.created(dev)
	}
	seen := map[int64]int{}
	path := "/api/v1/demandes?limit=3&state=draft"
	for pages := 0; path != ""; pages++ {
		a := s.get(path, dev)
		var list []struct{ ID int64 }
		a.into(t, http.StatusOK, &list)
		for _, r := range list {
			seen[r.ID]++
		}
		path = next(t, a)
		s.created(dev) // newer than the cursor: not on the following pages
		if pages > 5 {
			t.Fatal("the list does not end")
		}
	}
	if len(seen) != 7 {
		t.Errorf("%v", seen)
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%d was seen %d times", id, n)
		}
	}
}

// A list of more than is read at once is the same as its pages.
func TestALongListIsWhole(t *testing.T) {
	s := newSite(t)
	dev := s.developer("dinum:*:developer")
	for range 63 {
		s.created(dev)
	}
	type shown struct {
		ID   int64
		Data map[string]string
	}
	var whole, paged []shown
	s.get("/api/v1/demandes?limit=1000", dev).into(t, http.StatusOK, &whole)
	for path := "/api/v1/demandes?limit=25"; path != ""; {
		a := s.get(path, dev)
		var page []shown
		a.into(t, http.StatusOK, &page)
		paged, path = append(paged, page...), next(t, a)
	}
	if diff := cmp.Diff(paged, whole); diff != "" || len(whole) != 63 {
		t.Errorf("%d requests (-pages +whole)\n%s", len(whole), diff)
	}
}

func next(t *testing.T, a answer) string {
	t.Helper()
	link := a.header.Get("Link")
	if link == "" {
		return ""
	}
	path, rel, ok := strings.Cut(strings.TrimPrefix(link, "<"), ">; rel=")
	if !ok || rel != `"next"` {
		t.Fatalf("Link: %q", link)
	}
	return path
}

func TestChangesSinceADateComeInTheirOrder(t *testing.T) {
	s := newSite(t)
	dev := s.developer("dinum:*:developer")
	var ids []int64
	for range 4 {
		ids = append(ids, s.created(dev))
	}
	start := time.Now()
	change := func(i int) {
		body := map[string]any{"demande": map[string]any{"data": map[string]any{"intitule": fmt.Sprint("changé ", time.Now())}}}
		s.call(http.MethodPatch, fmt.Sprintf("/api/v1/demandes/%d", ids[i]), dev, body).into(t, http.StatusOK, &struct{}{})
	}
	change(2)
	change(0)
	since := start.Format("2006-01-02T15:04:05.000000000-07:00") // its + is not encoded
	path := "/api/v1/demandes?limit=1&updated_since=" + since
	var got []int64
	for path != "" {
		a := s.get(path, dev)
		var list []struct{ ID int64 }
		a.into(t, http.StatusOK, &list)
		for _, r := range list {
			got = append(got, r.ID)
		}
		path = next(t, a)
	}
	if diff := cmp.Diff([]int64{ids[2], ids[0]}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	mixed := next(t, s.get("/api/v1/demandes?limit=1", dev)) + "&updated_since=2026-01-01"
	if a := s.get(mixed, dev); a.status != http.StatusBadRequest {
		t.Errorf("a cursor of one order is taken in the other: %d", a.status)
	}
}

func TestHabilitationsFollowTheirChanges(t *testing.T) {
	s := newSite(t)
	dev := s.developer("dinum:*:developer")
	s.mirror("webhook-approve.json")
	s.mirror("webhook-approve-formulaire-qf.json")
	start := time.Now()
	s.mirror("webhook-revoke.json")
	var list []struct {
		State     string `json:"state"`
		RequestID int64  `json:"request_id"`
	}
	s.get("/api/v1/habilitations?updated_since="+start.UTC().Format(time.RFC3339Nano), dev).into(t, http.StatusOK, &list)
	if len(list) != 2 || list[0].RequestID != 48213 || list[1].RequestID != 48213 {
		t.Errorf("%+v", list)
	}
	path, walked := "/api/v1/habilitations?limit=1", 0
	for ; path != ""; walked++ {
		a := s.get(path, dev)
		a.into(t, http.StatusOK, &list)
		path = next(t, a)
	}
	if walked != 3 {
		t.Errorf("walked %d", walked)
	}
}

func TestDefinitionsAndFormsAreTheCatalogues(t *testing.T) {
	s := newSite(t)
	dev := s.developer("dinum:api_particulier:developer", "dgfip:api_impot_particulier_sandbox:developer")
	var list []struct {
		ID         string           `json:"id"`
		Name       string           `json:"name"`
		MultiStage bool             `json:"multi_stage?"`
		Scopes     []map[string]any `json:"scopes"`
	}
	s.get("/api/v1/definitions", dev).into(t, http.StatusOK, &list)
	names := map[string]string{}
	for _, d := range list {
		names[d.ID] = d.Name
		for _, scope := range d.Scopes {
			if len(scope) != 8 {
				t.Errorf("%s: %v", d.ID, scope)
			}
		}
	}
	want := map[string]string{"api_particulier": "API Particulier", "api_impot_particulier_sandbox": "API Impôt Particulier (Bac à sable)"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	var forms []map[string]any
	s.get("/api/v1/definitions/api_particulier/formulaires", dev).into(t, http.StatusOK, &forms)
	if len(forms) < 10 || len(forms[0]) != 7 || forms[len(forms)-1]["uid"] != "api-particulier" {
		t.Errorf("%d forms, the last is %v", len(forms), forms[len(forms)-1]["uid"])
	}
	var arrays bool
	for _, f := range forms {
		_, isList := f["data"].(map[string]any)["scopes"].([]any)
		arrays = arrays || isList
	}
	if !arrays {
		t.Error("no prefill holds scopes as an array")
	}
	var one map[string]any
	s.get("/api/v1/definitions/api_particulier", dev).into(t, http.StatusOK, &one)
	for _, path := range []string{"/api/v1/definitions/api_entreprise", "/api/v1/definitions/rien", "/api/v1/definitions/rien/formulaires"} {
		if a := s.get(path, dev); a.status != http.StatusNotFound {
			t.Errorf("%s: %d", path, a.status)
		} else {
			a.errors(t)
		}
	}
}

func TestMeIsTheApplicationsOwner(t *testing.T) {
	s := newSite(t)
	owner := s.person("dev@dinum.example", "dinum:*:developer")
	var me map[string]any
	s.get("/api/v1/me", s.token(s.application(owner), "public")).into(t, http.StatusOK, &me)
	want := map[string]any{"id": float64(owner.ID), "email": "dev@dinum.example", "family_name": nil, "given_name": nil, "job_title": nil}
	if diff := cmp.Diff(want, me); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	var frontal map[string]bool
	s.get("/api/frontal", "").into(t, http.StatusOK, &frontal)
	if !frontal["frontal"] {
		t.Error("not frontal")
	}
}

func TestAttemptsAreThoseOfTheEndpoint(t *testing.T) {
	s := newSite(t)
	dev := s.developer("dinum:api_entreprise:developer")
	s.mirror("webhook-approve.json")
	numbers := [2]int64{s.endpoint("api_entreprise"), s.endpoint("api_particulier")}
	s.attempt(numbers[0], "2026-03-01T10:00:00Z", "500", "non")
	s.attempt(numbers[0], "2026-03-02T10:00:00Z", "null", "")
	s.attempt(numbers[0], "2026-03-03T10:00:00Z", "200", "{}")
	path := fmt.Sprintf("/api/v1/webhooks/%d/attempts", numbers[0])
	var list []map[string]any
	s.get(path, dev).into(t, http.StatusOK, &list)
	if len(list) != 3 || len(list[0]) != 6 || list[0]["status_code"] != 200.0 || list[1]["status_code"] != nil || list[0]["event"] != "approve" ||
		list[0]["authorization_request_id"] != 48213.0 || list[0]["created_at"] != "2026-03-03T11:00:00.000+01:00" {
		raw, _ := json.Marshal(list)
		t.Errorf("%s", raw)
	}
	for query, want := range map[string]int{
		"start_time=2026-03-02T00:00:00Z": 2, "end_time=2026-03-02T00:00:00Z": 1, "start_time=2026-03-02&end_time=2026-03-02T12:00:00Z": 1,
		"limit=2": 2, "limit=0": 3, "limit=x": 3,
	} {
		s.get(path+"?"+query, dev).into(t, http.StatusOK, &list)
		if len(list) != want {
			t.Errorf("%s: %d, want %d", query, len(list), want)
		}
	}
	if a := s.get(path+"?start_time=demain", dev); a.status != http.StatusBadRequest || !strings.Contains(a.errors(t)[0], "[/start_time]") {
		t.Errorf("%d %s", a.status, a.body)
	}
	for _, foreign := range []string{fmt.Sprintf("/api/v1/webhooks/%d/attempts", numbers[1]), "/api/v1/webhooks/999/attempts", "/api/v1/webhooks/un/attempts"} {
		if a := s.get(foreign, dev); a.status != http.StatusNotFound {
			t.Errorf("%s: %d", foreign, a.status)
		}
	}
}

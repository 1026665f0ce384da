package hub_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

func TestARequestLivesThroughTheAPI(t *testing.T) {
	s := newSite(t)
	p := s.people()
	created := s.call(http.MethodPost, "/requests", p.applicant, map[string]any{"form_uid": "api-entreprise", "data": s.data("api_entreprise", nil)})
	var r request
	created.into(http.StatusCreated, &r)
	if created.header.Get("Location") != fmt.Sprintf("/hub/v1/requests/%d", r.ID) || created.header.Get("ETag") != `"1"` || created.header.Get("X-Request-Id") == "" {
		t.Errorf("headers of the creation: %v", created.header)
	}
	path := fmt.Sprintf("/requests/%d", r.ID)
	etag := created.header.Get("ETag")
	step := func(method, path, bearer string, body any, state string) {
		t.Helper()
		answer := s.call(method, path, bearer, body, "If-Match", etag)
		answer.into(http.StatusOK, &r)
		if r.State != state {
			t.Errorf("%s: state %s, want %s", path, r.State, state)
		}
		etag = answer.header.Get("ETag")
	}
	step(http.MethodPatch, path, p.applicant, map[string]any{"data": map[string]any{"intitule": "Marchés", "scopes": []string{"unites_legales_etablissements_insee", "attestation_fiscale_dgfip"}}}, "draft")
	if diff := cmp.Diff([]any{"attestation_fiscale_dgfip", "unites_legales_etablissements_insee"}, r.Data["scopes"]); diff != "" {
		t.Error(diff)
	}
	step(http.MethodPost, path+"/submit", p.applicant, consents, "submitted")
	step(http.MethodPost, path+"/request-changes", p.instructor, map[string]any{"reason": "Précisez"}, "changes_requested")
	step(http.MethodPatch, path, p.applicant, map[string]any{"data": map[string]any{"description": "Plus précis"}}, "changes_requested")
	step(http.MethodPost, path+"/submit", p.applicant, nil, "submitted") // consents given once stay
	step(http.MethodPost, path+"/approve", p.instructor, map[string]any{"message": "Bienvenue"}, "validated")
	if len(r.Habilitations) != 1 || r.Habilitations[0].State != "active" {
		t.Fatalf("habilitations %+v", r.Habilitations)
	}
	granted := r.Habilitations[0].ID
	step(http.MethodPost, path+"/reopen", p.applicant, map[string]any{"habilitation": fmt.Sprintf("H%d", granted)}, "draft")
	step(http.MethodPost, path+"/cancel-reopening", p.applicant, nil, "validated")
	step(http.MethodPost, path+"/revoke", p.instructor, map[string]any{"habilitation": granted, "reason": "Usage non conforme"}, "revoked")
	step(http.MethodPost, path+"/archive", p.applicant, nil, "archived")

	var h struct {
		History []struct {
			Text, Event string
			Diff        map[string][2]*string
		}
	}
	s.get(path+"/history", p.instructor).into(http.StatusOK, &h)
	var story []string
	for _, line := range h.History {
		if !strings.HasPrefix(line.Event, "token.") {
			story = append(story, line.Text)
		}
	}
	want := []string{
		"Zoé Martin a commencé la demande.", "Zoé Martin a modifié la demande.", "Zoé Martin a soumis la demande.",
		"Zoé Martin a demandé des modifications. Motif : Précisez", "Zoé Martin a modifié la demande.", "Zoé Martin a soumis la demande.",
		"Zoé Martin a validé la demande.", "Zoé Martin a ouvert une mise à jour.", "Zoé Martin a annulé la mise à jour.",
		"Zoé Martin a révoqué l’habilitation. Motif : Usage non conforme", "Zoé Martin a supprimé la demande.",
	}
	if diff := cmp.Diff(want, story); diff != "" {
		t.Errorf("history:\n%s", diff)
	}
	if old := h.History[1].Diff["intitule"]; old[0] == nil || *old[0] != "Cantine scolaire" || *old[1] != "Marchés" {
		t.Errorf("difference of the first change: %v", h.History[1].Diff)
	}
}

func TestStagesGoForthAndBack(t *testing.T) {
	s := newSite(t)
	p := s.people()
	r := s.in(p, "next_stage", "api_impot_particulier_sandbox", s.sandbox())
	if r.Definition != "api_impot_particulier" || r.State != "draft" {
		t.Fatalf("after the next stage: %s, %s", r.Definition, r.State)
	}
	s.do(r.ID, "cancel-next-stage", p.applicant, nil).into(http.StatusOK, &r)
	if r.Definition != "api_impot_particulier_sandbox" || r.State != "validated" {
		t.Errorf("back at the first stage: %s, %s", r.Definition, r.State)
	}
}

func TestVersionsKeepChangesApart(t *testing.T) {
	s := newSite(t)
	p := s.people()
	r := s.in(p, "submitted", "api_entreprise", s.data("api_entreprise", nil))
	path := fmt.Sprintf("/requests/%d", r.ID)
	for name, c := range map[string]struct{ match, want string }{
		"without a version":       {"", "428 version-requise If-Match"},
		"with a former version":   {`"1"`, "412 stale_version If-Match"},
		"with a future version":   {`"99"`, "412 stale_version If-Match"},
		"with something else":     {`W/"2"`, "400 version If-Match"},
		"with a negative version": {`"-2"`, "400 version If-Match"},
		"with a sign":             {`"+2"`, "400 version If-Match"},
		"with a zero before":      {`"02"`, "400 version If-Match"},
	} {
		t.Run(name, func(t *testing.T) {
			header := []string{"If-Match", c.match}
			if c.match == "" {
				header = nil
			}
			if got := s.call(http.MethodPost, path+"/approve", p.instructor, nil, header...).problem(); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
	first := s.get(path, p.applicant)
	first.into(http.StatusOK, nil)
	if again := s.call(http.MethodGet, path, p.applicant, nil, "If-None-Match", first.header.Get("ETag")); again.status != http.StatusOK || len(again.body) == 0 {
		t.Errorf("unchanged: %d %s", again.status, again.body)
	}
	statuses := make([]int, 20)
	var all sync.WaitGroup
	for i := range statuses {
		all.Go(func() {
			action, body := "approve", map[string]any{}
			if i%2 == 0 {
				action, body = "refuse", map[string]any{"reason": "Non"}
			}
			statuses[i] = s.call(http.MethodPost, path+"/"+action, p.instructor, body, "If-Match", first.header.Get("ETag")).status
		})
	}
	all.Wait()
	slices.Sort(statuses)
	if statuses[0] != http.StatusOK || statuses[1] != http.StatusPreconditionFailed {
		t.Errorf("of instructors at once one must decide: %v", statuses)
	}
	if n := s.count(`select count(*) from history where event in ('approve', 'refuse')`); n != 1 {
		t.Errorf("%d decisions", n)
	}
}

func TestAKeyHasOneEffect(t *testing.T) {
	s := newSite(t)
	p := s.people()
	other := s.person("other@valbrise.example", town, true)
	body := map[string]any{"definition_id": "api_entreprise", "data": map[string]any{"intitule": "Une fois"}}
	create := func(bearer, key string, body any) answer {
		return s.call(http.MethodPost, "/requests", bearer, body, "Idempotency-Key", key)
	}
	answers := make([]answer, 20)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() { answers[i] = create(p.applicant, "cle-1", body) })
	}
	all.Wait()
	first := create(p.applicant, "cle-1", body)
	first.into(http.StatusCreated, nil)
	if first.header.Get("Idempotency-Replayed") != "true" || first.header.Get("Location") == "" || first.header.Get("ETag") != `"1"` {
		t.Errorf("headers of a repeat: %v", first.header)
	}
	for _, a := range answers {
		switch {
		case a.status == http.StatusConflict && a.problem() == "409 cle-en-cours Idempotency-Key":
		case a.status == http.StatusCreated && string(a.body) == string(first.body):
		default:
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	if n := s.count(`select count(*) from request`); n != 1 {
		t.Errorf("%d requests made with one key", n)
	}
	if got := create(p.applicant, "cle-1", map[string]any{"definition_id": "api_entreprise"}).problem(); got != "422 cle-reprise Idempotency-Key" {
		t.Errorf("another body: %s", got)
	}
	create(other, "cle-1", body).into(http.StatusCreated, nil)
	for _, bad := range []string{"avec espace", strings.Repeat("x", 256), "é"} {
		if got := create(p.applicant, bad, body).problem(); got != "400 cle Idempotency-Key" {
			t.Errorf("key %q: %s", bad, got)
		}
	}
	if got := create(p.applicant, "cle-2", map[string]any{"definition_id": "api_nulle"}).problem(); got != "422 form_not_found /form_uid" {
		t.Errorf("a refused creation: %s", got)
	}
	create(p.applicant, "cle-2", body).into(http.StatusCreated, nil) // the refusal left the key free
	s.ahead.Store(int64(registry.KeepAnswers + time.Minute))
	late := s.call(http.MethodPost, "/requests", s.signed("jeanne.morvan@valbrise.example"), body, "Idempotency-Key", "cle-1")
	late.into(http.StatusCreated, nil)
	if late.header.Get("Idempotency-Replayed") != "" {
		t.Error("a day later the key still gives the former answer")
	}
	if n, err := s.store.PurgeAnswers(t.Context(), s.now().Add(-registry.KeepAnswers), 10); err != nil || n != 2 {
		t.Errorf("%d answers purged (%v), want the two that are over", n, err)
	}
}

func TestAKeyedActionIsNotDoneTwiceAndSaysSo(t *testing.T) {
	s := newSite(t)
	p := s.people()
	r := s.in(p, "submitted", "api_entreprise", s.data("api_entreprise", nil))
	approve := func() answer {
		return s.call(http.MethodPost, fmt.Sprintf("/requests/%d/approve", r.ID), p.instructor, map[string]any{"message": "Oui"}, "If-Match", `"2"`, "Idempotency-Key", "k")
	}
	first, second := approve(), approve()
	first.into(http.StatusOK, nil)
	second.into(http.StatusOK, nil)
	if string(first.body) != string(second.body) || first.header.Get("ETag") != second.header.Get("ETag") {
		t.Errorf("the answers differ:\n%s\n%s", first.body, second.body)
	}
	if n := s.count(`select count(*) from habilitation`); n != 1 {
		t.Errorf("%d habilitations", n)
	}
}

func TestAMirroredRequestSaysWhereItIsDecided(t *testing.T) {
	s := newSite(t)
	p := s.people()
	raw, err := os.ReadFile("../../internal/registry/testdata/webhook-approve.json")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.registry.Receive(t.Context(), registry.Webhook{Source: "datapass", Environment: "sandbox", Body: raw}); err != nil {
		t.Fatal(err)
	}
	s.record(&registry.ApplyInbound{Key: store.InboundKey{Source: "datapass", ExternalID: 48213}})
	for _, id := range []string{"D48213", "48213", "d48213"} {
		var r request
		s.get("/requests/"+id, p.instructor).into(http.StatusOK, &r)
		answer := s.call(http.MethodPost, "/requests/"+id+"/revoke", p.instructor, map[string]any{"reason": "Non"}, "If-Match", "*")
		if got := answer.problem(); got != "409 mirrored" || !strings.Contains(string(answer.body), "https://datapass.example/demandes/48213") {
			t.Errorf("%s: %s %s", id, got, answer.body)
		}
		s.get(fmt.Sprintf("/habilitations/H%d", r.Habilitations[0].ID), p.instructor).into(http.StatusOK, nil)
	}
}

func TestAContactReadsASummaryOnly(t *testing.T) {
	s := newSite(t)
	p := s.people()
	r := s.in(p, "validated", "api_entreprise", s.data("api_entreprise", nil))
	contact := s.person("Contact-Technique@valbrise.example", "", false)
	answer := s.get(fmt.Sprintf("/requests/%d", r.ID), contact)
	var got map[string]any
	answer.into(http.StatusOK, &got)
	if got["summary"] != true || got["data"] != nil || got["applicant"] != nil || got["habilitations"] != nil {
		t.Errorf("a contact reads %s", answer.body)
	}
	answer = s.get(fmt.Sprintf("/habilitations/%d", r.Habilitations[0].ID), contact)
	got = nil
	answer.into(http.StatusOK, &got)
	if got["data"] != nil || got["message"] != nil || got["applicant"] != nil {
		t.Errorf("of the habilitation a contact reads %s", answer.body)
	}
}

func TestAnApplicationDraftsInAnApplicantsName(t *testing.T) {
	s := newSite(t)
	s.person("dev@dinum.example", "", false, "dinum:api_entreprise:developer")
	bearer := s.application("dev@dinum.example", "read_authorizations", "write_authorizations")
	body := map[string]any{
		"form_uid": "api-entreprise", "applicant": map[string]any{"email": "Lise.Armand@valbrise.example", "given_name": "Lise"},
		"organization": map[string]any{"siret": town}, "data": map[string]any{"intitule": "Par application"},
	}
	var r request
	s.call(http.MethodPost, "/requests", bearer, body).into(http.StatusCreated, &r)
	s.call(http.MethodPatch, fmt.Sprintf("/requests/%d", r.ID), bearer, map[string]any{"data": map[string]any{"intitule": "Mieux"}}, "If-Match", `"1"`).into(http.StatusOK, &r)
	if r.Data["intitule"] != "Mieux" {
		t.Errorf("%+v", r)
	}
	if n := s.count(`select count(*) from history where event in ('create_by_api', 'update_by_api') and actor like 'client:%'`); n != 2 {
		t.Errorf("%d lines name the application", n)
	}
	foreign := maps.Clone(body)
	foreign["form_uid"] = "api-particulier-3d-ouest"
	if got := s.call(http.MethodPost, "/requests", bearer, foreign).problem(); got != "403 unauthorized_type" {
		t.Errorf("a definition of others: %s", got)
	}
}

func TestTheRateIsLimitedAndTold(t *testing.T) {
	s := newLimitedSite(t, 3)
	p := s.people()
	for left := 2; left >= 0; left-- {
		answer := s.get("/me", p.applicant)
		answer.into(http.StatusOK, nil)
		h := answer.header
		if h.Get("RateLimit-Limit") != "3" || h.Get("RateLimit-Remaining") != fmt.Sprint(left) || h.Get("RateLimit-Reset") == "" || len(h.Get("RateLimit-Reset")) > 2 {
			t.Errorf("limit %q, remaining %q, reset %q", h.Get("RateLimit-Limit"), h.Get("RateLimit-Remaining"), h.Get("RateLimit-Reset"))
		}
	}
	over := s.get("/me", p.applicant)
	if got := over.problem(); got != "429 trop-de-requetes" || over.header.Get("Retry-After") == "" {
		t.Errorf("%s, Retry-After %q", got, over.header.Get("Retry-After"))
	}
	s.get("/me", p.instructor).into(http.StatusOK, nil)
}

func TestMailsAreSwitchedOffByTheirSettingAndByTheirFootLink(t *testing.T) {
	s := newSite(t)
	p := s.people()
	enabled := func() bool {
		var list struct {
			Mails []struct {
				DefinitionID string `json:"definition_id"`
				Kind         string
				Enabled      bool
			}
		}
		s.get("/me/mails", p.instructor).into(http.StatusOK, &list)
		for _, m := range list.Mails {
			if m.DefinitionID == "api_entreprise" && m.Kind == "submit" {
				return m.Enabled
			}
		}
		t.Fatal("the mails about submissions are not listed")
		return false
	}
	s.call(http.MethodPut, "/me/mails/api_entreprise/submit", p.instructor, map[string]any{"enabled": false}).into(http.StatusNoContent, nil)
	if enabled() {
		t.Error("still on")
	}
	s.call(http.MethodPut, "/me/mails/api_entreprise/submit", p.instructor, map[string]any{"enabled": true}).into(http.StatusNoContent, nil)
	s.in(p, "submitted", "api_entreprise", s.data("api_entreprise", nil))
	var params map[string]string
	rows, err := s.pool.Query(t.Context(), `select id from mail where template = 'demande_submitted'`)
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var id [16]byte
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		m, err := s.store.Mail(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		params = m.Params
	}
	rows.Close()
	link := s.url + strings.TrimPrefix(params["unsubscribe"], "https://hub.example")
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPost} {
		req, err := http.NewRequestWithContext(t.Context(), method, link, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK || enabled() != (method == http.MethodGet) {
			t.Errorf("%s: %d, enabled %t", method, resp.StatusCode, enabled())
		}
	}
	s.ahead.Store(int64(31 * 24 * time.Hour))
	resp, err := http.Get(link)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound {
		t.Errorf("a month later: %d", resp.StatusCode)
	}
}

func TestMeSaysWhoCalls(t *testing.T) {
	s := newSite(t)
	p := s.people()
	var me map[string]json.RawMessage
	s.get("/me", p.applicant).into(http.StatusOK, &me)
	if !strings.Contains(string(me["organization"]), town) || string(me["organization_verified"]) != "true" {
		t.Errorf("%s", me)
	}
	if got := s.call(http.MethodGet, "/me", p.applicant, nil, "X-Organization", ccas).problem(); got != "403 other_organization" {
		t.Errorf("another organisation: %s", got)
	}
}

func TestARefusedNextStageLeavesTheKeyOfTheStageBefore(t *testing.T) {
	s := newSite(t)
	p := s.people()
	r := s.in(p, "next_stage", "api_impot_particulier_sandbox", s.sandbox())
	living := `select count(*) from credential where request_id = $1 and state in ('requested', 'prepared', 'issuing', 'active')`
	if s.count(living, r.ID) != 1 {
		t.Fatal("the sandbox has no key on its way")
	}
	if _, err := s.pool.Exec(t.Context(), `update request set state = 'submitted' where id = $1`, r.ID); err != nil {
		t.Fatal(err)
	}
	s.do(r.ID, "refuse", p.instructor, map[string]any{"reason": "Non"}).into(http.StatusOK, &r)
	if n := s.count(living, r.ID); n != 1 || r.State != "refused" || r.Habilitations[0].State != "active" {
		t.Errorf("%d keys, %s, %+v", n, r.State, r.Habilitations)
	}
}

func TestATransferTellsFromWhomToWhom(t *testing.T) {
	s := newSite(t)
	p := s.people()
	r := s.in(p, "submitted", "api_entreprise", s.data("api_entreprise", nil))
	s.person("samir.haddad@valbrise.example", town, true)
	s.do(r.ID, "transfer", p.applicant, map[string]any{"email": "samir.haddad@valbrise.example"}).into(http.StatusOK, &r)
	var h struct {
		History []struct {
			Text     string
			Transfer *struct {
				Type     string
				From, To struct {
					ID   int64
					Name string
				}
			}
		}
	}
	s.get(fmt.Sprintf("/requests/%d/history", r.ID), p.instructor).into(http.StatusOK, &h)
	last := h.History[len(h.History)-1]
	if last.Transfer == nil || last.Transfer.Type != "User" || last.Transfer.From.ID == last.Transfer.To.ID ||
		last.Text != "Zoé Martin a transféré la demande de Zoé Martin à Zoé Martin." {
		t.Errorf("%q %+v", last.Text, last.Transfer)
	}
}

func TestMethodsOfAnAddress(t *testing.T) {
	s := newSite(t)
	p := s.people()
	r := s.in(p, "draft", "api_entreprise", s.data("api_entreprise", nil))
	path := fmt.Sprintf("/requests/%d", r.ID)
	read, head := s.get(path, p.applicant), s.call(http.MethodHead, path, p.applicant, nil)
	if head.status != http.StatusOK || len(head.body) > 0 || head.header.Get("ETag") != read.header.Get("ETag") || head.header.Get("Content-Length") != fmt.Sprint(len(read.body)) {
		t.Errorf("HEAD: %d, %d bytes, %v", head.status, len(head.body), head.header)
	}
	wrong := s.call(http.MethodDelete, path, p.applicant, nil)
	if wrong.problem() != "405 methode" || wrong.header.Get("Allow") != "GET, HEAD, PATCH" {
		t.Errorf("DELETE: %d, Allow %q", wrong.status, wrong.header.Get("Allow"))
	}
}

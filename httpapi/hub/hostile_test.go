package hub_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/passerelle-hub/passerelle/httpapi/auth"
)

// effects counts whatever a call could have changed.
func (s *site) effects() int {
	s.t.Helper()
	return s.count(`select (select count(*) from history) + (select count(*) from event) + (select count(*) from mail) + (select count(*) from request)
		+ (select coalesce(sum(version), 0) from request)::integer + (select count(*) from river_job) + (select count(*) from idempotent_answer)
		+ (select count(*) from habilitation) + (select count(*) from mail_setting)`)
}

func TestBadInputIsNamedAndHasNoEffect(t *testing.T) {
	s := newSite(t)
	p := s.people()
	draft := s.in(p, "draft", "api_entreprise", s.data("api_entreprise", nil))
	submitted := s.in(p, "submitted", "api_entreprise", s.data("api_entreprise", nil))
	refused := s.in(p, "refused", "api_entreprise", s.data("api_entreprise", nil))
	validated := s.in(p, "validated", "api_entreprise", s.data("api_entreprise", nil))
	wrong := s.in(p, "draft", "api_entreprise", s.data("api_entreprise", map[string]any{"scopes": []string{"pas_une_donnee"}}))
	s.person("dev@dinum.example", "", false, "dinum:*:developer")
	application := s.application("dev@dinum.example", auth.Scopes()...)

	at := func(id int64, action string) string {
		if action == "" {
			return fmt.Sprintf("/requests/%d", id)
		}
		return fmt.Sprintf("/requests/%d/%s", id, action)
	}
	data := func(s string) string { return `{"data":` + s + `}` }
	deep := strings.Repeat(`{"a":`, 9000) + "1" + strings.Repeat("}", 9000)
	for name, c := range map[string]struct {
		method, path, bearer string
		body                 any
		want                 string
	}{
		"a key that the API does not know":       {"POST", at(draft.ID, "submit"), p.applicant, `{"terms":true}`, "422 corps /terms"},
		"several at once":                        {"POST", at(submitted.ID, "refuse"), p.instructor, `{"reason":4,"b":1,"a":2}`, "422 corps /reason /a /b"},
		"a data key that the definition lacks":   {"PATCH", at(draft.ID, ""), p.applicant, data(`{"foo":"bar","zoo":1}`), "422 invalid_data /data/foo /data/zoo"},
		"a data key with a slash":                {"PATCH", at(draft.ID, ""), p.applicant, data(`{"a/b~c":"bar"}`), "422 invalid_data /data/a~1b~0c"},
		"a number for a text":                    {"PATCH", at(draft.ID, ""), p.applicant, data(`{"intitule":4}`), "422 invalid_data /data/intitule"},
		"an object for a list":                   {"PATCH", at(draft.ID, ""), p.applicant, data(`{"scopes":{"a":1}}`), "422 invalid_data /data/scopes"},
		"a list of numbers for scopes":           {"PATCH", at(draft.ID, ""), p.applicant, data(`{"scopes":[1]}`), "422 invalid_data /data/scopes"},
		"words for months":                       {"PATCH", at(draft.ID, ""), p.applicant, data(`{"duree_conservation_donnees_caractere_personnel":"dix"}`), "422 invalid_data /data/duree_conservation_donnees_caractere_personnel"},
		"a contact's prefilled kind":             {"PATCH", at(draft.ID, ""), p.applicant, data(`{"contact_technique_type":"person"}`), "422 invalid_data /data/contact_technique_type"},
		"data that are a list":                   {"PATCH", at(draft.ID, ""), p.applicant, data(`[]`), "422 invalid_data /data"},
		"no data":                                {"PATCH", at(draft.ID, ""), p.applicant, `{}`, "422 corps /data"},
		"scopes that the definition lacks":       {"POST", at(wrong.ID, "submit"), p.applicant, consents, "422 invalid_data /data/scopes"},
		"no consents":                            {"POST", at(draft.ID, "submit"), p.applicant, nil, "422 invalid_data /terms_of_service_accepted /data_protection_officer_informed"},
		"a text for a consent":                   {"POST", at(draft.ID, "submit"), p.applicant, `{"terms_of_service_accepted":"oui"}`, "422 corps /terms_of_service_accepted"},
		"a refusal without a reason":             {"POST", at(submitted.ID, "refuse"), p.instructor, `{}`, "422 reason_missing /reason"},
		"a blank reason":                         {"POST", at(submitted.ID, "refuse"), p.instructor, `{"reason":"  "}`, "422 reason_missing /reason"},
		"a null character in a reason":           {"POST", at(submitted.ID, "refuse"), p.instructor, `{"reason":"a\u0000b"}`, "422 corps /reason"},
		"a reason as long as a book":             {"POST", at(submitted.ID, "refuse"), p.instructor, map[string]any{"reason": strings.Repeat("é", 10_001)}, "422 corps /reason"},
		"an approval of a draft":                 {"POST", at(draft.ID, "approve"), p.instructor, nil, "409 illegal_transition"},
		"an approval of a refused request":       {"POST", at(refused.ID, "approve"), p.instructor, nil, "409 illegal_transition"},
		"a revocation of a submitted request":    {"POST", at(submitted.ID, "revoke"), p.instructor, `{"reason":"Non"}`, "409 illegal_transition"},
		"a revocation of a foreign habilitation": {"POST", at(validated.ID, "revoke"), p.instructor, `{"reason":"Non","habilitation":"H12"}`, "422 habilitation_unknown /habilitation"},
		"an habilitation without a number":       {"POST", at(validated.ID, "revoke"), p.instructor, `{"reason":"Non","habilitation":"HH"}`, "422 corps /habilitation"},
		"a negative habilitation":                {"POST", at(validated.ID, "revoke"), p.instructor, `{"reason":"Non","habilitation":-3}`, "422 corps /habilitation"},
		"an habilitation beyond all numbers":     {"POST", at(validated.ID, "revoke"), p.instructor, `{"reason":"Non","habilitation":99999999999999999999}`, "422 corps /habilitation"},
		"a request archived while it is valid":   {"POST", at(validated.ID, "archive"), p.applicant, nil, "409 illegal_transition"},
		"a draft that is not being reopened":     {"POST", at(draft.ID, "cancel-reopening"), p.applicant, nil, "409 not_reopening"},
		"a next stage where there is none":       {"POST", at(validated.ID, "start-next-stage"), p.applicant, nil, "409 no_next_stage"},
		"a transfer to nobody":                   {"POST", at(submitted.ID, "transfer"), p.applicant, `{"email":"nul@nul.example"}`, "422 email_not_found /email"},
		"a transfer to a stranger":               {"POST", at(submitted.ID, "transfer"), p.applicant, `{"email":"ines.lacombe@dinum.example"}`, "422 invalid_new_applicant /email"},
		"a transfer to oneself":                  {"POST", at(submitted.ID, "transfer"), p.applicant, `{"email":"jeanne.morvan@valbrise.example"}`, "422 different_user /email"},
		"a form that does not exist":             {"POST", "/requests", p.applicant, `{"form_uid":"nul"}`, "422 form_not_found /form_uid"},
		"no form":                                {"POST", "/requests", p.applicant, `{}`, "422 corps /form_uid"},
		"an applicant who names another":         {"POST", "/requests", p.applicant, `{"form_uid":"api-entreprise","applicant":{"email":"a@b.example"}}`, "422 corps /applicant"},
		"an application that names nobody":       {"POST", "/requests", application, `{"form_uid":"api-entreprise"}`, "422 corps /applicant /organization"},
		"an application with unknown inner keys": {"POST", "/requests", application, `{"form_uid":"api-entreprise","applicant":{"email":"a@b.example","age":3},"organization":{"siret":"21380999900013","nom":"x"}}`, "422 corps /applicant/age /organization/nom"},
		"an application with a wrong address":    {"POST", "/requests", application, `{"form_uid":"api-entreprise","applicant":{"email":"pas une adresse"},"organization":{"siret":"21380999900013"}}`, "422 invalid_applicant /applicant/email"},
		"an application with a wrong SIRET":      {"POST", "/requests", application, `{"form_uid":"api-entreprise","applicant":{"email":"a@b.example"},"organization":{"siret":"21380999900014"}}`, "422 invalid_organization /organization/siret"},
		"an applicant that is a text":            {"POST", "/requests", application, `{"form_uid":"api-entreprise","applicant":"Lise","organization":{"siret":"21380999900013"}}`, "422 corps /applicant"},
		"a list for a body":                      {"POST", at(draft.ID, "submit"), p.applicant, `[]`, "400 json"},
		"half a body":                            {"POST", at(draft.ID, "submit"), p.applicant, `{"a":`, "400 json /a"},
		"two bodies":                             {"POST", at(draft.ID, "submit"), p.applicant, `{} {}`, "400 json"},
		"an answer as long as a book":            {"PATCH", at(draft.ID, ""), p.applicant, data(`{"intitule":"` + strings.Repeat("é", 10_001) + `"}`), "422 invalid_data /data/intitule"},
		"a list of them":                         {"PATCH", at(draft.ID, ""), p.applicant, data(`{"scopes":["` + strings.Repeat("x", 10_001) + `"]}`), "422 invalid_data /data/scopes"},
		"a search read far on":                   {"GET", "/requests?q=marches&offset=990", p.applicant, nil, "400 parametre offset"},
		"a key twice":                            {"POST", at(submitted.ID, "refuse"), p.instructor, `{"reason":"a","reason":"b"}`, "400 json /reason"},
		"no JSON at all":                         {"POST", at(draft.ID, "submit"), p.applicant, `reason=non`, "400 json"},
		"bytes that are no UTF-8":                {"POST", at(submitted.ID, "refuse"), p.instructor, "{\"reason\":\"\xff\xfe\"}", "400 json"},
		"a body nine thousand objects deep":      {"PATCH", at(draft.ID, ""), p.applicant, data(deep), "422 invalid_data /data/a"},
		"a body over the limit":                  {"PATCH", at(draft.ID, ""), p.applicant, data(`{"intitule":"` + strings.Repeat("x", maxBody) + `"}`), "413 corps-trop-grand"},
		"an endless body":                        {"PATCH", at(draft.ID, ""), p.applicant, io.MultiReader(strings.NewReader(`{"data":{"intitule":"`), io.LimitReader(endless{}, 1<<20)), "413 corps-trop-grand"},
		"a request that does not exist":          {"POST", "/requests/1999999999/submit", p.applicant, nil, "404 introuvable"},
		"an id that is no number":                {"GET", "/requests/D12x", p.applicant, nil, "404 introuvable"},
		"an id beyond all numbers":               {"GET", "/requests/99999999999999999999", p.applicant, nil, "404 introuvable"},
		"an habilitation that does not exist":    {"GET", "/habilitations/H1999999999", p.applicant, nil, "404 introuvable"},
		"an action that does not exist":          {"POST", at(draft.ID, "destroy"), p.applicant, nil, "404 introuvable"},
		"a method that is not served":            {"DELETE", at(draft.ID, ""), p.applicant, nil, "405 methode"},
		"mails of an unknown kind":               {"PUT", "/me/mails/api_entreprise/tous", p.applicant, `{"enabled":false}`, "404 introuvable"},
		"mails of an unknown definition":         {"PUT", "/me/mails/api_nulle/submit", p.applicant, `{"enabled":false}`, "404 introuvable"},
		"mails neither on nor off":               {"PUT", "/me/mails/api_entreprise/submit", p.applicant, `{}`, "422 corps /enabled"},
		"no token":                               {"GET", at(draft.ID, ""), "", nil, "401 identification"},
		"a token of ours that nobody gave":       {"GET", at(draft.ID, ""), "psh_test_000000000000000000000000000000000000", nil, "401 identification"},
		"a token that is no token":               {"GET", at(draft.ID, ""), "a.b.c", nil, "401 identification"},
		"an offset of a million":                 {"GET", "/requests?offset=1000000", p.instructor, nil, "400 parametre offset"},
		"a negative offset":                      {"GET", "/requests?offset=-1", p.instructor, nil, "400 parametre offset"},
		"a limit of a thousand":                  {"GET", "/requests?limit=1000", p.instructor, nil, "400 parametre limit"},
		"a limit of none":                        {"GET", "/requests?limit=0", p.instructor, nil, "400 parametre limit"},
		"a limit that is no number":              {"GET", "/requests?limit=tout", p.instructor, nil, "400 parametre limit"},
		"an unknown state":                       {"GET", "/requests?state=valide", p.instructor, nil, "400 parametre state"},
		"an unknown parameter":                   {"GET", "/requests?tri=date", p.instructor, nil, "400 parametre tri"},
		"a parameter twice":                      {"GET", "/requests?q=a&q=b", p.instructor, nil, "400 parametre q"},
		"a text without a word":                  {"GET", "/requests?q=" + url.QueryEscape("de la !"), p.instructor, nil, "400 parametre q"},
		"a SIRET that is none":                   {"GET", "/requests?organization=123", p.instructor, nil, "400 parametre organization"},
		"a date that is none":                    {"GET", "/requests?updated_since=hier", p.instructor, nil, "400 parametre updated_since"},
		"a view that is none":                    {"GET", "/requests?view=tout", p.instructor, nil, "400 parametre view"},
		"a cursor that is none":                  {"GET", "/requests?cursor=abc", p.instructor, nil, "400 parametre cursor"},
		"a cursor of another order":              {"GET", "/requests?q=cantine&cursor=eyJvIjoiYyIsInQiOjEsImkiOjF9", p.instructor, nil, "400 parametre cursor"},
		"a cursor and an offset":                 {"GET", "/requests?offset=3&cursor=eyJvIjoiYyIsInQiOjEsImkiOjF9", p.instructor, nil, "400 parametre offset"},
		"a null character in a parameter":        {"GET", "/requests?applicant=a%00b", p.instructor, nil, "400 parametre applicant"},
		"parameters that cannot be read":         {"GET", "/requests?q=%zz", p.instructor, nil, "400 parametre"},
		"an organisation of a thousand letters":  {"GET", "/requests?organization=" + strings.Repeat("x", 1000), p.instructor, nil, "400 parametre organization"},
		"someone who may read but not decide":    {"POST", at(submitted.ID, "approve"), p.applicant, nil, "403 not_allowed"},
		"an instructor who edits":                {"PATCH", at(draft.ID, ""), p.instructor, data(`{"intitule":"x"}`), "403 not_allowed"},
		"an application that decides":            {"POST", at(submitted.ID, "approve"), application, nil, "403 not_allowed"},
		"an application that chooses its mails":  {"GET", "/me/mails", application, nil, "403 personne"},
	} {
		t.Run(name, func(t *testing.T) {
			s := *s
			s.t = t
			before := s.effects()
			answer := s.call(c.method, c.path, c.bearer, c.body, "If-Match", "*")
			answer.t = t
			if got := answer.problem(); got != c.want {
				t.Errorf("%s, want %s: %s", got, c.want, answer.body)
			}
			if after := s.effects(); after != before {
				t.Errorf("it had an effect: %d, then %d", before, after)
			}
			if strings.Contains(string(answer.body), "SQLSTATE") || strings.Contains(string(answer.body), "goroutine") {
				t.Errorf("the answer tells our insides: %s", answer.body)
			}
		})
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestABodyOfAnotherKindIsRefused(t *testing.T) {
	s := newSite(t)
	p := s.people()
	r := s.in(p, "draft", "api_entreprise", nil)
	for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "application/json; charset", ""} {
		answer := s.call(http.MethodPatch, fmt.Sprintf("/requests/%d", r.ID), p.applicant, `{"data":{}}`, "If-Match", "*", "Content-Type", kind)
		if got := answer.problem(); got != "415 type-de-contenu Content-Type" {
			t.Errorf("%q: %s", kind, got)
		}
	}
}

// A sender that announces 100 MB is answered at once: nothing of it is read.
func TestAHundredMegabytesAreRefusedBeforeTheyAreSent(t *testing.T) {
	s := newSite(t)
	p := s.people()
	r := s.in(p, "draft", "api_entreprise", nil)
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "PATCH /hub/v1/requests/%d HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer %s\r\nIf-Match: *\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n{",
		r.ID, p.applicant, 100<<20)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestEntityTooLarge || !resp.Close {
		t.Errorf("%d, connection closed: %t", resp.StatusCode, resp.Close)
	}
}

func TestTokensThatAreOverOrOfOthersOpenNothing(t *testing.T) {
	s := newSite(t)
	p := s.people()
	r := s.in(p, "draft", "api_entreprise", nil)
	path := fmt.Sprintf("/requests/%d", r.ID)
	s.person("dev@dinum.example", "", false, "dinum:*:developer")
	application := s.application("dev@dinum.example", auth.Scopes()...)
	foreign := newSite(t)
	foreign.people()
	if got := s.get(path, foreign.signed("jeanne.morvan@valbrise.example")).problem(); got != "401 identification" {
		t.Errorf("a token signed by another issuer: %s", got)
	}
	s.person("dev@cnam.example", "", false, "cnam:*:developer")
	if got := s.get(path, s.application("dev@cnam.example", auth.Scopes()...)).problem(); got != "404 introuvable" {
		t.Errorf("an application of another provider: %s", got)
	}
	s.ahead.Store(int64(3 * time.Hour))
	for name, bearer := range map[string]string{"a person's": p.applicant, "an application's": application} {
		if got := s.get(path, bearer).problem(); got != "401 identification" {
			t.Errorf("%s token that is over: %s", name, got)
		}
	}
}

// Whatever is sent, the answer is a success or a problem that blames the sender.
func FuzzRequestBodies(f *testing.F) {
	for _, seed := range []string{
		`{"data":{"intitule":"x"}}`, `{"data":{"scopes":["a"]}}`, `{"reason":"x"}`, `{"reason":"\u0000"}`, `{"habilitation":"H1","reason":"x"}`,
		`{"data":{"intitule":"\ud800"}}`, `{"data":{"intitule":"<b>x</b>"}}`, `{"data":null}`, `{`, ``, `null`, `{"a":1e400}`, "{\"data\":{\"\\u0000\":\"x\"}}",
		`{"email":"a@b.example"}`, `{"siret":"21380999900013"}`, `{"terms_of_service_accepted":true}`, `{"message":"` + strings.Repeat("x", 300) + `"}`,
	} {
		f.Add([]byte(seed), uint8(0))
	}
	s := newSite(f)
	p := s.people()
	draft := s.in(p, "draft", "api_entreprise", s.data("api_entreprise", nil))
	submitted := s.in(p, "submitted", "api_entreprise", s.data("api_entreprise", nil))
	targets := []struct{ method, path, bearer string }{
		{"PATCH", fmt.Sprintf("/requests/%d", draft.ID), p.applicant},
		{"POST", "/requests", p.applicant},
		{"POST", fmt.Sprintf("/requests/%d/submit", draft.ID), p.applicant},
		{"POST", fmt.Sprintf("/requests/%d/refuse", submitted.ID), p.applicant},
		{"POST", fmt.Sprintf("/requests/%d/transfer", submitted.ID), p.applicant},
		{"POST", fmt.Sprintf("/requests/%d/revoke", submitted.ID), p.instructor},
	}
	f.Fuzz(func(t *testing.T, body []byte, which uint8) {
		target := targets[int(which)%len(targets)]
		s := *s
		s.t = t
		s.client = s.contract.Client(t)
		answer := s.call(target.method, target.path, target.bearer, io.Reader(bytes.NewReader(body)), "If-Match", "*")
		answer.t = t
		if answer.status >= 500 {
			t.Fatalf("%s %q: %d %s", target.path, body, answer.status, answer.body)
		}
		if answer.status >= 400 {
			answer.problem()
		}
	})
}

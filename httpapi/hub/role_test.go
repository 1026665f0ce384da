package hub_test

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/passerelle-hub/passerelle/httpapi/apitest"
	"github.com/passerelle-hub/passerelle/httpapi/auth"
)

// documented reads the table of doc.go: route -> role -> status, and the roles
// in their order.
func documented(t *testing.T) (map[string]map[string]int, []string) {
	t.Helper()
	source, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	table := map[string]map[string]int{}
	var roles []string
	for line := range strings.Lines(string(source)) {
		cells := strings.Fields(strings.TrimPrefix(line, "//"))
		switch {
		case !strings.HasPrefix(line, "//\t"):
		case cells[0] == "route":
			roles = cells[1:]
		case len(cells) == len(roles)+2:
			row := map[string]int{}
			for i, cell := range cells[2:] {
				if row[roles[i]], err = strconv.Atoi(cell); err != nil {
					t.Fatalf("cell %q of %s", cell, line)
				}
			}
			table[cells[0]+" "+cells[1]] = row
		default:
			t.Fatalf("line %q of the table has %d cells, want %d", line, len(cells), len(roles)+2)
		}
	}
	return table, roles
}

func TestEveryRouteAnswersEveryRoleAsTheTableSays(t *testing.T) {
	s := newSite(t)
	table, roles := documented(t)
	p := s.people()
	bearers := map[string]string{
		"stranger":   s.person("stranger@ailleurs.example", "", false),
		"contact":    s.person("contact-technique@valbrise.example", ccas, true),
		"member":     s.person("member@valbrise.example", town, false),
		"verified":   s.person("verified@valbrise.example", town, true),
		"applicant":  p.applicant,
		"reporter":   s.person("reporter@dinum.example", "", false, "dinum:*:reporter", "dgfip:*:reporter"),
		"instructor": p.instructor,
		"manager":    s.person("manager@dinum.example", "", false, "dinum:*:manager", "dgfip:*:manager"),
		"developer":  s.person("developer@dinum.example", "", false, "dinum:*:developer", "dgfip:*:developer"),
		"admin":      s.person("admin@dinum.example", "", false, "admin"),
	}
	bearers["application"] = s.application("developer@dinum.example", auth.Scopes()...)
	bearers["reader"] = s.application("developer@dinum.example", auth.DefaultScopes()...)
	s.person("cible@valbrise.example", town, true)
	s.person("agent@ccas.example", ccas, true)

	// entreprise and sandbox bring a request into the state that a route wants.
	entreprise := func(state string) func() string {
		return func() string {
			return fmt.Sprintf("/requests/%d", s.in(p, state, "api_entreprise", s.data("api_entreprise", nil)).ID)
		}
	}
	sandbox := func(state string) func() string {
		return func() string {
			return fmt.Sprintf("/requests/%d", s.in(p, state, "api_impot_particulier_sandbox", s.sandbox()).ID)
		}
	}
	fixed := func(path string) func() string { return func() string { return path } }
	key := func() string { return "/keys/" + s.liveKey(p).String() }
	readKey := fixed(key())
	read := s.in(p, "validated", "api_entreprise", s.data("api_entreprise", nil))
	existing := fmt.Sprintf("/requests/%d", read.ID)
	receiver := s.receiver(t).URL
	endpoint := func(tested bool) func() string {
		return func() string {
			e := s.subscribe(bearers["developer"], subscription(receiver, nil))
			if tested {
				s.test(bearers["developer"], e.ID)
			}
			return fmt.Sprintf("/webhooks/%d", e.ID)
		}
	}
	subscribed := endpoint(false)()
	reason := map[string]any{"reason": "Parce que"}
	type call struct {
		path func() string
		body any
	}
	calls := map[string]call{
		"GET /me":                                      {fixed("/me"), nil},
		"GET /me/mails":                                {fixed("/me/mails"), nil},
		"PUT /me/mails/{definition}/{kind}":            {fixed("/me/mails/api_entreprise/submit"), map[string]any{"enabled": false}},
		"GET /requests":                                {fixed("/requests"), nil},
		"POST /requests":                               {fixed("/requests"), map[string]any{"definition_id": "api_entreprise"}},
		"GET /requests/{id}":                           {fixed(existing), nil},
		"PATCH /requests/{id}":                         {entreprise("draft"), map[string]any{"data": map[string]any{"intitule": "Autre"}}},
		"GET /requests/{id}/history":                   {fixed(existing + "/history"), nil},
		"POST /requests/{id}/submit":                   {entreprise("draft"), consents},
		"POST /requests/{id}/approve":                  {entreprise("submitted"), nil},
		"POST /requests/{id}/refuse":                   {entreprise("submitted"), reason},
		"POST /requests/{id}/request-changes":          {entreprise("submitted"), reason},
		"POST /requests/{id}/revoke":                   {entreprise("validated"), reason},
		"POST /requests/{id}/archive":                  {entreprise("refused"), nil},
		"POST /requests/{id}/reopen":                   {entreprise("validated"), nil},
		"POST /requests/{id}/cancel-reopening":         {entreprise("reopening"), reason},
		"POST /requests/{id}/start-next-stage":         {sandbox("validated"), nil},
		"POST /requests/{id}/cancel-next-stage":        {sandbox("next_stage"), nil},
		"POST /requests/{id}/transfer":                 {entreprise("submitted"), map[string]any{"email": "cible@valbrise.example"}},
		"POST /requests/{id}/transfer-to-organization": {entreprise("submitted"), map[string]any{"siret": ccas}},
		"GET /webhooks/events":                         {fixed("/webhooks/events"), nil},
		"GET /webhooks/events/{type}":                  {fixed("/webhooks/events/approve"), nil},
		"GET /webhooks/events/{type}/schema":           {fixed("/webhooks/events/approve/schema"), nil},
		"GET /webhooks":                                {fixed("/webhooks"), nil},
		"POST /webhooks":                               {fixed("/webhooks"), subscription(receiver, nil)},
		"GET /webhooks/{id}":                           {endpoint(false), nil},
		"PATCH /webhooks/{id}":                         {endpoint(false), map[string]any{"description": "Autre"}},
		"DELETE /webhooks/{id}":                        {endpoint(false), nil},
		"GET /webhooks/{id}/health":                    {fixed(subscribed + "/health"), nil},
		"GET /webhooks/{id}/history":                   {fixed(subscribed + "/history"), nil},
		"POST /webhooks/{id}/test":                     {endpoint(false), nil},
		"POST /webhooks/{id}/enable":                   {endpoint(true), nil},
		"POST /webhooks/{id}/disable":                  {endpoint(false), nil},
		"POST /webhooks/{id}/rotate-secret":            {endpoint(false), nil},
		"POST /webhooks/{id}/end-rotation":             {endpoint(false), nil},
		"PUT /requests/{id}/recipient-key":             {fixed(existing + "/recipient-key"), publicKey(t)},
		"DELETE /requests/{id}/recipient-key":          {fixed(existing + "/recipient-key"), nil},
		"GET /habilitations/{id}":                      {fixed(fmt.Sprintf("/habilitations/H%d", read.Habilitations[0].ID)), nil},
		"GET /habilitations/{id}/keys":                 {fixed(fmt.Sprintf("/habilitations/H%d/keys", read.Habilitations[0].ID)), nil},
		"GET /requests/{id}/keys":                      {fixed(existing + "/keys"), nil},
		"GET /keys/{key}":                              {readKey, nil},
		"GET /keys/{key}/rotation":                     {fixed(readKey() + "/rotation"), nil},
		"GET /keys/{key}/prolongation":                 {fixed(readKey() + "/prolongation"), nil},
		"POST /keys/{key}/rotate":                      {key, map[string]any{"grace_s": 3600}},
		"POST /keys/{key}/prolong":                     {key, nil},
		"POST /keys/{key}/revoke":                      {key, reason},
		"PUT /keys/{key}/allowed-ips":                  {fixed(readKey() + "/allowed-ips"), map[string]any{"allowed_ips": []string{"192.0.2.0/24"}}},
	}
	hook, told := s.toldEndpoint("api_entreprise")
	webhook := fmt.Sprintf("/webhooks/%d", hook)
	running := func() string { return webhook + "/replays/" + s.replayOf(hook, bearers["developer"]) + "/cancel" }
	for _, name := range []string{"/messages", "/attempts", "/tokens", "/replays"} {
		calls["GET /webhooks/{id}"+name] = call{fixed(webhook + name), nil}
	}
	calls["GET /webhooks/{id}/messages/{message}"] = call{fixed(webhook + "/messages/" + told), nil}
	calls["POST /webhooks/{id}/replays"] = call{fixed(webhook + "/replays"), map[string]any{"scope": "failed", "since": "2026-01-01T00:00:00Z"}}
	calls["GET /webhooks/{id}/replays/{replay}"] = call{fixed(webhook + "/replays/" + s.replayOf(hook, bearers["developer"])), nil}
	calls["POST /webhooks/{id}/replays/{replay}/cancel"] = call{running, nil}
	walked := map[string]bool{}
	for _, route := range s.handler.Routes() {
		name := route.Method + " " + route.Pattern
		walked[name] = true
		call, prepared := calls[name]
		row, listed := table[name]
		if !prepared || !listed {
			t.Errorf("%s: called %t, in the table %t", name, prepared, listed)
			continue
		}
		suffix := ""
		for _, parameter := range []string{"{id}/", "{key}/"} {
			if _, action, ok := strings.Cut(route.Pattern, parameter); ok && route.Method == http.MethodPost && !strings.Contains(action, "replays") {
				suffix = "/" + action
			}
		}
		path, spent := call.path()+suffix, false
		for _, role := range roles {
			if spent { // the request was changed: the next role needs another
				path = call.path() + suffix
			}
			body := call.body
			if name == "POST /requests" && (role == "application" || role == "reader") {
				body = map[string]any{
					"definition_id": "api_entreprise", "applicant": map[string]any{"email": "lise@valbrise.example"},
					"organization": map[string]any{"siret": town},
				}
			}
			if name == "POST /webhooks/{id}/replays" { // the same one again would be the one under way
				body = map[string]any{"scope": "failed", "since": s.now().Add(-time.Minute)}
			}
			answer := s.call(route.Method, path, bearers[role], body, "If-Match", "*")
			if answer.status != row[role] {
				t.Errorf("%s as %s: %d, the table says %d: %s", name, role, answer.status, row[role], answer.body)
			}
			spent = route.Method != http.MethodGet && answer.status < 300
		}
		if answer := s.call(route.Method, path, "", call.body, "If-Match", "*"); answer.status != http.StatusUnauthorized || answer.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s without a token: %d", name, answer.status)
		}
	}
	for name := range table {
		if !walked[name] {
			t.Errorf("%s is in the table and not served", name)
		}
	}
}

func TestTheContractNamesTheRolesThatTheTableLetsThrough(t *testing.T) {
	t.Parallel()
	table, roles := documented(t)
	contract := apitest.Load(t).Document
	for route, row := range table {
		method, path, _ := strings.Cut(route, " ")
		var want []any
		for _, role := range roles {
			if row[role] < 300 {
				want = append(want, role)
			}
		}
		got := contract.Paths.Find("/hub/v1" + path).GetOperation(method).Extensions["x-roles"]
		if diff := cmp.Diff(any(want), got); diff != "" {
			t.Errorf("x-roles of %s in openapi.yaml (-table +contract):\n%s", route, diff)
		}
	}
}

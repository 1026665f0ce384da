package keycloaktest_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/passerelle-hub/passerelle/connectors/keycloak/keycloaktest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest/answer"
)

func TestACreateIsAnEmpty201WithALocation(t *testing.T) {
	t.Parallel()
	b := start(t, keycloaktest.Options{})
	made := b.call("POST", "/clients", dp9001()).Want(201)
	if location := made.Header.Get("Location"); made.Text != "" || location != b.AdminURL()+client {
		t.Errorf("body %q, Location %q", made.Text, location)
	}
	b.call("POST", "/clients", dp9001()).Want(409).Body(`{"errorMessage":"Client dp-9001 already exists"}`)
	read := b.call("GET", client, nil).Want(200)
	read.Is("clientId", "dp-9001").Is("secret", oldSecret).Is("attributes.hub_ref", "dp-9001").
		Is("optionalClientScopes", []any{"dgfip", "cnaf"}).Is("defaultClientScopes", []any{}).Is("enabled", true)
	b.call("GET", secret, nil).Want(200).Body(`{"type":"secret","value":"` + oldSecret + `"}`)
	b.opens(oldSecret, true)
	if leaks := b.Leaks(); len(leaks) != 0 {
		t.Errorf("leaks: %+v", leaks)
	}
}

func TestOfConcurrentCreatesOneIsMade(t *testing.T) {
	t.Parallel()
	b := start(t, keycloaktest.Options{})
	var clients sync.WaitGroup
	statuses := make([]int, 6)
	for i := range statuses {
		clients.Go(func() { statuses[i] = b.call("POST", "/clients", object{"clientId": "dp-9001"}).Status })
	}
	clients.Wait()
	made := map[int]int{}
	for _, status := range statuses {
		made[status]++
	}
	if diff := cmp.Diff(map[int]int{201: 1, 409: 5}, made); diff != "" {
		t.Error(diff)
	}
}

func TestAClientIsFoundByItsIDAndByItsAttributes(t *testing.T) {
	t.Parallel()
	b := start(t, keycloaktest.Options{})
	b.create()
	add := func(id string, attributes map[string]string) {
		t.Helper()
		if _, err := b.AddClient(keycloaktest.Client{ClientID: id, Enabled: true, Attributes: attributes}); err != nil {
			t.Fatal(err)
		}
	}
	add("dp-9001-bis", map[string]string{"hub_ref": "dp-9001", "owner": "hub"})
	add("dp-9002", map[string]string{"hub_ref": "dp-9002", "owner": "hub"})
	for _, tt := range []struct {
		name, query string
		want        string
	}{
		{"exactly", "clientId=dp-9001", "dp-9001"},
		{"not by a part of it", "clientId=dp-90", ""},
		{"by a part of it, when it is a search", "clientId=DP-900&search=true", "dp-9001 dp-9001-bis dp-9002"},
		{"by an attribute", "q=hub_ref:dp-9001", "dp-9001 dp-9001-bis"},
		{"by two attributes", "q=" + url.QueryEscape(`hub_ref:dp-9001 owner:"hub"`), "dp-9001-bis"},
		{"by an attribute that nobody has", "q=hub_ref:nope", ""},
		{"from the second one on", "clientId=dp-900&search=true&first=1", "dp-9001-bis dp-9002"},
		{"at most two", "clientId=dp-900&search=true&max=2", "dp-9001 dp-9001-bis"},
		{"beyond the last one", "q=owner:hub&first=7&max=2", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			list, _ := b.call("GET", "/clients?"+tt.query, nil).Want(200).Get("").([]any)
			var ids []string
			for _, item := range list {
				ids = append(ids, item.(map[string]any)["clientId"].(string))
			}
			if got := strings.Join(ids, " "); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestAListHoldsTheRealmsOwnClientsToo(t *testing.T) {
	t.Parallel()
	b := start(t, keycloaktest.Options{})
	b.create()
	list, _ := b.call("GET", "/clients", nil).Want(200).Get("").([]any)
	if len(list) != 8 || len(b.Clients()) != 1 {
		t.Errorf("%d listed, %d of ours", len(list), len(b.Clients()))
	}
}

func TestAPutChangesWhatItHoldsAndNeverScopes(t *testing.T) {
	t.Parallel()
	b := start(t, keycloaktest.Options{})
	b.create()
	b.call("PUT", client, object{
		"clientId": "dp-9001", "name": "renamed", "attributes": object{"more": "1", "hub_ref": ""}, "optionalClientScopes": []string{"cnaf"},
	}).Want(204)
	b.call("GET", client, nil).Want(200).Is("name", "renamed").Is("secret", oldSecret).Is("attributes.more", "1").
		Is("attributes.hub_ref", nil).Is("optionalClientScopes", []any{"dgfip", "cnaf"}).Is("serviceAccountsEnabled", true)
	if list, _ := b.call("GET", "/clients?q=hub_ref:dp-9001", nil).Want(200).Get("").([]any); len(list) != 0 {
		t.Error("found by an attribute that it has no more")
	}
	b.call("PUT", client, object{"secret": newSecret}).Want(204)
	b.opens(oldSecret, false)
	b.opens(newSecret, true)
	b.call("PUT", client, object{"clientId": b.AdminClient()}).Want(409).Body(`{"errorMessage":"Client already exists"}`)
	b.call("PUT", client, object{"clientId": "dp-9001-bis"}).Want(204)
	if status, _ := b.ProbeClient("dp-9001-bis", newSecret); status != 200 {
		t.Errorf("under its new name: %d", status)
	}
	if status, _ := b.ProbeClient("dp-9001", newSecret); status != 401 {
		t.Errorf("under its old name: %d", status)
	}
	if status, _ := b.Probe(newSecret); status != 200 {
		t.Errorf("under whichever name: %d", status)
	}
}

func TestAClientIsRevokedByDisablingOrDeletingIt(t *testing.T) {
	t.Parallel()
	b := start(t, keycloaktest.Options{})
	b.create()
	token := b.ask("dp-9001", oldSecret).Want(200).Str("access_token")
	b.call("PUT", client, object{"enabled": false}).Want(204)
	b.ask("dp-9001", oldSecret).Want(401).Body(`{"error":"invalid_client","error_description":"Invalid client or Invalid client credentials"}`)
	b.opens(oldSecret, false)
	if b.active(token) || b.LiveSecrets("dp-9001") != 0 {
		t.Error("active after its client was disabled")
	}
	b.call("PUT", client, object{"enabled": true}).Want(204)
	b.opens(oldSecret, true)

	if reply := b.call("DELETE", client, nil).Want(204); reply.Text != "" {
		t.Errorf("204 with a body: %q", reply.Text)
	}
	b.call("DELETE", client, nil).Want(404).Body(`{"error":"Could not find client"}`)
	b.call("GET", client, nil).Want(404)
	b.call("GET", "/clients?clientId=dp-9001", nil).Want(200).Body(`[]`)
	b.opens(oldSecret, false)
	if b.active(token) {
		t.Error("active after its client was deleted")
	}
	if status, _ := b.ProbeToken(token); status != 200 {
		t.Errorf("an offline check sees the deletion: %d", status)
	}
}

func TestEveryPathOfAMissingClientIs404(t *testing.T) {
	t.Parallel()
	b := start(t, keycloaktest.Options{})
	for _, call := range [][2]string{
		{"GET", ""},
		{"PUT", ""},
		{"DELETE", ""},
		{"GET", "/client-secret"},
		{"POST", "/client-secret"},
		{"GET", "/client-secret/rotated"},
		{"DELETE", "/client-secret/rotated"},
		{"POST", "/push-revocation"},
		{"GET", "/default-client-scopes"},
		{"PUT", "/optional-client-scopes/x"},
		{"DELETE", "/optional-client-scopes/x"},
	} {
		b.call(call[0], client+call[1], object{}).Want(404).Body(`{"error":"Could not find client"}`)
	}
}

func TestGrantsAreClientScopesByID(t *testing.T) {
	t.Parallel()
	b := start(t, keycloaktest.Options{})
	b.create()
	dgfip, cnaf := b.ScopeID("dgfip"), b.ScopeID("cnaf")
	var listed bool
	list, _ := b.call("GET", "/client-scopes", nil).Want(200).Get("").([]any)
	for _, item := range list {
		sc := item.(map[string]any)
		listed = listed || sc["id"] == dgfip && sc["name"] == "dgfip"
	}
	if !listed {
		t.Errorf("dgfip is not among %v", list)
	}
	b.ask("dp-9001", oldSecret, "scope", "dgfip").Want(200).Is("scope", "dgfip")
	b.call("DELETE", client+"/optional-client-scopes/"+dgfip, nil).Want(204)
	b.call("DELETE", client+"/optional-client-scopes/"+dgfip, nil).Want(204)
	b.ask("dp-9001", oldSecret, "scope", "dgfip").Want(400).Body(`{"error":"invalid_scope","error_description":"Invalid scopes: dgfip"}`)
	b.call("PUT", client+"/default-client-scopes/"+dgfip, nil).Want(204)
	b.ask("dp-9001", oldSecret).Want(200).Is("scope", "dgfip")
	b.ask("dp-9001", oldSecret, "scope", "cnaf openid").Want(200).Is("scope", "dgfip cnaf")
	b.call("GET", client+"/default-client-scopes", nil).Want(200).Is("0.name", "dgfip").Is("1", nil)
	b.call("PUT", client+"/default-client-scopes/"+cnaf, nil).Want(204) // it has it, as optional: nothing changes
	b.call("GET", client+"/optional-client-scopes", nil).Want(200).Is("0.name", "cnaf")
	b.call("PUT", client+"/optional-client-scopes/nope", nil).Want(404).Body(`{"error":"Client scope not found"}`)
	b.call("DELETE", client+"/optional-client-scopes/nope", nil).Want(404).Body(`{"error":"Client scope not found"}`)
}

func TestANewClientsScopesAreTheRealmsUnlessItNamesAny(t *testing.T) {
	t.Parallel()
	b := start(t, keycloaktest.Options{})
	create := func(id string, body object) answer.Answer {
		body["id"], body["clientId"] = id, id
		b.call("POST", "/clients", body).Want(201)
		return b.call("GET", "/clients/"+id, nil).Want(200)
	}
	create("plain", object{}).Is("defaultClientScopes", []any{"acr", "basic", "email", "profile", "roles", "web-origins"})
	create("named", object{"defaultClientScopes": []string{"dgfip", "nope"}, "optionalClientScopes": []string{"cnaf", "dgfip"}}).
		Is("defaultClientScopes", []any{"dgfip"}).Is("optionalClientScopes", []any{"cnaf"}) // what does not exist is ignored
}

func TestABodyThatIsNoClientIsRefused(t *testing.T) {
	t.Parallel()
	b := start(t, keycloaktest.Options{})
	b.create()
	header := http.Header{"Authorization": {"Bearer " + b.token}, "Content-Type": {"application/json"}}
	for _, call := range [][2]string{{"POST", "/clients"}, {"PUT", client}} {
		answer.To(b.t, call[0], b.AdminURL()+call[1], header, `{"clientId":`).Want(400).Body(`{"error":"Cannot parse the JSON"}`)
		answer.To(b.t, call[0], b.AdminURL()+call[1], header, `[]`).Want(400)
		b.call(call[0], call[1], object{"nope": 1}).Want(400)
		b.call(call[0], call[1], object{"enabled": "yes"}).Want(400)
		form := http.Header{"Authorization": {"Bearer " + b.token}, "Content-Type": {"application/x-www-form-urlencoded"}}
		answer.To(b.t, call[0], b.AdminURL()+call[1], form, "clientId=x").Want(415).Body(`{"error":"HTTP 415 Unsupported Media Type"}`)
	}
	b.call("POST", "/clients", object{"clientId": "x", "rootUrl": "https://commune.example.test", "bearerOnly": false}).Want(201)
}

func TestASecretIsMadeUnlessOneIsBrought(t *testing.T) {
	t.Parallel()
	b := start(t, keycloaktest.Options{})
	b.call("POST", "/clients", object{"id": "c", "clientId": "c", "serviceAccountsEnabled": true}).Want(201)
	made := b.call("GET", "/clients/c/client-secret", nil).Want(200).Str("value")
	if len(made) != 32 {
		t.Errorf("a secret of %d characters", len(made))
	}
	b.ask("c", made).Want(200)
	b.call("POST", "/clients", object{"id": "p", "clientId": "p", "publicClient": true, "secret": "ignored"}).Want(201)
	b.ask("p", "").Want(400).Is("error_description", "Public client not allowed to retrieve service account")
	b.call("POST", "/clients", object{"id": "n", "clientId": "n", "secret": "no-account"}).Want(201)
	b.ask("n", "no-account").Want(400).Is("error_description", "Client not enabled to retrieve service account")
	if status, _ := b.ProbeClient("n", "no-account"); status != 400 {
		t.Errorf("probe: %d", status)
	}
}

func TestAnAdminTokenLivesAMinute(t *testing.T) {
	t.Parallel()
	b := start(t, keycloaktest.Options{})
	b.ask(b.AdminClient(), b.AdminSecret()).Want(200).Is("expires_in", 60.0)
	b.Advance(59 * time.Second)
	b.call("GET", "/clients", nil).Want(200)
	b.Advance(time.Second)
	b.call("GET", "/clients", nil).Want(401).Body(`{"error":"HTTP 401 Unauthorized"}`)
	b.authenticate()
	b.call("GET", "/clients", nil).Want(200)
	b.ExpireAdminTokens()
	b.call("GET", "/clients", nil).Want(401)
}

func TestTheAdminAPIAsksForATokenOfAnAdminClient(t *testing.T) {
	t.Parallel()
	b := start(t, keycloaktest.Options{})
	b.create()
	ours := b.ask("dp-9001", oldSecret).Want(200).Str("access_token")
	for _, tt := range []struct {
		name, header string
		status       int
		body         string
	}{
		{"none", "", 401, `{"error":"HTTP 401 Unauthorized"}`},
		{"not a bearer", "Basic x", 401, `{"error":"HTTP 401 Unauthorized"}`},
		{"unknown", "Bearer nope", 401, `{"error":"HTTP 401 Unauthorized"}`},
		{"of a client without the role", "Bearer " + ours, 403, `{"error":"HTTP 403 Forbidden"}`},
	} {
		for _, path := range []string{"/clients", client, "/client-scopes"} {
			got := answer.To(b.t, "GET", b.AdminURL()+path, http.Header{"Authorization": {tt.header}}, "")
			got.Want(tt.status).Body(tt.body)
		}
	}
	b.SetAdminSecret("another-secret")
	b.ask(b.AdminClient(), keycloaktest.DefaultAdminSecret).Want(401)
	b.authenticate()
}

func TestPathsRealmsAndMethodsThatAreNotThere(t *testing.T) {
	t.Parallel()
	b := start(t, keycloaktest.Options{})
	header := http.Header{"Authorization": {"Bearer " + b.token}}
	answer.To(b.t, "GET", b.URL()+"/admin/realms/other/clients", header, "").Want(404).Body(`{"error":"Realm not found."}`)
	answer.To(b.t, "GET", b.URL()+"/realms/other", nil, "").Want(404).Body(`{"error":"Realm not found."}`)
	b.call("GET", "/nope", nil).Want(404).Body(`{"error":"Unable to find matching target resource method"}`)
	b.call("PATCH", client, object{}).Want(405)
	answer.To(b.t, "GET", b.URL()+"/admin/serverinfo", header, "").Want(200).Is("systemInfo.version", keycloaktest.Version)
}

func TestWithoutItsDatabaseKeycloakIsLiveAndNotReady(t *testing.T) {
	t.Parallel()
	b := start(t, keycloaktest.Options{})
	b.create()
	health := func(path string) answer.Answer { return answer.To(b.t, "GET", b.ManagementURL()+path, nil, "") }
	health("/health/ready").Want(200).Is("status", "UP").Is("checks.0.status", "UP")
	b.SetDatabaseReachable(false)
	health("/health/ready").Want(503).Is("status", "DOWN")
	health("/health").Want(503)
	health("/health/live").Want(200).Is("status", "UP")
	health("/health/started").Want(200)
	b.call("POST", "/clients", object{"clientId": "x"}).Want(500).Body(`{"error":"unknown_error"}`)
	b.ask("dp-9001", oldSecret).Want(500)
	if status, _ := b.Probe(oldSecret); status != 500 {
		t.Errorf("probe: %d", status)
	}
	b.SetDatabaseReachable(true)
	b.opens(oldSecret, true)

	off := start(t, keycloaktest.Options{HealthDisabled: true})
	answer.To(off.t, "GET", off.ManagementURL()+"/health/ready", nil, "").Want(404)
}

func TestALostAnswerLeavesItsWorkAndAnEarlyFaultDoesNot(t *testing.T) {
	t.Parallel()
	b := start(t, keycloaktest.Options{})
	create := func() (int, error) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.AdminURL()+"/clients", strings.NewReader(`{"clientId":"dp-9001"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+b.token)
		req.Header.Set("Content-Type", "application/json")
		reply, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, err
		}
		return reply.StatusCode, reply.Body.Close()
	}
	b.Inject(partnertest.ResetBefore("POST /admin/realms/*/clients").For(1))
	if _, err := create(); err == nil || b.Counts().Clients != 0 {
		t.Errorf("before the work: %v, %+v", err, b.Counts())
	}
	b.Inject(partnertest.ResetAfter("admin:POST /admin/realms/*/clients").For(1))
	if _, err := create(); err == nil || b.Counts().Clients != 1 {
		t.Errorf("after the work: %v, %+v", err, b.Counts())
	}
	if status, err := create(); err != nil || status != 409 {
		t.Errorf("again: %d, %v", status, err)
	}
	if got := b.CountPerRoute()["POST /admin/realms/{realm}/clients"]; got != 2 {
		t.Errorf("%v", b.CountPerRoute())
	}
}

func TestNoSecretIsShownOrLogged(t *testing.T) {
	t.Parallel()
	b := start(t, keycloaktest.Options{Rotation: &keycloaktest.RotationPolicy{}})
	b.create()
	made := b.call("POST", secret, nil).Want(200).Str("value")
	state := answer.To(b.t, "GET", b.URL()+"/_admin/state", nil, "").Want(200)
	for _, value := range []string{oldSecret, made, b.AdminSecret(), b.token} {
		if strings.Contains(state.Text, value) {
			t.Error("the state shows a secret")
		}
		for _, call := range b.Calls("") {
			if strings.Contains(fmt.Sprint(call), value) {
				t.Errorf("a secret in the log of %s %s", call.Method, call.Path)
			}
		}
	}
	if c, ok := b.Client("dp-9001"); !ok || c.Secret != made || c.Rotated != oldSecret {
		t.Errorf("%+v", c)
	}
}

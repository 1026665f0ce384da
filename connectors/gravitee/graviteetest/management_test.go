package graviteetest_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/passerelle-hub/passerelle/connectors/gravitee/graviteetest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest/answer"
)

func TestAuthentication(t *testing.T) {
	t.Parallel()
	b := start(t, graviteetest.Options{})
	basic := func(user, password string) http.Header {
		return http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))}}
	}
	for _, tt := range []struct {
		name   string
		header http.Header
		want   int
	}{
		{"the token", b.bearer(), 200},
		{"Basic", basic(b.User(), b.Password()), 200},
		{"nothing", nil, 401},
		{"another token", http.Header{"Authorization": {"Bearer x"}}, 401},
		{"another password", basic(b.User(), "x"), 401},
	} {
		for _, path := range []string{v1 + "/applications", v2 + "/apis/" + graviteetest.DemoAPI, automation + "/applications/x-1-y"} {
			got := answer.ToJSON(b.t, "GET", b.ManagementURL()+path, tt.header, nil)
			if (got.Status == 401) != (tt.want == 401) {
				t.Errorf("%s on %s: %d %s", tt.name, path, got.Status, got.Text)
			}
		}
	}
	b.SetToken("another")
	b.call("GET", v1+"/applications", nil).Want(200)
	if got := answer.ToJSON(b.t, "GET", b.ManagementURL()+v1+"/applications", http.Header{"Authorization": {"Bearer " + graviteetest.DefaultToken}}, nil); got.Status != 401 {
		t.Errorf("the token that was replaced: %d", got.Status)
	}
}

func TestErrorsHaveTheShapeOfTheirAPI(t *testing.T) {
	t.Parallel()
	b := start(t, graviteetest.Options{})
	for _, tt := range []struct{ method, path, want string }{
		{"GET", v1 + "/applications/none", `{"message":"Application [none] cannot be found.","http_status":404,"parameters":{"application":"none"},"technicalCode":"application.notFound"}`},
		{"GET", v2 + "/apis/none", `{"httpStatus":404,"message":"Api [none] cannot be found.","technicalCode":"api.notFound","parameters":{"api":"none"}}`},
		{"GET", subs + "/none", `{"httpStatus":404,"message":"Subscription [none] cannot be found.","technicalCode":"subscription.notFound","parameters":{"subscription":"none"}}`},
		{"GET", automation + "/applications/none", `{"httpStatus":404,"message":"HRID [none] cannot be found.","technicalCode":"hrid.notFound"}`},
		{"GET", "/management/organizations/DEFAULT/environments/PROD/applications", `{"message":"Environment [PROD] cannot be found.","http_status":404,"parameters":{"environment":"PROD"},"technicalCode":"environment.notFound"}`},
		{"GET", "/management/v2/organizations/X/environments/DEFAULT/apis", `{"httpStatus":404,"message":"Organization [X] cannot be found.","technicalCode":"organization.notFound","parameters":{"organization":"X"}}`},
		{"GET", "/management/nothing", `{"httpStatus":404,"message":"HTTP 404 Not Found"}`},
		{"PATCH", subs, `{"httpStatus":405,"message":"HTTP 405 Method Not Allowed"}`},
		{"GET", v1 + "/configuration/dictionaries/none", `{"message":"Dictionary [none] cannot be found.","http_status":404,"parameters":{"dictionary":"none"},"technicalCode":"dictionary.notFound"}`},
	} {
		if got := b.call(tt.method, tt.path, nil); got.Text != tt.want {
			t.Errorf("%s %s:\n got %s\nwant %s", tt.method, tt.path, got.Text, tt.want)
		}
	}
}

func TestBodiesAreValidated(t *testing.T) {
	t.Parallel()
	b := start(t, graviteetest.Options{})
	for _, tt := range []struct {
		name, path string
		body       object
		want       int
		text       string
	}{
		{"no name", v1 + "/applications", object{"description": "x"}, 400, "Application's name must not be null"},
		{"an empty name", v1 + "/applications", object{"name": "", "description": "x"}, 400, "Application's name must not be empty"},
		{"no description", v1 + "/applications", object{"name": "x"}, 400, "Application's description must not be null"},
		{"an unknown property", v1 + "/applications", object{"name": "x", "description": "x", "client_id": "y"}, 400, "Property [client_id] is not recognized"},
		{"a wrong type", v1 + "/applications", object{"name": 1, "description": "x"}, 400, "invalidValue"},
		{"an unknown key mode", v1 + "/applications", object{"name": "x", "description": "x", "api_key_mode": "BOTH"}, 400, "invalidValue"},
		{"no plan", subs, object{"applicationId": "x"}, 400, "Validation error"},
		{"no body at all", subs, nil, 415, "Unsupported Media Type"},
	} {
		var body any
		if tt.body != nil {
			body = tt.body
		}
		if got := b.call("POST", tt.path, body); got.Status != tt.want || !strings.Contains(got.Text, tt.text) {
			t.Errorf("%s: %d %s", tt.name, got.Status, got.Text)
		}
	}
	if got := b.Counts(); got != (graviteetest.Counts{}) {
		t.Errorf("refused calls left %+v", got)
	}
}

func TestClientIDIsUniqueAmongActiveApplicationsOnly(t *testing.T) {
	t.Parallel()
	b := start(t, graviteetest.Options{})
	first := b.application("dp-1")
	same := object{"name": "x", "description": "x", "settings": object{"app": object{"client_id": "dp-1", "type": "web"}}}
	b.call("POST", v1+"/applications", same).Want(400).Is("technicalCode", "application.clientId.exists")
	b.call("POST", v1+"/applications", object{"name": "no clientId", "description": "x"}).Want(201)
	b.call("POST", v1+"/applications", object{"name": "no clientId either", "description": "x"}).Want(201)

	b.call("DELETE", v1+"/applications/"+first, nil).Want(204)
	second := b.call("POST", v1+"/applications", same).Want(201)
	if second.Str("settings.app.client_id") != "dp-1" || second.Str("type") != "web" || second.Str("api_key_mode") != "UNSPECIFIED" {
		t.Errorf("created from settings: %s", second.Text)
	}
	b.call("POST", v1+"/applications/"+first+"/_restore", nil).Want(400).Is("technicalCode", "application.clientId.exists")
	b.call("POST", v1+"/applications/"+second.Str("id")+"/_restore", nil).Want(400).Is("technicalCode", "application.active")
	b.call("DELETE", v1+"/applications/"+second.Str("id"), nil).Want(204)
	if got := b.call("POST", v1+"/applications/"+first+"/_restore", nil).Want(200); got.Str("status") != "ACTIVE" {
		t.Errorf("restored: %s", got.Text)
	}
	if got := b.ApplicationsByClientID("dp-1"); len(got) != 1 || got[0].ID != first {
		t.Errorf("active: %+v", got)
	}
}

func TestTwoConcurrentCreatesCanBothPass(t *testing.T) {
	t.Parallel()
	var both sync.WaitGroup
	both.Add(2)
	b := start(t, graviteetest.Options{BetweenCheckAndInsert: func() { both.Done(); both.Wait() }})
	var done sync.WaitGroup
	for range 2 {
		done.Go(func() {
			got := b.call("POST", v1+"/applications", object{"name": "x", "description": "x", "clientId": "dp-1"})
			if got.Status != 201 {
				t.Errorf("got %d %s", got.Status, got.Text)
			}
		})
	}
	done.Wait()
	if got := b.ApplicationsByClientID("dp-1"); len(got) != 2 || b.Counts().DuplicatedClientIDs != 1 {
		t.Errorf("applications: %+v", got)
	}
}

func TestApplicationSearch(t *testing.T) {
	t.Parallel()
	for _, namesOnly := range []bool{false, true} {
		b := start(t, graviteetest.Options{SearchNamesOnly: namesOnly})
		for _, name := range []string{"Mairie de Bourg", "Commune de Valfleury", "commune d'Ailleurs"} {
			b.call("POST", v1+"/applications", object{"name": name, "description": "DataPass 90"}).Want(201)
		}
		archived := b.call("POST", v1+"/applications", object{"name": "Commune partie", "description": "DataPass 91"}).Str("id")
		b.call("DELETE", v1+"/applications/"+archived, nil).Want(204)
		names := func(query string) []string {
			var list []struct{ Name string }
			if err := json.Unmarshal([]byte(b.call("GET", v1+"/applications?"+query, nil).Want(200).Text), &list); err != nil {
				t.Fatal(err)
			}
			out := []string{}
			for _, app := range list {
				out = append(out, app.Name)
			}
			return out
		}
		byDescription := []string{"Commune de Valfleury", "Mairie de Bourg", "commune d'Ailleurs"}
		if namesOnly {
			byDescription = []string{}
		}
		for query, want := range map[string][]string{
			"query=commune":                          {"Commune de Valfleury", "commune d'Ailleurs"},
			"query=datapass+90":                      byDescription,
			"query=commune&status=ARCHIVED":          {"Commune partie"},
			"query=" + archived + "&status=ARCHIVED": {"Commune partie"},
			"query=nothing":                          {},
		} {
			if diff := cmp.Diff(want, names(query)); diff != "" {
				t.Errorf("names only %v, %s (-want +got):\n%s", namesOnly, query, diff)
			}
		}
	}
}

func TestApplicationMetadata(t *testing.T) {
	t.Parallel()
	b := start(t, graviteetest.Options{})
	path := v1 + "/applications/" + b.application("dp-1") + "/metadata"
	made := b.call("POST", path, object{"name": "DataPass id", "value": "9001", "format": "string"}).Want(201)
	if made.Str("key") != "datapass-id" || made.Str("format") != "STRING" || made.Header.Get("Location") != path+"/datapass-id" {
		t.Errorf("made: %s, %s", made.Text, made.Header.Get("Location"))
	}
	b.call("POST", path, object{"name": "DataPass ID", "value": "9002"}).Want(400).Is("technicalCode", "metadata.exists")
	if got := b.call("GET", path, nil).Want(200); got.Str("0.value") != "9001" || got.Get("1") != nil {
		t.Errorf("listed: %s", got.Text)
	}
}

func TestDictionariesAreReplacedWhole(t *testing.T) {
	t.Parallel()
	b := start(t, graviteetest.Options{})
	b.AddDictionary("scopes", "scopes", map[string]string{"a": "1"})
	path := v1 + "/configuration/dictionaries/scopes"
	read := b.call("GET", path, nil).Want(200)
	if read.Str("properties.a") != "1" || read.Str("type") != "MANUAL" {
		t.Errorf("read: %s", read.Text)
	}
	// Two writers who read the same state: the second loses what the first wrote.
	b.call("PUT", path, object{"name": "scopes", "type": "MANUAL", "properties": object{"a": "1", "b": "2"}}).Want(200)
	b.call("PUT", path, object{"name": "scopes", "type": "MANUAL", "properties": object{"a": "1", "c": "3"}}).Want(200)
	if got := b.Snapshot().Dictionaries[0]; got.Properties["b"] != "" || got.Deployed["c"] != "" {
		t.Errorf("before deployment: %+v", got)
	}
	b.call("POST", path+"/_deploy", nil).Want(200)
	if got := b.Snapshot().Dictionaries[0]; got.Deployed["c"] != "3" {
		t.Errorf("after deployment: %+v", got)
	}
	b.call("POST", v1+"/configuration/dictionaries", object{"name": "API roles", "type": "MANUAL"}).Want(201)
	b.call("POST", v1+"/configuration/dictionaries", object{"name": "API roles", "type": "MANUAL"}).Want(400)
	if got := b.call("GET", v1+"/configuration/dictionaries", nil).Want(200); got.Str("1.id") != "api-roles" {
		t.Errorf("listed: %s", got.Text)
	}
}

func TestConfigurationLookups(t *testing.T) {
	t.Parallel()
	b := start(t, graviteetest.Options{APIs: []graviteetest.API{
		{ID: "a1", HRID: "qf", Name: "Quotient familial", Plans: []graviteetest.Plan{
			{ID: "p1", Name: "Clés"}, {ID: "p2", Name: "Ouvert", Security: "KEY_LESS"}, {ID: "p3", Name: "Ancien", Status: "DEPRECATED"},
		}},
		{ID: "a2", ContextPath: "/deux", Stopped: true},
	}})
	api := b.call("GET", v2+"/apis/a1", nil).Want(200)
	if api.Str("name") != "Quotient familial" || api.Str("state") != "STARTED" || api.Str("listeners.0.paths.0.path") != "/qf" {
		t.Errorf("api: %s", api.Text)
	}
	list := b.call("GET", v2+"/apis?perPage=1&page=2", nil).Want(200)
	if list.Str("data.0.id") != "a2" || list.Str("data.0.state") != "STOPPED" || list.Get("pagination.pageCount") != 2.0 {
		t.Errorf("apis: %s", list.Text)
	}
	plans := b.call("GET", v2+"/apis/a1/plans", nil).Want(200)
	if plans.Get("pagination.totalCount") != 2.0 || plans.Str("data.0.id") != "p1" || plans.Str("data.0.security.type") != "API_KEY" {
		t.Errorf("published plans: %s", plans.Text)
	}
	if got := b.call("GET", v2+"/apis/a1/plans?statuses=deprecated,CLOSED", nil).Want(200); got.Str("data.0.id") != "p3" {
		t.Errorf("other plans: %s", got.Text)
	}
	if got := b.call("GET", v2+"/apis/a1/plans/p3", nil).Want(200); got.Str("status") != "DEPRECATED" || got.Str("apiId") != "a1" {
		t.Errorf("plan: %s", got.Text)
	}
	b.call("GET", v2+"/apis/a2/plans/p3", nil).Want(404).Is("technicalCode", "plan.notFound")

	app := b.application("dp-1")
	subscribe := func(plan string) answer.Answer {
		return b.call("POST", v2+"/apis/a1/subscriptions", object{"applicationId": app, "planId": plan})
	}
	subscribe("p2").Want(400).Is("technicalCode", "plan.notSubscribable")
	subscribe("p3").Want(400).Is("technicalCode", "plan.notSubscribable")
	subscribe("none").Want(404).Is("technicalCode", "plan.notFound")
	b.SetPlanStatus("p1", "STAGING")
	subscribe("p1").Want(400).Is("technicalCode", "plan.notPublished")
	b.SetPlanStatus("p1", "PUBLISHED")
	sub := subscribe("p1").Want(201).Str("id")
	b.SetPlanStatus("p1", "CLOSED")
	subscribe("p1").Want(400).Is("technicalCode", "plan.closed")
	if got := b.call("GET", v2+"/apis/a1/subscriptions/"+sub, nil); got.Str("status") != "CLOSED" {
		t.Errorf("the subscription of a closed plan: %s", got.Text)
	}
	if b.SetPlanStatus("none", "CLOSED") {
		t.Error("an unknown plan was closed")
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	b := start(t, graviteetest.Options{})
	basic := http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(b.User()+":"+b.Password()))}}
	for _, base := range []string{b.TechnicalURL(), b.ManagementURL()} {
		b.SetHealthy(true)
		if got := answer.ToJSON(b.t, "GET", base+"/_node/health", basic, nil); got.Status != 200 || got.Get("management-repository.healthy") != true {
			t.Errorf("healthy: %d %s", got.Status, got.Text)
		}
		b.SetHealthy(false)
		if got := answer.ToJSON(b.t, "GET", base+"/_node/health", basic, nil); got.Status != 500 || got.Get("management-repository.healthy") != false {
			t.Errorf("unhealthy: %d %s", got.Status, got.Text)
		}
		if got := answer.ToJSON(b.t, "GET", base+"/_node/health", b.bearer(), nil); got.Status != 401 {
			t.Errorf("with a token: %d", got.Status)
		}
	}
}

func TestResetBringsTheSeedBack(t *testing.T) {
	t.Parallel()
	b := start(t, graviteetest.Options{CustomKeysRefused: true})
	b.SetCustomKeys(true)
	b.subscribe("dp-1", oldKey)
	b.AddAPI(graviteetest.API{ID: "more"})
	b.SetToken("another")
	if got := answer.ToJSON(b.t, "POST", b.GatewayURL()+"/_admin/reset", nil, nil); got.Status != 204 {
		t.Fatalf("reset: %d", got.Status)
	}
	if got := b.Counts(); got != (graviteetest.Counts{}) || b.Token() != graviteetest.DefaultToken {
		t.Errorf("after reset: %+v", got)
	}
	b.lives(oldKey, false)
	b.call("GET", v2+"/apis/more", nil).Want(404)
	b.call("POST", subs, object{"applicationId": b.application("dp-1"), "planId": graviteetest.DemoPlan, "customApiKey": oldKey}).
		Want(400).Is("technicalCode", "subscription.invalid")
}

func TestAnOlderVersionHasNoAutomationAPI(t *testing.T) {
	t.Parallel()
	b := start(t, graviteetest.Options{AutomationAbsent: true})
	b.call("GET", automation+"/applications/dp-1-x", nil).Want(404)
}

func TestTheStateShowsNoKey(t *testing.T) {
	t.Parallel()
	b := start(t, graviteetest.Options{})
	b.subscribe("dp-1", oldKey)
	state := answer.ToJSON(b.t, "GET", b.ManagementURL()+"/_admin/state", nil, nil).Want(200)
	calls := answer.ToJSON(b.t, "GET", b.ManagementURL()+"/_admin/calls", nil, nil).Want(200)
	for _, text := range []string{state.Text, calls.Text} {
		if strings.Contains(text, oldKey) || strings.Contains(text, b.Token()) {
			t.Errorf("a secret in %s", text)
		}
	}
	if state.Get("counts.live_keys") != 1.0 || state.Str("keys.0.fingerprint") == "" {
		t.Errorf("state: %s", state.Text)
	}
}

func TestStartRefusesAnAddressThatIsTaken(t *testing.T) {
	t.Parallel()
	b := start(t, graviteetest.Options{})
	taken := strings.TrimPrefix(b.GatewayURL(), "http://")
	if srv, err := graviteetest.Start(graviteetest.Options{GatewayAddr: taken}); err == nil {
		_ = srv.Close()
		t.Error("two gateways on one address")
	}
}

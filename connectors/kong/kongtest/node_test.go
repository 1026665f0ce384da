package kongtest_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/passerelle-hub/passerelle/connectors/kong/kongtest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest/answer"
)

func TestTheOpenSourceEditionAsksForNoCredentials(t *testing.T) {
	t.Parallel()
	b := start(t, kongtest.Options{})
	b.call("GET", "/", nil).Want(200).Is("version", kongtest.Version).Is("edition", "community")
	b.call("GET", "/consumers", nil).Want(200).Body(`{"data":[],"next":null}`)
}

func TestTheEnterpriseAsksForItsTokenAndHasWorkspaces(t *testing.T) {
	t.Parallel()
	b := start(t, kongtest.Options{AdminToken: "kong-token-1", Workspace: "agents"})
	get := func(path, token string) answer.Answer {
		header := http.Header{}
		if token != "" {
			header.Set("Kong-Admin-Token", token)
		}
		return answer.To(b.t, "GET", b.AdminURL()+path, header, "")
	}
	get("/consumers", "").Want(401).Body(`{"message":"Invalid credentials. Token or User credentials required"}`)
	get("/consumers", "wrong").Want(401).Body(`{"message":"Invalid RBAC credentials"}`)
	get("/consumers", "kong-token-1").Want(200)
	get("/agents/consumers", "kong-token-1").Want(200)
	get("/agents/consumers/nope/key-auth", "kong-token-1").Want(404).Body(`{"message":"Not found"}`)
	get("/others/consumers", "kong-token-1").Want(404)
	b.SetAdminToken("kong-token-2")
	get("/consumers", "kong-token-1").Want(401)
	get("/consumers", "kong-token-2").Want(200)
	for _, call := range b.Calls("") {
		if strings.Contains(fmt.Sprint(call), "kong-token") {
			t.Errorf("a token in the log: %+v", call)
		}
	}
}

func TestStatusIs200WhateverTheDatabaseDoes(t *testing.T) {
	t.Parallel()
	b := start(t, kongtest.Options{})
	b.consumer()
	b.issue(oldID, oldKey)
	b.call("GET", "/status", nil).Want(200).Is("database.reachable", true)
	answer.To(b.t, "GET", b.StatusURL()+"/status/ready", nil, "").Want(200).Body(`{"message":"ready"}`)

	b.SetDatabaseReachable(false)
	b.call("GET", "/status", nil).Want(200).Is("database.reachable", false)
	answer.To(b.t, "GET", b.StatusURL()+"/status", nil, "").Want(200).Is("database.reachable", false)
	answer.To(b.t, "GET", b.StatusURL()+"/status/ready", nil, "").Want(503).Body(`{"message":"failed to connect to database"}`)
	for _, call := range [][2]string{
		{"GET", "/consumers"},
		{"POST", "/consumers"},
		{"PUT", "/consumers/dp-9001"},
		{"DELETE", "/consumers/dp-9001"},
		{"PUT", "/consumers/dp-9001/key-auth/" + newID},
	} {
		b.call(call[0], call[1], object{}).Want(500).Body(`{"message":"An unexpected error occurred"}`)
	}
	b.answers(oldKey, 200) // from its cache
	b.SetDatabaseReachable(true)
	b.call("GET", "/consumers/dp-9001", nil).Want(200)
}

func TestADrainingNodeIsNotReady(t *testing.T) {
	t.Parallel()
	b := start(t, kongtest.Options{})
	form := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	answer.To(b.t, "POST", b.StatusURL()+"/status/ready", form, "status=other").Want(400)
	answer.To(b.t, "POST", b.StatusURL()+"/status/ready", form, "status=draining").Want(204)
	answer.To(b.t, "GET", b.StatusURL()+"/status/ready", nil, "").Want(503).Body(`{"message":"draining"}`)
	answer.To(b.t, "GET", b.StatusURL()+"/nope", nil, "").Want(404)
	answer.To(b.t, "DELETE", b.StatusURL()+"/status", nil, "").Want(405)
}

func TestANodeWithoutDatabaseOnlyReads(t *testing.T) {
	t.Parallel()
	b := start(t, kongtest.Options{DBLess: true})
	b.call("POST", "/consumers", object{"username": "a"}).Want(405).Body(
		`{"code":12,"name":"operation unsupported","message":"cannot create 'consumers' entities when not using a database"}`)
	b.call("PUT", "/consumers/a", object{}).Want(405).Is("code", 12.0)
	b.call("GET", "/consumers", nil).Want(200)
	if b.call("GET", "/status", nil).Want(200).Get("database") != nil {
		t.Error("a database")
	}
}

func TestRoutesAndTheirGroupsCanBeRead(t *testing.T) {
	t.Parallel()
	b := start(t, kongtest.Options{})
	route := b.call("GET", "/routes", nil).Want(200).Is("data.0.name", "dgfip").Is("data.0.paths", []any{"/dgfip"}).Str("data.0.id")
	b.call("GET", "/plugins", nil).Want(200).Is("data.1.name", "acl").Is("data.1.config.allow", []any{"dgfip"}).
		Is("data.1.route.id", route).Is("data.3.config.allow", []any{"cnaf"})
	b.call("GET", "/routes/dgfip/plugins", nil).Want(200).Is("data.0.name", "key-auth").Is("data.2", nil)
	b.call("GET", "/routes/"+route+"/plugins", nil).Want(200).Is("data.1.config.allow", []any{"dgfip"})
	b.call("GET", "/routes/nope/plugins", nil).Want(404)
}

func TestALostAnswerLeavesItsWorkAndAnEarlyFaultDoesNot(t *testing.T) {
	t.Parallel()
	b := start(t, kongtest.Options{})
	b.consumer()
	path := "/consumers/dp-9001/key-auth/" + oldID
	put := func() error {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, b.AdminURL()+path, strings.NewReader(`{"key":"`+oldKey+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		reply, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = reply.Body.Close()
		}
		return err
	}
	b.Inject(partnertest.ResetBefore(partnertest.Route("PUT " + path)).For(1))
	if err := put(); err == nil || b.Counts().Credentials != 0 {
		t.Errorf("before the work: %v, %+v", err, b.Counts())
	}
	b.Inject(partnertest.ResetAfter(partnertest.Route("admin:PUT " + path)).For(1))
	if err := put(); err == nil || b.Counts().Credentials != 1 {
		t.Errorf("after the work: %v, %+v", err, b.Counts())
	}
	if err := put(); err != nil || b.Counts().Credentials != 1 {
		t.Errorf("again: %v, %+v", err, b.Counts())
	}
	if got := b.CountPerRoute()["PUT /consumers/{consumer}/key-auth/{id}"]; got != 2 {
		t.Errorf("calls that worked: %d", got)
	}
}

func TestAResetBringsBackTheSeed(t *testing.T) {
	t.Parallel()
	b := start(t, kongtest.Options{})
	b.consumer()
	b.issue(oldID, oldKey)
	b.SetDatabaseReachable(false)
	b.AddRoute(kongtest.Route{Name: "more", Path: "/more"})
	b.Reset()
	want := kongtest.Snapshot{Routes: kongtest.DemoRoutes(), Consumers: []kongtest.Consumer{}, Credentials: []kongtest.Credential{}}
	if diff := cmp.Diff(want, b.Snapshot()); diff != "" {
		t.Error(diff)
	}
	b.answers(oldKey, 401)
	b.consumer()
}

func TestASnapshotShowsNoSecret(t *testing.T) {
	t.Parallel()
	b := start(t, kongtest.Options{})
	b.consumer()
	b.issue(oldID, oldKey)
	b.call("POST", "/consumers/dp-9001/jwt", object{"secret": newKey}).Want(201)
	state := answer.To(b.t, "GET", b.AdminURL()+"/_admin/state", nil, "").Want(200)
	if strings.Contains(state.Text, oldKey) || strings.Contains(state.Text, newKey) {
		t.Error(state.Text)
	}
	state.Is("counts.credentials", 2.0).Is("consumers.0.groups", []any{"dgfip"})
	if key, ok := b.KeyByValue(oldKey); !ok || key.ID != oldID || key.Kind != kongtest.KindKeyAuth {
		t.Errorf("%+v", key)
	}
}

func TestManyClientsAtOnce(t *testing.T) {
	t.Parallel()
	b := start(t, kongtest.Options{Clock: partnertest.NewClock(), PropagationDelay: time.Millisecond})
	var clients sync.WaitGroup
	for n := range 8 {
		clients.Go(func() {
			base := fmt.Sprintf("/consumers/dp-%d", n)
			for i := range 10 {
				b.call("PUT", base, object{"custom_id": base}).Want(200)
				b.call("PUT", base+"/acls/dgfip", object{}).Want(200)
				b.call("POST", base+"/key-auth", object{"key": fmt.Sprintf("key-%d-%d", n, i)}).Want(201)
				b.proxied("/dgfip/", fmt.Sprintf("key-%d-%d", n, i))
				b.call("GET", "/consumers?tags=hub", nil).Want(200)
				b.Snapshot()
				b.Probe("key-0-0")
			}
			b.call("DELETE", base, nil).Want(204)
		})
	}
	clients.Wait()
	if diff := cmp.Diff(kongtest.Counts{}, b.Counts()); diff != "" {
		t.Error(diff)
	}
}

func TestOneOfManyConcurrentCreatesWins(t *testing.T) {
	t.Parallel()
	b := start(t, kongtest.Options{})
	var clients sync.WaitGroup
	statuses := make([]int, 6)
	for i := range statuses {
		clients.Go(func() { statuses[i] = b.call("POST", "/consumers", object{"custom_id": "dp-9001"}).Status })
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

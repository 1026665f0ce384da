package graviteetest_test

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/gravitee/graviteetest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest/answer"
)

func TestTheConsumerSideLeavesASubscriptionPending(t *testing.T) {
	t.Parallel()
	apis := graviteetest.DemoAPIs()
	apis[0].Plans = append(apis[0].Plans, graviteetest.Plan{ID: "auto", Validation: graviteetest.ValidationAuto})
	b := start(t, graviteetest.Options{APIs: apis})
	app := b.application("dp-1")
	path := v1 + "/applications/" + app + "/subscriptions"

	pending := b.call("POST", path+"?plan="+graviteetest.DemoPlan, nil).Want(201)
	if pending.Str("status") != "PENDING" || pending.Header.Get("Location") != path+"/"+pending.Str("id") {
		t.Errorf("manual plan: %s", pending.Text)
	}
	b.call("POST", path+"?plan="+graviteetest.DemoPlan, nil).Want(400).Is("technicalCode", "plan.subscribed")
	if got := b.call("GET", subs, nil).Want(200); got.Get("pagination.totalCount") != 0.0 {
		t.Errorf("the list without statuses shows ACCEPTED only: %s", got.Text)
	}
	if got := b.keys(pending.Str("id")); got.Get("pagination.totalCount") != 0.0 {
		t.Errorf("a pending subscription has keys: %s", got.Text)
	}
	b.call("POST", subs+"/"+pending.Str("id")+"/api-keys/_renew", object{}).Want(400).Is("technicalCode", "subscription.closed")
	end := january.Add(time.Hour)
	accepted := b.call("POST", subs+"/"+pending.Str("id")+"/_accept", object{"customApiKey": oldKey, "endingAt": end, "reason": "ok"}).Want(200)
	if accepted.Str("status") != "ACCEPTED" || !accepted.Time("endingAt").Equal(end) || accepted.Str("publisherMessage") != "ok" {
		t.Errorf("accepted: %s", accepted.Text)
	}
	b.lives(oldKey, true)
	b.Advance(time.Hour)
	b.lives(oldKey, false)

	if got := b.call("POST", path+"?plan=auto", nil).Want(201); got.Str("status") != "ACCEPTED" {
		t.Errorf("plan with automatic validation: %s", got.Text)
	}
	b.call("POST", path, nil).Want(400)
}

func TestTheOwnerSideOfV1AcceptsAtOnce(t *testing.T) {
	t.Parallel()
	b := start(t, graviteetest.Options{})
	app := b.application("dp-1")
	made := b.call("POST", v1+"/apis/"+graviteetest.DemoAPI+"/subscriptions?application="+app+"&plan="+graviteetest.DemoPlan,
		object{"metadata": object{"hub_ref": "dp-1-c1"}}).Want(201)
	if made.Str("status") != "ACCEPTED" || made.Str("metadata.hub_ref") != "dp-1-c1" || made.Str("application.id") != app {
		t.Errorf("made: %s", made.Text)
	}
	bad := b.call("POST", v1+"/apis/"+graviteetest.DemoAPI+"/subscriptions?application="+app+"&plan="+graviteetest.DemoPlan+"&customApiKey=short", nil)
	if bad.Status != 400 || bad.Str("message") != "Should have length between 8 and 128 characters" || bad.Str("invalid_value") != "short" {
		t.Errorf("a short key: %d %s", bad.Status, bad.Text)
	}
}

func TestAPlanOfAnotherAPIIsNoticedTooLate(t *testing.T) {
	t.Parallel()
	apis := append(graviteetest.DemoAPIs(), graviteetest.API{ID: "other", Plans: []graviteetest.Plan{{ID: "other-plan"}}})
	b := start(t, graviteetest.Options{APIs: apis})
	b.call("POST", subs, object{"applicationId": b.application("dp-1"), "planId": "other-plan"}).Want(404).Is("technicalCode", "subscription.notFound")
	if got := b.Subscriptions(); len(got) != 1 || got[0].Status != "PENDING" || got[0].API != "other" {
		t.Errorf("left: %+v", got)
	}
}

func TestLifeOfASubscription(t *testing.T) {
	t.Parallel()
	apis := graviteetest.DemoAPIs()
	apis[0].Plans = append(apis[0].Plans, graviteetest.Plan{ID: "second"}, graviteetest.Plan{ID: "open", Security: "KEY_LESS"})
	b := start(t, graviteetest.Options{APIs: apis})
	sub, key := b.subscribe("dp-1", oldKey)
	at := subs + "/" + sub

	b.call("POST", at+"/_resume", nil).Want(400).Is("technicalCode", "subscription.notPaused")
	if got := b.call("POST", at+"/_pause", nil).Want(200); got.Str("status") != "PAUSED" || got.Str("pausedAt") == "" {
		t.Errorf("paused: %s", got.Text)
	}
	if got := b.keys(sub); got.Get("data.0.paused") != true {
		t.Errorf("keys of a paused subscription: %s", got.Text)
	}
	b.lives(oldKey, false)
	b.call("POST", at+"/_pause", nil).Want(400).Is("technicalCode", "subscription.notPausable")
	b.call("POST", at+"/_resume", nil).Want(200)
	b.lives(oldKey, true)

	b.call("POST", at+"/_transfer", object{"planId": "open"}).Want(400).Is("technicalCode", "plan.transferNotAllowed")
	b.call("POST", at+"/_transfer", object{"planId": "none"}).Want(404).Is("technicalCode", "plan.notFound")
	if got := b.call("POST", at+"/_transfer", object{"planId": "second"}).Want(200); got.Str("plan.id") != "second" {
		t.Errorf("transferred: %s", got.Text)
	}
	b.lives(oldKey, true)

	// Closing kills the keys; closing again changes nothing.
	closed := b.call("POST", at+"/_close", nil).Want(200)
	b.lives(oldKey, false)
	b.Advance(time.Minute)
	if got := b.call("POST", at+"/_close", nil).Want(200); got.Str("closedAt") != closed.Str("closedAt") || got.Str("status") != "CLOSED" {
		t.Errorf("closed twice: %s", got.Text)
	}
	if got := b.keys(sub); got.Get("data.0.revoked") != true || got.Str("data.0.id") != key {
		t.Errorf("keys of a closed subscription: %s", got.Text)
	}
	b.call("PUT", at, object{"metadata": object{}}).Want(400).Is("technicalCode", "subscription.notUpdatable")

	// A closed subscription does not stand in the way of a new one.
	app := b.Applications()[0].ID
	again := b.call("POST", v1+"/applications/"+app+"/subscriptions?plan=second", nil).Want(201).Str("id")
	if got := b.call("POST", subs+"/"+again+"/_reject", object{"reason": "non"}).Want(200); got.Str("status") != "REJECTED" {
		t.Errorf("rejected: %s", got.Text)
	}
	b.call("POST", subs+"/"+again+"/_reject", object{}).Want(500)
	third := b.call("POST", v1+"/applications/"+app+"/subscriptions?plan=second", nil).Want(201).Str("id")
	if got := b.call("POST", subs+"/"+third+"/_close", nil).Want(200); got.Str("status") != "REJECTED" {
		t.Errorf("closing a pending one: %s", got.Text)
	}
}

func TestDeletingAnApplicationArchivesAndClosesRestoringLeavesPending(t *testing.T) {
	t.Parallel()
	b := start(t, graviteetest.Options{})
	sub, _ := b.subscribe("dp-1", oldKey)
	app := b.Applications()[0].ID
	b.call("DELETE", v1+"/applications/"+app, nil).Want(204)
	b.lives(oldKey, false)
	if got := b.call("GET", v1+"/applications/"+app, nil).Want(200); got.Str("status") != "ARCHIVED" {
		t.Errorf("archived: %s", got.Text)
	}
	b.call("POST", subs, object{"applicationId": app, "planId": graviteetest.DemoPlan}).Want(400).Is("technicalCode", "application.archived")
	b.call("POST", v1+"/applications/"+app+"/_restore", nil).Want(200)
	if got := b.call("GET", subs+"/"+sub, nil).Want(200); got.Str("status") != "PENDING" {
		t.Errorf("restored: %s", got.Text)
	}
	if got := b.keys(sub); got.Get("data.0.revoked") != true {
		t.Errorf("its keys: %s", got.Text)
	}
	b.lives(oldKey, false)
	b.call("POST", subs+"/"+sub+"/_accept", object{"customApiKey": oldKey}).Want(400).Is("technicalCode", "apiKey.existing")
	b.call("POST", subs+"/"+sub+"/_accept", object{"customApiKey": newKey}).Want(200)
	b.lives(newKey, true)
}

func TestListsArePaginated(t *testing.T) {
	t.Parallel()
	b := start(t, graviteetest.Options{})
	for i := range 23 {
		b.subscribe("dp-"+strconv.Itoa(i), "")
	}
	seen := map[string]bool{}
	for page, want := range map[int]int{1: 10, 2: 10, 3: 3, 4: 0} {
		got := b.call("GET", subs+"?page="+strconv.Itoa(page), nil).Want(200)
		items := got.Get("data").([]any)
		if len(items) != want || got.Get("pagination.totalCount") != 23.0 || got.Get("pagination.pageCount") != 3.0 ||
			got.Get("pagination.pageItemsCount") != float64(want) || got.Get("pagination.perPage") != 10.0 {
			t.Errorf("page %d: %s", page, got.Text)
		}
		for i := range items {
			seen[got.Str("data."+strconv.Itoa(i)+".id")] = true
		}
	}
	if len(seen) != 23 {
		t.Errorf("%d subscriptions over all pages", len(seen))
	}
	next := b.call("GET", subs+"?perPage=20&statuses=ACCEPTED&statuses=PENDING", nil).Want(200).Str("links.next")
	if got := b.call("GET", next, nil).Want(200); got.Get("pagination.pageItemsCount") != 3.0 || got.Str("links.previous") == "" {
		t.Errorf("following %s: %s", next, got.Text)
	}
	for query, text := range map[string]string{
		"page=0":        "Validation error",
		"perPage=-1":    "Validation error",
		"page=x":        "Query parameter page does not have a valid format",
		"statuses=LIVE": "Query parameter statuses does not have a valid format",
	} {
		if got := b.call("GET", subs+"?"+query, nil); got.Status != 400 || got.Str("message") != text {
			t.Errorf("%s: %d %s", query, got.Status, got.Text)
		}
	}
}

func TestFindingASubscriptionByItsKeyIsALeak(t *testing.T) {
	t.Parallel()
	b := start(t, graviteetest.Options{})
	sub, _ := b.subscribe("dp-1", oldKey)
	b.subscribe("dp-2", newKey)
	got := b.call("GET", subs+"?apiKey="+oldKey, nil).Want(200)
	if got.Get("pagination.totalCount") != 1.0 || got.Str("data.0.id") != sub {
		t.Errorf("found: %s", got.Text)
	}
	if leaks := b.Leaks(); len(leaks) != 1 {
		t.Errorf("leaks: %+v", leaks)
	}
}

func TestKeyModeOfAnApplicationIsSettledBySubscriptions(t *testing.T) {
	t.Parallel()
	apis := graviteetest.DemoAPIs()
	for _, id := range []string{"b", "c"} {
		apis = append(apis, graviteetest.API{ID: id, Plans: []graviteetest.Plan{{ID: "plan-" + id}, {ID: "plan-" + id + "2"}}})
	}
	for _, tt := range []struct {
		name  string
		modes []string // asked for at the first, second, third subscription
		want  string
	}{
		{"the first one may choose EXCLUSIVE", []string{"EXCLUSIVE"}, "EXCLUSIVE"},
		{"the first one cannot choose SHARED", []string{"SHARED"}, "UNSPECIFIED"},
		{"the second one makes it EXCLUSIVE", []string{"", ""}, "EXCLUSIVE"},
		{"the second one may choose SHARED", []string{"", "SHARED"}, "SHARED"},
	} {
		b := start(t, graviteetest.Options{APIs: apis})
		app := b.call("POST", v1+"/applications", object{"name": "x", "description": "x"}).Want(201).Str("id")
		for i, mode := range tt.modes {
			api, plan := graviteetest.DemoAPI, graviteetest.DemoPlan
			if i > 0 {
				api, plan = "b", "plan-b"
			}
			body := object{"applicationId": app, "planId": plan}
			if mode != "" {
				body["apiKeyMode"] = mode
			}
			b.call("POST", v2+"/apis/"+api+"/subscriptions", body).Want(201)
		}
		if got := b.Applications()[0].APIKeyMode; got != tt.want {
			t.Errorf("%s: %s", tt.name, got)
		}
		if tt.want == "SHARED" {
			b.call("POST", v2+"/apis/b/subscriptions", object{"applicationId": app, "planId": "plan-b2"}).
				Want(400).Is("technicalCode", "plan.notSubscribableWithSharedApiKey")
		}
	}
}

func TestGatewayLearnsOfChangesAfterItsDelay(t *testing.T) {
	t.Parallel()
	b := start(t, graviteetest.Options{PropagationDelay: 5 * time.Second})
	sub, key := b.subscribe("dp-1", oldKey)
	b.lives(oldKey, false)
	b.Advance(5 * time.Second)
	b.lives(oldKey, true)
	b.call("POST", subs+"/"+sub+"/api-keys/"+key+"/_revoke", nil).Want(200)
	b.Advance(4999 * time.Millisecond)
	b.lives(oldKey, true)
	b.Advance(time.Millisecond)
	b.lives(oldKey, false)
	b.call("POST", subs+"/"+sub+"/api-keys/"+key+"/_reactivate", nil).Want(200)
	b.lives(oldKey, false)
	b.SetPropagationDelay(0)
	b.lives(oldKey, true)
	// The end of a key is the gateway's own clock: no delay once it knows it.
	b.call("PUT", subs+"/"+sub+"/api-keys/"+key, object{"expireAt": b.Now().Add(time.Minute)}).Want(200)
	b.SetPropagationDelay(5 * time.Second)
	b.Advance(time.Minute)
	b.lives(oldKey, false)
}

func TestGatewayAnswers(t *testing.T) {
	t.Parallel()
	b := start(t, graviteetest.Options{APIs: []graviteetest.API{
		{ID: "a", ContextPath: "/qf", Plans: []graviteetest.Plan{{ID: "pa"}}},
		{ID: "b", ContextPath: "/qf/v2", Plans: []graviteetest.Plan{{ID: "pb"}}},
		{ID: "c", ContextPath: "/stopped", Stopped: true},
	}})
	app := b.application("dp-1")
	sub := b.call("POST", v2+"/apis/b/subscriptions", object{"applicationId": app, "planId": "pb", "customApiKey": oldKey}).Want(201).Str("id")
	header := func(key, accept string) http.Header {
		out := http.Header{"X-Gravitee-Api-Key": {key}}
		if accept != "" {
			out.Set("Accept", accept)
		}
		return out
	}
	for _, tt := range []struct {
		name, path, key, accept string
		status                  int
		body                    string
	}{
		{"admitted", "/qf/v2/famille", oldKey, "", 200, `{"api":"b","plan":"pb","application":"` + app + `","subscription":"` + sub + `","path":"/famille"}`},
		{"the key of another API", "/qf/v1", oldKey, "", 401, "Unauthorized"},
		{"a key nobody made", "/qf/v2", "nobody", "application/json", 401, `{"message":"Unauthorized","http_status_code":401}`},
		{"no key", "/qf/v2", "", "*/*", 401, `{"message":"Unauthorized","http_status_code":401}`},
		{"no such path", "/qfx", oldKey, "", 404, "No context-path matches the request URI."},
		{"a stopped API", "/stopped/x", oldKey, "", 404, "No context-path matches the request URI."},
	} {
		if got := answer.ToJSON(b.t, "GET", b.GatewayURL()+tt.path, header(tt.key, tt.accept), nil); got.Status != tt.status || got.Text != tt.body {
			t.Errorf("%s: %d %s", tt.name, got.Status, got.Text)
		}
	}
	for _, call := range b.Calls("gateway:") {
		if got := call.Header.Get("X-Gravitee-Api-Key"); got == oldKey {
			t.Error("a key in the log of calls")
		}
	}
}

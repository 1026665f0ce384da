package graviteetest_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/passerelle-hub/passerelle/connectors/gravitee/graviteetest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

func TestAnAnswerLostAfterTheWorkLeavesTheKeyThere(t *testing.T) {
	t.Parallel()
	b := start(t, graviteetest.Options{})
	sub, _ := b.subscribe("dp-1", oldKey)
	renew := subs + "/" + sub + "/api-keys/_renew"
	b.Inject(partnertest.ResetAfter("management:POST /management/v2/**/_renew").For(1))
	var madeInHook atomic.Bool
	b.AfterWork("POST /**/_renew", func(partnertest.Call) {
		if _, made := b.KeyByValue(newKey); made {
			madeInHook.Store(true)
		}
	})

	req, err := http.NewRequestWithContext(t.Context(), "POST", b.ManagementURL()+renew, strings.NewReader(`{"customApiKey":"`+newKey+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = b.bearer()
	req.Header.Set("Content-Type", "application/json")
	if answer, err := http.DefaultClient.Do(req); err == nil {
		_ = answer.Body.Close()
		t.Fatalf("an answer came: %d", answer.StatusCode)
	}
	if !madeInHook.Load() {
		t.Error("the hook after the work ran before it")
	}
	b.call("POST", renew, object{"customApiKey": newKey}).Want(400).Is("technicalCode", "apiKey.existing")
	b.lives(newKey, true)
	route := v2 + "/apis/{api}/subscriptions/{sub}/api-keys/_renew"
	route = strings.NewReplacer("organizations/DEFAULT", "organizations/{org}", "environments/DEFAULT", "environments/{env}").Replace(route)
	if got := b.CountPerRoute()["POST "+route]; got != 2 {
		t.Errorf("calls per route: %v", b.CountPerRoute())
	}
	if leaks := b.Leaks(); len(leaks) != 0 {
		t.Errorf("leaks: %+v", leaks)
	}
}

func TestAFaultBeforeTheWorkLeavesNothing(t *testing.T) {
	t.Parallel()
	b := start(t, graviteetest.Options{})
	b.Inject(partnertest.Status("management:POST /**/applications", 503).For(1))
	body := object{"name": "x", "description": "x", "clientId": "dp-1"}
	b.call("POST", v1+"/applications", body).Want(503)
	if got := b.Counts().Applications; got != 0 {
		t.Errorf("%d applications", got)
	}
	b.call("POST", v1+"/applications", body).Want(201)
}

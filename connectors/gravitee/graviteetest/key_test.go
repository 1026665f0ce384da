package graviteetest_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/passerelle-hub/passerelle/connectors/gravitee/graviteetest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest/answer"
)

func TestACustomKeyIsCheckedAndASubscriptionWithoutOneMakesIt(t *testing.T) {
	t.Parallel()
	b := start(t, graviteetest.Options{})
	app := b.application("dp-1")
	subscribe := func(key string) answer.Answer {
		return b.call("POST", subs, object{"applicationId": app, "planId": graviteetest.DemoPlan, "customApiKey": key})
	}
	for _, key := range []string{"1234567", strings.Repeat("x", 129), "with space", "sla/sh-key", "per%cent", "semi;colon", "question?", "back\\slash", "tilde~key", "comma,key", "hash#key", "caret^key", "pipe|key", "at@keykey", "equal=key"} {
		got := subscribe(key)
		if got.Status != 400 || got.Str("message") != "Validation error" || got.Str("details.0.location") != "customApiKey" {
			t.Errorf("%q: %d %s", key, got.Status, got.Text)
		}
	}
	if got := b.Counts().Subscriptions; got != 0 {
		t.Errorf("%d subscriptions after refusals", got)
	}
	sub := subscribe("").Want(201).Str("id")
	if generated := b.keys(sub).Str("data.0.key"); len(generated) != 36 {
		t.Errorf("generated key %q", generated)
	} else {
		b.lives(generated, true)
	}
	for i, key := range []string{"12345678", strings.Repeat("y", 128)} {
		b.subscribe("dp-ok-"+string(rune('a'+i)), key)
		b.lives(key, true)
	}
}

func TestCustomKeysSwitchedOff(t *testing.T) {
	t.Parallel()
	b := start(t, graviteetest.Options{})
	sub, _ := b.subscribe("dp-1", oldKey)
	b.SetCustomKeys(false)
	renew := subs + "/" + sub + "/api-keys/_renew"
	b.call("POST", renew, object{"customApiKey": newKey}).Want(400).Is("technicalCode", "subscription.invalid")
	b.call("POST", renew, object{}).Want(200)
	v1Renew := v1 + "/apis/" + graviteetest.DemoAPI + "/subscriptions/" + sub + "/apikeys/_renew"
	if got := b.call("POST", v1Renew+"?customApiKey="+newKey, nil); got.Status != 400 ||
		got.Header.Get("Content-Type") != "text/plain" || got.Text != "You are not allowed to provide a custom API Key" {
		t.Errorf("v1: %d %q", got.Status, got.Text)
	}
	if leaks := b.Leaks(); len(leaks) != 1 || leaks[0].Where != "query" {
		t.Errorf("leaks: %+v", leaks)
	}
	b.SetCustomKeys(true)
	made := b.call("POST", v1Renew+"?customApiKey="+newKey, nil).Want(201)
	if made.Str("key") != newKey || !strings.HasSuffix(made.Header.Get("Location"), "/apikeys/"+made.Str("id")) {
		t.Errorf("v1 renew: %s %s", made.Text, made.Header.Get("Location"))
	}
}

func TestAValueIsFree(t *testing.T) {
	t.Parallel()
	apis := append(graviteetest.DemoAPIs(), graviteetest.API{ID: "other", Plans: []graviteetest.Plan{{ID: "other-plan"}}})
	b := start(t, graviteetest.Options{APIs: apis})
	sub, key := b.subscribe("dp-1", oldKey)
	app := b.Applications()[0].ID
	stranger := b.application("dp-2")
	verify := func(api, app string) any {
		return b.call("POST", v2+"/apis/"+api+"/subscriptions/_verify", object{"applicationId": app, "apiKey": oldKey}).Want(200).Get("ok")
	}
	for _, tt := range []struct {
		name, api, app string
		want           bool
	}{
		{"taken by the same application on this API", graviteetest.DemoAPI, app, false},
		{"the same application on another API", "other", app, true},
		{"taken by another application, here", graviteetest.DemoAPI, stranger, false},
		{"taken by another application, elsewhere", "other", stranger, false},
	} {
		if got := verify(tt.api, tt.app); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
	b.call("POST", subs+"/"+sub+"/api-keys/"+key+"/_revoke", nil).Want(200)
	if verify(graviteetest.DemoAPI, app) != false {
		t.Error("a revoked value is free again")
	}
	// A key that is refused leaves the subscription PENDING, as the real server does.
	b.call("POST", subs, object{"applicationId": stranger, "planId": graviteetest.DemoPlan, "customApiKey": oldKey}).Want(400).Is("technicalCode", "apiKey.existing")
	left := b.call("GET", subs+"?applicationIds="+stranger+"&statuses=PENDING", nil).Want(200)
	if left.Get("pagination.totalCount") != 1.0 {
		t.Errorf("left behind: %s", left.Text)
	}
	pending := subs + "/" + left.Str("data.0.id")
	b.call("POST", pending+"/_accept", object{"customApiKey": oldKey}).Want(400).Is("technicalCode", "apiKey.existing")
	if got := b.call("POST", pending+"/_accept", object{"customApiKey": newKey}).Want(200); got.Str("status") != "ACCEPTED" {
		t.Errorf("accepted: %s", got.Text)
	}
	if got := b.call("POST", pending+"/_accept", object{}); got.Status != 500 {
		t.Errorf("accepting twice: %d %s", got.Status, got.Text)
	}
	b.lives(newKey, true)
}

func TestRenewGivesOldKeysTwoHoursAndLengthensShortOnes(t *testing.T) {
	t.Parallel()
	b := start(t, graviteetest.Options{})
	sub, old := b.subscribe("dp-1", oldKey)
	keys := subs + "/" + sub + "/api-keys"

	// Due in ten minutes, then lengthened by a renewal, then by another.
	due := january.Add(10 * time.Minute)
	if got := b.call("PUT", keys+"/"+old, object{"expireAt": due}).Want(200); !got.Time("expireAt").Equal(due) {
		t.Fatalf("due: %s", got.Text)
	}
	b.Advance(time.Minute)
	b.call("POST", keys+"/_renew", object{"customApiKey": newKey}).Want(200)
	b.call("POST", keys+"/_renew", object{"customApiKey": newKey}).Want(400).Is("technicalCode", "apiKey.existing")
	list := b.keys(sub)
	if got := list.Time("data.1.expireAt"); !got.Equal(january.Add(time.Minute + 2*time.Hour)) {
		t.Errorf("old key ends at %v: it was not lengthened to created(new) + 2 h", got)
	}
	b.Advance(time.Hour)
	third := b.call("POST", keys+"/_renew", object{}).Want(200).Str("key")
	list = b.keys(sub)
	for _, i := range []string{"1", "2"} {
		if got := list.Time("data." + i + ".expireAt"); !got.Equal(january.Add(time.Minute + 3*time.Hour)) {
			t.Errorf("key %s ends at %v", i, got)
		}
	}
	for _, key := range []string{oldKey, newKey, third} {
		b.lives(key, true)
	}

	// A grace of our own, then the end.
	end := b.Now().Add(7 * 24 * time.Hour)
	b.call("PUT", keys+"/"+old, object{"expireAt": end}).Want(200)
	b.Advance(3 * time.Hour)
	b.lives(newKey, false)
	b.lives(oldKey, true)
	b.Advance(7 * 24 * time.Hour)
	b.lives(oldKey, false)
	b.lives(third, true)
	b.call("PUT", keys+"/"+old, object{"expireAt": end.Add(time.Hour)}).Want(400).Is("technicalCode", "apiKey.expired")

	// An expired key is not touched by the next renewal.
	b.call("POST", keys+"/_renew", object{}).Want(200)
	if got := b.keys(sub).Time("data.3.expireAt"); !got.Equal(end) {
		t.Errorf("the expired key ends at %v", got)
	}
}

func TestExpireAtIsClampedSilently(t *testing.T) {
	t.Parallel()
	b := start(t, graviteetest.Options{})
	sub, key := b.subscribe("dp-1", oldKey)
	at := subs + "/" + sub
	end := january.Add(24 * time.Hour)
	b.call("PUT", at, object{"endingAt": end, "metadata": object{"a": "b"}}).Want(200)
	if got := b.keys(sub).Time("data.0.expireAt"); !got.Equal(end) {
		t.Errorf("the key of a subscription that ends, ends at %v", got)
	}
	for _, asked := range []any{end.Add(time.Hour), nil} {
		if got := b.call("PUT", at+"/api-keys/"+key, object{"expireAt": asked}).Want(200); !got.Time("expireAt").Equal(end) {
			t.Errorf("asked %v, got %s", asked, got.Text)
		}
	}
	// A renewal near the end of the subscription is clamped too.
	b.Advance(23 * time.Hour)
	if got := b.call("POST", at+"/api-keys/_renew", object{}).Want(200); !got.Time("expireAt").Equal(end) {
		t.Errorf("the new key: %s", got.Text)
	}
	if got := b.keys(sub).Time("data.1.expireAt"); !got.Equal(end) {
		t.Errorf("the old key ends at %v", got)
	}
	// A date that has passed means now.
	if got := b.call("PUT", at+"/api-keys/"+key, object{"expireAt": january}).Want(200); !got.Time("expireAt").Equal(b.Now()) {
		t.Errorf("a past date: %s", got.Text)
	}
	b.lives(oldKey, false)
	b.Advance(2 * time.Hour)
	b.call("POST", at+"/api-keys/_renew", object{}).Want(400).Is("technicalCode", "subscription.closed")
}

func TestRevokeAndReactivate(t *testing.T) {
	t.Parallel()
	b := start(t, graviteetest.Options{})
	sub, key := b.subscribe("dp-1", oldKey)
	at := subs + "/" + sub + "/api-keys/" + key
	b.call("POST", at+"/_reactivate", nil).Want(400).Is("technicalCode", "apiKey.activated")
	b.call("POST", at+"/_revoke", nil).Want(200)
	b.lives(oldKey, false)
	revoked := b.keys(sub).Time("data.0.revokedAt")
	b.Advance(time.Hour)
	if got := b.call("POST", at+"/_revoke", nil).Want(200); !got.Time("revokedAt").Equal(revoked) {
		t.Errorf("revoked twice: %s", got.Text)
	}
	b.call("PUT", at, object{"expireAt": b.Now().Add(time.Hour)}).Want(400).Is("technicalCode", "apiKey.expired")
	if got := b.call("POST", at+"/_reactivate", nil).Want(200); got.Get("revoked") != false || got.Get("revokedAt") != nil {
		t.Errorf("reactivated: %s", got.Text)
	}
	b.lives(oldKey, true)

	// An expired key is not marked revoked, and comes back without its end.
	b.call("PUT", at, object{"expireAt": b.Now().Add(time.Minute)}).Want(200)
	b.Advance(time.Hour)
	if got := b.call("POST", at+"/_revoke", nil).Want(200); got.Get("revoked") != false || got.Get("expired") != true {
		t.Errorf("revoking an expired key: %s", got.Text)
	}
	if got := b.call("POST", at+"/_reactivate", nil).Want(200); got.Get("expireAt") != nil {
		t.Errorf("reactivated after expiry: %s", got.Text)
	}
	b.lives(oldKey, true)
	b.call("POST", subs+"/"+sub+"/_close", nil).Want(200)
	b.call("POST", at+"/_reactivate", nil).Want(400).Is("technicalCode", "subscription.closed")
	b.call("POST", subs+"/"+sub+"/api-keys/none/_revoke", nil).Want(404).Is("technicalCode", "apiKey.notFound")
	b.call("POST", subs+"/none/api-keys/"+key+"/_revoke", nil).Want(404).Is("technicalCode", "subscription.notFound")
}

func TestSharedModeRefusesKeyCallsOfASubscription(t *testing.T) {
	t.Parallel()
	apis := append(graviteetest.DemoAPIs(), graviteetest.API{ID: "other", Plans: []graviteetest.Plan{{ID: "other-plan"}}})
	b := start(t, graviteetest.Options{APIs: apis})
	app := b.call("POST", v1+"/applications", object{"name": "x", "description": "x", "api_key_mode": "SHARED"}).Want(201).Str("id")
	sub := b.call("POST", subs, object{"applicationId": app, "planId": graviteetest.DemoPlan, "customApiKey": oldKey}).Want(201).Str("id")
	other := b.call("POST", v2+"/apis/other/subscriptions", object{"applicationId": app, "planId": "other-plan", "customApiKey": newKey}).Want(201).Str("id")
	if keys := b.Keys(); len(keys) != 1 || len(keys[0].Subscriptions) != 2 || keys[0].Value != oldKey {
		t.Fatalf("keys: %+v", keys)
	}
	at := subs + "/" + sub + "/api-keys"
	id := b.keys(sub).Str("data.0.id")
	b.call("POST", at+"/_renew", object{}).Want(400).Is("technicalCode", "application.apiKeyMode.invalid")
	b.call("PUT", at+"/"+id, object{"expireAt": nil}).Want(400).Is("technicalCode", "application.apiKeyMode.invalid")
	b.call("POST", at+"/"+id+"/_revoke", nil).Want(400).Is("technicalCode", "application.apiKeyMode.invalid")
	b.call("POST", at+"/"+id+"/_reactivate", nil).Want(400).Is("technicalCode", "application.apiKeyMode.invalid")

	renewed := b.call("POST", v1+"/applications/"+app+"/apikeys/_renew", nil).Want(201)
	if len(renewed.Get("subscriptions").([]any)) != 2 {
		t.Errorf("renewed: %s", renewed.Text)
	}
	if got := b.call("GET", v1+"/applications/"+app+"/apikeys", nil).Want(200); got.Get("0.expire_at") != float64(january.Add(2*time.Hour).UnixMilli()) {
		t.Errorf("shared keys: %s", got.Text)
	}
	b.lives(oldKey, true)
	b.Advance(3 * time.Hour)
	b.lives(oldKey, false)
	b.lives(renewed.Str("key"), true)
	// Closing one subscription leaves the shared key to the others.
	b.call("POST", subs+"/"+sub+"/_close", nil).Want(200)
	if probe, _ := b.Probe(renewed.Str("key")); b.gateway(renewed.Str("key")) != 401 || probe != 200 {
		t.Error("the shared key should be dead on one API and alive on the other")
	}
	b.call("POST", v2+"/apis/other/subscriptions/"+other+"/_close", nil).Want(200)
	b.lives(renewed.Str("key"), false)
	exclusive := b.application("dp-9")
	b.call("POST", v1+"/applications/"+exclusive+"/apikeys/_renew", nil).Want(400).Is("technicalCode", "application.apiKeyMode.invalid")
}

// Whatever is done to keys, the gateway admits exactly those that the
// management side lists as neither revoked, paused nor past their end.
func TestGatewayAgreesWithManagement(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		srv := graviteetest.New(graviteetest.Options{Clock: partnertest.NewFrozenClock(january)})
		defer func() { _ = srv.Close() }()
		b := &bundle{srv, t}
		sub, _ := b.subscribe("dp-1", oldKey)
		at := subs + "/" + sub
		rt.Repeat(map[string]func(*rapid.T){
			"renew":  func(*rapid.T) { b.call("POST", at+"/api-keys/_renew", object{}) },
			"pause":  func(*rapid.T) { b.call("POST", at+"/_pause", nil) },
			"resume": func(*rapid.T) { b.call("POST", at+"/_resume", nil) },
			"wait":   func(t *rapid.T) { b.Advance(time.Duration(rapid.IntRange(1, 180).Draw(t, "minutes")) * time.Minute) },
			"expire": func(t *rapid.T) {
				key := rapid.SampledFrom(b.Keys()).Draw(t, "key")
				end := b.Now().Add(time.Duration(rapid.IntRange(-60, 300).Draw(t, "minutes")) * time.Minute)
				b.call("PUT", at+"/api-keys/"+key.ID, object{"expireAt": end})
			},
			"revoke": func(t *rapid.T) {
				b.call("POST", at+"/api-keys/"+rapid.SampledFrom(b.Keys()).Draw(t, "key").ID+"/_revoke", nil)
			},
			"reactivate": func(t *rapid.T) {
				b.call("POST", at+"/api-keys/"+rapid.SampledFrom(b.Keys()).Draw(t, "key").ID+"/_reactivate", nil)
			},
			"": func(t *rapid.T) {
				paused := b.Subscriptions()[0].Status != graviteetest.StatusAccepted
				for _, key := range b.Keys() {
					ended := key.ExpireAt != nil && !key.ExpireAt.After(b.Now())
					want := !key.Revoked && !key.Paused && !ended && !paused
					status, _ := b.Probe(key.Value)
					if (status == 200) != want {
						t.Fatalf("gateway %d, management %+v", status, key)
					}
				}
			},
		})
	})
}

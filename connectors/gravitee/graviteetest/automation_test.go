package graviteetest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/passerelle-hub/passerelle/connectors/gravitee/graviteetest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest/answer"
)

const automationSubs = automation + "/apis/" + graviteetest.DemoAPIHRID + "/subscriptions"

func (b *bundle) automationApplication(hrid string) answer.Answer {
	b.t.Helper()
	return b.call("PUT", automation+"/applications", object{
		"hrid": hrid, "name": "Commune de Valfleury", "description": "DataPass 9001",
		"settings": object{"app": object{"clientId": hrid}},
		"metadata": []object{{"name": "hub owner", "format": "STRING", "value": "passerelle-test"}},
	}).Want(200)
}

func (b *bundle) put(hrid string, extra object) answer.Answer {
	b.t.Helper()
	body := object{"hrid": hrid, "applicationHrid": "dp-1", "planHrid": graviteetest.DemoPlanHRID}
	for name, value := range extra {
		body[name] = value
	}
	return b.call("PUT", automationSubs, body)
}

func list(keys ...object) object { return object{"apiKeys": keys} }

func TestAutomationApplicationIsCreatedOrUpdated(t *testing.T) {
	t.Parallel()
	b := start(t, graviteetest.Options{})
	dry := b.call("PUT", automation+"/applications?dryRun=true", object{"hrid": "dp-1", "name": "x", "description": "y"}).Want(200)
	if dry.Str("hrid") != "dp-1" || b.Counts().Applications != 0 {
		t.Errorf("dry run: %s, %+v", dry.Text, b.Counts())
	}
	first := b.automationApplication("dp-1")
	second := b.automationApplication("dp-1")
	if first.Str("id") == "" || first.Str("id") != second.Str("id") || b.Counts().Applications != 1 {
		t.Errorf("twice: %s then %s", first.Text, second.Text)
	}
	got := b.call("GET", automation+"/applications/dp-1", nil).Want(200)
	if got.Str("settings.app.clientId") != "dp-1" || got.Str("metadata.0.value") != "passerelle-test" || got.Str("metadata.0.key") != "hub-owner" ||
		got.Str("environmentId") != "DEFAULT" || got.Str("status") != "ACTIVE" {
		t.Errorf("read: %s", got.Text)
	}
	b.call("PUT", automation+"/applications", object{"hrid": "dp-1", "name": "Autre nom", "description": "z"}).Want(200)
	if app := b.Applications()[0]; app.Name != "Autre nom" || app.ClientID != "" || len(app.Metadata) != 1 {
		t.Errorf("updated: %+v", app)
	}

	// clientId is one space with v1.
	b.application("dp-2")
	b.call("PUT", automation+"/applications", object{"hrid": "other", "name": "x", "description": "y", "settings": object{"app": object{"clientId": "dp-2"}}}).
		Want(400).Is("technicalCode", "application.clientId.exists")
	for _, hrid := range []string{"", "-bad", "bad-", "a b", strings.Repeat("x", 257)} {
		b.call("PUT", automation+"/applications", object{"hrid": hrid, "name": "x", "description": "y"}).Want(400)
	}

	// An application of v1 is named by UUID.
	v1App := b.Applications()[1].ID
	b.call("GET", automation+"/applications/"+v1App, nil).Want(404).Is("technicalCode", "hrid.notFound")
	if got := b.call("GET", automation+"/applications/"+v1App+"?hridContainsUUID=true", nil).Want(200); got.Str("id") != v1App {
		t.Errorf("by UUID: %s", got.Text)
	}

	b.call("DELETE", automation+"/applications/dp-1", nil).Want(204)
	if got := b.call("GET", automation+"/applications/dp-1", nil).Want(200); got.Str("status") != "ARCHIVED" {
		t.Errorf("deleted: %s", got.Text)
	}
	b.automationApplication("dp-1")
	if app := b.Applications()[0]; app.Status != "ACTIVE" || app.ID != first.Str("id") {
		t.Errorf("put again: %+v", app)
	}
	b.call("DELETE", automation+"/applications/none", nil).Want(404).Is("technicalCode", "hrid.notFound")
}

func TestAutomationReconcilesKeys(t *testing.T) {
	t.Parallel()
	b := start(t, graviteetest.Options{CustomKeysRefused: true}) // the parameter does not matter here
	b.automationApplication("dp-1")
	third := "psk_test_3333333333333333333333333333333333"
	end := january.Add(7 * 24 * time.Hour)
	type state struct {
		Live    []string
		Expires map[string]time.Time
	}
	read := func() state {
		out := state{Expires: map[string]time.Time{}}
		for _, key := range b.Keys() {
			if !key.Revoked {
				out.Live = append(out.Live, key.Value)
			}
			if key.ExpireAt != nil {
				out.Expires[key.Value] = *key.ExpireAt
			}
		}
		return out
	}
	for _, step := range []struct {
		name string
		spec object
		want state
	}{
		{"a new subscription with its first key", list(object{"key": oldKey}), state{Live: []string{oldKey}}},
		{"the same again", list(object{"key": oldKey}), state{Live: []string{oldKey}}},
		{"rotation: the new key, the old one with its end", list(object{"key": newKey}, object{"key": oldKey, "expireAt": end}), state{Live: []string{oldKey, newKey}, Expires: map[string]time.Time{oldKey: end}}},
		{"no list changes nothing", object{}, state{Live: []string{oldKey, newKey}, Expires: map[string]time.Time{oldKey: end}}},
		{"an empty list changes nothing", list(), state{Live: []string{oldKey, newKey}, Expires: map[string]time.Time{oldKey: end}}},
		{"a key not listed is revoked at once", list(object{"key": newKey}), state{Live: []string{newKey}, Expires: map[string]time.Time{oldKey: end}}},
		{"a revoked key that is listed again comes back with the end it had", list(object{"key": newKey}, object{"key": oldKey}), state{Live: []string{oldKey, newKey}, Expires: map[string]time.Time{oldKey: end}}},
		{"an end that is left out is taken away", list(object{"key": newKey}, object{"key": oldKey}), state{Live: []string{oldKey, newKey}}},
		{"a third key replaces both", list(object{"key": third, "expireAt": end}), state{Live: []string{third}, Expires: map[string]time.Time{third: end}}},
	} {
		got := b.put("dp-1-sub", step.spec).Want(200)
		if strings.Contains(got.Text, "psk_test") || got.Get("apiKeys") != nil {
			t.Errorf("%s: the answer holds keys: %s", step.name, got.Text)
		}
		if step.want.Expires == nil {
			step.want.Expires = map[string]time.Time{}
		}
		if diff := cmp.Diff(step.want, read()); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", step.name, diff)
		}
		for _, key := range []string{oldKey, newKey, third} {
			live := false
			for _, value := range step.want.Live {
				live = live || value == key
			}
			b.lives(key, live)
		}
	}
	if got := b.Counts(); got.Subscriptions != 1 || got.Keys != 3 {
		t.Errorf("counts: %+v", got)
	}
}

func TestAutomationRefusals(t *testing.T) {
	t.Parallel()
	apis := graviteetest.DemoAPIs()
	apis[0].Plans = append(apis[0].Plans, graviteetest.Plan{ID: "second", HRID: "second"}, graviteetest.Plan{ID: "jwt", HRID: "jwt", Security: "JWT"})
	b := start(t, graviteetest.Options{APIs: apis})
	b.automationApplication("dp-1")
	b.automationApplication("dp-2")
	b.put("dp-1-sub", list(object{"key": oldKey})).Want(200)
	for _, tt := range []struct {
		name string
		hrid string
		spec object
		code string
		text string
	}{
		{"31 characters", "dp-1-sub", list(object{"key": strings.Repeat("x", 31)}), "invalid", "key length must be between 32 and 256 characters, got 31"},
		{"257 characters", "dp-1-sub", list(object{"key": strings.Repeat("x", 257)}), "invalid", "got 257"},
		{"an empty key", "dp-1-sub", list(object{"key": " "}), "invalid", "non-empty key"},
		{"the same key twice, which the real message repeats", "dp-1-sub", list(object{"key": newKey}, object{"key": newKey}), "invalid", "duplicate key [" + newKey + "]"},
		{"another plan", "dp-1-sub", object{"planHrid": "second"}, "invalid", "plan cannot be changed"},
		{"another application", "dp-1-sub", object{"applicationHrid": "dp-2"}, "invalid", "application cannot be changed"},
		{"keys on a plan without", "dp-1-jwt", object{"planHrid": "jwt", "apiKeys": []object{{"key": newKey}}}, "invalid", "only allowed for API_KEY plans"},
		{"a value of another subscription", "dp-2-sub", object{"applicationHrid": "dp-2", "apiKeys": []object{{"key": oldKey}}}, "apiKey.existing", "already exists"},
	} {
		got := b.put(tt.hrid, tt.spec)
		if got.Status != 400 || got.Str("technicalCode") != tt.code || !strings.Contains(got.Str("message"), tt.text) {
			t.Errorf("%s: %d %s", tt.name, got.Status, got.Text)
		}
	}
	b.put("dp-1-x", object{"planHrid": "none"}).Want(404).Is("technicalCode", "plan.notFound")
	b.put("dp-1-x", object{"applicationHrid": "none"}).Want(404).Is("technicalCode", "application.notFound")
	b.put("dp-1-x", nil).Want(400).Is("technicalCode", "plan.subscribed")
	b.lives(oldKey, true)
}

func TestAutomationSubscriptionIsClosedAndRestored(t *testing.T) {
	t.Parallel()
	b := start(t, graviteetest.Options{})
	b.automationApplication("dp-1")
	id := b.put("dp-1-sub", list(object{"key": oldKey})).Want(200).Str("id")
	b.call("DELETE", automationSubs+"/dp-1-sub", nil).Want(204)
	b.lives(oldKey, false)
	// A closed one is still found, and says nothing of its state.
	if got := b.call("GET", automationSubs+"/dp-1-sub", nil).Want(200); got.Str("id") != id || got.Get("status") != nil {
		t.Errorf("closed: %s", got.Text)
	}
	b.Advance(time.Hour)
	end := b.Now().Add(24 * time.Hour)
	got := b.put("dp-1-sub", object{"endingAt": end, "apiKeys": []object{{"key": oldKey}}}).Want(200)
	if got.Str("id") != id || !got.Time("startingAt").Equal(b.Now()) || !got.Time("endingAt").Equal(end) {
		t.Errorf("restored: %s", got.Text)
	}
	if sub := b.Subscriptions()[0]; sub.Status != "ACCEPTED" {
		t.Errorf("restored: %+v", sub)
	}
	b.lives(oldKey, true)
	// Without a list a new key is made.
	b.call("DELETE", automationSubs+"/dp-1-sub", nil).Want(204)
	b.put("dp-1-sub", nil).Want(200)
	if keys := b.Keys(); len(keys) != 2 || keys[1].Revoked {
		t.Errorf("keys: %+v", keys)
	}
	b.lives(oldKey, false)
	b.lives(b.Keys()[1].Value, true)
	b.call("GET", automationSubs+"/none", nil).Want(404).Is("technicalCode", "hrid.notFound")
	b.call("DELETE", automationSubs+"/none", nil).Want(404).Is("technicalCode", "hrid.notFound")
}

func TestAutomationNamesObjectsMadeElsewhereByUUID(t *testing.T) {
	t.Parallel()
	b := start(t, graviteetest.Options{APIs: []graviteetest.API{{ID: "api-uuid", ContextPath: graviteetest.DemoPath, Plans: []graviteetest.Plan{{ID: "plan-uuid"}}}}})
	app := b.application("dp-1")
	path := automation + "/apis/api-uuid/subscriptions"
	spec := object{"hrid": "dp-1-sub", "applicationHrid": app, "planHrid": "plan-uuid", "apiKeys": []object{{"key": oldKey}}}
	b.call("PUT", path, spec).Want(404).Is("technicalCode", "plan.notFound")
	b.call("PUT", path+"?hridContainsApiUUID=true", spec).Want(404).Is("technicalCode", "application.notFound")
	made := b.call("PUT", path+"?hridContainsApiUUID=true&hridContainsAppUUID=true", spec).Want(200)
	if again := b.call("PUT", path+"?hridContainsApiUUID=true&hridContainsAppUUID=true", spec).Want(200); again.Str("id") != made.Str("id") {
		t.Errorf("twice: %s then %s", made.Text, again.Text)
	}
	// Its id hangs on the two texts of the path: no flag is needed to read it.
	if got := b.call("GET", path+"/dp-1-sub", nil).Want(200); got.Str("id") != made.Str("id") {
		t.Errorf("read: %s", got.Text)
	}
	// The proof of a revocation is read in v2, by the UUID of the answer.
	keys := b.call("GET", v2+"/apis/api-uuid/subscriptions/"+made.Str("id")+"/api-keys", nil).Want(200)
	if keys.Str("data.0.key") != oldKey {
		t.Errorf("keys: %s", keys.Text)
	}
	byUUID := path + "/" + made.Str("id")
	b.call("GET", byUUID, nil).Want(404).Is("technicalCode", "hrid.notFound")
	b.call("GET", byUUID+"?hridContainsUUID=true", nil).Want(200)
	b.call("DELETE", byUUID+"?hridContainsUUID=true&hridContainsApiUUID=true", nil).Want(204)
	b.lives(oldKey, false)
}

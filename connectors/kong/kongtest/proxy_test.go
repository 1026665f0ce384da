package kongtest_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/passerelle-hub/passerelle/connectors/kong/kongtest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest/answer"
)

func TestTheProxyAnswersAsItsPluginsDo(t *testing.T) {
	t.Parallel()
	b := start(t, kongtest.Options{})
	id := b.consumer()
	b.issue(oldID, oldKey)
	for _, tt := range []struct {
		name, path string
		keys       []string
		status     int
		body       string
	}{
		{"no key", "/dgfip/", nil, 401, `{"message":"No API key found in request"}`},
		{"an empty key", "/dgfip/", []string{""}, 401, `{"message":"No API key found in request"}`},
		{"an unknown key", "/dgfip/", []string{"nope"}, 401, `{"message":"Unauthorized"}`},
		{"two keys", "/dgfip/", []string{oldKey, newKey}, 401, `{"message":"Duplicate API key found"}`},
		{"a group that is missing", "/cnaf/", []string{oldKey}, 403, `{"message":"You cannot consume this service"}`},
		{"no route", "/nope", []string{oldKey}, 404, `{"message":"no Route matched with those values"}`},
		{"a key and its group", "/dgfip/v1/qf", []string{oldKey}, 200, `{"route":"dgfip","path":"/v1/qf","consumer":"` + id +
			`","username":"dp-9001","custom_id":"dp-9001","credential":"` + oldID + `","groups":["dgfip"]}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			reply := answer.To(b.t, "GET", b.ProxyURL()+tt.path, http.Header{"Apikey": tt.keys}, "").Want(tt.status).Body(tt.body)
			if challenge := reply.Header.Get("WWW-Authenticate"); (challenge == "Key") != (tt.status == 401) {
				t.Errorf("WWW-Authenticate: %q", challenge)
			}
		})
	}
	answer.To(b.t, "GET", b.ProxyURL()+"/dgfip/?apikey="+oldKey, nil, "").Want(200)
}

func TestAProbeSaysWhichPluginRefused(t *testing.T) {
	t.Parallel()
	b := start(t, kongtest.Options{})
	b.consumer()
	b.issue(oldID, oldKey)
	for _, tt := range []struct {
		name, secret string
		status       int
		body         string
	}{
		{"live", oldKey, 200, "OK"},
		{"unknown", newKey, 401, `{"message":"Unauthorized"}`},
		{"none", "", 401, `{"message":"No API key found in request"}`},
	} {
		if status, body := b.Probe(tt.secret); status != tt.status || body != tt.body {
			t.Errorf("%s: %d %s", tt.name, status, body)
		}
	}
	b.call("DELETE", "/consumers/dp-9001/acls/dgfip", nil).Want(204)
	if status, body := b.Probe(oldKey); status != 403 || body != `{"message":"You cannot consume this service"}` {
		t.Errorf("without group: %d %s", status, body)
	}
}

func TestARouteWithoutGroupsAdmitsEveryKey(t *testing.T) {
	t.Parallel()
	b := start(t, kongtest.Options{Routes: []kongtest.Route{{Name: "open", Path: "/open"}}})
	b.call("PUT", "/consumers/dp-9001", object{}).Want(200)
	b.issue(oldID, oldKey)
	b.proxied("/open/", oldKey).Want(200)
	b.proxied("/open/", newKey).Want(401)
	b.AddRoute(kongtest.Route{Name: "closed", Path: "/open/closed", Allow: []string{"dgfip"}})
	b.proxied("/open/closed/", oldKey).Want(403)
}

func TestTheProxyLearnsChangesAfterThePropagationDelay(t *testing.T) {
	t.Parallel()
	b := start(t, kongtest.Options{PropagationDelay: 5 * time.Second})
	b.consumer()
	b.issue(oldID, oldKey)
	b.answers(oldKey, 401)
	b.Advance(5 * time.Second)
	b.answers(oldKey, 200)

	b.call("DELETE", "/consumers/dp-9001/key-auth/"+oldID, nil).Want(204)
	b.call("GET", "/consumers/dp-9001/key-auth/"+oldID, nil).Want(404)
	b.answers(oldKey, 200) // dead on the admin side, alive on the node
	b.Advance(5*time.Second - time.Millisecond)
	b.answers(oldKey, 200)
	b.Advance(time.Millisecond)
	b.answers(oldKey, 401)

	b.SetPropagationDelay(0)
	b.issue(newID, newKey)
	b.answers(newKey, 200)
}

func TestATTLNeedsNoPropagation(t *testing.T) {
	t.Parallel()
	b := start(t, kongtest.Options{})
	b.consumer()
	b.call("PUT", "/consumers/dp-9001/key-auth/"+oldID, object{"key": oldKey, "ttl": 60}).Want(200)
	b.SetPropagationDelay(time.Hour)
	b.Advance(time.Minute)
	b.answers(oldKey, 401)
}

// A key passes exactly when the admin side holds it, it has not expired, and its
// consumer is in the route's group.
func TestTheProxyAdmitsExactlyWhatTheAdminSideHolds(t *testing.T) {
	t.Parallel()
	b := start(t, kongtest.Options{})
	type held struct {
		value   string
		expires time.Time
	}
	rapid.Check(t, func(rt *rapid.T) {
		b.Reset()
		b.call("PUT", "/consumers/dp-9001", object{}).Want(200)
		ids := []string{oldID, newID}
		values := []string{"", "key-a", "key-b", "key-c"} // "" stands for none
		keys, member := map[string]held{}, false
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			id := rapid.SampledFrom(ids).Draw(rt, "id")
			value := rapid.SampledFrom(values[1:]).Draw(rt, "value")
			ttl := rapid.IntRange(0, 3).Draw(rt, "ttl")
			path := "/consumers/dp-9001/key-auth/" + id
			now := b.Now().Truncate(time.Second)
			switch rapid.IntRange(0, 5).Draw(rt, "step") {
			case 0: // put
				taken := false
				for other, key := range keys {
					taken = taken || other != id && key.value == value
				}
				reply := b.call("PUT", path, object{"key": value, "ttl": ttl})
				if (reply.Status == 409) != taken {
					rt.Fatalf("PUT %s %s: %d, taken %v", id, value, reply.Status, taken)
				}
				if !taken {
					keys[id] = held{value: value}
					if ttl > 0 {
						keys[id] = held{value, now.Add(time.Duration(ttl) * time.Second)}
					}
				}
			case 1: // patch
				reply := b.call("PATCH", path, object{"ttl": ttl})
				key, ok := keys[id]
				if (reply.Status == 200) != ok {
					rt.Fatalf("PATCH %s: %d, held %v", id, reply.Status, ok)
				}
				if ok {
					if key.expires = (time.Time{}); ttl > 0 {
						key.expires = now.Add(time.Duration(ttl) * time.Second)
					}
					keys[id] = key
				}
			case 2: // delete
				reply := b.call("DELETE", path, nil)
				if _, ok := keys[id]; (reply.Status == 204) != ok {
					rt.Fatalf("DELETE %s: %d, held %v", id, reply.Status, ok)
				}
				delete(keys, id)
			case 3:
				b.call("PUT", "/consumers/dp-9001/acls/dgfip", object{}).Want(200)
				member = true
			case 4:
				b.call("DELETE", "/consumers/dp-9001/acls/dgfip", nil)
				member = false
			case 5:
				b.Advance(time.Duration(ttl) * time.Second)
				for id, key := range keys {
					if !key.expires.IsZero() && !b.Now().Before(key.expires) {
						delete(keys, id)
					}
				}
			}
			for _, value := range values[1:] {
				want := 401
				for _, key := range keys {
					if key.value == value && member {
						want = 200
					} else if key.value == value {
						want = 403
					}
				}
				if status, _ := b.Probe(value); status != want {
					rt.Fatalf("%s: %d, want %d; keys %v", value, status, want, fmt.Sprint(keys))
				}
			}
		}
	})
}

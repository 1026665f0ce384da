package tyktest_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/passerelle-hub/passerelle/connectors/partnertest/answer"
	"github.com/passerelle-hub/passerelle/connectors/tyk/tyktest"
)

func TestTheGatewayAnswersToEachStateOfAKey(t *testing.T) {
	t.Parallel()
	b := start(t, tyktest.Options{})
	live := b.add().Str("key")
	made := func(id string, changes ...func(object)) string {
		return b.call("POST", "/tyk/keys/"+id, key(changes...)).Want(200).Str("key")
	}
	suspended := made("suspended", with("is_inactive", true))
	ending := made("ending", with("expires", january.Unix()))
	narrow := made("narrow", with("apply_policies", []string{"cnaf"}))
	own := made("own-rights", without("apply_policies"), with("access_rights", object{"dgfip": object{"api_id": "dgfip"}}))
	b.Advance(time.Second)
	for _, tt := range []struct {
		name, presented string
		status          int
		body            string
	}{
		{"missing", "", 401, `{"error":"Authorization field missing"}`},
		{"unknown", "unknown-key", 403, `{"error":"Access to this API has been disallowed"}`},
		{"too short", "abc", 403, `{"error":"Access to this API has been disallowed"}`},
		{"expired", ending, 401, `{"error":"Key has expired, please renew"}`},
		{"inactive", suspended, 403, `{"error":"Key is inactive, please renew"}`},
		{"without rights here", narrow, 403, `{"error":"Access to this API has been disallowed"}`},
		{"with rights of its own", own, 200, `{"ok":true}`},
		{"live", live, 200, `{"ok":true}`},
		{"live, in raw form", custom, 200, `{"ok":true}`},
		{"live, as a bearer", "Bearer " + live, 200, `{"ok":true}`},
	} {
		got := b.proxied("/dgfip/v1/qf", tt.presented)
		if got.Status != tt.status || got.Text != tt.body || got.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s", tt.name, got.Status, got.Text)
		}
	}
	b.proxied("/cnaf/", narrow).Want(200)
	b.proxied("/dgfip", live).Want(200)
	if reply := b.proxied("/nope/", live).Want(404); reply.Text != "Not Found" {
		t.Errorf("no API: %q", reply.Text)
	}
}

func TestAProbeSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	b := start(t, tyktest.Options{})
	b.add()
	probe := func(presented string, status int, body string) {
		t.Helper()
		if gotStatus, gotBody := b.Probe(presented); gotStatus != status || gotBody != body {
			t.Errorf("%d %s, want %d %s", gotStatus, gotBody, status, body)
		}
	}
	probe(token, 200, "OK")
	probe("", 401, `{"error":"Authorization field missing"}`)
	probe("unknown-key", 403, `{"error":"`+disallowed+`"}`)
	b.put(with("is_inactive", true)).Want(200)
	probe(token, 403, `{"error":"`+inactive+`"}`)
	b.put(with("expires", january.Add(time.Second).Unix())).Want(200)
	b.Advance(2 * time.Second)
	probe(token, 401, `{"error":"`+expired+`"}`)
	b.call("DELETE", "/tyk/keys/"+hashed+"?hashed=true", nil).Want(200)
	probe(token, 403, `{"error":"`+disallowed+`"}`)
}

func TestTheNodeLearnsChangesAfterThePropagationDelay(t *testing.T) {
	t.Parallel()
	b := start(t, tyktest.Options{PropagationDelay: 2 * time.Second})
	b.add()
	b.answers(token, 403, disallowed)
	b.Advance(2 * time.Second)
	b.answers(token, 200, "")
	b.call("DELETE", "/tyk/keys/"+token, nil).Want(200)
	b.answers(token, 200, "")
	b.Advance(2 * time.Second)
	b.answers(token, 403, disallowed)
	b.SetPropagationDelay(0)
	b.add()
	b.answers(token, 200, "")
}

func TestOAuthClientsGetTokensUntilTheirSecretIsRotated(t *testing.T) {
	t.Parallel()
	b := start(t, tyktest.Options{APIs: []tyktest.API{{ID: "dgfip", OAuth2: true}, {ID: "cnaf"}}})
	b.call("POST", "/tyk/oauth/clients/create", object{
		"client_id": "dp-9001", "secret": "first-secret", "api_id": "dgfip", "policy_id": "api-particulier", "meta_data": object{"hub_ref": "dp-9001"},
	}).Want(200).Is("secret", "first-secret").Is("policy_id", "api-particulier")
	issue := func(secret string) answer.Answer {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.ProxyURL(), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.SetBasicAuth("dp-9001", secret)
		return answer.To(b.t, "POST", b.ProxyURL()+"/dgfip/oauth/token/", req.Header, "grant_type=client_credentials")
	}
	access := func(token string) answer.Answer {
		return answer.To(b.t, "GET", b.ProxyURL()+"/dgfip/v1", http.Header{"Authorization": {"Bearer " + token}}, "")
	}
	bearer := issue("first-secret").Want(200).Is("token_type", "bearer").Str("access_token")
	access(bearer).Want(200)

	rotated := b.call("PUT", "/tyk/oauth/clients/dgfip/dp-9001/rotate", nil).Want(200).Str("secret")
	issue("first-secret").Want(403).Is("error", "unauthorized_client")
	issue(rotated).Want(200)
	access(bearer).Want(200) // issued tokens live on
	if b.ProbeOAuthClient("dgfip", "dp-9001", "first-secret") != 403 || b.ProbeOAuthClient("dgfip", "dp-9001", rotated) != 200 {
		t.Error("the probe disagrees")
	}

	b.call("GET", "/tyk/oauth/clients/dgfip/dp-9001", nil).Want(200).Is("secret", rotated)
	b.call("GET", "/tyk/oauth/clients/dgfip", nil).Want(200).Is("0.client_id", "dp-9001")
	b.call("DELETE", "/tyk/oauth/clients/dgfip/dp-9001", nil).Want(200).Is("action", "deleted")
	b.call("GET", "/tyk/oauth/clients/dgfip/dp-9001", nil).Want(404).Is("status", "error").Is("message", "OAuth Client ID not found")
	access(bearer).Want(403).Is("error", "Key not authorised. OAuth client access was revoked")
	issue(rotated).Want(403)
}

func TestOAuthClientsNeedAnAPIThatTakesThem(t *testing.T) {
	t.Parallel()
	b := start(t, tyktest.Options{APIs: []tyktest.API{{ID: "dgfip", OAuth2: true}, {ID: "cnaf"}}})
	create := func(body object) answer.Answer { return b.call("POST", "/tyk/oauth/clients/create", body) }
	create(object{"api_id": "nope"}).Want(400).Is("status", "error").Is("message", "API doesn't exist")
	create(object{"api_id": "cnaf"}).Want(400).Is("status", "error").Is("message", "API is not OAuth2")
	create(object{"policy_id": "nope"}).Want(400).Is("status", "error").Is("message", "Policy doesn't exist")
	create(object{"policy_id": "cnaf"}).Want(400).Is("status", "error").Is("message", "API is not OAuth2")
	if made := create(object{"policy_id": "dgfip"}).Want(200); made.Str("client_id") == "" || made.Str("secret") == "" {
		t.Errorf("%s", made.Text)
	}
	b.call("PUT", "/tyk/oauth/clients/dgfip/nope/rotate", nil).Want(404).Is("status", "error").Is("message", "OAuth Client ID not found")
	b.call("GET", "/tyk/oauth/clients/nope", nil).Want(404).Is("status", "error").Is("message", "OAuth Client ID not found")
	b.call("DELETE", "/tyk/oauth/clients/nope/x", nil).Want(404).Is("status", "error").Is("message", "OAuth Client ID not found")
	for _, tt := range []struct {
		header  string
		status  int
		message string
	}{
		{"", 401, "Authorization field missing"},
		{"Basic x", 400, "Bearer token malformed"},
		{"Bearer unknown", 403, "Key not authorised"},
	} {
		got := answer.To(b.t, "GET", b.ProxyURL()+"/dgfip/", http.Header{"Authorization": {tt.header}}, "")
		got.Want(tt.status).Is("error", tt.message)
	}
	form := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	answer.To(b.t, "POST", b.ProxyURL()+"/dgfip/oauth/token", form, "grant_type=password").Want(403).Is("error", "unsupported_grant_type")
	answer.To(b.t, "GET", b.ProxyURL()+"/dgfip/oauth/token", nil, "").Want(403).Is("error", "invalid_request")
}

// The base64 form passes exactly while the store holds the key, active and not
// over; the raw form does so ten seconds later at the latest.
func TestBothFormsFollowTheStore(t *testing.T) {
	t.Parallel()
	b := start(t, tyktest.Options{})
	rapid.Check(t, func(rt *rapid.T) {
		b.Reset()
		var held, active bool
		expires := int64(0)
		want := func() int {
			switch {
			case !held:
				return 403
			case !active:
				return 403
			case expires > 0 && b.Now().After(time.Unix(expires, 0)):
				return 401
			}
			return 200
		}
		write := func(method, path string) int {
			end := rapid.SampledFrom([]int64{0, -5, 3, 8}).Draw(rt, "end")
			if end != 0 {
				end += b.Now().Unix()
			}
			active = rapid.Bool().Draw(rt, "active")
			status := b.call(method, path, key(with("expires", end), with("is_inactive", !active))).Status
			if status == 200 {
				if end == 0 || time.Unix(end, 0).After(b.Now()) {
					expires = end
				} else if method == "POST" {
					expires = 0
				}
			}
			return status
		}
		for range rapid.IntRange(1, 10).Draw(rt, "steps") {
			switch rapid.IntRange(0, 4).Draw(rt, "step") {
			case 0:
				if status := write("POST", "/tyk/keys/"+custom); status != 200 {
					rt.Fatalf("POST: %d", status)
				}
				held = true
			case 1:
				wasActive := active
				if status := write("PUT", "/tyk/keys/"+token); (status == 200) != held {
					rt.Fatalf("PUT: %d, held %v", status, held)
				}
				if !held {
					active = wasActive
				}
			case 2:
				status := b.call("DELETE", "/tyk/keys/"+hashed+"?hashed=true", nil).Status
				if (status == 200) != held {
					rt.Fatalf("DELETE: %d, held %v", status, held)
				}
				held = false
			case 3:
				b.Advance(time.Duration(rapid.IntRange(1, 6).Draw(rt, "seconds")) * time.Second)
			case 4:
				b.Probe(custom)
			}
			if status, body := b.Probe(token); status != want() {
				rt.Fatalf("base64 form: %d %s, want %d", status, body, want())
			}
		}
		b.Advance(tyktest.CachedSession)
		if status, body := b.Probe(custom); status != want() {
			rt.Fatalf("raw form after ten seconds: %d %s, want %d", status, body, want())
		}
		if strings.Contains(b.call("GET", "/_admin/state", nil).Text, custom) {
			rt.Fatal("the state shows the key")
		}
	})
}

package tyktest_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/connectors/partnertest/answer"
	"github.com/passerelle-hub/passerelle/connectors/tyk/tyktest"
)

func TestTheControlAPIAsksForItsSecret(t *testing.T) {
	t.Parallel()
	b := start(t, tyktest.Options{})
	const message = "Attempted administrative access with invalid or missing key!"
	for _, header := range []http.Header{nil, {"X-Tyk-Authorization": {"wrong"}}} {
		for _, path := range []string{"/tyk/keys", "/tyk/policies", "/tyk/nope", "/tyk/reload/"} {
			answer.To(b.t, "GET", b.ControlURL()+path, header, "").Want(403).Is("status", "error").Is("message", message)
		}
	}
	answer.To(b.t, "GET", b.ControlURL()+"/hello", nil, "").Want(200)
	old := http.Header{"X-Tyk-Authorization": {b.Secret()}}
	b.SetSecret("another-secret")
	answer.To(b.t, "GET", b.ControlURL()+"/tyk/policies", old, "").Want(403).Is("status", "error").Is("message", message)
	b.call("GET", "/tyk/policies", nil).Want(200)
}

func TestListingHashedKeysIsOffByDefault(t *testing.T) {
	t.Parallel()
	b := start(t, tyktest.Options{})
	b.add()
	b.call("GET", "/tyk/keys", nil).Want(404).Is("status", "error").Is("message", "Hashed key listing is disabled in config (enable_hashed_keys_listing)")
	on := start(t, tyktest.Options{HashedKeyListing: true})
	on.call("GET", "/tyk/keys", nil).Want(200).Is("keys", []any{})
	on.add()
	on.call("GET", "/tyk/keys", nil).Want(200).Is("keys", []any{hashed})
}

func TestWithoutHashesKeysAreListedAndReadInClear(t *testing.T) {
	t.Parallel()
	b := start(t, tyktest.Options{ClearKeys: true})
	b.add().Is("key_hash", nil)
	b.call("GET", "/tyk/keys", nil).Want(200).Is("keys", []any{token})
	b.call("GET", "/tyk/keys/"+hashed+"?hashed=true", nil).Want(400).Is("status", "error").Is("message", "Key requested by hash but key hashing is not enabled")
	b.answers(custom, 200, "")
	b.call("DELETE", "/tyk/keys/"+token, nil).Want(200)
	b.answers(token, 403, disallowed)
}

func TestTykMakesAKeyOfItsOwn(t *testing.T) {
	t.Parallel()
	b := start(t, tyktest.Options{})
	for _, path := range []string{"/tyk/keys", "/tyk/keys/create"} {
		made := b.call("POST", path, key()).Want(200).Is("action", "added").Is("status", "ok")
		if made.Str("key_hash") != tyktest.Hash(made.Str("key")) {
			t.Errorf("%s: handle %s", path, made.Str("key_hash"))
		}
		b.answers(made.Str("key"), 200, "")
		if leaks := b.Leaks(); len(leaks) != 0 {
			t.Errorf("leaks: %+v", leaks)
		}
	}
}

func TestTheValueOfACustomKeyIsSeenInTheURL(t *testing.T) {
	t.Parallel()
	b := start(t, tyktest.Options{})
	b.add()
	if leaks := b.Leaks(); len(leaks) != 1 || leaks[0].Where != "path" || strings.Contains(leaks[0].Path, custom) {
		t.Errorf("leaks: %+v", leaks)
	}
	b.DeclareSecretInURL("POST /tyk/keys/*")
	if leaks := b.Leaks(); len(leaks) != 0 {
		t.Errorf("a declared route leaks: %+v", leaks)
	}
	b.call("GET", "/tyk/keys/"+token, nil).Want(200)
	if leaks := b.Leaks(); len(leaks) != 1 {
		t.Errorf("the base64 form is a secret too: %+v", leaks)
	}
}

func TestAMalformedBodyIsRefused(t *testing.T) {
	t.Parallel()
	b := start(t, tyktest.Options{})
	b.add()
	header := http.Header{"X-Tyk-Authorization": {b.Secret()}}
	for _, tt := range []struct {
		method, path string
		status       int
		message      string
	}{
		{"POST", "/tyk/keys/" + custom, 400, "Request malformed"},
		{"PUT", "/tyk/keys/" + token, 400, "Request malformed"},
		{"POST", "/tyk/keys", 400, "Request malformed"},
		{"POST", "/tyk/keys/create", 500, "Unmarshalling failed"},
		{"POST", "/tyk/policies", 400, "Request malformed"},
		{"POST", "/tyk/oauth/clients/create", 500, "Unmarshalling failed"},
	} {
		answer.To(b.t, tt.method, b.ControlURL()+tt.path, header, `{"expires":"soon`).Want(tt.status).Is("status", "error").Is("message", tt.message)
	}
}

func TestPathsAndMethodsThatTykDoesNotHave(t *testing.T) {
	t.Parallel()
	b := start(t, tyktest.Options{})
	if reply := b.call("GET", "/tyk/nope", nil).Want(404); !strings.HasPrefix(reply.Header.Get("Content-Type"), "text/plain") {
		t.Errorf("%q", reply.Header)
	}
	b.call("PATCH", "/tyk/keys/"+custom, nil).Want(405).Is("status", "error").Is("message", "Method not supported")
	b.call("DELETE", "/tyk/keys/create", nil).Want(404).Is("status", "error").Is("message", "There is no such key found")
	b.call("POST", "/hello", nil).Want(405)
}

func TestAPostOfAPolicyThatExistsOverwritesIt(t *testing.T) {
	t.Parallel()
	b := start(t, tyktest.Options{})
	b.add()
	policy := object{"id": "api-particulier", "org_id": "default", "active": true, "access_rights": object{"cnaf": object{"api_id": "cnaf"}}}
	b.call("POST", "/tyk/policies", policy).Want(200).Is("action", "added").Is("key", "api-particulier")
	b.answers(token, 200, "")
	b.call("GET", "/tyk/reload/?block=true", nil).Want(200)
	b.answers(token, 403, disallowed)
	b.proxied("/cnaf/", token).Want(200)

	policy["is_inactive"] = true
	b.call("PUT", "/tyk/policies/api-particulier", policy).Want(200).Is("action", "modified")
	b.call("GET", "/tyk/reload", nil).Want(200) // does not wait
	b.proxied("/cnaf/", token).Want(200)
	b.Advance(time.Second)
	b.proxied("/cnaf/", token).Want(403).Is("error", inactive)

	b.call("PUT", "/tyk/policies/other", policy).Want(400).Is("status", "error").Is("message", "Request ID does not match that in policy! For Update operations these must match.")
	b.call("PUT", "/tyk/policies", policy).Want(400).Is("status", "error").Is("message", "Must specify an apiID to update")
	b.call("DELETE", "/tyk/policies", nil).Want(400).Is("status", "error").Is("message", "Must specify an apiID to delete")
	b.call("DELETE", "/tyk/policies/nope", nil).Want(500).Is("status", "error").Is("message", "Delete failed")
	b.call("GET", "/tyk/policies", nil).Want(200).Is("0.id", "api-particulier").Is("1.id", "cnaf").Is("2.id", "dgfip").Is("3", nil)
	b.call("GET", "/tyk/policies/dgfip", nil).Want(200).Is("access_rights.dgfip.api_id", "dgfip")
}

func TestAReloadOfTheGroupTakesATick(t *testing.T) {
	t.Parallel()
	b := start(t, tyktest.Options{})
	b.call("DELETE", "/tyk/policies/dgfip", nil).Want(200)
	b.call("GET", "/tyk/reload/group", nil).Want(200)
	b.call("GET", "/tyk/policies/dgfip", nil).Want(200)
	b.Advance(time.Second)
	b.call("GET", "/tyk/policies/dgfip", nil).Want(404)
}

func TestAPIsCanBeRead(t *testing.T) {
	t.Parallel()
	b := start(t, tyktest.Options{})
	b.call("GET", "/tyk/apis", nil).Want(200).Is("0.api_id", "dgfip").Is("1.listen_path", "/cnaf/")
	b.call("GET", "/tyk/apis/cnaf", nil).Want(200).Is("org_id", "default")
	b.call("GET", "/tyk/apis/nope", nil).Want(404).Is("status", "error").Is("message", "API not found")
	b.AddAPI(tyktest.API{ID: "msa"})
	b.AddPolicy(tyktest.Policy{ID: "msa", AccessRights: map[string]tyktest.AccessDefinition{"msa": {APIID: "msa"}}, Tags: []string{"t"}})
	b.add(with("apply_policies", []string{"msa"}))
	b.proxied("/msa/v1", token).Want(200)
	b.call("GET", "/tyk/keys/"+token, nil).Want(200).Is("tags", []any{"dp-9001", "t"})
}

func TestWithoutRedisHelloIs200AndKeysSeemGone(t *testing.T) {
	t.Parallel()
	b := start(t, tyktest.Options{})
	b.add()
	b.answers(token, 200, "")
	answer.To(b.t, "GET", b.ControlURL()+"/ready", nil, "").Want(200).Is("details.redis.status", "pass")
	b.SetRedisReachable(false)
	answer.To(b.t, "GET", b.ControlURL()+"/hello", nil, "").Want(200).Is("status", "fail").Is("details.redis.status", "fail").Is("version", tyktest.Version)
	answer.To(b.t, "GET", b.ControlURL()+"/ready", nil, "").Want(503).Is("status", "error").Is("message", "Redis connection not available")
	b.call("GET", "/tyk/keys/"+token, nil).Want(404)
	b.call("DELETE", "/tyk/keys/"+token, nil).Want(404)
	b.call("POST", "/tyk/keys/another-key", key()).Want(500)
	b.answers(token, 200, "") // remembered
	b.answers(custom, 403, disallowed)
	b.SetRedisReachable(true)
	b.call("GET", "/tyk/keys/"+token, nil).Want(200)
}

func TestTheControlAPIMayShareTheProxysPort(t *testing.T) {
	t.Parallel()
	b := start(t, tyktest.Options{SharedPort: true})
	if b.ControlURL() != b.ProxyURL() {
		t.Fatalf("%s and %s", b.ControlURL(), b.ProxyURL())
	}
	b.add()
	b.answers(token, 200, "")
	b.call("GET", "/tyk/nope", nil).Want(404)
	if got := b.CountPerRoute()["POST /tyk/keys/{key}"]; got != 1 {
		t.Errorf("%v", b.CountPerRoute())
	}
}

func TestALostAnswerLeavesItsWorkAndAnEarlyFaultDoesNot(t *testing.T) {
	t.Parallel()
	b := start(t, tyktest.Options{})
	add := func() error {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.ControlURL()+"/tyk/keys/"+custom,
			strings.NewReader(`{"org_id":"default","apply_policies":["dgfip"]}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Tyk-Authorization", b.Secret())
		reply, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = reply.Body.Close()
		}
		return err
	}
	b.Inject(partnertest.ResetBefore("POST /tyk/keys/*").For(1))
	if err := add(); err == nil || b.Counts().Keys != 0 {
		t.Errorf("before the work: %v, %+v", err, b.Counts())
	}
	b.Inject(partnertest.ResetAfter("admin:POST /tyk/keys/*").For(1))
	if err := add(); err == nil || b.Counts().Keys != 1 {
		t.Errorf("after the work: %v, %+v", err, b.Counts())
	}
	if err := add(); err != nil || b.Counts().Keys != 1 {
		t.Errorf("again: %v, %+v", err, b.Counts())
	}
}

func TestAResetBringsBackTheSeed(t *testing.T) {
	t.Parallel()
	b := start(t, tyktest.Options{})
	seed := b.Snapshot()
	b.add()
	b.answers(custom, 200, "")
	b.call("DELETE", "/tyk/policies/dgfip", nil).Want(200)
	b.SetSecret("another-secret")
	b.Reset()
	if diff := cmp.Diff(seed, b.Snapshot()); diff != "" {
		t.Error(diff)
	}
	b.answers(custom, 403, disallowed)
	b.add()
}

func TestManyClientsAtOnce(t *testing.T) {
	t.Parallel()
	b := start(t, tyktest.Options{Clock: partnertest.NewClock(), PropagationDelay: time.Microsecond})
	var clients sync.WaitGroup
	for n := range 8 {
		clients.Go(func() {
			for i := range 8 {
				id := fmt.Sprintf("key-%d-%d", n, i)
				hash := b.call("POST", "/tyk/keys/"+id, key()).Want(200).Str("key_hash")
				b.proxied("/dgfip/", id)
				b.call("PUT", "/tyk/keys/"+hash+"?hashed=true", key(with("alias", id))).Want(200)
				b.Snapshot()
				b.Probe(tyktest.Token("default", id))
				b.call("DELETE", "/tyk/keys/"+hash+"?hashed=true", nil).Want(200)
			}
		})
	}
	clients.Wait()
	if counts := b.Counts(); counts != (tyktest.Counts{}) {
		t.Errorf("%+v", counts)
	}
}

package tyktest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/tyk/tyktest"
)

// The seven traps of api-managers.md, 3.3, in its order.

func TestTrap1ARawKeyWithoutItsOrganisationIs404WhileItWorks(t *testing.T) {
	t.Parallel()
	b := start(t, tyktest.Options{})
	b.add()
	b.call("GET", "/tyk/keys/"+custom, nil).Want(404).Is("status", "error").Is("message", "Key not found")
	b.call("DELETE", "/tyk/keys/"+custom, nil).Want(404).Is("status", "error").Is("message", "There is no such key found")
	b.answers(custom, 200, "")
	b.answers(token, 200, "")
	for _, handle := range []string{token, hashed + "?hashed=true", custom + "?org_id=default"} {
		b.call("GET", "/tyk/keys/"+handle, nil).Want(200).Is("alias", "dp-9001")
	}
	b.call("GET", "/tyk/keys/"+custom+"?org_id=other", nil).Want(404).Is("status", "error").Is("message", "Key not found")
}

func TestAKeyIsDeletedByAnyOfItsThreeHandles(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ handle, name string }{
		{token, token}, {hashed + "?hashed=true", hashed}, {custom + "?org_id=default", token},
	} {
		b := start(t, tyktest.Options{})
		b.add()
		b.answers(token, 200, "")
		b.call("DELETE", "/tyk/keys/"+tt.handle, nil).Want(200).Is("action", "deleted").Is("key", tt.name).Is("status", "ok")
		b.call("GET", "/tyk/keys/"+hashed+"?hashed=true", nil).Want(404).Is("status", "error").Is("message", "Key not found")
		b.call("DELETE", "/tyk/keys/"+tt.handle, nil).Want(404).Is("status", "error").Is("message", "There is no such key found")
		b.answers(token, 403, disallowed)
		b.answers(custom, 403, disallowed) // never used in this form: not remembered
		if counts := b.Counts(); counts.Keys != 0 {
			t.Errorf("%+v", counts)
		}
	}
}

func TestTrap2TheRawFormPassesForTenSecondsMore(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		end     func(*bundle)
		message string
	}{
		{"after a deletion", func(b *bundle) { b.call("DELETE", "/tyk/keys/"+hashed+"?hashed=true", nil).Want(200) }, disallowed},
		{"after a suspension", func(b *bundle) { b.put(with("is_inactive", true)).Want(200) }, inactive},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := start(t, tyktest.Options{})
			b.add()
			b.answers(custom, 200, "")
			b.answers(token, 200, "")
			b.Advance(3 * time.Second)
			tt.end(b)
			b.answers(token, 403, tt.message) // at once
			b.answers(custom, 200, "")
			b.Advance(7*time.Second - time.Millisecond)
			b.answers(custom, 200, "")
			b.Advance(time.Millisecond) // ten seconds after it was first looked up
			b.answers(custom, 403, tt.message)
		})
	}
}

func TestAnOldKeyInRawFormIsNotRememberedForever(t *testing.T) {
	t.Parallel()
	b := start(t, tyktest.Options{})
	b.add()
	for range 5 {
		b.answers(custom, 200, "")
		b.Advance(4 * time.Second)
	}
	b.call("DELETE", "/tyk/keys/"+token, nil).Want(200)
	b.Advance(tyktest.CachedSession)
	b.answers(custom, 403, disallowed)
}

func TestTrap3AnEndInThePastIsIgnored(t *testing.T) {
	t.Parallel()
	b := start(t, tyktest.Options{})
	b.add()
	b.put(with("expires", january.Add(-time.Hour).Unix())).Want(200).Is("action", "modified").Is("key", token)
	b.call("GET", "/tyk/keys/"+token, nil).Want(200).Is("expires", 1900000000.0)
	b.answers(token, 200, "")

	// A key made with a past end has none at all.
	b.call("POST", "/tyk/keys/second-key", key(with("expires", 1700000000))).Want(200)
	b.call("GET", "/tyk/keys/second-key?org_id=default", nil).Want(200).Is("expires", 0.0)
}

func TestAnEndInTheFutureIsKeptToTheSecond(t *testing.T) {
	t.Parallel()
	b := start(t, tyktest.Options{})
	b.add()
	b.put(with("expires", january.Add(time.Minute).Unix())).Want(200)
	b.Advance(time.Minute)
	b.answers(token, 200, "")
	b.Advance(time.Second)
	b.answers(token, 401, expired)
	b.answers(custom, 401, expired)
	b.call("GET", "/tyk/keys/"+token, nil).Want(200) // still there
	if counts := b.Counts(); counts != (tyktest.Counts{Keys: 1}) {
		t.Errorf("%+v", counts)
	}
	b.put(with("expires", 0)).Want(200) // never
	b.answers(token, 200, "")
}

func TestTrap4AFaultOfConfigurationIs500(t *testing.T) {
	t.Parallel()
	b := start(t, tyktest.Options{})
	const message = "Failed to create key, ensure security settings are correct."
	b.call("POST", "/tyk/keys/"+custom, key(with("apply_policies", []string{"nope"}))).Want(500).Is("status", "error").Is("message", message)
	b.call("POST", "/tyk/keys/"+custom, key(without("apply_policies"))).Want(500).Is("status", "error").Is("message", message)
	b.call("POST", "/tyk/keys", key(with("apply_policies", []string{"nope"}))).Want(500).Is("status", "error").Is("message", message)
	b.call("POST", "/tyk/keys/create", key(without("apply_policies"))).
		Want(400).Is("status", "error").Is("message", "Failed to create key, keys must have at least one Access Rights record set.")
	b.call("POST", "/tyk/keys/create", key(with("apply_policies", []string{"nope"}))).
		Want(500).Is("status", "error").Is("message", `Failed to create key - policy not found: "nope"`)
	if counts := b.Counts(); counts.Keys != 0 {
		t.Errorf("%+v", counts)
	}
	b.add()
	b.put(with("apply_policies", []string{"nope"})).Want(500).Is("status", "error").Is("message", message)
	b.answers(token, 200, "") // as it was

	// One known policy among several is enough.
	b.put(with("apply_policies", []string{"nope", "dgfip"})).Want(200)
	b.answers(token, 200, "")
}

func TestTrap5DeletingAPolicyKillsItsKeysSilently(t *testing.T) {
	t.Parallel()
	b := start(t, tyktest.Options{})
	b.add()
	b.call("DELETE", "/tyk/policies/api-particulier", nil).Want(200).Is("action", "deleted")
	b.answers(token, 200, "") // until the reload
	b.call("GET", "/tyk/policies/api-particulier", nil).Want(200)
	b.call("GET", "/tyk/reload/?block=true", nil).Want(200).Is("status", "ok")
	b.call("GET", "/tyk/policies/api-particulier", nil).Want(404).Is("status", "error").Is("message", "Policy not found")
	b.answers(token, 403, disallowed)
	b.answers(custom, 403, disallowed)
	b.call("GET", "/tyk/keys/"+token, nil).Want(200)
	if key, ok := b.KeyByHash(hashed); !ok || len(key.APIs) != 0 {
		t.Errorf("%+v", key)
	}
}

func TestTrap6LaterVersionsRefuseAShortCustomKey(t *testing.T) {
	t.Parallel()
	old := start(t, tyktest.Options{})
	old.call("POST", "/tyk/keys/short", key()).Want(200)
	old.call("POST", "/tyk/keys/abc", key()).Want(200)
	old.answers("abc", 403, disallowed) // too short to be looked up, so it never works

	b := start(t, tyktest.Options{MinTokenLength: 8})
	reply := b.call("POST", "/tyk/keys/short", key()).Want(400)
	if message := reply.Str("message"); !strings.HasPrefix(message, "custom key ID length 5 is less than min_token_length (8)") {
		t.Error(message)
	}
	b.call("POST", "/tyk/keys/longer-key", key()).Want(200)
	b.call("POST", "/tyk/keys", key()).Want(200)
}

func TestTrap7AHashedKeyIsNeverReadBack(t *testing.T) {
	t.Parallel()
	b := start(t, tyktest.Options{HashedKeyListing: true})
	made := b.add().Is("key_hash", hashed).Is("key", token)
	for _, path := range []string{"/tyk/keys", "/tyk/keys/" + hashed + "?hashed=true", "/_admin/state"} {
		reply := b.call("GET", path, nil).Want(200)
		if strings.Contains(reply.Text, token) || strings.Contains(reply.Text, custom) {
			t.Errorf("%s shows the key: %s", path, reply.Text)
		}
	}
	b.put().Want(200).Is("key_hash", nil)
	for _, call := range b.Calls("") {
		if text := fmt.Sprint(call); strings.Contains(text, custom) || strings.Contains(text, token) {
			t.Errorf("a key in the log: %s", text)
		}
	}
	if tyktest.Hash(made.Str("key")) != hashed || tyktest.Token("default", custom) != token {
		t.Error("the handle is not that of the base64 form")
	}
}

func TestASecondPostOverwritesWithoutAWord(t *testing.T) {
	t.Parallel()
	b := start(t, tyktest.Options{})
	b.add(with("meta_data", object{"hub_ref": "somebody-else"}))
	again := b.add()
	again.Is("action", "added").Is("key_hash", hashed)
	if counts := b.Counts(); counts.Keys != 1 {
		t.Errorf("%+v", counts)
	}
	b.call("GET", "/tyk/keys/"+token, nil).Want(200).Is("meta_data.hub_ref", "dp-9001-c1")
}

func TestAPutReplacesTheWholeKey(t *testing.T) {
	t.Parallel()
	b := start(t, tyktest.Options{})
	b.add()
	b.Advance(time.Hour)
	b.put(without("meta_data", "tags", "alias")).Want(200)
	b.call("GET", "/tyk/keys/"+token, nil).Want(200).Is("meta_data", map[string]any{}).Is("tags", nil).Is("alias", "").
		Is("date_created", "2026-01-01T10:20:00Z")
	b.call("PUT", "/tyk/keys/"+custom, key()).Want(200).Is("key", token) // the body says which organisation
	b.call("PUT", "/tyk/keys/"+hashed+"?hashed=true", key(with("alias", "by-hash"))).Want(200).Is("key", hashed)
	b.call("GET", "/tyk/keys/"+token, nil).Want(200).Is("alias", "by-hash")
	b.call("PUT", "/tyk/keys/nope", key()).Want(404).Is("status", "error").Is("message", "Key is not found")
	b.call("PUT", "/tyk/keys/"+custom, key(without("org_id"))).Want(404).Is("status", "error").Is("message", "Key is not found")
}

func TestSuppressResetKeepsTheCounters(t *testing.T) {
	t.Parallel()
	b := start(t, tyktest.Options{})
	b.add()
	before := b.call("GET", "/tyk/keys/"+token, nil).Want(200).Get("last_updated")
	b.Advance(time.Hour)
	b.put().Want(200)
	b.call("GET", "/tyk/keys/"+token, nil).Want(200).Is("last_updated", before)
	b.call("PUT", "/tyk/keys/"+token, key()).Want(200)
	if after := b.call("GET", "/tyk/keys/"+token, nil).Want(200).Get("last_updated"); after == before {
		t.Errorf("last_updated stays %v", after)
	}
}

func TestTwoKeysLiveUntilTheEndOfTheOldOne(t *testing.T) {
	t.Parallel()
	b := start(t, tyktest.Options{})
	b.add()
	made := b.call("POST", "/tyk/keys/datapass9001k2", key()).Want(200)
	b.put(with("expires", january.Add(time.Hour).Unix())).Want(200)
	b.answers(token, 200, "")
	b.answers(made.Str("key"), 200, "")
	b.Advance(time.Hour + time.Second)
	b.answers(token, 401, expired)
	b.answers(made.Str("key"), 200, "")
}

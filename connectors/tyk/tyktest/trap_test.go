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
	b.call("GET", "/tyk/keys/"+custom, nil).refused(404, "Key not found")
	b.call("DELETE", "/tyk/keys/"+custom, nil).refused(404, "There is no such key found")
	b.answers(custom, 200, "")
	b.answers(token, 200, "")
	for _, handle := range []string{token, hashed + "?hashed=true", custom + "?org_id=default"} {
		b.call("GET", "/tyk/keys/"+handle, nil).want(200).is("alias", "dp-9001")
	}
	b.call("GET", "/tyk/keys/"+custom+"?org_id=other", nil).refused(404, "Key not found")
}

func TestAKeyIsDeletedByAnyOfItsThreeHandles(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ handle, name string }{
		{token, token}, {hashed + "?hashed=true", hashed}, {custom + "?org_id=default", token},
	} {
		b := start(t, tyktest.Options{})
		b.add()
		b.answers(token, 200, "")
		b.call("DELETE", "/tyk/keys/"+tt.handle, nil).want(200).is("action", "deleted").is("key", tt.name).is("status", "ok")
		b.call("GET", "/tyk/keys/"+hashed+"?hashed=true", nil).refused(404, "Key not found")
		b.call("DELETE", "/tyk/keys/"+tt.handle, nil).refused(404, "There is no such key found")
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
		{"after a deletion", func(b *bundle) { b.call("DELETE", "/tyk/keys/"+hashed+"?hashed=true", nil).want(200) }, disallowed},
		{"after a suspension", func(b *bundle) { b.put(with("is_inactive", true)).want(200) }, inactive},
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
	b.call("DELETE", "/tyk/keys/"+token, nil).want(200)
	b.Advance(tyktest.CachedSession)
	b.answers(custom, 403, disallowed)
}

func TestTrap3AnEndInThePastIsIgnored(t *testing.T) {
	t.Parallel()
	b := start(t, tyktest.Options{})
	b.add()
	b.put(with("expires", january.Add(-time.Hour).Unix())).want(200).is("action", "modified").is("key", token)
	b.call("GET", "/tyk/keys/"+token, nil).want(200).is("expires", 1900000000.0)
	b.answers(token, 200, "")

	// A key made with a past end has none at all.
	b.call("POST", "/tyk/keys/second-key", key(with("expires", 1700000000))).want(200)
	b.call("GET", "/tyk/keys/second-key?org_id=default", nil).want(200).is("expires", 0.0)
}

func TestAnEndInTheFutureIsKeptToTheSecond(t *testing.T) {
	t.Parallel()
	b := start(t, tyktest.Options{})
	b.add()
	b.put(with("expires", january.Add(time.Minute).Unix())).want(200)
	b.Advance(time.Minute)
	b.answers(token, 200, "")
	b.Advance(time.Second)
	b.answers(token, 401, expired)
	b.answers(custom, 401, expired)
	b.call("GET", "/tyk/keys/"+token, nil).want(200) // still there
	if counts := b.Counts(); counts != (tyktest.Counts{Keys: 1}) {
		t.Errorf("%+v", counts)
	}
	b.put(with("expires", 0)).want(200) // never
	b.answers(token, 200, "")
}

func TestTrap4AFaultOfConfigurationIs500(t *testing.T) {
	t.Parallel()
	b := start(t, tyktest.Options{})
	const message = "Failed to create key, ensure security settings are correct."
	b.call("POST", "/tyk/keys/"+custom, key(with("apply_policies", []string{"nope"}))).refused(500, message)
	b.call("POST", "/tyk/keys/"+custom, key(without("apply_policies"))).refused(500, message)
	b.call("POST", "/tyk/keys", key(with("apply_policies", []string{"nope"}))).refused(500, message)
	b.call("POST", "/tyk/keys/create", key(without("apply_policies"))).
		refused(400, "Failed to create key, keys must have at least one Access Rights record set.")
	b.call("POST", "/tyk/keys/create", key(with("apply_policies", []string{"nope"}))).
		refused(500, `Failed to create key - policy not found: "nope"`)
	if counts := b.Counts(); counts.Keys != 0 {
		t.Errorf("%+v", counts)
	}
	b.add()
	b.put(with("apply_policies", []string{"nope"})).refused(500, message)
	b.answers(token, 200, "") // as it was

	// One known policy among several is enough.
	b.put(with("apply_policies", []string{"nope", "dgfip"})).want(200)
	b.answers(token, 200, "")
}

func TestTrap5DeletingAPolicyKillsItsKeysSilently(t *testing.T) {
	t.Parallel()
	b := start(t, tyktest.Options{})
	b.add()
	b.call("DELETE", "/tyk/policies/api-particulier", nil).want(200).is("action", "deleted")
	b.answers(token, 200, "") // until the reload
	b.call("GET", "/tyk/policies/api-particulier", nil).want(200)
	b.call("GET", "/tyk/reload/?block=true", nil).want(200).is("status", "ok")
	b.call("GET", "/tyk/policies/api-particulier", nil).refused(404, "Policy not found")
	b.answers(token, 403, disallowed)
	b.answers(custom, 403, disallowed)
	b.call("GET", "/tyk/keys/"+token, nil).want(200)
	if key, ok := b.KeyByHash(hashed); !ok || len(key.APIs) != 0 {
		t.Errorf("%+v", key)
	}
}

func TestTrap6LaterVersionsRefuseAShortCustomKey(t *testing.T) {
	t.Parallel()
	old := start(t, tyktest.Options{})
	old.call("POST", "/tyk/keys/short", key()).want(200)
	old.call("POST", "/tyk/keys/abc", key()).want(200)
	old.answers("abc", 403, disallowed) // too short to be looked up, so it never works

	b := start(t, tyktest.Options{MinTokenLength: 8})
	answer := b.call("POST", "/tyk/keys/short", key()).want(400)
	if message := answer.str("message"); !strings.HasPrefix(message, "custom key ID length 5 is less than min_token_length (8)") {
		t.Error(message)
	}
	b.call("POST", "/tyk/keys/longer-key", key()).want(200)
	b.call("POST", "/tyk/keys", key()).want(200)
}

func TestTrap7AHashedKeyIsNeverReadBack(t *testing.T) {
	t.Parallel()
	b := start(t, tyktest.Options{HashedKeyListing: true})
	made := b.add().is("key_hash", hashed).is("key", token)
	for _, path := range []string{"/tyk/keys", "/tyk/keys/" + hashed + "?hashed=true", "/_admin/state"} {
		answer := b.call("GET", path, nil).want(200)
		if strings.Contains(answer.Text, token) || strings.Contains(answer.Text, custom) {
			t.Errorf("%s shows the key: %s", path, answer.Text)
		}
	}
	b.put().want(200).is("key_hash", nil)
	for _, call := range b.Calls("") {
		if text := fmt.Sprint(call); strings.Contains(text, custom) || strings.Contains(text, token) {
			t.Errorf("a key in the log: %s", text)
		}
	}
	if tyktest.Hash(made.str("key")) != hashed || tyktest.Token("default", custom) != token {
		t.Error("the handle is not that of the base64 form")
	}
}

func TestASecondPostOverwritesWithoutAWord(t *testing.T) {
	t.Parallel()
	b := start(t, tyktest.Options{})
	b.add(with("meta_data", object{"hub_ref": "somebody-else"}))
	again := b.add()
	again.is("action", "added").is("key_hash", hashed)
	if counts := b.Counts(); counts.Keys != 1 {
		t.Errorf("%+v", counts)
	}
	b.call("GET", "/tyk/keys/"+token, nil).want(200).is("meta_data.hub_ref", "dp-9001-c1")
}

func TestAPutReplacesTheWholeKey(t *testing.T) {
	t.Parallel()
	b := start(t, tyktest.Options{})
	b.add()
	b.Advance(time.Hour)
	b.put(without("meta_data", "tags", "alias")).want(200)
	b.call("GET", "/tyk/keys/"+token, nil).want(200).is("meta_data", map[string]any{}).is("tags", nil).is("alias", "").
		is("date_created", "2026-01-01T10:20:00Z")
	b.call("PUT", "/tyk/keys/"+custom, key()).want(200).is("key", token) // the body says which organisation
	b.call("PUT", "/tyk/keys/"+hashed+"?hashed=true", key(with("alias", "by-hash"))).want(200).is("key", hashed)
	b.call("GET", "/tyk/keys/"+token, nil).want(200).is("alias", "by-hash")
	b.call("PUT", "/tyk/keys/nope", key()).refused(404, "Key is not found")
	b.call("PUT", "/tyk/keys/"+custom, key(without("org_id"))).refused(404, "Key is not found")
}

func TestSuppressResetKeepsTheCounters(t *testing.T) {
	t.Parallel()
	b := start(t, tyktest.Options{})
	b.add()
	before := b.call("GET", "/tyk/keys/"+token, nil).want(200).get("last_updated")
	b.Advance(time.Hour)
	b.put().want(200)
	b.call("GET", "/tyk/keys/"+token, nil).want(200).is("last_updated", before)
	b.call("PUT", "/tyk/keys/"+token, key()).want(200)
	if after := b.call("GET", "/tyk/keys/"+token, nil).want(200).get("last_updated"); after == before {
		t.Errorf("last_updated stays %v", after)
	}
}

func TestTwoKeysLiveUntilTheEndOfTheOldOne(t *testing.T) {
	t.Parallel()
	b := start(t, tyktest.Options{})
	b.add()
	made := b.call("POST", "/tyk/keys/datapass9001k2", key()).want(200)
	b.put(with("expires", january.Add(time.Hour).Unix())).want(200)
	b.answers(token, 200, "")
	b.answers(made.str("key"), 200, "")
	b.Advance(time.Hour + time.Second)
	b.answers(token, 401, expired)
	b.answers(made.str("key"), 200, "")
}

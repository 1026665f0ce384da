package kongtest_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/kong/kongtest"
)

func TestGrantsAreGroupsByName(t *testing.T) {
	t.Parallel()
	b := start(t, kongtest.Options{})
	id := b.consumer()
	again := b.call("PUT", "/consumers/dp-9001/acls/dgfip", object{}).want(200)
	again.is("group", "dgfip").is("consumer", map[string]any{"id": id})
	b.call("GET", "/consumers/dp-9001/acls", nil).want(200).is("data.0.group", "dgfip").is("data.1", nil).is("next", nil)
	b.call("GET", "/consumers/dp-9001/acls/dgfip", nil).want(200).is("id", again.str("id"))
	b.call("GET", "/consumers/dp-9001/acls/"+again.str("id"), nil).want(200).is("group", "dgfip")
	b.call("POST", "/consumers/dp-9001/acls", object{"group": "cnaf"}).want(201).is("group", "cnaf")
	b.call("POST", "/consumers/dp-9001/acls", object{"group": "cnaf"}).want(409).
		is("message", `UNIQUE violation detected on '{consumer={id="`+id+`"},group="cnaf"}'`)
	b.call("POST", "/consumers/dp-9001/acls", object{}).want(400).is("message", "schema violation (group: required field missing)")
	b.call("GET", "/acls/not-an-id", nil).want(400).is("code", 1.0)

	b.call("DELETE", "/consumers/dp-9001/acls/dgfip", nil).want(204)
	b.call("DELETE", "/consumers/dp-9001/acls/dgfip", nil).want(404).body(`{"message":"Not found"}`)
	b.call("GET", "/consumers/dp-9001/acls/dgfip", nil).want(404)
	if c, ok := b.ConsumerByCustomID("dp-9001"); !ok || strings.Join(c.Groups, " ") != "cnaf" {
		t.Errorf("%+v", c)
	}
}

func TestAKeyIsIssuedUnderOurOwnIDWithOurOwnValue(t *testing.T) {
	t.Parallel()
	b := start(t, kongtest.Options{})
	id := b.consumer()
	first := b.issue(oldID, oldKey)
	first.is("key", oldKey).is("id", oldID).is("ttl", nil).is("tags", nil).is("consumer", map[string]any{"id": id})
	b.issue(oldID, oldKey)
	if counts := b.Counts(); counts.Credentials != 1 {
		t.Errorf("issued twice: %+v", counts)
	}
	read := b.call("GET", "/consumers/dp-9001/key-auth/"+oldID, nil).want(200)
	read.is("key", oldKey) // in clear, each time
	b.call("GET", "/consumers/dp-9001/key-auth", nil).want(200).is("data.0.key", oldKey)
	b.call("GET", "/key-auths/"+oldID, nil).want(200).is("id", oldID)
	if leaks := b.Leaks(); len(leaks) != 0 {
		t.Errorf("leaks: %+v", leaks)
	}
}

func TestAPostDrawsAKeyUnlessItBringsOne(t *testing.T) {
	t.Parallel()
	b := start(t, kongtest.Options{})
	b.consumer()
	drawn := b.call("POST", "/consumers/dp-9001/key-auth", object{}).want(201).str("key")
	if len(drawn) != 32 {
		t.Errorf("a drawn key has 32 characters, got %d", len(drawn))
	}
	b.answers(drawn, 200)
	b.call("POST", "/consumers/dp-9001/key-auth", object{"key": newKey}).want(201).is("key", newKey)
	b.call("POST", "/key-auths", object{"key": "x"}).want(400).is("message", "schema violation (consumer: required field missing)")
	b.call("POST", "/key-auths", object{"consumer": object{"username": "dp-9001"}}).want(201)
	b.call("POST", "/key-auths", object{"consumer": object{"username": "nope"}}).want(400).is("code", 13.0)
	b.call("POST", "/key-auths", object{"consumer": object{"id": newID}}).want(400).is("code", 4.0)
	b.call("POST", "/key-auths", object{"consumer": "dp-9001"}).want(400).is("message", "schema violation (consumer: expected a record)")
}

func TestAKeyHeldByAnotherConsumerIsAConflict(t *testing.T) {
	t.Parallel()
	b := start(t, kongtest.Options{})
	b.consumer()
	b.issue(oldID, oldKey)
	b.call("PUT", "/consumers/someone-else", object{}).want(200)
	b.call("PUT", "/consumers/someone-else/key-auth/"+newID, object{"key": oldKey}).want(409).body(
		`{"code":5,"name":"unique constraint violation","message":"UNIQUE violation detected on '{key=\"` + oldKey + `\"}'","fields":{"key":"` + oldKey + `"}}`)
	b.call("GET", "/consumers/someone-else/key-auth/"+oldID, nil).want(404)
	b.call("PATCH", "/consumers/someone-else/key-auth/"+oldID, object{"ttl": 1}).want(404)
	b.call("DELETE", "/consumers/someone-else/key-auth/"+oldID, nil).want(404)
	b.answers(oldKey, 200)
}

func TestAPutUnderTheIDOfAnotherConsumersKeyTakesItOver(t *testing.T) {
	t.Parallel()
	b := start(t, kongtest.Options{})
	b.consumer()
	b.issue(oldID, oldKey)
	b.call("PUT", "/consumers/someone-else", object{}).want(200)
	b.call("PUT", "/consumers/someone-else/key-auth/"+oldID, object{"key": newKey}).want(200)
	b.call("GET", "/consumers/dp-9001/key-auth/"+oldID, nil).want(404)
	b.answers(oldKey, 401)
	b.answers(newKey, 403) // its consumer is in no group
}

func TestTheOwnerOfAValueIsFoundWithTheSecretInTheURL(t *testing.T) {
	t.Parallel()
	b := start(t, kongtest.Options{})
	id := b.consumer()
	b.issue(oldID, oldKey)
	b.call("GET", "/key-auths/"+oldKey+"/consumer", nil).want(200).is("id", id).is("username", "dp-9001")
	if leaks := b.Leaks(); len(leaks) != 1 || leaks[0].Where != "path" || strings.Contains(leaks[0].Path, oldKey) {
		t.Errorf("leaks: %+v", leaks)
	}
	b.DeclareSecretInURL("GET /key-auths/*/consumer")
	b.call("GET", "/key-auths/"+newKey+"/consumer", nil).want(404).body(`{"message":"Not found"}`)
	if leaks := b.Leaks(); len(leaks) != 0 {
		t.Errorf("a declared route leaks: %+v", leaks)
	}
}

func TestTwoKeysLiveUntilTheTTLOfTheOldOneHasPassed(t *testing.T) {
	t.Parallel()
	b := start(t, kongtest.Options{})
	b.consumer()
	b.issue(oldID, oldKey)
	b.issue(newID, newKey)
	b.call("PATCH", "/consumers/dp-9001/key-auth/"+oldID, object{"ttl": 60}).want(200).is("ttl", 60.0).is("key", oldKey)
	b.Advance(59 * time.Second)
	b.answers(oldKey, 200)
	b.call("GET", "/consumers/dp-9001/key-auth/"+oldID, nil).want(200).is("ttl", 1.0)
	b.Advance(time.Second)
	b.answers(oldKey, 401)
	b.answers(newKey, 200)
	b.call("GET", "/consumers/dp-9001/key-auth/"+oldID, nil).want(404).body(`{"message":"Not found"}`)
	b.call("GET", "/consumers/dp-9001/key-auth", nil).want(200).is("data.0.id", newID).is("data.1", nil)
	b.call("DELETE", "/consumers/dp-9001/key-auth/"+oldID, nil).want(404)
	b.call("PATCH", "/consumers/dp-9001/key-auth/"+oldID, object{"ttl": 60}).want(404)
	if counts := b.Counts(); counts.Credentials != 1 {
		t.Errorf("counts: %+v", counts)
	}
	b.issue(oldID, oldKey) // both are free again
	b.answers(oldKey, 200)
}

func TestAPutWithoutTTLClearsItAndAPatchKeepsIt(t *testing.T) {
	t.Parallel()
	b := start(t, kongtest.Options{})
	b.consumer()
	path := "/consumers/dp-9001/key-auth/" + oldID
	b.call("PUT", path, object{"key": oldKey, "ttl": 60}).want(200).is("ttl", 60.0)
	b.call("PATCH", path, object{"tags": []string{"dp-9001"}}).want(200).is("ttl", 60.0)
	b.call("PUT", path, object{"key": oldKey}).want(200).is("ttl", nil).is("tags", nil)
	b.Advance(time.Hour)
	b.answers(oldKey, 200)
}

func TestATTLOfZeroMeansNever(t *testing.T) {
	t.Parallel()
	b := start(t, kongtest.Options{})
	b.consumer()
	path := "/consumers/dp-9001/key-auth/" + oldID
	b.call("PUT", path, object{"key": oldKey, "ttl": "60"}).want(200).is("ttl", 60.0)
	b.call("PATCH", path, object{"ttl": 0}).want(200).is("ttl", nil)
	b.Advance(time.Hour)
	b.answers(oldKey, 200)
}

func TestATTLThatIsNoneIsRefused(t *testing.T) {
	t.Parallel()
	b := start(t, kongtest.Options{})
	b.consumer()
	for _, ttl := range []any{-1, 1.5, 100_000_001} {
		b.call("PUT", "/consumers/dp-9001/key-auth/"+oldID, object{"key": oldKey, "ttl": ttl}).want(400).body(
			`{"code":11,"name":"invalid options","message":"invalid option (ttl: must be an integer between 0 and 100000000)",
			"options":{"ttl":"must be an integer between 0 and 100000000"}}`)
	}
	b.call("PUT", "/consumers/dp-9001/key-auth/"+oldID, object{"key": oldKey, "ttl": "soon"}).want(500).
		body(`{"message":"An unexpected error occurred"}`)
	if counts := b.Counts(); counts.Credentials != 0 {
		t.Errorf("counts: %+v", counts)
	}
}

func TestARevokedKeyIsGoneAndASecondRevocationIs404(t *testing.T) {
	t.Parallel()
	b := start(t, kongtest.Options{})
	b.consumer()
	b.issue(oldID, oldKey)
	path := "/consumers/dp-9001/key-auth/" + oldID
	if answer := b.call("DELETE", path, nil).want(204); answer.Text != "" {
		t.Errorf("204 with a body: %q", answer.Text)
	}
	b.call("GET", path, nil).want(404)
	b.call("DELETE", path, nil).want(404).body(`{"message":"Not found"}`)
	b.call("DELETE", "/key-auths/"+oldID, nil).want(204) // top level: never 404
	b.answers(oldKey, 401)
}

func TestJWTCredentialsHaveNoTTL(t *testing.T) {
	t.Parallel()
	b := start(t, kongtest.Options{})
	b.consumer()
	made := b.call("POST", "/consumers/dp-9001/jwt", object{"key": "dp-9001-c1", "secret": oldKey}).want(201)
	made.is("algorithm", "HS256").is("secret", oldKey).is("rsa_public_key", nil)
	if strings.Contains(made.Text, "ttl") {
		t.Errorf("a ttl: %s", made.Text)
	}
	b.call("POST", "/consumers/dp-9001/jwt", object{"ttl": 5}).want(400).is("message", "schema violation (ttl: unknown field)")
	b.call("POST", "/consumers/dp-9001/jwt", object{"key": "dp-9001-c1"}).want(409)
	b.call("POST", "/consumers/dp-9001/jwt", object{"algorithm": "none"}).want(400).is("code", 2.0)
	b.call("POST", "/consumers/dp-9001/jwt", object{"algorithm": "RS256"}).want(400).is("message",
		"2 schema violations (failed conditional validation given value of field 'algorithm'; rsa_public_key: required field missing)")
	b.call("POST", "/consumers/dp-9001/jwt", object{"algorithm": "RS256", "rsa_public_key": "nope"}).want(400).
		is("fields.rsa_public_key", "invalid key")
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	public := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	b.call("POST", "/consumers/dp-9001/jwt", object{"algorithm": "RS256", "rsa_public_key": public}).want(201)
	b.call("DELETE", "/consumers/dp-9001/jwt/dp-9001-c1", nil).want(204)
	b.call("GET", "/consumers/dp-9001/jwt/dp-9001-c1", nil).want(404)
}

func TestAnOAuth2SecretMayBeHashed(t *testing.T) {
	t.Parallel()
	b := start(t, kongtest.Options{})
	b.consumer()
	body := object{"name": "commune", "client_id": "dp-9001-c1", "client_secret": oldKey, "redirect_uris": []string{"https://commune.example.test/"}}
	b.call("POST", "/consumers/dp-9001/oauth2", body).want(201).is("client_secret", oldKey).is("hash_secret", false)
	body["client_id"], body["hash_secret"] = "dp-9001-c2", true
	hashed := b.call("POST", "/consumers/dp-9001/oauth2", body).want(201).str("client_secret")
	if !strings.HasPrefix(hashed, "$pbkdf2-sha512$") || strings.Contains(hashed, oldKey) {
		t.Errorf("not a hash: %q", hashed)
	}
	b.call("GET", "/consumers/dp-9001/oauth2/dp-9001-c2", nil).want(200).is("client_secret", hashed)
	b.call("PATCH", "/consumers/dp-9001/oauth2/dp-9001-c2", object{"name": "ville"}).want(200).is("client_secret", hashed)
	b.call("POST", "/consumers/dp-9001/oauth2", object{"name": "x", "redirect_uris": []string{"nope", "https://a.test/#f"}}).want(400).
		is("fields.redirect_uris", []any{"cannot parse 'nope'", "fragment not allowed in 'https://a.test/#f'"})
	b.call("POST", "/consumers/dp-9001/oauth2", object{}).want(400).is("message", "schema violation (name: required field missing)")
	b.call("POST", "/consumers/dp-9001/oauth2", object{"name": "x", "hash_secret": 3}).want(400).is("fields.hash_secret", "expected a boolean")
}

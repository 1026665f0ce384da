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
	again := b.call("PUT", "/consumers/dp-9001/acls/dgfip", object{}).Want(200)
	again.Is("group", "dgfip").Is("consumer", map[string]any{"id": id})
	b.call("GET", "/consumers/dp-9001/acls", nil).Want(200).Is("data.0.group", "dgfip").Is("data.1", nil).Is("next", nil)
	b.call("GET", "/consumers/dp-9001/acls/dgfip", nil).Want(200).Is("id", again.Str("id"))
	b.call("GET", "/consumers/dp-9001/acls/"+again.Str("id"), nil).Want(200).Is("group", "dgfip")
	b.call("POST", "/consumers/dp-9001/acls", object{"group": "cnaf"}).Want(201).Is("group", "cnaf")
	b.call("POST", "/consumers/dp-9001/acls", object{"group": "cnaf"}).Want(409).
		Is("message", `UNIQUE violation detected on '{consumer={id="`+id+`"},group="cnaf"}'`)
	b.call("POST", "/consumers/dp-9001/acls", object{}).Want(400).Is("message", "schema violation (group: required field missing)")
	b.call("GET", "/acls/not-an-id", nil).Want(400).Is("code", 1.0)

	b.call("DELETE", "/consumers/dp-9001/acls/dgfip", nil).Want(204)
	b.call("DELETE", "/consumers/dp-9001/acls/dgfip", nil).Want(404).Body(`{"message":"Not found"}`)
	b.call("GET", "/consumers/dp-9001/acls/dgfip", nil).Want(404)
	if c, ok := b.ConsumerByCustomID("dp-9001"); !ok || strings.Join(c.Groups, " ") != "cnaf" {
		t.Errorf("%+v", c)
	}
}

func TestAKeyIsIssuedUnderOurOwnIDWithOurOwnValue(t *testing.T) {
	t.Parallel()
	b := start(t, kongtest.Options{})
	id := b.consumer()
	first := b.issue(oldID, oldKey)
	first.Is("key", oldKey).Is("id", oldID).Is("ttl", nil).Is("tags", nil).Is("consumer", map[string]any{"id": id})
	b.issue(oldID, oldKey)
	if counts := b.Counts(); counts.Credentials != 1 {
		t.Errorf("issued twice: %+v", counts)
	}
	read := b.call("GET", "/consumers/dp-9001/key-auth/"+oldID, nil).Want(200)
	read.Is("key", oldKey) // in clear, each time
	b.call("GET", "/consumers/dp-9001/key-auth", nil).Want(200).Is("data.0.key", oldKey)
	b.call("GET", "/key-auths/"+oldID, nil).Want(200).Is("id", oldID)
	if leaks := b.Leaks(); len(leaks) != 0 {
		t.Errorf("leaks: %+v", leaks)
	}
}

func TestAPostDrawsAKeyUnlessItBringsOne(t *testing.T) {
	t.Parallel()
	b := start(t, kongtest.Options{})
	b.consumer()
	drawn := b.call("POST", "/consumers/dp-9001/key-auth", object{}).Want(201).Str("key")
	if len(drawn) != 32 {
		t.Errorf("a drawn key has 32 characters, got %d", len(drawn))
	}
	b.answers(drawn, 200)
	b.call("POST", "/consumers/dp-9001/key-auth", object{"key": newKey}).Want(201).Is("key", newKey)
	b.call("POST", "/key-auths", object{"key": "x"}).Want(400).Is("message", "schema violation (consumer: required field missing)")
	b.call("POST", "/key-auths", object{"consumer": object{"username": "dp-9001"}}).Want(201)
	b.call("POST", "/key-auths", object{"consumer": object{"username": "nope"}}).Want(400).Is("code", 13.0)
	b.call("POST", "/key-auths", object{"consumer": object{"id": newID}}).Want(400).Is("code", 4.0)
	b.call("POST", "/key-auths", object{"consumer": "dp-9001"}).Want(400).Is("message", "schema violation (consumer: expected a record)")
}

func TestAKeyHeldByAnotherConsumerIsAConflict(t *testing.T) {
	t.Parallel()
	b := start(t, kongtest.Options{})
	b.consumer()
	b.issue(oldID, oldKey)
	b.call("PUT", "/consumers/someone-else", object{}).Want(200)
	b.call("PUT", "/consumers/someone-else/key-auth/"+newID, object{"key": oldKey}).Want(409).Body(
		`{"code":5,"name":"unique constraint violation","message":"UNIQUE violation detected on '{key=\"` + oldKey + `\"}'","fields":{"key":"` + oldKey + `"}}`)
	b.call("GET", "/consumers/someone-else/key-auth/"+oldID, nil).Want(404)
	b.call("PATCH", "/consumers/someone-else/key-auth/"+oldID, object{"ttl": 1}).Want(404)
	b.call("DELETE", "/consumers/someone-else/key-auth/"+oldID, nil).Want(404)
	b.answers(oldKey, 200)
}

func TestAPutUnderTheIDOfAnotherConsumersKeyTakesItOver(t *testing.T) {
	t.Parallel()
	b := start(t, kongtest.Options{})
	b.consumer()
	b.issue(oldID, oldKey)
	b.call("PUT", "/consumers/someone-else", object{}).Want(200)
	b.call("PUT", "/consumers/someone-else/key-auth/"+oldID, object{"key": newKey}).Want(200)
	b.call("GET", "/consumers/dp-9001/key-auth/"+oldID, nil).Want(404)
	b.answers(oldKey, 401)
	b.answers(newKey, 403) // its consumer is in no group
}

func TestTheOwnerOfAValueIsFoundWithTheSecretInTheURL(t *testing.T) {
	t.Parallel()
	b := start(t, kongtest.Options{})
	id := b.consumer()
	b.issue(oldID, oldKey)
	b.call("GET", "/key-auths/"+oldKey+"/consumer", nil).Want(200).Is("id", id).Is("username", "dp-9001")
	if leaks := b.Leaks(); len(leaks) != 1 || leaks[0].Where != "path" || strings.Contains(leaks[0].Path, oldKey) {
		t.Errorf("leaks: %+v", leaks)
	}
	b.DeclareSecretInURL("GET /key-auths/*/consumer")
	b.call("GET", "/key-auths/"+newKey+"/consumer", nil).Want(404).Body(`{"message":"Not found"}`)
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
	b.call("PATCH", "/consumers/dp-9001/key-auth/"+oldID, object{"ttl": 60}).Want(200).Is("ttl", 60.0).Is("key", oldKey)
	b.Advance(59 * time.Second)
	b.answers(oldKey, 200)
	b.call("GET", "/consumers/dp-9001/key-auth/"+oldID, nil).Want(200).Is("ttl", 1.0)
	b.Advance(time.Second)
	b.answers(oldKey, 401)
	b.answers(newKey, 200)
	b.call("GET", "/consumers/dp-9001/key-auth/"+oldID, nil).Want(404).Body(`{"message":"Not found"}`)
	b.call("GET", "/consumers/dp-9001/key-auth", nil).Want(200).Is("data.0.id", newID).Is("data.1", nil)
	b.call("DELETE", "/consumers/dp-9001/key-auth/"+oldID, nil).Want(404)
	b.call("PATCH", "/consumers/dp-9001/key-auth/"+oldID, object{"ttl": 60}).Want(404)
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
	b.call("PUT", path, object{"key": oldKey, "ttl": 60}).Want(200).Is("ttl", 60.0)
	b.call("PATCH", path, object{"tags": []string{"dp-9001"}}).Want(200).Is("ttl", 60.0)
	b.call("PUT", path, object{"key": oldKey}).Want(200).Is("ttl", nil).Is("tags", nil)
	b.Advance(time.Hour)
	b.answers(oldKey, 200)
}

func TestATTLOfZeroMeansNever(t *testing.T) {
	t.Parallel()
	b := start(t, kongtest.Options{})
	b.consumer()
	path := "/consumers/dp-9001/key-auth/" + oldID
	b.call("PUT", path, object{"key": oldKey, "ttl": "60"}).Want(200).Is("ttl", 60.0)
	b.call("PATCH", path, object{"ttl": 0}).Want(200).Is("ttl", nil)
	b.Advance(time.Hour)
	b.answers(oldKey, 200)
}

func TestATTLThatIsNoneIsRefused(t *testing.T) {
	t.Parallel()
	b := start(t, kongtest.Options{})
	b.consumer()
	for _, ttl := range []any{-1, 1.5, 100_000_001} {
		b.call("PUT", "/consumers/dp-9001/key-auth/"+oldID, object{"key": oldKey, "ttl": ttl}).Want(400).Body(
			`{"code":11,"name":"invalid options","message":"invalid option (ttl: must be an integer between 0 and 100000000)",
			"options":{"ttl":"must be an integer between 0 and 100000000"}}`)
	}
	b.call("PUT", "/consumers/dp-9001/key-auth/"+oldID, object{"key": oldKey, "ttl": "soon"}).Want(500).
		Body(`{"message":"An unexpected error occurred"}`)
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
	if reply := b.call("DELETE", path, nil).Want(204); reply.Text != "" {
		t.Errorf("204 with a body: %q", reply.Text)
	}
	b.call("GET", path, nil).Want(404)
	b.call("DELETE", path, nil).Want(404).Body(`{"message":"Not found"}`)
	b.call("DELETE", "/key-auths/"+oldID, nil).Want(204) // top level: never 404
	b.answers(oldKey, 401)
}

func TestJWTCredentialsHaveNoTTL(t *testing.T) {
	t.Parallel()
	b := start(t, kongtest.Options{})
	b.consumer()
	made := b.call("POST", "/consumers/dp-9001/jwt", object{"key": "dp-9001-c1", "secret": oldKey}).Want(201)
	made.Is("algorithm", "HS256").Is("secret", oldKey).Is("rsa_public_key", nil)
	if strings.Contains(made.Text, "ttl") {
		t.Errorf("a ttl: %s", made.Text)
	}
	b.call("POST", "/consumers/dp-9001/jwt", object{"ttl": 5}).Want(400).Is("message", "schema violation (ttl: unknown field)")
	b.call("POST", "/consumers/dp-9001/jwt", object{"key": "dp-9001-c1"}).Want(409)
	b.call("POST", "/consumers/dp-9001/jwt", object{"algorithm": "none"}).Want(400).Is("code", 2.0)
	b.call("POST", "/consumers/dp-9001/jwt", object{"algorithm": "RS256"}).Want(400).Is("message",
		"2 schema violations (failed conditional validation given value of field 'algorithm'; rsa_public_key: required field missing)")
	b.call("POST", "/consumers/dp-9001/jwt", object{"algorithm": "RS256", "rsa_public_key": "nope"}).Want(400).
		Is("fields.rsa_public_key", "invalid key")
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	public := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	b.call("POST", "/consumers/dp-9001/jwt", object{"algorithm": "RS256", "rsa_public_key": public}).Want(201)
	b.call("DELETE", "/consumers/dp-9001/jwt/dp-9001-c1", nil).Want(204)
	b.call("GET", "/consumers/dp-9001/jwt/dp-9001-c1", nil).Want(404)
}

func TestAnOAuth2SecretMayBeHashed(t *testing.T) {
	t.Parallel()
	b := start(t, kongtest.Options{})
	b.consumer()
	body := object{"name": "commune", "client_id": "dp-9001-c1", "client_secret": oldKey, "redirect_uris": []string{"https://commune.example.test/"}}
	b.call("POST", "/consumers/dp-9001/oauth2", body).Want(201).Is("client_secret", oldKey).Is("hash_secret", false)
	body["client_id"], body["hash_secret"] = "dp-9001-c2", true
	hashed := b.call("POST", "/consumers/dp-9001/oauth2", body).Want(201).Str("client_secret")
	if !strings.HasPrefix(hashed, "$pbkdf2-sha512$") || strings.Contains(hashed, oldKey) {
		t.Errorf("not a hash: %q", hashed)
	}
	b.call("GET", "/consumers/dp-9001/oauth2/dp-9001-c2", nil).Want(200).Is("client_secret", hashed)
	b.call("PATCH", "/consumers/dp-9001/oauth2/dp-9001-c2", object{"name": "ville"}).Want(200).Is("client_secret", hashed)
	b.call("POST", "/consumers/dp-9001/oauth2", object{"name": "x", "redirect_uris": []string{"nope", "https://a.test/#f"}}).Want(400).
		Is("fields.redirect_uris", []any{"cannot parse 'nope'", "fragment not allowed in 'https://a.test/#f'"})
	b.call("POST", "/consumers/dp-9001/oauth2", object{}).Want(400).Is("message", "schema violation (name: required field missing)")
	b.call("POST", "/consumers/dp-9001/oauth2", object{"name": "x", "hash_secret": 3}).Want(400).Is("fields.hash_secret", "expected a boolean")
}

package editor_test

import (
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/passerelle-hub/passerelle/internal/jose"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
)

func keyPair(t testing.TB) (jose.DecryptionKey, json.RawMessage) {
	t.Helper()
	k, err := jose.GenerateDecryptionKey(jose.P256)
	if err != nil {
		t.Fatal(err)
	}
	public, err := k.Recipient().JWK()
	if err != nil {
		t.Fatal(err)
	}
	return k, public
}

func publicJWK(t testing.TB) json.RawMessage {
	_, public := keyPair(t)
	return public
}

// machineJWK registers a new public key of an editor.
func (s *site) machineJWK(bearer string) jose.DecryptionKey {
	s.t.Helper()
	k, public := keyPair(s.t)
	var got struct{ KID string }
	s.call(http.MethodPut, "/jwk", bearer, public).into(http.StatusOK, &got)
	if got.KID != k.Recipient().KID() {
		s.t.Fatalf("registered as %s", got.KID)
	}
	return k
}

// opened is how many secrets of keys the hub could still open, and how many
// sealed values hold one of these texts once it opens all it can.
func (s *site) opened(secrets ...string) int {
	s.t.Helper()
	n := 0
	for _, id := range s.ids(`select id from credential order by id`) {
		c, err := s.store.Credential(s.t.Context(), id)
		if err != nil {
			s.t.Fatal(err)
		}
		value, err := s.store.OpenSecret(c)
		if err != nil {
			s.t.Fatal(err)
		}
		if !value.IsZero() {
			n++
		}
	}
	// Nothing in clear either, in any table.
	for _, table := range s.tables() {
		for _, secret := range secrets {
			n += s.count(`select count(*) from `+table+` t where t::text like '%' || $1 || '%'`, secret)
		}
	}
	return n
}

func TestWithAPublicKeyTheHubKeepsNothingThatItCanOpen(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	us := s.machine(ourEditor)
	waiting := s.approve(ourEditor) // sealed by the hub: the key comes later
	private := s.machineJWK(us)
	made := s.approve(ourEditor)
	list, err := s.registry.ToEnclose(t.Context(), 10)
	if err != nil || len(list) != 1 || list[0] != waiting.id {
		t.Fatalf("to enclose: %v %v", list, err)
	}
	for range 2 {
		s.record(&registry.EncloseKey{CredentialID: waiting.id})
	}
	if n := s.opened(waiting.secret, made.secret); n != 0 {
		t.Fatalf("%d values can be read by the hub", n)
	}
	if n := s.count(`select count(*) from handover_link where credential_id = $1`, made.id); n != 0 {
		t.Error("a link was sent for a key that its page cannot show")
	}
	if n := s.count(`select count(*) from mail where template = $1`, registry.LetterKeyKept); n == 0 {
		t.Error("the contacts were not told for whom it is kept")
	}
	for _, g := range []granted{waiting, made} {
		f := s.fetch(us, g.id)
		clear, err := private.Decrypt(f.Secret)
		if err != nil || string(clear) != g.secret || f.Format != "jwe" || f.KID != private.Recipient().KID() || f.Fingerprint != "" {
			t.Fatalf("%+v: %v", f, err)
		}
		ack := map[string]any{"fetch_id": f.FetchID, "fingerprint": hex.EncodeToString(store.CheckSum(string(clear)))}
		s.post("/keys/"+g.id.String()+"/ack", us, ack).into(http.StatusNoContent, nil)
	}
	if n := s.count(`select count(*) from key_envelope`); n != 0 {
		t.Errorf("%d envelopes are left", n)
	}
}

func TestAChangedPublicKeyIsForTheKeysToCome(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	us := s.machine(ourEditor)
	old := s.machineJWK(us)
	before := s.approve(ourEditor)
	renewed := s.machineJWK(us)
	after := s.approve(ourEditor)
	for _, c := range []struct {
		g   granted
		key jose.DecryptionKey
	}{{before, old}, {after, renewed}} {
		f := s.fetch(us, c.g.id)
		if clear, err := c.key.Decrypt(f.Secret); err != nil || string(clear) != c.g.secret {
			t.Errorf("%s: %v", f.KID, err)
		}
	}
	s.call(http.MethodDelete, "/jwk", us, nil).into(http.StatusNoContent, nil)
	if got := s.get("/jwk", us).problem(); got != "404 introuvable" {
		t.Error(got)
	}
	g := s.approve(ourEditor)
	if f := s.fetch(us, g.id); f.Secret != g.secret {
		t.Error("without a public key the key itself is expected")
	}
}

func TestABadPublicKeyIsRefusedAndTheOldOneStays(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	us := s.machine(ourEditor)
	kept := s.machineJWK(us).Recipient().KID()
	var good map[string]any
	if err := json.Unmarshal(publicJWK(t), &good); err != nil {
		t.Fatal(err)
	}
	with := func(key string, value any) map[string]any {
		bad := map[string]any{}
		for k, v := range good {
			bad[k] = v
		}
		if bad[key] = value; value == nil {
			delete(bad, key)
		}
		return bad
	}
	for name, c := range map[string]struct {
		body any
		want string
	}{
		"a private key":                {with("d", "AAAA"), "422 jwk-privee /d"},
		"a symmetric key":              {map[string]any{"kty": "oct", "k": "AAAA"}, "422 jwk-privee /d"},
		"an RSA key":                   {map[string]any{"kty": "RSA", "n": "AQAB", "e": "AQAB"}, "422 jwk "},
		"a key to sign with":           {with("use", "sig"), "422 jwk "},
		"another algorithm":            {with("alg", "RSA-OAEP"), "422 jwk "},
		"a point off the curve":        {with("x", good["y"]), "422 jwk "},
		"a curve of another kind":      {with("crv", "P-521"), "422 jwk "},
		"no point":                     {with("x", nil), "422 jwk "},
		"a key id with a line feed":    {with("kid", "a\nb"), "422 jwk "},
		"a certificate":                {with("x5u", "https://ailleurs.example/cert"), "422 jwk "},
		"a list":                       {[]any{good}, "422 jwk "},
		"no JSON":                      {"{", "422 jwk "},
		"nothing":                      {"", "422 jwk "},
		"a number":                     {"1", "422 jwk "},
		"the same member twice":        {`{"kty":"EC","kty":"EC"}`, "422 jwk "},
		"more than a public key needs": {strings.Repeat(" ", 9<<10), "413 corps-trop-grand"},
	} {
		if got := s.call(http.MethodPut, "/jwk", us, c.body).problem(); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if got := s.call(http.MethodPut, "/jwk", us, "x", "Content-Type", "text/plain").problem(); got != "415 type-de-contenu" {
		t.Error(got)
	}
	var got struct{ KID string }
	s.get("/jwk", us).into(http.StatusOK, &got)
	if got.KID != kept {
		t.Errorf("the key is %s now", got.KID)
	}
}

func TestAHolderWithAPublicKeyIsShownAJWEAndItsEditorNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	us := s.machine(ourEditor)
	g := s.approve(ourEditor)
	link := s.link(g)
	private, _ := keyPair(t)
	s.record(&registry.SetHolderKey{RequestID: g.request, Key: private.Recipient()})
	s.record(&registry.EncloseKey{CredentialID: g.id})
	if n := s.opened(g.secret); n != 0 {
		t.Fatalf("%d values can be read by the hub", n)
	}
	if got := s.post("/keys/"+g.id.String()+"/fetch", us, nil).problem(); got != "409 cle-holder_only" {
		t.Error(got)
	}
	status, page, _ := s.page(http.MethodPost, link)
	_, shown, _ := strings.Cut(page, `id="cle">`)
	shown, _, _ = strings.Cut(shown, "<")
	if clear, err := private.Decrypt(shown); status != http.StatusOK || err != nil || string(clear) != g.secret {
		t.Fatalf("%d %v: %s", status, err, page)
	}
	if n := s.count(`select count(*) from key_envelope`); n != 0 {
		t.Errorf("%d envelopes are left", n)
	}
}

package jose

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/lestrrat-go/jwx/v2/x25519"
	"pgregory.net/rapid"
)

func mustDecryptionKey(t testing.TB, curve Curve) DecryptionKey {
	t.Helper()
	k, err := GenerateDecryptionKey(curve)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestWhatIsEncryptedForAnEditorOpensForItAlone(t *testing.T) {
	for _, curve := range []Curve{P256, P384, X25519} {
		t.Run(string(curve), func(t *testing.T) {
			k, other := mustDecryptionKey(t, curve), mustDecryptionKey(t, curve)
			registered, err := k.Recipient().JWK()
			if err != nil {
				t.Fatal(err)
			}
			r, err := ParseRecipient(registered)
			if err != nil {
				t.Fatal(err)
			}
			if r.KID() != k.Recipient().KID() || r.Curve() != curve {
				t.Errorf("read back as %s on %s", r.KID(), r.Curve())
			}
			rapid.Check(t, func(t *rapid.T) {
				plaintext := rapid.SliceOfN(rapid.Byte(), 1, 200).Draw(t, "plaintext")
				sealed, err := r.Encrypt(plaintext)
				if err != nil {
					t.Fatal(err)
				}
				opened, err := k.Decrypt(sealed)
				if err != nil || !bytes.Equal(opened, plaintext) {
					t.Fatalf("opened %x, %v", opened, err)
				}
				if _, err := other.Decrypt(sealed); !errors.Is(err, ErrDecrypt) {
					t.Fatalf("another key opens it: %v", err)
				}
				again, err := r.Encrypt(plaintext)
				if err != nil || again == sealed {
					t.Fatal("encrypting twice gives the same")
				}
			})
		})
	}
}

// Opened by an implementation of RFC 7518, 4.6 written here on the standard
// library: what editors use is not jwx. 300 rounds on each curve meet shared
// secrets that begin with a zero byte.
func TestAnIndependentImplementationOpensTheJWE(t *testing.T) {
	for _, curve := range []Curve{P256, P384, X25519} {
		t.Run(string(curve), func(t *testing.T) {
			k := mustDecryptionKey(t, curve)
			var private *ecdh.PrivateKey
			var err error
			switch raw := k.raw.(type) {
			case *ecdsa.PrivateKey:
				private, err = raw.ECDH()
			case x25519.PrivateKey:
				private, err = ecdh.X25519().NewPrivateKey(raw.Seed())
			}
			if err != nil {
				t.Fatal(err)
			}
			for range 300 {
				sealed, err := k.Recipient().Encrypt([]byte("pse_test_value"))
				if err != nil {
					t.Fatal(err)
				}
				opened, err := openByHand(private, sealed)
				if err != nil || string(opened) != "pse_test_value" {
					t.Fatalf("%q, %v", opened, err)
				}
			}
		})
	}
}

func openByHand(private *ecdh.PrivateKey, sealed string) ([]byte, error) {
	parts := strings.Split(sealed, ".")
	var raw [5][]byte
	for i, part := range parts {
		var err error
		if raw[i], err = base64.RawURLEncoding.DecodeString(part); err != nil {
			return nil, err
		}
	}
	var header struct {
		Alg, Enc, KID string
		EPK           struct{ Kty, Crv, X, Y string }
	}
	if err := json.Unmarshal(raw[0], &header); err != nil {
		return nil, err
	}
	if header.Alg != "ECDH-ES+A256KW" || header.Enc != "A256GCM" || header.KID == "" {
		return nil, fmt.Errorf("header %s", raw[0])
	}
	point, err := base64.RawURLEncoding.DecodeString(header.EPK.X)
	if err != nil {
		return nil, err
	}
	if header.EPK.Kty == "EC" {
		y, err := base64.RawURLEncoding.DecodeString(header.EPK.Y)
		if err != nil {
			return nil, err
		}
		point = append(append([]byte{4}, point...), y...)
	}
	ephemeral, err := private.Curve().NewPublicKey(point)
	if err != nil {
		return nil, err
	}
	z, err := private.ECDH(ephemeral)
	if err != nil {
		return nil, err
	}
	// Concat KDF, one round of SHA-256: counter, Z, AlgorithmID, empty party infos, key length in bits.
	h := sha256.New()
	h.Write([]byte{0, 0, 0, 1})
	h.Write(z)
	h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(header.Alg))))
	h.Write([]byte(header.Alg))
	h.Write(make([]byte, 8))
	h.Write(binary.BigEndian.AppendUint32(nil, 256))
	cek, err := unwrap(h.Sum(nil), raw[1])
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(cek)
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return gcm.Open(nil, raw[2], append(raw[3], raw[4]...), []byte(parts[0]))
}

// unwrap is AES key unwrap (RFC 3394, 2.2.2).
func unwrap(kek, wrapped []byte) ([]byte, error) {
	block, err := aes.NewCipher(kek)
	if err != nil {
		return nil, err
	}
	n := len(wrapped)/8 - 1
	a := binary.BigEndian.Uint64(wrapped)
	r := bytes.Clone(wrapped[8:])
	buf := make([]byte, 16)
	for j := 5; j >= 0; j-- {
		for i := n; i >= 1; i-- {
			binary.BigEndian.PutUint64(buf, a^uint64(n*j+i))
			copy(buf[8:], r[(i-1)*8:i*8])
			block.Decrypt(buf, buf)
			a = binary.BigEndian.Uint64(buf)
			copy(r[(i-1)*8:], buf[8:])
		}
	}
	if a != 0xa6a6a6a6a6a6a6a6 {
		return nil, errors.New("integrity check of the wrapped key")
	}
	return r, nil
}

func TestAJWKThatIsNoSoundRecipientIsRefused(t *testing.T) {
	good := object{}
	data, err := mustDecryptionKey(t, P256).Recipient().JWK()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &good); err != nil {
		t.Fatal(err)
	}
	x := object{}
	if data, err = mustDecryptionKey(t, X25519).Recipient().JWK(); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &x); err != nil {
		t.Fatal(err)
	}
	with := func(base, changes object) object {
		copied := object{}
		for name, value := range base {
			copied[name] = value
		}
		return overlay(copied, changes)
	}
	zero := base64.RawURLEncoding.EncodeToString(make([]byte, 32))
	one := base64.RawURLEncoding.EncodeToString(append([]byte{1}, make([]byte, 31)...))
	for name, tt := range map[string]struct {
		jwk  object
		want Fault // "" accepts
	}{
		"a sound EC key":                {good, ""},
		"a sound X25519 key":            {x, ""},
		"as WebCrypto exports it":       {with(good, object{"alg": nil, "use": nil, "kid": nil, "ext": true, "key_ops": []string{}}), ""},
		"with an unknown member":        {with(good, object{"note": "clé de test"}), ""},
		"a private key":                 {with(good, object{"d": good["x"]}), ErrPrivateKey},
		"a private part that is null":   {with(good, object{"d": json.RawMessage("null")}), ErrPrivateKey},
		"a symmetric key":               {object{"kty": "oct", "k": zero}, ErrPrivateKey},
		"RSA":                           {object{"kty": "RSA", "n": strings.Repeat("u", 342), "e": "AQAB"}, ErrKey},
		"P-521":                         {with(good, object{"crv": "P-521"}), ErrKey},
		"Ed25519, a key for signatures": {with(x, object{"crv": "Ed25519"}), ErrKey},
		"for signatures":                {with(good, object{"use": "sig"}), ErrKey},
		"direct key agreement":          {with(good, object{"alg": "ECDH-ES"}), ErrKey},
		"an RSA algorithm":              {with(good, object{"alg": "RSA-OAEP"}), ErrKey},
		"operations of another use":     {with(good, object{"key_ops": []string{"verify"}}), ErrKey},
		"a certificate chain":           {with(good, object{"x5c": []string{"MIIB"}}), ErrKey},
		"a URL to fetch":                {with(good, object{"x5u": "https://attacker.example/"}), ErrKey},
		"a point off the curve":         {with(good, object{"y": good["x"]}), ErrKey},
		"the point at infinity":         {with(good, object{"x": zero, "y": zero}), ErrKey},
		"a coordinate missing":          {with(good, object{"y": nil}), ErrKey},
		"a coordinate cut":              {with(good, object{"x": good["x"].(string)[:42]}), ErrKey},
		"a coordinate with padding":     {with(good, object{"x": good["x"].(string) + "="}), ErrKey},
		"a coordinate that is a number": {with(good, object{"x": 5}), ErrKey},
		"a P-256 point called P-384":    {with(good, object{"crv": "P-384"}), ErrKey},
		"X25519 with two coordinates":   {with(x, object{"y": x["x"]}), ErrKey},
		"X25519 zero, of low order":     {with(x, object{"x": zero}), ErrKey},
		"X25519 one, of low order":      {with(x, object{"x": one}), ErrKey},
		"X25519 in an EC key":           {with(x, object{"kty": "EC"}), ErrKey},
		"kid with a line break":         {with(good, object{"kid": "a\nb"}), ErrKey},
		"kid not a string":              {with(good, object{"kid": 7}), ErrKey},
		"larger than 4 KiB":             {with(good, object{"note": strings.Repeat("x", maxRecipient)}), ErrKey},
	} {
		t.Run(name, func(t *testing.T) {
			data, err := json.Marshal(tt.jwk)
			if err != nil {
				t.Fatal(err)
			}
			r, err := ParseRecipient(data)
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				if _, err := r.Encrypt([]byte("x")); err != nil {
					t.Error(err)
				}
				return
			}
			wantFault(t, err, tt.want)
			if !r.IsZero() {
				t.Error("a refused key still gives a recipient")
			}
		})
	}
	for _, bad := range []string{``, `[]`, `"x"`, `{`, `{"kty":"EC","kty":"EC"}`} {
		_, err := ParseRecipient([]byte(bad))
		wantFault(t, err, ErrKey)
	}
}

func TestOnlyWhatWasUnderstoodOfARecipientIsKept(t *testing.T) {
	data, err := mustDecryptionKey(t, P384).Recipient().JWK()
	if err != nil {
		t.Fatal(err)
	}
	r, err := ParseRecipient([]byte(strings.Replace(string(data), "{", `{"owner":"Élodie FONTANEL",`, 1)))
	if err != nil {
		t.Fatal(err)
	}
	kept, err := r.JWK()
	if err != nil || !bytes.Equal(kept, data) {
		t.Errorf("%s, %v", kept, err)
	}
}

func TestEncryptAndDecryptHaveBounds(t *testing.T) {
	k := mustDecryptionKey(t, X25519)
	largest, err := k.Recipient().Encrypt(make([]byte, MaxSecret))
	if err != nil {
		t.Fatal(err)
	}
	if opened, err := k.Decrypt(largest); err != nil || len(opened) != MaxSecret {
		t.Errorf("%d bytes, %v", len(opened), err)
	}
	_, err = k.Recipient().Encrypt(make([]byte, MaxSecret+1))
	wantFault(t, err, ErrTooLarge)
	_, err = k.Recipient().Encrypt(nil)
	wantFault(t, err, ErrConfig)
	_, err = Recipient{}.Encrypt([]byte("x"))
	wantFault(t, err, ErrKey)
	_, err = GenerateDecryptionKey("P-521")
	wantFault(t, err, ErrKey)

	sealed, err := k.Recipient().Encrypt([]byte("value"))
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(sealed, ".")
	reheaded := func(changes object) string {
		raw, _ := base64.RawURLEncoding.DecodeString(parts[0])
		header := object{}
		if err := json.Unmarshal(raw, &header); err != nil {
			t.Fatal(err)
		}
		return segment(t, overlay(header, changes)) + "." + strings.Join(parts[1:], ".")
	}
	for name, bad := range map[string]string{
		"nothing":                "",
		"a JWS":                  "a.b.c",
		"a header of garbage":    "?." + strings.Join(parts[1:], "."),
		"another algorithm":      reheaded(object{"alg": "dir"}),
		"a password algorithm":   reheaded(object{"alg": "PBES2-HS256+A128KW"}),
		"another content cipher": reheaded(object{"enc": "A128CBC-HS256"}),
		"compression":            reheaded(object{"zip": "DEF"}),
		"a critical header":      reheaded(object{"crit": []string{"x"}}),
		"a header changed":       reheaded(object{"x": 1}),
		"a cut":                  sealed[:len(sealed)-4],
		"too large":              sealed + strings.Repeat("A", maxJWE),
	} {
		if _, err := k.Decrypt(bad); !errors.Is(err, ErrDecrypt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if printed := fmt.Sprintf("%v %+v %#v", k, k, k); !strings.Contains(printed, k.Recipient().KID()) || strings.Contains(printed, "0x") {
		t.Error(printed)
	}
}

func FuzzParseRecipient(f *testing.F) {
	for _, curve := range []Curve{P256, P384, X25519} {
		data, err := mustDecryptionKey(f, curve).Recipient().JWK()
		if err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(data))
	}
	f.Add([]byte(rfc7515Key))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := ParseRecipient(data)
		if err != nil {
			return
		}
		if _, err := r.Encrypt([]byte("value")); err != nil {
			t.Fatalf("accepted and unusable: %v", err)
		}
		if kept, err := r.JWK(); err != nil || bytes.Contains(kept, []byte(`"d"`)) {
			t.Fatalf("%s, %v", kept, err)
		}
	})
}

package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"testing"
	"time"
)

// now is the moment of every test in this package.
var now = time.Date(2026, 11, 3, 9, 30, 0, 0, time.UTC)

const (
	issuer   = "https://hub.example.fr"
	audience = "https://particulier.api.example.fr"
)

func mustKey(t testing.TB, alg Alg) PrivateKey {
	t.Helper()
	k, err := GenerateKey(alg)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// forge makes a compact JWS with the standard library alone, of any header and
// any signer, so that hostile tokens owe nothing to the code under test.
func forge(t testing.TB, header, payload any, sign func(input []byte) []byte) string {
	t.Helper()
	input := segment(t, header) + "." + segment(t, payload)
	return input + "." + base64.RawURLEncoding.EncodeToString(sign([]byte(input)))
}

// segment encodes a string as it is, anything else as JSON.
func segment(t testing.TB, v any) string {
	t.Helper()
	if text, ok := v.(string); ok {
		return base64.RawURLEncoding.EncodeToString([]byte(text))
	}
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(data)
}

func signWith(t testing.TB, k PrivateKey) func([]byte) []byte {
	t.Helper()
	return func(input []byte) []byte {
		sum := sha256.Sum256(input)
		var signature []byte
		var err error
		switch raw := k.raw.(type) {
		case ed25519.PrivateKey:
			signature = ed25519.Sign(raw, input)
		case *rsa.PrivateKey:
			signature, err = rsa.SignPKCS1v15(rand.Reader, raw, crypto.SHA256, sum[:])
		case *ecdsa.PrivateKey:
			var r, s *big.Int
			r, s, err = ecdsa.Sign(rand.Reader, raw, sum[:])
			if err == nil {
				signature = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		return signature
	}
}

func hs256(secret []byte) func([]byte) []byte {
	return func(input []byte) []byte {
		mac := hmac.New(sha256.New, secret)
		mac.Write(input)
		return mac.Sum(nil)
	}
}

type object = map[string]any

// goodHeader and goodPayload make an access token that the verifier of
// accessVerifier believes. Changes are laid over them; a nil value removes.
func goodHeader(k PrivateKey, changes object) object {
	return overlay(object{"alg": string(k.Alg()), "kid": k.KID(), "typ": "at+jwt"}, changes)
}

func goodPayload(changes object) object {
	return overlay(object{
		"iss": issuer, "aud": audience, "sub": "dp-1234", "client_id": "dp-1234", "scope": "qf.read", "jti": "0d3e1c40-66cb-4d54-9c44-5b53d1c1de5d",
		"iat": now.Unix() - 10, "exp": now.Unix() + 600,
	}, changes)
}

func overlay(base, changes object) object {
	for name, value := range changes {
		if value == nil {
			delete(base, name)
		} else {
			base[name] = value
		}
	}
	return base
}

func accessVerifier(keys ...PrivateKey) Verifier {
	v := Verifier{Issuer: issuer, Audience: audience, Algs: []Alg{ES256, EdDSA}, Now: func() time.Time { return now }}
	var known StaticKeys
	for _, k := range keys {
		known = append(known, k.Public())
	}
	v.Keys = known
	return v
}

func wantFault(t *testing.T, err error, want Fault) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

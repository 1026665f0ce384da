package jose

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	// RFC 8037, A.1, A.3 and A.4.
	rfc8037Key        = `{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
	rfc8037Thumbprint = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
	rfc8037Token      = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"

	// RFC 7515, A.3.
	rfc7515Key   = `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}`
	rfc7515Token = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
)

func TestTheRFCsVectorsVerify(t *testing.T) {
	for name, tt := range map[string]struct{ key, token string }{
		"RFC 8037 Ed25519": {rfc8037Key, rfc8037Token},
		"RFC 7515 ES256":   {rfc7515Key, rfc7515Token},
	} {
		t.Run(name, func(t *testing.T) {
			k, err := ParsePrivateKey([]byte(tt.key))
			if err != nil {
				t.Fatal(err)
			}
			if err := verifySignature(tt.token, k.Public()); err != nil {
				t.Error(err)
			}
			damaged := strings.Replace(tt.token, ".", ".e", 1)
			if verifySignature(damaged, k.Public()) == nil {
				t.Error("a damaged vector verifies")
			}
		})
	}
}

func TestAKeyWithoutIdIsNamedByItsThumbprint(t *testing.T) {
	k, err := ParsePrivateKey([]byte(rfc8037Key))
	if err != nil {
		t.Fatal(err)
	}
	thumb, err := k.Public().Thumbprint()
	if err != nil || thumb != rfc8037Thumbprint || k.KID() != rfc8037Thumbprint {
		t.Errorf("id %s, thumbprint %s, %v", k.KID(), thumb, err)
	}
}

func TestKeysAreWrittenAndReadBack(t *testing.T) {
	for _, alg := range []Alg{ES256, EdDSA, RS256} {
		t.Run(string(alg), func(t *testing.T) {
			k := mustKey(t, alg)
			data, err := k.JWK()
			if err != nil {
				t.Fatal(err)
			}
			back, err := ParsePrivateKey(data)
			if err != nil {
				t.Fatal(err)
			}
			if !back.Public().Equal(k.Public()) {
				t.Error("the private key read back is another one")
			}
			token, err := back.Sign("", object{"a": 1})
			if err != nil {
				t.Fatal(err)
			}
			public, err := k.Public().JWK()
			if err != nil {
				t.Fatal(err)
			}
			pub, err := ParsePublicKey(public)
			if err != nil {
				t.Fatal(err)
			}
			if err := verifySignature(token, pub); err != nil {
				t.Error(err)
			}
			var shape map[string]any
			if err := json.Unmarshal(public, &shape); err != nil {
				t.Fatal(err)
			}
			if shape["use"] != "sig" || shape["alg"] != string(alg) || shape["kid"] != k.KID() {
				t.Errorf("public JWK %s", public)
			}
			for _, secret := range privateParameters {
				if _, ok := shape[secret]; ok {
					t.Errorf("the public JWK holds %q", secret)
				}
			}
		})
	}
}

func TestAKeyInPEMIsRead(t *testing.T) {
	raw, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(raw)
	if err != nil {
		t.Fatal(err)
	}
	k, err := ParsePrivatePEM(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), "partner-2026")
	if err != nil {
		t.Fatal(err)
	}
	if k.KID() != "partner-2026" || k.Alg() != ES256 {
		t.Errorf("read as %s, %s", k.KID(), k.Alg())
	}
	publicDER, err := x509.MarshalPKIXPublicKey(&raw.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	_, err = ParsePrivatePEM(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: publicDER}), "")
	wantFault(t, err, ErrKey)
	_, err = ParsePrivatePEM([]byte("not PEM"), "")
	wantFault(t, err, ErrKey)
}

func TestUnsoundKeysAreRefused(t *testing.T) {
	const edX = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
	ecKey := `"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"`
	for name, tt := range map[string]struct {
		jwk  string
		want Fault
	}{
		"not JSON":                {`kty`, ErrKey},
		"an array":                {`[]`, ErrKey},
		"no key type":             {`{"x":"` + edX + `"}`, ErrKey},
		"a symmetric key":         {`{"kty":"oct","k":"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}`, ErrPrivateKey},
		"a private key":           {rfc8037Key, ErrPrivateKey},
		"a private part empty":    {`{` + ecKey + `,"d":""}`, ErrPrivateKey},
		"for encryption":          {`{` + ecKey + `,"use":"enc"}`, ErrKey},
		"operations of no use":    {`{` + ecKey + `,"key_ops":["encrypt"]}`, ErrKey},
		"another algorithm":       {`{` + ecKey + `,"alg":"ES384"}`, ErrKey},
		"the alg of a secret":     {`{` + ecKey + `,"alg":"HS256"}`, ErrKey},
		"alg not a string":        {`{` + ecKey + `,"alg":1}`, ErrKey},
		"a point off the curve":   {`{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"}`, ErrKey},
		"another curve":           {`{"kty":"EC","crv":"secp256k1","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`, ErrKey},
		"a key agreement curve":   {`{"kty":"OKP","crv":"X25519","x":"` + edX + `"}`, ErrKey},
		"an Ed25519 key cut":      {`{"kty":"OKP","crv":"Ed25519","x":"` + edX[:40] + `"}`, ErrKey},
		"RSA of 1024 bits":        {`{"kty":"RSA","e":"AQAB","n":"` + strings.Repeat("u", 171) + `"}`, ErrKey},
		"kid twice":               {`{` + ecKey + `,"kid":"a","kid":"b"}`, ErrKey},
		"kid with a control sign": {`{` + ecKey + `,"kid":"a\u0000"}`, ErrKey},
		"kid too long":            {`{` + ecKey + `,"kid":"` + strings.Repeat("k", 257) + `"}`, ErrKey},
		"larger than 8 KiB":       {`{` + ecKey + `,"x5c":["` + strings.Repeat("A", maxJWK) + `"]}`, ErrKey},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParsePublicKey([]byte(tt.jwk))
			wantFault(t, err, tt.want)
			if strings.Contains(fmt.Sprint(err), "f83O") {
				t.Error("the error shows the key")
			}
		})
	}
	if _, err := ParsePublicKey([]byte(`{` + ecKey + `,"use":"sig","alg":"ES256","key_ops":["verify"],"ext":true}`)); err != nil {
		t.Errorf("a sound key: %v", err)
	}
}

func TestAPrivateKeyWhoseHalvesDoNotBelongTogetherIsRefused(t *testing.T) {
	other := mustKey(t, ES256)
	data, err := other.JWK()
	if err != nil {
		t.Fatal(err)
	}
	var mixed, foreign map[string]any
	if err := json.Unmarshal([]byte(rfc7515Key), &mixed); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &foreign); err != nil {
		t.Fatal(err)
	}
	mixed["x"], mixed["y"] = foreign["x"], foreign["y"]
	spoiled, err := json.Marshal(mixed)
	if err != nil {
		t.Fatal(err)
	}
	_, err = ParsePrivateKey(spoiled)
	wantFault(t, err, ErrKey)
	_, err = ParsePrivateKey([]byte(strings.Replace(rfc7515Key, "{", `{"alg":"RS256",`, 1)))
	wantFault(t, err, ErrKey)
}

func TestAPrivateKeyNeverPrints(t *testing.T) {
	k, err := ParsePrivateKey([]byte(rfc8037Key))
	if err != nil {
		t.Fatal(err)
	}
	const secret = "nWGxne"
	wrapped := struct{ K SigningKey }{SigningKey{KID: k.KID(), Private: k}}
	for _, printed := range []string{fmt.Sprintf("%v %+v %#v %s %x", k, k, k, k, k), fmt.Sprintf("%v %+v", wrapped, wrapped), fmt.Sprintf("%v", &k)} {
		if strings.Contains(printed, secret) || strings.Contains(printed, "157 97 177") || strings.Contains(printed, "9d61b1") {
			t.Error(printed)
		}
	}
	if data, err := json.Marshal(wrapped); err == nil {
		t.Errorf("written as %s", data)
	}
}

func TestAKeySetIsReadLeniently(t *testing.T) {
	es, ed, rs := mustKey(t, ES256), mustKey(t, EdDSA), mustKey(t, RS256)
	entry := func(k PrivateKey, changes object) object {
		data, err := k.Public().JWK()
		if err != nil {
			t.Fatal(err)
		}
		var m object
		if err := json.Unmarshal(data, &m); err != nil {
			t.Fatal(err)
		}
		return overlay(m, changes)
	}
	private, err := mustKey(t, ES256).JWK()
	if err != nil {
		t.Fatal(err)
	}
	set := object{"keys": []any{
		entry(es, object{"alg": nil, "use": nil}), entry(ed, nil), entry(rs, object{"x5c": []string{"MIIB"}, "unknown": true}),
		entry(mustKey(t, ES256), object{"use": "enc"}), entry(mustKey(t, RS256), object{"alg": "RS512"}), entry(mustKey(t, ES256), object{"kid": nil}),
		object{"kty": "oct", "k": "AAAA", "kid": "symmetric"},
		json.RawMessage(private),
		object{"kty": "new"},
		"text", entry(es, object{"alg": nil, "use": nil}),
	}}
	data, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := parseJWKS(data)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]Alg{}
	for kid, k := range keys {
		got[kid] = k.Alg()
	}
	if diff := cmp.Diff(map[string]Alg{es.KID(): ES256, ed.KID(): EdDSA, rs.KID(): RS256}, got); diff != "" {
		t.Error(diff)
	}
	twice, err := json.Marshal(object{"keys": []any{entry(es, nil), entry(mustKey(t, ES256), object{"kid": es.KID()})}})
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{"two keys under one id": string(twice), "no keys": `{}`, "keys null": `{"keys":null}`, "keys an object": `{"keys":{}}`, "HTML": `<html>`} {
		if _, err := parseJWKS([]byte(bad)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzParsePublicKey(f *testing.F) {
	f.Add([]byte(rfc8037Key))
	f.Add([]byte(strings.Replace(rfc7515Key, `"d"`, `"z"`, 1)))
	f.Add([]byte(`{"kty":"RSA","n":"AQAB","e":"AQAB"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		k, err := ParsePublicKey(data)
		if err != nil {
			return
		}
		again, err := k.JWK()
		if err != nil {
			t.Fatal(err)
		}
		if back, err := ParsePublicKey(again); err != nil || !back.Equal(k) {
			t.Fatalf("read back: %v", err)
		}
	})
}

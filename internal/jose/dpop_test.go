package jose

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var dpopCall = DPoPCall{Method: "POST", URL: "https://hub.example.fr/editor/v1/keys?x=1", AccessToken: accessToken, Now: now}

func TestAProofForThisCallIsBelieved(t *testing.T) {
	for _, alg := range []Alg{ES256, EdDSA} {
		k := mustKey(t, alg)
		proof, err := k.SignDPoP("proof-1", dpopCall)
		if err != nil {
			t.Fatal(err)
		}
		got, err := VerifyDPoP(proof, dpopCall)
		if err != nil {
			t.Fatal(err)
		}
		thumb, err := k.Public().Thumbprint()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(DPoPProof{ID: "proof-1", Thumbprint: thumb, IssuedAt: now}, got); diff != "" {
			t.Error(alg, diff)
		}
	}
}

// RFC 9449, 4.3.
func TestProofsThatDoNotFitAreRefused(t *testing.T) {
	k, other := mustKey(t, ES256), mustKey(t, ES256)
	rsaKey := mustKey(t, RS256)
	jwkOf := func(k PrivateKey) json.RawMessage {
		data, err := k.Public().JWK()
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	private, err := k.JWK()
	if err != nil {
		t.Fatal(err)
	}
	header := func(changes object) object {
		return overlay(object{"alg": "ES256", "typ": "dpop+jwt", "jwk": jwkOf(k)}, changes)
	}
	payload := func(changes object) object {
		return overlay(object{"jti": "p", "htm": "POST", "htu": "https://hub.example.fr/editor/v1/keys", "iat": now.Unix(), "ath": "1hgndFzfgRvlduiPodmrxmcqiVrnKWXKU6B3EzRXXfo"}, changes)
	}
	for name, tt := range map[string]struct {
		header, payload object
		sign            PrivateKey
		call            func(*DPoPCall)
		want            Fault // "" accepts
	}{
		"a sound proof":                       {header(nil), payload(nil), k, nil, ""},
		"the URL with query, capitals, port":  {header(nil), payload(object{"htu": "HTTPS://HUB.example.fr:443/editor/v1/keys?y=2#z"}), k, nil, ""},
		"type of a plain JWT":                 {header(object{"typ": "JWT"}), payload(nil), k, nil, ErrType},
		"alg none":                            {header(object{"alg": "none"}), payload(nil), k, nil, ErrAlgorithm},
		"HS256":                               {header(object{"alg": "HS256"}), payload(nil), k, nil, ErrAlgorithm},
		"RS256":                               {header(object{"alg": "RS256", "jwk": jwkOf(rsaKey)}), payload(nil), rsaKey, nil, ErrAlgorithm},
		"EdDSA with an EC key":                {header(object{"alg": "EdDSA"}), payload(nil), k, nil, ErrAlgorithm},
		"no key in the header":                {header(object{"jwk": nil}), payload(nil), k, nil, ErrKey},
		"a private key in the header":         {header(object{"jwk": json.RawMessage(private)}), payload(nil), k, nil, ErrPrivateKey},
		"signed by another key":               {header(nil), payload(nil), other, nil, ErrSignature},
		"a critical header":                   {header(object{"crit": []string{"x"}}), payload(nil), k, nil, ErrCritical},
		"another method":                      {header(nil), payload(object{"htm": "GET"}), k, nil, ErrDPoP},
		"the method in small letters":         {header(nil), payload(object{"htm": "post"}), k, nil, ErrDPoP},
		"another path":                        {header(nil), payload(object{"htu": "https://hub.example.fr/editor/v1/keys/"}), k, nil, ErrDPoP},
		"another host":                        {header(nil), payload(object{"htu": "https://hub.example.org/editor/v1/keys"}), k, nil, ErrDPoP},
		"another scheme":                      {header(nil), payload(object{"htu": "http://hub.example.fr/editor/v1/keys"}), k, nil, ErrDPoP},
		"a URL with a user":                   {header(nil), payload(object{"htu": "https://a@hub.example.fr/editor/v1/keys"}), k, nil, ErrDPoP},
		"a URL missing":                       {header(nil), payload(object{"htu": nil}), k, nil, ErrDPoP},
		"of another access token":             {header(nil), payload(object{"ath": "AAAA"}), k, nil, ErrDPoP},
		"without ath":                         {header(nil), payload(object{"ath": nil}), k, nil, ErrDPoP},
		"without ath at the token endpoint":   {header(nil), payload(object{"ath": nil}), k, func(c *DPoPCall) { c.AccessToken = "" }, ""},
		"60 s old":                            {header(nil), payload(object{"iat": now.Unix() - 60}), k, nil, ""},
		"61 s old":                            {header(nil), payload(object{"iat": now.Unix() - 61}), k, nil, ErrExpired},
		"61 s early":                          {header(nil), payload(object{"iat": now.Unix() + 61}), k, nil, ErrNotYetValid},
		"without time":                        {header(nil), payload(object{"iat": nil}), k, nil, ErrClaim},
		"without jti":                         {header(nil), payload(object{"jti": nil}), k, nil, ErrClaim},
		"a nonce asked and missing":           {header(nil), payload(nil), k, func(c *DPoPCall) { c.Nonce = "n1" }, ErrNonce},
		"another nonce":                       {header(nil), payload(object{"nonce": "n2"}), k, func(c *DPoPCall) { c.Nonce = "n1" }, ErrNonce},
		"the nonce asked":                     {header(nil), payload(object{"nonce": "n1"}), k, func(c *DPoPCall) { c.Nonce = "n1" }, ""},
		"a verifier that knows not its clock": {header(nil), payload(nil), k, func(c *DPoPCall) { c.Now = time.Time{} }, ErrConfig},
	} {
		t.Run(name, func(t *testing.T) {
			call := dpopCall
			if tt.call != nil {
				tt.call(&call)
			}
			got, err := VerifyDPoP(forge(t, tt.header, tt.payload, signWith(t, tt.sign)), call)
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantFault(t, err, tt.want)
			if got != (DPoPProof{}) {
				t.Error("a refused proof still gives its claims")
			}
		})
	}
}

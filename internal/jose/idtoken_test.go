package jose

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/partnertest/contracts"
)

const (
	clientID    = "5f1c0a9e7b6d4c3f8a2e1d0c9b8a7f6e5d4c3b2a1908f7e6d5c4b3a291807f6e"
	fcIssuer    = "https://fcp-low.sbx.dev-franceconnect.fr/api/v2"
	nonce       = "78377b525757b494427f89014f97d79928f3938d14eb51e20fb5dec9834eb304"
	accessToken = "sample-access-token-0001"
	fcKID       = "pkcs11:ES256:hsm"
)

func fcVerifier(k PrivateKey) Verifier {
	public := k.Public()
	public.kid = fcKID
	return Verifier{
		Issuer: fcIssuer, Audience: clientID, Algs: []Alg{ES256}, Keys: StaticKeys{public}, Skew: 5 * time.Second,
		Now: func() time.Time { return time.Unix(1791187810, 0) },
	}
}

func fcPayload(changes object) object {
	return overlay(object{
		"sub": "f6771d800967444e317c9b69e9646f1f7300f22bd6bab15f44d5dae0ecd5682ev1", "auth_time": 1791187796, "acr": "eidas1", "nonce": nonce,
		"at_hash": "1hgndFzfgRvlduiPodmrxg", "aud": clientID, "exp": 1791187860, "iat": 1791187800, "iss": fcIssuer,
	}, changes)
}

func TestIDTokens(t *testing.T) {
	k := mustKey(t, ES256)
	for name, tt := range map[string]struct {
		changes object
		want    Fault // "" accepts
	}{
		"the contract's sample":                  {nil, ""},
		"without at_hash":                        {object{"at_hash": nil}, ""},
		"at_hash of another access token":        {object{"at_hash": "AAAAdFzfgRvlduiPodmrxg"}, ErrAccessTokenHash},
		"another nonce":                          {object{"nonce": "0" + nonce[1:]}, ErrNonce},
		"nonce missing":                          {object{"nonce": nil}, ErrClaim},
		"a weaker level":                         {object{"acr": "eidas0"}, ErrACR},
		"level missing":                          {object{"acr": nil}, ErrACR},
		"a level above":                          {object{"acr": "eidas2"}, ""},
		"another client":                         {object{"aud": "other"}, ErrAudience},
		"two clients and we are the authorized":  {object{"aud": []string{clientID, "other"}, "azp": clientID}, ""},
		"two clients and nobody is authorized":   {object{"aud": []string{clientID, "other"}}, ErrAuthorizedParty},
		"two clients and the other is":           {object{"aud": []string{clientID, "other"}, "azp": "other"}, ErrAuthorizedParty},
		"one client and the other is authorized": {object{"azp": "other"}, ErrAuthorizedParty},
		"without sub":                            {object{"sub": nil}, ErrClaim},
		"without iat":                            {object{"iat": nil}, ErrClaim},
		"expired 5 s before the tolerance ends":  {object{"exp": 1791187805}, ErrExpired},
		"expired within the tolerance":           {object{"exp": 1791187806}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			token := forge(t, object{"alg": "ES256", "kid": fcKID}, fcPayload(tt.changes), signWith(t, k))
			got, err := fcVerifier(k).VerifyIDToken(t.Context(), token, IDTokenCheck{Nonce: nonce, AccessToken: accessToken, ACR: []string{"eidas1", "eidas2", "eidas3"}})
			if tt.want != "" {
				wantFault(t, err, tt.want)
				if got.Subject != "" {
					t.Error("a refused token still gives its claims")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.Subject == "" || got.KID != fcKID {
				t.Errorf("subject %q, key %q", got.Subject, got.KID)
			}
		})
	}
	_, err := fcVerifier(k).VerifyIDToken(t.Context(), "", IDTokenCheck{})
	wantFault(t, err, ErrConfig)
}

func TestAnAccessTokenOfTheSameIssuerIsNoIDToken(t *testing.T) {
	k := mustKey(t, ES256)
	token := forge(t, object{"alg": "ES256", "kid": fcKID, "typ": "at+jwt"}, fcPayload(nil), signWith(t, k))
	_, err := fcVerifier(k).VerifyIDToken(t.Context(), token, IDTokenCheck{Nonce: nonce, AccessToken: accessToken})
	wantFault(t, err, ErrType)
}

func TestASignedUserinfoIsVerifiedLikeAnyToken(t *testing.T) {
	k := mustKey(t, ES256)
	payload := fcPayload(object{"nonce": nil, "at_hash": nil, "acr": nil, "given_name_array": []string{"Élodie", "Marguerite"}})
	v := fcVerifier(k)
	v.Required = []string{"sub"}
	c, err := v.Verify(t.Context(), forge(t, object{"alg": "ES256", "kid": fcKID, "typ": "JWT"}, payload, signWith(t, k)))
	if err != nil {
		t.Fatal(err)
	}
	var identity struct {
		GivenNames []string `json:"given_name_array"`
	}
	if err := c.Decode(&identity); err != nil || len(identity.GivenNames) != 2 {
		t.Errorf("%v, %v", identity.GivenNames, err)
	}
	payload["aud"] = "other"
	_, err = v.Verify(t.Context(), forge(t, object{"alg": "ES256", "kid": fcKID}, payload, signWith(t, k)))
	wantFault(t, err, ErrAudience)
}

func TestTheHashOfTheAccessTokenFollowsTheAlgorithm(t *testing.T) {
	// The first value is OpenID Connect Core's own example, A.3.
	for alg, want := range map[Alg]string{RS256: "77QmUPtjPfzWtF2AnpK9RQ", ES256: "77QmUPtjPfzWtF2AnpK9RQ"} {
		if got := accessTokenHash(alg, "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"); got != want {
			t.Errorf("%s: %s", alg, got)
		}
	}
	if got := accessTokenHash(EdDSA, accessToken); len(got) != 43 {
		t.Errorf("EdDSA: %d characters, 43 are half of SHA-512", len(got))
	}
}

func TestTheOfficialSamplesOfFranceConnectAreBelieved(t *testing.T) {
	dir := contracts.Dir(t)
	k := mustKey(t, ES256)
	for _, sample := range []struct{ file, typ string }{{"id_token.json", ""}, {"userinfo.json", "JWT"}} {
		data, err := os.ReadFile(filepath.Join(dir, "franceconnect", sample.file))
		if err != nil {
			t.Fatal(err)
		}
		var payload object
		if err := json.Unmarshal(data, &payload); err != nil {
			t.Fatal(err)
		}
		header := overlay(object{"alg": "ES256", "kid": fcKID}, object{"typ": nil})
		if sample.typ != "" {
			header["typ"] = sample.typ
		}
		if _, err := fcVerifier(k).Verify(t.Context(), forge(t, header, payload, signWith(t, k))); err != nil {
			t.Errorf("%s: %v", sample.file, err)
		}
	}
}

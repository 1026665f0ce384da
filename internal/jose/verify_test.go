package jose

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAnAccessTokenOfTheHubIsBelieved(t *testing.T) {
	for _, alg := range []Alg{ES256, EdDSA} {
		t.Run(string(alg), func(t *testing.T) {
			k := mustKey(t, alg)
			want := AccessToken{
				ID: "0d3e1c40-66cb-4d54-9c44-5b53d1c1de5d", Issuer: issuer, Audience: audience, Subject: "dp-1234", ClientID: "dp-1234",
				Scopes: []string{"qf.read", "qf.children"}, IssuedAt: now, ExpiresAt: now.Add(time.Hour), Thumbprint: "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
			}
			token, err := k.SignAccessToken(want)
			if err != nil {
				t.Fatal(err)
			}
			got, err := accessVerifier(k).VerifyAccessToken(t.Context(), token)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhatASignedAccessTokenSaysOnTheWire(t *testing.T) {
	k := mustKey(t, ES256)
	token, err := k.SignAccessToken(AccessToken{
		ID: "id", Issuer: issuer, Audience: audience, Subject: "dp-1", ClientID: "dp-1", IssuedAt: now, ExpiresAt: now.Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := parseCompact(token, MaxToken)
	if err != nil {
		t.Fatal(err)
	}
	header := fmt.Sprint(textOf(t, parsed.header))
	if want := fmt.Sprint(map[string]string{"alg": `"ES256"`, "kid": `"` + k.KID() + `"`, "typ": `"at+jwt"`}); header != want {
		t.Errorf("header %s, want %s", header, want)
	}
	want := map[string]string{
		"iss": `"` + issuer + `"`, "aud": `"` + audience + `"`, "sub": `"dp-1"`, "client_id": `"dp-1"`, "scope": `""`, "jti": `"id"`,
		"iat": fmt.Sprint(now.Unix()), "exp": fmt.Sprint(now.Unix() + 3600),
	}
	if diff := cmp.Diff(want, textOf(t, parsed.payload)); diff != "" {
		t.Error(diff)
	}
}

func textOf(t *testing.T, m members) map[string]string {
	t.Helper()
	out := map[string]string{}
	for name, value := range m {
		out[name] = string(value)
	}
	return out
}

func TestAnIncompleteAccessTokenIsNotSigned(t *testing.T) {
	k := mustKey(t, EdDSA)
	good := AccessToken{ID: "id", Issuer: issuer, Audience: audience, Subject: "s", ClientID: "c", IssuedAt: now, ExpiresAt: now.Add(time.Hour)}
	if _, err := k.SignAccessToken(good); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*AccessToken){
		"no jti":                 func(a *AccessToken) { a.ID = "" },
		"no issuer":              func(a *AccessToken) { a.Issuer = "" },
		"no audience":            func(a *AccessToken) { a.Audience = "" },
		"no subject":             func(a *AccessToken) { a.Subject = "" },
		"no client":              func(a *AccessToken) { a.ClientID = "" },
		"no issue time":          func(a *AccessToken) { a.IssuedAt = time.Time{} },
		"no end":                 func(a *AccessToken) { a.ExpiresAt = time.Time{} },
		"an end before its time": func(a *AccessToken) { a.ExpiresAt = now.Add(-time.Second) },
		"a scope with a space":   func(a *AccessToken) { a.Scopes = []string{"a b"} },
		"an empty scope":         func(a *AccessToken) { a.Scopes = []string{""} },
	} {
		t.Run(name, func(t *testing.T) {
			bad := good
			spoil(&bad)
			_, err := k.SignAccessToken(bad)
			wantFault(t, err, ErrClaim)
		})
	}
	good.Scopes = []string{strings.Repeat("s", MaxToken)}
	_, err := k.SignAccessToken(good)
	wantFault(t, err, ErrTooLarge)
	_, err = PrivateKey{}.SignAccessToken(AccessToken{ID: "id", Issuer: issuer, Audience: audience, Subject: "s", ClientID: "c", IssuedAt: now, ExpiresAt: now.Add(1e9)})
	wantFault(t, err, ErrNoSigningKey)
}

// RFC 8725 and tokens.md, 7.5: every token here is soundly signed or forged with
// what an attacker holds; each is refused for its own reason.
func TestHostileAndUnfitTokensAreRefused(t *testing.T) {
	k, other := mustKey(t, ES256), mustKey(t, ES256)
	ed := mustKey(t, EdDSA)
	rsaKey := mustKey(t, RS256)
	publicJWK, err := k.Public().JWK()
	if err != nil {
		t.Fatal(err)
	}
	attackerJWK, err := other.Public().JWK()
	if err != nil {
		t.Fatal(err)
	}
	good := forge(t, goodHeader(k, nil), goodPayload(nil), signWith(t, k))
	parts := strings.Split(good, ".")
	none := func([]byte) []byte { return nil }

	tests := map[string]struct {
		token string
		want  Fault
	}{
		"alg none without signature":             {forge(t, goodHeader(k, object{"alg": "none"}), goodPayload(nil), none), ErrAlgorithm},
		"alg None in capitals":                   {forge(t, goodHeader(k, object{"alg": "NONE"}), goodPayload(nil), none), ErrAlgorithm},
		"alg missing":                            {forge(t, goodHeader(k, object{"alg": nil}), goodPayload(nil), signWith(t, k)), ErrAlgorithm},
		"alg not a string":                       {forge(t, goodHeader(k, object{"alg": []string{"ES256"}}), goodPayload(nil), signWith(t, k)), ErrMalformed},
		"HS256 with the public key as secret":    {forge(t, goodHeader(k, object{"alg": "HS256"}), goodPayload(nil), hs256(publicJWK)), ErrAlgorithm},
		"RS256 where it is not on the list":      {forge(t, goodHeader(rsaKey, nil), goodPayload(nil), signWith(t, rsaKey)), ErrAlgorithm},
		"the algorithm of another key":           {forge(t, goodHeader(k, object{"alg": "EdDSA"}), goodPayload(nil), signWith(t, ed)), ErrAlgorithm},
		"signed by a stranger under our key id":  {forge(t, goodHeader(k, nil), goodPayload(nil), signWith(t, other)), ErrSignature},
		"signed by the key in its own header":    {forge(t, goodHeader(other, object{"jwk": attackerJWK}), goodPayload(nil), signWith(t, other)), ErrUnknownKey},
		"our key id, the attacker's key inside":  {forge(t, goodHeader(k, object{"jwk": attackerJWK}), goodPayload(nil), signWith(t, other)), ErrSignature},
		"a key to be fetched from jku":           {forge(t, goodHeader(other, object{"jku": "https://attacker.example/jwks"}), goodPayload(nil), signWith(t, other)), ErrUnknownKey},
		"kid missing":                            {forge(t, goodHeader(k, object{"kid": nil}), goodPayload(nil), signWith(t, k)), ErrKeyIDMissing},
		"kid empty":                              {forge(t, goodHeader(k, object{"kid": ""}), goodPayload(nil), signWith(t, k)), ErrKeyIDMissing},
		"kid of nobody":                          {forge(t, goodHeader(k, object{"kid": "../../etc/passwd"}), goodPayload(nil), signWith(t, k)), ErrUnknownKey},
		"kid with a line break":                  {forge(t, goodHeader(k, object{"kid": "a\nb"}), goodPayload(nil), signWith(t, k)), ErrUnknownKey},
		"type of an ID token":                    {forge(t, goodHeader(k, object{"typ": "JWT"}), goodPayload(nil), signWith(t, k)), ErrType},
		"type missing":                           {forge(t, goodHeader(k, object{"typ": nil}), goodPayload(nil), signWith(t, k)), ErrType},
		"type of a DPoP proof":                   {forge(t, goodHeader(k, object{"typ": "dpop+jwt"}), goodPayload(nil), signWith(t, k)), ErrType},
		"unknown critical header":                {forge(t, goodHeader(k, object{"crit": []string{"exp"}, "exp": 1}), goodPayload(nil), signWith(t, k)), ErrCritical},
		"empty list of critical headers":         {forge(t, goodHeader(k, object{"crit": []string{}}), goodPayload(nil), signWith(t, k)), ErrCritical},
		"b64 announced":                          {forge(t, goodHeader(k, object{"b64": false, "crit": []string{"b64"}}), goodPayload(nil), signWith(t, k)), ErrCritical},
		"b64 not announced":                      {forge(t, goodHeader(k, object{"b64": false}), goodPayload(nil), signWith(t, k)), ErrCritical},
		"alg twice in the header":                {forge(t, `{"alg":"none","alg":"ES256","kid":"`+k.KID()+`","typ":"at+jwt"}`, goodPayload(nil), signWith(t, k)), ErrMalformed},
		"Alg beside alg counts for nothing":      {forge(t, `{"Alg":"ES256","alg":"none","kid":"`+k.KID()+`","typ":"at+jwt"}`, goodPayload(nil), signWith(t, k)), ErrAlgorithm},
		"exp twice in the payload":               {forge(t, goodHeader(k, nil), `{"exp":1,"exp":99999999999}`, signWith(t, k)), ErrMalformed},
		"EXP is not exp":                         {forge(t, goodHeader(k, nil), goodPayload(object{"exp": nil, "EXP": now.Unix() + 60}), signWith(t, k)), ErrClaim},
		"expired this second":                    {forge(t, goodHeader(k, nil), goodPayload(object{"exp": now.Unix()}), signWith(t, k)), ErrExpired},
		"without end":                            {forge(t, goodHeader(k, nil), goodPayload(object{"exp": nil}), signWith(t, k)), ErrClaim},
		"end as text":                            {forge(t, goodHeader(k, nil), goodPayload(object{"exp": fmt.Sprint(now.Unix() + 60)}), signWith(t, k)), ErrClaim},
		"end beyond the year 9999":               {forge(t, goodHeader(k, nil), goodPayload(object{"exp": 1e15}), signWith(t, k)), ErrClaim},
		"issued in the future":                   {forge(t, goodHeader(k, nil), goodPayload(object{"iat": now.Unix() + 1}), signWith(t, k)), ErrNotYetValid},
		"valid from the next second":             {forge(t, goodHeader(k, nil), goodPayload(object{"nbf": now.Unix() + 1}), signWith(t, k)), ErrNotYetValid},
		"another issuer":                         {forge(t, goodHeader(k, nil), goodPayload(object{"iss": issuer + "/"}), signWith(t, k)), ErrIssuer},
		"without issuer":                         {forge(t, goodHeader(k, nil), goodPayload(object{"iss": nil}), signWith(t, k)), ErrClaim},
		"another audience":                       {forge(t, goodHeader(k, nil), goodPayload(object{"aud": "https://other.example"}), signWith(t, k)), ErrAudience},
		"two audiences":                          {forge(t, goodHeader(k, nil), goodPayload(object{"aud": []string{audience, "https://other.example"}}), signWith(t, k)), ErrAudience},
		"no audience":                            {forge(t, goodHeader(k, nil), goodPayload(object{"aud": []string{}}), signWith(t, k)), ErrAudience},
		"audience of another type":               {forge(t, goodHeader(k, nil), goodPayload(object{"aud": []any{audience, 1}}), signWith(t, k)), ErrClaim},
		"audience null":                          {forge(t, goodHeader(k, nil), `{"iss":"`+issuer+`","aud":null,"exp":99999999999}`, signWith(t, k)), ErrClaim},
		"without jti":                            {forge(t, goodHeader(k, nil), goodPayload(object{"jti": nil}), signWith(t, k)), ErrClaim},
		"empty subject":                          {forge(t, goodHeader(k, nil), goodPayload(object{"sub": ""}), signWith(t, k)), ErrClaim},
		"without client_id":                      {forge(t, goodHeader(k, nil), goodPayload(object{"client_id": nil}), signWith(t, k)), ErrClaim},
		"without scope":                          {forge(t, goodHeader(k, nil), goodPayload(object{"scope": nil}), signWith(t, k)), ErrClaim},
		"bound to a key in a way not known":      {forge(t, goodHeader(k, nil), goodPayload(object{"cnf": object{"x5t#S256": "abc"}}), signWith(t, k)), ErrClaim},
		"a payload that is no object":            {forge(t, goodHeader(k, nil), `"text"`, signWith(t, k)), ErrMalformed},
		"a payload followed by another":          {forge(t, goodHeader(k, nil), `{}{}`, signWith(t, k)), ErrMalformed},
		"larger than 4 KiB":                      {forge(t, goodHeader(k, nil), goodPayload(object{"x": strings.Repeat("x", MaxToken)}), signWith(t, k)), ErrTooLarge},
		"nothing":                                {"", ErrMalformed},
		"two parts":                              {parts[0] + "." + parts[1], ErrMalformed},
		"five parts, as a JWE":                   {good + ".a.b", ErrMalformed},
		"empty signature":                        {parts[0] + "." + parts[1] + ".", ErrSignature},
		"JSON serialisation":                     {`{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`, ErrMalformed},
		"padding":                                {good + "=", ErrMalformed},
		"a line break inside":                    {parts[0] + "." + parts[1] + "\n." + parts[2], ErrMalformed},
		"space around":                           {" " + good, ErrMalformed},
		"one bit of the signature's last symbol": {good[:len(good)-1] + nextSymbol(good[len(good)-1]), ErrMalformed},
		"the payload of another token":           {parts[0] + "." + segment(t, goodPayload(object{"sub": "dp-9999"})) + "." + parts[2], ErrSignature},
		"a DER signature":                        {parts[0] + "." + parts[1] + "." + segment(t, "0E\x02 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\x02!\x00bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"), ErrSignature},
	}
	v := accessVerifier(k, ed, rsaKey)
	if _, err := v.VerifyAccessToken(t.Context(), good); err != nil {
		t.Fatalf("the token that all others differ from: %v", err)
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := v.VerifyAccessToken(t.Context(), tt.token)
			wantFault(t, err, tt.want)
			if diff := cmp.Diff(AccessToken{}, got); diff != "" {
				t.Error("a refused token still gives its claims")
			}
			var fault Fault
			if !errors.As(err, &fault) {
				t.Error("the error gives no label for a metric")
			}
			if strings.Contains(fmt.Sprint(err), "dp-1234") || strings.Contains(fmt.Sprint(err), k.KID()) {
				t.Errorf("the error shows the token: %v", err)
			}
		})
	}
}

// nextSymbol changes the two bits that no signature of 64 bytes uses.
func nextSymbol(c byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(alphabet[strings.IndexByte(alphabet, c)+1])
}

func TestClockSkewIsForgivenUpToItsBound(t *testing.T) {
	k := mustKey(t, EdDSA)
	v := accessVerifier(k)
	v.Skew = 5 * time.Second
	for name, tt := range map[string]struct {
		claims object
		want   Fault // "" accepts
	}{
		"expired 4 s ago":   {object{"exp": now.Unix() - 4}, ""},
		"expired 5 s ago":   {object{"exp": now.Unix() - 5}, ErrExpired},
		"issued in 5 s":     {object{"iat": now.Unix() + 5}, ""},
		"issued in 6 s":     {object{"iat": now.Unix() + 6}, ErrNotYetValid},
		"valid in 5 s":      {object{"nbf": now.Unix() + 5}, ""},
		"valid in 5.5 s":    {object{"nbf": float64(now.Unix()) + 5.5}, ErrNotYetValid},
		"a fraction of a s": {object{"exp": float64(now.Unix()) + 0.5}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := v.VerifyAccessToken(t.Context(), forge(t, goodHeader(k, nil), goodPayload(tt.claims), signWith(t, k)))
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantFault(t, err, tt.want)
		})
	}
}

func TestTypesOfTokensAreNotConfused(t *testing.T) {
	k := mustKey(t, EdDSA)
	plain := accessVerifier(k)
	access := plain
	access.Types = []string{AccessTokenType}
	for typ, want := range map[any]struct{ plain, access Fault }{
		nil:                  {"", ErrType},
		"JWT":                {"", ErrType},
		"jwt":                {"", ErrType},
		"at+jwt":             {ErrType, ""},
		"AT+JWT":             {ErrType, ""},
		"application/at+jwt": {ErrType, ""},
		"dpop+jwt":           {ErrType, ErrType},
	} {
		token := forge(t, goodHeader(k, object{"typ": typ}), goodPayload(nil), signWith(t, k))
		for _, c := range []struct {
			v    Verifier
			want Fault
		}{{plain, want.plain}, {access, want.access}} {
			_, err := c.v.Verify(t.Context(), token)
			if (c.want == "") != (err == nil) || (err != nil && !errors.Is(err, c.want)) {
				t.Errorf("type %v where %v are accepted: got %v, want %q", typ, c.v.Types, err, string(c.want))
			}
		}
	}
}

func TestATokenThatLivesTooLongIsRefusedWhereALimitIsSet(t *testing.T) {
	k := mustKey(t, ES256)
	v := accessVerifier(k)
	v.MaxLife = 5 * time.Minute
	_, err := v.VerifyAccessToken(t.Context(), forge(t, goodHeader(k, nil), goodPayload(object{"exp": now.Unix() + 300}), signWith(t, k)))
	if err != nil {
		t.Error(err)
	}
	_, err = v.VerifyAccessToken(t.Context(), forge(t, goodHeader(k, nil), goodPayload(object{"exp": now.Unix() + 301}), signWith(t, k)))
	wantFault(t, err, ErrLifetime)
}

func TestTheSizeLimitCanBeRaisedForOutsideIssuers(t *testing.T) {
	k := mustKey(t, ES256)
	v := accessVerifier(k)
	token := forge(t, goodHeader(k, nil), goodPayload(object{"x": strings.Repeat("x", MaxToken)}), signWith(t, k))
	v.MaxSize = 16 << 10
	if _, err := v.VerifyAccessToken(t.Context(), token); err != nil {
		t.Error(err)
	}
}

func TestAVerifierThatCouldNotBeSafeVerifiesNothing(t *testing.T) {
	k := mustKey(t, ES256)
	token := forge(t, goodHeader(k, object{"typ": nil}), goodPayload(nil), signWith(t, k))
	if _, err := accessVerifier(k).Verify(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Verifier){
		"no issuer":         func(v *Verifier) { v.Issuer = "" },
		"no audience":       func(v *Verifier) { v.Audience = "" },
		"no keys":           func(v *Verifier) { v.Keys = nil },
		"no algorithms":     func(v *Verifier) { v.Algs = nil },
		"none on the list":  func(v *Verifier) { v.Algs = []Alg{ES256, "none"} },
		"HS256 on the list": func(v *Verifier) { v.Algs = []Alg{"HS256"} },
		"61 s of skew":      func(v *Verifier) { v.Skew = 61 * time.Second },
		"negative skew":     func(v *Verifier) { v.Skew = -1 },
	} {
		t.Run(name, func(t *testing.T) {
			v := accessVerifier(k)
			spoil(&v)
			_, err := v.Verify(t.Context(), token)
			wantFault(t, err, ErrConfig)
		})
	}
}

func TestClaimsPrintNothing(t *testing.T) {
	k := mustKey(t, ES256)
	token := forge(t, goodHeader(k, object{"typ": nil}), goodPayload(object{"family_name": "FONTANEL"}), signWith(t, k))
	c, err := accessVerifier(k).Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	var person struct {
		FamilyName string `json:"family_name"`
	}
	if err := c.Decode(&person); err != nil || person.FamilyName != "FONTANEL" {
		t.Fatalf("decoded %q, %v", person.FamilyName, err)
	}
	if printed := fmt.Sprintf("%v %+v %#v %s", c, c, c, c); strings.Contains(printed, "FONTANEL") || strings.Contains(printed, "dp-1234") {
		t.Error(printed)
	}
	var wrong struct {
		FamilyName int `json:"family_name"`
	}
	if err := c.Decode(&wrong); err == nil || strings.Contains(err.Error(), "FONTANEL") {
		t.Errorf("decoding into another type: %v", err)
	}
}

func FuzzVerify(f *testing.F) {
	k, err := ParsePrivateKey([]byte(rfc8037Key)) // the same in each fuzzing process
	if err != nil {
		f.Fatal(err)
	}
	good := forge(f, goodHeader(k, nil), goodPayload(nil), signWith(f, k))
	f.Add(good)
	f.Add(forge(f, goodHeader(k, object{"alg": "none"}), goodPayload(nil), func([]byte) []byte { return nil }))
	f.Add("..")
	v := accessVerifier(k)
	f.Fuzz(func(t *testing.T, token string) {
		_, err := v.VerifyAccessToken(t.Context(), token)
		var fault Fault
		if err == nil && token != good {
			t.Fatalf("believed %q", token)
		}
		if err != nil && !errors.As(err, &fault) {
			t.Fatalf("unexpected error %v", err)
		}
	})
}

package franceconnecttest

import (
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"

	"github.com/passerelle-hub/passerelle/connectors/partnertest/contracts"
	"github.com/passerelle-hub/passerelle/internal/jose"
)

func sample(t *testing.T, name string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestTestdataIsTheContracts(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(contracts.Dir(t), "franceconnect")
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal(err, len(files))
	}
	for _, file := range files {
		want, err := os.ReadFile(filepath.Join(dir, filepath.Base(file)))
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if string(want) != string(got) {
			t.Errorf("%s is not the contract's", file)
		}
	}
}

func TestFS1DiscoveryIsTheRecordedDocument(t *testing.T) {
	t.Parallel()
	b := start(t)
	want := sample(t, "openid-configuration.json")
	theirs := str(want["issuer"])
	for name, value := range want {
		if text := str(value); strings.HasPrefix(text, theirs) {
			want[name] = b.Issuer() + strings.TrimPrefix(text, theirs)
		}
	}
	got := b.do("GET", basePath+"/.well-known/openid-configuration", nil).want(200).json()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-recorded +ours)\n%s", diff)
	}
}

// A client library that nobody here wrote finds its way from discovery to the
// verified identity.
func TestFS1AnOpenIDLibraryLogsACitizenIn(t *testing.T) {
	t.Parallel()
	b := start(t)
	ctx := oidc.ClientContext(t.Context(), b.client)
	provider, err := oidc.NewProvider(ctx, b.Issuer())
	if err != nil {
		t.Fatal(err)
	}
	endpoint := provider.Endpoint()
	endpoint.AuthStyle = oauth2.AuthStyleInParams
	config := oauth2.Config{
		ClientID: clientID, ClientSecret: secret, RedirectURL: callback, Endpoint: endpoint,
		Scopes: []string{"openid", "identite_pivot", "cnaf_quotient_familial"},
	}
	address, err := url.Parse(config.AuthCodeURL(sentState, oidc.Nonce(nonce), oauth2.SetAuthURLParam("acr_values", "eidas1")))
	if err != nil {
		t.Fatal(err)
	}
	choice := b.do("GET", b.do("GET", address.String(), nil).want(303).Location.String(), nil).want(200)
	chosen := b.submit(choice, url.Values{"citizen": {"sissoko"}}).want(303)
	back := b.submit(b.do("GET", chosen.Location.String(), nil).want(200), url.Values{"action": {"continue"}}).want(303).Location.Query()
	if back.Get("state") != sentState || back.Get("iss") != b.Issuer() {
		t.Errorf("%v", back)
	}
	token, err := config.Exchange(ctx, back.Get("code"))
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := provider.Verifier(&oidc.Config{ClientID: clientID, SupportedSigningAlgs: []string{"ES256"}, Now: b.Now}).Verify(ctx, raw)
	if err != nil {
		t.Fatal(err)
	}
	if id.Nonce != nonce || id.VerifyAccessToken(token.AccessToken) != nil {
		t.Errorf("nonce %q", id.Nonce)
	}
	info, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		t.Fatal(err)
	}
	if info.Subject != id.Subject {
		t.Errorf("%s and %s", info.Subject, id.Subject)
	}
	var claims map[string]any
	if err := info.Claims(&claims); err != nil {
		t.Fatal(err)
	}
	// Born abroad in a year alone: the place is empty and the date completed.
	if claims["birthplace"] != "" || claims["birthdate"] != "1990-01-01" || claims["family_name"] != "SISSOKO" {
		t.Errorf("%v", claims)
	}
	// POST is taken by authorize, revocation ends the token.
	b.do("POST", basePath+"/authorize", asked()).want(303)
	b.do("POST", basePath+"/token/revocation", url.Values{
		"client_id": {clientID}, "client_secret": {secret}, "token": {token.AccessToken},
	}).want(200)
	b.info(token.AccessToken).want(401)
}

func TestFS2WhateverIsNotInTheListIsRefusedOnThePage(t *testing.T) {
	t.Parallel()
	b := start(t)
	cases := map[string]struct {
		change func(url.Values)
		code   string // "" for good
	}{
		"as documented":                   {func(url.Values) {}, ""},
		"state of 22 characters":          {set("state", strings.Repeat("s", 22)), ""},
		"state of 21 characters":          {set("state", strings.Repeat("s", 21)), codeParameter},
		"nonce of 21 characters":          {set("nonce", strings.Repeat("n", 21)), codeParameter},
		"no nonce":                        {func(v url.Values) { v.Del("nonce") }, codeParameter},
		"no acr_values":                   {func(v url.Values) { v.Del("acr_values") }, codeParameter},
		"acr_values of another platform":  {set("acr_values", "eidas2"), codeParameter},
		"no scope openid":                 {set("scope", "identite_pivot"), codeParameter},
		"response_type token":             {set("response_type", "token"), codeParameter},
		"PKCE":                            {set("code_challenge", "x"), codeParameter},
		"PKCE's method":                   {set("code_challenge_method", "S256"), codeParameter},
		"max_age":                         {set("max_age", "60"), codeParameter},
		"login_hint":                      {set("login_hint", "a"), codeParameter},
		"id_token_hint":                   {set("id_token_hint", "a"), codeParameter},
		"response_mode":                   {set("response_mode", "query"), codeParameter},
		"display":                         {set("display", "page"), codeParameter},
		"request":                         {set("request", "e30"), codeParameter},
		"a tracking parameter":            {set("utm_source", "mail"), codeParameter},
		"a parameter that is there twice": {func(v url.Values) { v.Add("scope", "openid") }, codeParameter},
		"prompt=none":                     {set("prompt", "none"), codeParameter},
		"prompt=login":                    {set("prompt", "login"), ""},
		"prompt=login consent":            {set("prompt", "login consent"), ""},
		"claims":                          {set("claims", `{"id_token":{"amr":{"essential":true}}}`), ""},
		"claims that are no JSON":         {set("claims", "amr"), codeParameter},
		"idp_hint of the list":            {set("idp_hint", identityProvider), ""},
		"idp_hint of nobody":              {set("idp_hint", "dgfip"), codeParameter},
		"ui_locales":                      {set("ui_locales", "fr"), ""},
		"an unknown client":               {set("client_id", "inconnu"), codeUnknownClient},
		"a URI that is not declared":      {set("redirect_uri", callback+"/"), codeRedirectURI},
		"a URI with a parameter of ours":  {set("redirect_uri", callback+"?commune=04107"), codeRedirectURI},
		"no redirect_uri":                 {func(v url.Values) { v.Del("redirect_uri") }, codeParameter},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := b.other().authorize(asked(c.change))
			p.t = t
			if c.code == "" {
				p.want(303)
				return
			}
			p.want(400)
			if !strings.Contains(p.Text, "<dd>"+c.code+"</dd>") || !strings.HasPrefix(p.Header.Get("Content-Type"), "text/html") || p.Location != nil {
				t.Errorf("want %s: %s", c.code, p.Text)
			}
		})
	}
	for _, wanted := range []string{"openid address", "openid dgfip_rfr"} {
		back := b.authorize(asked(set("scope", wanted))).want(303).Location.Query()
		if back.Get("error") != "invalid_scope" || back.Get("state") != sentState || back.Get("iss") != b.Issuer() {
			t.Errorf("%s: %v", wanted, back)
		}
	}
}

func TestFS3ACodeIsUsedOnceWithinThirtySeconds(t *testing.T) {
	t.Parallel()
	b := start(t)
	refused := func(p page, code string) {
		t.Helper()
		answer := p.want(400).json()
		if answer["error"] != "invalid_grant" || !regexp.MustCompile(`/fs-technique-erreurs/\?code=`+code+`&id=[0-9a-f]+$`).MatchString(str(answer["error_uri"])) {
			t.Errorf("want %s: %s", code, p.Text)
		}
	}
	code := b.login("fontanel").Query().Get("code")
	refused(b.token(exchange("inconnu")), codeUnknownGrant)
	refused(b.token(exchange(code, set("redirect_uri", "http://localhost:8080/callback"))), codeOtherRedirect)
	b.Advance(CodeLife - time.Second)
	first := b.token(exchange(code)).want(200).json()
	b.info(first["access_token"]).want(200)
	refused(b.token(exchange(code)), codeUsedGrant)
	b.info(first["access_token"]).want(401) // the reuse kills what the first use gave
	late := b.other().login("fontanel").Query().Get("code")
	b.Advance(CodeLife)
	refused(b.token(exchange(late)), codeExpiredGrant)
	refused(b.token(exchange(late)), codeExpiredGrant)
	if err := b.AddClient(Client{ID: "autre", Secrets: []string{strings.Repeat("x", 32)}, RedirectURIs: []string{callback}}); err != nil {
		t.Fatal(err)
	}
	stolen := b.other().login("fontanel").Query().Get("code")
	refused(b.token(exchange(stolen, set("client_id", "autre"), set("client_secret", strings.Repeat("x", 32)))), codeUnknownGrant)
	if p := b.token(exchange(stolen, set("grant_type", "password"))).want(400); p.json()["error"] != "unsupported_grant_type" {
		t.Errorf("%s", p.Text)
	}
	if p := b.token(exchange("")).want(400); p.json()["error"] != "invalid_request" {
		t.Errorf("%s", p.Text)
	}
}

func TestFS4TheClientProvesItselfInTheFormOnly(t *testing.T) {
	t.Parallel()
	b := start(t)
	code := b.login("fontanel").Query().Get("code")
	refused := func(p page) {
		t.Helper()
		if answer := p.want(401).json(); answer["error"] != "invalid_client" || !strings.Contains(str(answer["error_uri"]), codeWrongSecret) {
			t.Errorf("%s", p.Text)
		}
	}
	refused(b.do("POST", basePath+"/token", exchange(code, func(v url.Values) { v.Del("client_id"); v.Del("client_secret") }),
		"Authorization", "Basic "+basic(clientID, secret)))
	refused(b.token(exchange(code, set("client_secret", "faux"))))
	refused(b.token(exchange(code, set("client_id", "inconnu"))))
	// Two secrets while one replaces the other.
	if err := b.AddClient(Client{ID: clientID, Name: "P", Secrets: []string{secret, strings.Repeat("n", 32)}, RedirectURIs: []string{callback}}); err != nil {
		t.Fatal(err)
	}
	b.token(exchange(code, set("client_secret", strings.Repeat("n", 32)))).want(200)

	key, err := jose.GenerateKey(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.Public().JWK()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.AddClient(Client{ID: clientID, Name: "P", Secrets: []string{secret}, RedirectURIs: []string{callback}, PublicJWK: string(public)}); err != nil {
		t.Fatal(err)
	}
	code = b.other().login("fontanel").Query().Get("code")
	refused(b.token(exchange(code)))
	assertion, err := key.Sign("", map[string]any{
		"iss": clientID, "sub": clientID, "aud": b.Issuer(), "jti": "a", "exp": b.Now().Add(time.Minute).Unix(), "iat": b.Now().Unix(),
	})
	if err != nil {
		t.Fatal(err)
	}
	b.token(exchange(code, set("client_assertion_type", assertionType), set("client_assertion", assertion))).want(200)
}

func TestFS5AnAccessTokenLivesSixtySeconds(t *testing.T) {
	t.Parallel()
	b := start(t)
	answer := b.tokens("fontanel")
	want := sample(t, "token-response.json")
	for name, value := range want {
		if name != "access_token" && name != "id_token" && answer[name] != value {
			t.Errorf("%s: %v, want %v", name, answer[name], value)
		}
	}
	token := answer["access_token"]
	if strings.Contains(str(token), ".") || len(answer) != len(want) {
		t.Errorf("%v", answer)
	}
	if about := b.check(token); about["active"] != true {
		t.Errorf("%v", about)
	}
	b.Advance(TokenLife - time.Second)
	b.info(token).want(200)
	b.Advance(time.Second)
	dead := b.info(token).want(401)
	if dead.json()["error"] != "invalid_token" || !strings.Contains(dead.Header.Get("WWW-Authenticate"), "invalid_token") {
		t.Errorf("%s", dead.Text)
	}
	if diff := cmp.Diff(map[string]any{"active": false}, b.check(token)); diff != "" {
		t.Error(diff)
	}
}

func TestFS6TokensAndUserinfoAreSignedAndTheirSubjectIsPairwise(t *testing.T) {
	t.Parallel()
	b := start(t)
	answer := b.tokens("fontanel")
	id, err := b.verifier(clientID).VerifyIDToken(t.Context(), str(answer["id_token"]), jose.IDTokenCheck{
		Nonce: nonce, AccessToken: str(answer["access_token"]), ACR: []string{"eidas1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if id.AccessTokenHash == "" || !regexp.MustCompile(`^[0-9a-f]{64}v1$`).MatchString(id.Subject) {
		t.Errorf("%s %s", id.AccessTokenHash, id.Subject)
	}
	shape := func(sampleName string, got map[string]any, volatile ...string) {
		t.Helper()
		want := sample(t, sampleName)
		for _, name := range append(volatile, "sub", "iss", "iat", "exp") {
			if _, ok := got[name]; !ok {
				t.Errorf("%s is missing", name)
			}
			delete(want, name)
			delete(got, name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-sample +ours):\n%s", sampleName, diff)
		}
	}
	shape("id_token.json", payload(t, str(answer["id_token"])), "at_hash", "auth_time")
	info := b.info(answer["access_token"]).want(200)
	if !strings.HasPrefix(info.Header.Get("Content-Type"), "application/jwt") {
		t.Errorf("%v", info.Header)
	}
	if claims, err := b.verifier(clientID).Verify(t.Context(), info.Text); err != nil || claims.Subject != id.Subject {
		t.Errorf("%v %s", err, claims.Subject)
	}
	shape("userinfo.json", payload(t, info.Text))

	// API Particulier sees another subject, only the scopes it knows, and the identity.
	about := b.check(answer["access_token"])
	if about["sub"] == id.Subject || about["aud"] != clientID || about["family_name"] != "FONTANEL" ||
		about["scope"] != "openid identite_pivot cnaf_quotient_familial cnaf_allocataires cnaf_enfants" {
		t.Errorf("%v", about)
	}
	bare := b.other().tokens("fontanel", set("scope", "openid email cnaf_quotient_familial"))
	if about := b.check(bare["access_token"]); about["family_name"] != nil || about["scope"] != "openid cnaf_quotient_familial" {
		t.Errorf("%v", about)
	}
	// A corrected civil status is another subject.
	corrected := b.Citizens()[0]
	corrected.FamilyName = "FONTANELLE"
	if err := b.SetCitizen(corrected); err != nil {
		t.Fatal(err)
	}
	if again := b.other().tokens("fontanel"); payload(t, str(again["id_token"]))["sub"] == id.Subject {
		t.Error("the subject did not change")
	}
}

func TestEachScopeGivesItsClaims(t *testing.T) {
	t.Parallel()
	b := start(t)
	for wanted, claims := range map[string][]string{
		"openid":                                {},
		"openid profile":                        {"given_name", "given_name_array", "family_name", "birthdate", "gender", "preferred_username"},
		"openid birth":                          {"birthplace", "birthcountry"},
		"openid email gender":                   {"email", "gender"},
		"openid given_name":                     {"given_name", "given_name_array"},
		"openid idp_birthdate amr idp_id":       {"idp_birthdate", "amr", "idp_id"},
		"openid cnaf_adresse cnaf_allocataires": {},
	} {
		answer := b.other().tokens("fontanel", set("scope", wanted))
		got := sortedKeys(payload(t, b.info(answer["access_token"]).want(200).Text))
		want := append(slices.Clone(claims), "sub", "iss", "aud", "exp", "iat")
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s:\n%s", wanted, diff)
		}
	}
	with := b.other().tokens("fontanel", set("claims", `{"id_token":{"amr":{"essential":true}}}`))
	if payload(t, str(with["id_token"]))["amr"] == nil {
		t.Error("amr was asked for")
	}
}

func TestTheAnswerToADataProviderIsEncryptedForItsKey(t *testing.T) {
	t.Parallel()
	b := start(t)
	key, err := jose.GenerateDecryptionKey(jose.P256)
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.Recipient().JWK()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.AddDataProvider(DataProvider{ID: "fd", Secret: "secret-du-fd", EncryptionJWK: string(public)}); err != nil {
		t.Fatal(err)
	}
	answer := b.do("POST", basePath+"/checktoken", url.Values{
		"client_id": {"fd"}, "client_secret": {"secret-du-fd"}, "token": {str(b.tokens("garrigue")["access_token"])},
	}).want(200)
	inner, err := key.Decrypt(answer.Text)
	if err != nil {
		t.Fatal(err)
	}
	about, _ := b.verified(string(inner), "fd", "token-introspection+jwt")["token_introspection"].(map[string]any)
	if about["active"] != true || about["family_name"] != "GARRIGUE" {
		t.Errorf("%v", about)
	}
	b.do("POST", basePath+"/checktoken", url.Values{"client_id": {"fd"}, "client_secret": {"faux"}}).want(401)
}

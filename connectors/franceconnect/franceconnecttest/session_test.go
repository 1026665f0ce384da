package franceconnecttest

import (
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/passerelle-hub/passerelle/internal/jose"
)

func basic(id, secret string) string {
	return base64.StdEncoding.EncodeToString([]byte(id + ":" + secret))
}

func TestFS7KeysRotateOnCommand(t *testing.T) {
	t.Parallel()
	b := start(t)
	old := str(b.tokens("fontanel")["id_token"])
	verify := func(token string) error {
		_, err := b.verifier(clientID).Verify(t.Context(), token)
		return err
	}
	kid, err := b.RotateKey(true, 30*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	fresh := str(b.other().tokens("fontanel")["id_token"])
	if err := verify(fresh); !errors.Is(err, jose.ErrUnknownKey) {
		t.Errorf("the key set is stale: %v", err)
	}
	if err := verify(old); err != nil {
		t.Errorf("the old key is still there: %v", err)
	}
	b.Advance(30 * time.Second)
	if err := verify(fresh); err != nil {
		t.Errorf("the key set has caught up: %v", err)
	}
	if keys := b.published(); len(keys) != 2 || keys[1].KID() != kid {
		t.Errorf("%d keys", len(keys))
	}
	if _, err := b.RotateKey(false, 0); err != nil {
		t.Fatal(err)
	}
	if err := verify(fresh); !errors.Is(err, jose.ErrUnknownKey) {
		t.Errorf("the old keys were dropped: %v", err)
	}
}

func TestFS8TheConsentPageListsTheDataAndCanBeLeft(t *testing.T) {
	t.Parallel()
	b := start(t)
	choice := b.do("GET", b.authorize(asked()).want(303).Location.String(), nil).want(200)
	missing := b.submit(choice, url.Values{"action": {"choose"}}).want(422)
	if !strings.Contains(missing.Text, `role="alert"`) {
		t.Errorf("%s", missing.Text)
	}
	chosen := b.submit(choice, url.Values{"citizen": {"fontanel"}, "action": {"choose"}}).want(303)
	consent := b.do("GET", chosen.Location.String(), nil).want(200)
	for _, text := range []string{"Élodie Marguerite FONTANEL", "Votre quotient familial (CAF ou MSA)", "Les enfants de votre dossier", ">Continuer<", ">Revenir<"} {
		if !strings.Contains(consent.Text, text) {
			t.Errorf("%q is not on the page", text)
		}
	}
	if strings.Contains(consent.Text, "Votre adresse") {
		t.Error("a scope that was not asked for is on the page")
	}
	want := url.Values{"error": {"access_denied"}, "error_description": {"User auth aborted"}, "state": {sentState}, "iss": {b.Issuer()}}
	for name, left := range map[string]page{
		"at the consent": b.submit(consent, url.Values{"action": {"cancel"}}),
		"at the choice": func() page {
			o := b.other()
			return o.submit(o.do("GET", o.authorize(asked()).Location.String(), nil), url.Values{"action": {"cancel"}})
		}(),
	} {
		back := left.want(303).Location
		if back.Query().Encode() != want.Encode() || !strings.HasPrefix(back.String(), callback+"?") {
			t.Errorf("%s: %v", name, back)
		}
	}
	b.submit(consent, url.Values{"action": {"continue"}}).want(400) // that stay is over
	late := b.other()
	waiting := late.do("GET", late.authorize(asked()).Location.String(), nil).want(200)
	b.Advance(InteractionLife)
	late.submit(waiting, url.Values{"citizen": {"fontanel"}}).want(400)
}

func TestFS9BadAnswersAreGivenOnDemandAndRefused(t *testing.T) {
	t.Parallel()
	b := start(t)
	// how a careful client sees the token or userinfo
	see := func(bad Bad) error {
		t.Helper()
		answer := b.other().tokens("fontanel")
		if bad.Where == InIDToken {
			_, err := b.verifier(clientID).VerifyIDToken(t.Context(), str(answer["id_token"]), jose.IDTokenCheck{
				Nonce: nonce, AccessToken: str(answer["access_token"]), ACR: []string{"eidas1"},
			})
			return err
		}
		_, err := b.verifier(clientID).Verify(t.Context(), b.info(answer["access_token"]).want(200).Text)
		return err
	}
	for bad, want := range map[Bad]error{
		{WrongNonce, InIDToken, 1}:    jose.ErrNonce,
		{WrongAudience, InIDToken, 1}: jose.ErrAudience, {WrongAudience, InUserinfo, 1}: jose.ErrAudience,
		{WrongIssuer, InIDToken, 1}: jose.ErrIssuer, {WrongIssuer, InUserinfo, 1}: jose.ErrIssuer,
		{AlgHS256, InIDToken, 1}: jose.ErrAlgorithm, {AlgHS256, InUserinfo, 1}: jose.ErrAlgorithm,
		{UnknownKID, InIDToken, 1}: jose.ErrUnknownKey, {UnknownKID, InUserinfo, 1}: jose.ErrUnknownKey,
		{WrongSignature, InIDToken, 1}: jose.ErrSignature, {WrongSignature, InUserinfo, 1}: jose.ErrSignature,
		{Expired, InIDToken, 1}: jose.ErrExpired, {Expired, InUserinfo, 1}: jose.ErrExpired,
		{LowACR, InIDToken, 1}: jose.ErrACR, {WrongHash, InIDToken, 1}: jose.ErrAccessTokenHash,
	} {
		if err := b.Misbehave(bad); err != nil {
			t.Fatal(err)
		}
		if err := see(bad); !errors.Is(err, want) {
			t.Errorf("%+v: %v, want %v", bad, err, want)
		}
		if err := see(bad); err != nil {
			t.Errorf("%+v once only: %v", bad, err)
		}
	}
	for _, where := range []Place{InIDToken, InUserinfo} {
		if err := b.Misbehave(Bad{AlgNone, where, 1}); err != nil {
			t.Fatal(err)
		}
		if err := see(Bad{AlgNone, where, 1}); err == nil {
			t.Errorf("alg none is believed in %s", where)
		}
	}
	info := func(what Misbehaviour) (page, map[string]any) {
		t.Helper()
		if err := b.Misbehave(Bad{What: what, Times: 1}); err != nil {
			t.Fatal(err)
		}
		answer := b.other().tokens("fontanel")
		p := b.info(answer["access_token"]).want(200)
		if what == PlainJSON {
			return p, p.json()
		}
		return p, payload(t, p.Text)
	}
	if _, claims := info(OtherSubject); claims["sub"] == b.Citizens()[0].subject(clientID) {
		t.Error("the subject is the same")
	}
	if p, claims := info(PlainJSON); p.Header.Get("Content-Type") != "application/json" || claims["family_name"] != "FONTANEL" {
		t.Errorf("%v %v", p.Header, claims)
	}
	if _, claims := info(NoBirthplace); claims["birthplace"] != nil {
		t.Errorf("%v", claims)
	}
	if _, claims := info(NoFamilyName); claims["family_name"] != nil {
		t.Errorf("%v", claims)
	}
	for what, check := range map[Misbehaviour]func(url.Values) bool{
		CallbackNoIss:   func(v url.Values) bool { return !v.Has("iss") && v.Has("code") },
		CallbackIss:     func(v url.Values) bool { return v.Get("iss") != b.Issuer() && v.Has("code") },
		CallbackState:   func(v url.Values) bool { return v.Get("state") != sentState && v.Has("code") },
		CallbackServer:  func(v url.Values) bool { return v.Get("error") == "server_error" && !v.Has("code") },
		CallbackUnready: func(v url.Values) bool { return v.Get("error") == "temporarily_unavailable" && !v.Has("code") },
	} {
		if err := b.Misbehave(Bad{What: what, Times: 1}); err != nil {
			t.Fatal(err)
		}
		if back := b.other().login("fontanel").Query(); !check(back) {
			t.Errorf("%s: %v", what, back)
		}
	}
	for _, bad := range []Bad{{What: "autre"}, {What: WrongNonce, Where: InUserinfo}} {
		if b.Misbehave(bad) == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}

func TestFS10ThePeopleCoverTheCases(t *testing.T) {
	t.Parallel()
	b := start(t)
	people := b.Citizens()
	has := func(what string, is func(Citizen) bool) {
		t.Helper()
		for _, c := range people {
			if is(c) {
				return
			}
		}
		t.Errorf("nobody: %s", what)
	}
	if len(people) < 12 {
		t.Errorf("%d people", len(people))
	}
	has("compound given name", func(c Citizen) bool { return strings.Contains(strings.Join(c.GivenNames, ""), "-") })
	has("apostrophe and hyphen", func(c Citizen) bool {
		return strings.Contains(c.FamilyName, "'") && strings.Contains(c.FamilyName, "-")
	})
	has("space in a name", func(c Citizen) bool { return strings.Contains(c.FamilyName, " ") })
	has("born abroad", func(c Citizen) bool { return c.Birthplace == "" && c.Birthcountry != "99100" })
	has("presumed date", func(c Citizen) bool { return len(c.Birthdate) < 10 })
	has("one given name", func(c Citizen) bool { return len(c.GivenNames) == 1 })
	has("three given names", func(c Citizen) bool { return len(c.GivenNames) == 3 })
	has("man", func(c Citizen) bool { return c.Gender == "male" })
	has("woman", func(c Citizen) bool { return c.Gender == "female" })
	has("œ", func(c Citizen) bool { return strings.Contains(c.FamilyName, "Œ") })
	has("born in Corsica", func(c Citizen) bool { return strings.HasPrefix(c.Birthplace, "2A") })
}

func TestFS11ASessionSkipsTheChoiceAndEndsByLogout(t *testing.T) {
	t.Parallel()
	b := start(t)
	id := str(b.tokens("fontanel")["id_token"])
	again := b.do("GET", b.authorize(asked()).want(303).Location.String(), nil).want(200)
	if !strings.Contains(again.Text, ">Continuer<") || strings.Contains(again.Text, `type="radio"`) {
		t.Errorf("no silent login, and no second choice: %s", again.Text)
	}
	if back := b.submit(again, url.Values{"action": {"continue"}}).want(303).Location; !back.Query().Has("code") {
		t.Errorf("%v", back)
	}
	end := func(o *browser, change ...func(url.Values)) page {
		values := url.Values{"id_token_hint": {id}, "state": {"etat"}, "post_logout_redirect_uri": {loggedOut}}
		for _, one := range change {
			one(values)
		}
		return o.do("GET", basePath+"/session/end?"+values.Encode(), nil)
	}
	shows := func(p page, code string) {
		t.Helper()
		if p.want(400); !strings.Contains(p.Text, "<dd>"+code+"</dd>") {
			t.Errorf("want %s: %s", code, p.Text)
		}
	}
	shows(end(b, set("post_logout_redirect_uri", callback)), codeLogoutRedirect)
	shows(end(b, set("id_token_hint", id+"x")), codeParameter)
	shows(end(b, func(v url.Values) { v.Del("id_token_hint") }), codeParameter)
	shows(end(b, set("nonce", nonce)), codeParameter)
	shows(end(b.other()), codeNoSession)
	b.Advance(10 * time.Minute) // the id_token has expired, the session has not
	if back := end(b).want(303).Location; back.String() != loggedOut+"?state=etat" {
		t.Errorf("%v", back)
	}
	shows(end(b), codeNoSession)
	fresh := b.do("GET", b.authorize(asked()).want(303).Location.String(), nil).want(200)
	if !strings.Contains(fresh.Text, `type="radio"`) {
		t.Error("after a logout the choice comes again")
	}
	b.tokens("garrigue")
	b.Advance(SessionLife)
	if late := b.do("GET", b.authorize(asked()).want(303).Location.String(), nil).want(200); !strings.Contains(late.Text, `type="radio"`) {
		t.Error("after 30 minutes the choice comes again")
	}
	// A key that was dropped still vouches for a hint.
	id = str(b.other().tokens("fontanel")["id_token"])
	if _, err := b.RotateKey(false, 0); err != nil {
		t.Fatal(err)
	}
	b.login("fontanel")
	end(b).want(303)
}

func TestFS12EveryPageSaysSimulatorAndNoRealIssuerIsTaken(t *testing.T) {
	t.Parallel()
	b := start(t)
	choice := b.do("GET", b.authorize(asked()).Location.String(), nil)
	pages := map[string]page{
		"home":   b.do("GET", "/", nil).want(200),
		"choice": choice.want(200),
		"error":  b.authorize(asked(set("nonce", "x"))).want(400),
		"404":    b.do("GET", "/rien", nil).want(404),
		"consent": b.do("GET", b.submit(choice, url.Values{"citizen": {"dornano"}}).Location.String(), nil).
			want(200),
	}
	for name, p := range pages {
		if !strings.Contains(p.Text, "<strong>Simulateur.</strong> Ce n’est pas FranceConnect") {
			t.Errorf("%s does not say it", name)
		}
		accessible(t, name, p.Text)
	}
	for _, issuer := range []string{
		"https://oidc.franceconnect.gouv.fr/api/v2", "https://auth.franceconnect.gouv.fr/api/v2", "https://OIDC.FranceConnect.gouv.fr/api/v2/",
		"https://fcp-low.sbx.dev-franceconnect.fr/api/v2", "pas une adresse",
	} {
		if s, err := Start(Options{Issuer: issuer}); err == nil {
			_ = s.Close()
			t.Errorf("%s is taken", issuer)
		}
	}
	s, err := Start(Options{Issuer: "https://fc.essai.example/api/v2"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if s.Issuer() != "https://fc.essai.example/api/v2" {
		t.Error(s.Issuer())
	}
}

// accessible checks what a page needs whoever reads it: a language, a title, one
// h1, a label for each field, a legend for each group, nothing that runs.
func accessible(t *testing.T, name, text string) {
	t.Helper()
	decoder := xml.NewDecoder(strings.NewReader(text))
	decoder.Strict, decoder.AutoClose, decoder.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	count, labels := map[string]int{}, map[string]bool{}
	var fields []string
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		element, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		attribute := func(key string) string {
			for _, a := range element.Attr {
				if a.Name.Local == key {
					return a.Value
				}
			}
			return ""
		}
		count[element.Name.Local]++
		switch element.Name.Local {
		case "html":
			if attribute("lang") != "fr" {
				t.Errorf("%s: lang", name)
			}
		case "label":
			labels[attribute("for")] = true
		case "input":
			fields = append(fields, attribute("id"))
		case "script":
			t.Errorf("%s: a script", name)
		}
	}
	for _, field := range fields {
		if !labels[field] {
			t.Errorf("%s: field %q has no label", name, field)
		}
	}
	if count["h1"] != 1 || count["main"] != 1 || count["title"] != 1 || count["fieldset"] != count["legend"] {
		t.Errorf("%s: %v", name, count)
	}
}

func TestALoginMayPassWithoutPages(t *testing.T) {
	t.Parallel()
	b := start(t)
	admin := func(method, path, body string) page {
		t.Helper()
		if body != "" {
			return b.post("/_admin/"+path, body)
		}
		return b.do(method, "/_admin/"+path, nil)
	}
	admin("POST", "auto", `{"citizen":"personne"}`).want(400)
	admin("POST", "auto", `{"citizen":"garrigue"}`).want(204)
	back := b.authorize(asked()).want(303).Location
	if answer := b.token(exchange(back.Query().Get("code"))).want(200).json(); payload(t, str(answer["id_token"]))["sub"] != b.Citizens()[1].subject(clientID) {
		t.Errorf("%v", answer)
	}
	admin("POST", "auto", `{"citizen":""}`).want(204)
	admin("POST", "sessions/end", `{}`).want(204)
	admin("POST", "misbehave", `[{"what":"wrong_nonce","times":1},{"what":"plain_json"}]`).want(204)
	admin("DELETE", "misbehave", "").want(204)
	admin("POST", "misbehave", `{"what":"rien"}`).want(400)
	if kid := admin("POST", "keys/rotate", `{"keep_old":true,"stale":"1s"}`).want(200).json()["kid"]; kid == "" {
		t.Error("no kid")
	}
	admin("POST", "clients", `{"client_id":"nouveau","name":"N","redirect_uris":["http://127.0.0.1:9/retour"],"client_secrets":["12345678901234567890123456789012"]}`).want(204)
	b.authorize(asked(set("client_id", "nouveau"), set("redirect_uri", "http://127.0.0.1:9/retour"))).want(303)
	var counted Snapshot
	if err := json.Unmarshal([]byte(admin("GET", "state", "").want(200).Text), &counted); err != nil {
		t.Fatal(err)
	}
	if counted.Counts["code"] != 1 || counted.Counts["token"] != 1 || counted.Tokens != 1 || counted.Interactions != 1 {
		t.Errorf("%+v", counted)
	}
	if leaks := b.Leaks(); len(leaks) != 0 {
		t.Errorf("%v", leaks)
	}
	b.Reset()
	if counted := b.Snapshot(); counted.Tokens != 0 || len(b.Clients()) != 1 {
		t.Errorf("%+v", counted)
	}
}

func TestOneLineDescribesTheSimulator(t *testing.T) {
	t.Parallel()
	b := start(t)
	var got struct {
		Partner     string           `json:"partner"`
		Issuer      string           `json:"issuer"`
		Discovery   string           `json:"discovery"`
		Credentials []map[string]any `json:"credentials"`
		Citizens    []string         `json:"citizens"`
	}
	line := b.Describe()
	if err := json.Unmarshal([]byte(line), &got); err != nil || strings.Contains(line, "\n") {
		t.Fatal(err, line)
	}
	if got.Partner != "franceconnect" || len(got.Credentials) != 2 || len(got.Citizens) != len(b.Citizens()) {
		t.Errorf("%s", line)
	}
	if b.do("GET", got.Discovery, nil).want(200).json()["issuer"] != got.Issuer {
		t.Errorf("%s", line)
	}
}

func TestASeedThatCannotBeIsRefused(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "graine.yml")
	for text, fault := range map[string]string{
		"citizen: []": "line 1",
		"citizens: [{id: a, given_names: [A], family_name: B, gender: female, birthdate: 1990, birthcountry: 99100}]":            "birthplace",
		"citizens: [{id: a, given_names: [A], family_name: B, gender: f, birthdate: 1990, birthplace: '', birthcountry: 99335}]": "gender",
		"auto: personne": "no citizen",
		"clients: [{client_id: a, redirect_uris: [x], client_secrets: [court]}]":   "32 characters",
		"clients: [{client_id: a, redirect_uris: [x], scopes: [rfr]}]":             "no scope",
		"clients: [{client_id: a}]":                                                "redirect_uris",
		"clients: [{client_id: a, redirect_uris: [x], public_jwk: '{}'}]":          "public_jwk",
		"data_providers: [{client_id: a, client_secret: b, encryption_jwk: '{}'}]": "encryption_jwk",
		"faults: [{route: GET /**, kind: rien}]":                                   "unknown fault",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		seed, err := LoadSeed(file)
		if err == nil {
			var s *Server
			if s, err = Start(Options{Seed: seed}); err == nil {
				_ = s.Close()
			}
		}
		if err == nil || !strings.Contains(err.Error(), fault) {
			t.Errorf("%s: %v, want %q", text, err, fault)
		}
	}
	if !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(random()) {
		t.Error(random())
	}
}

func FuzzAuthorizeStaysOnItsPageOrGoesToADeclaredURI(f *testing.F) {
	f.Add(asked().Encode())
	f.Add("client_id=a&client_id=b&claims=%7B&state=%00")
	s := New(Options{})
	f.Cleanup(func() { _ = s.Close() })
	f.Fuzz(func(t *testing.T, query string) {
		values, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		good, page := s.checkAuthorize(values)
		if (page == nil) != (good.redirectURI == callback || good.redirectURI == "http://localhost:8080/callback") {
			t.Errorf("%v %+v", page, good)
		}
	})
}

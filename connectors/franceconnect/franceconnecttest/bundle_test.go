package franceconnecttest

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/internal/jose"
)

const (
	clientID  = "5f1c0a9e7b6d4c3f8a2e1d0c9b8a7f6e5d4c3b2a1908f7e6d5c4b3a291807f6e"
	secret    = "franceconnect-simulator-client-secret-0001"
	callback  = "http://127.0.0.1:8080/callback"
	loggedOut = "http://127.0.0.1:8080/logout-callback"
	sentState = "1111111111111111111111111111111111111111111111111111111111111111"
	nonce     = "78377b525757b494427f89014f97d79928f3938d14eb51e20fb5dec9834eb304"
)

var october = time.Date(2026, 10, 5, 8, 10, 0, 0, time.UTC)

// browser keeps cookies and follows nothing by itself.
type browser struct {
	*Server
	t      *testing.T
	client *http.Client
}

func start(t *testing.T) *browser {
	t.Helper()
	s, err := Start(Options{Clock: partnertest.NewFrozenClock(october)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return (&browser{Server: s, t: t}).other()
}

// other is somebody else's browser.
func (b *browser) other() *browser {
	b.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return &browser{b.Server, b.t, &http.Client{
		Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

type page struct {
	t        *testing.T
	Status   int
	Header   http.Header
	Text     string
	Location *url.URL
}

func (p page) want(status int) page {
	p.t.Helper()
	if p.Status != status {
		p.t.Fatalf("got %d %s %v, want %d", p.Status, p.Text, p.Location, status)
	}
	return p
}

func (p page) json() map[string]any {
	p.t.Helper()
	var out map[string]any
	if err := json.Unmarshal([]byte(p.Text), &out); err != nil {
		p.t.Fatalf("%v in %s", err, p.Text)
	}
	return out
}

func (b *browser) do(method, target string, form url.Values, header ...string) page {
	b.t.Helper()
	if strings.HasPrefix(target, "/") {
		target = b.url + target
	}
	req, err := http.NewRequestWithContext(b.t.Context(), method, target, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	answered, err := b.client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = answered.Body.Close() }()
	text, err := io.ReadAll(answered.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	location, _ := answered.Location()
	return page{b.t, answered.StatusCode, answered.Header, string(text), location}
}

// post sends a JSON body.
func (b *browser) post(path, body string) page {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.url+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	answered, err := b.client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = answered.Body.Close() }()
	text, err := io.ReadAll(answered.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return page{b.t, answered.StatusCode, answered.Header, string(text), nil}
}

// asked are good parameters; change makes them others.
func asked(change ...func(url.Values)) url.Values {
	values := url.Values{
		"client_id": {clientID}, "response_type": {"code"}, "redirect_uri": {callback}, "acr_values": {"eidas1"},
		"scope": {"openid identite_pivot cnaf_quotient_familial cnaf_allocataires cnaf_enfants"}, "state": {sentState}, "nonce": {nonce},
	}
	for _, one := range change {
		one(values)
	}
	return values
}

func set(name, value string) func(url.Values) {
	return func(v url.Values) { v.Set(name, value) }
}

func (b *browser) authorize(values url.Values) page {
	b.t.Helper()
	return b.do("GET", basePath+"/authorize?"+values.Encode(), nil)
}

var actionPattern = regexp.MustCompile(`action="([^"]+)"`)

// submit posts the page's form.
func (b *browser) submit(from page, form url.Values) page {
	b.t.Helper()
	action := actionPattern.FindStringSubmatch(from.Text)
	if action == nil {
		b.t.Fatalf("no form in %s", from.Text)
	}
	return b.do("POST", action[1], form)
}

// login walks the pages as a citizen and gives the callback's address.
func (b *browser) login(citizen string, change ...func(url.Values)) *url.URL {
	b.t.Helper()
	choice := b.do("GET", b.authorize(asked(change...)).want(303).Location.String(), nil).want(200)
	chosen := b.submit(choice, url.Values{"citizen": {citizen}, "action": {"choose"}}).want(303)
	consent := b.do("GET", chosen.Location.String(), nil).want(200)
	return b.submit(consent, url.Values{"action": {"continue"}}).want(303).Location
}

func exchange(code string, change ...func(url.Values)) url.Values {
	values := url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "client_id": {clientID}, "client_secret": {secret},
	}
	for _, one := range change {
		one(values)
	}
	return values
}

func (b *browser) token(form url.Values) page {
	b.t.Helper()
	return b.do("POST", basePath+"/token", form)
}

// tokens logs in and exchanges the code.
func (b *browser) tokens(citizen string, change ...func(url.Values)) map[string]any {
	b.t.Helper()
	return b.token(exchange(b.login(citizen, change...).Query().Get("code"))).want(200).json()
}

func (b *browser) info(token any) page {
	b.t.Helper()
	text, _ := token.(string)
	return b.do("GET", basePath+"/userinfo", nil, "Authorization", "Bearer "+text)
}

func (b *browser) check(token any) map[string]any {
	b.t.Helper()
	text, _ := token.(string)
	answer := b.do("POST", basePath+"/checktoken", url.Values{
		"client_id": {"api-particulier-simulator"}, "client_secret": {"franceconnect-simulator-data-provider-secret"}, "token": {text},
	}).want(200)
	about, _ := b.verified(answer.Text, "api-particulier-simulator", "token-introspection+jwt")["token_introspection"].(map[string]any)
	return about
}

// published reads the key set as a client does.
func (b *browser) published() jose.StaticKeys {
	b.t.Helper()
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal([]byte(b.do("GET", basePath+"/jwks", nil).want(200).Text), &set); err != nil {
		b.t.Fatal(err)
	}
	var keys jose.StaticKeys
	for _, text := range set.Keys {
		key, err := jose.ParsePublicKey(text)
		if err != nil {
			b.t.Fatal(err)
		}
		keys = append(keys, key)
	}
	return keys
}

func (b *browser) verifier(audience string, types ...string) jose.Verifier {
	return jose.Verifier{
		Issuer: b.Issuer(), Audience: audience, Algs: []jose.Alg{jose.ES256}, Keys: b.published(), Types: types, Now: b.Now, MaxSize: 8 << 10,
	}
}

// verified checks the signature of an answer that has no exp of its own.
func (b *browser) verified(token, audience string, types ...string) map[string]any {
	b.t.Helper()
	if _, err := b.verifier(audience, types...).Verify(b.t.Context(), token); err != nil && !strings.Contains(err.Error(), "exp") {
		b.t.Fatalf("%v: %s", err, token)
	}
	return payload(b.t, token)
}

func payload(t *testing.T, token string) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%s", token)
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(body, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func str(value any) string {
	text, _ := value.(string)
	return text
}

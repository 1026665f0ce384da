package franceconnect

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/franceconnect/franceconnecttest"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
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

	tokenAt     = partnertest.Route("POST /api/v2/token")
	userinfoAt  = partnertest.Route("GET /api/v2/userinfo")
	keysAt      = partnertest.Route("GET /api/v2/jwks")
	discoveryAt = partnertest.Route("GET /api/v2/.well-known/openid-configuration")
)

var (
	october = time.Date(2026, 10, 5, 8, 10, 0, 0, time.UTC)
	asked   = connectors.Authorization{State: sentState, Nonce: nonce, Scopes: []string{"cnaf_quotient_familial", "cnaf_enfants"}}
)

// safeBuffer is a log that a refresh in the background may write to.
type safeBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *safeBuffer) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.String()
}

// bench is a provider over a simulated FranceConnect, which lets Élodie Fontanel
// pass without pages. What must never be told is looked for in its log and in
// every error at the end.
type bench struct {
	*Provider
	site  *franceconnecttest.Server
	clock *partnertest.Clock
	log   *safeBuffer
	t     *testing.T
}

func open(t *testing.T, change ...func(*Config)) bench {
	t.Helper()
	clock := partnertest.NewFrozenClock(october)
	site, err := franceconnecttest.Start(franceconnecttest.Options{Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	if err := site.SetAuto("fontanel"); err != nil {
		t.Fatal(err)
	}
	b := bench{site: site, clock: clock, log: &safeBuffer{}, t: t}
	b.Provider = b.dial(change...)
	t.Cleanup(func() {
		_ = site.Close()
		b.silent(b.log.text())
	})
	return b
}

func (b bench) dial(change ...func(*Config)) *Provider {
	b.t.Helper()
	c := Default()
	c.Issuer, c.ClientID, c.ClientSecrets = b.site.Issuer(), clientID, []connectors.Secret{connectors.NewSecret(secret)}
	c.RedirectURI, c.LogoutURI = callback, loggedOut
	c.Breaker.Failures = 1000
	for _, one := range change {
		one(&c)
	}
	client, err := outbound.Partner("franceconnect", c.Settings, zerolog.New(b.log))
	if err != nil {
		b.t.Fatal(err)
	}
	p, err := c.Open(connectors.Deps{Name: "franceconnect", Now: b.clock.Now, Partner: client}, testMAC)
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

func testMAC(purpose, value string) []byte {
	mac := hmac.New(sha256.New, []byte("a key of the test"))
	mac.Write([]byte(purpose + "\x00" + value))
	return mac.Sum(nil)
}

// silent: a text of ours holds nothing of a person, no token, no secret.
func (b bench) silent(text string) {
	b.t.Helper()
	for _, private := range []string{"Élodie", "Elodie", "FONTANEL", "1987-03", "eyJ", secret, nonce, sentState, "v1\"", "code="} {
		if strings.Contains(text, private) {
			b.t.Errorf("%q is told: %s", private, text)
		}
	}
}

// depart walks to FranceConnect and gives what the browser brings back.
func (b bench) depart() connectors.Callback {
	b.t.Helper()
	return newVisitor(b.t).visit(b.t, b.Provider)
}

// refused: an exchange that fails, with the class and the cause.
func (b bench) refused(c connectors.Callback, class connectors.Class, cause error) *connectors.Error {
	b.t.Helper()
	got, err := b.Exchange(b.t.Context(), c)
	var e *connectors.Error
	if !errors.As(err, &e) || e.Class != class || cause != nil && !errors.Is(err, cause) {
		b.t.Fatalf("got %v (%v), want %s and %v", err, errors.Unwrap(err), class, cause)
	}
	for _, other := range []error{connectors.ErrCancelled, connectors.ErrCodeSpent, connectors.ErrUnverified} {
		if !errors.Is(cause, other) && errors.Is(err, other) {
			b.t.Errorf("%v is %v too", err, other)
		}
	}
	if diff := cmp.Diff(connectors.Citizen{}, got, cmp.AllowUnexported(connectors.Secret{})); diff != "" {
		b.t.Errorf("something is given beside an error: %s", diff)
	}
	b.silent(err.Error())
	if code := c.Code.Reveal(); code != "" && strings.Contains(err.Error(), code) {
		b.t.Errorf("the code is told: %v", err)
	}
	return e
}

func TestACitizenIsIdentified(t *testing.T) {
	t.Parallel()
	b := open(t)
	back := b.depart()
	got, err := b.Exchange(t.Context(), back)
	if err != nil {
		t.Fatal(err)
	}
	want := connectors.PivotIdentity{
		FamilyName: "FONTANEL", GivenNames: []string{"Élodie", "Marguerite"}, BirthDate: "1987-03-14", Gender: "female", BirthPlace: "69385", BirthCountry: "99100",
	}
	if diff := cmp.Diff(want, got.Identity); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got.ACR != "eidas1" || len(got.SubjectHash) != sha256.Size || !got.TokenAt.Equal(october) || !got.TokenBy.Equal(october.Add(50*time.Second)) {
		t.Errorf("%+v", got)
	}
	if got.Token.IsZero() || strings.Count(got.IDToken.Reveal(), ".") != 2 {
		t.Error("no token")
	}
	again, err := b.Exchange(t.Context(), b.depart())
	if err != nil || !bytes.Equal(again.SubjectHash, got.SubjectHash) {
		t.Errorf("%v, the same person has another hash", err)
	}
	if err := b.site.SetAuto("garrigue"); err != nil {
		t.Fatal(err)
	}
	other, err := b.Exchange(t.Context(), b.depart())
	if err != nil || bytes.Equal(other.SubjectHash, got.SubjectHash) {
		t.Errorf("%v, another person has the same hash", err)
	}
	if n := b.site.Count(discoveryAt); n != 1 {
		t.Errorf("the discovery document was asked for %d times", n)
	}
	if n := b.site.Count(keysAt); n != 1 {
		t.Errorf("the keys were asked for %d times", n)
	}
}

func TestEveryCitizenOfTheDemoIsIdentified(t *testing.T) {
	t.Parallel()
	b := open(t)
	for _, citizen := range b.site.Citizens() {
		if err := b.site.SetAuto(citizen.ID); err != nil {
			t.Fatal(err)
		}
		got, err := b.Exchange(t.Context(), b.depart())
		if err != nil {
			t.Errorf("%s: %v", citizen.ID, err)
			continue
		}
		if got.Identity.FamilyName != citizen.FamilyName || !slices.Equal(got.Identity.GivenNames, citizen.GivenNames) || got.Identity.BirthPlace != citizen.Birthplace {
			t.Errorf("%s: %+v", citizen.ID, got.Identity)
		}
	}
}

func TestOnlyTheParametersOfTheListAreSent(t *testing.T) {
	t.Parallel()
	b := open(t)
	address, err := b.Authorize(t.Context(), asked)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	want := url.Values{
		"client_id": {clientID}, "response_type": {"code"}, "redirect_uri": {callback}, "acr_values": {"eidas1"},
		"scope": {"openid identite_pivot cnaf_quotient_familial cnaf_enfants"}, "state": {sentState}, "nonce": {nonce},
	}
	if diff := cmp.Diff(want, u.Query()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for name, wrong := range map[string]connectors.Authorization{
		"a short state":             {State: sentState[:62], Nonce: nonce},
		"a state that is no hex":    {State: strings.Repeat("z", 64), Nonce: nonce},
		"no nonce":                  {State: sentState},
		"a scope about the address": {State: sentState, Nonce: nonce, Scopes: []string{"email"}},
		"two scopes in one":         {State: sentState, Nonce: nonce, Scopes: []string{"cnaf_enfants email"}},
	} {
		if _, err := b.Authorize(t.Context(), wrong); !connectors.Is(err, connectors.Rejected) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestACallbackIsReadBeforeAnythingIsSent(t *testing.T) {
	t.Parallel()
	b := open(t)
	good := b.depart()
	for name, c := range map[string]struct {
		change func(*connectors.Callback)
		class  connectors.Class
		cause  error
	}{
		"without iss":               {func(c *connectors.Callback) { c.Issuer = "" }, connectors.Rejected, connectors.ErrUnverified},
		"of another issuer":         {func(c *connectors.Callback) { c.Issuer = "https://ailleurs.example/api/v2" }, connectors.Rejected, connectors.ErrUnverified},
		"an error of another":       {func(c *connectors.Callback) { c.Issuer, c.Error = "", "access_denied" }, connectors.Rejected, connectors.ErrUnverified},
		"cancelled":                 {func(c *connectors.Callback) { c.Error = "access_denied" }, connectors.Rejected, connectors.ErrCancelled},
		"an error beside the code":  {func(c *connectors.Callback) { c.Error = "server_error" }, connectors.Temporary, nil},
		"unavailable":               {func(c *connectors.Callback) { c.Error = "temporarily_unavailable" }, connectors.Temporary, nil},
		"a scope we may not ask":    {func(c *connectors.Callback) { c.Error = "invalid_scope" }, connectors.Rejected, nil},
		"an error from a stranger":  {func(c *connectors.Callback) { c.Error = "<script>FONTANEL</script>" }, connectors.Rejected, nil},
		"no code":                   {func(c *connectors.Callback) { c.Code = connectors.Secret{} }, connectors.Rejected, connectors.ErrCodeSpent},
		"a code of a megabyte":      {func(c *connectors.Callback) { c.Code = connectors.NewSecret(strings.Repeat("c", 1<<20)) }, connectors.Rejected, connectors.ErrCodeSpent},
		"a nonce that was not sent": {func(c *connectors.Callback) { c.Nonce = "" }, connectors.Rejected, nil},
	} {
		back := good
		c.change(&back)
		b.t.Log(name)
		b.refused(back, c.class, c.cause)
	}
	if n := b.site.Count(tokenAt); n != 0 {
		t.Errorf("%d exchanges", n)
	}
	if _, err := b.Exchange(t.Context(), good); err != nil {
		t.Errorf("the code was spoiled: %v", err)
	}
}

// FS-9 and section 6: each bad answer is refused, with a reason of its own.
func TestNoBadAnswerIsBelieved(t *testing.T) {
	t.Parallel()
	b := open(t)
	for _, c := range []struct {
		what  franceconnecttest.Misbehaviour
		where franceconnecttest.Place
		part  string
		why   string
	}{
		{franceconnecttest.WrongNonce, franceconnecttest.InIDToken, "id_token", "wrong nonce"},
		{franceconnecttest.WrongAudience, franceconnecttest.InIDToken, "id_token", "wrong audience"},
		{franceconnecttest.WrongIssuer, franceconnecttest.InIDToken, "id_token", "wrong issuer"},
		{franceconnecttest.AlgHS256, franceconnecttest.InIDToken, "id_token", "algorithm not allowed"},
		{franceconnecttest.AlgNone, franceconnecttest.InIDToken, "id_token", "algorithm not allowed"},
		{franceconnecttest.UnknownKID, franceconnecttest.InIDToken, "id_token", "unknown key"},
		{franceconnecttest.WrongSignature, franceconnecttest.InIDToken, "id_token", "wrong signature"},
		{franceconnecttest.Expired, franceconnecttest.InIDToken, "id_token", "expired"},
		{franceconnecttest.LowACR, franceconnecttest.InIDToken, "id_token", "authentication too weak"},
		{franceconnecttest.WrongHash, franceconnecttest.InIDToken, "id_token", "access token hash differs"},
		{franceconnecttest.WrongAudience, franceconnecttest.InUserinfo, "userinfo", "wrong audience"},
		{franceconnecttest.WrongIssuer, franceconnecttest.InUserinfo, "userinfo", "wrong issuer"},
		{franceconnecttest.AlgHS256, franceconnecttest.InUserinfo, "userinfo", "algorithm not allowed"},
		{franceconnecttest.AlgNone, franceconnecttest.InUserinfo, "userinfo", "algorithm not allowed"},
		{franceconnecttest.UnknownKID, franceconnecttest.InUserinfo, "userinfo", "unknown key"},
		{franceconnecttest.WrongSignature, franceconnecttest.InUserinfo, "userinfo", "wrong signature"},
		{franceconnecttest.Expired, franceconnecttest.InUserinfo, "userinfo", "expired"},
		{franceconnecttest.OtherSubject, franceconnecttest.InUserinfo, "userinfo", "another subject"},
		{franceconnecttest.PlainJSON, franceconnecttest.InUserinfo, "userinfo", "not signed"},
		{franceconnecttest.NoBirthplace, franceconnecttest.InUserinfo, "userinfo", "birthplace missing or malformed"},
		{franceconnecttest.NoFamilyName, franceconnecttest.InUserinfo, "userinfo", "family_name missing or malformed"},
		{franceconnecttest.CallbackNoIss, franceconnecttest.InCallback, "callback", "wrong issuer"},
		{franceconnecttest.CallbackIss, franceconnecttest.InCallback, "callback", "wrong issuer"},
	} {
		t.Run(string(c.where)+" "+string(c.what), func(t *testing.T) {
			b := b
			b.t = t
			b.clock.Advance(time.Minute) // an unknown key may be asked for again
			if err := b.site.Misbehave(franceconnecttest.Bad{What: c.what, Where: c.where, Times: 1}); err != nil {
				t.Fatal(err)
			}
			err := b.refused(b.depart(), connectors.Rejected, connectors.ErrUnverified)
			var why *connectors.UnverifiedError
			if !errors.As(err, &why) || why.Part != c.part || why.Reason != c.why {
				t.Errorf("got %+v, want %s: %s", why, c.part, c.why)
			}
		})
	}
	if _, err := b.Exchange(t.Context(), b.depart()); err != nil {
		t.Errorf("and then: %v", err)
	}
}

func TestRefusedCodesSayWhyAndKeepWhatSupportAsksFor(t *testing.T) {
	t.Parallel()
	b := open(t)
	good := b.depart()
	unknown := good
	unknown.Code = connectors.NewSecret("un-code-que-personne-n-a-donne")
	if e := b.refused(unknown, connectors.Rejected, connectors.ErrCodeSpent); !strings.Contains(e.Detail, "code Y049E20B id ") {
		t.Errorf("%s", e.Detail)
	}
	if _, err := b.Exchange(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	if e := b.refused(good, connectors.Rejected, connectors.ErrCodeSpent); !strings.Contains(e.Detail, "code Y0416228 id ") {
		t.Errorf("%s", e.Detail)
	}
	late := b.depart()
	b.clock.Advance(31 * time.Second)
	if e := b.refused(late, connectors.Rejected, connectors.ErrCodeSpent); !strings.Contains(e.Detail, "code Y043F0A8 id ") {
		t.Errorf("%s", e.Detail)
	}
	// Another redirect_uri is our configuration: starting again would not help.
	other := b.depart()
	b.Provider = b.dial(func(c *Config) { c.RedirectURI = "http://localhost:8080/callback" })
	if e := b.refused(other, connectors.Rejected, nil); !strings.Contains(e.Detail, "code Y04F8199 id ") {
		t.Errorf("%s", e.Detail)
	}
}

func TestTwoSecretsAreTriedInOrder(t *testing.T) {
	t.Parallel()
	b := open(t)
	old, next := connectors.NewSecret("an-old-secret-that-franceconnect-has-dropped"), connectors.NewSecret(secret)
	b.Provider = b.dial(func(c *Config) { c.ClientSecrets = []connectors.Secret{old, next} })
	if _, err := b.Exchange(t.Context(), b.depart()); err != nil {
		t.Fatal(err)
	}
	if n := b.site.Count(tokenAt); n != 2 {
		t.Errorf("%d calls, want the old secret then the next", n)
	}
	b.Provider = b.dial(func(c *Config) { c.ClientSecrets = []connectors.Secret{next, old} })
	if _, err := b.Exchange(t.Context(), b.depart()); err != nil {
		t.Fatal(err)
	}
	// A code that was looked at is never sent again, whatever secrets are left.
	b.refused(connectors.Callback{Code: connectors.NewSecret("inconnu"), Issuer: b.site.Issuer(), Nonce: nonce}, connectors.Rejected, connectors.ErrCodeSpent)
	if n := b.site.Count(tokenAt); n != 4 {
		t.Errorf("%d calls, want 4", n)
	}
	// Nor after a refusal by something in between, which says nothing of the secret.
	b.site.Inject(partnertest.HTML(tokenAt, http.StatusForbidden).For(1))
	b.refused(b.depart(), connectors.Unauthorized, nil)
	if n := b.site.Count(tokenAt); n != 5 {
		t.Errorf("%d calls, want 5", n)
	}
	b.Provider = b.dial(func(c *Config) { c.ClientSecrets = []connectors.Secret{old} })
	if e := b.refused(b.depart(), connectors.Unauthorized, nil); !strings.Contains(e.Detail, "code Y0434A7B id ") {
		t.Errorf("%s", e.Detail)
	}
}

func TestFaultsBeforeDuringAndAfterAnExchange(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault     partnertest.Fault
		class     connectors.Class
		cause     error
		exchanges int // in all, a retry by the citizen excepted
		userinfos int
	}{
		"the exchange is reset before":            {partnertest.ResetBefore(tokenAt).For(1), connectors.Temporary, nil, 1, 0},
		"its answer is lost":                      {partnertest.ResetAfter(tokenAt).For(1), connectors.Temporary, nil, 1, 0},
		"half of its answer comes":                {partnertest.HalfBody(tokenAt).For(1), connectors.Temporary, nil, 1, 0},
		"it answers 500":                          {partnertest.Status(tokenAt, 500).For(1), connectors.Temporary, nil, 1, 0},
		"it answers a page":                       {partnertest.HTML(tokenAt, 200).For(1), connectors.Temporary, nil, 1, 0},
		"it answers another JSON":                 {partnertest.Answer(tokenAt, 200, "application/json", `{"access_token":"FONTANEL"}`).For(1), connectors.Rejected, connectors.ErrUnverified, 1, 0},
		"it answers a token that cuts a header":   {partnertest.Answer(tokenAt, 200, "application/json", `{"token_type":"Bearer","id_token":"a","access_token":"a\r\nb"}`).For(1), connectors.Rejected, connectors.ErrUnverified, 1, 0},
		"it is limited":                           {partnertest.RateLimited(tokenAt, time.Minute).For(1), connectors.RateLimited, nil, 1, 0},
		"it is too long":                          {partnertest.Answer(tokenAt, 200, "application/json", strings.Repeat(" ", maxAnswer+1)).For(1), connectors.Rejected, nil, 1, 0},
		"userinfo is reset until we give up":      {partnertest.ResetBefore(userinfoAt).For(3), connectors.Temporary, nil, 1, 3},
		"userinfo answers 502":                    {partnertest.Status(userinfoAt, 502).For(1), connectors.Temporary, nil, 1, 1},
		"userinfo answers a page":                 {partnertest.HTML(userinfoAt, 200).For(1), connectors.Temporary, nil, 1, 1},
		"userinfo says it without a body":         {partnertest.Answer(userinfoAt, 401, "text/plain", "").For(1), connectors.Rejected, connectors.ErrCodeSpent, 1, 1},
		"userinfo answers rubbish as a JWT":       {partnertest.Answer(userinfoAt, 200, "application/jwt", "FONTANEL").For(1), connectors.Rejected, connectors.ErrUnverified, 1, 1},
		"userinfo says that the token is dead":    {partnertest.Answer(userinfoAt, 401, "application/json", `{"error":"invalid_token","error_description":"FC"}`).For(1), connectors.Rejected, connectors.ErrCodeSpent, 1, 1},
		"the keys cannot be read":                 {partnertest.Status(keysAt, 500).For(1), connectors.Temporary, nil, 1, 0},
		"the client is refused by the token page": {partnertest.Answer(tokenAt, 400, "application/json", `{"error":"invalid_client"}`).For(1), connectors.Unauthorized, nil, 1, 0},
		"an unknown error with a status of 500":   {partnertest.Answer(tokenAt, 500, "application/json", `{"error":"oops"}`).For(1), connectors.Temporary, nil, 1, 0},
		"an unknown error with a status of 400":   {partnertest.Answer(tokenAt, 400, "application/json", `{"error":"oops"}`).For(1), connectors.Rejected, nil, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := open(t)
			b.site.Inject(c.fault)
			b.refused(b.depart(), c.class, c.cause)
			if got := b.site.Count(tokenAt); got != c.exchanges {
				t.Errorf("%d exchanges, want %d: a code is sent once", got, c.exchanges)
			}
			if got := b.site.Count(userinfoAt); got != c.userinfos {
				t.Errorf("userinfo was asked %d times, want %d", got, c.userinfos)
			}
			b.clock.Advance(time.Minute)
			if _, err := b.Exchange(t.Context(), b.depart()); err != nil {
				t.Errorf("she starts again: %v", err)
			}
		})
	}
}

func TestUserinfoIsAskedAgainOnceWithoutAConnection(t *testing.T) {
	t.Parallel()
	b := open(t)
	// The first repeat is net/http's own: the connection had been used before.
	b.site.Inject(partnertest.ResetBefore(userinfoAt).For(2))
	if _, err := b.Exchange(t.Context(), b.depart()); err != nil {
		t.Fatal(err)
	}
	if n := b.site.Count(userinfoAt); n != 3 {
		t.Errorf("%d calls", n)
	}
}

func TestASlowFranceConnectIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	for _, at := range []partnertest.Route{tokenAt, userinfoAt} {
		b := open(t, func(c *Config) { c.Timeouts.Total = 100 * time.Millisecond })
		if _, err := b.Health(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.site.Inject(partnertest.Hang(at).For(1))
		b.refused(b.depart(), connectors.Temporary, nil)
		if n := b.site.Count(at); n != 1 {
			t.Errorf("%s: %d calls: a timeout is not repeated", at, n)
		}
	}
}

func TestANewKeyIsFoundAndRubbishIsNot(t *testing.T) {
	t.Parallel()
	b := open(t)
	if _, err := b.Exchange(t.Context(), b.depart()); err != nil {
		t.Fatal(err)
	}
	b.clock.Advance(31 * time.Second)
	if _, err := b.site.RotateKey(false, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Exchange(t.Context(), b.depart()); err != nil {
		t.Errorf("a new key: %v", err)
	}
	if n := b.site.Count(keysAt); n != 2 {
		t.Errorf("the keys were asked for %d times, want 2", n)
	}
	// Unknown ids, as many as one likes, cost one fetch in 30 s.
	b.clock.Advance(31 * time.Second)
	if err := b.site.Misbehave(franceconnecttest.Bad{What: franceconnecttest.UnknownKID}); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		b.refused(b.depart(), connectors.Rejected, connectors.ErrUnverified)
	}
	if n := b.site.Count(keysAt); n != 3 {
		t.Errorf("the keys were asked for %d times, want 3", n)
	}
}

func TestAFranceConnectThatIsDownStopsNoStart(t *testing.T) {
	t.Parallel()
	b := open(t)
	id := b.site.Inject(partnertest.Status(discoveryAt, 503))
	if !b.Reachable() {
		t.Error("nothing is known yet")
	}
	if _, err := b.Health(t.Context()); !connectors.Is(err, connectors.Temporary) {
		t.Errorf("%v", err)
	}
	if b.Reachable() {
		t.Error("it is known to be down")
	}
	for range 10 {
		if _, err := b.Authorize(t.Context(), asked); !connectors.Is(err, connectors.Temporary) {
			t.Errorf("%v", err)
		}
	}
	if n := b.site.Count(discoveryAt); n != 1 {
		t.Errorf("asked %d times in a moment", n)
	}
	b.site.ClearFaults(id)
	b.clock.Advance(discoveryEvery)
	for end := time.Now().Add(time.Minute); !b.Reachable(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it is back, and nobody looked")
		}
	}
	if _, err := b.Authorize(t.Context(), asked); err != nil {
		t.Errorf("it is back: %v", err)
	}
}

func TestTheDiscoveryDocumentIsKeptWhileFranceConnectIsDown(t *testing.T) {
	t.Parallel()
	b := open(t)
	if _, err := b.Authorize(t.Context(), asked); err != nil {
		t.Fatal(err)
	}
	b.site.Inject(partnertest.ResetBefore(discoveryAt))
	b.clock.Advance(discoveryTTL)
	for range 3 {
		if _, err := b.Authorize(t.Context(), asked); err != nil {
			t.Errorf("a held document serves: %v", err)
		}
	}
	if !b.Reachable() {
		t.Error("a held document serves")
	}
	b.clock.Advance(discoveryStale)
	if _, err := b.Authorize(t.Context(), asked); !connectors.Is(err, connectors.Temporary) {
		t.Errorf("and not for ever: %v", err)
	}
}

func TestADiscoveryDocumentOfAnotherIsRefused(t *testing.T) {
	t.Parallel()
	b := open(t)
	text, err := os.ReadFile(filepath.Join("franceconnecttest", "testdata", "openid-configuration.json"))
	if err != nil {
		t.Fatal(err)
	}
	theirs := "https://fcp-low.sbx.dev-franceconnect.fr/api/v2"
	good := strings.ReplaceAll(string(text), theirs, b.site.Issuer())
	for name, body := range map[string]string{
		"another issuer":              string(text),
		"no token endpoint":           strings.Replace(good, `"token_endpoint"`, `"other"`, 1),
		"an endpoint of another kind": strings.Replace(good, b.site.Issuer()+"/userinfo", "file:///etc/passwd", 1),
		"credentials in an endpoint":  strings.Replace(good, b.site.Issuer()+"/jwks", "http://a:b@127.0.0.1/jwks", 1),
		"another algorithm":           strings.ReplaceAll(good, `"ES256"`, `"ES512"`),
		"another way to prove itself": strings.Replace(good, `"client_secret_post"`, `"client_secret_basic"`, 1),
	} {
		b.site.ClearFaults()
		b.site.Inject(partnertest.Answer(discoveryAt, 200, "application/json", body))
		b.clock.Advance(discoveryEvery)
		if _, err := b.Authorize(t.Context(), asked); !connectors.Is(err, connectors.Rejected) {
			t.Errorf("%s: %v", name, err)
		}
	}
	b.site.ClearFaults()
	b.site.Inject(partnertest.Answer(discoveryAt, 200, "application/json", good))
	b.clock.Advance(discoveryEvery)
	if _, err := b.Authorize(t.Context(), asked); err != nil {
		t.Errorf("the recorded one: %v", err)
	}
}

func TestAnHTTPSIssuerHasNoEndpointInClear(t *testing.T) {
	t.Parallel()
	c := Config{Issuer: "https://fc.example/api/v2", Alg: "ES256"}
	m := metadata{
		Issuer: c.Issuer, Authorization: c.Issuer + "/authorize", Token: "http://fc.example/token",
		Userinfo: c.Issuer + "/userinfo", JWKS: c.Issuer + "/jwks", EndSession: c.Issuer + "/session/end",
	}
	if why := m.check(c); !strings.HasPrefix(why, "token_endpoint") {
		t.Errorf("%q", why)
	}
}

func TestLoggingOutIsHerBrowsers(t *testing.T) {
	t.Parallel()
	b := open(t)
	got, err := b.Exchange(t.Context(), b.depart())
	if err != nil {
		t.Fatal(err)
	}
	address, err := b.Logout(t.Context(), got.IDToken, sentState)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	want := url.Values{"id_token_hint": {got.IDToken.Reveal()}, "state": {sentState}, "post_logout_redirect_uri": {loggedOut}}
	if diff := cmp.Diff(want, u.Query()); diff != "" || u.Path != "/api/v2/session/end" {
		t.Errorf("%s (-want +got)\n%s", u.Path, diff)
	}
	if _, err := b.Logout(t.Context(), connectors.Secret{}, sentState); !connectors.Is(err, connectors.Rejected) {
		t.Errorf("%v", err)
	}
	if _, err := b.Logout(t.Context(), got.IDToken, "short"); !connectors.Is(err, connectors.Rejected) {
		t.Errorf("%v", err)
	}
}

func TestSettingsThatCannotBeSafeAreRefused(t *testing.T) {
	t.Parallel()
	good := Default()
	good.Issuer, good.ClientID, good.ClientSecrets = "https://fc.example/api/v2", "a", []connectors.Secret{connectors.NewSecret("b")}
	good.RedirectURI, good.LogoutURI = callback, loggedOut
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Config){
		"issuer:":            func(c *Config) { c.Issuer = "fc.example" },
		"redirect_uri:":      func(c *Config) { c.RedirectURI += "?commune=04107" },
		"logout_uri:":        func(c *Config) { c.LogoutURI = "" },
		"client_id:":         func(c *Config) { c.ClientID = "" },
		"client_secrets:":    func(c *Config) { c.ClientSecrets = nil },
		"client_secrets[0]:": func(c *Config) { c.ClientSecrets = []connectors.Secret{{}} },
		"alg: \"HS256\"":     func(c *Config) { c.Alg = "HS256" },
		"alg: \"none\"":      func(c *Config) { c.Alg = "none" },
		"client_key:":        func(c *Config) { c.ClientSecrets, c.ClientKey = nil, connectors.NewSecret("not a key") },
	} {
		c := good
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestATokenIsUsedUntilTenSecondsBeforeItsEnd(t *testing.T) {
	t.Parallel()
	seconds := func(n int64) *int64 { return &n }
	for want, life := range map[time.Duration]*int64{
		50 * time.Second: seconds(60), 20 * time.Second: seconds(30), 0: seconds(5),
	} {
		if got := (tokens{ExpiresIn: life}).use(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if got := (tokens{}).use(); got != tokenUse {
		t.Errorf("without expires_in: %s", got)
	}
	if got := (tokens{ExpiresIn: seconds(1 << 62)}).use(); got != tokenUse {
		t.Errorf("a very long life: %s", got)
	}
	if got := (tokens{ExpiresIn: seconds(-1)}).use(); got != 0 {
		t.Errorf("a negative life: %s", got)
	}
}

// PKCE is for another provider: FranceConnect keeps her on a page of its own.
func TestPKCEIsOffForFranceConnect(t *testing.T) {
	t.Parallel()
	b := open(t)
	p := b.dial(func(c *Config) { c.PKCE = true })
	address, err := p.Authorize(t.Context(), asked)
	if err != nil {
		t.Fatal(err)
	}
	if resp := newVisitor(t).get(t, address); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("%s", resp.Status)
	}
}

func TestAClientProvesItselfWithAKeyWhereOneIsSet(t *testing.T) {
	t.Parallel()
	b := open(t)
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	key, err := jose.ParsePrivatePEM(text, "client-2026")
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.Public().JWK()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.site.AddClient(franceconnecttest.Client{
		ID: clientID, RedirectURIs: []string{callback}, PublicJWK: string(public),
	}); err != nil {
		t.Fatal(err)
	}
	b.refused(b.depart(), connectors.Unauthorized, nil) // the secret is not taken any more
	b.Provider = b.dial(func(c *Config) {
		c.ClientSecrets, c.ClientKey, c.ClientKeyID = nil, connectors.NewSecret(string(text)), "client-2026"
	})
	if _, err := b.Exchange(t.Context(), b.depart()); err != nil {
		t.Error(err)
	}
}

func FuzzAnswers(f *testing.F) {
	f.Add([]byte(`{"access_token":"a","id_token":"b","token_type":"Bearer","expires_in":60}`))
	f.Add([]byte(`{"error":"invalid_grant","error_uri":"https://docs.example/?code=Y049E20B&id=1"}`))
	f.Add([]byte(`{"family_name":"A","given_name":"B C","birthdate":"1987-03-14","gender":"female","birthplace":"2A004","birthcountry":"99100"}`))
	f.Add([]byte(`{"expires_in":1e30}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if got, reason := readTokens(body); reason == "" && (got.IDToken == "" || got.AccessToken == "" || got.use() < 0 || got.use() > tokenUse) {
			t.Errorf("%+v", got)
		}
		code, id := support(string(body))
		if len(code) > 64 || len(id) > 64 {
			t.Errorf("%q %q", code, id)
		}
		err := explain(&outbound.Answer{Status: 400, Body: body}, &connectors.Error{Class: connectors.Rejected})
		var e *connectors.Error
		if !errors.As(err, &e) || len(e.Detail) > connectors.MaxDetail {
			t.Errorf("%v", err)
		}
		var said pivot
		if json.Unmarshal(body, &said) != nil {
			return
		}
		if who, fault := said.identity(); fault == "" && (who.FamilyName == "" || len(who.GivenNames) == 0 || len(who.BirthDate) != 10) {
			t.Errorf("%+v", who)
		}
	})
}

func TestHealthAsksAtMostOnceInThirtySeconds(t *testing.T) {
	t.Parallel()
	b := open(t)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := b.Health(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if d, k := b.site.Count(discoveryAt), b.site.Count(keysAt); d != 1 || k != 1 {
		t.Errorf("%d and %d calls", d, k)
	}
	b.site.Inject(partnertest.Status(keysAt, 500))
	b.clock.Advance(31 * time.Second)
	if _, err := b.Health(t.Context()); !connectors.Is(err, connectors.Temporary) {
		t.Errorf("%v", err)
	}
}

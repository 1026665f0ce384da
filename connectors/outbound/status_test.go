package outbound

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/passerelle-hub/passerelle/connectors"
)

func answer(code int, contentType string, header ...string) *http.Response {
	h := http.Header{}
	if contentType != "" {
		h.Set("Content-Type", contentType)
	}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{StatusCode: code, Header: h}
}

func TestStatusErrorSaysWhatToDoNext(t *testing.T) {
	t.Parallel()
	const json, html = "application/json", "text/html; charset=utf-8"
	for name, c := range map[string]struct {
		resp   *http.Response
		body   string
		class  connectors.Class
		after  time.Duration
		detail string
	}{
		"429 with seconds":                {answer(429, json, "Retry-After", "120"), `{"message":"slow down"}`, connectors.RateLimited, 2 * time.Minute, "slow down"},
		"429 with a date":                 {answer(429, "", "Date", "Fri, 21 Nov 2025 10:00:00 GMT", "Retry-After", "Fri, 21 Nov 2025 10:00:30 GMT"), "", connectors.RateLimited, 30 * time.Second, "no body"},
		"429 with a date that is past":    {answer(429, "", "Date", "Fri, 21 Nov 2025 10:00:00 GMT", "Retry-After", "Fri, 21 Nov 2025 09:00:00 GMT"), "", connectors.RateLimited, 0, "no body"},
		"429 with a reset in seconds":     {answer(429, json, "RateLimit-Reset", "7"), `{}`, connectors.RateLimited, 7 * time.Second, "a JSON answer without a message"},
		"429 with a reset as a Unix time": {answer(429, json, "Date", "Fri, 21 Nov 2025 10:00:00 GMT", "X-RateLimit-Reset", "1763719260"), `{}`, connectors.RateLimited, time.Minute, "a JSON answer without a message"},
		"429 with an absurd delay":        {answer(429, json, "Retry-After", "99999999999999"), `{}`, connectors.RateLimited, MaxRetryAfter, "a JSON answer without a message"},
		"429 without a delay":             {answer(429, json), `{}`, connectors.Temporary, 0, "a JSON answer without a message"},
		"429 with a delay nobody reads":   {answer(429, json, "Retry-After", "soon"), `{}`, connectors.Temporary, 0, "a JSON answer without a message"},
		"500":                             {answer(500, json), `{"message":"boom","http_status":500}`, connectors.Temporary, 0, "boom"},
		"an HTML page of a proxy":         {answer(502, html), "<html><head><title>Service  indisponible</title></head></html>", connectors.Temporary, 0, "an HTML page instead of JSON: Service indisponible"},
		"408":                             {answer(408, ""), "", connectors.Temporary, 0, "no body"},
		"401":                             {answer(401, json), `{"error":"invalid_client","error_description":"no"}`, connectors.Unauthorized, 0, "invalid_client: no"},
		"403 in plain text":               {answer(403, "text/plain"), "Forbidden\n", connectors.Unauthorized, 0, "Forbidden"},
		"404 of the partner itself":       {answer(404, json), `{"message":"Application [x] cannot be found","technicalCode":"application.notFound"}`, connectors.NotFound, 0, "application.notFound: Application [x] cannot be found"},
		"404 of a wrong path":             {answer(404, html), "<html><title>404</title>", connectors.Rejected, 0, "an HTML page instead of JSON: 404"},
		"404 without a body":              {answer(404, ""), "", connectors.Rejected, 0, "no body"},
		"404 with half of a JSON body":    {answer(404, json), `{"message":"Appl`, connectors.Rejected, 0, `{"message":"Appl`},
		"409":                             {answer(409, json), `{"code":5,"name":"unique constraint violation","message":"UNIQUE violation","fields":{"custom_id":"dp-1"}}`, connectors.Conflict, 0, "5: unique constraint violation: UNIQUE violation: custom_id dp-1"},
		"400 in plain text":               {answer(400, "text/plain"), "You are not allowed to provide a custom API Key", connectors.Rejected, 0, "You are not allowed to provide a custom API Key"},
		"422 with errors":                 {answer(422, json), `{"errors":[{"title":"Invalid","detail":"bad siret"}]}`, connectors.Rejected, 0, "Invalid: bad siret"},
		"302":                             {answer(302, "", "Location", "https://login.example/?token=x"), "", connectors.Rejected, 0, "a redirect, which is not followed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := StatusError("demo", "issue", c.resp, []byte(c.body))
			if e.Class != c.class || e.After != c.after || e.Detail != c.detail || e.Status != c.resp.StatusCode {
				t.Errorf("%s after %s status %d detail %q, want %s after %s detail %q", e.Class, e.After, e.Status, e.Detail, c.class, c.after, c.detail)
			}
		})
	}
}

func TestRedactRemovesWhatMustNotBeKept(t *testing.T) {
	t.Parallel()
	secret := connectors.NewSecret(`s3cr/t "q" +x`)
	for name, c := range map[string]struct{ text, want string }{
		"ordinary words stay":                {"Plan dp-1234 of API 5a7d1c90-2222-4333-8444-555566667777 is closed", "Plan dp-1234 of API 5a7d1c90-2222-4333-8444-555566667777 is closed"},
		"a registered secret":                {`value s3cr/t "q" +x refused`, "value [redacted] refused"},
		"a registered secret, as JSON":       {`{"v":"s3cr/t \"q\" +x"}`, `{"v":"[redacted]"}`},
		"a registered secret, in a query":    {"x=s3cr%2Ft+%22q%22+%2Bx.", "x=[redacted]."},
		"a registered secret, in base64":     {"czNjci90ICJxIiAreA==", "[redacted]"},
		"a bearer token":                     {"Authorization: Bearer abc.def-123 refused", "Authorization: Bearer [redacted] refused"},
		"basic credentials":                  {"basic dXNlcjpwdw==", "basic [redacted]"},
		"a JWT":                              {"token eyJhbGciOi.eyJzdWIi.sig_x end", "token [redacted] end"},
		"a client key":                       {"API key psk_test_7Qm2Zr9LxT4cVb8NwKd3Hs6YpFjG1a240k77 exists", "API key [redacted] exists"},
		"a webhook secret":                   {"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw=", "[redacted]"},
		"a DataPass webhook secret":          {strings.Repeat("ab", 32), "[redacted]"},
		"an e-mail address":                  {"550 <jean.d'ürsel+x@mairie-valfleury.example>: unknown", "550 <[redacted]>: unknown"},
		"an e-mail address in a query":       {"to=jean%40mairie.example", "to=[redacted]"},
		"a phone number":                     {"call 04 65 71 00 20 or +33465710020", "call [redacted] or [redacted]"},
		"a NIR":                              {"nir 2 85 05 78 006 084 36", "nir [redacted]"},
		"a time in milliseconds stays":       {"created_at 1767262800000", "created_at 1767262800000"},
		"a SIRET stays":                      {"siret 21380999900013", "siret 21380999900013"},
		"a query string":                     {"see https://a.example/p?key=v&x=1 now", "see https://a.example/p?[redacted] now"},
		"a password in a URL":                {"at http://u:p@proxy.example:80/", "at http://[redacted]@proxy.example:80/"},
		"a password by its name":             {`password=hunter2, "client_secret": "abc"`, `password=[redacted], "client_secret": "[redacted]"`},
		"line breaks and control characters": {"a\r\n\tb\x00c", "a b c"},
		"bytes that are not UTF-8":           {"caf\xe9", "caf\uFFFD"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := Redact(c.text, secret); got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

func TestRedactProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.StringMatching(`[A-Za-z0-9_+/=" %-]{8,60}`).Draw(t, "secret")
		before, after := rapid.String().Draw(t, "before"), rapid.String().Draw(t, "after")
		filler := strings.Repeat("mot ", rapid.IntRange(0, 6000).Draw(t, "filler"))
		got := Redact(before+" "+value+" "+filler+after, connectors.NewSecret(value))
		if strings.Contains(got, value) {
			t.Fatalf("the secret %q is in %q", value, got)
		}
		if len(got) > connectors.MaxDetail || !utf8.ValidString(got) {
			t.Fatalf("%d bytes, valid %t", len(got), utf8.ValidString(got))
		}
		if again := Redact(got, connectors.NewSecret(value)); again != got {
			t.Fatalf("not stable: %q then %q", got, again)
		}
	})
}

func FuzzStatusError(f *testing.F) {
	f.Add(500, "application/json", "30", []byte(`{"message":"x"}`))
	f.Add(429, "text/html", "Fri, 21 Nov 2025 10:00:30 GMT", []byte("<title>x"))
	f.Fuzz(func(t *testing.T, code int, contentType, retryAfter string, body []byte) {
		e := StatusError("demo", "op", answer(code, contentType, "Retry-After", retryAfter), body)
		if len(e.Detail) > connectors.MaxDetail || !utf8.ValidString(e.Detail) {
			t.Errorf("detail of %d bytes", len(e.Detail))
		}
		if e.After < 0 || e.After > MaxRetryAfter || (e.After > 0 && e.Class != connectors.RateLimited) {
			t.Errorf("after %s with %s", e.After, e.Class)
		}
	})
}

func TestErrorClassOfUnknownErrors(t *testing.T) {
	t.Parallel()
	if got := ErrorClass(errors.New("who knows")); got != ClassReset {
		t.Error(got)
	}
	if ErrorClass(nil) != "" || Explain(nil) != "" {
		t.Error("nil is no error")
	}
	if e := TransportError("demo", "op", errors.New("http://u:pw@x.example/?q=1 broke")); e.Class != connectors.Temporary || strings.Contains(e.Detail, "pw") {
		t.Errorf("%v", e)
	}
}

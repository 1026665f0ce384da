package outbound

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/connectors"
)

func partner(t *testing.T, s Settings) *Client {
	t.Helper()
	c, err := Partner("demo", s, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdle)
	return c
}

func request(t *testing.T, ctx context.Context, method, url, body string) *http.Request {
	t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, reader)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// script answers each attempt with the next step, the last one for ever, and
// counts the attempts.
func script(t *testing.T, steps ...http.HandlerFunc) (url string, attempts *atomic.Int32) {
	t.Helper()
	attempts = new(atomic.Int32)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := int(attempts.Add(1)) - 1
		steps[min(n, len(steps)-1)](w, r)
	}))
	t.Cleanup(srv.Close)
	return srv.URL, attempts
}

func status(code int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
	}
}

func reset(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

func halfBody(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "100")
	_, _ = io.WriteString(w, `{"id":"`)
}

func TestPartnerRepeatsOnlyWhatIsSafeAndQuick(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		method   string
		mark     func(context.Context) context.Context
		steps    []http.HandlerFunc
		attempts int32
		status   int // 0: an error
	}{
		"a GET that meets 500 then 200 succeeds":                {"GET", nil, []http.HandlerFunc{status(500), status(200)}, 2, 200},
		"a PUT is sent three times at most":                     {"PUT", nil, []http.HandlerFunc{status(503)}, 3, 503},
		"a DELETE whose connection is reset is repeated":        {"DELETE", nil, []http.HandlerFunc{reset, status(204)}, 2, 204},
		"a GET cut in the middle of its answer is repeated":     {"GET", nil, []http.HandlerFunc{halfBody, status(200)}, 2, 200},
		"a POST is never repeated":                              {"POST", nil, []http.HandlerFunc{status(503)}, 1, 503},
		"a POST whose answer is lost is never repeated":         {"POST", nil, []http.HandlerFunc{reset}, 1, 0},
		"a PATCH is never repeated":                             {"PATCH", nil, []http.HandlerFunc{status(502)}, 1, 502},
		"a POST that the caller marks is repeated":              {"POST", Repeatable, []http.HandlerFunc{status(502), status(201)}, 2, 201},
		"a PUT that the caller marks as once is not repeated":   {"PUT", Once, []http.HandlerFunc{status(502)}, 1, 502},
		"a 429 is left to the queue":                            {"GET", nil, []http.HandlerFunc{status(429)}, 1, 429},
		"a 503 that names its delay is left to the queue":       {"GET", nil, []http.HandlerFunc{status(503, "Retry-After", "30")}, 1, 503},
		"a 501 is not repeated":                                 {"GET", nil, []http.HandlerFunc{status(501)}, 1, 501},
		"a 404 is not repeated":                                 {"GET", nil, []http.HandlerFunc{status(404)}, 1, 404},
		"an answer that stays broken ends as a transport error": {"GET", nil, []http.HandlerFunc{halfBody}, 3, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, attempts := script(t, c.steps...)
			ctx := t.Context()
			if c.mark != nil {
				ctx = c.mark(ctx)
			}
			resp, err := partner(t, Settings{}).Do(request(t, ctx, c.method, url, "body"))
			if (err != nil) != (c.status == 0) {
				t.Fatalf("error %v, want status %d", err, c.status)
			}
			if err == nil && resp.StatusCode != c.status {
				t.Errorf("status %d, want %d", resp.StatusCode, c.status)
			}
			if got := attempts.Load(); got != c.attempts {
				t.Errorf("%d attempts, want %d", got, c.attempts)
			}
		})
	}
}

func TestPartnerSendsTheWholeBodyAgain(t *testing.T) {
	t.Parallel()
	var bodies []string
	keep := func(next http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			bodies = append(bodies, string(body))
			next(w, r)
		}
	}
	url, _ := script(t, keep(status(500)), keep(status(200)))
	if _, err := partner(t, Settings{}).Do(request(t, t.Context(), "PUT", url, `{"a":1}`)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{`{"a":1}`, `{"a":1}`}, bodies); diff != "" {
		t.Error(diff)
	}
}

func TestPartnerWithoutRetriesSendsOnce(t *testing.T) {
	t.Parallel()
	url, attempts := script(t, status(500))
	none := 0
	if _, err := partner(t, Settings{Retries: &none}).Do(request(t, t.Context(), "GET", url, "")); err != nil {
		t.Fatal(err)
	}
	if attempts.Load() != 1 {
		t.Errorf("%d attempts", attempts.Load())
	}
}

func TestPartnerHeaders(t *testing.T) {
	t.Parallel()
	var got *http.Request
	url, _ := script(t, func(_ http.ResponseWriter, r *http.Request) { got = r })
	c := partner(t, Settings{Host: "gateway.internal.example"})
	ctx := connectors.WithCorrelation(t.Context(), "corr-1")
	req := request(t, ctx, "GET", url, "")
	if _, err := c.Do(req); err != nil {
		t.Fatal(err)
	}
	if got.Header.Get("X-Correlation-ID") != "corr-1" || got.Host != "gateway.internal.example" || got.UserAgent() != UserAgent {
		t.Errorf("correlation %q, host %q, agent %q", got.Header.Get("X-Correlation-ID"), got.Host, got.UserAgent())
	}
	if len(req.Header) != 0 {
		t.Errorf("the caller's request was changed: %v", req.Header)
	}
}

func TestPartnerFollowsNoRedirect(t *testing.T) {
	t.Parallel()
	url, attempts := script(t, status(302, "Location", "/elsewhere"), status(200))
	resp, err := partner(t, Settings{}).Do(request(t, t.Context(), "GET", url, ""))
	if err != nil || resp.StatusCode != 302 || attempts.Load() != 1 {
		t.Errorf("status %v, error %v, %d calls", resp, err, attempts.Load())
	}
}

func TestAnswersAreBounded(t *testing.T) {
	t.Parallel()
	long := func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, strings.Repeat("x", 300)) }
	url, attempts := script(t, long)
	c := partner(t, Settings{MaxBody: 200})
	_, err := c.Do(request(t, t.Context(), "GET", url, ""))
	if ErrorClass(err) != ClassTooLarge || attempts.Load() != 1 {
		t.Errorf("error %v after %d attempts", err, attempts.Load())
	}
	resp, err := c.Do(request(t, Truncated(t.Context(), 50), "GET", url, ""))
	if err != nil {
		t.Fatal(err)
	}
	if body, _ := io.ReadAll(resp.Body); len(body) != 50 {
		t.Errorf("%d bytes kept", len(body))
	}
	url, _ = script(t, status(200, "X-Long", strings.Repeat("x", maxHeader+1)))
	if _, err := c.Do(request(t, t.Context(), "GET", url, "")); ErrorClass(err) != ClassTooLarge {
		t.Errorf("headers: %v", err)
	}
}

func TestEveryPhaseHasItsLimit(t *testing.T) {
	t.Parallel()
	const limit = 50 * time.Millisecond
	release := make(chan struct{})
	hang := func(http.ResponseWriter, *http.Request) { <-release }
	drip := func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-release
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts, never speaks TLS
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	hangURL, _ := script(t, hang)
	dripURL, _ := script(t, drip)
	t.Cleanup(func() { close(release) }) // before the servers close
	for name, c := range map[string]struct {
		url      string
		timeouts Timeouts
		class    string
	}{
		"no status line within the first-byte limit": {hangURL, Timeouts{FirstByte: limit}, ClassTimeout},
		"no status line within the total limit":      {hangURL, Timeouts{Total: limit}, ClassTimeout},
		"a body that never ends":                     {dripURL, Timeouts{Total: limit}, ClassTimeout},
		"no handshake within the TLS limit":          {"https://" + silent.Addr().String(), Timeouts{TLS: limit}, ClassTLS},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := partner(t, Settings{Timeouts: c.timeouts}).Do(request(t, t.Context(), "GET", c.url, ""))
			if got := ErrorClass(err); got != c.class {
				t.Errorf("class %q (%v), want %q", got, err, c.class)
			}
		})
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestTheBreakerOpensTriesOneAndCloses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		answer, calls := 503, 0
		rt := roundTrip(func(*http.Request) (*http.Response, error) {
			calls++
			return &http.Response{StatusCode: answer, Header: http.Header{}, Body: http.NoBody}, nil
		})
		c := &Client{
			name: "demo", timeouts: Timeouts{Total: time.Minute}, http: newHTTPClient(&bounded{next: rt, max: 10}),
			breaker: newBreaker("demo", Breaker{Failures: 3, OpenFor: 10 * time.Second}, zerolog.Nop()), log: zerolog.Nop(),
		}
		send := func() error {
			_, err := c.Do(request(t, t.Context(), "POST", "http://demo.example/", ""))
			return err
		}
		for range 3 {
			if err := send(); err != nil {
				t.Fatal(err)
			}
		}
		if err := send(); !errors.Is(err, ErrCircuitOpen) || calls != 3 || c.Circuit() != "open" {
			t.Fatalf("after 3 failures: %v, %d calls, %s", err, calls, c.Circuit())
		}
		if e := TransportError("demo", "issue", send()); e.Class != connectors.Temporary || e.Detail == "" {
			t.Errorf("open circuit: %v", e)
		}
		time.Sleep(11 * time.Second)
		if err := send(); err != nil || c.Circuit() != "open" { // the one trial failed
			t.Fatalf("trial: %v, %s", err, c.Circuit())
		}
		time.Sleep(11 * time.Second)
		answer = 200
		if err := send(); err != nil || c.Circuit() != "closed" {
			t.Fatalf("trial: %v, %s", err, c.Circuit())
		}
	})
}

func TestTheBreakerCountsOnlyWhatSaysThePartnerIsDown(t *testing.T) {
	t.Parallel()
	for name, steps := range map[string]http.HandlerFunc{
		"refusals leave it closed":                     status(422),
		"a 500 of one request leaves it closed":        status(500),
		"an answer that is too large leaves it closed": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, strings.Repeat("x", 50)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, _ := script(t, steps)
			c := partner(t, Settings{MaxBody: 20, Breaker: Breaker{Failures: 2}})
			for range 4 {
				_, _ = c.Do(request(t, t.Context(), "POST", url, ""))
			}
			if c.Circuit() != "closed" {
				t.Error(c.Circuit())
			}
		})
	}
}

func TestOneLogEventPerCallWithoutPathQueryOrBody(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	url, _ := script(t, status(500), status(200))
	c, err := Partner("demo", Settings{}, zerolog.New(&log))
	if err != nil {
		t.Fatal(err)
	}
	ctx := WithRoute(connectors.WithCorrelation(t.Context(), "corr-1"), "/keys/{key}")
	if _, err := c.Do(request(t, ctx, "PUT", url+"/keys/psk_secret?q=secretquery", "secretbody")); err != nil {
		t.Fatal(err)
	}
	line := log.String()
	if strings.Count(line, "\n") != 1 || strings.Contains(line, "secret") {
		t.Errorf("log: %s", line)
	}
	for _, want := range []string{`"route":"/keys/{key}"`, `"method":"PUT"`, `"status":200`, `"attempts":2`, `"correlation_id":"corr-1"`, `"duration":`, `"partner":"demo"`} {
		if !strings.Contains(line, want) {
			t.Errorf("log lacks %s: %s", want, line)
		}
	}
	log.Reset()
	_, err = c.Do(request(t, t.Context(), "POST", "http://127.0.0.1:"+strconv.Itoa(freePort(t))+"/secret", ""))
	if err == nil || !strings.Contains(log.String(), `"error_class":"refused"`) || strings.Contains(log.String(), "secret") {
		t.Errorf("error %v, log %s", err, log.String())
	}
}

// freePort is a port where nobody listens.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

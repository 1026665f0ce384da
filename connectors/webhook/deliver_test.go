package webhook

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
)

func deliverer(t *testing.T, s outbound.PublicSettings, log io.Writer) *Deliverer {
	t.Helper()
	client, err := outbound.Public(s, zerolog.New(log))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdle)
	return New(client)
}

var loopback = outbound.PublicSettings{Allow: []string{"127.0.0.0/8"}}

func receiver(t *testing.T, handler http.HandlerFunc) (url string, calls *atomic.Int32) {
	t.Helper()
	calls = new(atomic.Int32)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		handler(w, r)
	}))
	t.Cleanup(srv.Close)
	return srv.URL, calls
}

func TestADeliveryArrivesAsItWasSignedAndVerifies(t *testing.T) {
	t.Parallel()
	k := key(t, goldenHex)
	url, _ := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if _, err := Verify(r.Header, body, []Key{k}, time.Now(), Tolerance); err != nil {
			t.Error(err)
		}
		if r.Method != http.MethodPost || r.URL.RawQuery != "k=v" || r.Header.Get("X-App-Environment") != "sandbox" {
			t.Errorf("%s %s %v", r.Method, r.URL, r.Header)
		}
		w.Header().Set("Retry-After", "7")
		w.Header().Set("webhook-delivery", "disable")
		w.Header().Set("Set-Cookie", "session=secret")
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"token_id":"x"}`)
	})
	body := []byte("{\"a\": \"é\"}\n")
	var log bytes.Buffer
	got := deliverer(t, loopback, &log).Deliver(t.Context(), connectors.Delivery{
		URL: url + "/hook?k=v", Body: body,
		Header: Headers(Message{ID: goldenID, At: time.Now(), Attempt: 1, Environment: "sandbox", Body: body}, []Key{k}, nil),
	})
	if got.Status != 201 || got.ErrorClass != "" || string(got.Body) != `{"token_id":"x"}` || got.Duration <= 0 {
		t.Errorf("%+v", got)
	}
	if "http://"+got.RemoteAddr != url {
		t.Errorf("address %s, dialled %s", got.RemoteAddr, url)
	}
	delete(got.Header, "Date")
	if diff := cmp.Diff(map[string]string{"Content-Type": "text/plain; charset=utf-8", "Retry-After": "7", "Webhook-Delivery": "disable"}, got.Header); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(log.String(), "hook?") || strings.Contains(log.String(), "k=v") {
		t.Errorf("the log shows the URL: %s", log.String())
	}
}

func TestDeliverySaysWhatTheReceiverDid(t *testing.T) {
	t.Parallel()
	reset := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	hang := func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // else the server never sees the client leave
		<-r.Context().Done()
	}
	endless := func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(bytes.Repeat([]byte("x"), 1000)); err != nil {
				return
			}
		}
	}
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		status  int
		class   string
		body    int
	}{
		"a refusal is an answer":                 {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(410) }, 410, "", 0},
		"a redirect is an answer, not followed":  {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/again", 307) }, 307, "", 0},
		"a failure is not repeated here":         {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, 503, "", 0},
		"a body longer than what is kept is cut": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 50_000)) }, 200, "", connectors.MaxAnswer},
		"a body without end is cut":              {endless, 200, "", connectors.MaxAnswer},
		"a connection reset before the answer":   {reset, 0, outbound.ClassReset, 0},
		"an answer cut in the middle is no answer": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "99")
			_, _ = w.Write([]byte("half"))
		}, 0, outbound.ClassReset, 0},
		"no answer in time":   {hang, 0, outbound.ClassTimeout, 0},
		"headers without end": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<17)) }, 0, outbound.ClassTooLarge, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, calls := receiver(t, c.handler)
			s := loopback
			s.Timeouts = outbound.Timeouts{Total: 300 * time.Millisecond}
			got := deliverer(t, s, io.Discard).Deliver(t.Context(), connectors.Delivery{URL: url + "/?token=abcd1234", Body: []byte("{}")})
			if got.ErrorClass != c.class || (c.class == "" && (got.Status != c.status || len(got.Body) < c.body && c.body > 0)) {
				t.Errorf("status %d class %q, %d bytes: %s", got.Status, got.ErrorClass, len(got.Body), got.Error)
			}
			if len(got.Body) > connectors.MaxAnswer || calls.Load() != 1 {
				t.Errorf("%d bytes kept, %d calls", len(got.Body), calls.Load())
			}
			if c.class != "" && (got.Status != 0 || got.Error == "" || strings.Contains(got.Error, "abcd1234")) {
				t.Errorf("status %d, error %q", got.Status, got.Error)
			}
		})
	}
}

func TestDeliveryNamesWhatWentWrongOnTheWay(t *testing.T) {
	t.Parallel()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := closed.Addr().String()
	_ = closed.Close()
	plain, _ := receiver(t, func(http.ResponseWriter, *http.Request) {})
	self := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(self.Close)
	for name, c := range map[string]struct{ url, class string }{
		"nobody listens":                 {"http://" + nobody, outbound.ClassRefused},
		"a name that does not exist":     {"https://receiver.invalid/", outbound.ClassDNS},
		"a certificate nobody knows":     {self.URL, outbound.ClassTLS},
		"plain HTTP where TLS is spoken": {"https://" + strings.TrimPrefix(plain, "http://"), outbound.ClassTLS},
		"a private address":              {"https://10.0.0.1/hook", outbound.ClassBlocked},
		"plain HTTP":                     {"http://93.184.216.34/", outbound.ClassBlocked},
		"a URL that cannot be read":      {"https://receiver.example/%zz?token=abcd1234", outbound.ClassInvalidURL},
		"another scheme":                 {"ftp://receiver.example/", outbound.ClassInvalidURL},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := deliverer(t, loopback, io.Discard).Deliver(t.Context(), connectors.Delivery{URL: c.url, Body: []byte("{}")})
			if got.ErrorClass != c.class || got.Status != 0 || got.Error == "" || strings.Contains(got.Error, "abcd1234") {
				t.Errorf("%+v, want %s", got, c.class)
			}
		})
	}
}

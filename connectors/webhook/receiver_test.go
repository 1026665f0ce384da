package webhook

import (
	"crypto/ed25519"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/connectors/webhook/webhooktest"
)

// provider runs a receiver that shares no code with what signs.
func provider(t *testing.T, opts webhooktest.Options) *webhooktest.Server {
	t.Helper()
	srv, err := webhooktest.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = srv.Close() })
	return srv
}

func listen(t *testing.T, srv *webhooktest.Server) string {
	t.Helper()
	url, err := srv.Start("")
	if err != nil {
		t.Fatal(err)
	}
	return url
}

func signed(url string, private ed25519.PrivateKey, keys ...Key) connectors.Delivery {
	body := []byte(goldenBody)
	return connectors.Delivery{URL: url, Body: body, Header: Headers(
		Message{ID: goldenID, At: time.Now(), Attempt: 3, Environment: "production", Body: body}, keys, private)}
}

func TestAProviderVerifiesWhatWeSign(t *testing.T) {
	t.Parallel()
	old, fresh := NewKey(), NewKey()
	private := privateKey(t)
	public := FormatPublicKey(private.Public().(ed25519.PublicKey))
	for name, c := range map[string]struct {
		opts  webhooktest.Options
		keys  []Key
		valid bool
	}{
		"both dialects, hexadecimal secret":   {webhooktest.Options{Secrets: []string{old.Hex().Reveal()}}, []Key{old}, true},
		"both dialects, whsec_ secret":        {webhooktest.Options{Secrets: []string{old.Whsec().Reveal()}}, []Key{old}, true},
		"a rotation, the provider has both":   {webhooktest.Options{Secrets: []string{old.Hex().Reveal(), fresh.Hex().Reveal()}}, []Key{old, fresh}, true},
		"DataPass, before the provider turns": {webhooktest.Options{Secrets: []string{old.Hex().Reveal()}, Dialect: webhooktest.DataPassOnly}, []Key{old, fresh}, true},
		"standard, after the provider turned": {webhooktest.Options{Secrets: []string{fresh.Whsec().Reveal()}, Dialect: webhooktest.StandardOnly}, []Key{old, fresh}, true},
		"v1a with the public key alone":       {webhooktest.Options{PublicKeys: []string{public}, Dialect: webhooktest.StandardOnly}, nil, true},
		"another secret":                      {webhooktest.Options{Secrets: []string{NewKey().Hex().Reveal()}}, []Key{old, fresh}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := provider(t, c.opts)
			result := deliverer(t, loopback, io.Discard).Deliver(t.Context(), signed(listen(t, srv), private, c.keys...))
			arrived := srv.Deliveries()
			if len(arrived) != 1 || arrived[0].Valid != c.valid || arrived[0].Attempt != 3 || arrived[0].ID != goldenID {
				t.Fatalf("%+v", arrived)
			}
			want := http.StatusOK
			if !c.valid {
				want = http.StatusUnauthorized
			}
			if result.Status != want {
				t.Errorf("%+v", result)
			}
		})
	}
}

func TestProvidersThatMisbehave(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		misbehaviour webhooktest.Misbehaviour
		status       int
		class        string
	}{
		"a body without end is cut":       {webhooktest.Misbehaviour{Kind: webhooktest.StreamForever}, 200, ""},
		"a gzip bomb is not unpacked":     {webhooktest.Misbehaviour{Kind: webhooktest.GzipBomb}, 200, ""},
		"a body that drips is no answer":  {webhooktest.Misbehaviour{Kind: webhooktest.Drip, Every: time.Millisecond}, 0, outbound.ClassTimeout},
		"half a body is no answer":        {webhooktest.Misbehaviour{Kind: webhooktest.HalfBody}, 0, outbound.ClassReset},
		"headers without end are refused": {webhooktest.Misbehaviour{Kind: webhooktest.HugeHeader}, 0, outbound.ClassTooLarge},
		"a redirect inside is not followed": {
			webhooktest.Misbehaviour{Kind: webhooktest.Redirect, Location: "http://169.254.169.254/latest/meta-data"}, 307, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := NewKey()
			srv := provider(t, webhooktest.Options{Secrets: []string{k.Hex().Reveal()}})
			srv.Misbehave(c.misbehaviour)
			s := loopback
			s.Timeouts.Total = time.Second
			result := deliverer(t, s, io.Discard).Deliver(t.Context(), signed(listen(t, srv), nil, k))
			if result.Status != c.status || result.ErrorClass != c.class || len(result.Body) > connectors.MaxAnswer {
				t.Errorf("status %d class %q, %d bytes", result.Status, result.ErrorClass, len(result.Body))
			}
			if n := len(srv.Deliveries()); n != 1 {
				t.Errorf("delivered %d times", n)
			}
		})
	}
}

func TestOneDeliveryIsOneAttemptWhateverGoesWrong(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault   partnertest.Fault
		class   string
		arrived int
	}{
		"reset before the work":  {partnertest.ResetBefore(""), outbound.ClassReset, 0},
		"reset after the work":   {partnertest.ResetAfter(""), outbound.ClassReset, 1},
		"half of the answer":     {partnertest.HalfBody(""), outbound.ClassReset, 1},
		"no answer":              {partnertest.Hang(""), outbound.ClassTimeout, 0},
		"500":                    {partnertest.Status("", 500), "", 0},
		"429 with a delay":       {partnertest.RateLimited("", time.Minute), "", 0},
		"a slow answer in time":  {partnertest.Delay("", 20*time.Millisecond), "", 1},
		"a page of some machine": {partnertest.HTML("", 200), "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := NewKey()
			srv := provider(t, webhooktest.Options{Secrets: []string{k.Hex().Reveal()}})
			srv.Inject(c.fault)
			s := loopback
			s.Timeouts.Total = 500 * time.Millisecond
			result := deliverer(t, s, io.Discard).Deliver(t.Context(), signed(listen(t, srv), nil, k))
			if result.ErrorClass != c.class || (result.Status == 0) != (c.class != "") {
				t.Errorf("%+v", result)
			}
			if n := len(srv.Deliveries()); n != c.arrived || srv.Count("") != 1 {
				t.Errorf("arrived %d times in %d calls", n, srv.Count(""))
			}
			if c.fault.Status == http.StatusTooManyRequests && result.Header["Retry-After"] != "60" {
				t.Errorf("headers %v", result.Header)
			}
		})
	}
}

func TestCertificatesOfProviders(t *testing.T) {
	t.Parallel()
	for _, certificate := range []webhooktest.Certificate{
		webhooktest.Good, webhooktest.Expired, webhooktest.WrongHost, webhooktest.SelfSigned,
	} {
		t.Run(string(certificate), func(t *testing.T) {
			t.Parallel()
			k := NewKey()
			srv := provider(t, webhooktest.Options{Secrets: []string{k.Hex().Reveal()}})
			url, err := srv.StartTLS("", certificate)
			if err != nil {
				t.Fatal(err)
			}
			s := loopback
			if s.Roots, err = srv.RootCAs(); err != nil {
				t.Fatal(err)
			}
			result := deliverer(t, s, io.Discard).Deliver(t.Context(), signed(url, nil, k))
			if good := certificate == webhooktest.Good; (result.Status == 200) != good || (result.ErrorClass == outbound.ClassTLS) == good {
				t.Errorf("%+v", result)
			}
		})
	}
}

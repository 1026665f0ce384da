package outbound

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log" //nolint:depguard // the type that net/http takes
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/passerelle-hub/passerelle/connectors"
)

func writePEM(t *testing.T, name, kind string, der []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func clientCertificate(t *testing.T) (certFile, keyFile string, cert *x509.Certificate) {
	t.Helper()
	return certificateUntil(t, time.Now().Add(time.Hour))
}

func certificateUntil(t *testing.T, end time.Time) (certFile, keyFile string, cert *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "passerelle"}, NotAfter: end,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err = x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return writePEM(t, "client.pem", "CERTIFICATE", der), writePEM(t, "client.key", "EC PRIVATE KEY", keyDER), cert
}

func TestTLSSettings(t *testing.T) {
	t.Parallel()
	certFile, keyFile, cert := clientCertificate(t)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(r.TLS.PeerCertificates[0].Subject.CommonName))
	}))
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	srv.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	caFile := writePEM(t, "ca.pem", "CERTIFICATE", srv.Certificate().Raw)

	get := func(conf TLS) error {
		_, err := partner(t, Settings{TLS: conf}).Do(request(t, t.Context(), "GET", srv.URL, ""))
		return err
	}
	if err := get(TLS{CAFile: caFile, CertFile: certFile, KeyFile: keyFile}); err != nil {
		t.Errorf("with the CA and the client certificate: %v", err)
	}
	if err := get(TLS{CertFile: certFile, KeyFile: keyFile}); ErrorClass(err) != ClassTLS {
		t.Errorf("without the CA: %v", err)
	}
	if err := get(TLS{CAFile: caFile}); ErrorClass(err) != ClassTLS {
		t.Errorf("without the client certificate: %v", err)
	}
	if err := get(TLS{CAFile: caFile, CertFile: certFile, KeyFile: keyFile, ServerName: "other.example"}); ErrorClass(err) != ClassTLS {
		t.Errorf("with another server name: %v", err)
	}
}

func TestACertificateThatHasEndedIsNamedWithItsOwner(t *testing.T) {
	t.Parallel()
	yesterday := time.Now().Add(-24 * time.Hour)
	date := yesterday.UTC().Format("2006-01-02")
	certFile, keyFile, cert := certificateUntil(t, yesterday)
	serve := func(conf *tls.Config) (*httptest.Server, *atomic.Int32) {
		var served atomic.Int32
		srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served.Add(1) }))
		srv.TLS, srv.Config.ErrorLog = conf, log.New(io.Discard, "", 0)
		srv.StartTLS()
		t.Cleanup(srv.Close)
		return srv, &served
	}
	explain := func(url string, conf TLS) string {
		_, err := partner(t, Settings{TLS: conf}).Do(request(t, t.Context(), "GET", url, ""))
		if ErrorClass(err) != ClassTLS {
			t.Errorf("class %q: %v", ErrorClass(err), err)
		}
		e := TransportError("kong-prod", "issue", err)
		if e.Class != connectors.Temporary {
			t.Errorf("%s: a renewed certificate mends it", e.Class)
		}
		return e.Detail
	}
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	theirs, served := serve(&tls.Config{Certificates: []tls.Certificate{pair}})
	if got := explain(theirs.URL, TLS{CAFile: writePEM(t, "ca.pem", "CERTIFICATE", cert.Raw)}); !strings.Contains(got, `the partner's certificate "passerelle" ended on `+date) {
		t.Errorf("theirs: %s", got)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	mutual, reached := serve(&tls.Config{ClientAuth: tls.RequireAnyClientCert, ClientCAs: pool})
	ours := TLS{CAFile: writePEM(t, "ca.pem", "CERTIFICATE", mutual.Certificate().Raw), CertFile: certFile, KeyFile: keyFile}
	if got := explain(mutual.URL, ours); !strings.Contains(got, `our client certificate "passerelle" (tls.cert_file) ended on `+date) {
		t.Errorf("ours: %s", got)
	}
	if n := served.Load() + reached.Load(); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
	if name, end, ok := ours.ClientCertificate(); !ok || name != "passerelle" || end.UTC().Format("2006-01-02") != date {
		t.Errorf("%q, %s, %t", name, end, ok)
	}
	// Renewed under the same names: used without a new client.
	client := partner(t, Settings{TLS: ours})
	if _, err := client.Do(request(t, t.Context(), "GET", mutual.URL, "")); err == nil {
		t.Fatal("an ended certificate was used")
	}
	newCert, newKey, _ := clientCertificate(t)
	for from, to := range map[string]string{newCert: certFile, newKey: keyFile} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := client.Do(request(t, t.Context(), "GET", mutual.URL, "")); err != nil || reached.Load() != 1 {
		t.Errorf("after its renewal: %v", err)
	}
}

func TestSettingsGiveEveryFaultAtOnce(t *testing.T) {
	t.Parallel()
	three := 3
	s := Settings{
		Timeouts: Timeouts{Connect: -1}, MaxBody: -1, Retries: &three, Breaker: Breaker{OpenFor: -1},
		Proxy: connectors.NewSecret("socks5://user:hunter2@proxy.example"),
		TLS:   TLS{CAFile: "/nowhere/ca.pem", CertFile: "/nowhere/cert.pem"},
	}
	err := s.Validate()
	if err == nil {
		t.Fatal("no fault")
	}
	for _, want := range []string{"timeouts.connect", "max_body", "retries", "open_for", "proxy: scheme", "ca_file", "cert_file and key_file"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no fault about %s in %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the proxy's password is shown: %v", err)
	}
}

func TestSettingsReadYAML(t *testing.T) {
	t.Parallel()
	var s Settings
	err := yaml.Unmarshal([]byte("timeouts: {connect: 1s, total: 1m}\nretries: 0\nhost: a.example\nproxy: http://p.example:3128\n"), &s)
	if err != nil {
		t.Fatal(err)
	}
	if s.Timeouts.Connect != time.Second || s.Timeouts.Total != time.Minute || *s.Retries != 0 || s.Proxy.Reveal() != "http://p.example:3128" {
		t.Errorf("%+v", s)
	}
}

package outbound

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
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
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "passerelle"}, NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
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

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log" //nolint:depguard // the type that net/http takes
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// certificate is one in PEM files, its own authority.
type certificate struct{ cert, key string }

func newCertificate(t *testing.T, dir, name string, end time.Time) certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-90 * 24 * time.Hour), NotAfter: end,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	c := certificate{filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")}
	for file, block := range map[string]*pem.Block{c.cert: {Type: "CERTIFICATE", Bytes: der}, c.key: {Type: "EC PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// A manager behind TLS whose certificate has ended, or that asks for ours, which has.
func TestACertificateThatEndsShowsWhereOperatorsLookAndItsRenewalGoesOn(t *testing.T) {
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		theirs, ours time.Duration // until its end
		says         string
	}{
		"the manager's":      {-day, 90 * day, `the partner's certificate "manager" ended on `},
		"our own":            {90 * day, -day, `our client certificate "hub" (tls.cert_file) ended on `},
		"our own, in a week": {90 * day, 7 * day, `our client certificate "hub" (tls.cert_file) ends on `},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := openPartnersOnly(t)
			dir := t.TempDir()
			theirs, ours := newCertificate(t, dir, "manager", time.Now().Add(c.theirs)), newCertificate(t, dir, "hub", time.Now().Add(c.ours))
			raw, err := os.ReadFile(w.settings)
			if err != nil {
				t.Fatal(err)
			}
			plain := w.gravitee.ManagementURL()
			behind, err := url.Parse(plain)
			if err != nil {
				t.Fatal(err)
			}
			front := httptest.NewUnstartedServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(behind) }})
			front.Config.ErrorLog = log.New(io.Discard, "", 0)
			pair, err := tls.LoadX509KeyPair(theirs.cert, theirs.key)
			if err != nil {
				t.Fatal(err)
			}
			front.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, Certificates: []tls.Certificate{pair}}
			front.StartTLS()
			t.Cleanup(front.Close)
			text := strings.Replace(string(raw), `url: "`+plain+`"`, `url: "`+front.URL+`"
      tls: {ca_file: `+theirs.cert+`, cert_file: `+ours.cert+`, key_file: `+ours.key+`}`, 1)
			if text == string(raw) {
				t.Fatalf("no url %s in the settings", plain)
			}
			if err := os.WriteFile(w.settings, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			w.startHub(t, io.Discard)
			if err := w.join(t.Context()); err != nil {
				t.Fatal(err)
			}
			if status, out := w.command(t, "connectors", "check"); status != 1 || !strings.Contains(out, c.says) {
				t.Errorf("connectors check: %d\n%s", status, out)
			}
			g, err := w.approve(t.Context(), "api_particulier")
			if err != nil {
				t.Fatal(err)
			}
			if c.theirs < 0 || c.ours < 0 {
				await(t, func() error {
					if _, out := w.command(t, "jobs"); !strings.Contains(out, c.says) {
						return fmt.Errorf("passerelle jobs: %s", out)
					}
					return nil
				})
			}
			switch {
			case c.theirs < 0:
				return
			case c.ours < 0: // renewed under the same names: the hub goes on by itself
				renewed := newCertificate(t, t.TempDir(), "hub", time.Now().Add(90*day))
				for from, to := range map[string]string{renewed.key: ours.key, renewed.cert: ours.cert} {
					if err := os.Rename(from, to); err != nil {
						t.Fatal(err)
					}
				}
			}
			await(t, func() error { _, err := w.provisioned(t.Context(), g); return err })
			w.answers(t, g, w.lastKey(t, g, 1), http.StatusOK)
		})
	}
}

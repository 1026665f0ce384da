package webhooktest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"time"
)

// Certificate is what a receiver shows over TLS.
type Certificate string

// The certificates of a receiver. All but SelfSigned are issued by its
// authority, which RootCAs trusts.
const (
	Good       Certificate = "good"
	Expired    Certificate = "expired"
	WrongHost  Certificate = "wrong_host"
	SelfSigned Certificate = "self_signed"
)

// authority issues the certificates of one receiver.
type authority struct {
	key   *ecdsa.PrivateKey
	root  *x509.Certificate
	roots *x509.CertPool
}

// RootCAs trusts the authority of this receiver's certificates.
func (s *Server) RootCAs() (*x509.CertPool, error) {
	issuer, err := s.issuer()
	if err != nil {
		return nil, err
	}
	return issuer.roots, nil
}

func (s *Server) issuer() (*authority, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.authority != nil {
		return s.authority, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("webhooktest: %w", err)
	}
	template := newTemplate("Autorité de test")
	template.IsCA, template.KeyUsage = true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("webhooktest: %w", err)
	}
	root, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("webhooktest: %w", err)
	}
	s.authority = &authority{key: key, root: root, roots: x509.NewCertPool()}
	s.authority.roots.AddCert(root)
	return s.authority, nil
}

func newTemplate(name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-48 * time.Hour), NotAfter: now.AddDate(1, 0, 0), BasicConstraintsValid: true,
	}
}

func (a *authority) issue(kind Certificate) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := newTemplate("localhost")
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	template.DNSNames = []string{"localhost"}
	template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	parent, signer := a.root, a.key
	switch kind {
	case Good:
	case Expired:
		template.NotAfter = time.Now().Add(-24 * time.Hour)
	case WrongHost:
		template.DNSNames, template.IPAddresses = []string{"autre.example"}, nil
	case SelfSigned:
		parent, signer = template, key
	default:
		return tls.Certificate{}, fmt.Errorf("unknown certificate %q", kind)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

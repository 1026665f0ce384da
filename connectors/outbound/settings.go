package outbound

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
)

// Settings shape the client of one partner. A connector's Config holds them
// inline, so that operators write `timeouts:` and `tls:` beside `url:`.
type Settings struct {
	Timeouts Timeouts          `yaml:"timeouts"`
	TLS      TLS               `yaml:"tls"`
	Host     string            `yaml:"host"`     // Host header, when it is not the URL's
	Proxy    connectors.Secret `yaml:"proxy"`    // http(s)://[user:password@]host:port
	MaxBody  int64             `yaml:"max_body"` // bytes of an answer; 0: DefaultMaxBody
	Retries  *int              `yaml:"retries"`  // 0 to 2; unset: 2
	Breaker  Breaker           `yaml:"breaker"`
}

// Timeouts bound the phases of a call. Zero takes the default.
type Timeouts struct {
	Connect   time.Duration `yaml:"connect"`    // name resolution and TCP; 3 s
	TLS       time.Duration `yaml:"tls"`        // handshake; 5 s
	FirstByte time.Duration `yaml:"first_byte"` // from the end of the request to the status line; 15 s
	Total     time.Duration `yaml:"total"`      // everything, retries and body included; 30 s
}

// TLS names PEM files. They are read when the client is built; the client
// certificate is read again at each handshake, so that a renewed one is used
// without a restart.
type TLS struct {
	CAFile     string `yaml:"ca_file" kind:"path"`   // added to the system's roots
	CertFile   string `yaml:"cert_file" kind:"path"` // client certificate, with KeyFile
	KeyFile    string `yaml:"key_file" kind:"path"`
	ServerName string `yaml:"server_name"` // name expected in the certificate, when it is not the URL's
}

// Breaker says when a partner is left alone.
type Breaker struct {
	Failures uint32        `yaml:"failures"` // consecutive failed calls that open it; 0: 5
	OpenFor  time.Duration `yaml:"open_for"` // then one call is tried; 0: 30 s
}

const (
	// DefaultMaxBody bounds an answer, in bytes.
	DefaultMaxBody = 1 << 20
	// MaxRetries bounds the quick retries of an idempotent call.
	MaxRetries = 2

	defaultFailures = 5
	defaultOpenFor  = 30 * time.Second
)

// Validate gives every fault at once (errors.Join), files included.
func (s Settings) Validate() error {
	var faults []error
	for name, d := range map[string]time.Duration{
		"connect": s.Timeouts.Connect, "tls": s.Timeouts.TLS,
		"first_byte": s.Timeouts.FirstByte, "total": s.Timeouts.Total,
	} {
		if d < 0 {
			faults = append(faults, fmt.Errorf("timeouts.%s: %s is negative", name, d))
		}
	}
	if s.MaxBody < 0 {
		faults = append(faults, fmt.Errorf("max_body: %d is negative", s.MaxBody))
	}
	if s.Retries != nil && (*s.Retries < 0 || *s.Retries > MaxRetries) {
		faults = append(faults, fmt.Errorf("retries: %d is not between 0 and %d", *s.Retries, MaxRetries))
	}
	if s.Breaker.OpenFor < 0 {
		faults = append(faults, fmt.Errorf("breaker.open_for: %s is negative", s.Breaker.OpenFor))
	}
	if _, err := parseProxy(s.Proxy); err != nil {
		faults = append(faults, err)
	}
	if _, err := s.TLS.config(); err != nil {
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

func (t Timeouts) withDefaults(d Timeouts) Timeouts {
	return Timeouts{
		Connect:   orDefault(t.Connect, d.Connect),
		TLS:       orDefault(t.TLS, d.TLS),
		FirstByte: orDefault(t.FirstByte, d.FirstByte),
		Total:     orDefault(t.Total, d.Total),
	}
}

func orDefault[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}

// config reads the files. TLS 1.2 is the least accepted (ANSSI, recommendations
// on TLS, R3).
func (t TLS) config() (*tls.Config, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	var faults []error
	if t.CAFile != "" {
		pool, err := poolWith(t.CAFile)
		if err != nil {
			faults = append(faults, fmt.Errorf("tls.ca_file: %w", err))
		}
		conf.RootCAs = pool
	}
	if (t.CertFile == "") != (t.KeyFile == "") {
		faults = append(faults, errors.New("tls: cert_file and key_file go together"))
	} else if t.CertFile != "" {
		load := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
			if err != nil {
				return nil, err
			}
			if end := pair.Leaf.NotAfter; time.Now().After(end) {
				return nil, &OwnCertificateError{Name: pair.Leaf.Subject.CommonName, Ended: end}
			}
			return &pair, nil
		}
		// One that has ended keeps nobody from starting: it may be renewed meanwhile.
		var over *OwnCertificateError
		if _, err := load(nil); err != nil && !errors.As(err, &over) {
			faults = append(faults, fmt.Errorf("tls.cert_file: %w", err))
		}
		conf.GetClientCertificate = load
	}
	return conf, errors.Join(faults...)
}

// OwnCertificateError: our client certificate has ended. The call stops before
// anything is sent: a partner's alert would not say whose certificate it is.
type OwnCertificateError struct {
	Name  string // common name
	Ended time.Time
}

// Error names the certificate and its end.
func (e *OwnCertificateError) Error() string {
	return fmt.Sprintf("our client certificate %q (tls.cert_file) ended on %s: renew it", e.Name, e.Ended.UTC().Format(time.RFC3339))
}

// ClientCertificate gives the common name and the end of the client certificate;
// false where there is none, or none that can be read.
func (t TLS) ClientCertificate() (name string, end time.Time, ok bool) {
	if t.CertFile == "" {
		return "", time.Time{}, false
	}
	pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
	if err != nil {
		return "", time.Time{}, false // told by Validate
	}
	return pair.Leaf.Subject.CommonName, pair.Leaf.NotAfter, true
}

func poolWith(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // no system roots on this machine: the file alone counts
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no PEM certificate", file)
	}
	return pool, nil
}

// parseProxy reads a proxy's URL; its error never shows it, a password may be inside.
func parseProxy(proxy connectors.Secret) (*url.URL, error) {
	if proxy.IsZero() {
		return nil, nil
	}
	u, err := url.Parse(proxy.Reveal())
	if err != nil || u.Hostname() == "" {
		return nil, errors.New("proxy: not a URL")
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("proxy: scheme %q is not http or https", u.Scheme)
	}
	return u, nil
}

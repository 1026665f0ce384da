package mail

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
)

// How the relay's connection is protected.
const (
	NoTLS       = "none"
	StartTLS    = "starttls" // required: a relay that does not offer it gets no mail
	ImplicitTLS = "tls"
)

// Config is the relay in the settings.
type Config struct {
	Host       string            `yaml:"host"`
	Port       int               `yaml:"port"` // 0: 25, 587 or 465 by TLS
	TLS        string            `yaml:"tls"`  // none, starttls (default) or tls
	CAFile     string            `yaml:"ca_file" kind:"path"`
	Username   string            `yaml:"username"`
	Password   connectors.Secret `yaml:"password"`
	From       string            `yaml:"from"`        // "Name <address>" or an address
	ReturnPath string            `yaml:"return_path"` // where reports go; default: From's address
	Domain     string            `yaml:"domain"`      // our name in EHLO; default: From's domain
	Timeout    time.Duration     `yaml:"timeout"`     // of one mail, connection included; 0: 30 s
}

var ports = map[string]int{NoTLS: 25, StartTLS: 587, ImplicitTLS: 465}

func (c Config) withDefaults() Config {
	c.TLS = cmp.Or(c.TLS, StartTLS)
	c.Port = cmp.Or(c.Port, ports[c.TLS])
	c.Timeout = cmp.Or(c.Timeout, 30*time.Second)
	if from, err := netmail.ParseAddress(c.From); err == nil {
		c.ReturnPath = cmp.Or(c.ReturnPath, from.Address)
		c.Domain = cmp.Or(c.Domain, from.Address[strings.LastIndexByte(from.Address, '@')+1:])
	}
	return c
}

// Validate gives every fault at once (errors.Join).
func (c Config) Validate() error {
	c = c.withDefaults()
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if c.Host == "" {
		fault("host: missing")
	}
	if _, known := ports[c.TLS]; !known {
		fault("tls: %q is not none, starttls or tls", c.TLS)
	}
	if c.Port < 1 || c.Port > 65535 {
		fault("port: %d is not a port", c.Port)
	}
	if (c.Username == "") != c.Password.IsZero() {
		fault("username and password go together")
	}
	if c.Username != "" && c.TLS == NoTLS && !loopback(c.Host) {
		fault("tls: none would send the password in clear")
	}
	if _, err := netmail.ParseAddress(c.From); err != nil {
		fault("from: not an address")
	} else if _, err := netmail.ParseAddress(c.ReturnPath); err != nil {
		fault("return_path: not an address")
	}
	if c.Timeout < 0 {
		fault("timeout: %s is negative", c.Timeout)
	}
	if _, err := c.tlsConfig(); err != nil {
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, host) || (ip != nil && ip.IsLoopback())
}

// tlsConfig trusts the system's roots and the file's.
func (c Config) tlsConfig() (*tls.Config, error) {
	conf := &tls.Config{ServerName: c.Host, MinVersion: tls.VersionTLS12}
	if c.CAFile == "" {
		return conf, nil
	}
	pem, err := os.ReadFile(c.CAFile)
	if err != nil {
		return conf, fmt.Errorf("ca_file: %w", err)
	}
	if conf.RootCAs, err = x509.SystemCertPool(); err != nil {
		conf.RootCAs = x509.NewCertPool() // no system roots on this machine: the file alone counts
	}
	if !conf.RootCAs.AppendCertsFromPEM(pem) {
		return conf, fmt.Errorf("ca_file: %s holds no PEM certificate", c.CAFile)
	}
	return conf, nil
}

// Open gives the mailer. It does not connect.
func (c Config) Open() (connectors.Mailer, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("mail: %w", err)
	}
	c = c.withDefaults()
	conf, err := c.tlsConfig()
	if err != nil {
		return nil, fmt.Errorf("mail: %w", err)
	}
	return &Mailer{config: c, tls: conf}, nil
}

package outbound

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/connectors"
)

// PublicSettings bound what goes to URLs given by users.
type PublicSettings struct {
	Allow        []string          // host names, addresses or CIDRs let through: any port, http too
	Ports        []int             // empty: 443 and 8443
	Proxy        connectors.Secret // http(s)://[user:password@]host:port
	ProxyGuarded bool              // the proxy itself refuses private addresses
	CAFile       string            // PEM roots added to the system's
	Roots        *x509.CertPool    // instead of the system's and CAFile
	Timeouts     Timeouts          // defaults: connect 3 s, TLS 5 s, first byte 8 s, total 10 s
	MaxBody      int64             // bytes of an answer; 0: DefaultMaxBody
}

// Public gives the client for URLs given by users: https to public addresses on
// the allowed ports, one attempt, no redirect, no correlation header.
//
// Through a proxy the guard would judge the proxy's address only. So the hub
// resolves the name itself, judges, and asks the proxy for that address; with
// ProxyGuarded the name is left to the proxy, which does the judging.
func Public(s PublicSettings, log zerolog.Logger) (*Client, error) {
	ports := s.Ports
	if len(ports) == 0 {
		ports = []int{443, 8443}
	}
	guard, guardErr := newGuard(s.Allow, ports)
	tlsConfig, tlsErr := TLS{CAFile: s.CAFile}.config()
	if s.Roots != nil {
		tlsConfig.RootCAs = s.Roots
	}
	proxy, proxyErr := parseProxy(s.Proxy)
	if err := errors.Join(guardErr, tlsErr, proxyErr); err != nil {
		return nil, fmt.Errorf("outbound: public: %w", err)
	}
	timeouts := s.Timeouts.withDefaults(Timeouts{
		Connect: 3 * time.Second, TLS: 5 * time.Second, FirstByte: 8 * time.Second, Total: 10 * time.Second,
	})
	dialer := &net.Dialer{Timeout: timeouts.Connect, ControlContext: guard.control}
	dial := dialer.DialContext
	if proxy != nil {
		dial = newTunnel(proxy, guard, s.ProxyGuarded, timeouts.Connect, tlsConfig.RootCAs).dial
	}
	transport := &http.Transport{
		DialContext:            dial,
		TLSClientConfig:        tlsConfig,
		TLSHandshakeTimeout:    timeouts.TLS,
		ResponseHeaderTimeout:  timeouts.FirstByte,
		MaxResponseHeaderBytes: maxHeader,
		// A burst to one receiver shares connections; they are dropped before the
		// shortest common keep-alive (5 s), so that no POST meets a closed one.
		MaxIdleConnsPerHost: 8,
		IdleConnTimeout:     3 * time.Second,
		DisableCompression:  true, // no answer that grows when it is read
	}
	return &Client{
		name: "public", timeouts: timeouts, guard: guard, log: log,
		http: newHTTPClient(&bounded{next: transport, max: orDefault(s.MaxBody, DefaultMaxBody)}),
	}, nil
}

// CheckURL says what the guard refuses in a URL before any name is resolved,
// for the moment a user enters it: ErrInvalidURL or ErrBlocked. What it lets
// through is judged again at each connection.
func (c *Client) CheckURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil {
		return fmt.Errorf("%w: cannot be read", ErrInvalidURL)
	}
	if c.guard == nil {
		return nil
	}
	_, err = c.guard.admit(context.Background(), u)
	return err
}

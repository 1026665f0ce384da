package outbound

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"
)

// errProxy: the proxy answered CONNECT with something else than 200.
var errProxy = errors.New("the proxy refused the connection")

// tunnel dials through an HTTP proxy with CONNECT (RFC 9110, 9.3.6).
type tunnel struct {
	proxy   *url.URL
	guard   *guard
	guarded bool // the proxy judges: it is given names
	limit   time.Duration
	roots   *x509.CertPool
	resolve func(ctx context.Context, host string) ([]netip.Addr, error)
}

func newTunnel(proxy *url.URL, g *guard, guarded bool, limit time.Duration, roots *x509.CertPool) *tunnel {
	return &tunnel{
		proxy: proxy, guard: g, guarded: guarded, limit: limit, roots: roots,
		resolve: func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		},
	}
}

func (t *tunnel) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, t.limit)
	defer cancel()
	if t.guarded {
		return t.connect(ctx, network, addr, nil)
	}
	targets, err := t.targets(ctx, addr)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	var first error
	for _, target := range targets {
		conn, err := t.connect(ctx, network, target.String(), net.TCPAddrFromAddrPort(target))
		if err == nil {
			return conn, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// targets resolves the name and keeps the addresses that the guard allows.
func (t *tunnel) targets(ctx context.Context, addr string) ([]netip.AddrPort, error) {
	host, portText, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	port, err := net.DefaultResolver.LookupPort(ctx, "tcp", portText)
	if err != nil {
		return nil, err
	}
	addrs, err := t.resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	refused := error(&net.DNSError{Err: "no address", Name: host, IsNotFound: true})
	var targets []netip.AddrPort
	for _, a := range addrs {
		target := netip.AddrPortFrom(a.Unmap(), uint16(port))
		if err := t.guard.judge(ctx, target); err != nil {
			refused = err
			continue
		}
		targets = append(targets, target)
	}
	if len(targets) == 0 {
		return nil, refused
	}
	return targets, nil
}

func (t *tunnel) connect(ctx context.Context, network, target string, remote net.Addr) (net.Conn, error) {
	conn, err := t.dialProxy(ctx, network)
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	if err := t.ask(conn, target); err != nil {
		_ = conn.Close()
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	_ = conn.SetDeadline(time.Time{})
	if remote == nil {
		return conn, nil
	}
	return &tunnelled{Conn: conn, remote: remote}, nil
}

func (t *tunnel) dialProxy(ctx context.Context, network string) (net.Conn, error) {
	port := t.proxy.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[t.proxy.Scheme]
	}
	addr := net.JoinHostPort(t.proxy.Hostname(), port)
	if t.proxy.Scheme == "https" {
		conf := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: t.roots}
		return (&tls.Dialer{Config: conf}).DialContext(ctx, network, addr)
	}
	return (&net.Dialer{}).DialContext(ctx, network, addr)
}

func (t *tunnel) ask(conn net.Conn, target string) error {
	req := &http.Request{
		Method: http.MethodConnect, URL: &url.URL{Opaque: target}, Host: target,
		Header: http.Header{"User-Agent": {UserAgent}},
	}
	if t.proxy.User != nil {
		password, _ := t.proxy.User.Password()
		credentials := t.proxy.User.Username() + ":" + password
		req.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(credentials)))
	}
	if err := req.Write(conn); err != nil {
		return err
	}
	reader := bufio.NewReaderSize(conn, maxHeader)
	resp, err := http.ReadResponse(reader, req) //nolint:bodyclose // What follows the header is the tunnel, which the caller closes.
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%w (%d)", errProxy, resp.StatusCode)
	}
	if reader.Buffered() > 0 {
		return fmt.Errorf("%w: it spoke before the receiver", errProxy)
	}
	return nil
}

// tunnelled is a connection whose far end is the receiver, not the proxy.
type tunnelled struct {
	net.Conn
	remote net.Addr
}

// RemoteAddr is the address the proxy was asked for.
func (t *tunnelled) RemoteAddr() net.Addr { return t.remote }

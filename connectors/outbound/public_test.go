package outbound

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/connectors"
)

func public(t *testing.T, s PublicSettings) *Client {
	t.Helper()
	c, err := Public(s, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdle)
	return c
}

func TestTheGuardJudgesURLs(t *testing.T) {
	t.Parallel()
	strict := public(t, PublicSettings{})
	open := public(t, PublicSettings{Allow: []string{"Receiver.intra.example", "10.20.0.0/16", "fd00::7"}, Ports: []int{443, 9443}})
	for name, c := range map[string]struct {
		client *Client
		url    string
		class  string
	}{
		"https on the default port passes":              {strict, "https://receiver.example/hook?x=1", ""},
		"https on 8443 passes":                          {strict, "https://receiver.example:8443/", ""},
		"a public address passes":                       {strict, "https://93.184.216.34/", ""},
		"plain http is refused":                         {strict, "http://receiver.example/", ClassBlocked},
		"another port is refused":                       {strict, "https://receiver.example:6379/", ClassBlocked},
		"loopback is refused":                           {strict, "https://127.0.0.1/", ClassBlocked},
		"IPv6 loopback is refused":                      {strict, "https://[::1]/", ClassBlocked},
		"a private address is refused":                  {strict, "https://192.168.1.1/", ClassBlocked},
		"the clouds' metadata address is refused":       {strict, "https://169.254.169.254/latest/meta-data", ClassBlocked},
		"an IPv4-mapped loopback is refused":            {strict, "https://[::ffff:127.0.0.1]/", ClassBlocked},
		"an IPv4-mapped loopback in hex is refused":     {strict, "https://[::ffff:7f00:1]/", ClassBlocked},
		"a link-local address with a zone is refused":   {strict, "https://[fe80::1%25eth0]/", ClassBlocked},
		"NAT64 is refused":                              {strict, "https://[64:ff9b::7f00:1]/", ClassBlocked},
		"6to4 is refused":                               {strict, "https://[2002:7f00:1::]/", ClassBlocked},
		"another scheme is no URL of ours":              {strict, "gopher://receiver.example/", ClassInvalidURL},
		"a file is no URL of ours":                      {strict, "file:///etc/passwd", ClassInvalidURL},
		"a user in the URL is refused":                  {strict, "https://user:pw@receiver.example/", ClassInvalidURL},
		"a URL without a host is refused":               {strict, "https:///hook", ClassInvalidURL},
		"an opaque URL is refused":                      {strict, "https:receiver.example", ClassInvalidURL},
		"a port out of range is refused":                {strict, "https://receiver.example:99999/", ClassInvalidURL},
		"a URL that cannot be read is refused":          {strict, "https://receiver.example/%zz", ClassInvalidURL},
		"an allowed name passes on http and any port":   {open, "http://receiver.INTRA.example.:8080/", ""},
		"an allowed address passes on http":             {open, "http://10.20.3.4:8080/", ""},
		"an allowed IPv6 address passes":                {open, "https://[fd00::7]/", ""},
		"a neighbour of the allowed prefix is refused":  {open, "https://10.21.0.1/", ClassBlocked},
		"a public address on http is refused":           {open, "http://93.184.216.34/", ClassBlocked},
		"the operator's ports replace the default ones": {open, "https://93.184.216.34:8443/", ClassBlocked},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := c.client.CheckURL(c.url)
			if got := ErrorClass(err); got != c.class {
				t.Errorf("%s: class %q (%v), want %q", c.url, got, err, c.class)
			}
			if err != nil && strings.Contains(Explain(err), "pw@") {
				t.Errorf("the password is shown: %s", Explain(err))
			}
		})
	}
}

func TestTheGuardJudgesTheAddressDialled(t *testing.T) {
	t.Parallel()
	g, err := newGuard([]string{"10.20.0.0/16"}, []int{443})
	if err != nil {
		t.Fatal(err)
	}
	for address, allowed := range map[string]bool{
		"93.184.216.34:443": true, "[2606:4700::1111]:443": true, "10.20.1.1:443": true, "10.20.1.1:8080": true,
		"93.184.216.34:80": false, "0.0.0.0:443": false, "10.0.0.1:443": false, "100.64.0.1:443": false, "127.0.0.2:443": false,
		"169.254.169.254:443": false, "172.16.0.1:443": false, "192.0.0.8:443": false, "192.0.2.1:443": false,
		"192.88.99.1:443": false, "192.168.0.1:443": false, "198.18.0.1:443": false, "198.51.100.1:443": false,
		"203.0.113.1:443": false, "224.0.0.1:443": false, "240.0.0.1:443": false, "255.255.255.255:443": false,
		"[::]:443": false, "[::1]:443": false, "[::ffff:10.0.0.1]:443": false, "[::ffff:10.20.0.1]:443": true,
		"[64:ff9b::a00:1]:443": false, "[100::1]:443": false, "[2001::1]:443": false, "[2001:db8::1]:443": false,
		"[2002:a00:1::]:443": false, "[3fff::1]:443": false, "[fc00::1]:443": false, "[fe80::1%lo]:443": false,
		"[fec0::1]:443": false, "[ff02::1]:443": false, "[::127.0.0.1]:443": false,
	} {
		network := "tcp4"
		if address[0] == '[' {
			network = "tcp6"
		}
		if err := g.control(t.Context(), network, address, nil); (err == nil) != allowed {
			t.Errorf("%s: %v, want allowed %t", address, err, allowed)
		}
	}
	if err := g.control(t.Context(), "udp4", "93.184.216.34:443", nil); err == nil {
		t.Error("a datagram passes")
	}
}

func TestANameThatResolvesToLoopbackIsBlockedAtConnectTime(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	srv := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls.Add(1) }))
	t.Cleanup(srv.Close)
	u, _ := url.Parse(srv.URL)
	port := int(netip.MustParseAddrPort(u.Host).Port())
	c := public(t, PublicSettings{Ports: []int{port}})
	target := "https://localhost:" + u.Port() + "/"
	if err := c.CheckURL(target); err != nil {
		t.Fatalf("the name alone says nothing: %v", err)
	}
	_, err := c.Do(request(t, t.Context(), "POST", target, "{}"))
	if ErrorClass(err) != ClassBlocked || calls.Load() != 0 {
		t.Errorf("error %v, %d calls", err, calls.Load())
	}
	if text := Explain(err); strings.Contains(text, "127.0.0.1") || strings.Contains(text, "::1") {
		t.Errorf("the text tells what an internal name resolves to: %s", text)
	}
	if e := TransportError("public", "deliver", err); e.Class != connectors.Rejected {
		t.Errorf("class %s", e.Class)
	}
}

func TestPublicSendsOnceFollowsNothingAndTellsNothing(t *testing.T) {
	t.Parallel()
	url, attempts := script(t, status(503), reset, status(307, "Location", "http://169.254.169.254/"), func(w http.ResponseWriter, r *http.Request) {
		if id := r.Header.Get(CorrelationHeader); id != "" {
			t.Errorf("our correlation id left: %s", id)
		}
	})
	c := public(t, PublicSettings{Allow: []string{"127.0.0.0/8"}})
	ctx := connectors.WithCorrelation(t.Context(), "corr-1")
	for i, want := range []int{503, 0, 307, 200} {
		resp, err := c.Do(request(t, ctx, "PUT", url, "{}"))
		if got := int(attempts.Load()); got != i+1 {
			t.Fatalf("%d attempts after %d calls", got, i+1)
		}
		if want == 0 {
			if ErrorClass(err) != ClassReset {
				t.Errorf("call %d: %v", i, err)
			}
		} else if err != nil || resp.StatusCode != want {
			t.Errorf("call %d: %v %v", i, resp, err)
		}
	}
	if c.Circuit() != "" {
		t.Error("one receiver's failures must not close the road to the others")
	}
}

func TestPublicSettingsFaults(t *testing.T) {
	t.Parallel()
	_, err := Public(PublicSettings{
		Allow: []string{"http://x.example/", ""}, Ports: []int{0, 70000}, Proxy: connectors.NewSecret("ftp://p"), CAFile: "/nowhere",
	}, zerolog.Nop())
	if err == nil {
		t.Fatal("no fault")
	}
	for _, want := range []string{"allow:", "ports: 0", "ports: 70000", "proxy:", "ca_file"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no fault about %s: %v", want, err)
		}
	}
}

// connectProxy is a small CONNECT proxy that keeps what it was asked for.
func connectProxy(t *testing.T, answer int, to string) (proxy string, asked chan *http.Request) {
	t.Helper()
	asked = make(chan *http.Request, 10)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r
		if answer != http.StatusOK {
			w.WriteHeader(answer)
			return
		}
		far, err := net.Dial("tcp", to)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		near, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(near, "HTTP/1.1 200 Connection established\r\n\r\n")
		go func() { _, _ = io.Copy(far, bufio.NewReader(buffered)); _ = far.Close() }()
		_, _ = io.Copy(near, far)
		_ = near.Close()
	}))
	t.Cleanup(srv.Close)
	return strings.TrimPrefix(srv.URL, "http://"), asked
}

func TestThroughAProxyTheGuardStillJudgesTheAddress(t *testing.T) {
	t.Parallel()
	receiver := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	t.Cleanup(receiver.Close)
	ca := writePEM(t, "ca.pem", "CERTIFICATE", receiver.Certificate().Raw)
	proxy, asked := connectProxy(t, 200, receiver.Listener.Addr().String())
	secret := connectors.NewSecret("http://user:pw@" + proxy)
	resolveTo := func(c *Client, addr string) *Client {
		tr := c.http.Transport.(*bounded).next.(*http.Transport)
		g := c.guard
		u, _ := parseProxy(secret)
		tun := newTunnel(u, g, false, c.timeouts.Connect, tr.TLSClientConfig.RootCAs)
		tun.resolve = func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr(addr)}, nil
		}
		tr.DialContext = tun.dial
		return c
	}

	// The certificate of httptest is for example.com.
	c := resolveTo(public(t, PublicSettings{Proxy: secret, CAFile: ca}), "93.184.216.34")
	resp, err := c.Do(request(t, t.Context(), "POST", "https://example.com/hook", "{}"))
	if err != nil || resp.StatusCode != 204 {
		t.Fatalf("%v %v", resp, err)
	}
	r := <-asked
	if r.Host != "93.184.216.34:443" || r.Header.Get("Proxy-Authorization") != "Basic dXNlcjpwdw==" {
		t.Errorf("the proxy was asked for %s with %q", r.Host, r.Header.Get("Proxy-Authorization"))
	}

	c = resolveTo(public(t, PublicSettings{Proxy: secret, CAFile: ca}), "10.0.0.1")
	if _, err := c.Do(request(t, t.Context(), "POST", "https://example.com/hook", "{}")); ErrorClass(err) != ClassBlocked {
		t.Errorf("a private address behind the proxy: %v", err)
	}
	if len(asked) != 0 {
		t.Error("the proxy was asked for a private address")
	}

	guarded := public(t, PublicSettings{Proxy: secret, ProxyGuarded: true, CAFile: ca})
	if _, err := guarded.Do(request(t, t.Context(), "POST", "https://example.com/hook", "{}")); err != nil {
		t.Fatal(err)
	}
	if r := <-asked; r.Host != "example.com:443" {
		t.Errorf("a guarded proxy was asked for %s", r.Host)
	}

	refusing, _ := connectProxy(t, 403, "")
	c = public(t, PublicSettings{Proxy: connectors.NewSecret("http://" + refusing), ProxyGuarded: true})
	if _, err := c.Do(request(t, t.Context(), "POST", "https://example.com/hook", "{}")); ErrorClass(err) != ClassRefused {
		t.Errorf("a proxy that refuses: %v", err)
	}
}

// What the URL alone lets through names no private address, on no other scheme or port.
func FuzzCheckURL(f *testing.F) {
	for _, seed := range []string{
		"https://receiver.example/hook", "https://[::ffff:127.0.0.1]:8443/", "http://93.184.216.34/", "https://0x7f.1/", "https://2130706433/",
		"https://127.0.0.1%2f@receiver.example/", "https://receiver.example\\@127.0.0.1/", "HTTPS://[fe80::1%25lo]/", "https://1.1.1.1:65536/",
	} {
		f.Add(seed)
	}
	client, err := Public(PublicSettings{}, zerolog.Nop())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if client.CheckURL(raw) != nil {
			return
		}
		u, err := url.Parse(raw)
		if err != nil || u.Scheme != "https" || u.User != nil || u.Hostname() == "" || (u.Port() != "" && u.Port() != "443" && u.Port() != "8443") {
			t.Fatalf("%q passes", raw)
		}
		addr, err := netip.ParseAddr(u.Hostname())
		if err != nil {
			return // a name: judged when it is resolved
		}
		addr = addr.Unmap()
		if addr.IsPrivate() || addr.IsLoopback() || addr.IsLinkLocalUnicast() || addr.IsMulticast() || addr.IsUnspecified() {
			t.Fatalf("%q passes", raw)
		}
	})
}

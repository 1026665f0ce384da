package outbound

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"code.dny.dev/ssrf"
)

// ErrBlocked: the egress guard refuses the address, the port or the scheme.
// Nothing was sent. The text never shows what a name resolves to.
var ErrBlocked = errors.New("blocked")

// ErrInvalidURL: not a URL that a request can be sent to.
var ErrInvalidURL = errors.New("invalid URL")

// guard judges URLs given by users: before the call by what the URL says, then
// at connect time by the address really dialled, so that neither a name that
// resolves to a private address nor one that changes between two look-ups
// passes (webhooks.md, architecture, 8).
type guard struct {
	public   *ssrf.Guardian
	hosts    []string       // let through by name: any address, port and scheme
	prefixes []netip.Prefix // let through by address: any port and scheme
	ports    []uint16
}

// newGuard reads the allow-list: host names, addresses and CIDR prefixes.
func newGuard(allow []string, ports []int) (*guard, error) {
	g := &guard{}
	var faults []error
	for _, entry := range allow {
		if prefix, err := netip.ParsePrefix(entry); err == nil {
			g.prefixes = append(g.prefixes, prefix.Masked())
		} else if addr, err := netip.ParseAddr(entry); err == nil {
			g.prefixes = append(g.prefixes, netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()))
		} else if host := hostKey(entry); host != "" && !strings.ContainsAny(host, "/:@ ") {
			g.hosts = append(g.hosts, host)
		} else {
			faults = append(faults, fmt.Errorf("allow: %q is not a host name, an address or a prefix", entry))
		}
	}
	for _, port := range ports {
		if port < 1 || port > 65535 {
			faults = append(faults, fmt.Errorf("ports: %d is not a port", port))
			continue
		}
		g.ports = append(g.ports, uint16(port))
	}
	// The guardian's list is the two IANA special-purpose registries: private,
	// loopback, link-local (with the clouds' metadata), 100.64/10, 198.18/15,
	// multicast; in IPv6 whatever is not 2000::/3 (so ::1, fc00::/7, fe80::/10,
	// 64:ff9b::/96, IPv4-mapped), and 2002::/16 and others inside it.
	g.public = ssrf.New(ssrf.WithPorts(g.ports...))
	return g, errors.Join(faults...)
}

// rule is what the URL alone has decided for the address to come.
type rule struct {
	open    bool // the operator lets this host through
	onlyFor bool // allowed only if the address is in the operator's prefixes
}

type ruleKey struct{}

// admit judges a URL and gives the context that carries its rule to the dial.
func (g *guard) admit(ctx context.Context, u *url.URL) (context.Context, error) {
	r, err := g.judgeURL(u)
	if err != nil {
		return nil, err
	}
	return context.WithValue(ctx, ruleKey{}, r), nil
}

func (g *guard) judgeURL(u *url.URL) (rule, error) {
	host := hostKey(u.Hostname())
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return rule{}, fmt.Errorf("%w: scheme is not https", ErrInvalidURL)
	case host == "" || u.Opaque != "":
		return rule{}, fmt.Errorf("%w: no host", ErrInvalidURL)
	case u.User != nil:
		return rule{}, fmt.Errorf("%w: a user or password in a URL ends in logs", ErrInvalidURL)
	}
	port, err := portOf(u)
	if err != nil {
		return rule{}, err
	}
	addr, isAddr := parseAddr(host)
	if slices.Contains(g.hosts, host) || (isAddr && g.inPrefixes(addr)) {
		return rule{open: true}, nil
	}
	if isAddr {
		if err := g.public.SafeAddr(addr); err != nil {
			return rule{}, fmt.Errorf("%w: the address is not public", ErrBlocked)
		}
	}
	strict := rule{onlyFor: u.Scheme == "http" || !slices.Contains(g.ports, port)}
	if strict.onlyFor && (isAddr || len(g.prefixes) == 0) {
		if u.Scheme == "http" {
			return rule{}, fmt.Errorf("%w: https only", ErrBlocked)
		}
		return rule{}, fmt.Errorf("%w: port %d is not allowed", ErrBlocked, port)
	}
	return strict, nil
}

// judge decides on the address about to be dialled.
func (g *guard) judge(ctx context.Context, target netip.AddrPort) error {
	r, _ := ctx.Value(ruleKey{}).(rule)
	addr := target.Addr().Unmap()
	if r.open || g.inPrefixes(addr) {
		return nil
	}
	if r.onlyFor {
		return fmt.Errorf("%w: plain HTTP and other ports are for the operator's own addresses", ErrBlocked)
	}
	if err := g.public.SafeAddrPort(netip.AddrPortFrom(addr, target.Port())); err != nil {
		return fmt.Errorf("%w: the address is not public", ErrBlocked)
	}
	return nil
}

// control is the net.Dialer's: it runs once the name is resolved, before each connect.
func (g *guard) control(ctx context.Context, network, address string, _ syscall.RawConn) error {
	if network != "tcp4" && network != "tcp6" {
		return fmt.Errorf("%w: network %s", ErrBlocked, network)
	}
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: the address cannot be read", ErrBlocked)
	}
	return g.judge(ctx, target)
}

func (g *guard) inPrefixes(addr netip.Addr) bool {
	return slices.ContainsFunc(g.prefixes, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// parseAddr reads a literal address. A zone is dropped: it names an interface of ours.
func parseAddr(host string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}, false
	}
	return addr.WithZone("").Unmap(), true
}

func hostKey(host string) string {
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

func portOf(u *url.URL) (uint16, error) {
	text := u.Port()
	if text == "" {
		text = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		return 0, fmt.Errorf("%w: port", ErrInvalidURL)
	}
	return uint16(port), nil
}

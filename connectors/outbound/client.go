package outbound

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/hashicorp/go-retryablehttp"
	"github.com/rs/zerolog"
	"github.com/sony/gobreaker/v2"

	"github.com/passerelle-hub/passerelle/connectors"
)

// CorrelationHeader carries connectors.Correlation to the operator's partners.
const CorrelationHeader = "X-Correlation-ID"

// UserAgent is sent when the caller sets none.
const UserAgent = "Passerelle"

// Client sends requests. It reads the whole answer before it returns, so that
// half a body is a transport error and no caller can leak a connection. Its
// errors are transport errors only; ErrorClass names them.
type Client struct {
	name      string
	host      string
	timeouts  Timeouts
	correlate bool
	http      *http.Client
	retry     *retryablehttp.Client                 // nil: nothing is repeated
	breaker   *gobreaker.TwoStepCircuitBreaker[any] // nil: none
	guard     *guard                                // nil: the operator's URLs
	log       zerolog.Logger
}

var _ connectors.HTTPDoer = (*Client)(nil)

// Partner gives the client of one of the operator's partners. name is the
// instance's name in the settings: it labels the log events.
func Partner(name string, s Settings, log zerolog.Logger) (*Client, error) {
	if err := s.Validate(); err != nil {
		return nil, fmt.Errorf("outbound: %s: %w", name, err)
	}
	tlsConfig, err := s.TLS.config()
	if err != nil {
		return nil, fmt.Errorf("outbound: %s: %w", name, err)
	}
	proxy, err := parseProxy(s.Proxy)
	if err != nil {
		return nil, fmt.Errorf("outbound: %s: %w", name, err)
	}
	timeouts := s.Timeouts.withDefaults(Timeouts{
		Connect: 3 * time.Second, TLS: 5 * time.Second, FirstByte: 15 * time.Second, Total: 30 * time.Second,
	})
	dialer := &net.Dialer{Timeout: timeouts.Connect, KeepAlive: 30 * time.Second}
	transport := &http.Transport{
		DialContext:            dialer.DialContext,
		TLSClientConfig:        tlsConfig,
		TLSHandshakeTimeout:    timeouts.TLS,
		ResponseHeaderTimeout:  timeouts.FirstByte,
		MaxResponseHeaderBytes: maxHeader,
		MaxIdleConnsPerHost:    64, // workers of one partner's queue; fewer would open a connection a call
		IdleConnTimeout:        30 * time.Second,
		ForceAttemptHTTP2:      true,
	}
	if proxy != nil {
		transport.Proxy = http.ProxyURL(proxy)
	}
	c := &Client{
		name: name, host: s.Host, timeouts: timeouts, correlate: true, log: log,
		http:    newHTTPClient(&bounded{next: transport, max: orDefault(s.MaxBody, DefaultMaxBody)}),
		breaker: newBreaker(name, s.Breaker, log),
	}
	retries := MaxRetries
	if s.Retries != nil {
		retries = *s.Retries
	}
	c.retry = newRetry(c.http, retries)
	return c, nil
}

// newHTTPClient follows no redirect: it would carry credentials to an address
// that nobody has approved. The 3xx is given to the caller.
func newHTTPClient(rt http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     rt,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Name is the partner's instance name.
func (c *Client) Name() string { return c.name }

// Do sends the request. The total time limit runs inside the context's own.
func (c *Client) Do(req *http.Request) (*http.Response, error) {
	start := time.Now()
	ctx, cancel := context.WithTimeout(req.Context(), c.timeouts.Total)
	defer cancel() // the body has been read by then
	attempts := 0
	resp, err := c.send(req.Clone(countAttempts(ctx, &attempts)))
	c.record(req, resp, err, attempts, time.Since(start))
	return resp, err
}

func (c *Client) send(req *http.Request) (*http.Response, error) {
	if c.guard != nil {
		ctx, err := c.guard.admit(req.Context(), req.URL)
		if err != nil {
			return nil, err
		}
		req = req.WithContext(ctx)
	}
	if c.host != "" {
		req.Host = c.host
	}
	if req.Header == nil {
		req.Header = http.Header{}
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", UserAgent)
	}
	if id := connectors.Correlation(req.Context()); c.correlate && id != "" && req.Header.Get(CorrelationHeader) == "" {
		req.Header.Set(CorrelationHeader, id)
	}
	if c.breaker == nil {
		return c.exchange(req)
	}
	done, err := c.breaker.Allow()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCircuitOpen, err)
	}
	resp, err := c.exchange(req)
	done(verdict(req.Context(), resp, err))
	return resp, err
}

func (c *Client) exchange(req *http.Request) (*http.Response, error) {
	if c.retry == nil || !repeatable(req) {
		return c.http.Do(req)
	}
	again, err := retryablehttp.FromRequest(req)
	if err != nil {
		return nil, err
	}
	resp, err := c.retry.Do(again)
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// record writes the one event of a call. The error's text may hold the URL: its
// class is enough.
func (c *Client) record(req *http.Request, resp *http.Response, err error, attempts int, took time.Duration) {
	event := c.log.Info()
	if err != nil || resp.StatusCode >= http.StatusInternalServerError {
		event = c.log.Warn()
	}
	event = event.Str("partner", c.name).Str("method", req.Method).Str("route", routeOf(req.Context())).
		Dur("duration", took).Int("attempts", attempts)
	if id := connectors.Correlation(req.Context()); id != "" {
		event = event.Str("correlation_id", id)
	}
	if err != nil {
		event = event.Str("error_class", ErrorClass(err))
	} else {
		event = event.Int("status", resp.StatusCode)
	}
	event.Msg("outbound call")
}

// CloseIdle closes the connections that carry nothing.
func (c *Client) CloseIdle() { c.http.CloseIdleConnections() }

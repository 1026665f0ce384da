package webhook

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
)

// Deliverer posts deliveries with the client for URLs given by users.
type Deliverer struct{ public connectors.HTTPDoer }

var _ connectors.Deliverer = (*Deliverer)(nil)

// New gives the deliverer; public is connectors.Deps.Public.
func New(public connectors.HTTPDoer) *Deliverer { return &Deliverer{public: public} }

// kept are the headers of an answer that say what the receiver wants
// (webhooks.md, Dialects), by their canonical names. The others may hold cookies.
var kept = []string{
	"Content-Type", "Date", "Retry-After", "Ratelimit-Reset", "X-Ratelimit-Reset", "Webhook-Delivery",
}

// Deliver posts once. The answer counts when it is complete, or longer than
// what is kept of it: its rest is dropped unread. Header has canonical names
// ("Retry-After", "Webhook-Delivery").
func (d *Deliverer) Deliver(ctx context.Context, delivery connectors.Delivery) connectors.DeliveryResult {
	start := time.Now()
	var dialled address
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: dialled.note})
	ctx = outbound.Truncated(outbound.WithRoute(ctx, "webhook"), connectors.MaxAnswer)
	result := d.post(ctx, delivery)
	result.Duration = time.Since(start)
	result.RemoteAddr = dialled.get()
	return result
}

func (d *Deliverer) post(ctx context.Context, delivery connectors.Delivery) connectors.DeliveryResult {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, delivery.URL, bytes.NewReader(delivery.Body))
	if err != nil {
		return connectors.DeliveryResult{ErrorClass: outbound.ClassInvalidURL, Error: "the URL cannot be read"}
	}
	for name, value := range delivery.Header {
		req.Header.Set(name, value)
	}
	resp, err := d.public.Do(req)
	if err != nil {
		return failed(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, connectors.MaxAnswer))
	if err != nil {
		return failed(err)
	}
	result := connectors.DeliveryResult{Status: resp.StatusCode, Body: body, Header: map[string]string{}}
	for _, name := range kept {
		if value := resp.Header.Get(name); value != "" {
			result.Header[name] = value[:min(len(value), 200)]
		}
	}
	return result
}

func failed(err error) connectors.DeliveryResult {
	return connectors.DeliveryResult{ErrorClass: outbound.ErrorClass(err), Error: outbound.Explain(err)}
}

// address is noted by the transport, maybe from another goroutine.
type address struct {
	mu   sync.Mutex
	text string
}

func (a *address) note(info httptrace.GotConnInfo) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if remote := info.Conn.RemoteAddr(); remote != nil {
		a.text = remote.String()
	}
}

func (a *address) get() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.text
}

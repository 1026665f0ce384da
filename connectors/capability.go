package connectors

import (
	"context"
	"time"
)

// Mail is one message to one recipient. MessageID is ours and stays the same
// when the message is sent again: receivers drop the repeat.
type Mail struct {
	MessageID string // "<uuid>@<domain>", without angle brackets
	To        Secret // address
	Subject   string
	Text      Secret // plain text, UTF-8
	HTML      Secret // optional alternative
}

// Mailer hands one mail to the relay. A refusal for ever (5xx) is Rejected, a
// refusal for now (4xx) Temporary. A lost answer is Temporary too: the repeat
// carries the same MessageID.
type Mailer interface {
	Send(ctx context.Context, m Mail) error
	HealthChecker
}

// Delivery is one POST to a webhook receiver: body and headers are complete,
// signatures included.
type Delivery struct {
	URL    string
	Header map[string]string
	Body   []byte
}

// DeliveryResult is what the receiver did. Status is 0 and ErrorClass is set
// when there was no complete answer.
type DeliveryResult struct {
	Status     int
	ErrorClass string // "", dns, refused, connect_timeout, tls, reset, timeout, blocked, too_large, invalid_url
	Error      string // for people, without the URL's query
	Header     map[string]string
	Body       []byte // at most MaxAnswer bytes of the answer
	Duration   time.Duration
	RemoteAddr string // address really dialled
}

// MaxAnswer bounds the receiver's answer that is kept, in bytes.
const MaxAnswer = 10_000

// Deliverer posts to addresses given by users: egress guard, no redirects, no
// hidden retry.
type Deliverer interface {
	Deliver(ctx context.Context, d Delivery) DeliveryResult
}

package connectors

import (
	"context"
	"net/http"
	"time"
)

// Deps is what the hub lends to a connector when it opens it.
type Deps struct {
	Name  string // instance name, the key in the settings, e.g. "gravitee-dinum"
	Owner string // this hub's name, written into the partner's objects
	Now   func() time.Time
	// Partner is the outbound client for the operator's own URLs (connectors/outbound).
	Partner HTTPDoer
	// Public is the outbound client for URLs given by users, behind the egress guard.
	Public HTTPDoer
	Ledger Ledger
	Gate   Gate
	Tasks  Tasks // orders to people, where no API can be called
}

// HTTPDoer sends a request. Its errors are transport errors only; statuses are
// for the caller to read.
type HTTPDoer interface {
	Do(*http.Request) (*http.Response, error)
}

// Ledger keeps small records of a connector, durable and shared by all
// replicas: token chains, tasks by hand, marks. Values hold no clear secret.
type Ledger interface {
	// Get gives the record, or false.
	Get(ctx context.Context, key string) ([]byte, bool, error)
	// Put writes it; PutNew writes it only when the key is free and says so.
	Put(ctx context.Context, key string, value []byte) error
	PutNew(ctx context.Context, key string, value []byte) (bool, error)
	Delete(ctx context.Context, key string) error
}

// Gate holds limits and locks shared by all replicas.
type Gate interface {
	// Lock takes the named lock for at most ttl and gives its release; false
	// when another holds it.
	Lock(ctx context.Context, name string, ttl time.Duration) (release func(), ok bool, err error)
	// Take takes one token of the named bucket (rate per second, burst), or
	// gives the wait until one is free.
	Take(ctx context.Context, name string, rate float64, burst int) (wait time.Duration, err error)
}

type correlationKey struct{}

// WithCorrelation carries the id that ties an incoming webhook, the calls it
// causes and the history lines together.
func WithCorrelation(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, correlationKey{}, id)
}

// Correlation gives the id carried by ctx, or "".
func Correlation(ctx context.Context) string {
	id, _ := ctx.Value(correlationKey{}).(string)
	return id
}

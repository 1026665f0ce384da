package jose

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// HTTPDoer sends a request: a connector's outbound client.
type HTTPDoer interface {
	Do(*http.Request) (*http.Response, error)
}

const (
	defaultTTL      = time.Hour
	defaultMaxStale = 6 * time.Hour
	fetchTimeout    = 10 * time.Second
	maxJWKS         = 256 << 10 // bytes

	// RefetchEvery: a key set is asked for at most that often, whatever ids
	// tokens name (tokens.md, 7.6; franceconnect.md, 6).
	RefetchEvery = 30 * time.Second
)

// RemoteConfig says where an outside issuer publishes its keys.
type RemoteConfig struct {
	URL    string // jwks_uri
	Client HTTPDoer
	Now    func() time.Time
	// TTL: after it the set is fetched again in the background while the held one
	// serves. Zero: one hour.
	TTL time.Duration
	// MaxStale: after it the held set serves no more, so that a key its issuer
	// withdrew dies here too. Zero: six hours.
	MaxStale time.Duration
}

// RemoteKeys is the key set of an outside issuer, cached. An unknown key id
// causes one fetch, at most one every RefetchEvery, shared by all who wait.
type RemoteKeys struct {
	config RemoteConfig
	flight singleflight.Group

	mu        sync.Mutex
	keys      map[string]PublicKey
	fetchedAt time.Time // of the held set
	triedAt   time.Time // of the last fetch begun
	failure   error     // of the last fetch, nil when it succeeded
}

// NewRemoteKeys gives the key set; nothing is fetched before the first Key or
// Refresh, so an issuer that is down stops no start.
func NewRemoteKeys(c RemoteConfig) (*RemoteKeys, error) {
	if c.URL == "" || c.Client == nil || c.Now == nil {
		return nil, fmt.Errorf("%w: remote keys need a URL, a client and a clock", ErrConfig)
	}
	if c.TTL == 0 {
		c.TTL = defaultTTL
	}
	if c.MaxStale == 0 {
		c.MaxStale = max(defaultMaxStale, c.TTL)
	}
	if c.TTL < RefetchEvery || c.MaxStale < c.TTL {
		return nil, fmt.Errorf("%w: TTL is at least %s and at most MaxStale", ErrConfig, RefetchEvery)
	}
	return &RemoteKeys{config: c}, nil
}

// Key finds a key by its id: ErrUnknownKey when the issuer does not publish it,
// ErrKeysUnavailable when that could not be read.
func (r *RemoteKeys) Key(ctx context.Context, kid string) (PublicKey, error) {
	key, known, age := r.lookup(kid)
	switch {
	case known && age < r.config.TTL:
		return key, nil
	case known && age < r.config.MaxStale:
		if r.mayFetch() {
			r.flight.DoChan("", r.fetcher(ctx))
		}
		return key, nil
	}
	if err := r.Refresh(ctx); err != nil {
		return PublicKey{}, err
	}
	key, known, age = r.lookup(kid)
	if !known || age >= r.config.MaxStale {
		return PublicKey{}, ErrUnknownKey
	}
	return key, nil
}

// Refresh fetches the set, unless that was done less than RefetchEvery ago: then
// it gives the outcome of that time. It waits for a fetch under way.
func (r *RemoteKeys) Refresh(ctx context.Context) error {
	done := r.flight.DoChan("", r.fetcher(ctx))
	select {
	case result := <-done:
		return result.Err
	case <-ctx.Done():
		return errors.Join(ErrKeysUnavailable, ctx.Err())
	}
}

func (r *RemoteKeys) lookup(kid string) (key PublicKey, known bool, age time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key, known = r.keys[kid]
	return key, known, r.config.Now().Sub(r.fetchedAt)
}

func (r *RemoteKeys) mayFetch() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.triedAt.IsZero() || r.config.Now().Sub(r.triedAt) >= RefetchEvery
}

// fetcher is one flight: whoever waits, the limit is asked first, and the fetch
// outlives the request that began it.
func (r *RemoteKeys) fetcher(ctx context.Context) func() (any, error) {
	return func() (any, error) {
		if !r.mayFetch() {
			r.mu.Lock()
			defer r.mu.Unlock()
			return nil, r.failure
		}
		began := r.config.Now()
		r.mu.Lock()
		r.triedAt = began
		r.mu.Unlock()

		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
		defer cancel()
		keys, err := r.fetch(ctx)

		r.mu.Lock()
		defer r.mu.Unlock()
		r.failure = err
		if err == nil {
			r.keys, r.fetchedAt = keys, began
		}
		return nil, err
	}
}

func (r *RemoteKeys) fetch(ctx context.Context) (map[string]PublicKey, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.config.URL, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: bad URL", ErrKeysUnavailable)
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := r.config.Client.Do(req)
	if err != nil {
		return nil, errors.Join(ErrKeysUnavailable, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w: status %d", ErrKeysUnavailable, resp.StatusCode)
	}
	media, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || (media != "application/json" && media != "application/jwk-set+json") {
		return nil, fmt.Errorf("%w: not JSON", ErrKeysUnavailable)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxJWKS+1))
	if err != nil {
		return nil, errors.Join(ErrKeysUnavailable, err)
	}
	if len(body) > maxJWKS {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrKeysUnavailable, maxJWKS)
	}
	keys, err := parseJWKS(body)
	if err != nil {
		return nil, fmt.Errorf("%w: not a key set", ErrKeysUnavailable)
	}
	return keys, nil
}

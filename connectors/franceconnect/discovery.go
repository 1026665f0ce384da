package franceconnect

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
	"github.com/passerelle-hub/passerelle/internal/jose"
)

const (
	discoveryTTL   = time.Hour       // FC-1; fetched again in the background while the held one serves
	discoveryStale = 6 * time.Hour   // after that it serves no more, as jose.RemoteKeys' sets
	discoveryEvery = 5 * time.Second // least time between two fetches while none succeeds
	discoveryPath  = "/.well-known/openid-configuration"
)

// metadata is what of the discovery document is used.
type metadata struct {
	Issuer        string   `json:"issuer"`
	Authorization string   `json:"authorization_endpoint"`
	Token         string   `json:"token_endpoint"`
	Userinfo      string   `json:"userinfo_endpoint"`
	JWKS          string   `json:"jwks_uri"`
	EndSession    string   `json:"end_session_endpoint"`
	IDTokenAlgs   []string `json:"id_token_signing_alg_values_supported"`
	UserinfoAlgs  []string `json:"userinfo_signing_alg_values_supported"`
	AuthMethods   []string `json:"token_endpoint_auth_methods_supported"`

	keys *jose.RemoteKeys
}

// check says why the document cannot be used; "" when it can.
func (m metadata) check(c Config) string {
	issuer, err := url.Parse(c.Issuer)
	if err != nil || m.Issuer != c.Issuer {
		return "it is another issuer's"
	}
	for _, one := range []struct{ name, text string }{
		{"authorization_endpoint", m.Authorization},
		{"token_endpoint", m.Token},
		{"userinfo_endpoint", m.Userinfo},
		{"jwks_uri", m.JWKS},
		{"end_session_endpoint", m.EndSession},
	} {
		u, err := url.Parse(one.text)
		// A secret and tokens go there: an https issuer has https endpoints.
		if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || u.Scheme != "https" && u.Scheme != issuer.Scheme {
			return one.name + " is missing or no safe URL"
		}
	}
	method := "client_secret_post"
	if !c.ClientKey.IsZero() {
		method = "private_key_jwt"
	}
	for _, one := range []struct {
		name   string
		list   []string
		wanted string
	}{
		{"id_token_signing_alg_values_supported", m.IDTokenAlgs, c.Alg},
		{"userinfo_signing_alg_values_supported", m.UserinfoAlgs, c.Alg},
		{"token_endpoint_auth_methods_supported", m.AuthMethods, method},
	} {
		if len(one.list) > 0 && !slices.Contains(one.list, one.wanted) {
			return one.name + " does not hold " + one.wanted
		}
	}
	return ""
}

// discovery holds the document, as jose.RemoteKeys holds a key set.
type discovery struct {
	flight singleflight.Group

	mu        sync.Mutex
	held      metadata
	fetchedAt time.Time // of held; zero: none yet
	triedAt   time.Time
	failure   error // of the last fetch, nil when it succeeded
}

// discover gives the document: the held one, or one fetched now.
func (p *Provider) discover(ctx context.Context) (metadata, error) {
	now := p.deps.Now()
	p.discovery.mu.Lock()
	held, age, have := p.discovery.held, now.Sub(p.discovery.fetchedAt), !p.discovery.fetchedAt.IsZero()
	p.discovery.mu.Unlock()
	if have && age < discoveryTTL {
		return held, nil
	}
	fetched := p.discovery.flight.DoChan("", func() (any, error) { return p.refresh(ctx) })
	if have && age < discoveryStale {
		return held, nil
	}
	select {
	case result := <-fetched:
		if result.Err != nil {
			return metadata{}, result.Err
		}
		got, _ := result.Val.(metadata)
		return got, nil
	case <-ctx.Done():
		return metadata{}, outbound.TransportError(p.deps.Name, opDiscover, ctx.Err())
	}
}

// Reachable is false when the last fetch of the document failed and none that is
// held serves: the entry page closes (franceconnect.md, FC-1). The document is then
// asked for again, for the next one who wants to know.
func (p *Provider) Reachable() bool {
	d := &p.discovery
	d.mu.Lock()
	serves := !d.fetchedAt.IsZero() && p.deps.Now().Sub(d.fetchedAt) < discoveryStale
	failed := d.failure != nil
	d.mu.Unlock()
	if serves || !failed {
		return true
	}
	d.flight.DoChan("", func() (any, error) { return p.refresh(context.Background()) })
	return false
}

// refresh is one flight: it outlives the request that began it.
func (p *Provider) refresh(ctx context.Context) (metadata, error) {
	d := &p.discovery
	began := p.deps.Now()
	d.mu.Lock()
	if tried := d.triedAt; !tried.IsZero() && began.Sub(tried) < discoveryEvery {
		defer d.mu.Unlock()
		return d.held, d.failure
	}
	d.triedAt = began
	previous := d.held
	d.mu.Unlock()

	got, err := p.fetch(context.WithoutCancel(ctx), previous)

	d.mu.Lock()
	defer d.mu.Unlock()
	d.failure = err
	if err != nil {
		return metadata{}, err
	}
	d.held, d.fetchedAt = got, began
	return got, nil
}

func (p *Provider) fetch(ctx context.Context, previous metadata) (metadata, error) {
	var got metadata
	_, err := outbound.JSON(ctx, p.deps.Partner, outbound.Call{
		Partner: p.deps.Name, Op: opDiscover, Method: http.MethodGet, Base: p.config.Issuer, Route: discoveryPath,
		Expect: []int{http.StatusOK}, Out: &got,
	})
	if err != nil {
		return metadata{}, err
	}
	if why := got.check(p.config); why != "" {
		return metadata{}, p.rejected(opDiscover, "the discovery document: "+why, nil)
	}
	got.keys = previous.keys
	if got.keys == nil || got.JWKS != previous.JWKS {
		got.keys, err = jose.NewRemoteKeys(jose.RemoteConfig{URL: got.JWKS, Client: keysDoer{p.deps.Partner}, Now: p.deps.Now})
		if err != nil {
			return metadata{}, p.rejected(opDiscover, "jwks_uri cannot be used", err)
		}
	}
	return got, nil
}

// keysDoer names the call in the log: the key set is fetched for whoever asked.
// It asks again once when there was no connection: without the set nobody is
// believed for a while (franceconnect.md, 6: "test again").
type keysDoer struct{ next connectors.HTTPDoer }

// Do sends the request, which has no body.
func (k keysDoer) Do(req *http.Request) (*http.Response, error) {
	req = req.WithContext(outbound.WithRoute(req.Context(), "jwks_uri"))
	resp, err := k.next.Do(req)
	if err != nil && unconnected(err) && req.Context().Err() == nil {
		return k.next.Do(req)
	}
	return resp, err
}

// Health reads the discovery document and the key set, both cached: it asks
// FranceConnect at most once in 30 s, so that an entry page may call it.
func (p *Provider) Health(ctx context.Context) (connectors.Health, error) {
	start := p.deps.Now()
	found, err := p.discover(ctx)
	if err == nil {
		if err = found.keys.Refresh(ctx); err != nil {
			err = p.keysDown("health", err)
		}
	}
	return connectors.Health{Latency: p.deps.Now().Sub(start)}, err
}

// keysDown: nothing is said of the answer, only that it cannot be verified now.
func (p *Provider) keysDown(op string, err error) error {
	return &connectors.Error{Class: connectors.Temporary, Partner: p.deps.Name, Op: op, Detail: "the key set cannot be read", Err: err}
}

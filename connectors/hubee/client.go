package hubee

import (
	"context"
	"encoding/base64"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
)

const (
	foldersBase   = "/teledossiers/v1"
	referential   = "/referential/v1"
	renewBefore   = time.Minute
	tokenLifetime = time.Hour // hubee.md, 2: when expires_in is not told
)

// client is one credential: its token is shared by all calls (HC-2).
type client struct {
	config   Config
	deps     connectors.Deps
	renewing chan struct{} // holds one: who asks for a new token

	mu      sync.Mutex
	token   connectors.Secret
	renewAt time.Time
}

// call makes one call with our token and identity; a refused token is renewed
// and the call replayed once.
func (c *client) call(ctx context.Context, call outbound.Call) error {
	limit := callTimeout
	if _, binary := call.In.([]byte); binary {
		limit = fileTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if call.Out == nil {
		call.Expect = []int{http.StatusNoContent} // hubee.md, 4
	}
	call.Partner, call.Base = c.deps.Name, strings.TrimSuffix(c.config.URL, "/")
	var stale connectors.Secret
	for {
		token, err := c.bearer(ctx, stale)
		if err != nil {
			return err
		}
		once := call
		once.Secrets = append([]connectors.Secret{token}, call.Secrets...)
		once.Header = http.Header{
			"Authorization": {"Bearer " + token.Reveal()},
			// Names that HubEE writes in camel case; header names have no case (RFC 9110, 5.1).
			"Editorname": {c.config.EditorName}, "Applicationname": {c.config.ApplicationName}, "Softwareversion": {c.config.SoftwareVersion},
		}
		maps.Copy(once.Header, call.Header)
		answer, err := outbound.JSON(ctx, c.deps.Partner, once)
		if answer != nil && answer.Status == http.StatusUnauthorized && stale.IsZero() {
			stale = token
			continue
		}
		return explain(call, answer, err)
	}
}

// explain adds what HubEE's words say beyond their status (hubee.md, 12).
func explain(call outbound.Call, answer *outbound.Answer, err error) error {
	var e *connectors.Error
	if answer == nil || !errors.As(err, &e) {
		return err
	}
	if answer.Status >= 200 && answer.Status < 300 && call.Expect != nil {
		// A page of something between us and HubEE: whether the work was done is unknown.
		e.Class = connectors.Temporary
	}
	if answer.Status == http.StatusBadRequest {
		text := string(answer.Body)
		switch {
		case strings.Contains(text, "does not suscribed"):
			e.Err = connectors.ErrNotSubscribed
		case strings.Contains(text, "Case recipient") && strings.Contains(text, "does not exist"):
			e.Err = connectors.ErrUnknownRecipient
		case strings.Contains(text, "already exist"):
			e.Class, e.Err = connectors.Conflict, connectors.ErrAlreadyExists
		}
	}
	return e
}

// bearer gives a live token, another one than stale. One caller at a time asks
// for a new one; the others wait for it, each no longer than its own context.
func (c *client) bearer(ctx context.Context, stale connectors.Secret) (connectors.Secret, error) {
	if token, live := c.cached(stale); live {
		return token, nil
	}
	select {
	case c.renewing <- struct{}{}:
		defer func() { <-c.renewing }()
	case <-ctx.Done():
		return connectors.Secret{}, outbound.TransportError(c.deps.Name, "get a token", ctx.Err())
	}
	if token, live := c.cached(stale); live {
		return token, nil
	}
	return c.renew(ctx)
}

func (c *client) cached(stale connectors.Secret) (connectors.Secret, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.token, !c.token.IsZero() && c.token != stale && c.deps.Now().Before(c.renewAt)
}

func (c *client) renew(ctx context.Context) (connectors.Secret, error) {
	target, err := url.Parse(c.config.TokenURL)
	if err != nil {
		return connectors.Secret{}, err
	}
	var body struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int64  `json:"expires_in"`
	}
	asked := c.deps.Now()
	pair := base64.StdEncoding.EncodeToString([]byte(c.config.ClientID + ":" + c.config.ClientSecret.Reveal()))
	_, err = outbound.JSON(outbound.Repeatable(ctx), c.deps.Partner, outbound.Call{
		Partner: c.deps.Name, Op: "get a token", Method: http.MethodPost, Base: target.Scheme + "://" + target.Host, Route: target.Path,
		Header: http.Header{"Authorization": {"Basic " + pair}},
		In:     url.Values{"grant_type": {"client_credentials"}, "scope": {c.config.Scope}},
		Out:    &body, Secrets: []connectors.Secret{c.config.ClientSecret, connectors.NewSecret(pair)},
	})
	var e *connectors.Error
	if errors.As(err, &e) && e.Status == http.StatusBadRequest {
		e.Class = connectors.Unauthorized // a refused scope or grant is our configuration, not an outage (hubee.md, 2)
	}
	if err == nil && body.AccessToken == "" {
		err = &connectors.Error{Class: connectors.Rejected, Partner: c.deps.Name, Op: "get a token", Detail: "the answer holds no access_token"}
	}
	if err != nil {
		return connectors.Secret{}, err
	}
	life := time.Duration(body.ExpiresIn) * time.Second
	if life <= 0 || life > 24*time.Hour {
		life = tokenLifetime
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.token, c.renewAt = connectors.NewSecret(body.AccessToken), asked.Add(max(life-renewBefore, life/2))
	return c.token, nil
}

// health measures a cheap call that a token is needed for.
func (c *client) health(ctx context.Context, call outbound.Call) (connectors.Health, error) {
	start := c.deps.Now()
	err := c.call(ctx, call)
	return connectors.Health{Latency: c.deps.Now().Sub(start)}, err
}

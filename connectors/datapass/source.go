package datapass

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
)

// Bounds of a page: DataPass's own maximum (datapass.md, 3.2), and the least
// that is worth a call.
const (
	maxPage = 1000
	minPage = 10
)

// Source reads one DataPass.
type Source struct {
	config   Config
	deps     connectors.Deps
	pageSize atomic.Int64 // shrinks for good when an answer is too large

	mu      sync.Mutex
	token   connectors.Secret
	renewAt time.Time
}

var _ connectors.RequestSource = (*Source)(nil)

// Requests gives one page of all requests, newest first.
func (s *Source) Requests(ctx context.Context, offset int) (connectors.SourcePage[connectors.SourceRequest], error) {
	return list(ctx, s, "list requests", "/api/v1/demandes", nil, offset, requestJSON.request)
}

// Habilitations gives one page of the habilitations in a state, newest first.
func (s *Source) Habilitations(ctx context.Context, state string, offset int) (connectors.SourcePage[connectors.SourceHabilitation], error) {
	query := url.Values{}
	if state != "" {
		query.Set("state", state)
	}
	return list(ctx, s, "list habilitations", "/api/v1/habilitations", query, offset, habilitationJSON.habilitation)
}

// Request reads one, and the time at which that was true.
func (s *Source) Request(ctx context.Context, id int64) (connectors.SourceRequest, time.Time, error) {
	var body requestJSON
	asOf, err := s.get(ctx, outbound.Call{
		Op: "read a request", Route: "/api/v1/demandes/{id}", Params: map[string]string{"id": strconv.FormatInt(id, 10)}, Out: &body,
	})
	return body.request(), asOf, err
}

// Health asks who we are there: the cheapest call that a token is needed for.
func (s *Source) Health(ctx context.Context) (connectors.Health, error) {
	start := s.deps.Now()
	_, err := s.get(ctx, outbound.Call{Op: "health", Route: "/api/v1/me"})
	return connectors.Health{Latency: s.deps.Now().Sub(start)}, err
}

// list reads one page, in smaller parts when its answer is too large.
func list[J, T any](ctx context.Context, s *Source, op, route string, query url.Values, offset int, of func(J) T) (connectors.SourcePage[T], error) {
	var page connectors.SourcePage[T]
	for {
		limit := int(s.pageSize.Load())
		q := url.Values{"limit": {strconv.Itoa(limit)}, "offset": {strconv.Itoa(offset)}}
		for key, values := range query {
			q[key] = values
		}
		var items []J
		asOf, err := s.get(ctx, outbound.Call{Op: op, Route: route, Query: q, Out: &items})
		if errors.Is(err, outbound.ErrTooLarge) && limit > minPage {
			s.pageSize.CompareAndSwap(int64(limit), int64(max(limit/2, minPage)))
			continue
		}
		if err != nil {
			return page, err
		}
		page.AsOf = asOf
		for _, item := range items {
			page.Items = append(page.Items, of(item))
		}
		return page, nil
	}
}

// get makes a call with our token. DataPass says 422 to a revoked one, and to a
// missing scope (datapass.md, 3.5): a new token tells the two apart.
func (s *Source) get(ctx context.Context, c outbound.Call) (time.Time, error) {
	c.Partner, c.Method, c.Base = s.deps.Name, http.MethodGet, strings.TrimSuffix(s.config.URL, "/")
	var stale connectors.Secret
	for {
		token, err := s.bearer(ctx, stale)
		if err != nil {
			return time.Time{}, err
		}
		c.Header, c.Secrets = http.Header{"Authorization": {"Bearer " + token.Reveal()}}, []connectors.Secret{token}
		start := s.deps.Now()
		answer, err := outbound.JSON(ctx, s.deps.Partner, c)
		refused := answer != nil && (answer.Status == http.StatusUnauthorized || answer.Status == http.StatusUnprocessableEntity)
		if refused && stale.IsZero() {
			stale = token
			continue
		}
		if refused {
			var e *connectors.Error
			if errors.As(err, &e) {
				e.Class = connectors.Unauthorized // a new token is refused like the old one: our rights, not the token
			}
		}
		if err != nil {
			return time.Time{}, err
		}
		return asOf(answer.Header, start, s.deps.Now().Sub(start)), nil
	}
}

// asOf is when the source began to answer, by its own clock: its Date, less the
// time that the call took; ours where it sends none. Its webhooks carry the same
// clock's times, and what it shows is compared with those.
func asOf(header http.Header, start time.Time, took time.Duration) time.Time {
	date, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		return start
	}
	return date.Add(-took)
}

// renewBefore: a token is no longer used that long before its end.
const renewBefore = time.Minute

// bearer gives a live token, another one than stale.
func (s *Source) bearer(ctx context.Context, stale connectors.Secret) (connectors.Secret, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.token.IsZero() && s.token != stale && s.deps.Now().Before(s.renewAt) {
		return s.token, nil
	}
	var body struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int    `json:"expires_in"`
	}
	_, err := outbound.JSON(ctx, s.deps.Partner, outbound.Call{
		Partner: s.deps.Name, Op: "get a token", Method: http.MethodPost, Base: strings.TrimSuffix(s.config.URL, "/"), Route: "/api/v1/oauth/token",
		In: url.Values{
			"grant_type": {"client_credentials"}, "client_id": {s.config.ClientID}, "client_secret": {s.config.ClientSecret.Reveal()},
			"scope": {"public read_authorizations"},
		},
		Out: &body, Secrets: []connectors.Secret{s.config.ClientSecret},
	})
	if err == nil && body.AccessToken == "" {
		err = &connectors.Error{Class: connectors.Rejected, Partner: s.deps.Name, Op: "get a token", Detail: "the answer holds no access_token"}
	}
	if err != nil {
		return connectors.Secret{}, err
	}
	s.token = connectors.NewSecret(body.AccessToken)
	s.renewAt = s.deps.Now().Add(time.Duration(body.ExpiresIn)*time.Second - renewBefore)
	return s.token, nil
}

package kong

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
)

// Manager is one Kong.
type Manager struct {
	config      Config
	base        string
	name, owner string
	now         func() time.Time
	http        connectors.HTTPDoer
}

var (
	_ connectors.KeyManager = (*Manager)(nil)
	_ connectors.Lister     = (*Manager)(nil)
	_ connectors.Checker    = (*Manager)(nil)
	_ connectors.Planner    = (*Manager)(nil)
)

// Open gives the manager. deps.Partner carries the timeouts and TLS files of the
// settings (outbound.Partner with c.Settings).
func (c Config) Open(deps connectors.Deps) (connectors.KeyManager, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("kong: %w", err)
	}
	if deps.Name == "" || deps.Owner == "" || deps.Now == nil || deps.Partner == nil {
		return nil, errors.New("kong: name, owner, clock and outbound client are needed")
	}
	base, err := url.JoinPath(c.URL, c.Workspace)
	if err != nil {
		return nil, fmt.Errorf("kong: url: %w", err)
	}
	return &Manager{config: c, base: base, name: deps.Name, owner: deps.Owner, now: deps.Now, http: deps.Partner}, nil
}

// Capabilities of Kong with key-auth and acl (api-managers.md, 1).
func (m *Manager) Capabilities() connectors.Capabilities {
	return connectors.Capabilities{
		CallerSecret: true, MultiSecret: true, Grace: connectors.GraceAny, NativeExpiry: true, SecretReadable: true,
		LookupByRef: true, List: true, RevocationBound: m.config.Propagation, GrantModel: connectors.GrantsOnSubject,
	}
}

// call is one call of the admin API.
type call struct {
	op, method, route string
	params            map[string]string
	query             url.Values
	in, out           any
	expect            []int
	secret            connectors.Secret // carried by in
}

func (m *Manager) do(ctx context.Context, c call) (*outbound.Answer, error) {
	header := http.Header{}
	secrets := []connectors.Secret{c.secret}
	if !m.config.Token.IsZero() {
		header.Set("Kong-Admin-Token", m.config.Token.Reveal())
		secrets = append(secrets, m.config.Token)
	}
	return outbound.JSON(ctx, m.http, outbound.Call{
		Partner: m.name, Op: c.op, Method: c.method, Base: m.base, Route: c.route, Params: c.params, Query: c.query,
		Header: header, In: c.in, Out: c.out, Expect: c.expect, Secrets: secrets,
	})
}

func (m *Manager) fail(op string, class connectors.Class, format string, args ...any) *connectors.Error {
	return &connectors.Error{Class: class, Partner: m.name, Op: op, Detail: outbound.Redact(fmt.Sprintf(format, args...))}
}

// list gives one page of a collection and the offset of the next, "" at the end.
func list[T any](ctx context.Context, m *Manager, c call, offset string) ([]T, string, error) {
	var page struct {
		Data   *[]T   `json:"data"`
		Offset string `json:"offset"`
	}
	query := url.Values{"size": {strconv.Itoa(m.config.PageSize)}}
	for name, values := range c.query {
		query[name] = values
	}
	if offset != "" {
		query.Set("offset", offset)
	}
	c.method, c.query, c.out = http.MethodGet, query, &page
	if _, err := m.do(ctx, c); err != nil {
		return nil, "", err
	}
	if page.Data == nil {
		return nil, "", m.fail(c.op, connectors.Rejected, "unexpected answer: a list without data")
	}
	return *page.Data, page.Offset, nil
}

// all walks the pages of a collection.
func all[T any](ctx context.Context, m *Manager, c call) ([]T, error) {
	var rows []T
	for offset := ""; ; {
		page, next, err := list[T](ctx, m, c, offset)
		if err != nil {
			return nil, err
		}
		rows = append(rows, page...)
		if next == "" {
			return rows, nil
		}
		offset = next
	}
}

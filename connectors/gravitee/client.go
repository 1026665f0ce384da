package gravitee

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
)

const (
	v1 = "/management/organizations/{org}/environments/{env}"
	v2 = "/management/v2/organizations/{org}/environments/{env}"
)

// call is one call to the management API.
type call struct {
	op      string
	method  string
	route   string // v1 or v2 and a template below it
	params  map[string]string
	query   url.Values
	in, out any
	secrets []connectors.Secret // what the body carries
}

// do makes the call. A refused token is read from its file again, once.
func (m *Manager) do(ctx context.Context, c call) (*outbound.Answer, error) {
	answer, err := m.attempt(ctx, c)
	if answer != nil && answer.Status == http.StatusUnauthorized && m.credentials.reload() {
		return m.attempt(ctx, c)
	}
	return answer, err
}

func (m *Manager) attempt(ctx context.Context, c call) (*outbound.Answer, error) {
	params := map[string]string{"org": m.config.Organization, "env": m.config.Environment}
	maps.Copy(params, c.params)
	header, secrets := m.credentials.header()
	answer, err := outbound.JSON(ctx, m.http, outbound.Call{
		Partner: m.name, Op: c.op, Method: c.method, Base: m.config.URL, Route: c.route, Params: params, Query: c.query,
		Header: header, In: c.in, Out: c.out, Secrets: append(secrets, c.secrets...),
	})
	if connectors.Is(err, connectors.NotFound) && !namesObject(answer.Code("technicalCode")) {
		e := m.fail(c.op, connectors.Rejected, "no such path: the URL, organization or environment is wrong")
		e.Status = answer.Status
		return answer, e
	}
	return answer, err
}

// namesObject tells the 404 of a missing object from the 404 of a wrong path or
// of our own settings.
func namesObject(code string) bool {
	switch code {
	case "application.notFound", "api.notFound", "plan.notFound", "subscription.notFound", "apiKey.notFound":
		return true
	}
	return false
}

func (m *Manager) fail(op string, class connectors.Class, format string, args ...any) *connectors.Error {
	return &connectors.Error{Class: class, Partner: m.name, Op: op, Detail: outbound.Redact(fmt.Sprintf(format, args...))}
}

// ours wraps a fault of what the hub lends: retried.
func (m *Manager) ours(op string, err error) error {
	if err == nil {
		return nil
	}
	return &connectors.Error{Class: connectors.Temporary, Partner: m.name, Op: op, Detail: "the hub's own records could not be used", Err: err}
}

// lock keeps other workers from the subject: Gravitee checks that a clientId
// and a key are free before it inserts, not while (api-managers.md, 3.1).
func (m *Manager) lock(ctx context.Context, op, subject string) (release func(), err error) {
	release, ok, err := m.gate.Lock(ctx, "gravitee/"+m.name+"/"+subject, 2*time.Minute)
	if err != nil {
		return nil, m.ours(op, err)
	}
	if !ok {
		e := m.fail(op, connectors.RateLimited, "another worker is busy with %s", subject)
		e.After = 5 * time.Second
		return nil, e
	}
	return release, nil
}

// credentials hold the way in. A token's file may change while the hub runs.
type credentials struct {
	user     string
	password connectors.Secret
	file     string

	mu    sync.Mutex
	token connectors.Secret
}

func newCredentials(c Config) (*credentials, error) {
	creds := &credentials{user: c.Username, password: c.Password, file: c.TokenFile, token: c.Token}
	if c.TokenFile == "" {
		return creds, nil
	}
	token, err := readToken(c.TokenFile)
	creds.token = token
	return creds, err
}

func readToken(file string) (connectors.Secret, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return connectors.Secret{}, fmt.Errorf("token_file: %w", err)
	}
	token := strings.TrimSpace(string(text))
	if token == "" {
		return connectors.Secret{}, fmt.Errorf("token_file: %s is empty", file)
	}
	return connectors.NewSecret(token), nil
}

// reload reads the token's file and tells whether it holds another one.
func (c *credentials) reload() bool {
	if c.file == "" {
		return false
	}
	token, err := readToken(c.file)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil || token == c.token {
		return false
	}
	c.token = token
	return true
}

func (c *credentials) header() (http.Header, []connectors.Secret) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.user != "" {
		basic := base64.StdEncoding.EncodeToString([]byte(c.user + ":" + c.password.Reveal()))
		return http.Header{"Authorization": {"Basic " + basic}}, []connectors.Secret{c.password}
	}
	return http.Header{"Authorization": {"Bearer " + c.token.Reveal()}}, []connectors.Secret{c.token}
}

// perPage is what lists are asked for; the default is ten.
const perPage = 100

// list walks all pages of a v2 list.
func list[T any](ctx context.Context, m *Manager, c call) ([]T, error) {
	var all []T
	for page := 1; ; page++ {
		var answer struct {
			Data       []T `json:"data"`
			Pagination struct {
				PageCount int `json:"pageCount"`
			} `json:"pagination"`
		}
		query := url.Values{}
		maps.Copy(query, c.query)
		query.Set("page", strconv.Itoa(page))
		query.Set("perPage", strconv.Itoa(perPage))
		one := c
		one.method, one.query, one.out = http.MethodGet, query, &answer
		if _, err := m.do(ctx, one); err != nil {
			return nil, err
		}
		all = append(all, answer.Data...)
		if page >= answer.Pagination.PageCount {
			return all, nil
		}
	}
}

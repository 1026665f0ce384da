package keycloak

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
)

// session holds the hub's admin token, which lives for a minute or so.
type session struct {
	mu    sync.Mutex
	token connectors.Secret
	until time.Time
}

// drop forgets a token that was refused, unless another has taken its place.
func (s *session) drop(token connectors.Secret) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token == token {
		s.token = connectors.Secret{}
	}
}

// margin is how long before its end a token is replaced.
const margin = 10 * time.Second

// token gives the admin token, a new one shortly before the end of the old.
func (m *Manager) token(ctx context.Context, op string) (connectors.Secret, error) {
	s := &m.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.token.IsZero() && m.now().Before(s.until) {
		return s.token, nil
	}
	basic := base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(m.config.ClientID) + ":" + url.QueryEscape(m.config.ClientSecret.Reveal())))
	asked := m.now()
	var answer struct {
		Token   string `json:"access_token"`
		Seconds int64  `json:"expires_in"`
	}
	_, err := outbound.JSON(outbound.Repeatable(ctx), m.http, outbound.Call{
		Partner: m.name, Op: op, Method: http.MethodPost, Base: m.config.URL, Route: "/realms/{realm}/protocol/openid-connect/token",
		Params: map[string]string{"realm": m.config.AdminRealm}, Header: http.Header{"Authorization": {"Basic " + basic}},
		In: url.Values{"grant_type": {"client_credentials"}}, Out: &answer, Secrets: []connectors.Secret{m.config.ClientSecret},
	})
	if err != nil {
		return connectors.Secret{}, m.known(err)
	}
	if answer.Token == "" {
		return connectors.Secret{}, m.fail(op, connectors.Rejected, "unexpected answer: no access token")
	}
	life := time.Duration(answer.Seconds) * time.Second
	s.token, s.until = connectors.NewSecret(answer.Token), asked.Add(life-min(margin, life/2))
	return s.token, nil
}

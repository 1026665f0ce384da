package hydratest

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"time"
)

// token is one access token that was issued.
type token struct {
	client    string
	strategy  string // that it was made with
	scopes    []string
	audience  []string
	issuedAt  time.Time
	expiresAt time.Time
	dropped   bool // revoked or deleted
}

// claims of a JWT access token, as 2.3.0 writes them.
type claims struct {
	Audience  []string       `json:"aud"`
	ClientID  string         `json:"client_id"`
	ExpiresAt int64          `json:"exp"`
	Extra     map[string]any `json:"ext"`
	IssuedAt  int64          `json:"iat"`
	Issuer    string         `json:"iss"`
	ID        string         `json:"jti"`
	NotBefore int64          `json:"nbf"`
	Scopes    []string       `json:"scp"`
	Subject   string         `json:"sub"`
}

func (s *Server) newToken(c publicClient, scopes, audience []string) (*token, string, error) {
	now := s.Now().Truncate(time.Second)
	t := &token{
		client: c.id, strategy: c.strategy, scopes: scopes, audience: append([]string{}, audience...),
		issuedAt: now, expiresAt: now.Add(c.lifespan).Truncate(time.Second),
	}
	value := opaqueToken()
	if c.strategy == StrategyJWT {
		var err error
		value, err = s.keys[0].Sign("JWT", claims{
			Audience: t.audience, ClientID: c.id, Subject: c.id, Issuer: s.Issuer(), ID: s.newID(),
			Scopes: append([]string{}, scopes...), Extra: map[string]any{},
			IssuedAt: now.Unix(), NotBefore: now.Unix(), ExpiresAt: t.expiresAt.Unix(),
		})
		if err != nil {
			return nil, "", err
		}
	}
	s.tokens[value] = t
	if owner := s.byID[c.id]; owner != nil {
		owner.tokens[value] = t
	}
	return t, value, nil
}

func opaqueToken() string {
	part := func() string {
		random := make([]byte, 32)
		_, _ = rand.Read(random) // never fails
		return base64.RawURLEncoding.EncodeToString(random)
	}
	return "ory_at_" + part() + "." + part()
}

// introspection is the answer of RFC 7662.
type introspection struct {
	Active    bool     `json:"active"`
	Scope     string   `json:"scope,omitempty"`
	ClientID  string   `json:"client_id"`
	Subject   string   `json:"sub"`
	ExpiresAt int64    `json:"exp"`
	IssuedAt  int64    `json:"iat"`
	NotBefore int64    `json:"nbf"`
	Audience  []string `json:"aud"`
	Issuer    string   `json:"iss"`
	TokenType string   `json:"token_type"`
	TokenUse  string   `json:"token_use"`
}

func (s *Server) introspect(r request) (reply, error) {
	form, err := r.form()
	if err != nil {
		return reply{header: oauthHeader}, err
	}
	if s.dbDown {
		return reply{header: oauthHeader}, &serverError
	}
	t := s.liveToken(form.Get("token"))
	if t != nil && slices.ContainsFunc(strings.Fields(form.Get("scope")), func(scope string) bool {
		return !scopeAllowed(t.scopes, scope)
	}) {
		t = nil
	}
	if t == nil {
		return reply{http.StatusOK, map[string]bool{"active": false}, oauthHeader}, nil
	}
	return reply{http.StatusOK, introspection{
		Active: true, Scope: strings.Join(t.scopes, " "), ClientID: t.client, Subject: t.client,
		ExpiresAt: t.expiresAt.Unix(), IssuedAt: t.issuedAt.Unix(), NotBefore: t.issuedAt.Unix(),
		Audience: t.audience, Issuer: s.Issuer(), TokenType: "Bearer", TokenUse: "access_token",
	}, map[string]string{"Content-Type": oauthType}}, nil
}

// liveToken gives nil for a token that is unknown, has expired, or whose client
// is gone or has another strategy by now.
func (s *Server) liveToken(value string) *token {
	t := s.tokens[value]
	if t == nil || t.dropped || !s.Now().Before(t.expiresAt) {
		return nil
	}
	if owner := s.byID[t.client]; owner == nil || s.strategyOf(owner) != t.strategy {
		return nil
	}
	return t
}

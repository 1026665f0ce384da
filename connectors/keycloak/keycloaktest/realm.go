package keycloaktest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
)

// token is one access token that was issued.
type token struct {
	clientID  string
	id        string // of its client: another of the same clientId is not meant
	scope     string
	issuedAt  time.Time
	expiresAt time.Time
	revoked   bool
}

// claims of an access token of a service account.
type claims struct {
	ExpiresAt int64  `json:"exp"`
	IssuedAt  int64  `json:"iat"`
	ID        string `json:"jti"`
	Issuer    string `json:"iss"`
	Audience  string `json:"aud"`
	Subject   string `json:"sub"`
	Type      string `json:"typ"`
	Party     string `json:"azp"`
	ACR       string `json:"acr"`
	Scope     string `json:"scope"`
	ClientID  string `json:"client_id"`
	Username  string `json:"preferred_username"`
}

func (s *Server) routeRealm(r chi.Router) {
	r.Get("/", s.serve(s.realmInfo))
	r.Get("/.well-known/openid-configuration", s.serve(s.discovery))
	r.Route("/protocol/openid-connect", func(r chi.Router) {
		r.Post("/token", s.serve(s.issueToken))
		r.Post("/token/introspect", s.serve(s.introspect))
		r.Post("/revoke", s.serve(s.revoke))
		r.Get("/certs", s.serve(s.certs))
	})
}

func (s *Server) realmInfo(request) (reply, error) {
	return ok(map[string]any{
		"realm": s.opts.Realm, "token-service": s.Issuer() + "/protocol/openid-connect",
		"account-service": s.Issuer() + "/account", "tokens-not-before": 0,
	})
}

func (s *Server) discovery(request) (reply, error) {
	base := s.Issuer() + "/protocol/openid-connect"
	return ok(map[string]any{
		"issuer": s.Issuer(), "token_endpoint": base + "/token", "jwks_uri": base + "/certs",
		"introspection_endpoint": base + "/token/introspect", "revocation_endpoint": base + "/revoke",
		"authorization_endpoint": base + "/auth", "userinfo_endpoint": base + "/userinfo",
		"grant_types_supported":                 []string{"authorization_code", "client_credentials", "refresh_token"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post", "private_key_jwt"},
		"id_token_signing_alg_values_supported": []string{"RS256"}, "subject_types_supported": []string{"public", "pairwise"},
		"response_types_supported": []string{"code"},
	})
}

func (s *Server) certs(request) (reply, error) {
	public, err := s.opts.SigningKey.Public().JWK()
	if err != nil {
		return reply{}, err
	}
	return ok(map[string]any{"keys": []json.RawMessage{public}})
}

func (r request) form() url.Values {
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return url.Values{}
	}
	values, err := url.ParseQuery(string(r.body))
	if err != nil {
		return url.Values{}
	}
	return values
}

// authenticate finds the client that a call of the realm's endpoints comes from,
// by Basic or by the form, which wins.
func (s *Server) authenticate(r request, form url.Values) (*client, error) {
	id, secret, _ := r.BasicAuth()
	id, secret = unescaped(id), unescaped(secret)
	if form.Has("client_id") {
		id = form.Get("client_id")
	}
	if form.Has("client_secret") {
		secret = form.Get("client_secret")
	}
	if id == "" {
		return nil, noClientID
	}
	s.toPublic.CatchUp(s.Now())
	c := s.public[id]
	switch {
	case c == nil, !c.Enabled:
		return nil, unknownClient
	case !c.PublicClient && !c.takes(secret, s.Now()):
		return nil, wrongSecret
	}
	return c, nil
}

func unescaped(text string) string {
	if clear, err := url.QueryUnescape(text); err == nil {
		return clear
	}
	return text
}

type tokenAnswer struct {
	AccessToken      string `json:"access_token"`
	ExpiresIn        int64  `json:"expires_in"` // seconds
	RefreshExpiresIn int64  `json:"refresh_expires_in"`
	TokenType        string `json:"token_type"`
	NotBefore        int64  `json:"not-before-policy"`
	Scope            string `json:"scope"`
}

func (s *Server) issueToken(r request) (reply, error) {
	form := r.form()
	c, err := s.authenticate(r, form)
	switch {
	case err != nil:
		return reply{}, err
	case form.Get("grant_type") == "":
		return reply{}, noGrant
	case form.Get("grant_type") != "client_credentials":
		return reply{}, unknownGrant
	case c.PublicClient:
		return reply{}, publicClient
	case !c.ServiceAccountsEnabled:
		return reply{}, noAccount
	}
	granted := slices.Clone(c.DefaultScopes)
	for _, name := range strings.Fields(form.Get("scope")) {
		switch {
		case name == "openid" || slices.Contains(granted, name):
		case slices.Contains(c.OptionalScopes, name):
			granted = append(granted, name)
		default:
			return reply{}, oauth(http.StatusBadRequest, "invalid_scope", "Invalid scopes: "+form.Get("scope"))
		}
	}
	if stored := s.byID[c.ID]; stored != nil {
		if changed := stored.copy(); s.tokenRequested(changed) {
			s.replace(stored, changed)
		}
	}
	answer, err := s.newToken(c, strings.Join(granted, " "))
	if err != nil {
		return reply{}, err
	}
	return ok(answer)
}

func (s *Server) newToken(c *client, scope string) (tokenAnswer, error) {
	now := s.Now().Truncate(time.Second)
	life := s.opts.TokenLifespan
	if own, err := strconv.Atoi(c.Attributes[attrTokenLifespan]); err == nil && own > 0 {
		life = time.Duration(own) * time.Second
	}
	if c.admin {
		life = s.opts.AdminTokenLifespan
	}
	t := &token{clientID: c.ClientID, id: c.ID, scope: scope, issuedAt: now, expiresAt: now.Add(life)}
	account := uuid.NewSHA1(uuid.NameSpaceURL, []byte("service-account:"+c.ID)).String()
	value, err := s.opts.SigningKey.Sign("JWT", claims{
		ExpiresAt: t.expiresAt.Unix(), IssuedAt: now.Unix(), ID: "trrtcc:" + uuid.NewString(), Issuer: s.Issuer(),
		Audience: "account", Subject: account, Type: "Bearer", Party: c.ClientID, ACR: "1", Scope: scope,
		ClientID: c.ClientID, Username: "service-account-" + strings.ToLower(c.ClientID),
	})
	if err != nil {
		return tokenAnswer{}, err
	}
	s.tokens[value] = t
	s.RegisterSecret(value)
	return tokenAnswer{AccessToken: value, ExpiresIn: seconds(life), TokenType: "Bearer", Scope: scope}, nil
}

// liveToken gives nil for a token that is unknown, over or revoked, or whose
// client is gone or disabled.
func (s *Server) liveToken(value string) *token {
	t := s.tokens[value]
	if t == nil || t.revoked || !s.Now().Before(t.expiresAt) {
		return nil
	}
	if c := s.byID[t.id]; c == nil || !c.Enabled {
		return nil
	}
	return t
}

func (s *Server) introspect(r request) (reply, error) {
	form := r.form()
	if _, err := s.authenticate(r, form); err != nil {
		return reply{}, err
	}
	if form.Get("token") == "" {
		return reply{}, noToken
	}
	t := s.liveToken(form.Get("token"))
	if t == nil {
		return ok(map[string]bool{"active": false})
	}
	return ok(map[string]any{
		"active": true, "client_id": t.clientID, "azp": t.clientID, "scope": t.scope, "token_type": "Bearer", "typ": "Bearer",
		"exp": t.expiresAt.Unix(), "iat": t.issuedAt.Unix(), "iss": s.Issuer(), "aud": "account",
		"username": "service-account-" + strings.ToLower(t.clientID),
	})
}

// revoke is for the client's own tokens; it is 200 for any other.
func (s *Server) revoke(r request) (reply, error) {
	form := r.form()
	c, err := s.authenticate(r, form)
	if err != nil {
		return reply{}, err
	}
	if form.Get("token") == "" {
		return reply{}, noToken
	}
	if t := s.tokens[form.Get("token")]; t != nil && t.id == c.ID {
		t.revoked = true
	}
	return reply{status: http.StatusOK}, nil
}

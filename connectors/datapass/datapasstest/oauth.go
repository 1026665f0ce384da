package datapasstest

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Scopes of API v1 (datapass.md, 3.1).
const (
	ScopePublic = "public"
	ScopeRead   = "read_authorizations"
	ScopeWrite  = "write_authorizations"
	ScopeHooks  = "read_webhooks"
)

// tokenLifetime is that of an access token.
const tokenLifetime = 2 * time.Hour

// User owns an application.
type User struct {
	ID                                     int64
	Email, FamilyName, GivenName, JobTitle string
}

// Application is an OAuth client. It sees the definitions of which its owner is
// a developer.
type Application struct {
	ClientID     string
	ClientSecret string
	Scopes       []string // default: the self-service ones, public and read_authorizations
	Owner        User
	Definitions  []string // uids; the owner's developer roles
}

type accessToken struct {
	application string
	scopes      []string
	expires     time.Time
	revoked     bool
}

// AddApplication registers a client of API v1, with what it lacks: id, secret,
// scopes, owner.
func (s *Server) AddApplication(app Application) Application {
	if app.ClientID == "" {
		app.ClientID = newToken()
	}
	if app.ClientSecret == "" {
		app.ClientSecret = newToken()
	}
	if len(app.Scopes) == 0 {
		app.Scopes = []string{ScopePublic, ScopeRead}
	}
	if app.Owner.Email == "" {
		app.Owner = User{Email: "nadia.benali@dinum.example", FamilyName: "Benali", GivenName: "Nadia", JobTitle: "Développeuse"}
	}
	s.RegisterSecret(app.ClientSecret)
	s.mu.Lock()
	defer s.mu.Unlock()
	app.Owner.ID = known(s.users, app.Owner.Email, app.Owner.ID, &s.ids.user)
	s.applications[app.ClientID] = app
	return app
}

// RevokeTokens revokes every access token, as the DataPass team would.
func (s *Server) RevokeTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, token := range s.tokens {
		token.revoked = true
	}
}

func (s *Server) issueToken(w http.ResponseWriter, r *http.Request) {
	app, ok := s.authenticate(r)
	if !ok {
		oauthError(w, http.StatusUnauthorized, "invalid_client")
		return
	}
	switch r.PostForm.Get("grant_type") {
	case "client_credentials":
	case "":
		oauthError(w, http.StatusBadRequest, "invalid_request")
		return
	default:
		oauthError(w, http.StatusBadRequest, "unsupported_grant_type")
		return
	}
	granted := []string{ScopePublic, ScopeRead}
	if wanted := strings.Fields(r.PostForm.Get("scope")); len(wanted) > 0 {
		granted = wanted
	}
	if slices.ContainsFunc(granted, func(scope string) bool { return !slices.Contains(app.Scopes, scope) }) {
		oauthError(w, http.StatusBadRequest, "invalid_scope")
		return
	}
	value, now := newToken(), s.Now()
	s.RegisterSecret(value)
	s.mu.Lock()
	s.tokens[value] = &accessToken{application: app.ClientID, scopes: granted, expires: now.Add(tokenLifetime)}
	s.mu.Unlock()
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, http.StatusOK, object{
		"access_token": value, "token_type": "Bearer", "expires_in": int(tokenLifetime.Seconds()),
		"scope": strings.Join(granted, " "), "created_at": now.Unix(),
	})
}

// revokeToken answers {} whether the token exists or not (RFC 7009, 2.2).
func (s *Server) revokeToken(w http.ResponseWriter, r *http.Request) {
	app, ok := s.authenticate(r)
	if !ok {
		oauthError(w, http.StatusForbidden, "unauthorized_client")
		return
	}
	s.mu.Lock()
	if token := s.tokens[r.PostForm.Get("token")]; token != nil && token.application == app.ClientID {
		token.revoked = true
	}
	s.mu.Unlock()
	writeJSON(w, http.StatusOK, object{})
}

// authenticate gives the application that the form or HTTP Basic names and proves.
func (s *Server) authenticate(r *http.Request) (Application, bool) {
	if err := r.ParseForm(); err != nil {
		return Application{}, false
	}
	id, secret, basic := r.BasicAuth()
	if !basic {
		id, secret = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	app, ok := s.applications[id]
	return app, ok && app.ClientSecret == secret
}

// oauthError is Doorkeeper's, not errors[] (datapass.md, 3.7).
func oauthError(w http.ResponseWriter, status int, code string) {
	descriptions := map[string]string{
		"invalid_client":         "Client authentication failed due to unknown client, no client authentication included, or unsupported authentication method.",
		"invalid_request":        "Missing required parameter: grant_type.",
		"unsupported_grant_type": "The authorization grant type is not supported by the authorization server.",
		"invalid_scope":          "The requested scope is invalid, unknown, or malformed.",
		"unauthorized_client":    "You are not authorized to revoke this token",
	}
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="Doorkeeper", error="`+code+`"`)
	}
	writeJSON(w, status, object{"error": code, "error_description": descriptions[code]})
}

func newToken() string {
	var value [32]byte
	_, _ = rand.Read(value[:]) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(value[:])
}

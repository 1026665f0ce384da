package hubeetest

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

// TokenLife is that of an access token (hubee.md, 2).
const TokenLife = time.Hour

// Credential is a pair that the portal shows: one per subscription for an SI,
// one for all processes of an OSL.
type Credential struct {
	Actor        Actor          `yaml:"actor"`
	ClientID     string         `yaml:"clientId"`
	ClientSecret string         `yaml:"clientSecret"`
	Organization OrganizationID `yaml:"organization"`
	ProcessCode  string         `yaml:"processCode"` // an SI's; "" for all
	Scopes       []string       `yaml:"scopes"`      // default: the actor's own
}

type accessToken struct {
	credential Credential
	scopes     []string
	expires    time.Time
}

// AddCredential registers a client, with what it lacks: id, secret, scopes.
func (s *Server) AddCredential(c Credential) Credential {
	if c.ClientID == "" {
		c.ClientID = newToken()
	}
	if c.ClientSecret == "" {
		c.ClientSecret = newToken()
	}
	if len(c.Scopes) == 0 {
		c.Scopes = []string{string(c.Actor)}
	}
	s.RegisterSecret(c.ClientSecret)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.credentials = slices.DeleteFunc(s.credentials, func(held Credential) bool { return held.ClientID == c.ClientID })
	s.credentials = append(s.credentials, c)
	return c
}

// RemoveCredential revokes a client and its tokens, as the portal does.
func (s *Server) RemoveCredential(clientID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.credentials = slices.DeleteFunc(s.credentials, func(c Credential) bool { return c.ClientID == clientID })
	for value, token := range s.tokens {
		if token.credential.ClientID == clientID {
			delete(s.tokens, value)
		}
	}
}

// Credentials lists the clients, secrets included.
func (s *Server) Credentials() []Credential {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.credentials)
}

// Credential gives the first client of an actor; the zero value when there is none.
func (s *Server) Credential(actor Actor) Credential {
	for _, c := range s.Credentials() {
		if c.Actor == actor {
			return c
		}
	}
	return Credential{}
}

// ExpireTokens ends every access token before its time: the 401 in mid-run.
func (s *Server) ExpireTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

// issueToken is POST /oauth2/token: HTTP Basic and client_credentials only.
func (s *Server) issueToken(w http.ResponseWriter, r *http.Request) {
	id, secret, _ := r.BasicAuth()
	if err := r.ParseForm(); err != nil {
		oauthError(w, http.StatusBadRequest, "invalid_request", "The request body could not be read")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	known := slices.IndexFunc(s.credentials, func(c Credential) bool { return c.ClientID == id })
	if id == "" || known < 0 {
		oauthError(w, http.StatusUnauthorized, "invalid_client", "A valid OAuth client could not be found for client_id: "+id)
		return
	}
	client := s.credentials[known]
	if subtle.ConstantTimeCompare([]byte(client.ClientSecret), []byte(secret)) != 1 {
		oauthError(w, http.StatusUnauthorized, "invalid_client", "Client Authentication failed.")
		return
	}
	if grant := r.PostForm.Get("grant_type"); grant != "client_credentials" {
		oauthError(w, http.StatusBadRequest, "unsupported_grant_type", "Unsupported grant_type value")
		return
	}
	scopes := strings.Fields(r.PostForm.Get("scope"))
	if slices.ContainsFunc(scopes, func(scope string) bool { return !slices.Contains(client.Scopes, scope) }) {
		oauthError(w, http.StatusBadRequest, "invalid_scope", "The requested scope is invalid, unknown, or malformed.")
		return
	}
	value := newToken()
	s.RegisterSecret(value)
	s.tokens[value] = accessToken{credential: client, scopes: scopes, expires: s.Now().Add(TokenLife)}
	w.Header().Set("Cache-Control", "no-store")
	answer := map[string]any{"access_token": value}
	if !s.switches.BareToken {
		answer["scope"], answer["token_type"], answer["expires_in"] = strings.Join(scopes, " "), "Bearer", int(TokenLife.Seconds())
	}
	partnertest.WriteJSON(w, http.StatusOK, answer)
}

func oauthError(w http.ResponseWriter, status int, code, description string) {
	partnertest.WriteJSON(w, status, map[string]string{"error": code, "error_description": description})
}

// authenticate gives the token that the call bears. It needs the lock.
func (s *Server) authenticate(r *http.Request) (accessToken, bool) {
	scheme, value, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return accessToken{}, false
	}
	token, ok := s.tokens[value]
	return token, ok && s.Now().Before(token.expires)
}

func newToken() string {
	var value [24]byte
	_, _ = rand.Read(value[:]) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(value[:])
}

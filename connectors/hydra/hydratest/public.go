package hydratest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-chi/chi/v5"
)

func (s *Server) publicSide() http.Handler {
	r := chi.NewRouter()
	s.handle(r, "/oauth2/token", methods{http.MethodPost: s.issueToken})
	s.handle(r, "/oauth2/revoke", methods{http.MethodPost: s.revokeToken})
	s.handle(r, "/.well-known/jwks.json", methods{http.MethodGet: s.keySet})
	s.handle(r, "/.well-known/openid-configuration", methods{http.MethodGet: s.discovery})
	s.routeHealth(r)
	r.NotFound(http.NotFound)
	return r
}

var oauthHeader = map[string]string{
	"Content-Type": oauthType, "Cache-Control": "no-store", "Pragma": "no-cache",
}

// form reads the body as RFC 6749 has it.
func (r request) form() (url.Values, error) {
	empty := invalidRequest.with("The POST body can not be empty.")
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return nil, empty
	}
	values, err := url.ParseQuery(string(r.body))
	if err != nil {
		return nil, invalidRequest.with("Unable to parse HTTP body, make sure to send a properly formatted form request body.")
	}
	if len(values) == 0 {
		return nil, empty
	}
	return values, nil
}

// authenticate finds the client that a call of the public side comes from.
func (s *Server) authenticate(r request, form url.Values) (publicClient, error) {
	id, secret, isBasic := r.BasicAuth()
	if isBasic {
		var errs [2]error
		id, errs[0] = url.QueryUnescape(id)
		secret, errs[1] = url.QueryUnescape(secret)
		if errs[0] != nil || errs[1] != nil {
			return publicClient{}, invalidRequest.with("The client id in the HTTP authorization header could not be decoded from 'application/x-www-form-urlencoded'.")
		}
	} else if id, secret = form.Get("client_id"), form.Get("client_secret"); id == "" {
		return publicClient{}, invalidRequest.with("Client credentials missing or malformed in both HTTP Authorization header and HTTP POST body.")
	}
	s.toPublic.CatchUp(s.Now())
	c, known := s.public[id]
	if !known {
		return publicClient{}, &invalidClient
	}
	used := ""
	switch {
	case form.Get("client_id") != "" && form.Get("client_secret") != "" && c.authMethod != authPost:
		used = authPost
	case isBasic && secret != "" && c.authMethod != authBasic:
		used = authBasic
	}
	if used != "" {
		return publicClient{}, invalidClient.with(
			"The OAuth 2.0 Client supports client authentication method '%s', but method '%s' was requested. You must configure the OAuth 2.0 client's 'token_endpoint_auth_method' value to accept '%s'.",
			c.authMethod, used, used)
	}
	if c.authMethod != authNone && !slices.ContainsFunc(c.secrets, func(h hash) bool { return h.matches(secret) }) {
		return publicClient{}, &invalidClient
	}
	return c, nil
}

type tokenAnswer struct {
	AccessToken string `json:"access_token"`
	ExpiresIn   int64  `json:"expires_in"` // seconds
	Scope       string `json:"scope"`
	TokenType   string `json:"token_type"`
}

func (s *Server) issueToken(r request) (reply, error) {
	answer, err := s.grant(r)
	if err != nil {
		return reply{header: oauthHeader}, err
	}
	return reply{http.StatusOK, answer, oauthHeader}, nil
}

// otherGrants are those that a client may be allowed and this simulator does not issue for.
var otherGrants = []string{"authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:jwt-bearer"}

const wrongRequest = "Make sure that the various parameters are correct, be aware of case sensitivity and trim your parameters. Make sure that the client you are using has exactly whitelisted the redirect_uri you specified."

func (s *Server) grant(r request) (tokenAnswer, error) {
	form, err := r.form()
	if err != nil {
		return tokenAnswer{}, err
	}
	grant := form.Get("grant_type")
	switch {
	case grant == "":
		return tokenAnswer{}, invalidRequest.with("Request parameter 'grant_type' is missing")
	case grant != "client_credentials" && !slices.Contains(otherGrants, grant):
		return tokenAnswer{}, invalidRequest.with(wrongRequest)
	case s.dbDown:
		return tokenAnswer{}, &serverError
	}
	c, err := s.authenticate(r, form)
	if err != nil {
		return tokenAnswer{}, err
	}
	scopes := strings.Fields(form.Get("scope"))
	audience := form["audience"]
	if len(audience) == 1 {
		audience = strings.Fields(audience[0])
	}
	notAllowed := unauthorizedClient.with("The OAuth 2.0 Client is not allowed to use authorization grant '%s'.", grant)
	if grant != "client_credentials" {
		if !slices.Contains(c.grants, grant) {
			return tokenAnswer{}, notAllowed
		}
		return tokenAnswer{}, &invalidGrant
	}
	for _, scope := range scopes {
		if !scopeAllowed(c.scopes, scope) {
			return tokenAnswer{}, invalidScope.with("The OAuth 2.0 Client is not allowed to request scope '%s'.", scope)
		}
	}
	for _, wanted := range audience {
		if !slices.ContainsFunc(c.audience, func(allowed string) bool { return audienceAllowed(allowed, wanted) }) {
			return tokenAnswer{}, invalidRequest.with("Requested audience '%s' has not been whitelisted by the OAuth 2.0 Client.", wanted)
		}
	}
	switch {
	case c.authMethod == authNone:
		return tokenAnswer{}, invalidGrant.with("The OAuth 2.0 Client is marked as public and is thus not allowed to use authorization grant 'client_credentials'.")
	case !slices.Contains(c.grants, grant):
		return tokenAnswer{}, notAllowed
	}
	issued, value, err := s.newToken(c, scopes, audience)
	if err != nil {
		return tokenAnswer{}, &serverError
	}
	return tokenAnswer{value, int64(issued.expiresAt.Sub(s.Now()).Seconds()), strings.Join(scopes, " "), "bearer"}, nil
}

// scopeAllowed matches dot-separated parts, where "*" stands for one part, or at
// the end for any number of them.
func scopeAllowed(allowed []string, scope string) bool {
	parts := strings.Split(scope, ".")
	return slices.ContainsFunc(allowed, func(pattern string) bool {
		patterns := strings.Split(pattern, ".")
		if len(patterns) > len(parts) || len(patterns) < len(parts) && patterns[len(patterns)-1] != "*" {
			return false
		}
		for i, p := range patterns {
			if p != parts[i] && (p != "*" || parts[i] == "") {
				return false
			}
		}
		return true
	})
}

// audienceAllowed: the same scheme and host, and a path at or below the allowed one.
func audienceAllowed(allowed, wanted string) bool {
	a, errA := url.Parse(allowed)
	w, errW := url.Parse(wanted)
	if errA != nil || errW != nil || a.Scheme != w.Scheme || a.Host != w.Host {
		return false
	}
	base := strings.TrimRight(a.Path, "/")
	return w.Path == a.Path || w.Path == base || strings.HasPrefix(w.Path, base+"/")
}

// revokeToken says 200 for a token that is unknown or another client's, and does
// nothing then.
func (s *Server) revokeToken(r request) (reply, error) {
	form, err := r.form()
	if err != nil {
		return reply{header: oauthHeader}, invalidRequest.with(wrongRequest)
	}
	if s.dbDown {
		return reply{header: oauthHeader}, &serverError
	}
	c, err := s.authenticate(r, form)
	if err != nil {
		return reply{header: oauthHeader}, err
	}
	value := form.Get("token")
	if t := s.tokens[value]; t != nil && t.client == c.id {
		t.dropped = true
		if owner := s.byID[c.id]; owner != nil {
			delete(owner.tokens, value)
		}
	}
	return reply{status: http.StatusOK, header: oauthHeader}, nil
}

func (s *Server) keySet(request) (reply, error) {
	keys := []json.RawMessage{}
	for _, key := range s.keys {
		public, err := key.Public().JWK()
		if err != nil {
			return reply{}, err
		}
		keys = append(keys, public)
	}
	return ok(map[string]any{"keys": keys})
}

func (s *Server) discovery(request) (reply, error) {
	issuer := s.Issuer()
	base := strings.TrimSuffix(issuer, "/")
	return ok(map[string]any{
		"issuer": issuer, "token_endpoint": base + "/oauth2/token", "revocation_endpoint": base + "/oauth2/revoke",
		"authorization_endpoint": base + "/oauth2/auth", "jwks_uri": base + "/.well-known/jwks.json",
		"userinfo_endpoint": base + "/userinfo", "subject_types_supported": []string{"public"},
		"grant_types_supported":                 []string{"authorization_code", "implicit", "client_credentials", "refresh_token"},
		"token_endpoint_auth_methods_supported": []string{authPost, authBasic, "private_key_jwt", authNone},
		"id_token_signing_alg_values_supported": []string{"RS256"},
		"scopes_supported":                      []string{"offline_access", "offline", "openid"},
		"response_types_supported":              []string{"code", "code id_token", "id_token", "token id_token", "token", "token id_token code"},
		"claims_supported":                      []string{"sub"},
	})
}

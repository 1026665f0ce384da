package franceconnecttest

import (
	"context"
	"crypto/subtle"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
	"github.com/passerelle-hub/passerelle/internal/jose"
)

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// jsonError is FranceConnect's: the code and the id of the error are in the URI
// of its documentation, which support asks for.
func (s *Server) jsonError(w http.ResponseWriter, status int, name, code, detail string) {
	s.count("token_" + name)
	w.Header().Set("Cache-Control", "no-store")
	partnertest.WriteJSON(w, status, map[string]string{
		"error": name, "error_description": detail,
		"error_uri": "https://docs.partenaires.franceconnect.gouv.fr/fs/fs-technique/fs-technique-erreurs/?" +
			url.Values{"code": {code}, "id": {random()[:16]}}.Encode(),
	})
}

// authenticate gives the client that the form proves: client_secret_post, and
// private_key_jwt where a key is declared. Basic is refused.
func (s *Server) authenticate(w http.ResponseWriter, r *http.Request) (Client, bool) {
	refuse := func(detail string) (Client, bool) {
		s.jsonError(w, http.StatusUnauthorized, "invalid_client", codeWrongSecret, "client authentication failed ("+detail+")")
		return Client{}, false
	}
	if err := r.ParseForm(); err != nil {
		s.jsonError(w, http.StatusBadRequest, "invalid_request", codeParameter, "failed to parse the request body")
		return Client{}, false
	}
	if r.Header.Get("Authorization") != "" {
		return refuse("the registered client token_endpoint_auth_method does not match the provided auth mechanism")
	}
	s.mu.Lock()
	client, known := s.clients[r.PostForm.Get("client_id")]
	s.mu.Unlock()
	if !known {
		return refuse("client is invalid")
	}
	if client.PublicJWK != "" {
		if err := s.verifyAssertion(r.Context(), client, r.PostForm); err != nil {
			return refuse("invalid client_assertion")
		}
		return client, true
	}
	given := r.PostForm.Get("client_secret")
	if !slices.ContainsFunc(client.Secrets, func(secret string) bool {
		return subtle.ConstantTimeCompare([]byte(secret), []byte(given)) == 1
	}) {
		return refuse("invalid secret provided")
	}
	return client, true
}

func (s *Server) verifyAssertion(ctx context.Context, client Client, form url.Values) error {
	key, err := jose.ParsePublicKey([]byte(client.PublicJWK))
	if err != nil {
		return err
	}
	if form.Get("client_assertion_type") != assertionType {
		return jose.ErrMalformed
	}
	claims, err := jose.Verifier{
		Issuer: client.ID, Audience: s.issuer, Algs: []jose.Alg{jose.ES256, jose.RS256}, Keys: jose.StaticKeys{key},
		Required: []string{"sub", "jti"}, Now: s.Now,
	}.Verify(ctx, form.Get("client_assertion"))
	if err == nil && claims.Subject != client.ID {
		err = jose.ErrClaim
	}
	return err
}

// token exchanges a code (franceconnect.md, 4).
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	client, ok := s.authenticate(w, r)
	if !ok {
		return
	}
	switch {
	case r.PostForm.Get("grant_type") != "authorization_code":
		s.jsonError(w, http.StatusBadRequest, "unsupported_grant_type", codeParameter, "unsupported grant_type requested")
		return
	case r.PostForm.Get("code") == "" || r.PostForm.Get("redirect_uri") == "":
		s.jsonError(w, http.StatusBadRequest, "invalid_request", codeParameter, "missing required parameter(s)")
		return
	}
	g, code, detail := s.redeem(client, r.PostForm.Get("code"), r.PostForm.Get("redirect_uri"))
	if code != "" {
		s.jsonError(w, http.StatusBadRequest, "invalid_grant", code, "grant request is invalid ("+detail+")")
		return
	}
	idToken, err := s.idToken(g, r.PostForm.Get("client_secret"))
	if err != nil {
		s.jsonError(w, http.StatusInternalServerError, "server_error", "Y000000", err.Error())
		return
	}
	s.count("token")
	w.Header().Set("Cache-Control", "no-store")
	partnertest.WriteJSON(w, http.StatusOK, map[string]any{
		"access_token": g.token, "expires_in": int(TokenLife / time.Second), "id_token": idToken,
		"scope": strings.Join(g.scopes, " "), "token_type": "Bearer",
	})
}

// redeem uses the code, or says with FranceConnect's code why not. A code that
// comes twice also kills what it gave the first time.
func (s *Server) redeem(client Client, code, redirectURI string) (g *grant, refusal, detail string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g = s.codes[code]
	switch {
	case g == nil || g.client.ID != client.ID:
		return nil, codeUnknownGrant, "authorization code not found"
	case g.used:
		g.dead = true
		return nil, codeUsedGrant, "authorization code already consumed"
	case !s.Now().Before(g.codeExpires):
		return nil, codeExpiredGrant, "authorization code is expired"
	case g.redirectURI != redirectURI:
		return nil, codeOtherRedirect, "authorization code redirect_uri mismatch"
	}
	g.used, g.token, g.issued = true, random(), s.Now()
	g.tokenExpires = g.issued.Add(TokenLife)
	s.RegisterSecret(g.token)
	s.tokens[g.token] = g
	return g, "", ""
}

func (s *Server) idToken(g *grant, secret string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.Now().Unix()
	claims := map[string]any{
		"sub": g.citizen.subject(g.client.ID), "auth_time": g.authTime.Unix(), "acr": "eidas1", "nonce": g.nonce,
		"at_hash": halfHash(g.token), "aud": g.client.ID, "exp": now + int64(TokenLife/time.Second), "iat": now, "iss": s.issuer,
	}
	if g.amr {
		claims["amr"] = []string{"pwd"}
	}
	how := s.next(InIDToken)
	spoil(claims, how)
	return s.sign("", claims, how, secret)
}

// live finds a token that is good now. It needs the lock.
func (s *Server) live(token string) *grant {
	g := s.tokens[token]
	if g == nil || g.dead || !s.Now().Before(g.tokenExpires) {
		return nil
	}
	return g
}

func (s *Server) userinfo(w http.ResponseWriter, r *http.Request) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	s.mu.Lock()
	g := s.live(token)
	s.mu.Unlock()
	if g == nil || !strings.EqualFold(scheme, "Bearer") {
		w.Header().Set("WWW-Authenticate", `Bearer realm="FranceConnect", error="invalid_token", error_description="invalid token provided"`)
		s.jsonError(w, http.StatusUnauthorized, "invalid_token", codeUnknownGrant, "invalid token provided (access token not found)")
		return
	}
	claims := g.citizen.claims(g.scopes)
	claims["sub"] = g.citizen.subject(g.client.ID)
	s.mu.Lock()
	how := s.next(InUserinfo)
	if g.client.Unsigned || how == PlainJSON {
		s.counts["userinfo"]++
		s.mu.Unlock()
		partnertest.WriteJSON(w, http.StatusOK, claims)
		return
	}
	now := s.Now().Unix()
	claims["aud"], claims["iat"], claims["exp"], claims["iss"] = g.client.ID, now, now+int64(TokenLife/time.Second), s.issuer
	spoil(claims, how)
	secret := ""
	if len(g.client.Secrets) > 0 {
		secret = g.client.Secrets[0]
	}
	signed, err := s.sign("", claims, how, secret)
	s.counts["userinfo"]++
	s.mu.Unlock()
	if err != nil {
		s.jsonError(w, http.StatusInternalServerError, "server_error", "Y000000", err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/jwt; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write([]byte(signed))
}

// revoke answers 200 whether the token was there or not (RFC 7009, 2.2).
func (s *Server) revoke(w http.ResponseWriter, r *http.Request) {
	client, ok := s.authenticate(w, r)
	if !ok {
		return
	}
	s.mu.Lock()
	if g := s.tokens[r.PostForm.Get("token")]; g != nil && g.client.ID == client.ID {
		g.dead = true
	}
	s.mu.Unlock()
	w.WriteHeader(http.StatusOK)
}

// checkToken answers a data provider about a token (franceconnect.md, 7): a JWS,
// inside a JWE where it declared a key.
func (s *Server) checkToken(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		s.jsonError(w, http.StatusBadRequest, "invalid_request", codeParameter, "failed to parse the request body")
		return
	}
	s.mu.Lock()
	provider, known := s.providers[r.PostForm.Get("client_id")]
	s.mu.Unlock()
	if !known || subtle.ConstantTimeCompare([]byte(provider.Secret), []byte(r.PostForm.Get("client_secret"))) != 1 {
		s.jsonError(w, http.StatusUnauthorized, "invalid_client", codeWrongSecret, "client authentication failed (data provider)")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.Now().Unix()
	about := map[string]any{"active": false}
	if g := s.live(r.PostForm.Get("token")); g != nil {
		about = g.introspection(provider)
	}
	s.counts["checktoken"]++
	answer, err := s.sign("token-introspection+jwt", map[string]any{
		"aud": provider.ID, "iat": now, "iss": s.issuer, "token_introspection": about,
	}, "", "")
	if err == nil && provider.EncryptionJWK != "" {
		var recipient jose.Recipient
		if recipient, err = jose.ParseRecipient([]byte(provider.EncryptionJWK)); err == nil {
			answer, err = recipient.Encrypt([]byte(answer))
		}
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/token-introspection+jwt")
	_, _ = w.Write([]byte(answer))
}

// introspection cuts the scopes down to those the provider knows, and gives the
// identity only where the token holds identite_pivot.
func (g *grant) introspection(provider DataProvider) map[string]any {
	granted := slices.DeleteFunc(slices.Clone(g.scopes), func(name string) bool {
		return len(provider.Scopes) > 0 && !slices.Contains(provider.Scopes, name)
	})
	about := map[string]any{
		"active": true, "aud": g.client.ID, "sub": g.citizen.subject(provider.ID), "iat": g.issued.Unix(), "exp": g.tokenExpires.Unix(),
		"acr": "eidas1", "jti": random()[:32], "scope": strings.Join(granted, " "),
	}
	if slices.Contains(granted, "identite_pivot") {
		for name, value := range g.citizen.claims([]string{"identite_pivot"}) {
			about[name] = value
		}
	}
	return about
}

package franceconnecttest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/passerelle-hub/passerelle/internal/jose"
)

var logoutParameters = []string{"id_token_hint", "post_logout_redirect_uri", "state", "client_id", "logout_hint", "ui_locales"}

// endSession closes the browser's session and sends the citizen back
// (franceconnect.md, 9). An id_token that has expired is a good hint.
func (s *Server) endSession(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	for _, name := range sortedKeys(query) {
		if !slices.Contains(logoutParameters, name) || len(query[name]) != 1 {
			s.showError(w, http.StatusBadRequest, codeParameter, "invalid_request", "invalid parameter ("+name+")")
			return
		}
	}
	client, ok := s.hinted(r.Context(), query.Get("id_token_hint"))
	if !ok {
		s.showError(w, http.StatusBadRequest, codeParameter, "invalid_request", "invalid parameter (id_token_hint)")
		return
	}
	target := query.Get("post_logout_redirect_uri")
	if target != "" && !slices.Contains(client.PostLogoutRedirectURIs, target) {
		s.showError(w, http.StatusBadRequest, codeLogoutRedirect, "invalid_request", "post_logout_redirect_uri not registered")
		return
	}
	s.mu.Lock()
	held := s.sessionOf(r)
	if held != nil {
		cookie, _ := r.Cookie(sessionCookie) // it led to the session
		delete(s.sessions, cookie.Value)
		s.counts["logout"]++
	}
	s.mu.Unlock()
	if held == nil {
		s.showError(w, http.StatusBadRequest, codeNoSession, "invalid_session", "aucune session ouverte")
		return
	}
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Path: basePath, MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	if target == "" {
		show(w, http.StatusOK, "home", map[string]any{"Title": "Vous êtes déconnecté", "Citizens": s.Citizens(), "Issuer": s.issuer})
		return
	}
	back, err := url.Parse(target)
	if err != nil {
		s.showError(w, http.StatusBadRequest, codeLogoutRedirect, "invalid_request", "post_logout_redirect_uri is not a URL")
		return
	}
	if state := query.Get("state"); state != "" {
		values := back.Query()
		values.Set("state", state)
		back.RawQuery = values.Encode()
	}
	http.Redirect(w, r, back.String(), http.StatusSeeOther)
}

// hinted gives the client that an id_token of ours was made for.
func (s *Server) hinted(ctx context.Context, token string) (Client, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range sortedKeys(s.clients) {
		_, err := jose.Verifier{
			Issuer: s.issuer, Audience: id, Algs: []jose.Alg{jose.ES256}, Keys: jose.StaticKeys(s.keys.past),
			Now: func() time.Time { return issuedAt(token) }, // an expired one is good
		}.Verify(ctx, token)
		if err == nil {
			return s.clients[id], true
		}
	}
	return Client{}, false
}

// issuedAt reads the claim without believing it: what depends on it is verified.
func issuedAt(token string) time.Time {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return time.Time{}
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return time.Time{}
	}
	var claims struct {
		IssuedAt int64 `json:"iat"`
	}
	if err := json.Unmarshal(body, &claims); err != nil {
		return time.Time{}
	}
	return time.Unix(claims.IssuedAt, 0)
}

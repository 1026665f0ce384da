package franceconnecttest

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// minRandom is the least length of state and nonce, in characters.
const minRandom = 22

// Codes of FranceConnect's pages and JSON errors (franceconnect.md, 8).
const (
	codeParameter      = "Y030007"
	codeUnknownClient  = "Y04EA6EF"
	codeRedirectURI    = "Y04C013C"
	codeUnknownGrant   = "Y049E20B"
	codeExpiredGrant   = "Y043F0A8"
	codeUsedGrant      = "Y0416228"
	codeOtherRedirect  = "Y04F8199"
	codeWrongSecret    = "Y0434A7B"
	codeLogoutRedirect = "Y04CFAEF"
	codeNoSession      = "Y100019"
)

// authorizeParameters are all that pass; whatever else is there is refused.
var authorizeParameters = []string{
	"client_id", "response_type", "redirect_uri", "scope", "acr_values", "state", "nonce", "prompt", "claims", "idp_hint", "ui_locales",
}

// request is a good authorization request.
type authorizeRequest struct {
	client      Client
	redirectURI string
	scopes      []string
	state       string
	nonce       string
	amr         bool
}

// interaction is a citizen's stay on FranceConnect's pages.
type interaction struct {
	id      string
	asked   authorizeRequest
	expires time.Time
}

func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		s.showError(w, http.StatusBadRequest, codeParameter, "invalid_request", "invalid parameter")
		return
	}
	asked, page := s.checkAuthorize(r.Form)
	if page != nil {
		s.count("authorize_refused")
		s.showError(w, http.StatusBadRequest, page.code, page.name, page.detail)
		return
	}
	s.count("authorize")
	if !asked.granted() {
		s.sendBack(w, r, asked, url.Values{"error": {"invalid_scope"}, "error_description": {"requested scope is not allowed"}})
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.auto != "" {
		i := slices.IndexFunc(s.citizens, func(c Citizen) bool { return c.ID == s.auto })
		s.openSession(w, r, s.citizens[i])
		s.giveCode(w, r, asked, s.citizens[i], s.Now())
		return
	}
	it := &interaction{id: random(), asked: asked, expires: s.Now().Add(InteractionLife)}
	s.interactions[it.id] = it
	http.Redirect(w, r, basePath+"/interaction/"+it.id, http.StatusSeeOther)
}

// pageError is an error that stays on FranceConnect's page.
type pageError struct{ code, name, detail string }

// checkAuthorize is franceconnect.md, 2: a closed list, then the client.
func (s *Server) checkAuthorize(form url.Values) (authorizeRequest, *pageError) {
	invalid := func(name string) (authorizeRequest, *pageError) {
		return authorizeRequest{}, &pageError{codeParameter, "invalid_request", "invalid parameter (" + name + ")"}
	}
	for _, name := range sortedKeys(form) {
		if !slices.Contains(authorizeParameters, name) || len(form[name]) != 1 {
			return invalid(name)
		}
	}
	asked := authorizeRequest{
		redirectURI: form.Get("redirect_uri"), scopes: strings.Fields(form.Get("scope")), state: form.Get("state"), nonce: form.Get("nonce"),
	}
	amr, claimsOK := amrAsked(form)
	asked.amr = amr
	for _, rule := range []struct {
		name string
		good bool
	}{
		{"client_id", form.Get("client_id") != ""},
		{"response_type", form.Get("response_type") == "code"},
		{"redirect_uri", asked.redirectURI != ""},
		{"scope", slices.Contains(asked.scopes, "openid")},
		{"acr_values", form.Get("acr_values") == "eidas1"},
		{"state", len(asked.state) >= minRandom},
		{"nonce", len(asked.nonce) >= minRandom},
		{"prompt", !form.Has("prompt") || allOf(strings.Fields(form.Get("prompt")), "login", "consent")},
		{"claims", claimsOK},
		{"idp_hint", !form.Has("idp_hint") || form.Get("idp_hint") == identityProvider},
	} {
		if !rule.good {
			return invalid(rule.name)
		}
	}
	s.mu.Lock()
	client, known := s.clients[form.Get("client_id")]
	s.mu.Unlock()
	switch {
	case !known:
		return authorizeRequest{}, &pageError{codeUnknownClient, "invalid_client", "client is invalid"}
	case !slices.Contains(client.RedirectURIs, asked.redirectURI):
		return authorizeRequest{}, &pageError{codeRedirectURI, "invalid_redirect_uri", "redirect_uri did not match any of the client's registered redirect_uris"}
	}
	asked.client = client
	return asked, nil
}

func allOf(list []string, allowed ...string) bool {
	return len(list) > 0 && !slices.ContainsFunc(list, func(one string) bool { return !slices.Contains(allowed, one) })
}

// amrAsked reads the claims parameter: JSON, of which amr in the id_token is
// what FranceConnect documents.
func amrAsked(form url.Values) (amr, ok bool) {
	if !form.Has("claims") {
		return false, true
	}
	var claims struct {
		IDToken map[string]any `json:"id_token"`
	}
	if err := json.Unmarshal([]byte(form.Get("claims")), &claims); err != nil {
		return false, false
	}
	_, amr = claims.IDToken["amr"]
	return amr, true
}

// granted: every scope is known and in the client's habilitation.
func (a authorizeRequest) granted() bool {
	return !slices.ContainsFunc(a.scopes, func(name string) bool {
		return !knownScope(name) || (len(a.client.Scopes) > 0 && !slices.Contains(a.client.Scopes, name))
	})
}

// giveCode sends the citizen back with a code. It needs the lock.
func (s *Server) giveCode(w http.ResponseWriter, r *http.Request, asked authorizeRequest, citizen Citizen, since time.Time) {
	code := random()
	s.RegisterSecret(code)
	s.codes[code] = &grant{
		client: asked.client, citizen: citizen, scopes: asked.scopes, nonce: asked.nonce, redirectURI: asked.redirectURI,
		amr: asked.amr, authTime: since, codeExpires: s.Now().Add(CodeLife),
	}
	s.counts["code"]++
	s.back(w, r, asked, url.Values{"code": {code}})
}

func (s *Server) sendBack(w http.ResponseWriter, r *http.Request, asked authorizeRequest, values url.Values) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.back(w, r, asked, values)
}

// back redirects to the client with state and iss. It needs the lock.
func (s *Server) back(w http.ResponseWriter, r *http.Request, asked authorizeRequest, values url.Values) {
	values.Set("state", asked.state)
	values.Set("iss", s.issuer)
	switch s.next(InCallback) {
	case CallbackNoIss:
		values.Del("iss")
	case CallbackIss:
		values.Set("iss", "https://ailleurs.example/api/v2")
	case CallbackState:
		values.Set("state", random())
	case CallbackServer:
		values.Del("code")
		values.Set("error", "server_error")
		values.Set("error_description", "oops! something went wrong")
	case CallbackUnready:
		values.Del("code")
		values.Set("error", "temporarily_unavailable")
		values.Set("error_description", "service temporarily unavailable")
	}
	target, err := url.Parse(asked.redirectURI)
	if err != nil {
		s.showError(w, http.StatusBadRequest, codeRedirectURI, "invalid_redirect_uri", "redirect_uri is not a URL")
		return
	}
	query := target.Query()
	for name, list := range values {
		query[name] = list
	}
	target.RawQuery = query.Encode()
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, target.String(), http.StatusSeeOther)
}

func (s *Server) count(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[what]++
}

func random() string {
	var value [32]byte
	_, _ = rand.Read(value[:]) // never fails (crypto/rand)
	return hex.EncodeToString(value[:])
}

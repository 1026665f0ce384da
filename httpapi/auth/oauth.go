package auth

import (
	"errors"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/rs/zerolog"

	"github.com/passerelle-hub/passerelle/httpapi/problem"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
	"github.com/passerelle-hub/passerelle/internal/token"
)

// OAuth serves the token endpoints of applications: /oauth/token, /oauth/revoke
// and /oauth/introspect (datapass.md, 3.1; RFC 6749, 7009 and 7662). Their
// errors are plain OAuth ones.
type OAuth struct{ *Authenticator }

const maxForm = 16 << 10 // bytes

// oauthError is an error of RFC 6749, 5.2.
type oauthError struct {
	Status      int    `json:"-"`
	Code        string `json:"error"`
	Description string `json:"error_description"`
}

func (e *oauthError) Error() string { return e.Code }

var (
	errInvalidClient = &oauthError{
		http.StatusUnauthorized, "invalid_client",
		"Client authentication failed due to unknown client, no client authentication included, or unsupported authentication method.",
	}
	errMissingGrant  = &oauthError{http.StatusBadRequest, "invalid_request", "Missing required parameter: grant_type."}
	errMissingToken  = &oauthError{http.StatusBadRequest, "invalid_request", "Missing required parameter: token."}
	errTwoMethods    = &oauthError{http.StatusBadRequest, "invalid_request", "The client must not use more than one authentication method."}
	errNoForm        = &oauthError{http.StatusBadRequest, "invalid_request", "A body of type application/x-www-form-urlencoded is expected."}
	errRepeated      = &oauthError{http.StatusBadRequest, "invalid_request", "A parameter is repeated."}
	errFormTooLarge  = &oauthError{http.StatusRequestEntityTooLarge, "invalid_request", "The form is larger than 16 KiB."}
	errGrantType     = &oauthError{http.StatusBadRequest, "unsupported_grant_type", "The authorization grant type is not supported by the authorization server."}
	errInvalidScope  = &oauthError{http.StatusBadRequest, "invalid_scope", "The requested scope is invalid, unknown, or malformed."}
	errNotYourToken  = &oauthError{http.StatusForbidden, "unauthorized_client", "You are not authorized to revoke this token"}
	errOAuthMethod   = &oauthError{http.StatusMethodNotAllowed, "invalid_request", "POST is expected."}
	errOAuthFailed   = &oauthError{http.StatusInternalServerError, "server_error", "The incident is recorded."}
	errOAuthOverload = &oauthError{http.StatusServiceUnavailable, "temporarily_unavailable", "Nothing was done; the request may be sent again."}
	errOAuthTooMany  = &oauthError{http.StatusTooManyRequests, "invalid_request", "Too many requests: wait before the next one."}
)

// Token gives an application an access token: 200 with the token, or an error
// of RFC 6749.
func (o OAuth) Token(w http.ResponseWriter, r *http.Request) {
	o.serve(w, r, func(form url.Values) (any, error) {
		app, err := o.client(r, form)
		if err != nil {
			return nil, err
		}
		switch form.Get("grant_type") {
		case "client_credentials":
		case "":
			return nil, errMissingGrant
		default:
			return nil, errGrantType
		}
		scopes, err := grantedScopes(app, form.Get("scope"))
		if err != nil {
			return nil, err
		}
		issue := &registry.IssueAccessToken{Application: app, Scopes: scopes}
		if err := o.Registry.Record(registry.WithActor(r.Context(), Caller{Application: &app}.Actor()), issue); err != nil {
			return nil, err
		}
		return map[string]any{
			"access_token": issue.Value.Reveal(), "token_type": "Bearer", "expires_in": int(issue.Lifetime.Seconds()),
			"scope": strings.Join(scopes, " "), "created_at": issue.CreatedAt.Unix(),
		}, nil
	})
}

// grantedScopes are those asked for, else the default ones (an editor's: all of
// its), all of them the application's; a token without any would be good for nothing.
func grantedScopes(app store.Application, asked string) ([]string, error) {
	scopes := strings.Fields(asked)
	if len(scopes) == 0 {
		scopes = slices.DeleteFunc(DefaultScopes(), func(s string) bool { return !slices.Contains(app.Scopes, s) })
		if app.Editor != "" {
			scopes = slices.Clone(app.Scopes)
		}
	}
	slices.Sort(scopes)
	scopes = slices.Compact(scopes)
	if len(scopes) == 0 || slices.ContainsFunc(scopes, func(s string) bool { return !slices.Contains(app.Scopes, s) }) {
		return nil, errInvalidScope
	}
	return scopes, nil
}

// Revoke ends a token of the application: 200 {} whether it was live or not. A
// client that is not believed gets DataPass's 403.
func (o OAuth) Revoke(w http.ResponseWriter, r *http.Request) {
	o.serve(w, r, func(form url.Values) (any, error) {
		app, err := o.client(r, form)
		if errors.Is(err, errInvalidClient) {
			err = errNotYourToken
		}
		if err != nil {
			return nil, err
		}
		if form.Get("token") == "" {
			return nil, errMissingToken
		}
		if hash, ours := o.known(form.Get("token")); ours {
			ctx := registry.WithActor(r.Context(), Caller{Application: &app}.Actor())
			if err := o.Registry.Record(ctx, &registry.RevokeAccessToken{Application: app.ID, Hash: hash}); err != nil {
				return nil, err
			}
		}
		return struct{}{}, nil
	})
}

// introspection is the answer about an access token (RFC 7662, 2.2); nothing but
// active for one that is not live, or not the application's.
type introspection struct {
	Active    bool   `json:"active"`
	Scope     string `json:"scope,omitempty"`
	ClientID  string `json:"client_id,omitempty"`
	TokenType string `json:"token_type,omitempty"`
	ExpiresAt int64  `json:"exp,omitempty"`
	IssuedAt  int64  `json:"iat,omitempty"`
}

// Introspect says whether a token of the application is live, and for what.
func (o OAuth) Introspect(w http.ResponseWriter, r *http.Request) {
	o.serve(w, r, func(form url.Values) (any, error) {
		app, err := o.client(r, form)
		if err != nil {
			return nil, err
		}
		if form.Get("token") == "" {
			return nil, errMissingToken
		}
		hash, ours := o.known(form.Get("token"))
		if !ours {
			return introspection{}, nil
		}
		t, err := o.Store.AccessToken(r.Context(), hash)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return introspection{}, nil
		case err != nil:
			return nil, err
		case t.Revoked, !t.ExpiresAt.After(o.Now()), t.Application.ID != app.ID:
			return introspection{}, nil
		}
		return introspection{
			Active: true, Scope: strings.Join(t.Scopes, " "), ClientID: app.ID.String(), TokenType: "Bearer",
			ExpiresAt: t.ExpiresAt.Unix(), IssuedAt: t.CreatedAt.Unix(),
		}, nil
	})
}

// known gives the hash of what may be a token of ours.
func (o OAuth) known(value string) ([]byte, bool) {
	hash, err := o.hashOf(value, token.HubToken)
	return hash, err == nil
}

// client authenticates the application by HTTP Basic or by the form, not both
// (RFC 6749, 2.3).
func (o OAuth) client(r *http.Request, form url.Values) (store.Application, error) {
	id, secret, basic := r.BasicAuth()
	if basic && (form.Has("client_secret") || form.Has("client_id") && form.Get("client_id") != id) {
		return store.Application{}, errTwoMethods
	}
	if !basic {
		id, secret = form.Get("client_id"), form.Get("client_secret")
	}
	app, err := o.Application(r.Context(), id, secret)
	var denial *Denial
	if errors.As(err, &denial) {
		err = errInvalidClient
	}
	return app, err
}

// serve reads the form and answers, never to be kept by a cache.
func (o OAuth) serve(w http.ResponseWriter, r *http.Request, answer func(url.Values) (any, error)) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache")
	form, err := readForm(w, r)
	var body any
	if err == nil {
		body, err = answer(form)
	}
	if err != nil {
		writeOAuthError(w, r, err)
		return
	}
	problem.JSON(w, r, http.StatusOK, body)
}

// readForm reads the body alone: a secret has no place in a URL.
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return nil, errOAuthMethod
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/x-www-form-urlencoded" {
		return nil, errNoForm
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return nil, errFormTooLarge
		}
		return nil, errNoForm
	}
	for _, values := range r.PostForm {
		if len(values) > 1 {
			return nil, errRepeated
		}
	}
	return r.PostForm, nil
}

func writeOAuthError(w http.ResponseWriter, r *http.Request, err error) {
	var e *oauthError
	switch {
	case errors.As(err, &e):
	case store.Unavailable(err):
		zerolog.Ctx(r.Context()).Error().Err(err).Msg("request failed")
		w.Header().Set("Retry-After", "5")
		e = errOAuthOverload
	default:
		zerolog.Ctx(r.Context()).Error().Err(err).Msg("request failed")
		e = errOAuthFailed
	}
	if e.Status == http.StatusUnauthorized {
		scheme := "Bearer"
		if _, _, basic := r.BasicAuth(); basic {
			scheme = "Basic"
		}
		w.Header().Set("WWW-Authenticate", scheme+` realm="passerelle", error="`+e.Code+`"`)
	}
	problem.JSON(w, r, e.Status, e)
}

// TooMany answers a client that asks too often.
func (o OAuth) TooMany(w http.ResponseWriter, r *http.Request) {
	writeOAuthError(w, r, errOAuthTooMany)
}

// NotPost answers every other method.
func (o OAuth) NotPost(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Allow", http.MethodPost)
	writeOAuthError(w, r, errOAuthMethod)
}

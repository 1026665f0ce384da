package auth

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
	"github.com/passerelle-hub/passerelle/internal/token"
)

// Authenticator knows callers by their tokens.
type Authenticator struct {
	Store    *store.Store
	Registry *registry.Registry
	Env      token.Env
	Issuers  []Issuer // of people's tokens
	Now      func() time.Time

	machines recent[liveToken]
	people   recent[knownPerson]
	beliefs  recent[belief]
}

// liveToken is an access token with whom it speaks for.
type liveToken struct {
	caller    Caller
	expiresAt time.Time
}

// Identify gives the caller that the Authorization header names: an access
// token of an application, or a JWT of an issuer. The error is a *Denial, or
// ours.
func (a *Authenticator) Identify(r *http.Request) (Caller, error) {
	value, ok := bearer(r)
	switch {
	case !ok:
		return Caller{}, &Denial{Reason: Missing}
	case strings.Count(value, ".") == 2:
		return a.person(r, value)
	}
	hash, err := a.hashOf(value, token.HubToken)
	if err != nil {
		return Caller{}, err
	}
	key, at, rights := fingerprint(hash), time.Now(), a.Store.Rights()
	if t, known := a.machines.get(key, rights); known && t.expiresAt.After(a.Now()) {
		return t.caller, nil
	}
	t, err := a.machine(r.Context(), hash)
	if err == nil {
		a.machines.put(key, t, at, rightsFor, rights)
	}
	return t.caller, err
}

func bearer(r *http.Request) (string, bool) {
	scheme, value, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	value = strings.TrimSpace(value)
	return value, strings.EqualFold(scheme, "Bearer") && value != ""
}

// hashOf recognises a value of ours, of one of these kinds. The check sum costs
// a typo no query.
func (a *Authenticator) hashOf(value string, kinds ...token.Kind) ([]byte, error) {
	t, err := token.ParseIn(a.Env, value)
	switch {
	case value == "":
		return nil, &Denial{Reason: Missing}
	case errors.Is(err, token.ErrEnvironment):
		return nil, &Denial{Reason: OtherEnvironment}
	case err != nil || !slices.Contains(kinds, t.Kind()):
		return nil, &Denial{Reason: Unknown}
	}
	return token.Hash(value), nil
}

// machine gives the application of an access token, as it is now.
func (a *Authenticator) machine(ctx context.Context, hash []byte) (liveToken, error) {
	found, err := a.Store.AccessToken(ctx, hash)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return liveToken{}, &Denial{Reason: Unknown}
	case err != nil:
		return liveToken{}, err
	case found.Revoked:
		return liveToken{}, &Denial{Reason: Revoked}
	case !found.ExpiresAt.After(a.Now()):
		return liveToken{}, &Denial{Reason: Expired}
	}
	caller, err := a.callerOf(ctx, found.Application, found.Scopes)
	return liveToken{caller, found.ExpiresAt}, err
}

// callerOf reads the owner's rights as they are now.
func (a *Authenticator) callerOf(ctx context.Context, app store.Application, scopes []string) (Caller, error) {
	c := Caller{Application: &app, scopes: scopes}
	if app.OwnerID == 0 {
		return c, nil
	}
	owner, err := a.Store.Person(ctx, app.OwnerID)
	if err != nil {
		return Caller{}, err
	}
	c.Person, c.Roles = owner, owner.DeveloperRoles()
	return c, nil
}

// Machine gives the application that calls with a scope: by HTTP Basic (its id
// and secret), by Bearer (its secret or an access token).
func (a *Authenticator) Machine(r *http.Request, scope string) (Caller, error) {
	caller, err := a.machineOf(r)
	if err == nil && !caller.Has(scope) {
		err = &Denial{Reason: ScopeMissing, Scope: scope}
	}
	if err != nil {
		return Caller{}, err
	}
	return caller, nil
}

func (a *Authenticator) machineOf(r *http.Request) (Caller, error) {
	if id, secret, basic := r.BasicAuth(); basic {
		app, err := a.Application(r.Context(), id, secret)
		if err != nil {
			return Caller{}, err
		}
		return a.callerOf(r.Context(), app, app.Scopes)
	}
	value, _ := bearer(r)
	hash, err := a.hashOf(value, token.HubToken)
	if err != nil {
		return Caller{}, err
	}
	app, err := a.Store.ApplicationBySecret(r.Context(), hash)
	if errors.Is(err, store.ErrNotFound) {
		t, err := a.machine(r.Context(), hash)
		return t.caller, err
	}
	if err != nil {
		return Caller{}, err
	}
	return a.callerOf(r.Context(), app, app.Scopes)
}

// Application gives the application of a client id and secret; a *Denial for a
// wrong pair, whichever half is wrong.
func (a *Authenticator) Application(ctx context.Context, id, secret string) (store.Application, error) {
	hash, err := a.hashOf(secret, token.HubToken, token.EditorSecret)
	if err != nil {
		return store.Application{}, err
	}
	app, err := a.Store.ApplicationBySecret(ctx, hash)
	clientID, parseErr := uuid.Parse(id)
	if errors.Is(err, store.ErrNotFound) || err == nil && (parseErr != nil || app.ID != clientID) {
		return store.Application{}, &Denial{Reason: Missing}
	}
	return app, err
}

// Require lets believed callers through and puts them into the context; deny
// answers the others, and what went wrong on our side.
func (a *Authenticator) Require(deny func(http.ResponseWriter, *http.Request, error)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			caller, err := a.Identify(r)
			if err != nil {
				challenge(w, err)
				deny(w, r, err)
				return
			}
			ctx := registry.WithActor(WithCaller(r.Context(), caller), caller.Actor())
			next.ServeHTTP(w, r.WithContext(ctx))
		})
	}
}

// RequireScope lets callers through whose token has the scope. It comes after Require.
func RequireScope(scope string, deny func(http.ResponseWriter, *http.Request, error)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			caller, ok := CallerOf(r.Context())
			if !ok || !caller.Has(scope) {
				err := &Denial{Reason: ScopeMissing, Scope: scope}
				challenge(w, err)
				deny(w, r, err)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

func challenge(w http.ResponseWriter, err error) {
	var denial *Denial
	if errors.As(err, &denial) && denial.Challenge() != "" {
		w.Header().Set("WWW-Authenticate", denial.Challenge())
	}
}

// Package auth says who calls: machines by their client credentials.
//
// It imports internal/store, internal/token and httpapi/problem.
package auth

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/passerelle-hub/passerelle/httpapi/problem"
	"github.com/passerelle-hub/passerelle/internal/store"
	"github.com/passerelle-hub/passerelle/internal/token"
)

// Scopes of a machine.
const ScopeIntrospect = "introspect"

// Scopes lists every scope a client may be given.
func Scopes() []string { return []string{ScopeIntrospect} }

// Clients finds machines by the hash of their secret.
type Clients interface {
	ClientBySecret(ctx context.Context, hash []byte) (store.Client, error)
}

// Machine gives the client that calls: HTTP Basic (its id and secret) or Bearer
// (its secret). The problem is 401 without a good secret, 403 without the scope.
func Machine(r *http.Request, clients Clients, env token.Env, scope string) (store.Client, error) {
	id, secret, basic := r.BasicAuth()
	if !basic {
		secret, _ = strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	}
	t, err := token.ParseIn(env, secret)
	if err != nil || t.Kind() != token.HubToken {
		return store.Client{}, unauthorized()
	}
	client, err := clients.ClientBySecret(r.Context(), token.Hash(secret))
	if errors.Is(err, store.ErrNotFound) || err == nil && basic && client.ID.String() != id {
		return store.Client{}, unauthorized()
	}
	if err != nil {
		return store.Client{}, err
	}
	if !slices.Contains(client.Scopes, scope) {
		return store.Client{}, problem.New(http.StatusForbidden, "scope", "Droit manquant", "Le client n’a pas le droit « "+scope+" ».")
	}
	return client, nil
}

func unauthorized() *problem.Problem {
	return problem.New(http.StatusUnauthorized, "identification", "Identification requise",
		"Un identifiant et un secret de client valides sont attendus (HTTP Basic ou Bearer).")
}

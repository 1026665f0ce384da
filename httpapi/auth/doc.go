// Package auth says who calls the hub: an application by OAuth2 client
// credentials (datapass.md, 3.1), a person by a token of a configured OpenID
// Connect issuer. Whoever it is, handlers get a Caller: what he may do follows
// from his roles and his scopes.
//
// An application's roles are its owner's developer roles and nothing else; an
// operator's own machine (a gateway that introspects) has none, and lists its
// definitions. Secrets and access tokens are known here by their hashes.
//
// It may import httpapi/problem, internal/habilitation, internal/jose,
// internal/registry, internal/store and internal/token.
package auth

// Package keycloaktest is one realm of Keycloak 26 as a small real HTTP server,
// for tests, the demo and `passerelle simulate`.
//
// It serves the admin REST API and the realm's OpenID Connect endpoints on one
// listener, as the real one does, and the management interface (health) on a
// second one. Paths, status codes, error bodies and traps are those of
// api-managers.md, 3.6 and section 5, row keycloak; where the contract is silent
// it does what the published source does. State is in memory.
//
// Of ours it imports connectors/partnertest (faults, clock, log of calls, admin
// surface) and internal/jose (signatures).
package keycloaktest

// Package hydratest is Ory Hydra 2.3.0 as a small real HTTP server, for tests,
// the demo and `passerelle simulate`. Options.Version switches it to a later
// release, which rotates secrets with an overlap.
//
// It serves the admin API (without authentication, as the real one) on one
// listener and the public API on a second one: client credentials, RS256 tokens,
// key set, revocation. Paths, status codes, error bodies, pagination and traps
// are those of api-managers.md, 3.7 and section 5, row hydra; where the contract
// is silent it does what a running 2.3.0 was seen to do. State is in memory.
//
// Of ours it imports connectors/partnertest (faults, clock, log of calls, admin
// surface) and internal/jose (signatures).
package hydratest

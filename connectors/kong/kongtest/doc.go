// Package kongtest is Kong 3.10 as a small real HTTP server, for tests, the
// demo and `passerelle simulate`.
//
// It serves the admin API on one listener, the proxy (key-auth and acl plugins)
// on a second one and the status API on a third. Entities are described by
// schemas as Kong's own are, and one engine serves them all. Paths, status
// codes, error bodies, pagination and traps are those of api-managers.md, 3.2
// and section 5, row kong; where the contract is silent it does what the
// published source of 3.10 does. State is in memory.
//
// Faults, clock, log of calls and admin surface come from
// connectors/partnertest, the only package of ours it imports.
package kongtest

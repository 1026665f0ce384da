// Package graviteetest is Gravitee APIM 4.12 as a small real HTTP server, for
// tests, the demo and `passerelle simulate`.
//
// It serves the management API v1 and v2 and the Automation API on one
// listener, the gateway on a second one and the technical API (health) on a
// third. Paths, status codes, error bodies, pagination and traps are those of
// api-managers.md, 3.1 and section 5, row gravitee; where the contract is
// silent it does what the published source of 4.12 does. State is in memory.
//
// Faults, clock, log of calls and admin surface come from
// connectors/partnertest, the only package of ours it imports.
package graviteetest

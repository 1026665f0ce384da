// Package gravitee opens, changes and closes access at a Gravitee APIM (4.x)
// through its management API v1 and v2 (api-managers.md, 2, 3.1, 3.10 and 4).
//
// A subject is an application whose clientId is the hub's reference; a
// credential is an API key whose value the hub has made, held by one
// subscription for each plan that the grants map to. Every method looks before
// it creates, adopts what an earlier call with a lost answer left, and stops
// with a Conflict before what is not the hub's.
//
// A Handle holds the key's id and the start of the SHA-256 of its value, never
// the value. Gravitee's own administrators can read values: the hub reads them
// back too, to compare them, to extend a live key to a further plan and to probe
// the gateway after a revocation.
//
// It imports connectors and connectors/outbound.
package gravitee

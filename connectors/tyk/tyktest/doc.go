// Package tyktest is Tyk Gateway 5.9 (open source, hashed keys) as a small real
// HTTP server, for tests, the demo and `passerelle simulate`.
//
// It serves the control API on one listener and the proxied APIs on a second
// one, or both on one port as Tyk does without control_api_port. Paths, status
// codes, error bodies and the seven traps are those of api-managers.md, 3.3 and
// section 5, row tyk; where the contract is silent it does what the published
// source of 5.9 does. Key handles are real ones: murmur3 of the base64 form, in
// 16 hexadecimal digits. State is in memory.
//
// Faults, clock, log of calls and admin surface come from
// connectors/partnertest, the only package of ours it imports.
package tyktest

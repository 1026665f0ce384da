// Package connectors says what a partner can do for the hub: small capability
// interfaces, one error type that says what to do next, and what the hub lends
// to a connector (Deps).
//
// A connector is one folder below this one. It imports this package,
// connectors/outbound and internal/jose, and nothing else of ours. The hub
// never asks which partner it talks to: it asks for a capability and reads the
// Capabilities a connector declares.
//
// # A manager of keys in ten steps
//
//  1. Write down its wire contract first: what a second create answers, what takes
//     our secret, how long a revoked key still passes, what is overwritten silently.
//  2. Make the folder connectors/<name> with a doc.go that names the traps.
//  3. Write <name>test: the manager as a small real HTTP server on
//     partnertest.Server, with every trap, its clock and a Probe that answers as its
//     gateway would. Its golden tests replay samples of the real one (testdata).
//  4. Write Config: outbound.Settings inline, the mapping of definitions and scopes
//     to the manager's own objects, Default, Validate (every fault at once) and
//     Open(Deps), which refuses to open without what it needs.
//  5. Declare Capabilities: what is not declared is not offered to people.
//  6. Write EnsureSubject, EnsureGrants and Issue: look up by our own id, compare
//     the owner, adopt or Conflict; a scope without a mapping is Rejected.
//  7. Write Rotate, Expire, Revoke, VerifyRevoked and Lookup. A rotation tells the
//     overlap that is true; a revocation is proved by another read than its own.
//     What a person there must do first is Pending.
//  8. Write Health (able to write, never a status alone), CheckConfig and Plan.
//  9. Give conformance.Run a Fixture: simulator, clocks, Probe, faults. Whatever it
//     finds is the connector's fault or the simulator's, not the suite's.
//  10. Add one line to the table in cmd/passerelle/connectors.go; then
//     `passerelle connectors check` and `plan` work, and a real peer goes under
//     .tools/peers with a test TestAReal... where one can be had.
//
// This package imports the standard library only.
package connectors

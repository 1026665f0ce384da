// Package datapasstest is DataPass as a partner: a real HTTP server on a
// loopback address that holds requests (demandes) and habilitations, plays
// their life cycle, posts the signed webhook of each event to the subscribed
// URLs, and serves DataPass's API v1.
//
// It behaves as DataPass does, faults of DataPass included: no delivery id, no
// order, transport errors lost, retries without end, the boolean "revoked"
// never written, 422 for a missing scope. What it copies is written in
// datapass.md, sections 1 to 3; the names of the rules there are those used
// here.
//
// It is imported by tests, by `passerelle demo` and by `passerelle simulate`,
// and imports connectors/partnertest, chi and uuid only. It shares no code
// with the hub's own receiver, so that a mistake in one shows in the other.
package datapasstest

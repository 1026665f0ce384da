// Package hubee speaks HubEE V1 (hubee.md) in two roles: Sender creates, fills,
// completes and closes folders and reads our queue (scope OSL); Directory
// registers who may receive (scope DATAPASS, or ADMIN where HubEE demands it).
//
// What it survives: tokens that end in the middle of a run (one replay with a
// new one), one token for all callers, errors whose code is not their status,
// 400 that say "already exists" or "does not suscribed", pages of HTML instead
// of JSON, dates in two forms, delegations in three.
//
// Texts are matched on stable fragments only. Nothing of an applicant, a file
// name or a body reaches an error.
//
// It imports connectors and connectors/outbound.
package hubee

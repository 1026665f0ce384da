// Package datapass reads a DataPass through its API v1 (datapass.md, 3), as an
// application of it with client credentials: what its webhooks did not bring.
//
// What it survives: a revoked token that answers 422 instead of 401, a missing
// scope that answers 422 too, ids without prefix, pages of 1000 requests whose
// answer is larger than what we read, a clock that is not ours.
//
// It imports connectors and connectors/outbound.
package datapass

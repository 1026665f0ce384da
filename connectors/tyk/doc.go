// Package tyk opens, changes and closes access at a Tyk Gateway (5.x, hashed
// keys) through its control API (api-managers.md, 2, 3.3, 3.10 and 4).
//
// Tyk has no subject: a credential is a key whose value the hub has made, with
// the policies that the grants map to and the hub's references in its metadata.
// Its handle is the key's hash, murmur3 of the base64 form, which is known before
// the key is made. Holders receive the base64 form: the raw one passes for some
// seconds after a revocation.
//
// The ledger keeps what Tyk cannot be asked for:
//
//	subject/<ref>     whose it is         written once
//	credential/<ref>  hash and subject    written once, before the key is made
//
// Making a key is the one call with the value in its URL (SecretsInURL): Tyk's
// own access log is a store of secrets.
//
// The package imports connectors and connectors/outbound.
package tyk

// Package hydra opens, changes and closes access at an Ory Hydra (2.3.0 and
// later) through its admin API (api-managers.md, 2, 3.7, 3.10 and 4).
//
// A subject is an OAuth 2.0 client whose client_id is the hub's reference; its
// one credential is the client's secret, and its metadata says which credential
// of the hub that is: secret and reference change in one PATCH. Rights are the
// words of the client's scope. Hydra's PUT resets what it is not given, so this
// package never sends one.
//
// Hydra 2.3.0 has no overlap: a new secret kills the old one. Later releases can
// rotate with one, and then make the value themselves: the package asks once
// whether that path exists, and its capabilities follow.
//
// Hydra's admin API asks for no credential: it must be isolated from every other
// network. The package imports connectors and connectors/outbound.
package hydra

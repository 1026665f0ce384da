// Package jwtissuer is the built-in key manager: it issues signed JWTs where no
// API manager holds the keys (tokens.md, 7.5 and 7.7).
//
// A token is a reference with a signature. Its jti is the credential's public id
// at the hub, its subject is `dp-<request id>`: no name, mail, SIRET or title.
// Whether it lives, and what it may do, is what the hub's introspection answers
// from the credential's row; the scope inside the token is a copy of the day it
// was signed. A repeated Issue signs again: every JWT of one jti is the same
// reference, so nothing has to be sealed before the call, and nothing is lost
// with an answer.
//
// The ledger keeps this connector's own record of each reference, by which
// VerifyRevoked and Lookup answer apart from the hub's rows:
//
//	subject/<ref>     whose it is                   written once
//	credential/<ref>  what was issued               written once
//	grants/<ref>      scopes granted since
//	end/<ref>         an earlier end
//	revoked/<ref>     revoked, and when; final      written once
//
// A revocation is a record of its own, so that no late write of another step can
// undo it.
//
// The package imports connectors and internal/jose.
package jwtissuer

// Package jose signs, verifies and encrypts: the only package that uses jwx.
// Partners' connectors and the hub's own endpoints see its types alone, so that
// moving to another version of jwx touches this folder and no other.
//
//   - PrivateKey.Sign, AccessToken, Keys: what the hub signs, and the life of its
//     keys (tokens.md, 7.5 and 7.6).
//   - Verifier, RemoteKeys, VerifyDPoP: what the hub believes. The algorithm
//     belongs to the key and to the verifier's list, never to the token's header
//     (RFC 8725); each refusal is a Fault of its own.
//   - Recipient, DecryptionKey: JWE for an editor's public key (editors.md, 7).
//
// Tokens and JWKs are parsed here, strictly, before jwx sees them: exact
// base64url, no member twice, sizes bounded. No error holds a part of a token
// or of a key.
//
// The package imports jwx, x/sync and the standard library, and nothing of ours.
package jose

// Package seal encrypts what the database must keep and hand over again:
// client keys, admin credentials, signing keys, citizens' data (tokens.md, 7.1
// and 7.3). A database without the key ring gives nothing away.
//
// A sealed value is
//
//	version (1 byte, 0x01) | length of key id (1 byte) | key id | nonce (24 bytes) | ciphertext and tag
//
// The ciphertext is AES-256-GCM. Its key is used for one value only: HKDF-SHA256
// derives it from the ring's key and the first 12 bytes of the nonce, the last
// 12 are GCM's nonce (the construction of XAES-256-GCM, with HKDF for the
// derivation). A random 96-bit nonce under one key would be safe for 2^32
// values only (NIST SP 800-38D, 8.3), a number that nobody would count over all
// replicas and years; 192 random bits are safe beyond 2^80.
//
// The associated data binds a value to its place (AD: row id, request,
// provider), the version and the key id: a ciphertext moved to another row does
// not open.
//
// The package imports the standard library only. No error shows a key, a
// plaintext or a byte of a sealed value.
package seal

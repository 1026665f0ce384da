package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
)

// Hash gives the SHA-256 of a value: what is kept of a secret that the hub only
// checks (tokens.md, 7.1, kind A). With 178 random bits no slow hash is needed.
func Hash(value string) []byte {
	sum := sha256.Sum256([]byte(value))
	return sum[:]
}

// Matches compares a value with a kept Hash in constant time.
func Matches(value string, hash []byte) bool {
	return subtle.ConstantTimeCompare(Hash(value), hash) == 1
}

// Fingerprint gives the HMAC-SHA-256 of a value under a key of the hub: the
// handle by which a sealed secret is found without being opened (tokens.md,
// 7.1, kind B). The key is 32 bytes and stays out of the database.
func Fingerprint(key []byte, value string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(value))
	return mac.Sum(nil)
}

// AckFingerprint gives the first 16 hexadecimal characters of the SHA-256 of a
// secret: what an editor sends to acknowledge that it holds it (editors.md, 7).
// The secret may be a manager's own value, of any shape.
func AckFingerprint(secret string) string {
	return hex.EncodeToString(Hash(secret)[:8])
}

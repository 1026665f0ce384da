package seal

import (
	"crypto/hmac"
	"crypto/sha256"
	"slices"
)

// FingerprintLen is the length of a fingerprint, in bytes.
const FingerprintLen = sha256.Size

// Fingerprint gives the HMAC-SHA-256 of a value under a key derived from the
// ring's fingerprint key: it finds a sealed value without opening it, and says
// nothing to who has not the ring. It stays the same when the active key
// changes. Values of different kinds carry a prefix of their own ("address/…").
func (r *Keyring) Fingerprint(value []byte) []byte {
	return r.prints.mac(value)
}

// FingerprintKey gives the key that makes fingerprints. It is derived from a
// sealing key one way: it opens nothing, and goes on when that key is destroyed.
func (r *Keyring) FingerprintKey() []byte { return slices.Clone(r.prints.fingerprint) }

// FingerprintsBy is the id of the key that fingerprints are derived of; "" when
// they have a key of their own.
func (r *Keyring) FingerprintsBy() string { return r.fingerprints }

// Fingerprints gives the fingerprint under each key of the ring, Fingerprint
// first. A look-up that compares with all of them keeps finding what was stored
// while the fingerprint key itself is being replaced.
func (r *Keyring) Fingerprints(value []byte) [][]byte {
	all := [][]byte{r.Fingerprint(value)}
	for _, id := range r.KeyIDs() {
		if id != r.fingerprints {
			all = append(all, r.keys[id].mac(value))
		}
	}
	return all
}

func (k ringKey) mac(value []byte) []byte {
	mac := hmac.New(sha256.New, k.fingerprint)
	mac.Write(value)
	return mac.Sum(nil)
}

package seal

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// KeyLen is the length of a key, in bytes.
const KeyLen = 32

// maxKeyID bounds a key's id, in bytes.
const maxKeyID = 32

// ErrKey: a key, its id or the ring made of them is unusable. The message says
// which id and why, never the key.
var ErrKey = errors.New("seal: bad key")

// Key is one key of a ring. It prints its id only.
type Key struct {
	id     string
	secret [KeyLen]byte
}

// ParseKey reads a key as settings hold it: an id of 1 to 32 characters
// [a-z0-9-] and 32 random bytes in standard base64 (`openssl rand -base64 32`).
// Space around the base64 is allowed, files end in a newline.
func ParseKey(id, secret string) (Key, error) {
	if !validKeyID(id) {
		return Key{}, fmt.Errorf("%w: an id is 1 to %d characters of a-z, 0-9 and -", ErrKey, maxKeyID)
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(strings.TrimSpace(secret))
	if err != nil {
		return Key{}, fmt.Errorf("%w: %s is not standard base64", ErrKey, id)
	}
	if len(raw) != KeyLen {
		return Key{}, fmt.Errorf("%w: %s has %d bytes, %d wanted", ErrKey, id, len(raw), KeyLen)
	}
	if bytes.Count(raw, raw[:1]) == KeyLen {
		return Key{}, fmt.Errorf("%w: %s repeats one byte: it was not drawn at random", ErrKey, id)
	}
	k := Key{id: id}
	copy(k.secret[:], raw)
	return k, nil
}

// ID gives the key's id.
func (k Key) ID() string { return k.id }

// Format prints the id for every verb.
func (k Key) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(k.id)) }

// MarshalText writes the id.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.id), nil }

// Config names the keys of a ring.
type Config struct {
	// Active is the id of the key that seals.
	Active string
	// Fingerprints is the id of the key that makes fingerprints; it may be left
	// empty while the ring has one key. It stays when Active moves on: a
	// fingerprint outlives the sealed value it was made of, and cannot be made
	// again without it.
	Fingerprints string
	Keys         []Key
	// FingerprintKey makes fingerprints instead, so that the key it was derived of
	// may be destroyed (Keyring.FingerprintKey); empty while Fingerprints does.
	FingerprintKey []byte
}

// Keyring seals under its active key and opens under each of its keys. It never
// changes after NewKeyring and may be used by many goroutines.
type Keyring struct {
	active       string
	fingerprints string
	keys         map[string]ringKey
	prints       ringKey // of which the fingerprint half is used
}

// ringKey holds what is derived from a key: the key itself is used for nothing else.
type ringKey struct {
	message     []byte // from which each value's own key is expanded
	fingerprint []byte // HMAC key
}

// NewKeyring makes a ring, or says with ErrKey what is wrong with it. Keys that
// are not active only open what was sealed before: they leave the settings when
// no row names them.
func NewKeyring(c Config) (*Keyring, error) {
	r := &Keyring{active: c.Active, fingerprints: c.Fingerprints, keys: make(map[string]ringKey, len(c.Keys))}
	var secrets [][KeyLen]byte
	for _, k := range c.Keys {
		if k.id == "" {
			return nil, fmt.Errorf("%w: empty", ErrKey)
		}
		if _, twice := r.keys[k.id]; twice {
			return nil, fmt.Errorf("%w: %s is there twice", ErrKey, k.id)
		}
		if slices.Contains(secrets, k.secret) {
			return nil, fmt.Errorf("%w: %s has the value of another key: nothing would be rotated", ErrKey, k.id)
		}
		secrets = append(secrets, k.secret)
		derived, err := derive(k)
		if err != nil {
			return nil, err
		}
		r.keys[k.id] = derived
	}
	if _, ok := r.keys[r.active]; !ok {
		return nil, fmt.Errorf("%w: the active key %q is not in the ring", ErrKey, r.active)
	}
	if len(c.FingerprintKey) > 0 {
		if len(c.FingerprintKey) != sha256.Size {
			return nil, fmt.Errorf("%w: the fingerprint key has %d bytes, %d wanted", ErrKey, len(c.FingerprintKey), sha256.Size)
		}
		r.fingerprints, r.prints.fingerprint = "", slices.Clone(c.FingerprintKey)
		return r, nil
	}
	if r.fingerprints == "" && len(r.keys) == 1 {
		r.fingerprints = r.active
	}
	if _, ok := r.keys[r.fingerprints]; !ok {
		return nil, fmt.Errorf("%w: with several keys, name the one in the ring that makes fingerprints (%q)", ErrKey, r.fingerprints)
	}
	r.prints = r.keys[r.fingerprints]
	return r, nil
}

// Active gives the id of the key that seals.
func (r *Keyring) Active() string { return r.active }

// KeyIDs gives the ids of all keys, sorted.
func (r *Keyring) KeyIDs() []string {
	ids := make([]string, 0, len(r.keys))
	for id := range r.keys {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func derive(k Key) (ringKey, error) {
	prk, err := hkdf.Extract(sha256.New, k.secret[:], []byte("passerelle/seal"))
	if err != nil {
		return ringKey{}, fmt.Errorf("%w: %s: %w", ErrKey, k.id, err)
	}
	message, err := hkdf.Expand(sha256.New, prk, "message keys", sha256.Size)
	if err != nil {
		return ringKey{}, fmt.Errorf("%w: %s: %w", ErrKey, k.id, err)
	}
	fingerprint, err := hkdf.Expand(sha256.New, prk, "fingerprint key", sha256.Size)
	if err != nil {
		return ringKey{}, fmt.Errorf("%w: %s: %w", ErrKey, k.id, err)
	}
	return ringKey{message: message, fingerprint: fingerprint}, nil
}

func validKeyID(id string) bool {
	if id == "" || len(id) > maxKeyID {
		return false
	}
	for i := range len(id) {
		c := id[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

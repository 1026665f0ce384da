package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	version = 0x01

	saltLen  = 12 // first half of the nonce: derives the value's own key
	gcmLen   = 12 // second half: GCM's nonce
	nonceLen = saltLen + gcmLen
	tagLen   = 16
)

var (
	// ErrMalformed: not a sealed value, or one of a version this program does not know.
	ErrMalformed = errors.New("seal: malformed value")
	// ErrUnknownKey: sealed under a key that is not in the ring.
	ErrUnknownKey = errors.New("seal: key is not in the ring")
	// ErrAuthentication: damaged, or sealed for another place (associated data).
	ErrAuthentication = errors.New("seal: value does not authenticate")
)

// AD joins the parts that name a value's place into associated data. Each part
// is preceded by its length, so that no two lists give the same bytes.
func AD(parts ...string) []byte {
	var ad []byte
	for _, p := range parts {
		ad = binary.BigEndian.AppendUint32(ad, uint32(len(p)))
		ad = append(ad, p...)
	}
	return ad
}

// Seal encrypts plaintext for the place named by ad, under the active key.
// Sealing the same plaintext twice gives different values.
func (r *Keyring) Seal(plaintext, ad []byte) ([]byte, error) {
	headerLen := 2 + len(r.active)
	sealed := make([]byte, headerLen+nonceLen, headerLen+nonceLen+len(plaintext)+tagLen)
	sealed[0] = version
	sealed[1] = byte(len(r.active))
	copy(sealed[2:], r.active)
	header, nonce := sealed[:headerLen], sealed[headerLen:]
	_, _ = rand.Read(nonce) // never fails: crypto/rand ends the program instead

	aead, err := r.keys[r.active].aead(nonce[:saltLen])
	if err != nil {
		return nil, err
	}
	return aead.Seal(sealed, nonce[saltLen:], plaintext, boundTo(header, ad)), nil
}

// Open decrypts a value sealed for the same ad: ErrMalformed, ErrUnknownKey or
// ErrAuthentication otherwise.
func (r *Keyring) Open(sealed, ad []byte) ([]byte, error) {
	id, err := KeyID(sealed)
	if err != nil {
		return nil, err
	}
	key, ok := r.keys[id]
	if !ok {
		return nil, fmt.Errorf("%w: %s", ErrUnknownKey, id)
	}
	headerLen := 2 + len(id)
	header, nonce, ciphertext := sealed[:headerLen], sealed[headerLen:headerLen+nonceLen], sealed[headerLen+nonceLen:]
	aead, err := key.aead(nonce[:saltLen])
	if err != nil {
		return nil, err
	}
	plaintext, err := aead.Open(nil, nonce[saltLen:], ciphertext, boundTo(header, ad))
	if err != nil {
		return nil, ErrAuthentication
	}
	return plaintext, nil
}

// KeyID gives the id of the key that sealed a value, without opening it:
// ErrMalformed when it is not one.
func KeyID(sealed []byte) (string, error) {
	if len(sealed) < 2 || sealed[0] != version {
		return "", ErrMalformed
	}
	idLen := int(sealed[1])
	if len(sealed) < 2+idLen+nonceLen+tagLen {
		return "", ErrMalformed
	}
	id := string(sealed[2 : 2+idLen])
	if !validKeyID(id) {
		return "", ErrMalformed
	}
	return id, nil
}

// Reseal brings a value under the active key. A value that already is comes
// back as it is, with false: the job that re-wraps may run again at any time.
func (r *Keyring) Reseal(sealed, ad []byte) ([]byte, bool, error) {
	plaintext, err := r.Open(sealed, ad)
	if err != nil {
		return nil, false, err
	}
	if id, _ := KeyID(sealed); id == r.active {
		return sealed, false, nil
	}
	fresh, err := r.Seal(plaintext, ad)
	if err != nil {
		return nil, false, err
	}
	return fresh, true, nil
}

// aead gives the cipher of one value.
func (k ringKey) aead(salt []byte) (cipher.AEAD, error) {
	key, err := hkdf.Expand(sha256.New, k.message, string(salt), KeyLen)
	if err != nil {
		return nil, fmt.Errorf("seal: derive key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return aead, nil
}

// boundTo is GCM's associated data: the header, whose length it tells itself,
// then the caller's.
func boundTo(header, ad []byte) []byte {
	bound := make([]byte, 0, len(header)+len(ad))
	return append(append(bound, header...), ad...)
}

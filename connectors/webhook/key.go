package webhook

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/passerelle-hub/passerelle/connectors"
)

// KeySize is the length of the secrets that the hub makes, in bytes.
const KeySize = 32

// Prefixes of Standard Webhooks 1.0 keys.
const (
	secretPrefix  = "whsec_"
	privatePrefix = "whsk_"
	publicPrefix  = "whpk_"
)

// Key is an endpoint's shared secret. It prints [redacted].
type Key struct {
	text  connectors.Secret // hexadecimal: its ASCII text keys DataPass's HMAC
	bytes connectors.Secret // decoded: keys Standard Webhooks' HMAC
}

// NewKey makes a secret from the system's generator.
func NewKey() Key {
	raw := make([]byte, KeySize)
	_, _ = rand.Read(raw) // never fails (crypto/rand)
	return keyOf(hex.EncodeToString(raw), raw)
}

func keyOf(text string, raw []byte) Key {
	return Key{text: connectors.NewSecret(text), bytes: connectors.NewSecret(string(raw))}
}

// ParseKey reads either form: 64 hexadecimal characters, whose case is kept
// because their text is the key (datapass.md, 2.1), or whsec_ and base64 of 24
// to 64 bytes (Standard Webhooks 1.0). Its error never shows the value.
func ParseKey(secret connectors.Secret) (Key, error) {
	text := strings.TrimSpace(secret.Reveal())
	if encoded, ok := strings.CutPrefix(text, secretPrefix); ok {
		raw, err := decode64(encoded)
		if err != nil {
			return Key{}, errors.New("webhook secret: what follows whsec_ is not base64")
		}
		if len(raw) < 24 || len(raw) > 64 {
			return Key{}, fmt.Errorf("webhook secret: %d bytes after whsec_, not 24 to 64", len(raw))
		}
		return keyOf(hex.EncodeToString(raw), raw), nil
	}
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != KeySize {
		return Key{}, errors.New("webhook secret: neither 64 hexadecimal characters nor whsec_ and base64")
	}
	return keyOf(text, raw), nil
}

// Hex is the form for DataPass's dialect.
func (k Key) Hex() connectors.Secret { return k.text }

// Whsec is the form for Standard Webhooks.
func (k Key) Whsec() connectors.Secret {
	return connectors.NewSecret(secretPrefix + base64.StdEncoding.EncodeToString([]byte(k.bytes.Reveal())))
}

// IsZero reports a key that was never made.
func (k Key) IsZero() bool { return k.text.IsZero() }

// String prints [redacted].
func (k Key) String() string { return k.text.String() }

// Format prints [redacted] for every verb.
func (k Key) Format(f fmt.State, verb rune) { k.text.Format(f, verb) }

// ParsePrivateKey reads an ed25519 key: whsk_ and base64 of the seed (32 bytes)
// or of seed and public key (64 bytes).
func ParsePrivateKey(secret connectors.Secret) (ed25519.PrivateKey, error) {
	encoded, ok := strings.CutPrefix(strings.TrimSpace(secret.Reveal()), privatePrefix)
	raw, err := decode64(encoded)
	switch {
	case !ok || err != nil:
		return nil, errors.New("webhook private key: not whsk_ and base64")
	case len(raw) == ed25519.SeedSize:
		return ed25519.NewKeyFromSeed(raw), nil
	case len(raw) == ed25519.PrivateKeySize:
		key := ed25519.NewKeyFromSeed(raw[:ed25519.SeedSize])
		if !key.Equal(ed25519.PrivateKey(raw)) {
			return nil, errors.New("webhook private key: its two halves do not belong together")
		}
		return key, nil
	}
	return nil, fmt.Errorf("webhook private key: %d bytes, not 32 or 64", len(raw))
}

// FormatPublicKey shows the public key that receivers check v1a with.
func FormatPublicKey(key ed25519.PublicKey) string {
	return publicPrefix + base64.StdEncoding.EncodeToString(key)
}

// ParsePublicKey reads whpk_ and base64 of 32 bytes.
func ParsePublicKey(text string) (ed25519.PublicKey, error) {
	encoded, ok := strings.CutPrefix(strings.TrimSpace(text), publicPrefix)
	raw, err := decode64(encoded)
	if !ok || err != nil || len(raw) != ed25519.PublicKeySize {
		return nil, errors.New("webhook public key: not whpk_ and base64 of 32 bytes")
	}
	return raw, nil
}

// decode64 reads base64 with or without its padding.
func decode64(text string) ([]byte, error) {
	return base64.RawStdEncoding.Strict().DecodeString(strings.TrimRight(text, "="))
}

package jose

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwe"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/x25519"
)

const (
	// MaxSecret bounds what is encrypted, in bytes.
	MaxSecret = 64 << 10

	maxRecipient = 4 << 10       // bytes of a registered JWK
	maxJWE       = 2 * MaxSecret // bytes of the compact form
)

// Curve of a key for encryption (RFC 7518, 6.2.1.1; RFC 8037, 2).
type Curve string

const (
	P256   Curve = "P-256"
	P384   Curve = "P-384"
	X25519 Curve = "X25519"
)

// Recipient is an editor's public key: what is encrypted for it the hub cannot
// read any more (editors.md, 7). ECDH-ES+A256KW and A256GCM, nothing else.
type Recipient struct {
	kid   string
	curve Curve
	raw   any // *ecdsa.PublicKey or x25519.PublicKey
}

// ParseRecipient reads a registered JWK, strictly: one public EC key on P-256 or
// P-384, or an X25519 key, with use absent or `enc`, alg absent or
// ECDH-ES+A256KW, a point on the curve and of full order. ErrPrivateKey when it
// holds a private part, else ErrKey. Without kid, the thumbprint is the id.
func ParseRecipient(data []byte) (Recipient, error) {
	if len(data) > maxRecipient {
		return Recipient{}, ErrKey
	}
	m, err := decodeObject(data)
	if err != nil {
		return Recipient{}, ErrKey
	}
	if m.private() {
		return Recipient{}, ErrPrivateKey
	}
	kid, kidOK := m.text("kid")
	alg, algOK := m.text("alg")
	use, useOK := m.text("use")
	ops, opsOK := m.texts("key_ops", false)
	if !kidOK || !algOK || !useOK || !opsOK ||
		(alg != "" && alg != string(jwa.ECDH_ES_A256KW)) || (use != "" && use != "enc") ||
		slices.ContainsFunc(ops, func(op string) bool { return op != "deriveKey" && op != "deriveBits" }) ||
		slices.ContainsFunc([]string{"x5u", "x5c", "x5t", "x5t#S256"}, m.has) {
		return Recipient{}, ErrKey
	}
	r, err := recipientKey(m)
	if err != nil {
		return Recipient{}, err
	}
	r.kid = kid
	if kid == "" {
		if r.kid, err = thumbprint(r.raw); err != nil {
			return Recipient{}, err
		}
	}
	if !validKeyID(r.kid) {
		return Recipient{}, ErrKey
	}
	return r, nil
}

func recipientKey(m members) (Recipient, error) {
	kty, ktyOK := m.text("kty")
	crv, crvOK := m.text("crv")
	if !ktyOK || !crvOK {
		return Recipient{}, ErrKey
	}
	curve := Curve(crv)
	switch {
	case kty == "EC" && curve == P256:
		return ecRecipient(m, curve, ecdh.P256(), 32)
	case kty == "EC" && curve == P384:
		return ecRecipient(m, curve, ecdh.P384(), 48)
	case kty == "OKP" && curve == X25519 && !m.has("y"):
		x, ok := m.coordinate("x", 32)
		if !ok {
			return Recipient{}, ErrKey
		}
		public, err := ecdh.X25519().NewPublicKey(x)
		if err != nil || lowOrder(public) {
			return Recipient{}, ErrKey
		}
		return Recipient{curve: curve, raw: x25519.PublicKey(x)}, nil
	default:
		return Recipient{}, ErrKey
	}
}

func ecRecipient(m members, curve Curve, group ecdh.Curve, size int) (Recipient, error) {
	x, xOK := m.coordinate("x", size)
	y, yOK := m.coordinate("y", size)
	if !xOK || !yOK {
		return Recipient{}, ErrKey
	}
	// Says whether the point is on the curve: the invalid-curve attack ends here.
	if _, err := group.NewPublicKey(slices.Concat([]byte{4}, x, y)); err != nil {
		return Recipient{}, ErrKey
	}
	parsed, err := jwk.ParseKey(m.pick("kty", "crv", "x", "y"))
	if err != nil {
		return Recipient{}, ErrKey
	}
	var raw ecdsa.PublicKey
	if err := parsed.Raw(&raw); err != nil {
		return Recipient{}, ErrKey
	}
	return Recipient{curve: curve, raw: &raw}, nil
}

// coordinate gives an octet string of exactly size bytes (RFC 7518, 6.2.1.2).
func (m members) coordinate(name string, size int) ([]byte, bool) {
	text, ok := m.text(name)
	if !ok {
		return nil, false
	}
	value, ok := decodeBase64URL(text)
	return value, ok && len(value) == size
}

// lowOrder reports a point whose shared secret is zero whatever the other side's
// key: anybody could read what is encrypted for it (RFC 7748, 6.1).
func lowOrder(public *ecdh.PublicKey) bool {
	probe, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return true
	}
	_, err = probe.ECDH(public)
	return err != nil
}

// KID gives the key's id: the JWE's header names it.
func (r Recipient) KID() string { return r.kid }

// Curve gives the key's curve.
func (r Recipient) Curve() Curve { return r.curve }

// IsZero reports a recipient without a key.
func (r Recipient) IsZero() bool { return r.raw == nil }

// JWK gives the key as it is to be kept: public, with what this package
// understood of it and nothing else.
func (r Recipient) JWK() (json.RawMessage, error) {
	return encodeJWK(r.raw, map[string]any{
		jwk.KeyIDKey: r.kid, jwk.KeyUsageKey: "enc", jwk.AlgorithmKey: string(jwa.ECDH_ES_A256KW),
	})
}

// Encrypt makes a compact JWE that only the recipient opens. The same plaintext
// gives another JWE each time. ErrTooLarge above MaxSecret, ErrConfig for an
// empty plaintext: a secret that is not there is a fault of the caller, and jwx
// could not open it again.
func (r Recipient) Encrypt(plaintext []byte) (string, error) {
	if r.IsZero() {
		return "", ErrKey
	}
	if len(plaintext) == 0 {
		return "", fmt.Errorf("%w: nothing to encrypt", ErrConfig)
	}
	if len(plaintext) > MaxSecret {
		return "", fmt.Errorf("%w: at most %d bytes are encrypted", ErrTooLarge, MaxSecret)
	}
	header := jwe.NewHeaders()
	if err := header.Set(jwe.KeyIDKey, r.kid); err != nil {
		return "", ErrKey
	}
	sealed, err := jwe.Encrypt(plaintext, jwe.WithKey(jwa.ECDH_ES_A256KW, r.raw),
		jwe.WithContentEncryption(jwa.A256GCM), jwe.WithProtectedHeaders(header))
	if err != nil {
		return "", ErrKey
	}
	return string(sealed), nil
}

// DecryptionKey opens what was encrypted for its recipient: the editor's side,
// for tests, the demo and the samples of the documentation.
type DecryptionKey struct {
	recipient Recipient
	raw       any
}

// GenerateDecryptionKey draws a key pair on a curve.
func GenerateDecryptionKey(curve Curve) (DecryptionKey, error) {
	var private, public any
	switch curve {
	case P256, P384:
		group := elliptic.P256()
		if curve == P384 {
			group = elliptic.P384()
		}
		key, err := ecdsa.GenerateKey(group, rand.Reader)
		if err != nil {
			return DecryptionKey{}, ErrKey
		}
		private, public = key, &key.PublicKey
	case X25519:
		pub, key, err := x25519.GenerateKey(rand.Reader)
		if err != nil {
			return DecryptionKey{}, ErrKey
		}
		private, public = key, pub
	default:
		return DecryptionKey{}, ErrKey
	}
	kid, err := thumbprint(public)
	if err != nil {
		return DecryptionKey{}, err
	}
	return DecryptionKey{recipient: Recipient{kid: kid, curve: curve, raw: public}, raw: private}, nil
}

// Recipient gives the public half.
func (k DecryptionKey) Recipient() Recipient { return k.recipient }

// Format prints the id for every verb.
func (k DecryptionKey) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "decryption key %s", k.recipient.kid)
}

// Decrypt opens a compact JWE of exactly the algorithms that Encrypt uses.
func (k DecryptionKey) Decrypt(sealed string) ([]byte, error) {
	head, _, found := strings.Cut(sealed, ".")
	if len(sealed) > maxJWE || !found || strings.Count(sealed, ".") != 4 || k.raw == nil {
		return nil, ErrDecrypt
	}
	decoded, ok := decodeBase64URL(head)
	if !ok {
		return nil, ErrDecrypt
	}
	header, err := decodeObject(decoded)
	if err != nil {
		return nil, ErrDecrypt
	}
	alg, algOK := header.text("alg")
	enc, encOK := header.text("enc")
	if !algOK || !encOK || alg != string(jwa.ECDH_ES_A256KW) || enc != string(jwa.A256GCM) || header.has("zip") || header.has("crit") {
		return nil, ErrDecrypt
	}
	plaintext, err := jwe.Decrypt([]byte(sealed), jwe.WithKey(jwa.ECDH_ES_A256KW, k.raw))
	if err != nil {
		return nil, ErrDecrypt
	}
	return plaintext, nil
}

package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

const (
	maxJWK   = 8 << 10 // bytes; an RSA key of 8192 bits with room
	maxKeyID = 256     // bytes
	minRSA   = 2048    // bits
	maxRSA   = 8192
)

// PublicKey verifies signatures of one algorithm. The zero value verifies nothing.
type PublicKey struct {
	kid string
	alg Alg
	raw crypto.PublicKey // *ecdsa.PublicKey, ed25519.PublicKey or *rsa.PublicKey
}

// KID gives the key's id.
func (k PublicKey) KID() string { return k.kid }

// Alg gives the one algorithm the key is used with.
func (k PublicKey) Alg() Alg { return k.alg }

// IsZero reports a key that holds nothing.
func (k PublicKey) IsZero() bool { return k.raw == nil }

// Equal reports the same key material under the same id.
func (k PublicKey) Equal(other PublicKey) bool {
	a, ok := k.raw.(interface{ Equal(x crypto.PublicKey) bool })
	return ok && other.raw != nil && a.Equal(other.raw) && k.kid == other.kid && k.alg == other.alg
}

// JWK gives the key as a public JWK with kid, alg and use.
func (k PublicKey) JWK() (json.RawMessage, error) {
	return encodeJWK(k.raw, map[string]any{jwk.KeyIDKey: k.kid, jwk.AlgorithmKey: string(k.alg), jwk.KeyUsageKey: "sig"})
}

// Thumbprint gives the RFC 7638 SHA-256 thumbprint, base64url: the `jkt` of DPoP.
func (k PublicKey) Thumbprint() (string, error) { return thumbprint(k.raw) }

// PrivateKey signs with one algorithm. It prints its id only.
type PrivateKey struct {
	public PublicKey
	raw    crypto.Signer
}

// GenerateKey draws a key pair for alg. Its id is its thumbprint.
func GenerateKey(alg Alg) (PrivateKey, error) {
	var raw crypto.Signer
	var err error
	switch alg {
	case ES256:
		raw, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case EdDSA:
		_, raw, err = ed25519.GenerateKey(rand.Reader)
	case RS256:
		raw, err = rsa.GenerateKey(rand.Reader, minRSA)
	default:
		return PrivateKey{}, ErrAlgorithm
	}
	if err != nil {
		return PrivateKey{}, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return newPrivateKey(raw, "", "")
}

// ParsePrivateKey reads a private JWK, as PrivateKey.JWK writes it or as an
// operator's file holds it: ErrKey when it is none, or when its parts do not
// belong together. Without kid, the thumbprint is the id.
func ParsePrivateKey(data []byte) (PrivateKey, error) {
	if len(data) > maxJWK {
		return PrivateKey{}, ErrKey
	}
	m, err := decodeObject(data)
	if err != nil {
		return PrivateKey{}, ErrKey
	}
	kid, kidOK := m.text(jwk.KeyIDKey)
	alg, algOK := m.text(jwk.AlgorithmKey)
	parsed, err := jwk.ParseKey(data)
	if err != nil || !kidOK || !algOK {
		return PrivateKey{}, ErrKey
	}
	return privateFromJWK(parsed, kid, Alg(alg))
}

// ParsePrivatePEM reads a private key in PEM (PKCS #8, SEC 1 or PKCS #1). Its id
// is kid, or its thumbprint when kid is empty.
func ParsePrivatePEM(data []byte, kid string) (PrivateKey, error) {
	if len(data) > maxJWK {
		return PrivateKey{}, ErrKey
	}
	parsed, err := jwk.ParseKey(data, jwk.WithPEM(true))
	if err != nil {
		return PrivateKey{}, ErrKey
	}
	return privateFromJWK(parsed, kid, "")
}

func privateFromJWK(parsed jwk.Key, kid string, alg Alg) (PrivateKey, error) {
	var raw any
	if err := parsed.Raw(&raw); err != nil {
		return PrivateKey{}, ErrKey
	}
	signer, ok := raw.(crypto.Signer)
	if !ok {
		return PrivateKey{}, ErrKey
	}
	return newPrivateKey(signer, kid, alg)
}

func newPrivateKey(raw crypto.Signer, kid string, alg Alg) (PrivateKey, error) {
	public, err := newPublicKey(publicOf(raw), kid, alg)
	if err != nil {
		return PrivateKey{}, err
	}
	k := PrivateKey{public: public, raw: raw}
	// A JWK can join the private part of one key with the public part of another.
	probe, err := k.Sign("", struct{}{})
	if err != nil {
		return PrivateKey{}, ErrKey
	}
	if err := verifySignature(probe, public); err != nil {
		return PrivateKey{}, ErrKey
	}
	return k, nil
}

// publicOf gives the public half as the pointer or value types this package uses.
func publicOf(raw crypto.Signer) crypto.PublicKey {
	switch raw.(type) {
	case *ecdsa.PrivateKey, ed25519.PrivateKey, *rsa.PrivateKey:
		return raw.Public()
	default:
		return nil
	}
}

// Public gives the public half.
func (k PrivateKey) Public() PublicKey { return k.public }

// KID gives the key's id.
func (k PrivateKey) KID() string { return k.public.kid }

// Alg gives the one algorithm the key is used with.
func (k PrivateKey) Alg() Alg { return k.public.alg }

// IsZero reports a key that holds nothing.
func (k PrivateKey) IsZero() bool { return k.raw == nil }

// JWK gives the key as a private JWK, in clear: seal it at once.
func (k PrivateKey) JWK() ([]byte, error) {
	return encodeJWK(k.raw, map[string]any{jwk.KeyIDKey: k.public.kid, jwk.AlgorithmKey: string(k.public.alg)})
}

// Format prints the id for every verb.
func (k PrivateKey) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "private key %s", k.public.kid)
}

// MarshalJSON fails: a private key is written by JWK alone.
func (k PrivateKey) MarshalJSON() ([]byte, error) {
	return nil, errors.New("jose: a private key is not written by chance")
}

// ParsePublicKey reads a public JWK for verification, strictly: ErrPrivateKey
// when it holds a private part, ErrKey when it is not a sound key for a
// signature algorithm this package knows. Without kid, the thumbprint is the id.
func ParsePublicKey(data []byte) (PublicKey, error) {
	if len(data) > maxJWK {
		return PublicKey{}, ErrKey
	}
	m, err := decodeObject(data)
	if err != nil {
		return PublicKey{}, ErrKey
	}
	return publicFromMembers(m)
}

// Parameters that make a JWK private or symmetric (RFC 7518, 6).
var privateParameters = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}

func (m members) private() bool {
	return slices.ContainsFunc(privateParameters, m.has)
}

// pick gives a JWK of the named members only.
func (m members) pick(names ...string) []byte {
	picked := members{}
	for _, name := range names {
		if value, ok := m[name]; ok {
			picked[name] = value
		}
	}
	data, _ := json.Marshal(picked) // raw messages that were decoded: cannot fail
	return data
}

func publicFromMembers(m members) (PublicKey, error) {
	if m.private() {
		return PublicKey{}, ErrPrivateKey
	}
	kid, kidOK := m.text(jwk.KeyIDKey)
	alg, algOK := m.text(jwk.AlgorithmKey)
	use, useOK := m.text(jwk.KeyUsageKey)
	ops, opsOK := m.texts(jwk.KeyOpsKey, false)
	if !kidOK || !algOK || !useOK || !opsOK || (use != "" && use != "sig") || (len(ops) > 0 && !slices.Contains(ops, "verify")) {
		return PublicKey{}, ErrKey
	}
	parsed, err := jwk.ParseKey(m.pick("kty", "crv", "x", "y", "n", "e"))
	if err != nil {
		return PublicKey{}, ErrKey
	}
	var raw any
	if err := parsed.Raw(&raw); err != nil {
		return PublicKey{}, ErrKey
	}
	return newPublicKey(raw, kid, Alg(alg))
}

// newPublicKey pins the algorithm to the material. A declared algorithm must agree.
func newPublicKey(raw crypto.PublicKey, kid string, declared Alg) (PublicKey, error) {
	k := PublicKey{kid: kid, raw: raw}
	switch key := raw.(type) {
	case *ecdsa.PublicKey:
		k.alg = ES256
		if key.Curve != elliptic.P256() {
			return PublicKey{}, ErrKey
		}
		if _, err := key.ECDH(); err != nil { // says whether the point is on the curve
			return PublicKey{}, ErrKey
		}
	case ed25519.PublicKey:
		k.alg = EdDSA
		if len(key) != ed25519.PublicKeySize {
			return PublicKey{}, ErrKey
		}
	case *rsa.PublicKey:
		k.alg = RS256
		if bits := key.N.BitLen(); bits < minRSA || bits > maxRSA || key.E < 3 || key.E%2 == 0 {
			return PublicKey{}, ErrKey
		}
	default:
		return PublicKey{}, ErrKey
	}
	if declared != "" && declared != k.alg {
		return PublicKey{}, ErrKey
	}
	if k.kid == "" {
		var err error
		if k.kid, err = thumbprint(raw); err != nil {
			return PublicKey{}, err
		}
	}
	if !validKeyID(k.kid) {
		return PublicKey{}, ErrKey
	}
	return k, nil
}

// validKeyID: no control characters, so that an id can be shown and logged.
func validKeyID(kid string) bool {
	return kid != "" && len(kid) <= maxKeyID && !slices.ContainsFunc([]rune(kid), func(r rune) bool { return r < 0x20 || r == 0x7f })
}

func thumbprint(raw any) (string, error) {
	key, err := jwk.FromRaw(raw)
	if err != nil {
		return "", ErrKey
	}
	sum, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return "", ErrKey
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}

func encodeJWK(raw any, attributes map[string]any) ([]byte, error) {
	key, err := jwk.FromRaw(raw)
	if err != nil {
		return nil, ErrKey
	}
	for name, value := range attributes {
		if err := key.Set(name, value); err != nil {
			return nil, ErrKey
		}
	}
	data, err := json.Marshal(key)
	if err != nil {
		return nil, ErrKey
	}
	return data, nil
}

package jose

import (
	"slices"

	"github.com/lestrrat-go/jwx/v2/jwa"
)

// Alg is a signature algorithm (RFC 7518, RFC 8037).
type Alg string

const (
	// ES256 is ECDSA on P-256 with SHA-256.
	ES256 Alg = "ES256"
	// EdDSA is Ed25519.
	EdDSA Alg = "EdDSA"
	// RS256 is RSA PKCS #1 v1.5 with SHA-256: verified for issuers outside, never
	// used for tokens of the hub.
	RS256 Alg = "RS256"
)

// known algorithms; symmetric ones and "none" are not among them and cannot be
// switched on.
func (a Alg) known() bool { return slices.Contains([]Alg{ES256, EdDSA, RS256}, a) }

// ours are the algorithms the hub signs with (tokens.md, 7.5).
func (a Alg) ours() bool { return a == ES256 || a == EdDSA }

func (a Alg) jwa() jwa.SignatureAlgorithm { return jwa.SignatureAlgorithm(a) }

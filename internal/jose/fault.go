package jose

// Fault is a reason to refuse, fit for a metric's label. It holds no part of
// what was refused. Compare with errors.Is, or take it out with errors.As.
type Fault string

// Error gives the reason.
func (f Fault) Error() string { return "jose: " + string(f) }

// Faults of tokens.
const (
	ErrMalformed       Fault = "malformed token"
	ErrTooLarge        Fault = "token too large"
	ErrType            Fault = "token of another type"
	ErrAlgorithm       Fault = "algorithm not allowed"
	ErrKeyIDMissing    Fault = "key id missing"
	ErrUnknownKey      Fault = "unknown key"
	ErrCritical        Fault = "unknown critical header"
	ErrSignature       Fault = "wrong signature"
	ErrIssuer          Fault = "wrong issuer"
	ErrAudience        Fault = "wrong audience"
	ErrExpired         Fault = "expired"
	ErrNotYetValid     Fault = "not yet valid"
	ErrLifetime        Fault = "lives too long"
	ErrClaim           Fault = "claim missing or malformed"
	ErrNonce           Fault = "wrong nonce"
	ErrAccessTokenHash Fault = "access token hash differs"
	ErrAuthorizedParty Fault = "wrong authorized party"
	ErrACR             Fault = "authentication too weak"
	ErrDPoP            Fault = "proof of possession does not fit the call"
)

// Faults of keys and of settings.
const (
	// ErrKey: not a key this package uses, or one that is not sound.
	ErrKey Fault = "unusable key"
	// ErrPrivateKey: a private key was given where a public one is asked. It must
	// be considered as disclosed.
	ErrPrivateKey Fault = "private key where a public one is asked"
	// ErrKeysUnavailable: the key set could not be read now; nothing is said of
	// the token. Try again later.
	ErrKeysUnavailable Fault = "key set unavailable"
	// ErrNoSigningKey: no key may sign at this moment.
	ErrNoSigningKey Fault = "no signing key"
	// ErrConfig: a Verifier, a Schedule or a call that could not be safe.
	ErrConfig Fault = "unsafe configuration"
	// ErrDecrypt: a JWE that this key does not open, or of other algorithms.
	ErrDecrypt Fault = "cannot decrypt"
)

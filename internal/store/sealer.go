package store

// Sealer seals what must not be read from a dump (internal/store/seal).
type Sealer interface {
	Seal(clear, associated []byte) ([]byte, error)
	Open(sealed, associated []byte) ([]byte, error)
	// Fingerprint is a keyed hash: it finds and compares values without keeping them.
	Fingerprint(value []byte) []byte
}

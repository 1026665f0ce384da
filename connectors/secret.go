package connectors

import (
	"encoding/json"
	"fmt"
)

// Redacted is what a Secret prints, everywhere.
const Redacted = "[redacted]"

// Secret is a value that must not leave the process except where Reveal is
// called: it prints [redacted] in fmt, JSON, YAML, logs and errors.
type Secret struct{ value string }

// NewSecret wraps a clear value.
func NewSecret(value string) Secret { return Secret{value: value} }

// Reveal gives the clear value. Call it where the value is used, nowhere else.
func (s Secret) Reveal() string { return s.value }

// IsZero reports an empty secret.
func (s Secret) IsZero() bool { return s.value == "" }

// Format prints [redacted] for every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// String prints [redacted], or nothing for an empty secret.
func (s Secret) String() string {
	if s.value == "" {
		return ""
	}
	return Redacted
}

// MarshalJSON writes "[redacted]".
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// MarshalText writes [redacted].
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a clear value, so that settings can be decoded into a Secret.
func (s *Secret) UnmarshalText(text []byte) error {
	s.value = string(text)
	return nil
}

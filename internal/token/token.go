package token

import (
	"crypto/rand"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
)

// Kind says what a value opens.
type Kind string

const (
	// ClientKey opens an API at a manager.
	ClientKey Kind = "psk"
	// EditorSecret opens the editors' API.
	EditorSecret Kind = "pse"
	// HubToken opens the hub's own API.
	HubToken Kind = "psh"
	// OneTimeLink opens one page once.
	OneTimeLink Kind = "psl"
)

// Env says which hubs a value is for: a production hub refuses Test values and
// the reverse.
type Env string

const (
	Live Env = "live"
	Test Env = "test"
)

const (
	kindLen   = 3
	envLen    = 4
	randomLen = 30
	sumLen    = 6
	prefixLen = kindLen + 1 + envLen + 1

	// Len is the length of every value, in bytes.
	Len = prefixLen + randomLen + sumLen

	displayTail = 4
)

var (
	// ErrMalformed: not the shape of a value: length, kind, environment or alphabet.
	ErrMalformed = errors.New("token: malformed")
	// ErrChecksum: the shape is right and the check sum is not: a typo.
	ErrChecksum = errors.New("token: wrong check sum")
	// ErrEnvironment: a sound value of the other environment.
	ErrEnvironment = errors.New("token: value of another environment")
	// ErrUnknownKind: New was asked for a kind or an environment that does not exist.
	ErrUnknownKind = errors.New("token: no such kind or environment")
)

// Token is a value of the right shape. It prints its display form, never its value.
type Token struct{ value string }

// New draws a fresh value from the system's generator.
func New(kind Kind, env Env) (Token, error) {
	if !kind.known() || !env.known() {
		return Token{}, fmt.Errorf("%w: %q, %q", ErrUnknownKind, string(kind), string(env))
	}
	body := string(kind) + "_" + string(env) + "_" + randomBase62(randomLen)
	return Token{value: body + checkSum(body)}, nil
}

// Parse recognises a value of either environment: ErrMalformed, ErrChecksum, or
// a Token. No error holds any part of the value.
func Parse(value string) (Token, error) {
	if len(value) != Len || value[kindLen] != '_' || value[prefixLen-1] != '_' {
		return Token{}, ErrMalformed
	}
	t := Token{value: value}
	if !t.Kind().known() || !t.Env().known() || !isBase62(value[prefixLen:]) {
		return Token{}, ErrMalformed
	}
	if checkSum(value[:Len-sumLen]) != value[Len-sumLen:] {
		return Token{}, ErrChecksum
	}
	return t, nil
}

// ParseIn is Parse for a hub of one environment: a sound value of the other one
// is ErrEnvironment.
func ParseIn(env Env, value string) (Token, error) {
	t, err := Parse(value)
	if err != nil {
		return Token{}, err
	}
	if t.Env() != env {
		return Token{}, ErrEnvironment
	}
	return t, nil
}

// Kind gives the kind of the value.
func (t Token) Kind() Kind {
	if t.IsZero() {
		return ""
	}
	return Kind(t.value[:kindLen])
}

// Env gives the environment of the value.
func (t Token) Env() Env {
	if t.IsZero() {
		return ""
	}
	return Env(t.value[kindLen+1 : prefixLen-1])
}

// IsZero reports a Token that holds no value.
func (t Token) IsZero() bool { return t.value == "" }

// Value gives the clear value. Wrap it at once.
func (t Token) Value() string { return t.value }

// Display gives the prefix and the last four characters, e.g. "psk_live_…T7zC":
// enough to tell two values apart in a list, useless to a thief. The last four
// belong to the check sum, so they say little of the random part.
func (t Token) Display() string {
	if t.IsZero() {
		return ""
	}
	return t.value[:prefixLen] + "…" + t.value[Len-displayTail:]
}

// String gives the display form.
func (t Token) String() string { return t.Display() }

// Format prints the display form for every verb.
func (t Token) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(t.Display())) }

// MarshalText writes the display form: a Token put into JSON by mistake gives nothing away.
func (t Token) MarshalText() ([]byte, error) { return []byte(t.Display()), nil }

func (k Kind) known() bool {
	switch k {
	case ClientKey, EditorSecret, HubToken, OneTimeLink:
		return true
	default:
		return false
	}
}

func (e Env) known() bool { return e == Live || e == Test }

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

func isBase62(s string) bool {
	for i := range len(s) {
		if strings.IndexByte(base62, s[i]) < 0 {
			return false
		}
	}
	return true
}

// randomBase62 gives n characters, each equally likely: bytes from the largest
// multiple of 62 on are drawn again.
func randomBase62(n int) string {
	const limit = 256 - 256%len(base62)
	out := make([]byte, 0, n)
	var buf [64]byte
	for len(out) < n {
		_, _ = rand.Read(buf[:]) // never fails: crypto/rand ends the program instead
		for _, b := range buf {
			if int(b) < limit && len(out) < n {
				out = append(out, base62[int(b)%len(base62)])
			}
		}
	}
	return string(out)
}

// checkSum gives the CRC-32 (IEEE) of body in base62, padded with 0 on the left.
func checkSum(body string) string {
	sum := crc32.ChecksumIEEE([]byte(body))
	var out [sumLen]byte
	for i := sumLen - 1; i >= 0; i-- {
		out[i] = base62[sum%uint32(len(base62))]
		sum /= uint32(len(base62))
	}
	return string(out[:])
}

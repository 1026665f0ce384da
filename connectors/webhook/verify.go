package webhook

import (
	"crypto/ed25519"
	"crypto/hmac"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Tolerance is how far from the receiver's clock a signed time may be (Standard
// Webhooks 1.0).
const Tolerance = 5 * time.Minute

// Dialect names a way of signing.
type Dialect string

const (
	Standard Dialect = "standard-webhooks"
	DataPass Dialect = "datapass"
)

// Reason names what is wrong with a signed request.
type Reason string

const (
	NoSignature  Reason = "no_signature"  // no header of either dialect
	NoHeader     Reason = "no_header"     // a header of the dialect is missing
	BadID        Reason = "bad_id"        // the id cannot be signed
	BadTimestamp Reason = "bad_timestamp" // not whole seconds since 1970
	TooOld       Reason = "too_old"
	TooNew       Reason = "too_new"
	BadFormat    Reason = "bad_format" // the signature header cannot be read
	NoKey        Reason = "no_key"     // nothing to check it with
	Mismatch     Reason = "mismatch"   // well formed, but of another key or other bytes
)

// Fault says what is wrong, for the developer who signs or verifies. It holds no
// secret and no signature.
type Fault struct {
	Dialect Dialect
	Reason  Reason
	Detail  string
}

// Error gives the dialect and the detail.
func (f *Fault) Error() string {
	if f.Dialect == "" {
		return f.Detail
	}
	return string(f.Dialect) + ": " + f.Detail
}

// Verified says which signature was right.
type Verified struct {
	Dialect Dialect
	Key     int       // index in keys, or -1 for a public key
	ID      string    // Standard Webhooks only
	At      time.Time // Standard Webhooks only: DataPass signs no time
}

// Verify checks a request's headers and raw body as a receiver must: Standard
// Webhooks when any of its headers is there, else DataPass. One key that fits is
// enough. Its error is a *Fault, which says as exactly as can be known what is
// wrong, the usual mistakes in signing included.
func Verify(h http.Header, body []byte, keys []Key, now time.Time, tolerance time.Duration, public ...ed25519.PublicKey) (Verified, error) {
	for _, name := range []string{HeaderID, HeaderTimestamp, HeaderSignature} {
		if len(h.Values(name)) > 0 {
			return verifyStandard(h, body, keys, now, tolerance, public)
		}
	}
	if len(h.Values(HeaderDataPass)) > 0 {
		return verifyDataPass(h, body, keys)
	}
	return Verified{}, &Fault{Reason: NoSignature, Detail: fmt.Sprintf(
		"neither %s nor %s, %s and %s", HeaderDataPass, HeaderID, HeaderTimestamp, HeaderSignature)}
}

func verifyDataPass(h http.Header, body []byte, keys []Key) (Verified, error) {
	fail := func(reason Reason, format string, args ...any) (Verified, error) {
		return Verified{}, &Fault{Dialect: DataPass, Reason: reason, Detail: fmt.Sprintf(format, args...)}
	}
	if n := len(h.Values(HeaderDataPass)); n > 1 {
		return fail(BadFormat, "%s is there %d times", HeaderDataPass, n)
	}
	encoded, ok := strings.CutPrefix(h.Get(HeaderDataPass), dataPassPrefix)
	if !ok {
		return fail(BadFormat, "%s does not begin with %s", HeaderDataPass, dataPassPrefix)
	}
	given, err := hex.DecodeString(encoded)
	if err != nil || len(given) != 32 {
		return fail(BadFormat, "%s does not hold 64 hexadecimal characters after %s", HeaderDataPass, dataPassPrefix)
	}
	if len(keys) == 0 {
		return fail(NoKey, "there is no secret to check it with")
	}
	for i, key := range keys {
		if !key.IsZero() && hmac.Equal(given, mac(key.text, body)) {
			return Verified{Dialect: DataPass, Key: i}, nil
		}
	}
	return fail(Mismatch, "%s", diagnose(given, keys, body, nil))
}

func verifyStandard(h http.Header, body []byte, keys []Key, now time.Time, tolerance time.Duration, public []ed25519.PublicKey) (Verified, error) {
	fail := func(reason Reason, format string, args ...any) (Verified, error) {
		return Verified{}, &Fault{Dialect: Standard, Reason: reason, Detail: fmt.Sprintf(format, args...)}
	}
	for _, name := range []string{HeaderID, HeaderTimestamp, HeaderSignature} {
		switch n := len(h.Values(name)); {
		case n == 0 || (n == 1 && h.Get(name) == ""):
			return fail(NoHeader, "%s is missing or empty", name)
		case n > 1:
			return fail(BadFormat, "%s is there %d times", name, n)
		}
	}
	id, timestamp := h.Get(HeaderID), h.Get(HeaderTimestamp)
	if strings.Contains(id, ".") {
		return fail(BadID, "%s holds a dot: what is signed would be ambiguous", HeaderID)
	}
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || strconv.FormatInt(seconds, 10) != timestamp || seconds < 0 {
		return fail(BadTimestamp, "%s is not whole seconds since 1970", HeaderTimestamp)
	}
	at := time.Unix(seconds, 0)
	if seconds > 1e11 {
		return fail(BadTimestamp, "%s is in milliseconds, not in seconds", HeaderTimestamp)
	}
	if late := now.Sub(at); late > tolerance {
		return fail(TooOld, "signed %s ago, more than %s: a replay, or clocks that differ", late.Round(time.Second), tolerance)
	} else if -late > tolerance {
		return fail(TooNew, "signed %s in the future, more than %s: clocks that differ", (-late).Round(time.Second), tolerance)
	}
	found, format := parseSignatures(h.Get(HeaderSignature))
	if format != "" {
		return fail(BadFormat, "%s", format)
	}
	signed := standardContent(id, timestamp, body)
	verified := Verified{Dialect: Standard, ID: id, At: at}
	for _, given := range found.symmetric {
		for i, key := range keys {
			if !key.IsZero() && hmac.Equal(given, mac(key.bytes, signed)) {
				verified.Key = i
				return verified, nil
			}
		}
	}
	for _, given := range found.asymmetric {
		for _, key := range public {
			if ed25519.Verify(key, signed, given) {
				verified.Key = -1
				return verified, nil
			}
		}
	}
	switch {
	case len(found.symmetric) == 0 && len(public) == 0:
		return fail(NoKey, "only v1a signatures, and no public key to check them with")
	case len(found.asymmetric) == 0 && len(keys) == 0:
		return fail(NoKey, "only v1 signatures, and no secret to check them with")
	case len(keys) == 0 && len(public) == 0:
		return fail(NoKey, "there is no key to check it with")
	case len(found.symmetric) == 0:
		return fail(Mismatch, "no v1a signature is of this public key over id.timestamp.body")
	}
	return fail(Mismatch, "%s", diagnose(found.symmetric[0], keys, body, &envelope{id, timestamp}))
}

type signatures struct{ symmetric, asymmetric [][]byte }

// parseSignatures reads "v1,<base64> v1a,<base64> ..."; versions it does not
// know are let through, as the specification asks.
func parseSignatures(header string) (found signatures, fault string) {
	for _, item := range strings.Fields(header) {
		version, encoded, ok := strings.Cut(item, ",")
		if !ok {
			return found, fmt.Sprintf("%s: each signature is a version, a comma and base64, separated by spaces", HeaderSignature)
		}
		size := map[string]int{symmetric: 32, asymmetric: ed25519.SignatureSize}[version]
		if size == 0 {
			continue
		}
		raw, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil || len(raw) != size {
			if decoded, hexErr := hex.DecodeString(encoded); hexErr == nil && len(decoded) == size {
				return found, fmt.Sprintf("%s: a %s signature is in hexadecimal, not in base64", HeaderSignature, version)
			}
			return found, fmt.Sprintf("%s: a %s signature is not base64 of %d bytes", HeaderSignature, version, size)
		}
		if version == symmetric {
			found.symmetric = append(found.symmetric, raw)
		} else {
			found.asymmetric = append(found.asymmetric, raw)
		}
	}
	if len(found.symmetric)+len(found.asymmetric) == 0 {
		return found, fmt.Sprintf("%s holds neither a v1 nor a v1a signature", HeaderSignature)
	}
	return found, ""
}

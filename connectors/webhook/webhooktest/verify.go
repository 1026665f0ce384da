package webhooktest

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Dialect says which signatures a delivery must carry.
type Dialect string

// The dialects of webhooks.md.
const (
	Both            Dialect = ""
	DataPassOnly    Dialect = "datapass"
	StandardOnly    Dialect = "standard"
	AnyOfThem       Dialect = "any"  // at least one, and none that is wrong
	WithoutChecking Dialect = "none" // records only
)

func (d Dialect) valid() error {
	switch d {
	case Both, DataPassOnly, StandardOnly, AnyOfThem, WithoutChecking:
		return nil
	default:
		return fmt.Errorf("webhooktest: dialect %q: datapass, standard, any, none, or nothing for both", d)
	}
}

// DefaultTolerance bounds the age of a timestamp, in both directions.
const DefaultTolerance = 5 * time.Minute

// secret is one signing secret in the two forms that a provider is shown.
type secret struct {
	text  []byte // DataPass: the text is the key
	bytes []byte // Standard Webhooks: the bytes behind whsec_ are the key; nil: none
}

// newSecret reads "whsec_<base64>", 64 hexadecimal characters (the same bytes),
// or any other text, which only DataPass's dialect can use.
func newSecret(value string) (secret, error) {
	if encoded, ok := strings.CutPrefix(value, "whsec_"); ok {
		key, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return secret{}, fmt.Errorf("webhooktest: a secret after whsec_ is not base64: %w", err)
		}
		return secret{text: []byte(hex.EncodeToString(key)), bytes: key}, nil
	}
	if value == "" {
		return secret{}, errors.New("webhooktest: an empty secret")
	}
	s := secret{text: []byte(value)}
	if key, err := hex.DecodeString(value); err == nil && len(key) == 32 {
		s.bytes = key
	}
	return s, nil
}

// newPublicKey reads "whpk_<base64>", an Ed25519 key.
func newPublicKey(value string) (ed25519.PublicKey, error) {
	encoded, ok := strings.CutPrefix(value, "whpk_")
	key, err := base64.StdEncoding.DecodeString(encoded)
	if !ok || err != nil || len(key) != ed25519.PublicKeySize {
		return nil, errors.New("webhooktest: a public key is whpk_ and 32 bytes in base64")
	}
	return key, nil
}

// verifier holds what a provider was given.
type verifier struct {
	dialect   Dialect
	secrets   []secret
	keys      []ed25519.PublicKey
	tolerance time.Duration
}

// faults says why a delivery must not be trusted; none: it may.
func (v verifier) faults(h http.Header, body []byte, now time.Time) []string {
	hub, standard := v.hubFault(h, body), v.standardFault(h, body, now)
	var wanted []error
	switch v.dialect {
	case WithoutChecking:
	case DataPassOnly:
		wanted = []error{hub}
	case StandardOnly:
		wanted = []error{standard}
	case AnyOfThem:
		hasHub, hasStandard := h.Get(hubHeader) != "", h.Get(signatureHeader) != ""
		if hasHub || !hasStandard {
			wanted = append(wanted, hub)
		}
		if hasStandard {
			wanted = append(wanted, standard)
		}
	default:
		wanted = []error{hub, standard}
	}
	var out []string
	for _, err := range wanted {
		if err != nil {
			out = append(out, err.Error())
		}
	}
	return out
}

const (
	hubHeader       = "X-Hub-Signature-256"
	idHeader        = "Webhook-Id"
	timestampHeader = "Webhook-Timestamp"
	signatureHeader = "Webhook-Signature"
	attemptHeader   = "Webhook-Attempt"
)

// hubFault checks sha256=<lowercase hex of HMAC-SHA256(secret's text, body)>
// (datapass.md, 2.3).
func (v verifier) hubFault(h http.Header, body []byte) error {
	values := h.Values(hubHeader)
	if len(values) != 1 {
		return fmt.Errorf("%s: %d values", hubHeader, len(values))
	}
	for _, s := range v.secrets {
		want := "sha256=" + hex.EncodeToString(sum(s.text, body))
		if subtle.ConstantTimeCompare([]byte(want), []byte(values[0])) == 1 {
			return nil
		}
	}
	return fmt.Errorf("%s: signed with no secret of ours", hubHeader)
}

// standardFault checks Standard Webhooks 1.0: at least one of the signatures of
// "id.timestamp.body" is ours, and the timestamp is of now.
func (v verifier) standardFault(h http.Header, body []byte, now time.Time) error {
	id, stamp, signatures := h.Get(idHeader), h.Get(timestampHeader), h.Get(signatureHeader)
	switch {
	case id == "":
		return errors.New("webhook-id: missing")
	case strings.Contains(id, "."):
		return errors.New("webhook-id: has a dot")
	case signatures == "":
		return errors.New("webhook-signature: missing")
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return errors.New("webhook-timestamp: not Unix seconds")
	}
	if age := now.Sub(time.Unix(seconds, 0)); age > v.tolerance || age < -v.tolerance {
		return fmt.Errorf("webhook-timestamp: %s from our clock", age.Round(time.Second))
	}
	signed := append([]byte(id+"."+stamp+"."), body...)
	for signature := range strings.FieldsSeq(signatures) {
		version, encoded, _ := strings.Cut(signature, ",")
		given, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return fmt.Errorf("webhook-signature: %s is not base64", version)
		}
		switch version {
		case "v1":
			for _, s := range v.secrets {
				if s.bytes != nil && hmac.Equal(sum(s.bytes, signed), given) {
					return nil
				}
			}
		case "v1a":
			for _, key := range v.keys {
				if ed25519.Verify(key, signed, given) {
					return nil
				}
			}
		}
	}
	return errors.New("webhook-signature: signed with no secret of ours")
}

func sum(key, message []byte) []byte {
	mac := hmac.New(sha256.New, key)
	_, _ = mac.Write(message)
	return mac.Sum(nil)
}

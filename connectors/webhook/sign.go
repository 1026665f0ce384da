package webhook

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
)

// The headers of a delivery (webhooks.md, Dialects; datapass.md, 2.3 and 2.10).
const (
	HeaderDataPass    = "X-Hub-Signature-256"
	HeaderDataPassNew = "X-Hub-Signature-256-New" // during a rotation: the new secret's
	HeaderEnvironment = "X-App-Environment"
	HeaderID          = "webhook-id"
	HeaderTimestamp   = "webhook-timestamp"
	HeaderSignature   = "webhook-signature"
	HeaderAttempt     = "webhook-attempt"
	HeaderSequence    = "webhook-sequence" // among the events of the same subject, growing
)

// Message is one delivery before it is signed.
type Message struct {
	ID          string    // the same for every attempt and replay: receivers drop the repeat
	At          time.Time // of this attempt: it is signed
	Attempt     int       // from 1
	Sequence    int64     // from 1; 0: none
	Environment string    // production, staging or sandbox
	Body        []byte    // as it is sent: never decoded and encoded again
}

// Headers gives all headers of the delivery, signed with the live keys, of which
// there is at least one. All sign in Standard Webhooks. DataPass's header holds
// one signature, and receivers compare it as a whole: two of them, or the header
// given twice, is no signature to them. So it is the first key's: during a
// rotation the old key goes first, a receiver of that dialect goes on working
// until it has changed, and the last key's signature is in a header beside it
// (datapass.md, 2.10: both are sent). private adds a v1a signature; nil adds none.
func Headers(m Message, keys []Key, private ed25519.PrivateKey) map[string]string {
	h := map[string]string{
		"Content-Type":    "application/json",
		"User-Agent":      outbound.UserAgent,
		HeaderEnvironment: m.Environment,
		HeaderID:          m.ID,
		HeaderTimestamp:   strconv.FormatInt(m.At.Unix(), 10),
		HeaderSignature:   SignStandard(m.ID, m.At, m.Body, keys, private),
		HeaderAttempt:     strconv.Itoa(m.Attempt),
	}
	if m.Sequence > 0 {
		h[HeaderSequence] = strconv.FormatInt(m.Sequence, 10)
	}
	if len(keys) > 0 {
		h[HeaderDataPass] = SignDataPass(m.Body, keys[0])
	}
	if len(keys) > 1 {
		h[HeaderDataPassNew] = SignDataPass(m.Body, keys[len(keys)-1])
	}
	return h
}

// SignDataPass gives the value of X-Hub-Signature-256: the HMAC-SHA256 of the
// body alone, keyed with the secret's hexadecimal text (datapass.md, 2.3).
func SignDataPass(body []byte, key Key) string {
	return dataPassPrefix + hex.EncodeToString(mac(key.text, body))
}

// SignStandard gives the value of webhook-signature: one v1 for each key over
// "id.timestamp.body", then one v1a when there is a private key (Standard
// Webhooks 1.0, Signature scheme).
func SignStandard(id string, at time.Time, body []byte, keys []Key, private ed25519.PrivateKey) string {
	signed := standardContent(id, strconv.FormatInt(at.Unix(), 10), body)
	signatures := make([]string, 0, len(keys)+1)
	for _, key := range keys {
		signatures = append(signatures, symmetric+","+base64.StdEncoding.EncodeToString(mac(key.bytes, signed)))
	}
	if private != nil {
		signatures = append(signatures, asymmetric+","+base64.StdEncoding.EncodeToString(ed25519.Sign(private, signed)))
	}
	return strings.Join(signatures, " ")
}

const (
	dataPassPrefix = "sha256="
	symmetric      = "v1"
	asymmetric     = "v1a"
)

func standardContent(id, timestamp string, body []byte) []byte {
	return append([]byte(id+"."+timestamp+"."), body...)
}

func mac(key connectors.Secret, message []byte) []byte {
	h := hmac.New(sha256.New, []byte(key.Reveal()))
	h.Write(message)
	return h.Sum(nil)
}

package webhook

import (
	"bytes"
	"crypto/hmac"
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/passerelle-hub/passerelle/connectors"
)

// envelope is what Standard Webhooks signs beside the body.
type envelope struct{ id, timestamp string }

// diagnose looks for the mistake behind a signature that does not match: it
// tries the keys and the bytes that people sign by accident. Whoever calls it
// holds the secret, so nothing is told that they do not know. It costs some 40
// HMACs: bodies over maxDiagnosed bytes are not looked at.
func diagnose(given []byte, keys []Key, body []byte, e *envelope) string {
	right := "the body as it was received"
	if e != nil {
		right = "id.timestamp.body"
	}
	other := "the signature is of another secret, or of other bytes than " + right
	if len(body) > maxDiagnosed {
		return other
	}
	for _, key := range keys {
		for _, k := range keyVariants(key, e != nil) {
			for _, m := range messageVariants(body, e) {
				if (k.mistake != "" || m.mistake != "") && hmac.Equal(given, mac(k.value, m.value)) {
					return strings.Join(nonEmpty(k.mistake, m.mistake), "; ")
				}
			}
		}
	}
	return other
}

const maxDiagnosed = 64 << 10

type keyVariant struct {
	value   connectors.Secret
	mistake string
}

func keyVariants(key Key, standard bool) []keyVariant {
	whsec := key.Whsec().Reveal()
	whole := keyVariant{key.Whsec(), "the key is the whole text whsec_…"}
	encoded := keyVariant{
		connectors.NewSecret(strings.TrimPrefix(whsec, secretPrefix)),
		"the key is the base64 text after whsec_, which must be decoded",
	}
	hexText := keyVariant{key.text, "the key is the secret's 64 hexadecimal characters"}
	raw := keyVariant{key.bytes, "the key is the secret's bytes"}
	if standard {
		raw.mistake = ""
		hexText.mistake += ", which are for " + HeaderDataPass + ": here it is their bytes"
		return []keyVariant{raw, hexText, encoded, whole}
	}
	hexText.mistake = ""
	raw.mistake += ": here it is their 64 hexadecimal characters as text"
	encoded.mistake = "the key is the base64 text after whsec_, not the 64 hexadecimal characters"
	return []keyVariant{hexText, raw, encoded, whole}
}

type messageVariant struct {
	value   []byte
	mistake string
}

func messageVariants(body []byte, e *envelope) []messageVariant {
	bodies := []messageVariant{{body, ""}}
	if trimmed := bytes.TrimSpace(body); !bytes.Equal(trimmed, body) {
		bodies = append(bodies, messageVariant{trimmed, "the body was signed without the blanks around it"})
	}
	bodies = append(bodies, messageVariant{append(bytes.Clone(body), '\n'), "the body was signed with a line break after it"})
	for _, again := range reencoded(body) {
		bodies = append(bodies, messageVariant{again, "the body was decoded and encoded again: sign and check the raw bytes"})
	}
	if e == nil {
		return bodies
	}
	var all []messageVariant
	for _, b := range bodies {
		all = append(all, messageVariant{standardContent(e.id, e.timestamp, b.value), b.mistake})
	}
	return append(all,
		messageVariant{body, "the body alone was signed, not id.timestamp.body"},
		messageVariant{append([]byte(e.timestamp+"."), body...), "timestamp.body was signed, not id.timestamp.body"},
		messageVariant{append([]byte(e.id+"."), body...), "id.body was signed, not id.timestamp.body"},
		messageVariant{append([]byte(e.id+e.timestamp), body...), "the dots between id, timestamp and body are missing"},
		messageVariant{[]byte(base64.StdEncoding.EncodeToString(body)), "the body was signed in base64"},
	)
}

// reencoded gives the body as common encoders would write it again.
func reencoded(body []byte) [][]byte {
	var out [][]byte
	add := func(text []byte) {
		if !bytes.Equal(text, body) {
			out = append(out, text)
		}
	}
	var compact, indented, spaced bytes.Buffer
	if json.Compact(&compact, body) != nil {
		return nil
	}
	add(compact.Bytes())
	_ = json.Indent(&indented, body, "", "  ")
	add(indented.Bytes())
	// Python's default separators: ", " and ": ".
	_ = json.Indent(&spaced, body, "", "")
	add([]byte(strings.ReplaceAll(strings.ReplaceAll(spaced.String(), ",\n", ", "), "\n", "")))
	var value any
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if decoder.Decode(&value) == nil {
		sorted, _ := json.Marshal(value) // keys sorted, <, > and & escaped
		add(sorted)
		var plain bytes.Buffer
		encoder := json.NewEncoder(&plain)
		encoder.SetEscapeHTML(false)
		_ = encoder.Encode(value)
		add(bytes.TrimRight(plain.Bytes(), "\n"))
	}
	return out
}

func nonEmpty(texts ...string) []string {
	var out []string
	for _, text := range texts {
		if text != "" {
			out = append(out, text)
		}
	}
	return out
}

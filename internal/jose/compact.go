package jose

import (
	"strings"
)

// compact is a JWS in compact form, parsed and not yet verified.
type compact struct {
	raw     string
	alg     Alg
	kid     string
	typ     string // lower case, without "application/"
	header  members
	payload members
	body    []byte
}

// parseCompact reads a token of at most maxSize bytes. It believes nothing of
// it: the header only says which key to look for.
func parseCompact(token string, maxSize int) (compact, error) {
	if len(token) > maxSize {
		return compact{}, ErrTooLarge
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 || parts[0] == "" || parts[1] == "" {
		return compact{}, ErrMalformed
	}
	head, headOK := decodeBase64URL(parts[0])
	body, bodyOK := decodeBase64URL(parts[1])
	_, signatureOK := decodeBase64URL(parts[2])
	if !headOK || !bodyOK || !signatureOK {
		return compact{}, ErrMalformed
	}
	header, err := decodeObject(head)
	if err != nil {
		return compact{}, ErrMalformed
	}
	// This package understands no extension; b64 is one that changes what is
	// signed even where crit does not announce it (RFC 7797).
	if header.has("crit") || header.has("b64") {
		return compact{}, ErrCritical
	}
	alg, algOK := header.text("alg")
	kid, kidOK := header.text("kid")
	typ, typOK := header.text("typ")
	if !algOK || !kidOK || !typOK {
		return compact{}, ErrMalformed
	}
	payload, err := decodeObject(body)
	if err != nil {
		return compact{}, ErrMalformed
	}
	return compact{
		raw: token, alg: Alg(alg), kid: kid, header: header, payload: payload, body: body,
		typ: strings.TrimPrefix(strings.ToLower(typ), "application/"), // RFC 7515, 4.1.9
	}, nil
}

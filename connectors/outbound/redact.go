package outbound

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/passerelle-hub/passerelle/connectors"
)

// redactable bounds what the patterns read, in bytes.
const redactable = 16 << 10

// patterns of what must not be kept, each with its replacement.
var patterns = []struct {
	match   *regexp.Regexp
	replace string
}{
	{regexp.MustCompile(`(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]+`), "$1 " + connectors.Redacted},
	{regexp.MustCompile(`(https?://)[^\s/@"'<>]+@`), "${1}" + connectors.Redacted + "@"},                                        // user:password@
	{regexp.MustCompile(`\beyJ[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]*)*`), connectors.Redacted},                                         // JWT
	{regexp.MustCompile(`(?i)\b(ps[a-z]_[a-z0-9]|whs(ec|k)_)[A-Za-z0-9_+/=-]*`), connectors.Redacted},                           // tokens.md, 7.2; webhooks.md
	{regexp.MustCompile(`(?i)[\p{L}\p{N}._%+'-]+(@|%40)[\p{L}\p{N}-]+(\.[\p{L}\p{N}-]+)*`), connectors.Redacted},                // e-mail address
	{regexp.MustCompile(`(https?://[^\s?"'<>]*)\?[^\s"'<>]+`), "$1?" + connectors.Redacted},                                     // query string
	{regexp.MustCompile(`\b[0-9a-fA-F]{40,}\b`), connectors.Redacted},                                                           // key or digest
	{regexp.MustCompile(`(?:\+33\s?|\b0)[1-9](?:[ .-]?\d{2}){4}\b`), connectors.Redacted},                                       // French phone number
	{regexp.MustCompile(`\b[12]\s?\d{2}\s?(?:0[1-9]|1[0-2])\s?\d[\dABab]\s?\d{3}\s?\d{3}(?:\s?\d{2})?\b`), connectors.Redacted}, // NIR
	{regexp.MustCompile(`(?i)\b([a-z_]*(?:password|passwd|pwd|secret|token|api[_-]?key))(["']?\s*[:=]\s*["']?)[^\s"',;&}\[]+`), "$1$2" + connectors.Redacted},
}

// Redact cleans a partner's words so that they may be shown to operators and
// kept: the given secrets in any of their written forms, bearer tokens, our own
// keys, e-mail addresses, phone numbers and query strings are removed, control
// characters and runs of blanks become one space, and the rest is cut to
// connectors.MaxDetail bytes.
func Redact(text string, secrets ...connectors.Secret) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	for _, secret := range secrets {
		for _, form := range forms(secret.Reveal()) {
			text = strings.ReplaceAll(text, form, connectors.Redacted)
		}
	}
	text = oneLine(text)
	if len(text) > redactable {
		text = cut(text, redactable)
		text = text[:strings.LastIndexByte(text, ' ')+1] // no half of a pattern
	}
	for _, p := range patterns {
		text = p.match.ReplaceAllString(text, p.replace)
	}
	return trim(text)
}

// forms are the ways a value may come back in an answer. Values under 4 bytes
// are left: they are no secrets, and would tear other words apart.
func forms(value string) []string {
	if len(value) < 4 {
		return nil
	}
	list := []string{value}
	add := func(form string) {
		if form != value {
			list = append(list, form)
		}
	}
	add(url.QueryEscape(value))
	add(url.PathEscape(value))
	if quoted, err := json.Marshal(value); err == nil {
		add(strings.Trim(string(quoted), `"`))
	}
	add(base64.StdEncoding.EncodeToString([]byte(value)))
	add(base64.RawURLEncoding.EncodeToString([]byte(value)))
	return list
}

func oneLine(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r)
	}), " ")
}

func trim(text string) string {
	if len(text) <= connectors.MaxDetail {
		return text
	}
	const more = "…"
	return cut(text, connectors.MaxDetail-len(more)) + more
}

// cut keeps at most n bytes, at a character's boundary.
func cut(text string, n int) string {
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}

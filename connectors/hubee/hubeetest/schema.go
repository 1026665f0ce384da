package hubeetest

import (
	"encoding/json"
	"fmt"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// schema is the part of OpenAPI 3.0 that HubEE's files use. A value is checked
// as the gateway does, in the words of its validator.
type schema struct {
	kind       string // object, array, string, integer, number, boolean; "" for any
	format     string // uuid, date-time, int64, binary; e-mail addresses are the service's to check
	maxLength  int
	minItems   int
	pattern    *regexp.Regexp
	enum       []string
	nullable   bool
	readOnly   bool
	required   []string
	properties map[string]*schema
	items      *schema
	allOf      []*schema
	// instead is a written exception to the file: a value that it takes is good.
	instead *schema
}

// direction of a message: keys that are read only are required of answers alone.
type direction bool

const (
	request  direction = false
	response direction = true
)

// violation is one breach of a schema.
type violation struct {
	at   string // JSON pointer of the value; "" for the whole
	text string
}

func (v violation) String() string {
	if v.at == "" {
		return v.text
	}
	return fmt.Sprintf("[Path '%s'] %s", v.at, v.text)
}

// check lists the breaches of s by a value that encoding/json decoded with
// UseNumber.
func (s *schema) check(d direction, at string, value any) []violation {
	if s == nil {
		return nil
	}
	if s.instead != nil && len(s.instead.check(d, at, value)) == 0 {
		return nil
	}
	if value == nil && s.nullable {
		return nil
	}
	if len(s.allOf) > 0 {
		return s.checkAll(d, at, value)
	}
	if text := s.checkKind(value); text != "" {
		return []violation{{at, text}}
	}
	switch value := value.(type) {
	case string:
		return s.checkString(at, value)
	case []any:
		return s.checkArray(d, at, value)
	case map[string]any:
		return s.checkObject(d, at, value)
	default:
		return nil
	}
}

// checkAll reports as the validator does: how many matched, then what each
// schema that did not has to say.
func (s *schema) checkAll(d direction, at string, value any) []violation {
	var text strings.Builder
	matched := 0
	for i, part := range s.allOf {
		found := part.check(d, "", value)
		if len(found) == 0 {
			matched++
		}
		for _, v := range found {
			fmt.Fprintf(&text, "\n\t* /allOf/%d%s: %s", i, v.at, v.text)
		}
	}
	if matched == len(s.allOf) {
		return nil
	}
	return []violation{{at, fmt.Sprintf("Instance failed to match all required schemas (matched only %d out of %d)%s",
		matched, len(s.allOf), text.String())}}
}

func (s *schema) checkKind(value any) string {
	if s.kind == "" {
		return ""
	}
	got := kindOf(value)
	if got == s.kind || (s.kind == "number" && got == "integer") {
		return ""
	}
	return fmt.Sprintf("Instance type (%s) does not match any allowed primitive type (allowed: %s)", got, allowedKinds(s.kind))
}

func allowedKinds(kind string) string {
	if kind == "number" {
		return `["integer","number"]`
	}
	return `["` + kind + `"]`
}

func kindOf(value any) string {
	switch value := value.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case []any:
		return "array"
	case json.Number:
		if strings.ContainsAny(value.String(), ".eE") {
			return "number"
		}
		return "integer"
	default:
		return "object"
	}
}

func (s *schema) checkString(at, value string) []violation {
	var out []violation
	if n := utf8.RuneCountInString(value); s.maxLength > 0 && n > s.maxLength {
		out = append(out, violation{at, fmt.Sprintf("String \"%s\" is too long (length: %d, maximum allowed: %d)", value, n, s.maxLength)})
	}
	if s.pattern != nil && !s.pattern.MatchString(value) {
		out = append(out, violation{at, fmt.Sprintf("ECMA 262 regex \"%s\" does not match input string \"%s\"", s.pattern.String(), value)})
	}
	if len(s.enum) > 0 && !slices.Contains(s.enum, value) {
		out = append(out, violation{at, fmt.Sprintf("Instance value (\"%s\") not found in enum (possible values: %s)", value, compactJSON(s.enum))})
	}
	switch s.format {
	case "uuid":
		if !validUUID(value) {
			out = append(out, violation{at, fmt.Sprintf("Input string \"%s\" is not a valid UUID", value)})
		}
	case "date-time":
		if _, err := time.Parse(time.RFC3339Nano, value); err != nil {
			out = append(out, violation{at, fmt.Sprintf("String \"%s\" is invalid against requested date format(s) "+
				"[yyyy-MM-dd'T'HH:mm:ssZ, yyyy-MM-dd'T'HH:mm:ss.[0-9]{1,12}Z]", value)})
		}
	}
	return out
}

func (s *schema) checkArray(d direction, at string, value []any) []violation {
	if len(value) < s.minItems {
		return []violation{{at, tooShort(s.minItems, len(value))}}
	}
	var out []violation
	for i, item := range value {
		out = append(out, s.items.check(d, fmt.Sprintf("%s/%d", at, i), item)...)
	}
	return out
}

func tooShort(minimum, got int) string {
	return fmt.Sprintf("Array is too short: must have at least %d elements but instance has %d elements", minimum, got)
}

func (s *schema) checkObject(d direction, at string, value map[string]any) []violation {
	var out []violation
	var missing []string
	for _, name := range s.required {
		if _, ok := value[name]; !ok && (d == response || !s.property(name).readOnly) {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		out = append(out, violation{at, "Object has missing required properties (" + compactJSON(missing) + ")"})
	}
	for _, name := range sortedKeys(s.properties) {
		if v, ok := value[name]; ok {
			out = append(out, s.properties[name].check(d, at+"/"+name, v)...)
		}
	}
	return out
}

func (s *schema) property(name string) *schema {
	if p := s.properties[name]; p != nil {
		return p
	}
	return &schema{}
}

// validEmail is the service's own check, behind the gateway's.
func validEmail(value string) bool {
	at, err := mail.ParseAddress(value)
	return err == nil && at.Address == value
}

func validUUID(value string) bool {
	_, err := uuid.Parse(value)
	return err == nil && len(value) == 36
}

func compactJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(text)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

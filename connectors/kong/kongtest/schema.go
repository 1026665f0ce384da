package kongtest

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
)

// kind is the type of a field's value.
type kind int

const (
	text       kind = iota // string
	identifier             // string, a UUID
	timestamp              // int64, unix seconds
	flag                   // bool
	tagSet                 // []string
	uriList                // []string
)

type field struct {
	name      string
	kind      kind
	unique    bool
	required  bool
	auto      bool // Kong fills it in
	oneOf     []string
	byDefault any
}

// schema describes one kind of entity, as Kong's schemas do.
type schema struct {
	name        string // in error messages
	path        string // "/key-auths"
	nested      string // "/consumers/{consumer}/key-auth"; "" for consumers
	endpointKey string // unique field that may stand for the id in a path
	ttl         bool
	atLeastOne  []string
	// perConsumer is a field that one consumer may hold once.
	perConsumer string
	fields      []field
}

var (
	idField      = field{name: "id", kind: identifier, auto: true}
	createdField = field{name: "created_at", kind: timestamp, auto: true}
	updatedField = field{name: "updated_at", kind: timestamp, auto: true}
	tagsField    = field{name: "tags", kind: tagSet}
)

var consumers = &schema{
	name: "consumers", path: "consumers", endpointKey: "username", atLeastOne: []string{"custom_id", "username"},
	fields: []field{
		idField, createdField, updatedField, tagsField,
		{name: "username", unique: true},
		{name: "custom_id", unique: true},
	},
}

var keyAuth = &schema{
	name: "keyauth_credentials", path: "key-auths", nested: "key-auth", endpointKey: "key", ttl: true,
	fields: []field{idField, createdField, tagsField, {name: "key", unique: true, auto: true}},
}

var acls = &schema{
	name: "acls", path: "acls", nested: "acls", perConsumer: "group",
	fields: []field{idField, createdField, tagsField, {name: "group", required: true}},
}

var jwts = &schema{
	name: "jwt_secrets", path: "jwts", nested: "jwt", endpointKey: "key",
	fields: []field{
		idField, createdField, tagsField,
		{name: "key", unique: true, auto: true},
		{name: "secret", auto: true},
		{name: "rsa_public_key"},
		{name: "algorithm", byDefault: "HS256", oneOf: []string{
			"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "EdDSA",
		}},
	},
}

var oauth2 = &schema{
	name: "oauth2_credentials", path: "oauth2", nested: "oauth2", endpointKey: "client_id",
	fields: []field{
		idField, createdField, tagsField,
		{name: "name", required: true},
		{name: "client_id", unique: true, auto: true},
		{name: "client_secret", auto: true},
		{name: "hash_secret", kind: flag, required: true, byDefault: false},
		{name: "redirect_uris", kind: uriList},
		{name: "client_type", required: true, byDefault: "confidential", oneOf: []string{"confidential", "public"}},
	},
}

// schemas in the order in which a snapshot shows them.
var schemas = []*schema{consumers, keyAuth, acls, jwts, oauth2}

func (s *schema) field(name string) (field, bool) {
	for _, f := range s.fields {
		if f.name == name {
			return f, true
		}
	}
	return field{}, false
}

// read takes a value from JSON or a form. The fault is a message, or a list of
// messages by element. An empty string is null, as Kong infers.
func (f field) read(value any) (read, fault any) {
	if value == nil || value == "" {
		return nil, nil
	}
	switch f.kind {
	case timestamp:
		number, ok := asNumber(value)
		if !ok || number != math.Trunc(number) {
			return nil, "expected an integer"
		}
		return int64(number), nil
	case flag:
		switch value {
		case true, "true":
			return true, nil
		case false, "false":
			return false, nil
		}
		return nil, "expected a boolean"
	case tagSet:
		return f.readList(value, "expected a set", checkTag)
	case uriList:
		return f.readList(value, "expected an array", checkURI)
	case text, identifier:
	}
	written, ok := value.(string)
	switch {
	case !ok:
		return nil, "expected a string"
	case f.kind == identifier && !isUUID(written):
		return nil, "expected a valid UUID"
	case len(f.oneOf) > 0 && !slices.Contains(f.oneOf, written):
		return nil, "expected one of: " + strings.Join(f.oneOf, ", ")
	}
	return written, nil
}

func (f field) readList(value any, wrongType string, check func(string) string) (read, fault any) {
	items, ok := value.([]any)
	if !ok {
		if _, isObject := value.(map[string]any); isObject {
			return nil, wrongType
		}
		items = []any{value} // a lone value of a form
	}
	out := []string{}
	faults := make([]any, 0, len(items))
	faulty := false
	for _, item := range items {
		message := "expected a string"
		written, ok := item.(string)
		if ok {
			message = check(written)
		}
		if message != "" {
			faulty = true
			faults = append(faults, message)
			continue
		}
		faults = append(faults, nil)
		if f.kind != tagSet || !slices.Contains(out, written) {
			out = append(out, written)
		}
	}
	if faulty {
		return nil, faults
	}
	return out, nil
}

func checkTag(tag string) string {
	bad := func(r rune) bool { return r == ',' || r == '/' || r < ' ' || r == 0x7f }
	if tag == "" || !utf8.ValidString(tag) || strings.ContainsFunc(tag, bad) {
		return "invalid tag '" + tag + "': expected printable ascii (except `,` and `/`) or valid utf-8 sequences"
	}
	return ""
}

func checkURI(text string) string {
	uri, err := url.Parse(text)
	switch {
	case err != nil || uri.Scheme == "" || uri.Host == "":
		return "cannot parse '" + text + "'"
	case uri.Fragment != "":
		return "fragment not allowed in '" + text + "'"
	}
	return ""
}

// check judges a whole entity, after defaults and merges.
func (s *schema) check(e *entity, faults *violations) {
	if len(s.atLeastOne) > 0 && !slices.ContainsFunc(s.atLeastOne, e.has) {
		faults.entity = append(faults.entity,
			"at least one of these fields must be non-empty: '"+strings.Join(s.atLeastOne, "', '")+"'")
	}
	for _, f := range s.fields {
		if _, known := faults.fields[f.name]; f.required && !known && !e.has(f.name) {
			faults.add(f.name, "required field missing")
		}
	}
	if _, known := faults.fields["consumer"]; s != consumers && !known && e.consumer == "" {
		faults.add("consumer", "required field missing")
	}
	if s == jwts {
		checkPublicKey(e, faults)
	}
}

// checkPublicKey: the asymmetric algorithms, ES ones excepted, need a public key.
func checkPublicKey(e *entity, faults *violations) {
	algorithm := e.str("algorithm")
	if !strings.HasPrefix(algorithm, "RS") && !strings.HasPrefix(algorithm, "PS") && algorithm != "EdDSA" {
		return
	}
	fault := "required field missing"
	if e.has("rsa_public_key") {
		fault = "invalid key"
		if block, _ := pem.Decode([]byte(e.str("rsa_public_key"))); block != nil {
			if _, err := x509.ParsePKIXPublicKey(block.Bytes); err == nil {
				return
			}
		}
	}
	faults.entity = append(faults.entity, "failed conditional validation given value of field 'algorithm'")
	faults.add("rsa_public_key", fault)
}

// maxTTL bounds a ttl, in seconds.
const maxTTL = 100_000_000

// readTTL takes the option ttl, in seconds.
func readTTL(value any) (int64, error) {
	number, ok := asNumber(value)
	switch {
	case !ok:
		return 0, unexpected() // Kong compares it before it looks at its type
	case number != math.Trunc(number) || number < 0 || number > maxTTL:
		return 0, invalidOption("ttl", fmt.Sprintf("must be an integer between 0 and %d", maxTTL))
	}
	return int64(number), nil
}

// asNumber takes a number, or a text that is one.
func asNumber(value any) (float64, bool) {
	switch value := value.(type) {
	case float64:
		return value, true
	case string:
		number, err := strconv.ParseFloat(value, 64)
		return number, err == nil
	default:
		return 0, false
	}
}

func isUUID(text string) bool { return len(text) == 36 && uuid.Validate(text) == nil }

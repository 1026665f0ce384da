package jose

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strconv"
	"time"
	"unicode/utf8"
)

// members are a JSON object's members, names compared exactly: encoding/json
// alone ignores case and lets the last of two equal names win.
type members map[string]json.RawMessage

var errNotObject = errors.New("not a JSON object, or a member twice")

// decodeObject reads one JSON object and nothing after it.
func decodeObject(data []byte) (members, error) {
	if !utf8.Valid(data) {
		return nil, errNotObject
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errNotObject
	}
	m := members{}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, errNotObject
		}
		name, ok := t.(string)
		if _, twice := m[name]; !ok || twice {
			return nil, errNotObject
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, errNotObject
		}
		m[name] = value
	}
	if _, err := dec.Token(); err != nil {
		return nil, errNotObject
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errNotObject
	}
	return m, nil
}

func (m members) has(name string) bool {
	_, ok := m[name]
	return ok
}

// text gives a string member; "" when absent; false when it is no string.
func (m members) text(name string) (string, bool) {
	raw, ok := m[name]
	if !ok {
		return "", true
	}
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	var s string
	return s, json.Unmarshal(raw, &s) == nil
}

// texts gives a member that is an array of strings, or one string where single
// is allowed; nil when absent.
func (m members) texts(name string, single bool) ([]string, bool) {
	raw, ok := m[name]
	if !ok {
		return nil, true
	}
	if single && len(raw) > 0 && raw[0] == '"' {
		s, ok := m.text(name)
		return []string{s}, ok
	}
	var items []json.RawMessage
	if len(raw) == 0 || raw[0] != '[' || json.Unmarshal(raw, &items) != nil {
		return nil, false
	}
	list := make([]string, 0, len(items))
	for _, item := range items {
		s, ok := members{"": item}.text("")
		if !ok {
			return nil, false
		}
		list = append(list, s)
	}
	return list, true
}

// maxTime is the end of the year 9999: a later date is no date.
const maxTime = 253402300799

// time gives a NumericDate (RFC 7519, 2): seconds since 1970, maybe with a
// fraction. Zero when absent.
func (m members) time(name string) (time.Time, bool) {
	raw, ok := m[name]
	if !ok {
		return time.Time{}, true
	}
	seconds, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || seconds < 0 || seconds > maxTime {
		return time.Time{}, false
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*1e9)).UTC(), true
}

// decodeBase64URL decodes base64url without padding, in its one canonical form:
// Go's decoder alone skips line breaks.
func decodeBase64URL(s string) ([]byte, bool) {
	for i := range len(s) {
		c := s[i]
		if (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return nil, false
		}
	}
	data, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return data, err == nil
}

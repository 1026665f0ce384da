package habilitation

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The stored forms of a checkbox.
const (
	checked   = "1"
	unchecked = "0"
)

// List reads an answer that is a list; blank or absent is an empty one.
func (d Data) List(key string) []string { return DecodeList(d[key]) }

// Scopes are the scopes asked for, sorted.
func (d Data) Scopes() []string { return d.List(ScopesKey) }

// Modalities are the ways of access asked for, sorted.
func (d Data) Modalities() []string { return d.List(ModalitiesKey) }

// Checked reports whether a checkbox is ticked: "1" or "on" (datapass.md, 2.5).
func (d Data) Checked(key string) bool { return d[key] == checked || d[key] == "on" }

// EncodeList writes a list as DataPass stores it: `["a", "b"]`, sorted and
// without blanks or repetitions (datapass.md, 0).
func EncodeList(values []string) string {
	var b bytes.Buffer
	b.WriteByte('[')
	for i, v := range sortedUnique(values) {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(quoteJSON(v))
	}
	b.WriteByte(']')
	return b.String()
}

// DecodeList reads a stored list. Text that holds no list is one value, as
// DataPass's own filters read it; the result is sorted, unique, never nil.
func DecodeList(text string) []string {
	text = strings.TrimSpace(text)
	if text == "" {
		return []string{}
	}
	var values []string
	if json.Unmarshal([]byte(text), &values) != nil {
		values = []string{text}
	}
	return sortedUnique(values)
}

// quoteJSON is a JSON string that keeps "<", ">" and "&" as they are.
func quoteJSON(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(s) != nil { // a string always encodes
		return `""`
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// listKeys are the answers whose two shapes differ, whatever
// the definition: partners' data is read before its definition is known.
var listKeys = []string{ScopesKey, ModalitiesKey, keyCommunes}

// Typed is the data of a request in a webhook's body (datapass.md, 2.5): the
// fields that the definition has and the request holds; lists as sorted
// arrays, months as an integer, checkboxes as booleans, all else text.
// Documents are not part of it. Values are string, int, bool or []string.
func (d *Definition) Typed(data Data) map[string]any {
	typed := make(map[string]any, len(data))
	for _, f := range d.Fields() {
		value, held := data[f.Key]
		switch {
		case f.Kind == ListField:
			typed[f.Key] = DecodeList(value) // present even when empty: receivers require it
		case !held || f.Kind == DocumentField:
		case f.Kind == MonthsField:
			if value != "" {
				typed[f.Key] = leadingDigits(value)
			}
		case f.Kind == CheckboxField:
			typed[f.Key] = data.Checked(f.Key)
		default:
			typed[f.Key] = value
		}
	}
	return typed
}

// Raw is the data of an habilitation, and of everything in API v1 (datapass.md,
// 2.5): every stored key as text, but no documents. What is null at DataPass
// is absent here.
func (d *Definition) Raw(data Data) map[string]string {
	index := d.fieldIndex()
	raw := make(map[string]string, len(data))
	for key, value := range data {
		if index[key].Kind != DocumentField {
			raw[key] = value
		}
	}
	return raw
}

// JSON is the prefill as API v1 sends it (datapass.md, 3.3): lists are arrays,
// unquoted integers of the file are numbers. Values are string, json.Number or
// []string.
func (p Prefill) JSON() map[string]any {
	out := make(map[string]any, len(p))
	for key, v := range p {
		switch {
		case v.List != nil:
			out[key] = sortedUnique(v.List)
		case v.Number:
			out[key] = json.Number(v.Text)
		default:
			out[key] = v.Text
		}
	}
	return out
}

// ErrNotAnObject: form data is not a JSON object.
var ErrNotAnObject = errors.New("form data is not a JSON object")

// DecodeData reads form data that a partner sent, in either shape (datapass.md,
// 2.5), without knowing its definition: nulls are dropped, a list may be an
// array or a text that holds one. It keeps text as it came. Errors name keys,
// never values.
func DecodeData(object []byte) (Data, error) {
	values, err := decodeObject(object)
	if err != nil {
		return nil, err
	}
	data := make(Data, len(values))
	for key, value := range values {
		text, null, err := decodeAny(value)
		if err != nil {
			return nil, fmt.Errorf("form data, key %q: %w", key, err)
		}
		if null {
			continue
		}
		if slices.Contains(listKeys, key) {
			text = EncodeList(DecodeList(text))
		}
		data[key] = text
	}
	return data, nil
}

func decodeObject(object []byte) (map[string]json.RawMessage, error) {
	var values map[string]json.RawMessage
	if err := json.Unmarshal(object, &values); err != nil {
		return nil, ErrNotAnObject
	}
	return values, nil
}

var errShape = errors.New("neither text, number, boolean, null nor a list of texts")

func decodeAny(value json.RawMessage) (text string, null bool, err error) {
	value = bytes.TrimSpace(value)
	if len(value) == 0 {
		return "", false, errShape
	}
	switch value[0] {
	case 'n':
		return "", true, nil
	case 't':
		return checked, false, nil
	case 'f':
		return unchecked, false, nil
	case '"':
		err = json.Unmarshal(value, &text)
		return text, false, err
	case '[':
		list, ok := decodeTexts(value)
		if !ok {
			return "", false, errShape
		}
		return EncodeList(list), false, nil
	case '{':
		return "", false, errShape
	default:
		return string(value), false, nil
	}
}

// decodeTexts reads an array of texts; nulls in it are blanks.
func decodeTexts(value json.RawMessage) ([]string, bool) {
	var items []*string
	if json.Unmarshal(value, &items) != nil {
		return nil, false
	}
	list := make([]string, 0, len(items))
	for _, item := range items {
		if item != nil {
			list = append(list, *item)
		}
	}
	return list, true
}

// MaxAnswer bounds one answer, in characters: requests are read whole, a thousand
// at once.
const MaxAnswer = 10_000

// ReadAnswers reads the data of a client that creates or changes a request
// (datapass.md, 3.4 and 3.6). Unknown keys come back sorted; the others are
// checked for their type alone: completeness waits for the submission. A blank
// or null answer is the empty text, which Merge takes as an erasure. The error
// is ErrNotAnObject or nil.
func (d *Definition) ReadAnswers(object []byte) (answers Data, unknown []string, faults []FieldError, err error) {
	values, err := decodeObject(object)
	if err != nil {
		return nil, nil, nil, err
	}
	index := d.fieldIndex()
	answers = make(Data, len(values))
	for key, value := range values {
		field, known := index[key]
		switch {
		case key == keyBuildStep: // accepted for compatibility, not an answer
		case !known || field.Prefilled:
			unknown = append(unknown, key)
		default:
			text, problem := readAnswer(field.Kind, bytes.TrimSpace(value))
			if problem == "" && utf8.RuneCountInString(text) > MaxAnswer {
				problem = fmt.Sprintf("%d caractères au plus", MaxAnswer)
			}
			if problem != "" {
				faults = append(faults, fieldError(key, problem))
				continue
			}
			answers[key] = text
		}
	}
	slices.Sort(unknown)
	sortErrors(faults)
	return answers, unknown, faults, nil
}

func readAnswer(kind FieldKind, value json.RawMessage) (text, problem string) {
	text, null, err := decodeAny(value)
	if null {
		return "", ""
	}
	first := value[0]
	isText := first == '"' && err == nil
	switch kind {
	case ListField:
		return readList(first, text, err)
	case DocumentField:
		return readDocuments(value, text, isText)
	case MonthsField:
		return readMonths(text, first, err)
	case CheckboxField, FlagField:
		return readCheck(first, text)
	default:
		if !isText {
			return "", "doit être un texte"
		}
		return text, ""
	}
}

func readList(first byte, text string, err error) (string, string) {
	const problem = "doit être une liste de textes"
	if err != nil || first != '[' && first != '"' {
		return "", problem
	}
	if first == '"' && strings.TrimSpace(text) != "" {
		var list []string
		if json.Unmarshal([]byte(text), &list) != nil {
			return "", problem
		}
	}
	return EncodeList(DecodeList(text)), ""
}

// readDocuments takes a file name or a list of them and joins them in the
// order given, as the history shows them.
func readDocuments(value json.RawMessage, text string, isText bool) (string, string) {
	if isText {
		return text, ""
	}
	list, ok := decodeTexts(value)
	if !ok {
		return "", "doit être un nom de fichier ou une liste de noms de fichiers"
	}
	return strings.Join(list, documentSeparator), ""
}

// maxMonths bounds a retention time: a thousand years.
const maxMonths = 12_000

func readMonths(text string, first byte, err error) (string, string) {
	const problem = "doit être un nombre entier de mois"
	number := first >= '0' && first <= '9'
	if err != nil || !number && first != '"' {
		return "", problem
	}
	text = strings.TrimSpace(text)
	if text == "" {
		return "", ""
	}
	months, err := strconv.ParseUint(text, 10, 16)
	if err != nil || months > maxMonths {
		return "", problem
	}
	return strconv.FormatUint(months, 10), ""
}

func readCheck(first byte, text string) (string, string) {
	if first == 't' || first == 'f' {
		return text, ""
	}
	if first == '"' {
		switch v := normaliseCheck(text); v {
		case "", checked, unchecked:
			return v, ""
		}
	}
	return "", "doit être vrai ou faux"
}

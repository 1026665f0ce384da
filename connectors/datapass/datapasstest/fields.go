package datapasstest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Fields is the form's data as DataPass stores it: a flat map of text or null
// (datapass.md, section 0). An array is the text `["a", "b"]`, a checkbox "1"
// or "0", a number its digits.
type Fields map[string]*string

// Text is a stored value.
func Text(value string) *string { return &value }

// List is a stored array: sorted, without repeats, written `["a", "b"]`.
func List(values ...string) *string {
	values = slices.Compact(slices.Sorted(slices.Values(values)))
	quoted := make([]string, len(values))
	for i, value := range values {
		var text bytes.Buffer
		encoder := json.NewEncoder(&text)
		encoder.SetEscapeHTML(false)
		// A string always encodes.
		_ = encoder.Encode(value)
		quoted[i] = strings.TrimSuffix(text.String(), "\n")
	}
	return Text("[" + strings.Join(quoted, ", ") + "]")
}

// With gives a copy with the other fields over these; a nil value is a null.
func (f Fields) With(other Fields) Fields {
	out := maps.Clone(f)
	if out == nil {
		out = Fields{}
	}
	maps.Copy(out, other)
	return out
}

// Without gives a copy without the fields whose key has one of the prefixes.
func (f Fields) Without(prefixes ...string) Fields {
	out := maps.Clone(f)
	maps.DeleteFunc(out, func(key string, _ *string) bool {
		return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(key, p) })
	})
	return out
}

// valid says which array field does not hold an array.
func (f Fields) valid() error {
	for _, key := range arrayFields {
		if text := f[key]; text != nil {
			if _, err := parseList(*text); err != nil {
				return fmt.Errorf("datapasstest: field %s: %w", key, err)
			}
		}
	}
	return nil
}

func parseList(text string) ([]string, error) {
	list := []string{}
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, fmt.Errorf("%q is not a stored array: %w", text, err)
	}
	return list, nil
}

// The fields that leave typed in the data of a request (datapass.md, 2.5).
var (
	arrayFields    = []string{"scopes", "modalities", "manual_code_insee_communes"}
	checkboxFields = []string{
		"dpd_homologation_checkbox", "alternative_connexion", "fc_alternative_connexion",
		"authorize_service_providers_to_connect", "responsable_traitement_informed",
	}
)

const durationField = "duree_conservation_donnees_caractere_personnel"

// typed is the data of a request in a webhook: typed, nulls dropped, empty text kept.
func (f Fields) typed() (object, error) {
	out := make(object, len(f))
	for key, value := range f {
		switch {
		case value == nil:
		case slices.Contains(arrayFields, key):
			list, err := parseList(*value)
			if err != nil {
				return nil, err
			}
			slices.Sort(list)
			out[key] = list
		case slices.Contains(checkboxFields, key):
			out[key] = *value == "1" || *value == "on"
		case key == durationField:
			out[key] = leadingInt(*value)
		default:
			out[key] = *value
		}
	}
	return out, nil
}

// raw is the data of an habilitation in a webhook, and every data of API v1: as
// stored, nulls kept.
func (f Fields) raw() object {
	out := make(object, len(f))
	for key, value := range f {
		out[key] = value
	}
	return out
}

// leadingInt reads the digits at the start, as Ruby's to_i does.
func leadingInt(text string) int64 {
	var n int64
	for _, c := range strings.TrimSpace(text) {
		if c < '0' || c > '9' || n > 1<<40 {
			break
		}
		n = n*10 + int64(c-'0')
	}
	return n
}

package datapasstest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
)

// object is a JSON object before it is written.
type object map[string]any

// appendJSONB writes v as DataPass sends it: what Postgres gives back for a
// jsonb column (shorter keys first, then by bytes), compact, with <, > and &
// escaped (datapass.md, 2.3). A json.RawMessage is copied: it must have been
// written by this function.
func appendJSONB(dst []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...), nil
	case bool:
		return strconv.AppendBool(dst, v), nil
	case int:
		return strconv.AppendInt(dst, int64(v), 10), nil
	case int64:
		return strconv.AppendInt(dst, v, 10), nil
	case json.Number:
		return append(dst, v...), nil
	case json.RawMessage:
		return append(dst, v...), nil
	case string:
		text, err := json.Marshal(v) // escapes <, > and & as \u003c, \u003e, \u0026
		return append(dst, text...), err
	case *string:
		if v == nil {
			return append(dst, "null"...), nil
		}
		return appendJSONB(dst, *v)
	case []string:
		return appendList(dst, v)
	case []object:
		return appendList(dst, v)
	case []any:
		return appendList(dst, v)
	case map[string]any:
		return appendObject(dst, v)
	case object:
		return appendObject(dst, v)
	}
	return dst, fmt.Errorf("datapasstest: %T has no JSON form here", v)
}

func appendList[T any](dst []byte, list []T) ([]byte, error) {
	dst = append(dst, '[')
	var err error
	for i, item := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = appendJSONB(dst, item); err != nil {
			return dst, err
		}
	}
	return append(dst, ']'), nil
}

func appendObject(dst []byte, o map[string]any) ([]byte, error) {
	keys := make([]string, 0, len(o))
	for key := range o {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, compareJSONBKeys)
	dst = append(dst, '{')
	var err error
	for i, key := range keys {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = appendJSONB(dst, key); err != nil {
			return dst, err
		}
		dst = append(dst, ':')
		if dst, err = appendJSONB(dst, o[key]); err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}

// compareJSONBKeys is the order of Postgres: length in bytes, then bytes.
func compareJSONBKeys(a, b string) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
}

// toJSONB rewrites a JSON text in DataPass's form.
func toJSONB(text []byte) (json.RawMessage, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, fmt.Errorf("text after the JSON value")
	}
	return appendJSONB(nil, v)
}

// Package eventtypetest holds events against the catalogue: those of a test's
// database, each in both formats.
//
// It is for tests, and imports internal/eventtype and jsonschema.
package eventtypetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/passerelle-hub/passerelle/internal/eventtype"
)

var (
	mu       sync.Mutex
	compiled = map[string]*jsonschema.Schema{}
)

// Check says what is wrong with a body by its type's schema. Beyond what
// receivers are promised, no key may be there that the schema does not name.
func Check(t eventtype.Type, f eventtype.Format, body []byte) error {
	schema, err := compile(t, f)
	if err != nil {
		return err
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

func compile(t eventtype.Type, f eventtype.Format) (*jsonschema.Schema, error) {
	mu.Lock()
	defer mu.Unlock()
	at := fmt.Sprintf("https://hub.example/events/%s/%s", t.Name, f)
	if s := compiled[at]; s != nil {
		return s, nil
	}
	var document any
	if err := json.Unmarshal(t.Schema(f), &document); err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource(at, closed(document)); err != nil {
		return nil, err
	}
	s, err := c.Compile(at)
	if err == nil {
		compiled[at] = s
	}
	return s, err
}

// closed admits no keys beside those named.
func closed(schema any) any {
	switch v := schema.(type) {
	case map[string]any:
		if _, open := v["additionalProperties"]; !open && v["properties"] != nil {
			v["additionalProperties"] = false
		}
		for key, inner := range v {
			v[key] = closed(inner)
		}
	case []any:
		for i, inner := range v {
			v[i] = closed(inner)
		}
	}
	return schema
}

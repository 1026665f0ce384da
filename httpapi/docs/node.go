package docs

import (
	"bytes"
	"encoding/json"
	"iter"
	"strings"

	"go.yaml.in/yaml/v3"
)

// node is a place in a YAML file that follows $ref by itself and keeps the
// order of keys. The zero Node stands for what is not there.
type node struct {
	*yaml.Node
	top *yaml.Node
}

func (n node) exists() bool { return n.Node != nil }

func (n node) root() node { return node{n.top, n.top} }

// followed is the node itself, or what its $ref names.
func (n node) followed() node {
	if ref := n.ref(); ref != "" {
		return n.root().at(strings.Split(strings.TrimPrefix(ref, "#/"), "/")...).followed()
	}
	return n
}

func (n node) ref() string {
	if n.Node == nil || n.Kind != yaml.MappingNode || len(n.Content) == 0 || n.Content[0].Value != "$ref" {
		return ""
	}
	return n.Content[1].Value
}

// name is that of the schema which a $ref names, also behind an allOf of one.
func (n node) name() string {
	if name, ok := strings.CutPrefix(n.ref(), "#/components/schemas/"); ok {
		return name
	}
	if n.ref() == "" {
		for part := range n.at("allOf").items() {
			return part.name()
		}
	}
	return ""
}

func (n node) at(keys ...string) node {
	for _, key := range keys {
		found := node{nil, n.top}
		for k, v := range n.pairs() {
			if k == key {
				found = v
			}
		}
		n = found
	}
	return n
}

func (n node) text(keys ...string) string {
	if v := n.at(keys...); v.exists() && v.Kind == yaml.ScalarNode {
		return v.Value
	}
	return ""
}

func (n node) pairs() iter.Seq2[string, node] {
	return func(yield func(string, node) bool) {
		if !n.exists() {
			return
		}
		n := n.followed()
		if !n.exists() || n.Kind != yaml.MappingNode {
			return
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if !yield(n.Content[i].Value, node{n.Content[i+1], n.top}) {
				return
			}
		}
	}
}

func (n node) items() iter.Seq[node] {
	return func(yield func(node) bool) {
		if !n.exists() || n.Kind != yaml.SequenceNode {
			return
		}
		for _, item := range n.Content {
			if !yield(node{item, n.top}) {
				return
			}
		}
	}
}

func (n node) words() []string {
	var list []string
	for item := range n.items() {
		list = append(list, item.Value)
	}
	return list
}

// ordered is a node as JSON, its keys in the file's order.
type ordered struct{ node }

// MarshalJSON writes the value.
func (o ordered) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	switch o.Kind {
	case yaml.MappingNode:
		out.WriteByte('{')
		for key, value := range o.pairs() {
			if out.Len() > 1 {
				out.WriteByte(',')
			}
			if err := write(&out, key); err != nil {
				return nil, err
			}
			out.WriteByte(':')
			if err := write(&out, ordered{value}); err != nil {
				return nil, err
			}
		}
		out.WriteByte('}')
	case yaml.SequenceNode:
		out.WriteByte('[')
		for item := range o.items() {
			if out.Len() > 1 {
				out.WriteByte(',')
			}
			if err := write(&out, ordered{item}); err != nil {
				return nil, err
			}
		}
		out.WriteByte(']')
	default:
		var scalar any
		if err := o.Decode(&scalar); err != nil {
			return nil, err
		}
		return json.Marshal(scalar)
	}
	return out.Bytes(), nil
}

func write(out *bytes.Buffer, v any) error {
	text, err := json.Marshal(v)
	out.Write(text)
	return err
}

// members is an object whose keys keep their order.
type members []member

type member struct {
	key   string
	value any
}

// MarshalJSON writes the object.
func (m members) MarshalJSON() ([]byte, error) {
	out := bytes.NewBufferString("{")
	for i, one := range m {
		if i > 0 {
			out.WriteByte(',')
		}
		if err := write(out, one.key); err != nil {
			return nil, err
		}
		out.WriteByte(':')
		if err := write(out, one.value); err != nil {
			return nil, err
		}
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

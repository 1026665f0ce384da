package qfform

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"strconv"
	"strings"
)

// object keeps its members in order, so that JSON and XML tell the same in the
// same order. A value is nil, a string, an int, an object or an array.
type (
	object []member
	array  []object
	member struct {
		key   string
		value any
	}
)

// MarshalJSON writes the members in their order.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		for _, part := range []any{m.key, m.value} {
			text, err := json.Marshal(part)
			if err != nil {
				return nil, err
			}
			b.Write(text)
			b.WriteByte(':')
		}
		b.Truncate(b.Len() - 1)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// xml writes the form that Rails gives a hash (qf-form.md, 3): root <hash>, "_" of
// keys as "-", type="array" and type="integer", nil="true".
func (o object) xml() []byte {
	var b bytes.Buffer
	b.WriteString("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n")
	writeElement(&b, "", "hash", o)
	return b.Bytes()
}

func writeElement(b *bytes.Buffer, indent, name string, value any) {
	b.WriteString(indent + "<" + name)
	switch v := value.(type) {
	case nil:
		b.WriteString(" nil=\"true\"/>\n")
	case int:
		b.WriteString(" type=\"integer\">" + strconv.Itoa(v) + "</" + name + ">\n")
	case string:
		b.WriteByte('>')
		_ = xml.EscapeText(b, []byte(v)) // a buffer takes everything
		b.WriteString("</" + name + ">\n")
	case array:
		if len(v) == 0 {
			b.WriteString(" type=\"array\"/>\n")
			return
		}
		b.WriteString(" type=\"array\">\n")
		for _, item := range v {
			writeElement(b, indent+"  ", strings.TrimSuffix(name, "s"), item)
		}
		b.WriteString(indent + "</" + name + ">\n")
	case object:
		b.WriteString(">\n")
		for _, m := range v {
			writeElement(b, indent+"  ", strings.ReplaceAll(m.key, "_", "-"), m.value)
		}
		b.WriteString(indent + "</" + name + ">\n")
	}
}

package config

import (
	"bytes"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Print writes the settings in force as commented YAML, each with the place it
// came from. Secrets are hidden, and so are the settings of a connector that
// was not decoded: what is secret in them is not known.
func (c *Config) Print(w io.Writer) error {
	p := &printer{out: &bytes.Buffer{}, texts: explanations(), trail: c.trail}
	p.out.WriteString("# Settings in force. Secrets are hidden.\n")
	p.group(reflect.ValueOf(c).Elem(), "", "")
	_, err := w.Write(p.out.Bytes())
	return err
}

type printer struct {
	out   *bytes.Buffer
	texts map[string]string
	trail trail
}

var indices = regexp.MustCompile(`\[\d+\]`)

// group writes the settings of a struct, each line after indent.
func (p *printer) group(v reflect.Value, key, indent string) {
	for _, f := range fields(v) {
		at := join(key, f.name)
		if key == "" {
			p.out.WriteByte('\n')
		}
		for line := range strings.Lines(p.texts[indices.ReplaceAllString(at, "[]")]) {
			fmt.Fprintf(p.out, "%s%s\n", indent, strings.Replace(strings.TrimRight(line, "\n"), exampleMark, "", 1))
		}
		if c, ok := v.Interface().(Connector); ok && f.value.Type() == nodeType && c.decoded != nil {
			own := *p
			own.trail = c.trail
			own.setting(f.name, reflect.ValueOf(c.decoded), at, indent)
			continue
		}
		p.setting(f.name, f.value, at, indent)
	}
}

// setting writes one key and its value.
func (p *printer) setting(name string, v reflect.Value, key, indent string) {
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	nested := indent + "  "
	switch {
	case v.Type() == nodeType:
		fmt.Fprintf(p.out, "%s%s: {} # %s, hidden: not decoded\n", indent, name, p.origin(key))
	case isGroup(v.Type()):
		fmt.Fprintf(p.out, "%s%s:\n", indent, leaf(reflect.ValueOf(name)))
		p.group(v, key, nested)
	case v.Kind() == reflect.Slice && isGroup(v.Type().Elem()) && v.Len() > 0:
		fmt.Fprintf(p.out, "%s%s:\n", indent, leaf(reflect.ValueOf(name)))
		for i := range v.Len() {
			fmt.Fprintf(p.out, "%s-\n", nested)
			p.group(v.Index(i), index(key, i), nested+"  ")
		}
	case v.Kind() == reflect.Map && v.Type().Key().Kind() == reflect.String && v.Len() > 0:
		fmt.Fprintf(p.out, "%s%s:\n", indent, leaf(reflect.ValueOf(name)))
		names := slices.SortedFunc(slices.Values(v.MapKeys()), func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		for _, k := range names {
			p.setting(k.String(), v.MapIndex(k), join(key, k.String()), nested)
		}
	default:
		fmt.Fprintf(p.out, "%s%s: %s # %s\n", indent, leaf(reflect.ValueOf(name)), leaf(v), p.origin(key))
	}
}

// origin tells where a value came from. A map given by one variable is the
// place of all its entries.
func (p *printer) origin(key string) origin {
	if o, ok := p.trail[key]; ok {
		return o
	}
	if cut := strings.LastIndexByte(key, '.'); cut > 0 && p.trail[key[:cut]].env != "" {
		return p.trail[key[:cut]]
	}
	return origin{}
}

// isGroup reports whether values of type t are written as settings of their own.
func isGroup(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && !isText(t) && t != nodeType
}

// leaf writes a value on one line.
func leaf(v reflect.Value) string {
	var n yaml.Node
	if err := n.Encode(v.Interface()); err != nil {
		return "null"
	}
	flow(&n)
	if v.Type() == durationType {
		n.Value = tidy(n.Value)
	}
	if v.Type() == reflect.TypeFor[[]time.Duration]() {
		for _, item := range n.Content {
			item.Value = tidy(item.Value)
		}
	}
	text, err := yaml.Marshal(&n)
	if err != nil {
		return "null"
	}
	return strings.TrimSpace(string(text))
}

// flow puts a node on one line.
func flow(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode {
		if strings.ContainsAny(n.Value, "\n\r") {
			n.Style = yaml.DoubleQuotedStyle
		}
		return
	}
	n.Style = yaml.FlowStyle
	for _, c := range n.Content {
		flow(c)
	}
}

// tidy drops the zeros that time.Duration writes: 168h0m0s is 168h.
func tidy(duration string) string {
	if s, ok := strings.CutSuffix(duration, "m0s"); ok {
		duration = s + "m"
	}
	if s, ok := strings.CutSuffix(duration, "h0m"); ok {
		duration = s + "h"
	}
	return duration
}

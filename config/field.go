package config

import (
	"encoding"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
)

var (
	secretType      = reflect.TypeFor[connectors.Secret]()
	secretsType     = reflect.TypeFor[[]connectors.Secret]()
	durationType    = reflect.TypeFor[time.Duration]()
	prefixType      = reflect.TypeFor[netip.Prefix]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// field is one setting of a struct.
type field struct {
	name  string // in YAML
	value reflect.Value
	tag   reflect.StructTag
}

// secret reports whether the setting may come from a file beside it.
func (f field) secret() bool {
	return f.value.Type() == secretType || f.value.Type() == secretsType
}

// fields lists the settings of a struct, those of inlined structs included.
func fields(v reflect.Value) []field {
	var list []field
	for i := range v.NumField() {
		sf := v.Type().Field(i)
		if !sf.IsExported() {
			continue
		}
		name, options, _ := strings.Cut(sf.Tag.Get("yaml"), ",")
		switch {
		case name == "-":
		case strings.Contains(options, "inline") && sf.Type.Kind() == reflect.Struct:
			list = append(list, fields(v.Field(i))...)
		default:
			if name == "" {
				name = strings.ToLower(sf.Name)
			}
			list = append(list, field{name: name, value: v.Field(i), tag: sf.Tag})
		}
	}
	return list
}

// isText reports whether a value of type t is read from one text.
func isText(t reflect.Type) bool { return reflect.PointerTo(t).Implements(textUnmarshaler) }

// setText reads a value that isText. What it quotes is never a secret:
// a Secret takes any text.
func setText(v reflect.Value, text string) error {
	reads, ok := v.Addr().Interface().(encoding.TextUnmarshaler)
	if !ok {
		return fmt.Errorf("a %s cannot be read from a text", v.Type())
	}
	err := reads.UnmarshalText([]byte(text))
	if err != nil && v.Type() == prefixType {
		return notA(v.Type(), text)
	}
	return err
}

// notA says that text is not a value of type t.
func notA(t reflect.Type, text string) error {
	return fmt.Errorf("%q is not %s", text, wanted(t))
}

// wanted describes a type for people.
func wanted(t reflect.Type) string {
	switch {
	case t == secretType:
		return "a text"
	case t == durationType:
		return "a duration such as 45s, 5m or 2h"
	case t == prefixType:
		return "a range of addresses such as 10.0.0.0/8"
	case isText(t):
		return "a single value"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return "a whole number in range"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a positive whole number in range"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Map, reflect.Struct:
		return "a group of settings"
	default:
		return "a text"
	}
}

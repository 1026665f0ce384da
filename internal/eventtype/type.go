package eventtype

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"slices"
)

//go:embed schema/*.json
var files embed.FS

// Type is one type of event.
type Type struct {
	Name        string
	Title       string // in French, for people
	Description string
	DataPass    bool // one of DataPass's own: its body in that format shows the whole request
	Unasked     bool // sent without a subscription: it cannot be chosen

	schema string // file of its data's schema
}

// All is the word that subscribes to every type.
const All = "*"

// List gives the catalogue in its order.
func List() []Type { return slices.Clone(list) }

// Lookup finds a type by name.
func Lookup(name string) (Type, bool) {
	i := slices.IndexFunc(list, func(t Type) bool { return t.Name == name })
	if i < 0 {
		return Type{}, false
	}
	return list[i], true
}

// Known reports whether the hub may publish a type.
func Known(name string) bool {
	_, ok := Lookup(name)
	return ok
}

// Subscribable reports whether an endpoint may choose a type: any but those
// that are sent without being asked for, or "*" for all.
func Subscribable(name string) bool {
	t, ok := Lookup(name)
	return name == All || ok && !t.Unasked
}

// Format of a body.
type Format string

// The two formats.
const (
	Standard       Format = "standard"
	DataPassFormat Format = "datapass"
)

// file is what schema/<name>.json holds.
type file struct {
	Schema  json.RawMessage `json:"schema"`  // of data
	Example json.RawMessage `json:"example"` // of data
}

func read(name string) file {
	raw, err := files.ReadFile("schema/" + name + ".json")
	var f file
	if err == nil {
		err = json.Unmarshal(raw, &f)
	}
	if err != nil {
		panic(fmt.Sprintf("eventtype: schema/%s.json: %v", name, err)) // the folder is embedded, and tested
	}
	return f
}

// Schema gives the JSON Schema (2020-12) of a whole body in a format.
func (t Type) Schema(f Format) json.RawMessage {
	data := read(t.schema).Schema
	name := quoted(t.Name)
	var properties, required string
	switch {
	case f == DataPassFormat && t.Name == Test:
		properties = `"test":{"const":true},"timestamp":{"type":"string","format":"date-time"}`
		required = `["test","timestamp"]`
	case f == DataPassFormat:
		if t.DataPass {
			data = read("datapass_request").Schema
		}
		properties = `"event":{"const":` + name + `},"fired_at":{"type":"integer","description":"Secondes depuis 1970."},` +
			`"model_type":{"type":"string","pattern":"^authorization_request/"},"model_id":{"type":"integer"},"data":` + string(data)
		required = `["event","fired_at","model_type","model_id","data"]`
		if t.DataPass {
			properties += `,"authorization_id":{"type":"integer","description":"L’habilitation concernée."}`
		}
	default:
		properties = `"type":{"const":` + name + `},"timestamp":{"type":"string","format":"date-time"},"data":` + string(data)
		required = `["type","timestamp","data"]`
	}
	return indented(`{"$schema":"https://json-schema.org/draft/2020-12/schema","title":` + quoted(t.Title) + `,"description":` + quoted(t.Description) +
		`,"type":"object","required":` + required + `,"properties":{` + properties + `}}`)
}

// Example gives a whole body in a format. People and places in it are invented.
func (t Type) Example(f Format) json.RawMessage {
	const at, unix = `"2026-06-22T13:47:02Z"`, `1782136022`
	data := read(t.schema).Example
	switch {
	case f == DataPassFormat && t.Name == Test:
		return indented(`{"test":true,"timestamp":"2026-08-06T10:30:00+02:00"}`)
	case f == DataPassFormat && t.DataPass:
		data = read("datapass_request").Example
		return indented(`{"event":` + quoted(t.Name) + `,"fired_at":` + unix + `,"model_type":"authorization_request/hubee_dila","model_id":50211,"data":` + string(data) + `}`)
	case f == DataPassFormat:
		return indented(`{"event":` + quoted(t.Name) + `,"fired_at":` + unix + `,"model_type":"authorization_request/api_entreprise","model_id":0,"data":` + string(data) + `}`)
	}
	return indented(`{"type":` + quoted(t.Name) + `,"timestamp":` + at + `,"data":` + string(data) + `}`)
}

func quoted(s string) string {
	raw, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string
	}
	return string(raw)
}

func indented(s string) json.RawMessage {
	var out bytes.Buffer
	if err := json.Indent(&out, []byte(s), "", "  "); err != nil {
		panic(fmt.Sprintf("eventtype: %v in %s", err, s)) // made of embedded files, and tested
	}
	return out.Bytes()
}

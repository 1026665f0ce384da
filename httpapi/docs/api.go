package docs

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// API is openapi.yaml, as its page shows it.
type API struct {
	Intro   []Paragraph
	Tags    []Tag
	Schemas []Schema
}

// Tag is a part of the page.
type Tag struct {
	ID, Name, Description string
	Operations            []Operation
}

// Operation is one route.
type Operation struct {
	ID, Method, Path, Summary string
	Description               []Paragraph
	Who                       []string // how to call: identification, roles, scopes
	Parameters                []Field
	Body                      *Content
	BodyRequired              bool
	Answers                   []Answer
}

// Answer is what one status means.
type Answer struct {
	Status      string
	Description []Span
	Headers     []Field
	Content     *Content
}

// Content is a body: its media type, a schema by name or its fields, an example.
type Content struct {
	Media, Schema, Type string
	Fields              []Field
	Example             string
}

// Schema is a named shape.
type Schema struct {
	Name, Type  string
	Description []Span
	Fields      []Field
	Example     string
}

// Field is a key of a body, a parameter or a header.
type Field struct {
	Name, In, Type, Schema string
	Required               bool
	Description            []Span
}

// Paragraph and Span are what the file's texts use of Markdown.
type Paragraph []Span

// Span is a piece of text: plain, code or strong.
type Span struct {
	Text         string
	Code, Strong bool
}

// roleNames says in French who the columns of httpapi/hub's table are.
var roleNames = map[string]string{
	"stranger": "toute personne", "contact": "une personne citée comme contact", "member": "un membre de l’organisation",
	"verified": "un membre vérifié de l’organisation", "applicant": "le demandeur", "reporter": "un rapporteur de la définition",
	"instructor": "un instructeur", "manager": "un responsable de la définition", "developer": "un développeur de la définition",
	"application": "une application avec tous les droits", "reader": "une application en lecture", "admin": "un administrateur",
	"editor": "un éditeur de logiciels",
}

var schemeNames = map[string]string{
	"bearer": "Jeton (Authorization: Bearer)", "basic": "Identifiant et secret de l’application (HTTP Basic)",
	"signature": "Signature du corps (X-Hub-Signature-256)", "bounce_signature": "Signature du rapport (X-Bounce-Signature)",
}

var methods = []string{"get", "post", "put", "patch", "delete"}

// ReadAPI reads openapi.yaml.
func ReadAPI(file []byte) (*API, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(file, &root); err != nil {
		return nil, err
	}
	if len(root.Content) != 1 {
		return nil, fmt.Errorf("openapi.yaml is empty")
	}
	doc := node{root.Content[0], root.Content[0]}
	api := &API{Intro: paragraphs(doc.text("info", "description"))}
	for tag := range doc.at("tags").items() {
		t := Tag{ID: fmt.Sprintf("partie-%d", len(api.Tags)+1), Name: tag.text("name"), Description: tag.text("description")}
		for path, item := range doc.at("paths").pairs() {
			for method, op := range item.pairs() {
				if slices.Contains(methods, method) && slices.Contains(op.at("tags").words(), t.Name) {
					t.Operations = append(t.Operations, operation(strings.ToUpper(method), path, item, op))
				}
			}
		}
		api.Tags = append(api.Tags, t)
	}
	for name, schema := range doc.at("components", "schemas").pairs() {
		api.Schemas = append(api.Schemas, Schema{
			Name: name, Description: spans(schema.text("description")), Type: typeOf(schema), Fields: fields("", schema), Example: indented(example(schema)),
		})
	}
	return api, nil
}

func operation(method, path string, item, op node) Operation {
	o := Operation{
		ID: op.text("operationId"), Method: method, Path: path, Summary: op.text("summary"),
		Description: paragraphs(op.text("description")), Who: who(op),
	}
	for _, list := range []node{item.at("parameters"), op.at("parameters")} {
		for p := range list.items() {
			o.Parameters = append(o.Parameters, parameter(p.text("name"), p))
		}
	}
	if body := op.at("requestBody"); body.exists() {
		o.Body, o.BodyRequired = content(body), body.text("required") == "true"
	}
	for status, answer := range op.at("responses").pairs() {
		a := Answer{Status: status, Description: spans(answer.text("description")), Content: content(answer)}
		for name, header := range answer.at("headers").pairs() {
			a.Headers = append(a.Headers, parameter(name, header))
		}
		o.Answers = append(o.Answers, a)
	}
	return o
}

// who says how to call: identification, then roles or scopes.
func who(op node) []string {
	security := op.at("security")
	if !security.exists() {
		security = op.root().at("security")
	}
	var lines, schemes []string
	for alternative := range security.items() {
		for name := range alternative.pairs() {
			schemes = append(schemes, schemeNames[name])
		}
	}
	if len(schemes) == 0 {
		return []string{"Sans identification."}
	}
	lines = append(lines, strings.Join(schemes, ", ou ")+".")
	if roles := op.at("x-roles"); roles.exists() {
		var names []string
		for _, role := range roles.words() {
			names = append(names, roleNames[role])
		}
		lines = append(lines, "Par "+strings.Join(names, ", ")+".")
	}
	if scopes := op.at("x-scopes").words(); len(scopes) > 0 {
		lines = append(lines, "Droit de l’application : "+strings.Join(scopes, ", ")+".")
	}
	return lines
}

func parameter(name string, p node) Field {
	schema := p.at("schema")
	return Field{
		Name: name, In: p.text("in"), Required: p.text("required") == "true", Type: typeOf(schema), Schema: schema.name(),
		Description: append(spans(p.text("description")), bounds(schema)...),
	}
}

// content gives the one body of a request or an answer, nil for none.
func content(holder node) *Content {
	for media, c := range holder.at("content").pairs() {
		schema := c.at("schema")
		body := &Content{Media: media, Schema: schema.name(), Type: typeOf(schema), Example: indented(exampleOf(media, schema))}
		if body.Schema == "" {
			body.Fields = fields("", schema)
		}
		return body
	}
	return nil
}

func exampleOf(media string, schema node) (any, bool) {
	if strings.HasSuffix(media, "json") || strings.Contains(media, "form") {
		return example(schema)
	}
	return nil, false
}

// fields lists the keys of an object; those of an object in it follow as "a.b",
// of a list as "a[].b". A named schema in it is linked, not unfolded.
func fields(prefix string, schema node) []Field {
	required := schema.at("required").words()
	var list []Field
	for name, s := range schema.at("properties").pairs() {
		f := Field{
			Name: prefix + name, Required: slices.Contains(required, name), Type: typeOf(s), Schema: s.name(),
			Description: append(spans(s.text("description")), bounds(s)...),
		}
		if f.Schema == "" {
			f.Schema = s.at("items").name()
		}
		list = append(list, f)
		if s.name() == "" && f.Schema == "" {
			list = append(list, fields(f.Name+".", s)...)
			list = append(list, fields(f.Name+"[].", s.at("items"))...)
		}
	}
	return list
}

var typeNames = map[string]string{"object": "objet", "string": "texte", "integer": "entier", "boolean": "vrai ou faux", "array": "liste", "number": "nombre"}

func typeOf(s node) string {
	kind := typeNames[s.text("type")]
	if all := s.at("allOf"); all.exists() {
		for part := range all.items() {
			kind = typeOf(part)
		}
	}
	if one := s.at("oneOf"); one.exists() {
		var kinds []string
		for part := range one.items() {
			kinds = append(kinds, typeOf(part))
		}
		kind = strings.Join(kinds, " ou ")
	}
	switch s.text("format") {
	case "date-time":
		kind = "date et heure (RFC 3339)"
	case "date":
		kind = "date"
	case "uuid":
		kind = "UUID"
	case "binary":
		kind = "octets"
	}
	if items := s.at("items"); items.exists() && typeOf(items) != "" {
		kind = "liste : " + typeOf(items)
	}
	if s.text("nullable") == "true" {
		kind += ", ou nul"
	}
	return kind
}

// bounds says what a value may be, beside its type.
func bounds(s node) []Span {
	var b []Span
	if values := s.at("enum").words(); len(values) > 0 {
		b = append(b, Span{Text: " Une de : "})
		for i, v := range values {
			if i > 0 {
				b = append(b, Span{Text: ", "})
			}
			b = append(b, Span{Text: v, Code: true})
		}
		b = append(b, Span{Text: "."})
	}
	for _, rule := range []struct{ key, words string }{
		{"minimum", " Au moins %s."},
		{"maximum", " Au plus %s."},
		{"minLength", " Au moins %s caractère(s)."},
		{"maxLength", " Au plus %s caractères."},
		{"default", " Par défaut : %s."},
	} {
		if v := s.at(rule.key); v.exists() {
			b = append(b, Span{Text: fmt.Sprintf(rule.words, v.Value)})
		}
	}
	return b
}

// example gives a schema's own, or one made of those of its parts; false when
// a part has none.
func example(s node) (any, bool) {
	if own := s.at("example"); own.exists() {
		return ordered{own}, true
	}
	for part := range s.at("allOf").items() {
		return example(part)
	}
	if items := s.at("items"); items.exists() {
		one, ok := example(items)
		return []any{one}, ok
	}
	switch {
	case s.text("nullable") == "true":
		return nil, true
	case s.text("type") == "boolean":
		return false, true
	}
	whole := members{}
	for name, property := range s.at("properties").pairs() {
		value, ok := example(property)
		if !ok {
			return nil, false
		}
		whole = append(whole, member{name, value})
	}
	return whole, len(whole) > 0
}

func indented(value any, ok bool) string {
	if !ok {
		return ""
	}
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return ""
	}
	return string(text)
}

// paragraphs splits a text at its empty lines.
func paragraphs(text string) []Paragraph {
	var list []Paragraph
	for p := range strings.SplitSeq(text, "\n\n") {
		if p = strings.TrimSpace(p); p != "" {
			list = append(list, spans(p))
		}
	}
	return list
}

// spans reads `code` and **strong**.
func spans(text string) []Span {
	var list []Span
	for i, part := range strings.Split(strings.TrimSpace(text), "`") {
		if i%2 == 1 {
			list = append(list, Span{Text: part, Code: true})
			continue
		}
		for j, piece := range strings.Split(part, "**") {
			if piece != "" {
				list = append(list, Span{Text: piece, Strong: j%2 == 1})
			}
		}
	}
	return list
}

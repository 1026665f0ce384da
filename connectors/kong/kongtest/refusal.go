package kongtest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// refusal is an answer other than success. Those of the database layer have a
// code and a name, the others a message only (api-managers.md, 3.2).
type refusal struct {
	status  int
	code    int
	name    string
	message string
	fields  map[string]any
	options map[string]any // takes the place of fields for a faulty option
	empty   bool           // no body at all
}

func (r *refusal) Error() string { return fmt.Sprintf("%d %s", r.status, r.message) }

// wireRefusal is a refusal's body.
type wireRefusal struct {
	Code    int            `json:"code,omitempty"`
	Name    string         `json:"name,omitempty"`
	Message string         `json:"message"`
	Fields  map[string]any `json:"fields,omitempty"`
	Options map[string]any `json:"options,omitempty"`
}

func (r *refusal) body() any {
	if r.empty {
		return nil
	}
	return wireRefusal{Code: r.code, Name: r.name, Message: r.message, Fields: r.fields, Options: r.options}
}

// plain is a refusal with a message alone.
func plain(status int, message string) *refusal { return &refusal{status: status, message: message} }

// noSuchObject is the 404 of an object that the path names.
func noSuchObject() *refusal { return plain(http.StatusNotFound, "Not found") }

// unexpected is what Kong says of any fault of its own, the database's included.
func unexpected() *refusal {
	return plain(http.StatusInternalServerError, "An unexpected error occurred")
}

func invalidPrimaryKey() *refusal {
	fields := map[string]any{"id": "expected a valid UUID"}
	return &refusal{
		status: http.StatusBadRequest, code: 1, name: "invalid primary key",
		message: "invalid primary key: '" + pretty(fields) + "'", fields: fields,
	}
}

// violations are the faults of one entity: those of the whole, then by field.
type violations struct {
	entity []string
	fields map[string]any // a message, or a list of messages by element, or a map
}

func (v *violations) add(field string, fault any) {
	if v.fields == nil {
		v.fields = map[string]any{}
	}
	v.fields[field] = fault
}

func (v *violations) err() error {
	if len(v.entity)+len(v.fields) == 0 {
		return nil
	}
	messages := slices.Clone(v.entity)
	fields := map[string]any{}
	if len(v.entity) > 0 {
		fields["@entity"] = v.entity
	}
	for _, name := range sortedKeys(v.fields) {
		fault := v.fields[name]
		fields[name] = fault
		if list, ok := fault.([]any); ok {
			for i, message := range list {
				if message != nil {
					messages = append(messages, fmt.Sprintf("%s.%d: %v", name, i+1, message))
				}
			}
			continue
		}
		messages = append(messages, fmt.Sprintf("%s: %v", name, fault))
	}
	message := fmt.Sprintf("%d schema violations (%s)", len(messages), strings.Join(messages, "; "))
	if len(messages) == 1 {
		message = "schema violation (" + messages[0] + ")"
	}
	return &refusal{status: http.StatusBadRequest, code: 2, name: "schema violation", message: message, fields: fields}
}

func primaryKeyViolation(id string) *refusal {
	fields := map[string]any{"id": id}
	return &refusal{
		status: http.StatusBadRequest, code: 3, name: "primary key violation",
		message: "primary key violation on key '" + pretty(fields) + "'", fields: fields,
	}
}

func noSuchConsumer(id string) *refusal {
	key := map[string]any{"id": id}
	return &refusal{
		status: http.StatusBadRequest, code: 4, name: "foreign key violation",
		message: "the foreign key '" + pretty(key) + "' does not reference an existing 'consumers' entity.",
		fields:  map[string]any{"consumer": key},
	}
}

func uniqueViolation(key map[string]any) *refusal {
	return &refusal{
		status: http.StatusConflict, code: 5, name: "unique constraint violation",
		message: "UNIQUE violation detected on '" + pretty(key) + "'", fields: key,
	}
}

func noSuchEntity(key map[string]any, primary bool) *refusal {
	message := "could not find the entity with '" + pretty(key) + "'"
	if primary {
		message = "could not find the entity with primary key '" + pretty(key) + "'"
	}
	return &refusal{status: http.StatusNotFound, code: 6, name: "not found", message: message, fields: key}
}

func invalidOffset(offset, why string) *refusal {
	return &refusal{
		status: http.StatusBadRequest, code: 7, name: "invalid offset",
		message: "'" + offset + "' is not a valid offset: " + why,
	}
}

func invalidSize(why string) *refusal {
	return &refusal{status: http.StatusBadRequest, code: 9, name: "invalid size", message: why}
}

func invalidOption(name, why string) *refusal {
	return &refusal{
		status: http.StatusBadRequest, code: 11, name: "invalid options",
		message: "invalid option (" + name + ": " + why + ")", options: map[string]any{name: why},
	}
}

// readOnly refuses a write on a node without database.
func readOnly(operation string, s *schema) *refusal {
	return &refusal{
		status: http.StatusMethodNotAllowed, code: 12, name: "operation unsupported",
		message: fmt.Sprintf("cannot %s '%s' entities when not using a database", operation, s.name),
	}
}

func unresolved(field, value string) *refusal {
	why := fmt.Sprintf("the foreign key cannot be resolved with '%s' for an existing 'consumers' entity",
		pretty(map[string]any{field: value}))
	return &refusal{
		status: http.StatusBadRequest, code: 13, name: "foreign keys unresolved",
		message: "foreign key unresolved (consumer." + field + ": " + why + ")",
		fields:  map[string]any{"consumer": map[string]any{field: why}},
	}
}

// pretty writes a key as Lua does: {group="dgfip"}.
func pretty(key map[string]any) string {
	var out strings.Builder
	out.WriteByte('{')
	for i, name := range sortedKeys(key) {
		if i > 0 {
			out.WriteByte(',')
		}
		if inner, ok := key[name].(map[string]any); ok {
			fmt.Fprintf(&out, "%s=%s", name, pretty(inner))
			continue
		}
		fmt.Fprintf(&out, "%s=%q", name, fmt.Sprint(key[name]))
	}
	out.WriteByte('}')
	return out.String()
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

package hub

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/passerelle-hub/passerelle/httpapi/problem"
)

// object is a JSON object of a request's body, read key by key. What is wrong is
// gathered, each with its pointer; a key that nobody asks for is a fault.
type object struct {
	path   string
	values map[string]json.RawMessage
	asked  []string
	faults *[]problem.FieldError
}

// maxText bounds what a person may type into one field, in characters.
const maxText = 10_000

// readObject reads the body of a request. An empty body is an empty object.
func readObject(w http.ResponseWriter, r *http.Request, maxBody int64) (*object, []byte, error) {
	raw, err := readBody(w, r, maxBody)
	if err != nil {
		return nil, nil, err
	}
	o := &object{faults: &[]problem.FieldError{}}
	if len(bytes.TrimSpace(raw)) == 0 {
		return o, raw, nil
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		p := problem.New(http.StatusUnsupportedMediaType, "type-de-contenu", "Type de contenu non admis", "Le corps est attendu en application/json.")
		p.Errors = []problem.FieldError{{Header: "Content-Type", Detail: "application/json est attendu"}}
		return nil, nil, p
	}
	if !utf8.Valid(raw) {
		return nil, nil, malformed("Le corps n’est pas de l’UTF-8.")
	}
	o.values, err = keysOf(raw)
	return o, raw, err
}

func readBody(w http.ResponseWriter, r *http.Request, maxBody int64) ([]byte, error) {
	tooLarge := problem.New(http.StatusRequestEntityTooLarge, "corps-trop-grand", "Corps trop grand",
		fmt.Sprintf("Le corps d’une requête fait au plus %d octets.", maxBody))
	if r.ContentLength > maxBody {
		w.Header().Set("Connection", "close") // what is left of the body is not read
		return nil, tooLarge
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var over *http.MaxBytesError
	if errors.As(err, &over) {
		return nil, tooLarge
	}
	if err != nil {
		return nil, malformed("Le corps est incomplet.")
	}
	return raw, nil
}

func malformed(detail string) *problem.Problem {
	return problem.New(http.StatusBadRequest, "json", "Corps illisible", detail)
}

// keysOf splits an object into its keys. A key given twice is refused: readers
// disagree on which one counts.
func keysOf(raw []byte) (map[string]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	if first, err := d.Token(); err != nil || first != json.Delim('{') {
		return nil, malformed("Un objet JSON est attendu.")
	}
	values := map[string]json.RawMessage{}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, malformed("Le corps n’est pas du JSON.")
		}
		key, _ := token.(string)
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, malformed("Le corps n’est pas du JSON.").At(pointer("", key), "valeur illisible")
		}
		if _, twice := values[key]; twice {
			return nil, malformed("Une clé est donnée deux fois.").At(pointer("", key), "clé donnée deux fois")
		}
		values[key] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, malformed("Le corps n’est pas du JSON.")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, malformed("Le corps contient autre chose après l’objet JSON.")
	}
	return values, nil
}

// pointer is a JSON pointer (RFC 6901).
func pointer(path, key string) string {
	return path + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(clipped(key))
}

// clipped keeps what comes from outside short in our answers.
func clipped(s string) string {
	const most = 80
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most]) + "…"
}

func (o *object) fault(key, detail string) {
	*o.faults = append(*o.faults, problem.FieldError{Pointer: pointer(o.path, key), Detail: detail})
}

// raw gives a key's value; nil when it is absent or null.
func (o *object) raw(key string) json.RawMessage {
	o.asked = append(o.asked, key)
	value := bytes.TrimSpace(o.values[key])
	if string(value) == "null" {
		return nil
	}
	return value
}

// text gives a key's text, trimmed; "" when it is absent.
func (o *object) text(key string) string {
	value := o.raw(key)
	if value == nil {
		return ""
	}
	var s string
	switch {
	case json.Unmarshal(value, &s) != nil:
		o.fault(key, "un texte est attendu")
	case strings.ContainsRune(s, 0):
		o.fault(key, "le caractère nul n’est pas admis")
	case utf8.RuneCountInString(s) > maxText:
		o.fault(key, fmt.Sprintf("%d caractères au plus", maxText))
	default:
		return strings.TrimSpace(s)
	}
	return ""
}

// flag gives a key's boolean; false when it is absent.
func (o *object) flag(key string) bool {
	value := o.raw(key)
	var b bool
	if value != nil && json.Unmarshal(value, &b) != nil {
		o.fault(key, "true ou false est attendu")
	}
	return b
}

// id gives a key's identifier: 123, "123" or with one of the prefixes, "H123".
func (o *object) id(key string, prefix byte) int64 {
	value := o.raw(key)
	if value == nil {
		return 0
	}
	var s string
	if json.Unmarshal(value, &s) != nil {
		s = string(value)
	}
	id, ok := parseID(s, prefix)
	if !ok {
		o.fault(key, fmt.Sprintf("un identifiant est attendu : 123 ou « %c123 »", prefix))
	}
	return id
}

// object gives a nested object, nil when it is absent.
func (o *object) object(key string) *object {
	value := o.raw(key)
	if value == nil {
		return nil
	}
	inner := &object{path: pointer(o.path, key), faults: o.faults}
	values, err := keysOf(value)
	if err != nil {
		o.fault(key, "un objet est attendu, chaque clé une fois")
	}
	inner.values = values
	return inner
}

// close reports the keys that nobody asked for, and gives all the faults.
func (o *object) close(inner ...*object) error {
	for _, i := range append(inner, o) {
		if i == nil {
			continue
		}
		var unknown []string
		for key := range i.values {
			if !slices.Contains(i.asked, key) {
				unknown = append(unknown, key)
			}
		}
		slices.Sort(unknown)
		for _, key := range unknown {
			i.fault(key, "clé inconnue")
		}
	}
	if len(*o.faults) == 0 {
		return nil
	}
	p := problem.New(http.StatusUnprocessableEntity, "corps", "Corps invalide", "Le corps de la requête contient des erreurs.")
	p.Errors = *o.faults
	return p
}

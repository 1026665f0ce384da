package config

import (
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"
)

// reader fills structs from YAML nodes: like yaml.v3 with KnownFields, but it
// notes every fault with its key and line, and where each value came from.
type reader struct {
	*report
	dir string // relative paths of the file start here
}

var nodeType = reflect.TypeFor[yaml.Node]()

func (r *reader) here(n *yaml.Node) origin { return origin{file: r.file, line: n.Line} }

// read fills v from n. Whatever n does not mention keeps its value, and so does
// a setting left empty.
func (r *reader) read(n *yaml.Node, v reflect.Value, key string, tag reflect.StructTag) {
	place := r.here(n)
	if n = resolve(n); n == nil {
		r.add(key, place, "the alias contains itself")
		return
	}
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		return
	}
	r.trail[key] = place
	switch {
	case v.Type() == nodeType:
		v.Set(reflect.ValueOf(*n))
	case v.Kind() == reflect.Pointer:
		fresh := newElement(v.Type().Elem())
		if !v.IsNil() {
			fresh.Set(v.Elem())
		}
		r.read(n, fresh, key, tag)
		v.Set(fresh.Addr())
	case isText(v.Type()), v.Type() == durationType:
		r.readText(n, v, key, place)
	case v.Kind() == reflect.Struct:
		r.readStruct(n, v, key)
	case v.Kind() == reflect.Slice:
		r.readList(n, v, key)
	case v.Kind() == reflect.Map && v.Type().Key().Kind() == reflect.String:
		r.readMap(n, v, key)
	default:
		r.readPlain(n, v, key, tag, place)
	}
}

func (r *reader) readText(n *yaml.Node, v reflect.Value, key string, place origin) {
	if n.Kind != yaml.ScalarNode {
		r.add(key, place, "expected %s, got %s", wanted(v.Type()), got(n))
		return
	}
	var err error
	if v.Type() == durationType {
		var d time.Duration
		if d, err = parseDuration(n.Value); err == nil {
			v.SetInt(int64(d))
		}
	} else {
		err = setText(v, n.Value)
	}
	if err != nil {
		r.add(key, place, "%v", err)
	}
}

// parseDuration reads a Go duration, with an error for people.
func parseDuration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, notA(durationType, text)
	}
	return d, nil
}

func (r *reader) readPlain(n *yaml.Node, v reflect.Value, key string, tag reflect.StructTag, place origin) {
	if v.Kind() == reflect.Interface {
		if err := n.Decode(v.Addr().Interface()); err != nil {
			r.add(key, place, "the value cannot be read")
		}
		return
	}
	if n.Kind != yaml.ScalarNode {
		r.add(key, place, "expected %s, got %s", wanted(v.Type()), got(n))
		return
	}
	if v.Kind() == reflect.String {
		text := n.Value
		if tag.Get("kind") == "path" && text != "" && !filepath.IsAbs(text) {
			text = filepath.Join(r.dir, text)
		}
		v.SetString(text)
		return
	}
	if v.Kind() == reflect.Bool && n.ShortTag() != "!!bool" {
		r.add(key, place, "%v", notA(v.Type(), n.Value))
		return
	}
	if err := n.Decode(v.Addr().Interface()); err != nil {
		r.add(key, place, "%v", notA(v.Type(), n.Value))
	}
}

func (r *reader) readList(n *yaml.Node, v reflect.Value, key string) {
	if n.Kind != yaml.SequenceNode {
		r.add(key, r.here(n), "expected %s, got %s", wanted(v.Type()), got(n))
		return
	}
	list := reflect.MakeSlice(v.Type(), 0, len(n.Content))
	for i, item := range n.Content {
		element := newElement(v.Type().Elem())
		r.read(item, element, index(key, i), "")
		list = reflect.Append(list, element)
	}
	v.Set(list)
}

func (r *reader) readMap(n *yaml.Node, v reflect.Value, key string) {
	entries, ok := r.entries(n, key)
	if !ok {
		return
	}
	all := reflect.MakeMap(v.Type())
	for _, k := range v.MapKeys() {
		all.SetMapIndex(k, v.MapIndex(k))
	}
	for _, e := range entries {
		element := newElement(v.Type().Elem())
		r.read(e.value, element, join(key, e.name), "")
		all.SetMapIndex(reflect.ValueOf(e.name).Convert(v.Type().Key()), element)
	}
	v.Set(all)
}

func (r *reader) readStruct(n *yaml.Node, v reflect.Value, key string) {
	entries, ok := r.entries(n, key)
	if !ok {
		return
	}
	known := fields(v)
	given := make(map[string]*yaml.Node, len(entries))
	for _, e := range entries {
		given[e.name] = e.value
	}
	for _, f := range known {
		value, ok := given[f.name]
		delete(given, f.name)
		if ok {
			r.read(value, f.value, join(key, f.name), f.tag)
		}
		if !f.secret() || slices.ContainsFunc(known, func(o field) bool { return o.name == f.name+"_file" }) {
			continue
		}
		if file, both := given[f.name+"_file"]; both {
			delete(given, f.name+"_file")
			r.readSecretFile(file, f, join(key, f.name), ok)
		}
	}
	for _, e := range entries {
		if _, unknown := given[e.name]; unknown {
			r.add(join(key, e.name), r.here(e.key), "unknown key%s", suggestion(e.name, known))
		}
	}
}

// readSecretFile reads a secret from the file that n names.
func (r *reader) readSecretFile(n *yaml.Node, f field, key string, both bool) {
	place := r.here(n)
	if n = resolve(n); n == nil || n.Kind != yaml.ScalarNode || n.Value == "" {
		r.add(key+"_file", place, "expected the path of a file")
		return
	}
	if both {
		r.add(key, place, "both %s and %s_file are given: keep one", f.name, f.name)
		return
	}
	path := n.Value
	if !filepath.IsAbs(path) {
		path = filepath.Join(r.dir, path)
	}
	if err := setSecretFile(f.value, path); err != nil {
		r.add(key+"_file", place, "%v", err)
	}
	place.from = path
	r.trail[key] = place
}

// entry is one key and value of a mapping.
type entry struct {
	name       string
	key, value *yaml.Node
}

// entries lists a mapping, merge keys (<<) expanded: what the mapping says
// itself wins over what it merges.
func (r *reader) entries(n *yaml.Node, key string) ([]entry, bool) {
	if n.Kind != yaml.MappingNode {
		r.add(key, r.here(n), "expected a group of settings, got %s", got(n))
		return nil, false
	}
	var list []entry
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, value := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode {
			r.add(key, r.here(k), "a key must be a plain name")
			continue
		}
		if k.ShortTag() == "!!merge" {
			continue
		}
		if first, twice := seen[k.Value]; twice {
			r.add(join(key, k.Value), r.here(k), "given twice, first at line %d", first)
			continue
		}
		seen[k.Value] = k.Line
		list = append(list, entry{k.Value, k, value})
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if k := n.Content[i]; k.Kind == yaml.ScalarNode && k.ShortTag() == "!!merge" {
			list = append(list, r.merged(n.Content[i+1], key, seen)...)
		}
	}
	return list, true
}

// merged lists what a merge key brings that is not there yet.
func (r *reader) merged(n *yaml.Node, key string, seen map[string]int) []entry {
	sources := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		sources = n.Content
	}
	var list []entry
	for _, source := range sources {
		m := resolve(source)
		if m == nil || m.Kind != yaml.MappingNode {
			r.add(key, r.here(n), "a merge (<<) takes a group of settings")
			continue
		}
		for i := 0; i+1 < len(m.Content); i += 2 {
			k := m.Content[i]
			if k.Kind != yaml.ScalarNode || k.ShortTag() == "!!merge" {
				r.add(key, r.here(k), "what is merged (<<) holds plain settings only")
				continue
			}
			if _, there := seen[k.Value]; !there {
				seen[k.Value] = k.Line
				list = append(list, entry{k.Value, k, m.Content[i+1]})
			}
		}
	}
	return list
}

// resolve follows an alias; nil when it contains itself.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind != yaml.AliasNode {
		return n
	}
	if n.Alias == nil || reaches(n.Alias, n.Alias, map[*yaml.Node]bool{}) {
		return nil
	}
	return n.Alias
}

// reaches reports whether target is below n, through aliases too.
func reaches(n, target *yaml.Node, seen map[*yaml.Node]bool) bool {
	if seen[n] {
		return false
	}
	seen[n] = true
	if n.Alias != nil && (n.Alias == target || reaches(n.Alias, target, seen)) {
		return true
	}
	return slices.ContainsFunc(n.Content, func(c *yaml.Node) bool {
		return c == target || reaches(c, target, seen)
	})
}

// got describes a node without quoting it.
func got(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a group of settings"
	case yaml.SequenceNode:
		return "a list of " + strconv.Itoa(len(n.Content))
	default:
		return "a single value"
	}
}

// suggestion gives the known name nearest to an unknown one, when it is near.
func suggestion(name string, known []field) string {
	best, distance := "", 3
	for _, f := range known {
		if d := editDistance(name, f.name); d < distance {
			best, distance = f.name, d
		}
	}
	if best == "" {
		return ""
	}
	return ": did you mean " + best + "?"
}

// editDistance is Levenshtein's, in bytes.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}

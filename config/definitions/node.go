package definitions

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxNodes bounds how many nodes are read once aliases are followed: ten times
// what the real catalogue needs, far below what nested aliases can reach.
const maxNodes = 120_000

// maxDepth bounds nested merges and lists.
const maxDepth = 20

// reader reads typed values from the nodes of one source and reports what does
// not fit.
type reader struct {
	source *source
	report *Report
	tags   *tags
	whole  bool // false: parts of the source were left out as unreadable

	read int
	said map[remark]bool
}

// remark is a message about a node: an aliased node is read as often as it is
// used, and spoken of once.
type remark struct {
	node    *yaml.Node
	message string
}

func (r *reader) fault(n *yaml.Node, format string, args ...any) {
	if message := fmt.Sprintf(format, args...); len(r.report.Faults) < maxFindings && r.first(n, message) {
		r.report.fault(r.source.finding(r.source.offset(n.Line, n.Column), message))
	}
}

func (r *reader) warn(n *yaml.Node, format string, args ...any) {
	if message := fmt.Sprintf(format, args...); len(r.report.Warnings) < maxFindings && r.first(n, message) {
		r.report.warn(r.source.finding(r.source.offset(n.Line, n.Column), message))
	}
}

func (r *reader) first(n *yaml.Node, message string) bool {
	key := remark{node: n, message: message}
	if r.said[key] {
		return false
	}
	if r.said == nil {
		r.said = map[remark]bool{}
	}
	r.said[key] = true
	return true
}

// follow resolves an alias. nil: the aliases expand to too much.
func (r *reader) follow(n *yaml.Node) *yaml.Node {
	if r.read++; r.read >= maxNodes {
		if r.read == maxNodes {
			r.fault(n, "the aliases expand to more than %d values", maxNodes)
		}
		return nil
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Style&yaml.TaggedStyle != 0 && !strings.HasPrefix(n.Tag, "!!") {
		r.fault(n, "the tag %s is not allowed", n.Tag)
	}
	return n
}

func null(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// entry is one key of a mapping; its value is resolved, at is where it is
// written: an alias's own place.
type entry struct {
	key, value, at *yaml.Node
}

// entries reads a mapping: aliases followed, merge keys merged, real duplicates
// reported. As in DataPass's parser a merge wins over the keys before it and
// loses to those after it (datapass.md, 4.1).
func (r *reader) entries(n *yaml.Node, depth int) []entry {
	var list []entry
	index := map[string]int{}
	own := map[string]*yaml.Node{}
	set := func(e entry) {
		if i, ok := index[e.key.Value]; ok {
			list[i] = e
			return
		}
		index[e.key.Value] = len(list)
		list = append(list, e)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := r.follow(n.Content[i]), r.follow(n.Content[i+1])
		switch {
		case key == nil || value == nil:
			return list
		case key.Tag == "!!merge":
			for _, e := range r.merged(value, depth+1) {
				if before := own[e.key.Value]; before != nil {
					r.warn(n.Content[i], "the merge replaces %q, set above it: put the merge first", e.key.Value)
				}
				set(e)
			}
		case key.Kind != yaml.ScalarNode:
			r.fault(n.Content[i], "a key must be a text")
		case own[key.Value] != nil:
			r.fault(n.Content[i], "%q is already set on line %d", key.Value, r.line(own[key.Value]))
		default:
			own[key.Value] = n.Content[i]
			set(entry{key: n.Content[i], value: value, at: n.Content[i+1]})
		}
	}
	return list
}

// merged reads what "<<" names: a mapping, or a list of mappings of which the
// first wins.
func (r *reader) merged(n *yaml.Node, depth int) []entry {
	switch {
	case depth > maxDepth:
		r.fault(n, "merges are nested too deeply")
		return nil
	case n.Kind == yaml.MappingNode:
		return r.entries(n, depth)
	case n.Kind == yaml.SequenceNode:
		var all []entry
		for _, item := range slices.Backward(n.Content) {
			item = r.follow(item)
			if item == nil {
				return all
			}
			if item.Kind != yaml.MappingNode {
				r.fault(item, `"<<" takes mappings`)
				continue
			}
			all = append(all, r.entries(item, depth)...)
		}
		return all
	default:
		if r.whole || !null(n) {
			r.fault(n, `"<<" takes a mapping`)
		}
		return nil
	}
}

// line is a node's line in its own file.
func (r *reader) line(n *yaml.Node) int {
	return r.source.finding(r.source.offset(n.Line, n.Column), "").Line
}

// top reads the entries of a source's root, which must be a mapping.
func (r *reader) top(root *yaml.Node) []entry {
	if root == nil || null(root) {
		return nil
	}
	root = r.follow(root)
	if root.Kind != yaml.MappingNode {
		r.fault(root, "a mapping is expected here, not %s", kindName(root))
		return nil
	}
	return r.entries(root, 0)
}

// mapping is a mapping whose keys are read one by one; close reports the rest.
type mapping struct {
	*reader
	node   *yaml.Node
	values map[string]entry
	order  []entry
	known  []string
}

// mapping starts to read a mapping node. nil: it is none.
func (r *reader) mapping(n *yaml.Node) *mapping {
	if n.Kind != yaml.MappingNode {
		r.fault(n, "a mapping is expected here, not %s", kindName(n))
		return nil
	}
	m := &mapping{reader: r, node: n, values: map[string]entry{}, order: r.entries(n, 0)}
	for _, e := range m.order {
		m.values[e.key.Value] = e
	}
	return m
}

// get returns a key's value, nil when absent or null, which are the same.
func (m *mapping) get(key string) *yaml.Node {
	m.known = append(m.known, key)
	e, ok := m.values[key]
	if !ok || null(e.value) {
		return nil
	}
	return e.value
}

// at is the place of a key's value as it is written, else that of the mapping.
func (m *mapping) at(key string) *yaml.Node {
	if e, ok := m.values[key]; ok {
		return e.at
	}
	return m.node
}

// close reports the keys that nothing asked for.
func (m *mapping) close() {
	for _, e := range m.order {
		if !slices.Contains(m.known, e.key.Value) {
			m.fault(e.key, "unknown key %q%s", e.key.Value, didYouMean(e.key.Value, m.known))
		}
	}
}

func (m *mapping) text(key string) string {
	n := m.get(key)
	if n == nil {
		return ""
	}
	return m.reader.text(n)
}

// required reads a text that must be there and not blank.
func (m *mapping) required(key string) string {
	text := m.text(key)
	if strings.TrimSpace(text) == "" {
		m.fault(m.node, "%q is missing", key)
	}
	return text
}

// oneOf reads a text with a closed set of values; absent is "".
func (m *mapping) oneOf(key string, allowed ...string) string {
	n := m.get(key)
	if n == nil {
		return ""
	}
	text := m.reader.text(n)
	if !slices.Contains(allowed, text) && n.Kind == yaml.ScalarNode {
		m.fault(n, "%q is not one of %s", text, strings.Join(allowed, ", "))
	}
	return text
}

func (m *mapping) boolean(key string, absent bool) bool {
	n := m.get(key)
	if n == nil {
		return absent
	}
	return m.reader.boolean(n)
}

func (m *mapping) texts(key string) []string {
	n := m.get(key)
	if n == nil {
		return nil
	}
	return m.reader.texts(n)
}

// items reads a list; absent is an empty one.
func (m *mapping) items(key string) []*yaml.Node {
	n := m.get(key)
	if n == nil {
		return nil
	}
	return m.reader.items(n)
}

func (r *reader) items(n *yaml.Node) []*yaml.Node {
	if n.Kind != yaml.SequenceNode {
		r.fault(n, "a list is expected here, not %s", kindName(n))
		return nil
	}
	items := make([]*yaml.Node, 0, len(n.Content))
	for _, item := range n.Content {
		if item = r.follow(item); item == nil {
			break
		}
		items = append(items, item)
	}
	return items
}

func (r *reader) texts(n *yaml.Node) []string {
	texts := []string{}
	for _, item := range r.items(n) {
		texts = append(texts, r.text(item))
	}
	return texts
}

// scalar reads a value as it is written, ERB tags replaced.
func (r *reader) scalar(n *yaml.Node) (value string, ok bool) {
	if n.Kind != yaml.ScalarNode {
		r.fault(n, "a text is expected here, not %s", kindName(n))
		return "", false
	}
	value, problem := r.tags.render(n.Value)
	if problem != "" {
		r.fault(n, "%s", problem)
	}
	return value, true
}

// text reads a text. Another parser may take an unquoted number or date for
// something else, so it is pointed out.
func (r *reader) text(n *yaml.Node) string {
	value, ok := r.scalar(n)
	if ok && n.Tag != "!!str" && n.Tag != "!!null" {
		r.warn(n, "unquoted %s where a text is expected: read as %q, quote it", strings.TrimPrefix(n.Tag, "!!"), value)
	}
	return value
}

// boolean reads true or false, and YAML 1.1's other words for them.
func (r *reader) boolean(n *yaml.Node) bool {
	value, ok := r.scalar(n)
	quoted := n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
	if ok && !quoted {
		switch strings.ToLower(value) {
		case "true", "yes", "on":
			return true
		case "false", "no", "off":
			return false
		}
	}
	if ok {
		r.fault(n, "true or false is expected here, not %q", value)
	}
	return false
}

var wholeNumber = regexp.MustCompile(`\A(?:0|[1-9][0-9]{0,8})\z`)

// number reads a whole number.
func (r *reader) number(n *yaml.Node) int {
	value, ok := r.scalar(n)
	if !ok {
		return 0
	}
	if !wholeNumber.MatchString(value) || n.Tag != "!!int" {
		r.fault(n, "a whole number is expected here, not %q", value)
		return 0
	}
	var number int
	_, _ = fmt.Sscan(value, &number)
	return number
}

func kindName(n *yaml.Node) string {
	switch {
	case null(n):
		return "nothing"
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	default:
		return "a text"
	}
}

// didYouMean proposes the known word nearest to an unknown one.
func didYouMean(word string, known []string) string {
	best, bestAt := "", 3
	for _, k := range known {
		if d := distance(word, k); d < bestAt && d < len(k) {
			best, bestAt = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %q?)", best)
}

// distance is Levenshtein's, in bytes; words of very unlike length are far apart.
func distance(a, b string) int {
	if len(a)-len(b) > 2 || len(b)-len(a) > 2 {
		return len(a) + len(b)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost++
			}
			diagonal, row[j] = row[j], min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}

package definitions

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// parse reads a source's one document: its root node, nil when nothing of it
// can be read. Entries that are not YAML are reported and left out, so that the
// faults of the others show as well; whole is false then.
func (s *source) parse(report *Report) (root *yaml.Node, whole bool) {
	root, err := parseYAML(s.text)
	if err == nil {
		return root, true
	}
	m := &mender{source: s, report: report, lost: map[string]bool{}}
	return m.mend(), false
}

// parseYAML reads one document. A second one is an error, since DataPass
// ignores it silently.
func parseYAML(text []byte) (root *yaml.Node, err error) {
	// The library recovers from its own panics alone; what it reads here comes
	// from outside.
	defer func() {
		if r := recover(); r != nil {
			root, err = nil, fmt.Errorf("yaml: unreadable: %v", r)
		}
	}()
	d := yaml.NewDecoder(bytes.NewReader(text))
	var document, second yaml.Node
	if err := d.Decode(&document); errors.Is(err, io.EOF) {
		return nil, nil //nolint:nilnil // an empty document has no root
	} else if err != nil {
		return nil, err
	}
	if err := d.Decode(&second); err == nil {
		return nil, &secondDocument{line: second.Line}
	} else if !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(document.Content) == 0 {
		return nil, nil //nolint:nilnil // an empty document has no root
	}
	return document.Content[0], nil
}

type secondDocument struct{ line int }

func (e *secondDocument) Error() string {
	return fmt.Sprintf("yaml: line %d: a second document starts here: DataPass reads the first alone", e.line)
}

// maxMends bounds how often a broken source is read again.
const maxMends = 60

// mender takes out of a source what cannot be read.
type mender struct {
	source *source
	report *Report
	lost   map[string]bool // anchors that went with what was taken out
}

func (m *mender) mend() *yaml.Node {
	for _, p := range m.source.parts {
		m.mendPart(p)
	}
	for range maxMends {
		root, err := parseYAML(m.source.text)
		if err == nil {
			return root
		}
		if name, ok := unknownAnchor(err); ok {
			if !m.dropAlias(name) {
				m.fault(0, err)
				return nil
			}
			continue
		}
		at := m.source.offset(errorLine(err), 1)
		p := m.source.part(at)
		m.fault(at, err)
		m.blank(p.start, p.end)
	}
	return nil
}

// mendPart takes out the entries of one file that are not YAML by themselves.
func (m *mender) mendPart(p part) {
	if _, err := parseYAML(withoutAliases(m.source.text[p.start:p.end])); err == nil {
		return
	}
	own := withoutAliases(m.source.text[p.start:p.end])
	for _, e := range entriesOf(own) {
		entry := own[e[0]:e[1]]
		if _, err := parseYAML(entry); err != nil {
			m.fault(p.start+e[0]+faultLine(entry), err)
			m.blank(p.start+e[0], p.start+e[1])
		}
	}
	own = withoutAliases(m.source.text[p.start:p.end])
	if _, err := parseYAML(own); err != nil { // each entry reads, the whole does not
		m.fault(p.start+faultLine(own), err)
		m.blank(p.start, p.end)
	}
}

// withoutAliases is a copy of text with nulls for its aliases, whose anchors
// may be elsewhere.
func withoutAliases(text []byte) []byte {
	text = bytes.Clone(text)
	for _, a := range aliasName.FindAllSubmatchIndex(text, -1) {
		overwrite(text[a[3]:a[5]])
	}
	return text
}

var (
	anchorName = regexp.MustCompile(`&([A-Za-z0-9_-]+)`)
	// An alias: what may stand before one, then its name.
	aliasName = regexp.MustCompile(`(?m)((?:^|[\s\[{,]))\*([A-Za-z0-9_-]+)`)
)

// dropAlias overwrites the first use of an unknown anchor with null, and
// reports it unless the anchor was lost with an unreadable entry.
func (m *mender) dropAlias(name string) bool {
	text := m.source.text
	for _, a := range aliasName.FindAllSubmatchIndex(text, -1) {
		start, end := a[3], a[5]
		line := text[bytes.LastIndexByte(text[:start], '\n')+1 : start]
		if string(text[a[4]:end]) != name || inComment(line) {
			continue
		}
		if !m.lost[name] {
			m.report.fault(m.source.finding(start, "unknown anchor \""+name+"\": it is not defined above"))
		}
		overwrite(text[start:end])
		return true
	}
	return false
}

func inComment(before []byte) bool {
	return bytes.HasPrefix(bytes.TrimSpace(before), []byte("#")) || bytes.Contains(before, []byte(" #"))
}

// overwrite replaces an alias by a null of the same length.
func overwrite(alias []byte) {
	for i := range alias {
		alias[i] = ' '
	}
	alias[0] = '~'
}

func (m *mender) fault(offset int, err error) {
	m.report.fault(m.source.finding(m.afterIndent(offset), "not YAML: "+problem(err)))
}

// afterIndent moves from a line's start to its first character.
func (m *mender) afterIndent(offset int) int {
	for offset < len(m.source.text)-1 && (m.source.text[offset] == ' ' || m.source.text[offset] == '\t') {
		offset++
	}
	return offset
}

func (m *mender) blank(from, to int) {
	for _, a := range anchorName.FindAllSubmatch(m.source.text[from:to], -1) {
		m.lost[string(a[1])] = true
	}
	for i := from; i < to; i++ {
		if m.source.text[i] != '\n' {
			m.source.text[i] = ' '
		}
	}
}

// entriesOf splits a file where its lines have no indent.
func entriesOf(text []byte) [][2]int {
	var entries [][2]int
	offset := 0
	for line := range bytes.Lines(text) {
		if line[0] > ' ' && line[0] != '#' && line[0] != '}' && line[0] != ']' || len(entries) == 0 {
			entries = append(entries, [2]int{offset, offset})
		}
		offset += len(line)
		entries[len(entries)-1][1] = offset
	}
	return entries
}

// lookAhead is how many lines after a suspect one are tried: longer than any
// quoted text that spans lines.
const lookAhead = 40

// faultLine finds the line from which text is no longer YAML: what stands
// before it reads, what includes it does not. The library's own line is that of
// the enclosing block, often far above. Returns the line's offset.
func faultLine(text []byte) int {
	starts := []int{}
	offset := 0
	for line := range bytes.Lines(text) {
		starts = append(starts, offset)
		offset += len(line)
	}
	reads := func(lines int) bool {
		if lines >= len(starts) {
			return false
		}
		_, err := parseYAML(text[:starts[lines]])
		return err == nil
	}
	good, bad := 0, len(starts)
	for bad-good > 1 {
		if middle := (good + bad) / 2; reads(middle) {
			good = middle
		} else {
			bad = middle
		}
		if bad-good > 1 {
			continue
		}
		// A quoted text that is not over yet looks like a fault: read on.
		for next := bad + 1; next < min(len(starts), bad+lookAhead); next++ {
			if reads(next) {
				good, bad = next, len(starts)
				break
			}
		}
	}
	if good >= len(starts) {
		return 0
	}
	return starts[good]
}

var (
	errorPrefix = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)
	anchorError = regexp.MustCompile(`unknown anchor '([^']*)' referenced`)
)

func unknownAnchor(err error) (string, bool) {
	if err == nil {
		return "", false
	}
	m := anchorError.FindStringSubmatch(err.Error())
	if m == nil {
		return "", false
	}
	return m[1], true
}

func errorLine(err error) int {
	line := 1
	if m := errorPrefix.FindStringSubmatch(err.Error()); m != nil && m[1] != "" {
		_, _ = fmt.Sscan(m[1], &line)
	}
	return line
}

func problem(err error) string {
	return strings.TrimSpace(errorPrefix.ReplaceAllString(err.Error(), ""))
}

package definitions

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sort"
	"strings"
	"unicode/utf8"
)

// The files of a folder, laid out as DataPass's config.
const (
	definitionsDir       = "authorization_definitions"
	formsDir             = "authorization_request_forms"
	serviceProvidersFile = "service_providers.yml"
	eligibilityFile      = "eligibility_rules.yml"
	rulesFile            = "rules.yml"
)

// maxBytes bounds the content of a folder: ten times the real one.
const maxBytes = 4 << 20

// file is one YAML file as it was read.
type file struct {
	Name    string `json:"name"` // slash-separated, from the folder's root
	Content string `json:"content"`
}

// readFolder reads the YAML files of a folder in name order. What cannot be
// read is reported and left out.
func readFolder(folder fs.FS, report *Report) []file {
	var names []string
	for _, dir := range []string{definitionsDir, formsDir} {
		found, err := fs.Glob(folder, dir+"/*.y*ml")
		if err == nil && len(found) == 0 {
			report.fault(Finding{Position: Position{File: dir}, Message: "no *.yml file here"})
		}
		sort.Strings(found)
		names = append(names, found...)
	}
	names = append(names, serviceProvidersFile, eligibilityFile, rulesFile)

	var files []file
	total := 0
	for _, name := range names {
		content, err := fs.ReadFile(folder, name)
		if errors.Is(err, fs.ErrNotExist) && path.Dir(name) == "." {
			continue // these three are optional
		}
		if err != nil {
			report.fault(Finding{Position: Position{File: name}, Message: "cannot be read: " + reason(err)})
			continue
		}
		if total += len(content); total > maxBytes {
			report.fault(Finding{Position: Position{File: name}, Message: fmt.Sprintf("the folder is larger than %d MiB", maxBytes>>20)})
			return files
		}
		files = append(files, file{Name: name, Content: string(content)})
	}
	return files
}

// reason is an error without the path that the finding already names.
func reason(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

// source is one YAML document: the files of a folder joined, a newline after
// each, as DataPass does (datapass.md, 4.1).
type source struct {
	text  []byte
	lines []int // offset of each line's start, lines as YAML counts them
	parts []part
}

// part is one file's share of a source.
type part struct {
	name       string
	start, end int // offsets
}

// join builds a source. A leading "---" is dropped where DataPass would read
// on, and reported where it would not.
func join(files []file, report *Report) *source {
	s := &source{}
	for i, f := range files {
		content := strings.TrimPrefix(f.Content, "\ufeff")
		if at := invalidUTF8(content); at >= 0 {
			line := 1 + strings.Count(content[:at], "\n")
			report.fault(Finding{Position: Position{File: f.Name, Line: line, Column: 1}, Message: "not UTF-8"})
			content = strings.ToValidUTF8(content, "?")
		}
		start := len(s.text)
		s.text = append(append(s.text, content...), '\n')
		s.parts = append(s.parts, part{name: f.Name, start: start, end: len(s.text)})
		if at := separator(content); at >= 0 {
			if i > 0 {
				report.fault(s.finding(start+at, `"---" starts a second document, which DataPass does not read: its files are joined`))
			}
			copy(s.text[start+at:], "   ")
		}
	}
	s.lines = lineStarts(s.text)
	return s
}

func invalidUTF8(s string) int {
	for i, r := range s {
		if r == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(s[i:]); size == 1 {
				return i
			}
		}
	}
	return -1
}

// separator finds a "---" line before any content.
func separator(content string) int {
	offset := 0
	for line := range strings.Lines(content) {
		switch trimmed := strings.TrimSpace(line); {
		case trimmed == "---" && strings.HasPrefix(line, "---"):
			return offset
		case trimmed != "" && !strings.HasPrefix(trimmed, "#"):
			return -1
		}
		offset += len(line)
	}
	return -1
}

// lineStarts finds the lines as YAML 1.1 breaks them: CR, LF, CRLF, NEL, LS, PS.
func lineStarts(text []byte) []int {
	starts := []int{0}
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\r' && i+1 < len(text) && text[i+1] == '\n':
		case text[i] == '\n', text[i] == '\r':
			starts = append(starts, i+1)
		case bytes.HasPrefix(text[i:], []byte("\u0085")):
			starts = append(starts, i+2)
		case bytes.HasPrefix(text[i:], []byte("\u2028")), bytes.HasPrefix(text[i:], []byte("\u2029")):
			starts = append(starts, i+3)
		}
	}
	return starts
}

// offset is where a line (from 1) of the joined text and a column (from 1, in
// characters) are.
func (s *source) offset(line, column int) int {
	if line < 1 || line > len(s.lines) {
		return len(s.text)
	}
	at := s.lines[line-1]
	for ; column > 1 && at < len(s.text); column-- {
		_, size := utf8.DecodeRune(s.text[at:])
		at += size
	}
	return at
}

// part is the file that holds an offset.
func (s *source) part(offset int) part {
	for _, p := range s.parts {
		if offset < p.end {
			return p
		}
	}
	if len(s.parts) == 0 {
		return part{}
	}
	return s.parts[len(s.parts)-1]
}

// finding places a message at an offset of the joined text, in the terms of the
// file it came from.
func (s *source) finding(offset int, message string) Finding {
	p := s.part(offset)
	offset = max(p.start, min(offset, p.end-1))
	before := s.text[p.start:offset]
	start := p.start + bytes.LastIndexByte(before, '\n') + 1
	end := p.end
	if i := bytes.IndexByte(s.text[start:p.end], '\n'); i >= 0 {
		end = start + i
	}
	line := 1 + bytes.Count(before, []byte("\n"))
	column := 1 + utf8.RuneCount(s.text[start:offset])
	return Finding{
		Position: Position{File: p.name, Line: line, Column: column},
		Message:  message,
		Excerpt:  excerpt(string(s.text[start:end]), line, column),
	}
}

package definitions

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Position is a place in a file of the folder; line and column start at 1 and
// are 0 when the finding is about the whole file or folder.
type Position struct {
	File   string
	Line   int
	Column int // in characters
}

func (p Position) String() string {
	switch {
	case p.File == "":
		return "folder"
	case p.Line == 0:
		return p.File
	default:
		return p.File + ":" + strconv.Itoa(p.Line) + ":" + strconv.Itoa(p.Column)
	}
}

// Finding is one fault or warning.
type Finding struct {
	Position
	Message string
	Excerpt string // the line, and a caret below the column; "" without a line
}

// Totals counts what a folder holds.
type Totals struct {
	Definitions, Forms, Scopes, ServiceProviders, EligibilityRules int
	DeprecatedScopes                                               int
	Tags                                                           int // ERB
	ToSet                                                          int // prefilled values left at their stand-in
}

// maxFindings bounds the faults, and the warnings, that a report keeps.
const maxFindings = 1000

// Report is what Load found in a folder.
type Report struct {
	Faults   []Finding // each keeps the folder from being used
	Warnings []Finding // legal, but suspect
	Totals   Totals
}

// Err is nil when there is no fault, else an error that holds the first one.
func (r *Report) Err() error {
	switch len(r.Faults) {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("definitions: %s: %s", r.Faults[0].Position, r.Faults[0].Message)
	default:
		return fmt.Errorf("definitions: %d faults, the first: %s: %s", len(r.Faults), r.Faults[0].Position, r.Faults[0].Message)
	}
}

// WriteTo writes the report as text: faults, warnings, totals.
func (r *Report) WriteTo(w io.Writer) (int64, error) {
	var b strings.Builder
	for _, f := range r.Faults {
		f.write(&b, "")
	}
	for _, f := range r.Warnings {
		f.write(&b, "warning: ")
	}
	b.WriteString(r.summary())
	n, err := io.WriteString(w, b.String())
	return int64(n), err
}

func (f Finding) write(b *strings.Builder, level string) {
	fmt.Fprintf(b, "%s: %s%s\n", f.Position, level, f.Message)
	if f.Excerpt != "" {
		b.WriteString(f.Excerpt)
		b.WriteByte('\n')
	}
}

func (r *Report) summary() string {
	t := r.Totals
	counts := []string{
		plural(t.Definitions, "definition"), plural(t.Forms, "form"), plural(t.Scopes, "scope"),
		plural(t.ServiceProviders, "service provider"), plural(t.EligibilityRules, "eligibility rule"),
	}
	if t.DeprecatedScopes > 0 {
		counts = append(counts, plural(t.DeprecatedScopes, "deprecation"))
	}
	if t.Tags > 0 {
		counts = append(counts, plural(t.Tags, "ERB tag"))
	}
	if t.ToSet > 0 {
		counts = append(counts, plural(t.ToSet, "prefilled value")+" to set")
	}
	return strings.Join(counts, ", ") + ": " + atLeast(len(r.Faults), "fault") + ", " + atLeast(len(r.Warnings), "warning") + "\n"
}

// atLeast counts findings, of which only the first ones are kept.
func atLeast(n int, noun string) string {
	if n >= maxFindings {
		return plural(n, noun) + " or more"
	}
	return plural(n, noun)
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

func (r *Report) fault(f Finding) { r.Faults = add(r.Faults, f) }

func (r *Report) warn(f Finding) { r.Warnings = add(r.Warnings, f) }

func add(list []Finding, f Finding) []Finding {
	if len(list) >= maxFindings {
		return list
	}
	return append(list, f)
}

func (r *Report) sort() {
	byPlace := func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Message, b.Message))
	}
	slices.SortStableFunc(r.Faults, byPlace)
	slices.SortStableFunc(r.Warnings, byPlace)
}

// excerptWidth is how much of a line an excerpt shows.
const excerptWidth = 100

// excerpt shows a line with a caret below a column (from 1, in characters).
func excerpt(line string, number, column int) string {
	line = strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' {
			return ' '
		}
		return r
	}, strings.TrimRight(line, "\r\n"))
	runes := []rune(line)
	column = max(1, min(column, len(runes)+1))
	from := 0
	if column > excerptWidth*3/4 {
		from = column - excerptWidth/2
	}
	shown := runes[from:min(len(runes), from+excerptWidth)]
	gutter := strconv.Itoa(number)
	var below strings.Builder
	for _, r := range shown[:min(len(shown), column-1-from)] {
		if r == '\t' {
			below.WriteByte('\t')
		} else {
			below.WriteByte(' ')
		}
	}
	return "  " + gutter + " | " + string(shown) + "\n  " + strings.Repeat(" ", utf8.RuneCountInString(gutter)) +
		" | " + below.String() + "^"
}

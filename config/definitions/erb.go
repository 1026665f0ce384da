package definitions

import (
	"regexp"
	"strings"
)

// The three shapes of ERB tags that the files hold (datapass.md, 4.2). Ruby is
// never run: whatever else stands between "<%" and "%>" is a fault.
var (
	anyTag        = regexp.MustCompile(`(?s)<%.*?%>|<%`)
	credentialTag = regexp.MustCompile(`\A<%=\s*Rails\.application\.credentials\.([A-Za-z0-9_.]+)\s*\|\|\s*'([^'\\]*)'\s*%>\z`)
	productionTag = regexp.MustCompile(`\A<%=\s*Rails\.env\.production\?\s*\?\s*'([^'\\]*)'\s*:\s*'([^'\\]*)'\s*%>\z`)
	ifFlagTag     = regexp.MustCompile(`\A<%\s*if\s+FeatureFlag\.enabled\?\(:([A-Za-z0-9_]+)\)\s*%>\z`)
	endTag        = regexp.MustCompile(`\A<%\s*end\s*%>\z`)
)

// tags gives ERB tags their values.
type tags struct {
	production bool
	flagOn     func(name string) bool
	contacts   map[string]string // credential name -> value

	toSet []string // credentials met since the last call of take, at their stand-in
}

// check reports every tag of a source that has none of the three shapes,
// comments included, and returns how many of the others there are.
func (t *tags) check(s *source, report *Report) int {
	count := 0
	for _, at := range anyTag.FindAllIndex(s.text, -1) {
		tag := string(s.text[at[0]:at[1]])
		switch {
		case credentialTag.MatchString(tag), productionTag.MatchString(tag), ifFlagTag.MatchString(tag), endTag.MatchString(tag):
			count++
		default:
			report.fault(s.finding(at[0], "this ERB tag has none of the three shapes that are understood; Ruby is never run"))
		}
	}
	return count
}

// render replaces the tags of a value. Tags of another shape are left: check
// reports them.
func (t *tags) render(value string) (rendered, problem string) {
	if !strings.Contains(value, "<%") {
		return value, ""
	}
	var b strings.Builder
	inside, shown := false, true
	last := 0
	keep := func(text string) {
		if shown {
			b.WriteString(text)
		}
	}
	for _, at := range anyTag.FindAllStringIndex(value, -1) {
		keep(value[last:at[0]])
		last = at[1]
		tag := value[at[0]:at[1]]
		if m := ifFlagTag.FindStringSubmatch(tag); m != nil {
			if inside {
				problem = "an ERB if inside another one"
			}
			inside, shown = true, t.flagOn(m[1])
		} else if endTag.MatchString(tag) {
			if !inside {
				problem = "an ERB end without its if in the same value"
			}
			inside, shown = false, true
		} else {
			keep(t.value(tag))
		}
	}
	if inside {
		problem = "an ERB if without its end in the same value"
	}
	keep(value[last:])
	return b.String(), problem
}

// value is what an output tag prints.
func (t *tags) value(tag string) string {
	if m := credentialTag.FindStringSubmatch(tag); m != nil {
		if set, ok := t.contacts[m[1]]; ok {
			return set
		}
		t.toSet = append(t.toSet, m[1])
		return m[2]
	}
	if m := productionTag.FindStringSubmatch(tag); m != nil {
		if t.production {
			return m[1]
		}
		return m[2]
	}
	return tag
}

// take returns the credentials left at their stand-in since its last call.
func (t *tags) take() []string {
	taken := t.toSet
	t.toSet = nil
	return taken
}

package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Fault is one thing wrong with the settings. It never quotes a secret.
type Fault struct {
	Key     string // such as "datapass.sources[0].name"; "" for the file as a whole
	Place   string // "passerelle.yml:12", "environment PASSERELLE_HTTP_LISTEN", or "passerelle.yml"
	Problem string // for people

	line int
}

// String gives place, key and problem on one line.
func (f Fault) String() string {
	text := f.Problem
	if f.Key != "" {
		text = f.Key + ": " + text
	}
	if f.Place != "" {
		text = f.Place + ": " + text
	}
	return text
}

// FaultsError is everything wrong with the settings, in the order of the file, then
// the environment. It is the error of Load and Decode.
type FaultsError []Fault

// Error gives one line a fault.
func (fs FaultsError) Error() string {
	lines := make([]string, len(fs))
	for i, f := range fs {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

// report collects faults and knows where values came from.
type report struct {
	file   string // the YAML file, "" for none
	trail  trail
	faults FaultsError
}

// add notes a fault of key at o.
func (r *report) add(key string, o origin, format string, args ...any) {
	place := r.file
	if o != (origin{}) {
		o.from = ""
		place = o.String()
	}
	r.faults = append(r.faults, Fault{Key: key, Place: place, Problem: fmt.Sprintf(format, args...), line: o.line})
}

// at notes a fault of key where its value was given. A key that already has a
// fault, on it or within it, is left at that: the second one follows from the first.
func (r *report) at(key, format string, args ...any) {
	for _, f := range r.faults {
		if f.Key == key || within(f.Key, key) || within(key, f.Key) {
			return
		}
	}
	o, _ := r.trail.nearest(key)
	r.add(key, o, format, args...)
}

// within reports whether key is inside parent.
func within(key, parent string) bool {
	rest, ok := strings.CutPrefix(key, parent)
	return ok && parent != "" && rest != "" && (rest[0] == '.' || rest[0] == '[')
}

// err gives the faults in order, or nil.
func (r *report) err() error {
	if len(r.faults) == 0 {
		return nil
	}
	slices.SortStableFunc(r.faults, func(a, b Fault) int {
		if (a.line == 0) != (b.line == 0) {
			return cmp.Compare(b.line, a.line)
		}
		return cmp.Compare(a.line, b.line)
	})
	return r.faults
}

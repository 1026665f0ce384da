package config

import (
	"strconv"
	"strings"
)

// origin is the place of one value. The zero origin is a default.
type origin struct {
	file    string // YAML file
	line    int
	env     string // name of the variable
	from    string // secret file that the value was read from
	derived string // key of the setting it follows
}

// String says it for people.
func (o origin) String() string {
	place := "default"
	switch {
	case o.derived != "":
		place = "follows " + o.derived
	case o.env != "":
		place = "environment " + o.env
	case o.file != "":
		place = o.file + ":" + strconv.Itoa(o.line)
	case o.line != 0: // a node that Load did not read
		place = "line " + strconv.Itoa(o.line)
	}
	if o.from != "" {
		place += ", read from " + o.from
	}
	return place
}

// trail remembers where each value came from, by its key (such as
// "datapass.sources[0].name").
type trail map[string]origin

// explicit reports whether somebody gave the value of key.
func (t trail) explicit(key string) bool {
	o, ok := t[key]
	return ok && o.derived == ""
}

// nearest gives the place of key, or of the nearest setting that contains it.
func (t trail) nearest(key string) (origin, bool) {
	for {
		if o, ok := t[key]; ok && o.derived == "" {
			return o, true
		}
		cut := strings.LastIndexAny(key, ".[")
		if cut < 0 {
			return origin{}, false
		}
		key = key[:cut]
	}
}

// join gives the key of name within parent.
func join(parent, name string) string {
	if parent == "" {
		return name
	}
	return parent + "." + name
}

// index gives the key of the i-th element of list.
func index(list string, i int) string { return list + "[" + strconv.Itoa(i) + "]" }

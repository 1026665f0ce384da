package config

import (
	"errors"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/caarlos0/env/v11"
)

// prefix starts every variable of ours.
const prefix = "PASSERELLE_"

// databaseURL is the variable that platforms set by custom; it stands for
// PASSERELLE_DATABASE_URL.
const databaseURL = "DATABASE_URL"

// foreign matches the variables that are not settings: those of tests, and
// those that Kubernetes makes for a Service whose name starts with "passerelle".
var foreign = regexp.MustCompile(`^PASSERELLE_(PEERS|BENCH|BENCH_SCALE|CONTRACTS|([A-Z0-9_]+_)?SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)|([A-Z0-9_]+_)?PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)

// variable is one setting that the environment may give.
type variable struct {
	field
	key string
}

// readEnvironment applies environ ("NAME=value", as os.Environ gives it) over c.
// An empty variable counts as absent.
func (r *reader) readEnvironment(c *Config, environ []string) {
	given := r.ours(environ)
	grow(reflect.ValueOf(c).Elem(), prefix, given)
	known := map[string]variable{}
	variables(reflect.ValueOf(c).Elem(), prefix, "", known)

	files := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		text := given[name]
		v, ok := known[name]
		if ok {
			if text != "" {
				r.readVariable(c, name, text, v)
			}
			continue
		}
		secret, isFile := strings.CutSuffix(name, "_FILE")
		switch v, ok = known[secret]; {
		case isFile && ok && v.secret():
			if text != "" {
				files[secret] = text
			}
		case strings.HasSuffix(name, "_PORT") && strings.HasPrefix(text, "tcp://"), foreign.MatchString(name):
		default:
			r.add("", origin{env: name}, "unknown variable")
		}
	}

	// The library may have replaced lists: the places to write to are looked up again.
	clear(known)
	variables(reflect.ValueOf(c).Elem(), prefix, "", known)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		v, place := known[name], origin{env: name + "_FILE"}
		if given[name] != "" {
			r.add(v.key, place, "both %s and %s_FILE are given: keep one", name, name)
			continue
		}
		if err := setSecretFile(v.value, files[name]); err != nil {
			r.add(v.key, place, "%v", err)
		}
		place.from = files[name]
		r.trail[v.key] = place
	}
}

// ours keeps the variables that start with our prefix, and DATABASE_URL under
// the name it stands for.
func (r *reader) ours(environ []string) map[string]string {
	all := env.ToMap(environ)
	given := map[string]string{}
	for name, text := range all {
		if strings.HasPrefix(name, prefix) {
			given[name] = text
		}
	}
	for _, suffix := range []string{"", "_FILE"} {
		custom, own := databaseURL+suffix, prefix+databaseURL+suffix
		switch text := all[custom]; {
		case text == "":
		case given[own] == "":
			given[own] = text
		case given[own] != text:
			r.add("database.url", origin{env: own}, "differs from %s: keep one", custom)
		}
	}
	return given
}

// readVariable sets one variable. One at a time, the library's error is about
// this variable and no other.
func (r *reader) readVariable(c *Config, name, text string, v variable) {
	place := origin{env: name}
	maps.DeleteFunc(r.trail, func(key string, _ origin) bool { return within(key, v.key) })
	r.trail[v.key] = place
	err := env.ParseWithOptions(c, env.Options{
		Environment: map[string]string{name: text},
		Prefix:      prefix,
		FuncMap: map[reflect.Type]env.ParserFunc{
			durationType: func(text string) (any, error) { return parseDuration(text) },
		},
	})
	if err == nil {
		return
	}
	t := v.value.Type()
	if isText(t) {
		var parse env.ParseError
		if errors.As(err, &parse) {
			r.add(v.key, place, "%v", parse.Err)
			return
		}
	}
	switch t.Kind() {
	case reflect.Slice:
		r.add(v.key, place, "%q is not a list, separated by commas, each %s", text, wanted(t.Elem()))
	case reflect.Map:
		r.add(v.key, place, "%q is not a list of name:value, separated by commas", text)
	default:
		r.add(v.key, place, "%v", notA(t, text))
	}
}

// variables lists what the environment may set below v.
func variables(v reflect.Value, prefix, key string, into map[string]variable) {
	for _, f := range fields(v) {
		name, at := f.tag.Get("env"), join(key, f.name)
		switch {
		case name == "-":
		case name != "":
			into[prefix+name] = variable{f, at}
		case f.value.Kind() == reflect.Struct:
			variables(f.value, prefix+f.tag.Get("envPrefix"), at, into)
		case f.value.Kind() == reflect.Slice:
			for i := range f.value.Len() {
				variables(f.value.Index(i), prefix+f.tag.Get("envPrefix")+strconv.Itoa(i)+"_", index(at, i), into)
			}
		}
	}
}

// grow appends to the lists of v the elements, with their defaults, that
// variables name: PASSERELLE_OPS_USERS_0_NAME makes the first user when there is none.
func grow(v reflect.Value, prefix string, given map[string]string) {
	for _, f := range fields(v) {
		below := prefix + f.tag.Get("envPrefix")
		switch {
		case f.tag.Get("env") != "":
		case f.value.Kind() == reflect.Struct:
			grow(f.value, below, given)
		case f.value.Kind() == reflect.Slice:
			for mentions(given, below+strconv.Itoa(f.value.Len())+"_") {
				f.value.Set(reflect.Append(f.value, newElement(f.value.Type().Elem())))
			}
			for i := range f.value.Len() {
				grow(f.value.Index(i), below+strconv.Itoa(i)+"_", given)
			}
		}
	}
}

// mentions reports whether a variable starts so.
func mentions(given map[string]string, start string) bool {
	for name := range given {
		if strings.HasPrefix(name, start) {
			return true
		}
	}
	return false
}

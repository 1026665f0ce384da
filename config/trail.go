package config

// trail remembers where each value came from, by its key (such as
// "datapass.sources[0].name").
type trail map[string]origin

// origin is the place of one value.
type origin struct {
	file string // YAML file
	line int
	env  string // name of the variable
	from string // secret file the value was read from
}

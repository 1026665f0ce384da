package config

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Connector is one partner. Config stays a node: the table of connectors in cmd
// knows the type it is decoded into (Decode).
type Connector struct {
	Name        string      `yaml:"name" env:"NAME"`
	Type        string      `yaml:"type" env:"TYPE"`
	Environment Environment `yaml:"environment" env:"ENVIRONMENT"` // default: hub.environment
	Paused      bool        `yaml:"paused" env:"PAUSED"`           // nothing is sent, jobs wait
	Config      yaml.Node   `yaml:"config" env:"-"`

	key, file, dir string
	decoded        any
	trail          trail
}

// Decode reads the connector's own settings over into, a pointer to its Config
// with the defaults set. It is as strict as Load and its error is FaultsError too:
// unknown keys, wrong types, `token_file` beside a Secret named `token`. There
// is no other way to a secret: the text of the file is never expanded.
//
// Config.Print shows what was decoded, secrets hidden.
func (c *Connector) Decode(into any) error {
	r := &reader{report: &report{file: c.file, trail: trail{}}, dir: c.dir}
	if err := r.decode(&c.Config, into, join(c.key, "config")); err != nil {
		return err
	}
	c.decoded, c.trail = into, r.trail
	return nil
}

// DecodeConnector is Connector.Decode for a node that Load did not read:
// faults have lines but no file, relative paths start at the current folder.
func DecodeConnector(node *yaml.Node, into any) error {
	r := &reader{report: &report{trail: trail{}}}
	return r.decode(node, into, "")
}

func (r *reader) decode(n *yaml.Node, into any, key string) error {
	if n.Kind == yaml.DocumentNode {
		n = n.Content[0]
	}
	if n.Kind != 0 {
		r.read(n, reflect.ValueOf(into).Elem(), key, "")
	}
	return r.err()
}

// UnknownTypeError: no connector is of that type.
type UnknownTypeError struct {
	Type  string
	Types []string // those that there are
}

func (e *UnknownTypeError) Error() string {
	return fmt.Sprintf("no connector %q: there are %s", e.Type, strings.Join(e.Types, ", "))
}

// settingRule is the key that begins a fault of a connector's Validate: "grants.api_x.plan".
var settingRule = regexp.MustCompile(`^[a-z][A-Za-z0-9_.\[\]-]*$`)

// own notes the faults of a connector's own settings, where they were given: of
// Decode as they are, of Validate (errors.Join, "key: problem") one a line.
func (r *report) own(c *Connector, err error) {
	var read FaultsError
	var unknown *UnknownTypeError
	switch {
	case errors.As(err, &read):
		r.faults = append(r.faults, read...)
		return
	case errors.As(err, &unknown):
		if c.Type != "" { // its lack was told already
			r.at(c.key+".type", "%v", unknown)
		}
		return
	}
	for problem := range strings.SplitSeq(err.Error(), "\n") {
		key := join(c.key, "config")
		if setting, rest, ok := strings.Cut(problem, ": "); ok && settingRule.MatchString(setting) {
			key, problem = join(key, setting), rest
		}
		o, found := c.trail.nearest(key)
		if !found {
			o, _ = r.trail.nearest(key)
		}
		r.add(key, o, "%s", problem)
	}
}

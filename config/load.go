package config

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// DefaultFile is the settings file when none is named, if it is there.
const DefaultFile = "passerelle.yml"

// maxFile bounds the settings file, in bytes.
const maxFile = 1 << 20

// Load reads the settings of path over the defaults, then environ (as
// os.Environ gives it) over them, and checks the whole. With an empty path it
// reads DefaultFile, and does without when there is none.
//
// Its error is FaultsError: everything wrong, at once.
func Load(path string, environ []string) (*Config, error) {
	return LoadWith(path, environ, nil)
}

// LoadWith is Load for a program that knows its connectors: read reads one's own
// settings (Connector.Decode) and checks them. Their faults are shown beside the
// others, each with its key and line.
func LoadWith(path string, environ []string, read func(*Connector) error) (*Config, error) {
	optional := path == ""
	if optional {
		path = DefaultFile
	}
	data, err := readBounded(path, maxFile)
	switch {
	case optional && errors.Is(err, os.ErrNotExist):
		path = ""
	case err != nil:
		return nil, FaultsError{{Place: path, Problem: "cannot be read: " + cause(err).Error()}}
	}
	return loadWith(path, data, environ, read)
}

// loadWith is LoadWith with the file's content; path is "" when there is no file.
func loadWith(path string, data []byte, environ []string, read func(*Connector) error) (*Config, error) {
	c := Default()
	c.trail = trail{}
	r := &reader{report: &report{file: path, trail: c.trail}, dir: filepath.Dir(path)}
	root, ok := r.parse(data)
	if !ok {
		return nil, r.err() // nothing else can be told apart from the broken syntax
	}
	if root != nil {
		r.read(root, reflect.ValueOf(c).Elem(), "", "")
	}
	for i := range c.Connectors {
		c.Connectors[i].file, c.Connectors[i].key, c.Connectors[i].dir = path, index("connectors", i), r.dir
	}
	r.readEnvironment(c, environ)
	c.settle()
	check(c, r.report)
	for i := range c.Connectors {
		if read == nil {
			break
		}
		if err := read(&c.Connectors[i]); err != nil {
			r.own(&c.Connectors[i], err)
		}
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	return c, nil
}

// parse gives the root of the one document of the file, nil when it is empty.
func (r *reader) parse(data []byte) (*yaml.Node, bool) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document, more yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil, true
	case err != nil:
		r.add("", r.syntaxPlace(err), "%s", syntaxProblem(err))
		return nil, false
	}
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		r.add("", origin{file: r.file, line: max(more.Line, 1)}, "holds more than one document (---)")
		return nil, false
	}
	return document.Content[0], true
}

var syntaxError = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)`)

func (r *reader) syntaxPlace(err error) origin {
	line := 1
	if m := syntaxError.FindStringSubmatch(err.Error()); m != nil && m[1] != "" {
		line, _ = strconv.Atoi(m[1])
	}
	return origin{file: r.file, line: line}
}

// syntaxProblem gives the parser's words, unless they quote what may be a secret.
func syntaxProblem(err error) string {
	m := syntaxError.FindStringSubmatch(err.Error())
	switch {
	case m == nil:
		return "is not YAML"
	case strings.Contains(m[2], "unknown anchor"):
		return "an alias (*) names no anchor (&): a value that starts with * needs quotes"
	default:
		return "is not YAML: " + m[2]
	}
}

// settle gives their value to the settings that follow others.
func (c *Config) settle() {
	follow := func(key, derived string, empty bool, set func()) {
		if empty {
			set()
			c.trail[key] = origin{derived: derived}
		}
	}
	c.Hub.PublicURL = strings.TrimRight(c.Hub.PublicURL, "/")
	if host, port, err := net.SplitHostPort(c.HTTP.Listen); err == nil && isLoopback(host) {
		scheme := "http://"
		if c.HTTP.TLS.Enabled() {
			scheme = "https://"
		}
		follow("hub.public_url", "http.listen", c.Hub.PublicURL == "", func() {
			c.Hub.PublicURL = scheme + net.JoinHostPort(host, port)
		})
	}
	for i := range c.DataPass.Sources {
		s, key := &c.DataPass.Sources[i], index("datapass.sources", i)
		follow(key+".environment", "hub.environment", s.Environment == "", func() { s.Environment = c.Hub.Environment })
		if !c.trail.explicit(key + ".catch_up_every") {
			follow(key+".catch_up_every", key+".api", !s.API.Enabled(), func() { s.CatchUpEvery = 0 })
		}
	}
	for i := range c.Connectors {
		p := &c.Connectors[i]
		follow(index("connectors", i)+".environment", "hub.environment", p.Environment == "", func() { p.Environment = c.Hub.Environment })
	}
	for i := range c.Provisioning {
		p := &c.Provisioning[i]
		follow(index("provisioning", i)+".environment", "hub.environment", p.Environment == "", func() { p.Environment = c.Hub.Environment })
	}
	if len(c.Sealing.Keys) == 1 {
		only := c.Sealing.Keys[0].ID
		follow("sealing.active", "sealing.keys[0].id", c.Sealing.Active == "", func() { c.Sealing.Active = only })
		follow("sealing.fingerprints", "sealing.keys[0].id", c.Sealing.Fingerprints == "", func() { c.Sealing.Fingerprints = only })
	}
	if _, domain, ok := strings.Cut(strings.TrimSuffix(c.Mail.From, ">"), "@"); ok {
		follow("mail.domain", "mail.from", c.Mail.Domain == "", func() { c.Mail.Domain = domain })
	}
	follow("handover.audience", "hub.public_url", c.Handover.Audience == "" && c.Hub.PublicURL != "", func() { c.Handover.Audience = c.Hub.PublicURL })
	if c.Jobs.Workers[defaultQueue] == 0 && !c.trail.explicit("jobs.workers."+defaultQueue) {
		c.Jobs.Workers[defaultQueue] = Default().Jobs.Workers[defaultQueue]
		c.trail["jobs.workers."+defaultQueue] = origin{}
	}
}

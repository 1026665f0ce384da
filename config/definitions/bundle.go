package definitions

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// bundleFormat is the version of a bundle's shape.
const bundleFormat = 1

// bundle is a set as it is stored: its files and options, not what was read
// from them, so that a later version of the program reads them anew.
type bundle struct {
	Format  int     `json:"format"`
	Options Options `json:"options"`
	Files   []file  `json:"files"` // by name
}

// Bundle is the whole content of the set as one JSON value, always the same
// bytes for the same files and options. It holds the contacts of the options.
func (s *Set) Bundle() []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(bundle{Format: bundleFormat, Options: s.options, Files: s.files}); err != nil {
		panic(err) // texts and booleans always encode
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// Hash identifies the content: the SHA-256 of Bundle, in hexadecimal. It
// survives a round trip through jsonb.
func (s *Set) Hash() string {
	sum := sha256.Sum256(s.Bundle())
	return hex.EncodeToString(sum[:])
}

// ErrBundle: stored content is not a bundle that this version reads.
var ErrBundle = errors.New("definitions: not a bundle")

// FromBundle rebuilds a set from Bundle. The error wraps ErrBundle when the
// content is not one, else it is the first fault of the files.
func FromBundle(content []byte) (*Set, error) {
	d := json.NewDecoder(bytes.NewReader(content))
	d.DisallowUnknownFields()
	var b bundle
	if err := d.Decode(&b); err != nil {
		return nil, ErrBundle // the decoder's error may quote the content
	}
	if b.Format != bundleFormat {
		return nil, fmt.Errorf("%w: format %d", ErrBundle, b.Format)
	}
	slices.SortFunc(b.Files, func(x, y file) int { return strings.Compare(x.Name, y.Name) })
	report := &Report{}
	set, _ := build(b.Files, b.Options, report)
	return set, report.Err()
}

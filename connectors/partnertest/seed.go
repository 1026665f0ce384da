package partnertest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"go.yaml.in/yaml/v3"
)

// DecodeSeed reads a simulator's seed file, YAML or JSON, into a struct with
// yaml tags. A key that the struct does not know is an error that names its
// line; an empty file leaves the struct as it is.
func DecodeSeed(text []byte, into any) error {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(into); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		return errors.New("a seed is one document")
	}
	return nil
}

// LoadSeed is DecodeSeed of a file; its errors name the file.
func LoadSeed(file string, into any) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := DecodeSeed(text, into); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

// UnmarshalYAML reads the admin surface's form of a fault from a seed.
func (f *Fault) UnmarshalYAML(node *yaml.Node) error {
	var value any
	if err := node.Decode(&value); err != nil {
		return err
	}
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("line %d: %w", node.Line, err)
	}
	if err := f.UnmarshalJSON(text); err != nil {
		return fmt.Errorf("line %d: %w", node.Line, err)
	}
	if err := f.Valid(); err != nil {
		return fmt.Errorf("line %d: %w", node.Line, err)
	}
	return nil
}

package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"strings"

	"github.com/passerelle-hub/passerelle/connectors"
)

// maxSecretFile bounds a file that holds a secret, in bytes.
const maxSecretFile = 64 << 10

// setSecretFile reads v, a Secret or a list of them, from a file: the end of
// the last line is dropped; a list has one secret a line.
func setSecretFile(v reflect.Value, path string) error {
	content, err := readSecretFile(path)
	if err != nil {
		return err
	}
	if v.Type() == secretType {
		v.Set(reflect.ValueOf(connectors.NewSecret(content)))
		return nil
	}
	var list []connectors.Secret
	for line := range strings.Lines(content) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			list = append(list, connectors.NewSecret(line))
		}
	}
	v.Set(reflect.ValueOf(list))
	return nil
}

// readSecretFile gives the file's content. Its errors name the file, never
// what is in it.
func readSecretFile(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("cannot read %s: %w", path, cause(err))
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a file", path)
	}
	content, err := readBounded(path, maxSecretFile)
	if err != nil {
		return "", fmt.Errorf("cannot read %s: %w", path, cause(err))
	}
	text := strings.TrimRight(string(content), "\r\n")
	if text == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	return text, nil
}

// readBounded reads a file of at most limit bytes.
func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("it is larger than %s", Size(limit))
	}
	return data, err
}

// cause drops the operation and the path that a file error repeats.
func cause(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}

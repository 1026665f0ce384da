package config

import (
	"encoding/base64"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"github.com/passerelle-hub/passerelle/connectors"
)

// sealingKeyBytes is the length of an AES-256 key.
const sealingKeyBytes = 32

// Bytes decodes the key. Load has checked its length: 32.
func (k SealingKey) Bytes() ([]byte, error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(strings.TrimSpace(k.Key.Reveal()))
	if err != nil {
		return nil, fmt.Errorf("sealing key %s is not base64", k.ID)
	}
	return raw, nil
}

var passwordHash = regexp.MustCompile(`^(\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}|\$argon2id\$v=\d+\$m=\d+,t=\d+,p=\d+\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+)$`)

// Hashed reports whether the password is a hash (bcrypt or argon2id), not clear.
func (u User) Hashed() bool { return passwordHash.MatchString(u.Password.Reveal()) }

// eachSecret calls do with every secret of the settings that is given.
func eachSecret(c *Config, do func(key string, s connectors.Secret)) {
	var walk func(v reflect.Value, key string)
	walk = func(v reflect.Value, key string) {
		switch {
		case v.Type() == secretType:
			if s, ok := v.Interface().(connectors.Secret); ok && !s.IsZero() {
				do(key, s)
			}
		case v.Type() == nodeType, isText(v.Type()):
		case v.Kind() == reflect.Struct:
			for _, f := range fields(v) {
				walk(f.value, join(key, f.name))
			}
		case v.Kind() == reflect.Slice:
			for i := range v.Len() {
				walk(v.Index(i), index(key, i))
			}
		}
	}
	walk(reflect.ValueOf(c).Elem(), "")
}

package jose

import (
	"errors"
	"strings"
	"testing"
)

func TestADetachedSignatureProvesItsContentOnly(t *testing.T) {
	t.Parallel()
	key, err := GenerateKey(ES256)
	if err != nil {
		t.Fatal(err)
	}
	content := []byte(`{"external_id":null}`)
	signature, err := key.SignDetached(content)
	if err != nil {
		t.Fatal(err)
	}
	if parts := strings.Split(signature, "."); len(parts) != 3 || parts[1] != "" {
		t.Errorf("%q is not header..signature", signature)
	}
	if err := key.Public().VerifyDetached(signature, content); err != nil {
		t.Error(err)
	}
	if err := key.Public().VerifyDetached(signature, append(content, '\n')); !errors.Is(err, ErrSignature) {
		t.Errorf("another content gives %v", err)
	}
	other, err := GenerateKey(ES256)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Public().VerifyDetached(signature, content); !errors.Is(err, ErrSignature) {
		t.Errorf("another key gives %v", err)
	}
	if _, err := (PrivateKey{}).SignDetached(content); !errors.Is(err, ErrNoSigningKey) {
		t.Errorf("no key gives %v", err)
	}
}

package token

import (
	"encoding/hex"
	"testing"
)

const sample = "psk_live_0000000000000000000000000000004HT7zC"

// The expected digests were computed with `printf %s VALUE | openssl dgst -sha256 [-hmac KEY]`.
func TestHashesAgreeWithOpenSSL(t *testing.T) {
	tests := map[string]struct{ got, want string }{
		"hash":                       {hex.EncodeToString(Hash(sample)), "6ed3d4c66505e56a68368cc5a1455ac0798d087e194d5e0db343981146f9e830"},
		"fingerprint":                {hex.EncodeToString(Fingerprint([]byte("0123456789abcdef0123456789abcdef"), sample)), "979bc04bff6d92466150ec0549de1c92b9c5141b38bf533319a28e64d486dbb5"},
		"acknowledgement of the key": {AckFingerprint(sample), "6ed3d4c66505e56a"},
	}
	for name, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("%s: got %s, want %s", name, tt.got, tt.want)
		}
	}
}

func TestMatchesAcceptsOnlyTheHashOfTheValue(t *testing.T) {
	hash := Hash(sample)
	if !Matches(sample, hash) {
		t.Error("the value does not match its own hash")
	}
	for name, other := range map[string][]byte{
		"no hash": nil, "a short hash": hash[:31], "another value's hash": Hash(sample + "x"),
	} {
		if Matches(sample, other) {
			t.Errorf("the value matches %s", name)
		}
	}
}

package tyk

import (
	"testing"

	"github.com/passerelle-hub/passerelle/connectors"
)

// The contract's sample, seen on a running 5.9 (tyk-key-create-custom.json).
func TestBase64FormAndHashAreThoseOfARunningTyk(t *testing.T) {
	token := tokenOf("default", connectors.NewSecret("datapass9001k1"))
	if token.Reveal() != "eyJvcmciOiJkZWZhdWx0IiwiaWQiOiJkYXRhcGFzczkwMDFrMSIsImgiOiJtdXJtdXI2NCJ9" {
		t.Errorf("%s", token.Reveal())
	}
	if hash := hashOf(token); hash != "be302e24a9c41644" {
		t.Errorf("%s", hash)
	}
}

// MurmurHash3_x64_128 with seed 0, first half: lengths on both sides of a block,
// as published with the algorithm's other implementations.
func TestHashOfTextsOfAnyLength(t *testing.T) {
	for text, want := range map[string]string{
		"": "0000000000000000", "hello": "cbd8a7b341bd9b02", "hello, world": "342fac623a5ebc8e",
		"19 Jan 2038 at 3:14:07 AM": "b89e5988b737affc", "The quick brown fox jumps over the lazy dog.": "cd99481f9ee902c9",
	} {
		if got := hashOf(connectors.NewSecret(text)); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

package tyktest

import "testing"

// The handle of the samples, and the published vectors of murmur3 (x64, 128 bits).
func TestHandlesAreMurmur3(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "0000000000000000",
		"The quick brown fox jumps over the lazy dog":                              "e34bbc7bbc071b6c",
		"The quick brown fox jumps over the lazy cog":                              "658ca970ff85269a",
		"eyJvcmciOiJkZWZhdWx0IiwiaWQiOiJkYXRhcGFzczkwMDFrMSIsImgiOiJtdXJtdXI2NCJ9": "be302e24a9c41644",
	} {
		if got := keyHash(text); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

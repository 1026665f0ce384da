package tyk

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/passerelle-hub/passerelle/connectors"
)

// hashFunction is Tyk's default hash_key_function, and a part of the base64 form.
const hashFunction = "murmur64"

// tokenOf is the base64 form of a key, which holders receive.
func tokenOf(org string, value connectors.Secret) connectors.Secret {
	text := fmt.Sprintf(`{"org":"%s","id":"%s","h":"%s"}`, org, value.Reveal(), hashFunction)
	return connectors.NewSecret(base64.StdEncoding.EncodeToString([]byte(text)))
}

// hashOf is the handle of a key: murmur3 of its base64 form (x64, the first half
// of 128 bits, seed 0), in 16 hexadecimal digits.
func hashOf(token connectors.Secret) string {
	const c1, c2 = 0x87c37b91114253d5, 0x4cf5ad432745937f
	data := []byte(token.Reveal())
	length := uint64(len(data))
	first := func(k uint64) uint64 { return bits.RotateLeft64(k*c1, 31) * c2 }
	second := func(k uint64) uint64 { return bits.RotateLeft64(k*c2, 33) * c1 }
	final := func(k uint64) uint64 {
		k = (k ^ k>>33) * 0xff51afd7ed558ccd
		k = (k ^ k>>33) * 0xc4ceb9fe1a85ec53
		return k ^ k>>33
	}
	var h1, h2 uint64
	for len(data) >= 16 {
		h1 = (bits.RotateLeft64(h1^first(binary.LittleEndian.Uint64(data)), 27)+h2)*5 + 0x52dce729
		h2 = (bits.RotateLeft64(h2^second(binary.LittleEndian.Uint64(data[8:])), 31)+h1)*5 + 0x38495ab5
		data = data[16:]
	}
	tail := make([]byte, 16)
	copy(tail, data)
	h2 ^= second(binary.LittleEndian.Uint64(tail[8:]))
	h1 ^= first(binary.LittleEndian.Uint64(tail))
	h1 ^= length
	h2 ^= length
	h1 += h2
	h2 += h1
	return fmt.Sprintf("%016x", final(h1)+final(h2))
}

package tyktest

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/bits"
	"strings"
)

// tokenFor is the base64 form of a key: {"org":…,"id":…,"h":"murmur64"}.
func tokenFor(org, id string) string {
	return base64.StdEncoding.EncodeToString([]byte(`{"org":"` + org + `","id":"` + id + `","h":"murmur64"}`))
}

// orgOf is the organisation of a key in base64 form; "" for one in raw form.
func orgOf(key string) string {
	if !strings.HasPrefix(key, "ey") {
		return ""
	}
	text, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		return ""
	}
	var token struct {
		Org string `json:"org"`
	}
	if err := json.Unmarshal(text, &token); err != nil {
		return ""
	}
	return token.Org
}

// keyHash is the handle of a key: murmur3 (x64, first half of 128 bits) of its
// base64 form, in 16 hexadecimal digits.
func keyHash(token string) string { return fmt.Sprintf("%016x", murmur64([]byte(token))) }

func murmur64(data []byte) uint64 {
	const c1, c2 = 0x87c37b91114253d5, 0x4cf5ad432745937f
	var h1, h2 uint64
	length := uint64(len(data))
	mix1 := func(k uint64) uint64 { return bits.RotateLeft64(k*c1, 31) * c2 }
	mix2 := func(k uint64) uint64 { return bits.RotateLeft64(k*c2, 33) * c1 }
	for ; len(data) >= 16; data = data[16:] {
		h1 ^= mix1(binary.LittleEndian.Uint64(data))
		h1 = (bits.RotateLeft64(h1, 27)+h2)*5 + 0x52dce729
		h2 ^= mix2(binary.LittleEndian.Uint64(data[8:]))
		h2 = (bits.RotateLeft64(h2, 31)+h1)*5 + 0x38495ab5
	}
	var tail [16]byte
	copy(tail[:], data)
	h2 ^= mix2(binary.LittleEndian.Uint64(tail[8:]))
	h1 ^= mix1(binary.LittleEndian.Uint64(tail[:]))
	h1 ^= length
	h2 ^= length
	h1 += h2
	h2 += h1
	h1, h2 = murmurFinal(h1), murmurFinal(h2)
	return h1 + h2
}

func murmurFinal(k uint64) uint64 {
	k ^= k >> 33
	k *= 0xff51afd7ed558ccd
	k ^= k >> 33
	k *= 0xc4ceb9fe1a85ec53
	return k ^ k>>33
}

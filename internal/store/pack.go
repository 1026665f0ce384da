package store

import (
	"errors"
	"fmt"

	"github.com/klauspost/compress/s2"
)

// Bodies are kept packed (S2, which costs microseconds): JSON shrinks to a
// third, and with it what every commit writes.
func pack(body []byte) []byte { return s2.Encode(nil, body) }

// maxUnpacked bounds what a stored body may grow to, in bytes: more than any
// body that is let in.
const maxUnpacked = 64 << 20

func unpack(packed []byte) ([]byte, error) {
	n, err := s2.DecodedLen(packed)
	if err != nil || n > maxUnpacked {
		return nil, fmt.Errorf("unpack a stored body of %d bytes: %w", n, errors.Join(err, errors.New("not one of ours")))
	}
	return s2.Decode(nil, packed)
}

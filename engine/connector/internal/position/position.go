// Package position encodes the replayable positions of the connectors: a few
// 64-bit numbers, little-endian, so that a position can be read in a dump of a
// checkpoint.
package position

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Append appends the numbers to dst and returns the extended slice.
func Append(dst []byte, numbers ...uint64) []byte {
	for _, n := range numbers {
		dst = binary.LittleEndian.AppendUint64(dst, n)
	}
	return dst
}

// Parse reads exactly len(into) numbers. A nil position, the beginning of a
// split, leaves into as it is. Numbers above the largest int64 are refused, so
// that callers may convert.
func Parse(position []byte, into ...*int64) error {
	if position == nil {
		return nil
	}
	if len(position) != 8*len(into) {
		return fmt.Errorf("position has %d bytes, %d expected", len(position), 8*len(into))
	}
	for i, p := range into {
		n := binary.LittleEndian.Uint64(position[8*i:])
		if n > math.MaxInt64 {
			return fmt.Errorf("number %d of the position is %d, more than an int64 holds", i, n)
		}
		*p = int64(n)
	}
	return nil
}

// Package keyhash computes the hash that places a key: XXH3-64 with seed 0 over
// the canonical encoding of the key. The identifier of the function stands in
// every manifest; format/SPEC.md lists vectors.
//
// It is a package of its own so that keygroup, and with it format, needs
// nothing but the standard library.
package keyhash

import (
	"encoding/binary"
	"math/bits"

	"github.com/zeebo/xxh3"

	"github.com/tidemark-io/tidemark/keygroup"
)

// Name is the identifier of the hash function in a manifest.
const Name = "xxh3-64/0"

// Sum64 is the 64-bit hash of a canonically encoded key. Its upper half places
// the key ([Of]); hash tables take the lower half besides.
func Sum64(key []byte) uint64 {
	if len(key) == 8 {
		return sum8(binary.LittleEndian.Uint64(key))
	}
	return xxh3.Hash(key)
}

// Constants of XXH3-64 for 4 to 8 bytes: two words of its secret, combined, and
// the multiplier of its final mix. See the specification of xxHash, section
// "XXH3 Algorithm Overview".
const (
	flip8 = 0x1cad21f72c81017c ^ 0xdb979083e96dd4de
	mix8  = 0x9fb21c651e98df25
)

// sum8 is the hash of the eight bytes of a word, the most frequent length by
// far: integers and times. It is worth doing without a call, since a key is
// hashed at both ends of an exchange. A test compares it with the library.
func sum8(word uint64) uint64 {
	h := bits.RotateLeft64(word, 32) ^ flip8
	h ^= bits.RotateLeft64(h, 49) ^ bits.RotateLeft64(h, 24)
	h *= mix8
	h ^= h>>35 + 8
	h *= mix8
	return h ^ h>>28
}

// Of is the part of the hash that places a key: the upper 32 bits of [Sum64].
func Of(key []byte) keygroup.Hash { return keygroup.Hash(Sum64(key) >> 32) }

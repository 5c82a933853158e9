// Package keyhash computes the hash that places a key: XXH3-64 with seed 0 over
// the canonical encoding of the key. The identifier of the function stands in
// every manifest; format/SPEC.md lists vectors.
//
// It is a package of its own so that keygroup, and with it format, needs
// nothing but the standard library.
package keyhash

import (
	"github.com/zeebo/xxh3"

	"github.com/tidemark-io/tidemark/keygroup"
)

// Name is the identifier of the hash function in a manifest.
const Name = "xxh3-64/0"

// Sum64 is the 64-bit hash of a canonically encoded key. Its upper half places
// the key ([Of]); hash tables take the lower half besides.
func Sum64(key []byte) uint64 { return xxh3.Hash(key) }

// Of is the part of the hash that places a key: the upper 32 bits of [Sum64].
func Of(key []byte) keygroup.Hash { return keygroup.Hash(Sum64(key) >> 32) }

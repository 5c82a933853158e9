package metadata

import (
	"encoding/binary"
	"math/bits"
	"strings"
)

// IDOfUID is the id that Flink gives an operator with a uid: MurmurHash3, x64,
// 128 bits, seed 0, of its UTF-8 bytes (StreamGraphHasherV2). An operator without
// a uid has an id made from the shape of the job graph, which cannot be computed
// here.
func IDOfUID(uid string) OperatorID {
	// Java encodes half a surrogate pair as "?".
	h1, h2 := murmur3([]byte(strings.ToValidUTF8(uid, "?")))
	var id OperatorID
	binary.LittleEndian.PutUint64(id[:8], h1)
	binary.LittleEndian.PutUint64(id[8:], h2)
	return id
}

// Constants of MurmurHash3_x64_128 (Austin Appleby, public domain).
const (
	murmurC1 = 0x87C37B91114253D5
	murmurC2 = 0x4CF5AD432745937F
)

func murmur3(data []byte) (h1, h2 uint64) {
	n := uint64(len(data))
	for ; len(data) >= 16; data = data[16:] {
		h1 ^= mixFirst(binary.LittleEndian.Uint64(data))
		h1 = (bits.RotateLeft64(h1, 27)+h2)*5 + 0x52DCE729
		h2 ^= mixSecond(binary.LittleEndian.Uint64(data[8:]))
		h2 = (bits.RotateLeft64(h2, 31)+h1)*5 + 0x38495AB5
	}
	var tail [16]byte // zeros change nothing
	copy(tail[:], data)
	h1 ^= mixFirst(binary.LittleEndian.Uint64(tail[:8]))
	h2 ^= mixSecond(binary.LittleEndian.Uint64(tail[8:]))
	h1 ^= n
	h2 ^= n
	h1 += h2
	h2 += h1
	h1, h2 = finish(h1), finish(h2)
	h1 += h2
	h2 += h1
	return h1, h2
}

func mixFirst(k uint64) uint64 {
	return bits.RotateLeft64(k*murmurC1, 31) * murmurC2
}

func mixSecond(k uint64) uint64 {
	return bits.RotateLeft64(k*murmurC2, 33) * murmurC1
}

func finish(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xFF51AFD7ED558CCD
	h ^= h >> 33
	h *= 0xC4CEB9FE1A85EC53
	h ^= h >> 33
	return h
}

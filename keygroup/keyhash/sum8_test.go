package keyhash

import (
	"encoding/binary"
	"testing"

	"github.com/zeebo/xxh3"
)

// TestEightBytes: the short cut for words is the function itself.
func TestEightBytes(t *testing.T) {
	word := uint64(0x9e3779b97f4a7c15)
	check := func(w uint64) {
		key := binary.LittleEndian.AppendUint64(nil, w)
		if got, want := Sum64(key), xxh3.Hash(key); got != want {
			t.Fatalf("%x hashes to %016x, want %016x", key, got, want)
		}
	}
	for bit := range 64 {
		check(1 << bit)
		check(^uint64(1 << bit))
	}
	for range 100_000 {
		word ^= word << 13
		word ^= word >> 7
		word ^= word << 17
		check(word)
	}
}

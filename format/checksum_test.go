package format

import (
	"encoding/binary"
	"math/bits"
	"testing"

	"pgregory.net/rapid"
)

// TestJoinChecksums compares joined checksums with one over all bytes.
func TestJoinChecksums(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.SliceOfN(rapid.Byte(), 0, 100).Draw(t, "a")
		b := rapid.SliceOfN(rapid.Byte(), 0, 3000).Draw(t, "b")
		want := Checksum(append(a[:len(a):len(a)], b...))
		if got := JoinChecksums(Checksum(a), Checksum(b), uint64(len(b))); got != want {
			t.Fatalf("joined %08x, expected %08x", got, want)
		}
	})
	// Long ones: bytes that are not there in memory, by doubling.
	crc, zeros := Checksum([]byte("tidemark")), Checksum([]byte{0})
	for n := uint64(1); n <= 1<<34; n *= 2 {
		half := JoinChecksums(JoinChecksums(crc, zeros, n), zeros, n)
		twice := JoinChecksums(zeros, zeros, n)
		if got := JoinChecksums(crc, twice, 2*n); got != half {
			t.Errorf("%d bytes: joined at once %08x, in halves %08x", 2*n, got, half)
		}
		zeros = twice
	}
}

func TestSealed(t *testing.T) {
	block, crc := appendChecksum([]byte("a block"), 0)
	tail := [4]byte(block[len(block)-4:])
	if !Sealed(crc, tail) {
		t.Error("a block is not sealed by its own checksum")
	}
	if Sealed(crc, [4]byte(binary.LittleEndian.AppendUint32(nil, crc))) || Sealed(bits.Reverse32(crc), tail) {
		t.Error("a block is sealed by another checksum")
	}
}

package format

import (
	"encoding/binary"
	"math/bits"
)

// maxBitFlip is the largest block that FindBitFlip searches. Within it no two
// single flipped bits have the same effect on the checksum.
const maxBitFlip = 64<<10 + MaxHeader

// FindBitFlip tells whether one flipped bit explains why a block does not have
// the checksum that its parent states, and which: bit 0 is the lowest bit of
// the byte at offset. ok is false if no single bit does, if nothing is wrong,
// or if the block is larger than about 64 KiB. It is for the tools that name
// damage; nothing is ever repaired by it.
func FindBitFlip(block []byte, crc uint32) (offset, bit int, ok bool) {
	if len(block) <= crcSize || len(block) > maxBitFlip {
		return 0, 0, false
	}
	body, sum, stored := splitChecksum(block)
	if sum == crc {
		// The content is right; then the stored checksum is the damage.
		diff := binary.LittleEndian.Uint32(block[len(body):]) ^ bits.RotateLeft32(crc, crcRotation)
		if bits.OnesCount32(diff) != 1 {
			return 0, 0, false
		}
		at := bits.TrailingZeros32(diff)
		return len(body) + at/8, at % 8, true
	}
	if stored != crc {
		return 0, 0, false
	}
	// A checksum is linear: the difference that a flipped bit makes depends
	// on its distance from the end only. Walk back from there, one byte of
	// distance at a time.
	diff := sum ^ crc
	var effects [8]uint32
	for b := range effects {
		effects[b] = castagnoli[1<<b]
	}
	for at := len(body) - 1; at >= 0; at-- {
		for b, effect := range effects {
			if effect == diff {
				return at, b, true
			}
			effects[b] = castagnoli[byte(effect)] ^ effect>>8
		}
	}
	return 0, 0, false
}

package format

import (
	"encoding/binary"
	"hash/crc32"
	"math/bits"
	"sync"
)

// crcSize is the length of a stored checksum.
const crcSize = 4

// crcRotation is by how many bits a checksum is rotated left before it is
// stored behind the bytes that it covers. A CRC of bytes followed by their own
// plain CRC is a constant, so the checksum of a whole object would not depend
// on the content of its blocks; rotated, it does. A rotation keeps the number
// of flipped bits, so the guarantees for 1 to 3 of them hold.
const crcRotation = 15

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Checksum is the CRC-32C of data, as parents state it.
func Checksum(data []byte) uint32 { return crc32.Checksum(data, castagnoli) }

// UpdateChecksum is the CRC-32C of what crc covers followed by data.
func UpdateChecksum(crc uint32, data []byte) uint32 {
	return crc32.Update(crc, castagnoli, data)
}

// Sealed reports whether tail, the last bytes of a block, is the stored form of
// the checksum of what stands before it, for tools that read a block piecewise.
func Sealed(crc uint32, tail [crcSize]byte) bool {
	return bits.RotateLeft32(binary.LittleEndian.Uint32(tail[:]), -crcRotation) == crc
}

// JoinChecksums is the CRC-32C of what crc covers followed by length bytes whose
// own checksum is next. It takes less than a microsecond however long they
// are, so that bytes need not be read by the processor once for their block
// and once for their object.
func JoinChecksums(crc, next uint32, length uint64) uint32 {
	// Appending a zero byte multiplies the checksum, as a polynomial over GF(2),
	// by x^8 modulo that of CRC-32C; so crc is multiplied by x^(8·length).
	for place := 0; length > 0; place, length = place+1, length>>8 {
		if digit := length & 0xff; digit != 0 {
			crc = multiply(crc, shifts()[place][digit])
		}
	}
	return crc ^ next
}

// shifts are x^(8·digit·256^place), for lengths written with digits of a byte.
var shifts = sync.OnceValue(func() *[8][256]uint32 {
	var all [8][256]uint32
	unit := uint32(1 << 23) // x^8: the highest bit is x^0
	for place := range all {
		all[place][0] = 1 << 31
		for digit := 1; digit < 256; digit++ {
			all[place][digit] = multiply(all[place][digit-1], unit)
		}
		unit = multiply(all[place][255], unit)
	}
	return &all
})

// multiply multiplies two polynomials, bits reflected, modulo that of CRC-32C.
func multiply(a, b uint32) (product uint32) {
	for ; a != 0; a <<= 1 {
		product ^= b & -(a >> 31)
		b = b>>1 ^ crc32.Castagnoli&-(b&1)
	}
	return product
}

// appendChecksum appends the stored form of the checksum of dst[from:] and
// returns the plain form too.
func appendChecksum(dst []byte, from int) ([]byte, uint32) {
	crc := Checksum(dst[from:])
	return binary.LittleEndian.AppendUint32(dst, bits.RotateLeft32(crc, crcRotation)), crc
}

// splitChecksum returns the bytes before the stored checksum, their checksum,
// and whether the stored one agrees. unit has at least crcSize bytes.
func splitChecksum(unit []byte) (body []byte, crc, stored uint32) {
	body = unit[:len(unit)-crcSize]
	stored = bits.RotateLeft32(binary.LittleEndian.Uint32(unit[len(body):]), -crcRotation)
	return body, Checksum(body), stored
}

package format

import (
	"encoding/binary"
	"hash/crc32"
	"math/bits"
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

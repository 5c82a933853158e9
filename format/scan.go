package format

import (
	"encoding/binary"
	"io"
	"math"
)

// StatedLength tells how long a block of the kind says that it is whose first
// bytes are head, and how much it says to hold. It is for tools that look for
// blocks whose index is lost: nothing of it is true before [SelfRef] has
// compared the checksum. ok is false if no block of the kind begins like that.
func StatedLength(head []byte, kind Kind) (length uint64, rows, decoded uint32, ok bool) {
	info := kinds[kind]
	if info == nil || len(head) == 0 || Kind(head[0]) != kind {
		return 0, 0, 0, false
	}
	at := 1
	number := func() uint64 {
		v, n := binary.Uvarint(head[min(at, len(head)):])
		if n <= 0 || v > math.MaxUint32 {
			at = len(head) + 1
			return 0
		}
		at += n
		return v
	}
	n := number()
	var plain, stored uint64
	for range info.columns {
		if at >= len(head) {
			return 0, 0, 0, false
		}
		flags := head[at]
		at++
		codec := Codec(flags & columnCodecMask)
		if !codec.valid() || flags&^(columnCodecMask|columnFixedWidth) != 0 {
			return 0, 0, 0, false
		}
		if flags&columnFixedWidth != 0 {
			number()
		}
		size := number()
		plain += size
		if codec != CodecNone {
			size = number()
		}
		stored += size
	}
	if at > len(head) || n == 0 || n > plain || plain > math.MaxUint32 {
		return 0, 0, 0, false
	}
	return uint64(at) + stored + crcSize, uint32(n), uint32(plain), true
}

// MaxBlockHead is more than the bytes in front of a block's columns.
const MaxBlockHead = 512

// SelfRef describes a block by itself, as its index would, but for Offset and
// First. ok is false if its checksum does not hold: the block is damaged, or
// none at all. A block that is described by itself may be stale or misplaced;
// the caller has to know that its object is the right one.
func SelfRef(data []byte, kind Kind) (ref BlockRef, ok bool) {
	length, rows, decoded, ok := StatedLength(data[:min(len(data), MaxBlockHead)], kind)
	if !ok || length != uint64(len(data)) {
		return BlockRef{}, false
	}
	_, crc, stored := splitChecksum(data)
	if crc != stored {
		return BlockRef{}, false
	}
	return BlockRef{Length: uint32(length), CRC: crc, Rows: rows, Decoded: decoded}, true
}

// ReadObjectHeader reads the header of a data object of size bytes, of which
// nothing else need be intact. What is wrong with it is a [*CorruptError].
func ReadObjectHeader(r io.ReaderAt, size int64, object string) (Header, error) {
	head := make([]byte, max(0, min(size, MaxHeader)))
	if err := readFull(r, head, object, "header", 0); err != nil {
		return Header{}, err
	}
	h, _, _, err := decodeHeader(head, uint64(len(head)), objectFile)
	if err != nil {
		return Header{}, &CorruptError{object, 0, "header", err}
	}
	return h, nil
}

// ManifestLength is the length that the header of a manifest states, whose first
// bytes are head. ok is false if the header does not read.
func ManifestLength(head []byte) (length uint64, ok bool) {
	h, _, _, err := decodeHeader(head[:min(len(head), MaxHeader)], uint64(len(head)), manifestFile)
	return h.Length, err == nil && h.Length > 0
}

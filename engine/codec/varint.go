package codec

import "encoding/binary"

// maxVarint is the longest encoding of a 64-bit number, in bytes.
const maxVarint = binary.MaxVarintLen64

// uvarint reads a canonical varint (the shortest form only) at src[pos:].
// The result never exceeds 64 bits.
func uvarint(path string, src []byte, pos int) (v uint64, next int, err error) {
	if pos < len(src) && src[pos] < 0x80 { // the common case: one byte
		return uint64(src[pos]), pos + 1, nil
	}
	v, n := binary.Uvarint(src[pos:])
	switch {
	case n == 0:
		return 0, 0, short(path, pos, 1, 0)
	case n < 0:
		return 0, 0, invalid(path, pos, "varint exceeds 64 bits")
	case n > 1 && src[pos+n-1] == 0:
		return 0, 0, invalid(path, pos, "varint of %d bytes is not the shortest form", n)
	}
	return v, pos + n, nil
}

// span reads a varint length and returns the bounds of the bytes behind it.
// The length is compared with the bytes at hand before it is used as an int.
func span(path string, src []byte, pos int) (from, to int, err error) {
	n, from, err := uvarint(path, src, pos)
	if err != nil {
		return 0, 0, err
	}
	if left := len(src) - from; n > uint64(left) {
		return 0, 0, &DecodeError{
			Path: path, Offset: pos, Class: ErrShort,
			Detail: lengthDetail(n, left),
		}
	}
	return from, from + int(n), nil
}

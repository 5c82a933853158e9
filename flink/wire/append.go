package wire

import (
	"encoding/binary"
	"math"
	"unicode/utf8"
)

// AppendU16, AppendI32 and AppendI64 append big-endian numbers.
func AppendU16(dst []byte, v uint16) []byte { return binary.BigEndian.AppendUint16(dst, v) }

// AppendI32 appends a number of four bytes.
func AppendI32(dst []byte, v int32) []byte { return binary.BigEndian.AppendUint32(dst, uint32(v)) }

// AppendI64 appends a number of eight bytes.
func AppendI64(dst []byte, v int64) []byte { return binary.BigEndian.AppendUint64(dst, uint64(v)) }

// AppendBool appends one byte, 0 or 1.
func AppendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// AppendBytes32 appends a length of four bytes and the bytes.
func AppendBytes32(dst, b []byte) ([]byte, error) {
	if uint64(len(b)) > math.MaxInt32 {
		return dst, OverLimit(uint64(len(b)), math.MaxInt32)
	}
	return append(AppendI32(dst, int32(len(b))), b...), nil
}

// AppendUTF appends what Java's writeUTF writes. It fails if that is longer than
// 65,535 bytes.
func AppendUTF(dst []byte, s string) ([]byte, error) {
	at := len(dst)
	dst = append(dst, 0, 0)
	for u := range Units(s) {
		switch {
		case u != 0 && u < utf8.RuneSelf:
			dst = append(dst, byte(u))
		case u < 0x800:
			dst = append(dst, 0xC0|byte(u>>6), 0x80|byte(u)&0xBF)
		default:
			dst = three(dst, u)
		}
	}
	n := len(dst) - at - 2
	if n > math.MaxUint16 {
		return dst[:at], OverLimit(uint64(n), math.MaxUint16)
	}
	binary.BigEndian.PutUint16(dst[at:], uint16(n))
	return dst, nil
}

// AppendVarUint appends a number of 7 bits a byte, the low ones first.
func AppendVarUint(dst []byte, v uint64) []byte { return binary.AppendUvarint(dst, v) }

// AppendStr appends a string as StringValue.writeString does.
func AppendStr(dst []byte, s string) []byte {
	n := uint64(1)
	for range Units(s) {
		n++
	}
	dst = AppendVarUint(dst, n)
	for u := range Units(s) {
		dst = AppendVarUint(dst, uint64(u))
	}
	return dst
}

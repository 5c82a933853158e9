package format

import (
	"encoding/binary"
	"math/bits"
)

// maxVarint is the length of the longest varint.
const maxVarint = 10

// varintLen is the length of the shortest varint of v.
func varintLen(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }

// zigzag maps small signed numbers to small unsigned ones.
func zigzag(v int64) uint64 { return uint64(v)<<1 ^ uint64(v>>63) }

// unzigzag undoes zigzag.
func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }

// uvarint reads one canonical varint from the front of data. n is its length,
// 0 if the bytes end within it, and negative if it is longer than the shortest
// form or does not fit 64 bits.
func uvarint(data []byte) (v uint64, n int) {
	if len(data) > 0 && data[0] < 0x80 {
		return uint64(data[0]), 1
	}
	if len(data) > 1 && data[1] < 0x80 && data[1] > 0 {
		return uint64(data[0]&0x7f) | uint64(data[1])<<7, 2
	}
	for i := 0; i < len(data) && i < maxVarint; i++ {
		c := data[i]
		if c >= 0x80 {
			v |= uint64(c&0x7f) << (7 * i)
			continue
		}
		if c == 0 || i == maxVarint-1 && c > 1 {
			return 0, -1
		}
		return v | uint64(c)<<(7*i), i + 1
	}
	if len(data) >= maxVarint {
		return 0, -1
	}
	return 0, 0
}

// decoder reads fields one after the other. After the first failure every
// further call returns zero, so that callers ask once, at the end.
type decoder struct {
	data []byte
	pos  int
	err  error
}

// left is the number of bytes not yet read, 0 after a failure.
func (d *decoder) left() int {
	if d.err != nil {
		return 0
	}
	return len(d.data) - d.pos
}

// fail records the first failure.
func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
}

// take returns the next n bytes, which alias the input.
func (d *decoder) take(n uint64, what string) []byte {
	if d.err != nil {
		return nil
	}
	if n > uint64(len(d.data)-d.pos) {
		d.fail(malformedEnd(what, n, len(d.data)-d.pos))
		return nil
	}
	b := d.data[d.pos : d.pos+int(n) : d.pos+int(n)]
	d.pos += int(n)
	return b
}

// malformedEnd is a field that reaches beyond its unit. Units have a length of
// their own, so this is not a truncation of the file.
func malformedEnd(what string, want uint64, have int) error {
	return malformed("%s of %d bytes, %d are left", what, want, have)
}

// byte reads one byte.
func (d *decoder) byte(what string) byte {
	if b := d.take(1, what); b != nil {
		return b[0]
	}
	return 0
}

// u16, u32 and u64 read fixed-width little-endian integers.
func (d *decoder) u16(what string) uint16 {
	if b := d.take(2, what); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (d *decoder) u32(what string) uint32 {
	if b := d.take(4, what); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (d *decoder) u64(what string) uint64 {
	if b := d.take(8, what); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// uvarint reads a canonical varint.
func (d *decoder) uvarint(what string) uint64 {
	if d.err != nil {
		return 0
	}
	v, n := uvarint(d.data[d.pos:])
	switch {
	case n == 0:
		d.fail(malformed("%s ends within a varint", what))
	case n < 0:
		d.fail(malformed("%s is not a canonical varint of 64 bits", what))
	default:
		d.pos += n
	}
	return v
}

// bytes reads a varint length, at most limit, and as many bytes, which alias
// the input.
func (d *decoder) bytes(limit uint64, what string) []byte {
	n := d.uvarint(what)
	if n > limit {
		d.fail(overLimit("length of "+what, n, limit))
		return nil
	}
	return d.take(n, what)
}

// end requires that everything was read.
func (d *decoder) end(what string) error {
	if n := d.left(); n > 0 {
		d.fail(malformed("%d bytes behind the end of the %s", n, what))
	}
	return d.err
}

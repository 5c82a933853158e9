package wire

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
)

// DefaultLimit is the largest length of one value, in bytes, that a Reader
// accepts unless SetLimit says otherwise.
const DefaultLimit = 256 << 20

// step is how much is read from a source at once, and the most that is allocated
// before the bytes it is for have arrived.
const step = 64 << 10

// Reader reads values one after the other. The zero Reader is empty.
type Reader struct {
	object  string
	src     io.Reader // nil: buf is all there is
	buf     []byte
	pos     int   // of the next byte in buf
	keep    int   // from here on buf must stay; -1: nothing
	base    int64 // offset of buf[0]
	ahead   int64 // bytes the source still has, -1 if unknown
	limit   uint64
	err     error
	decoded bool
}

// NewBytes returns a Reader of data, which lies at the given offset of the named
// object. Slices that the Reader returns alias data.
func NewBytes(object string, offset int64, data []byte) *Reader {
	r := new(Reader)
	r.ResetBytes(object, offset, data)
	return r
}

// ResetBytes makes r read data as NewBytes does, keeping its limit.
func (r *Reader) ResetBytes(object string, offset int64, data []byte) {
	limit := r.limit
	if limit == 0 {
		limit = DefaultLimit
	}
	*r = Reader{object: object, buf: data, base: offset, keep: -1, limit: limit}
}

// NewStream returns a Reader of a source that begins at the given offset of the
// named object and has size bytes, or an unknown number if size is negative.
// Slices that the Reader returns are valid until its next call.
func NewStream(object string, offset int64, src io.Reader, size int64) *Reader {
	return &Reader{object: object, src: src, base: offset, keep: -1, ahead: max(size, -1), limit: DefaultLimit}
}

// SetLimit sets the largest length of one value, in bytes.
func (r *Reader) SetLimit(bytes uint64) { r.limit = bytes }

// SetDecoded says that offsets count decompressed bytes; errors then say so.
func (r *Reader) SetDecoded() { r.decoded = true }

// Object is the name of what is read.
func (r *Reader) Object() string { return r.object }

// Offset is that of the next byte in the object.
func (r *Reader) Offset() int64 { return r.base + int64(r.pos) }

// Err is the first failure, a *Error, or nil.
func (r *Reader) Err() error { return r.err }

// Left is the number of bytes not read yet: 0 after a failure, -1 if the source
// does not know.
func (r *Reader) Left() int64 {
	switch {
	case r.err != nil:
		return 0
	case r.src != nil && r.ahead < 0:
		return -1
	}
	return int64(len(r.buf)-r.pos) + r.ahead
}

// Fail records a failure at the present offset, unless there was one before.
func (r *Reader) Fail(what string, err error) { r.FailAt(r.Offset(), what, err) }

// FailAt records a failure at an offset, unless there was one before.
func (r *Reader) FailAt(offset int64, what string, err error) {
	if r.err == nil && err != nil {
		r.err = &Error{Object: r.object, Offset: offset, Decoded: r.decoded, What: what, Err: err}
	}
}

// Mark makes the Reader keep everything from here on, until Unmark.
func (r *Reader) Mark() { r.keep = r.pos }

// Marked returns what was read since Mark. It is valid until the next call of
// the Reader; for a Reader of a slice as long as the slice.
func (r *Reader) Marked() []byte {
	if r.keep < 0 {
		return nil
	}
	return r.buf[r.keep:r.pos:r.pos]
}

// Unmark ends the effect of Mark.
func (r *Reader) Unmark() { r.keep = -1 }

// fill makes n bytes available behind pos, or fails.
func (r *Reader) fill(n uint64, what string) bool {
	if r.err != nil {
		return false
	}
	have := uint64(len(r.buf) - r.pos)
	if n <= have {
		return true
	}
	if n > r.limit {
		r.Fail("length of "+what, OverLimit(n, r.limit))
		return false
	}
	if r.src == nil || r.ahead >= 0 && n-have > uint64(r.ahead) {
		r.truncated(n, what)
		return false
	}
	r.compact()
	for uint64(len(r.buf)-r.pos) < n {
		if !r.more(what, n) {
			return false
		}
	}
	return true
}

// compact drops the bytes nobody asks for again.
func (r *Reader) compact() {
	from := r.pos
	if r.keep >= 0 {
		from, r.keep = r.keep, 0
	}
	r.base += int64(from)
	r.buf = r.buf[:copy(r.buf, r.buf[from:])]
	r.pos -= from
}

// more reads one step of the source, at most as much as has arrived already or
// the size of a step, whichever is larger.
func (r *Reader) more(what string, n uint64) bool {
	if held := uint64(len(r.buf)); held > r.limit && held-r.limit > step {
		r.Fail(what, OverLimit(held, r.limit))
		return false
	}
	grow := int64(max(step, len(r.buf)))
	if r.ahead >= 0 {
		grow = min(grow, r.ahead)
	}
	if int64(cap(r.buf)-len(r.buf)) < grow {
		bigger := make([]byte, len(r.buf), int64(len(r.buf))+grow)
		copy(bigger, r.buf)
		r.buf = bigger
	}
	got, err := io.ReadAtLeast(r.src, r.buf[len(r.buf):int64(len(r.buf))+grow], 1)
	r.buf = r.buf[:len(r.buf)+got]
	if r.ahead >= 0 {
		r.ahead -= int64(got)
	}
	switch {
	case got > 0:
		return true
	case err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF):
		r.truncated(n, what)
	default:
		r.Fail(what, err)
	}
	return false
}

func (r *Reader) truncated(n uint64, what string) {
	r.Fail(what, &detail{ErrTruncated, "it has " + number(n) + " bytes, " + number(uint64(len(r.buf)-r.pos)+uint64(max(r.ahead, 0))) + " are left"})
}

// AtEnd reports whether nothing is left. It is true after a failure.
func (r *Reader) AtEnd() bool {
	if r.err != nil {
		return true
	}
	if r.pos < len(r.buf) {
		return false
	}
	if r.src == nil || r.ahead == 0 {
		return true
	}
	r.compact()
	if r.ahead > 0 {
		return false
	}
	got, err := io.ReadAtLeast(r.src, r.room(), 1)
	r.buf = r.buf[:len(r.buf)+got]
	if got == 0 && err != io.EOF {
		r.Fail("next byte", err)
	}
	return got == 0
}

// room returns a step's worth of free bytes behind what is held.
func (r *Reader) room() []byte {
	if cap(r.buf)-len(r.buf) < step {
		bigger := make([]byte, len(r.buf), len(r.buf)+step)
		copy(bigger, r.buf)
		r.buf = bigger
	}
	return r.buf[len(r.buf) : len(r.buf)+step]
}

// End requires that everything was read, and returns the first failure.
func (r *Reader) End(what string) error {
	if !r.AtEnd() {
		r.Fail("end of "+what, Malformed("more bytes follow"))
	}
	return r.err
}

// Take returns the next n bytes.
func (r *Reader) Take(n uint64, what string) []byte {
	if !r.fill(n, what) {
		return nil
	}
	b := r.buf[r.pos : r.pos+int(n) : r.pos+int(n)]
	r.pos += int(n)
	return b
}

// Rest returns all bytes that are left, within the limit.
func (r *Reader) Rest(what string) []byte {
	r.Mark()
	defer r.Unmark()
	for !r.AtEnd() {
		r.pos = len(r.buf)
		if uint64(r.pos-max(r.keep, 0)) > r.limit {
			r.Fail(what, OverLimit(uint64(r.pos), r.limit))
		}
		if r.src != nil && r.ahead > 0 && !r.more(what, 1) {
			break
		}
	}
	return r.Marked()
}

// Skip passes over n bytes, however many they are, without holding them.
func (r *Reader) Skip(n uint64, what string) {
	for n > 0 && r.err == nil {
		part := min(n, step)
		r.Take(part, what)
		n -= part
	}
}

// U8 reads one byte.
func (r *Reader) U8(what string) byte {
	if r.pos < len(r.buf) && r.err == nil {
		r.pos++
		return r.buf[r.pos-1]
	}
	if b := r.Take(1, what); b != nil {
		return b[0]
	}
	return 0
}

// Peek returns the next n bytes without passing over them.
func (r *Reader) Peek(n uint64, what string) []byte {
	if !r.fill(n, what) {
		return nil
	}
	return r.buf[r.pos : r.pos+int(n) : r.pos+int(n)]
}

// I8, U16, I16, I32 and I64 read big-endian numbers.
func (r *Reader) I8(what string) int8 { return int8(r.U8(what)) }

// U16 reads an unsigned number of two bytes.
func (r *Reader) U16(what string) uint16 {
	if b := r.Take(2, what); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

// I16 reads a number of two bytes.
func (r *Reader) I16(what string) int16 { return int16(r.U16(what)) }

// I32 reads a number of four bytes.
func (r *Reader) I32(what string) int32 {
	if b := r.Take(4, what); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

// I64 reads a number of eight bytes.
func (r *Reader) I64(what string) int64 {
	if b := r.Take(8, what); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

// F32 reads a float of four bytes.
func (r *Reader) F32(what string) float32 { return math.Float32frombits(uint32(r.I32(what))) }

// F64 reads a float of eight bytes.
func (r *Reader) F64(what string) float64 { return math.Float64frombits(uint64(r.I64(what))) }

// Bool reads one byte that must be 0 or 1, the only ones Java writes.
func (r *Reader) Bool(what string) bool {
	at := r.Offset()
	b := r.U8(what)
	if b > 1 {
		r.FailAt(at, what, Malformed("a boolean of value %d", b))
	}
	return b == 1
}

// Count reads the number of items that follow, each of at least minItem bytes:
// a number that cannot be true, given the bytes at hand, is a failure. With
// minItem 0 the number is only held against the limit.
func (r *Reader) Count(minItem uint64, what string) int {
	at := r.Offset()
	n := r.I32("number of " + what)
	if n < 0 {
		r.FailAt(at, "number of "+what, Malformed("%d is negative", n))
		return 0
	}
	if left := r.Left(); left >= 0 && minItem > 0 && uint64(n) > uint64(left)/minItem {
		r.FailAt(at, "number of "+what, Malformed("%d, but only %d bytes are left", n, left))
		return 0
	}
	if uint64(n) > r.limit {
		r.FailAt(at, "number of "+what, OverLimit(uint64(n), r.limit))
		return 0
	}
	return int(n)
}

// Bytes32 reads a length of four bytes and as many bytes.
func (r *Reader) Bytes32(what string) []byte {
	at := r.Offset()
	n := r.I32("length of " + what)
	if n < 0 {
		r.FailAt(at, "length of "+what, Malformed("%d is negative", n))
		return nil
	}
	return r.Take(uint64(n), what)
}

package codec

import (
	"encoding/binary"
	"math"
	"reflect"
	"time"
	"unsafe"
)

// opcode says what one step of a program does. These numbers live in memory
// only.
type opcode uint8

const (
	opCopy   opcode = iota // n bytes that look the same in memory and encoded
	opFixed2               // integers and floats of 2, 4, 8 bytes
	opFixed4
	opFixed8
	opInt      // an int where it has 32 bits, as 8 bytes
	opUint     // a uint where it has 32 bits, as 8 bytes
	opBool     // one byte, 0 or 1
	opString   // varint length, bytes
	opBytes    // the same
	opTime     // time.Time as 8 bytes
	opFloat32  // canonical, for keys
	opFloat64  // canonical, for keys
	opArray    // n elements of elem
	opSlice    // varint count, elements of elem
	opMap      // varint count, key (of key) and value (of elem)
	opOptional // byte 0, or byte 1 and elem
)

// op is one step: what to do with the memory at an offset of the value.
type op struct {
	code opcode
	off  uintptr // in the value, in bytes
	n    int     // opCopy: bytes; opArray: elements
	elem *program
	key  *program // opMap
	typ  reflect.Type
	path string // for errors
}

// program encodes and decodes the values of one type. It is immutable after
// compilation and holds no reflection on the path of scalar fields: a step is
// a switch over an opcode and a load at an offset.
type program struct {
	ops   []op
	size  uintptr // of the type in memory, the stride of arrays and slices
	width int     // encoded bytes if that is fixed, else 0
	min   int     // the least encoded bytes
}

// zeroTime encodes the zero time.Time, which lies outside the range of int64
// nanoseconds.
const zeroTime = math.MinInt64

// Bounds of the times that int64 nanoseconds can express.
var (
	firstTime = time.Unix(0, math.MinInt64+1)
	lastTime  = time.Unix(0, math.MaxInt64)
)

// timeToNanos saturates: times before 1677-09-21 or after 2262-04-11 become
// the first or the last that can be expressed.
func timeToNanos(t time.Time) int64 {
	switch {
	case t.IsZero():
		return zeroTime
	case t.Before(firstTime):
		return math.MinInt64 + 1
	case t.After(lastTime):
		return math.MaxInt64
	}
	return t.UnixNano()
}

func nanosToTime(ns int64) time.Time {
	if ns == zeroTime {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}

// append encodes the value at base. It must not let base escape, so that
// callers keep values on their stacks: nothing here converts base into an
// interface or a reflect.Value.
func (p *program) append(dst []byte, base unsafe.Pointer) []byte {
	for i := range p.ops {
		o := &p.ops[i]
		at := unsafe.Add(base, o.off)
		switch o.code {
		case opCopy:
			dst = append(dst, unsafe.Slice((*byte)(at), o.n)...)
		case opFixed8:
			dst = binary.LittleEndian.AppendUint64(dst, *(*uint64)(at))
		case opFixed4:
			dst = binary.LittleEndian.AppendUint32(dst, *(*uint32)(at))
		case opFixed2:
			dst = binary.LittleEndian.AppendUint16(dst, *(*uint16)(at))
		case opString:
			s := *(*string)(at)
			dst = append(appendLength(dst, len(s)), s...)
		case opBytes:
			b := *(*[]byte)(at)
			dst = append(appendLength(dst, len(b)), b...)
		case opBool:
			dst = append(dst, boolByte(*(*bool)(at)))
		case opTime:
			dst = binary.LittleEndian.AppendUint64(dst, uint64(timeToNanos(*(*time.Time)(at))))
		default:
			dst = o.appendRare(dst, at)
		}
	}
	return dst
}

// appendRare holds the steps that keep append too large for quick dispatch.
func (o *op) appendRare(dst []byte, at unsafe.Pointer) []byte {
	switch o.code {
	case opInt:
		return binary.LittleEndian.AppendUint64(dst, uint64(int64(*(*int)(at))))
	case opUint:
		return binary.LittleEndian.AppendUint64(dst, uint64(*(*uint)(at)))
	case opFloat32:
		return binary.LittleEndian.AppendUint32(dst, canonical32(*(*float32)(at)))
	case opFloat64:
		return binary.LittleEndian.AppendUint64(dst, canonical64(*(*float64)(at)))
	case opArray:
		return o.elem.appendRun(dst, at, o.n)
	case opSlice:
		s := (*sliceHeader)(at)
		return o.elem.appendRun(appendLength(dst, s.len), s.data, s.len)
	case opMap:
		return o.appendMap(dst, *(*unsafe.Pointer)(at))
	case opOptional:
		if p := *(*unsafe.Pointer)(at); p != nil {
			return o.elem.append(append(dst, 1), p)
		}
		return append(dst, 0)
	}
	return dst
}

// sliceHeader is the memory of a slice of any element type.
type sliceHeader struct {
	data unsafe.Pointer
	len  int
	cap  int
}

// appendRun encodes n values that lie one after the other.
func (p *program) appendRun(dst []byte, base unsafe.Pointer, n int) []byte {
	if n == 0 || len(p.ops) == 0 {
		return dst
	}
	if w, ok := p.flat(); ok {
		return append(dst, unsafe.Slice((*byte)(base), w*n)...)
	}
	for i := range n {
		dst = p.append(dst, unsafe.Add(base, uintptr(i)*p.size))
	}
	return dst
}

// flat tells whether a value's memory is its encoding, and how long it is.
func (p *program) flat() (width int, ok bool) {
	if len(p.ops) == 1 && p.ops[0].code == opCopy && p.ops[0].off == 0 && uintptr(p.ops[0].n) == p.size {
		return p.ops[0].n, true
	}
	return 0, false
}

// appendLength appends a length or a count as a canonical varint.
func appendLength(dst []byte, n int) []byte {
	if n < 0x80 {
		return append(dst, byte(n))
	}
	return binary.AppendUvarint(dst, uint64(n))
}

func boolByte(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// Canonical NaNs, the ones that math.NaN and a float32 conversion of it give.
const (
	nan32 = 0x7fc00000
	nan64 = 0x7ff8000000000001
)

// canonical32 maps all NaNs to one and -0 to +0: equal keys have equal bytes.
func canonical32(f float32) uint32 {
	switch {
	case f != f:
		return nan32
	case f == 0:
		return 0
	}
	return math.Float32bits(f)
}

// canonical64 is canonical32 for float64.
func canonical64(f float64) uint64 {
	switch {
	case f != f:
		return nan64
	case f == 0:
		return 0
	}
	return math.Float64bits(f)
}

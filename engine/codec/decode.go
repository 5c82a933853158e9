package codec

import (
	"encoding/binary"
	"math"
	"reflect"
	"time"
	"unsafe"
)

// decode reads the value at src[pos:] into the memory at base, which must be
// zeroed, and returns the position behind it. Like append it must not let base
// escape. After an error the memory holds a prefix of the value.
func (p *program) decode(src []byte, pos int, base unsafe.Pointer) (int, error) {
	// One comparison for the whole of a fixed-width value, and a cheap early
	// refusal of hopeless input for the others.
	if len(src)-pos < p.min {
		return 0, short(p.path(), pos, p.min, len(src)-pos)
	}
	for i := range p.ops {
		o := &p.ops[i]
		at := unsafe.Add(base, o.off)
		switch o.code {
		case opCopy:
			if len(src)-pos < o.n {
				return 0, short(o.path, pos, o.n, len(src)-pos)
			}
			copy(unsafe.Slice((*byte)(at), o.n), src[pos:])
			pos += o.n
		case opFixed8:
			if len(src)-pos < 8 {
				return 0, short(o.path, pos, 8, len(src)-pos)
			}
			*(*uint64)(at) = binary.LittleEndian.Uint64(src[pos:])
			pos += 8
		case opString:
			from, to, err := span(o.path, src, pos)
			if err != nil {
				return 0, err
			}
			*(*string)(at) = string(src[from:to])
			pos = to
		default:
			next, err := o.decode(src, pos, at)
			if err != nil {
				return 0, err
			}
			pos = next
		}
	}
	return pos, nil
}

func (p *program) path() string {
	if len(p.ops) == 0 {
		return "value"
	}
	return p.ops[0].path
}

// decode is the remaining scalar steps.
func (o *op) decode(src []byte, pos int, at unsafe.Pointer) (int, error) {
	left := len(src) - pos
	switch o.code {
	case opBool:
		b, err := marker(o.path, src, pos)
		*(*bool)(at) = b
		return pos + 1, err
	case opFixed2:
		if left < 2 {
			return 0, short(o.path, pos, 2, left)
		}
		*(*uint16)(at) = binary.LittleEndian.Uint16(src[pos:])
		return pos + 2, nil
	case opFixed4, opFloat32:
		if left < 4 {
			return 0, short(o.path, pos, 4, left)
		}
		bits := binary.LittleEndian.Uint32(src[pos:])
		if o.code == opFloat32 && canonical32(math.Float32frombits(bits)) != bits {
			return 0, invalid(o.path, pos, "float bits %#x are not canonical in a key", bits)
		}
		*(*uint32)(at) = bits
		return pos + 4, nil
	case opInt, opUint, opTime, opFloat64:
		if left < 8 {
			return 0, short(o.path, pos, 8, left)
		}
		return pos + 8, o.decodeWord(binary.LittleEndian.Uint64(src[pos:]), pos, at)
	case opBytes:
		from, to, err := span(o.path, src, pos)
		if err != nil || from == to {
			return to, err
		}
		b := make([]byte, to-from)
		copy(b, src[from:to])
		*(*[]byte)(at) = b
		return to, nil
	}
	return o.decodeNested(src, pos, at)
}

// decodeWord stores the steps of eight bytes that need more than a copy.
func (o *op) decodeWord(w uint64, pos int, at unsafe.Pointer) error {
	switch o.code {
	case opInt:
		v := int64(w)
		if int64(int(v)) != v {
			return invalid(o.path, pos, "%d exceeds the int of this platform", v)
		}
		*(*int)(at) = int(v)
	case opUint:
		if uint64(uint(w)) != w {
			return invalid(o.path, pos, "%d exceeds the uint of this platform", w)
		}
		*(*uint)(at) = uint(w)
	case opTime:
		*(*time.Time)(at) = nanosToTime(int64(w))
	case opFloat64:
		if canonical64(math.Float64frombits(w)) != w {
			return invalid(o.path, pos, "float bits %#x are not canonical in a key", w)
		}
		*(*uint64)(at) = w
	}
	return nil
}

// decodeNested is the steps that call other programs. The depth of the calls
// is that of the type, never that of the input.
func (o *op) decodeNested(src []byte, pos int, at unsafe.Pointer) (int, error) {
	switch o.code {
	case opArray:
		return o.elem.decodeRun(src, pos, at, o.n)
	case opSlice:
		n, pos, err := o.count(src, pos, o.elem.min)
		if err != nil || n == 0 {
			return pos, err
		}
		// The header goes into at through an unsafe.Pointer field, so that the
		// collector sees the store; reflect never sees at itself.
		data := reflect.MakeSlice(o.typ, n, n).UnsafePointer()
		*(*sliceHeader)(at) = sliceHeader{data: data, len: n, cap: n}
		return o.elem.decodeRun(src, pos, data, n)
	case opMap:
		return o.decodeMap(src, pos, at)
	default: // opOptional
		present, err := marker(o.path, src, pos)
		if err != nil || !present {
			return pos + 1, err
		}
		v := reflect.New(o.typ.Elem()).UnsafePointer()
		*(*unsafe.Pointer)(at) = v
		return o.elem.decode(src, pos+1, v)
	}
}

// decodeRun reads n values that will lie one after the other at base.
func (p *program) decodeRun(src []byte, pos int, base unsafe.Pointer, n int) (int, error) {
	if w, ok := p.flat(); ok {
		if have := len(src) - pos; have/w < n {
			return 0, short(p.path(), pos, n*w, have)
		}
		copy(unsafe.Slice((*byte)(base), n*w), src[pos:])
		return pos + n*w, nil
	}
	if len(p.ops) == 0 {
		return pos, nil
	}
	for i := range n {
		next, err := p.decode(src, pos, unsafe.Add(base, uintptr(i)*p.size))
		if err != nil {
			return 0, err
		}
		pos = next
	}
	return pos, nil
}

// count reads the number of elements of a slice or a map. Each takes at least
// least bytes, so a count that the bytes at hand cannot hold is refused before
// anything is allocated for it.
func (o *op) count(src []byte, pos, least int) (n, next int, err error) {
	v, next, err := uvarint(o.path, src, pos)
	if err != nil {
		return 0, 0, err
	}
	if left := len(src) - next; v > uint64(left/least) {
		return 0, 0, &DecodeError{
			Path: o.path, Offset: pos, Class: ErrShort,
			Detail: countDetail(v, least, left),
		}
	}
	return int(v), next, nil
}

// marker reads a byte that is 0 or 1.
func marker(path string, src []byte, pos int) (bool, error) {
	if pos >= len(src) {
		return false, short(path, pos, 1, 0)
	}
	if src[pos] > 1 {
		return false, invalid(path, pos, "byte %#02x where 0 or 1 is expected", src[pos])
	}
	return src[pos] == 1, nil
}

package codec

import (
	"encoding/binary"
	"reflect"
	"unsafe"

	"github.com/tidemark-io/tidemark/format"
)

// Of derives the codec of T: booleans, integers (int and uint as 64 bits),
// floats, strings, []byte, time.Time (UTC nanoseconds), time.Duration, named
// types of these, and arrays, slices, structs, maps and pointers of these.
//
// Struct fields are encoded in their order and named in the schema by their Go
// names, or by the tag `tidemark:"name"`; `tidemark:"-"` skips a field;
// `tidemark:"old=name"`, or `tidemark:"name,old=name"`, says what the field is
// called in older checkpoints. All
// others must be exported. A pointer is an optional value; it is followed, so
// two pointers to one value become two values. A nil slice or map and an empty
// one are encoded alike and decoded as nil. Times outside 1677..2262 saturate,
// except the zero time.Time, which stays the zero time.
//
// Anything else is refused with an error of class [ErrUnsupported] that names
// the path, such as "Flight.Tags[]: chan int is not supported". Reflection
// happens here only, so call Of when a graph is built, not per record.
func Of[T any]() (Codec[T], error) {
	if c := basic[T](); c != nil {
		return c, nil
	}
	return derive[T](asValue)
}

// ForKey is [Of] for keys, whose encoding must be canonical (R1): equal keys
// have equal bytes. Floats are made so (every NaN becomes the same NaN, -0
// becomes +0); maps, pointers and slices other than []byte are refused.
func ForKey[K any]() (Codec[K], error) {
	switch reflect.TypeFor[K]().Kind() {
	case reflect.Float32, reflect.Float64: // the basic codecs keep all bits
	default:
		if c := basic[K](); c != nil {
			return c, nil
		}
	}
	return derive[K](asKey)
}

func derive[T any](use usage) (Codec[T], error) {
	p, s, err := compile(reflect.TypeFor[T](), use, littleEndian)
	if err != nil {
		return nil, err
	}
	if w, ok := p.flat(); ok {
		return &flatCodec[T]{width: w, path: p.path(), schema: s}, nil
	}
	return &programCodec[T]{program: p, schema: s}, nil
}

// programCodec runs a compiled program.
type programCodec[T any] struct {
	program *program
	schema  *format.Schema
}

func (c *programCodec[T]) Append(dst []byte, v T) []byte {
	return c.program.append(dst, unsafe.Pointer(&v))
}

func (c *programCodec[T]) Decode(src []byte) (v T, n int, err error) {
	n, err = c.program.decode(src, 0, unsafe.Pointer(&v))
	if err != nil {
		var zero T
		return zero, 0, err
	}
	return v, n, nil
}

func (c *programCodec[T]) Schema() *format.Schema { return c.schema }

// flatCodec serves types whose memory is their encoding: integers and floats
// without padding, on little-endian machines.
type flatCodec[T any] struct {
	width  int
	path   string
	schema *format.Schema
}

// Append copies short records word by word: v was just stored to the stack in
// words, and wider loads would have to wait for those stores.
func (c *flatCodec[T]) Append(dst []byte, v T) []byte {
	p := unsafe.Pointer(&v)
	if c.width%8 != 0 || c.width > maxWords*8 {
		return append(dst, unsafe.Slice((*byte)(p), c.width)...)
	}
	for _, w := range unsafe.Slice((*uint64)(p), c.width/8) {
		dst = binary.NativeEndian.AppendUint64(dst, w)
	}
	return dst
}

// maxWords is the length up to which a copy by words is quicker than a call.
const maxWords = 8

// Decode copies the usual lengths as words, for the same reason.
func (c *flatCodec[T]) Decode(src []byte) (v T, n int, err error) {
	if len(src) < c.width {
		return v, 0, short(c.path, 0, c.width, len(src))
	}
	p := unsafe.Pointer(&v)
	switch c.width {
	case 16:
		w := (*[2]uint64)(p)
		w[0] = binary.NativeEndian.Uint64(src)
		w[1] = binary.NativeEndian.Uint64(src[8:])
	case 24:
		w := (*[3]uint64)(p)
		w[0] = binary.NativeEndian.Uint64(src)
		w[1] = binary.NativeEndian.Uint64(src[8:])
		w[2] = binary.NativeEndian.Uint64(src[16:])
	case 32:
		w := (*[4]uint64)(p)
		w[0] = binary.NativeEndian.Uint64(src)
		w[1] = binary.NativeEndian.Uint64(src[8:])
		w[2] = binary.NativeEndian.Uint64(src[16:])
		w[3] = binary.NativeEndian.Uint64(src[24:])
	default:
		copy(unsafe.Slice((*byte)(p), c.width), src)
	}
	return v, c.width, nil
}

func (c *flatCodec[T]) Schema() *format.Schema { return c.schema }

// MustOf is [Of] for types known to be supported; it panics with the error of
// Of, so call it only to initialise package variables.
func MustOf[T any]() Codec[T] {
	c, err := Of[T]()
	if err != nil {
		panic(err)
	}
	return c
}

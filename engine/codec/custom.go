package codec

import (
	"encoding/json"
	"reflect"

	"github.com/tidemark-io/tidemark/format"
)

// Raw is the codec of bytes whose meaning only the job knows. Tools show them
// as they are.
func Raw() Codec[[]byte] { return bytesCodec{typ: &rawSchema} }

// JSON encodes values by encoding/json, so that state of any such type is
// readable for every tool. It costs many times what a derived codec does, and
// cannot be used for keys. It returns an error if the zero value of T cannot
// be encoded; a later value that cannot (a NaN) makes Append panic with
// *[EncodeError].
func JSON[T any]() (Codec[T], error) {
	var zero T
	if _, err := json.Marshal(zero); err != nil {
		return nil, unsupported(typeName(reflect.TypeFor[T]()), err.Error())
	}
	return Framed(
		func(dst []byte, v T) ([]byte, error) {
			b, err := json.Marshal(v)
			return append(dst, b...), err
		},
		func(b []byte) (v T, err error) {
			err = json.Unmarshal(b, &v)
			return v, err
		},
		&format.Schema{Type: format.TypeJSON},
	), nil
}

// Framed makes a codec of a pair of functions by putting a varint length in
// front of each value. encode appends the encoding of v to dst; if it fails,
// Append panics with *[EncodeError]. decode gets exactly the bytes that encode
// appended, must check them, and must not keep them. schema is one of
// [format.TypeJSON], [format.TypeProtobuf] (with Name), [format.TypeRaw],
// [format.TypeBytes], [format.TypeString]: those with a length in front.
func Framed[T any](encode func(dst []byte, v T) ([]byte, error), decode func(src []byte) (T, error), schema *format.Schema) Codec[T] {
	return &framedCodec[T]{encode: encode, decode: decode, schema: schema}
}

type framedCodec[T any] struct {
	encode func(dst []byte, v T) ([]byte, error)
	decode func(src []byte) (T, error)
	schema *format.Schema
}

// Append encodes behind a length of one byte, the common case, and moves the
// encoding if the length turns out to need more.
func (c *framedCodec[T]) Append(dst []byte, v T) []byte {
	start := len(dst)
	out, err := c.encode(append(dst, 0), v)
	if err != nil {
		panic(&EncodeError{Type: typeName(reflect.TypeFor[T]()), Cause: err})
	}
	n := len(out) - start - 1
	if n < 0x80 {
		out[start] = byte(n)
		return out
	}
	var length [maxVarint]byte
	head := appendLength(length[:0], n)
	out = append(out, head[1:]...) // room for the shift
	copy(out[start+len(head):], out[start+1:start+1+n])
	copy(out[start:], head)
	return out
}

func (c *framedCodec[T]) Decode(src []byte) (v T, n int, err error) {
	name := typeName(reflect.TypeFor[T]())
	from, to, err := span(name, src, 0)
	if err != nil {
		return v, 0, err
	}
	if v, err = c.decode(src[from:to:to]); err != nil {
		var zero T
		return zero, 0, &DecodeError{Path: name, Offset: from, Detail: err.Error(), Class: ErrInvalid}
	}
	return v, to, nil
}

func (c *framedCodec[T]) Schema() *format.Schema { return c.schema }

// Func makes a codec of functions with the signatures of its methods, for
// those who want an encoding of their own to the byte. The contract of
// [Codec] binds them; schema must describe the bytes truthfully, since tools
// decode by it.
func Func[T any](encode func(dst []byte, v T) []byte, decode func(src []byte) (T, int, error), schema *format.Schema) Codec[T] {
	return &funcCodec[T]{encode: encode, decode: decode, schema: schema}
}

type funcCodec[T any] struct {
	encode func(dst []byte, v T) []byte
	decode func(src []byte) (T, int, error)
	schema *format.Schema
}

func (c *funcCodec[T]) Append(dst []byte, v T) []byte     { return c.encode(dst, v) }
func (c *funcCodec[T]) Decode(src []byte) (T, int, error) { return c.decode(src) }
func (c *funcCodec[T]) Schema() *format.Schema            { return c.schema }

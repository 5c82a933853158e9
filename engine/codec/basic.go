package codec

import (
	"encoding/binary"
	"math"

	"github.com/tidemark-io/tidemark/format"
)

// basic returns the hand-written codec of the types that keys and counters
// mostly have, nil for all others (named types among them).
func basic[T any]() Codec[T] {
	var c any
	switch any((*T)(nil)).(type) {
	case *bool:
		c = boolCodec{}
	case *int64:
		c = int64Codec{}
	case *uint64:
		c = uint64Codec{}
	case *int32:
		c = int32Codec{}
	case *uint32:
		c = uint32Codec{}
	case *int:
		c = intCodec{}
	case *float64:
		c = float64Codec{}
	case *string:
		c = stringCodec{}
	case *[]byte:
		c = bytesCodec{typ: &bytesSchema}
	}
	typed, _ := c.(Codec[T])
	return typed
}

// The schemas of the basic codecs: one value each, so that Schema is the same
// at each call.
var (
	boolSchema    = format.Schema{Type: format.TypeBool}
	int32Schema   = format.Schema{Type: format.TypeInt32}
	int64Schema   = format.Schema{Type: format.TypeInt64}
	uint32Schema  = format.Schema{Type: format.TypeUint32}
	uint64Schema  = format.Schema{Type: format.TypeUint64}
	float64Schema = format.Schema{Type: format.TypeFloat64}
	stringSchema  = format.Schema{Type: format.TypeString}
	bytesSchema   = format.Schema{Type: format.TypeBytes}
	rawSchema     = format.Schema{Type: format.TypeRaw}
)

type boolCodec struct{}

func (boolCodec) Append(dst []byte, v bool) []byte { return append(dst, boolByte(v)) }
func (boolCodec) Schema() *format.Schema           { return &boolSchema }
func (boolCodec) Decode(src []byte) (bool, int, error) {
	b, err := marker("bool", src, 0)
	if err != nil {
		return false, 0, err
	}
	return b, 1, nil
}

type int64Codec struct{}

func (int64Codec) Append(dst []byte, v int64) []byte {
	return binary.LittleEndian.AppendUint64(dst, uint64(v))
}
func (int64Codec) Schema() *format.Schema { return &int64Schema }
func (int64Codec) Decode(src []byte) (int64, int, error) {
	if len(src) < 8 {
		return 0, 0, short("int64", 0, 8, len(src))
	}
	return int64(binary.LittleEndian.Uint64(src)), 8, nil
}

type uint64Codec struct{}

func (uint64Codec) Append(dst []byte, v uint64) []byte {
	return binary.LittleEndian.AppendUint64(dst, v)
}
func (uint64Codec) Schema() *format.Schema { return &uint64Schema }
func (uint64Codec) Decode(src []byte) (uint64, int, error) {
	if len(src) < 8 {
		return 0, 0, short("uint64", 0, 8, len(src))
	}
	return binary.LittleEndian.Uint64(src), 8, nil
}

type int32Codec struct{}

func (int32Codec) Append(dst []byte, v int32) []byte {
	return binary.LittleEndian.AppendUint32(dst, uint32(v))
}
func (int32Codec) Schema() *format.Schema { return &int32Schema }
func (int32Codec) Decode(src []byte) (int32, int, error) {
	if len(src) < 4 {
		return 0, 0, short("int32", 0, 4, len(src))
	}
	return int32(binary.LittleEndian.Uint32(src)), 4, nil
}

type uint32Codec struct{}

func (uint32Codec) Append(dst []byte, v uint32) []byte {
	return binary.LittleEndian.AppendUint32(dst, v)
}
func (uint32Codec) Schema() *format.Schema { return &uint32Schema }
func (uint32Codec) Decode(src []byte) (uint32, int, error) {
	if len(src) < 4 {
		return 0, 0, short("uint32", 0, 4, len(src))
	}
	return binary.LittleEndian.Uint32(src), 4, nil
}

type intCodec struct{}

func (intCodec) Append(dst []byte, v int) []byte {
	return binary.LittleEndian.AppendUint64(dst, uint64(int64(v)))
}
func (intCodec) Schema() *format.Schema { return &int64Schema }
func (intCodec) Decode(src []byte) (int, int, error) {
	if len(src) < 8 {
		return 0, 0, short("int", 0, 8, len(src))
	}
	v := int64(binary.LittleEndian.Uint64(src))
	if int64(int(v)) != v {
		return 0, 0, invalid("int", 0, "%d exceeds the int of this platform", v)
	}
	return int(v), 8, nil
}

type float64Codec struct{}

func (float64Codec) Append(dst []byte, v float64) []byte {
	return binary.LittleEndian.AppendUint64(dst, math.Float64bits(v))
}
func (float64Codec) Schema() *format.Schema { return &float64Schema }
func (float64Codec) Decode(src []byte) (float64, int, error) {
	if len(src) < 8 {
		return 0, 0, short("float64", 0, 8, len(src))
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(src)), 8, nil
}

type stringCodec struct{}

func (stringCodec) Append(dst []byte, v string) []byte {
	return append(appendLength(dst, len(v)), v...)
}
func (stringCodec) Schema() *format.Schema { return &stringSchema }
func (stringCodec) Decode(src []byte) (string, int, error) {
	from, to, err := span("string", src, 0)
	if err != nil {
		return "", 0, err
	}
	return string(src[from:to]), to, nil
}

// bytesCodec encodes []byte, as bytes or as raw bytes.
type bytesCodec struct{ typ *format.Schema }

func (bytesCodec) Append(dst, v []byte) []byte {
	return append(appendLength(dst, len(v)), v...)
}
func (c bytesCodec) Schema() *format.Schema { return c.typ }
func (bytesCodec) Decode(src []byte) ([]byte, int, error) {
	from, to, err := span("[]byte", src, 0)
	if err != nil || from == to {
		return nil, to, err
	}
	v := make([]byte, to-from)
	copy(v, src[from:to])
	return v, to, nil
}

package codec

import (
	"math"

	"github.com/tidemark-io/tidemark/format"
)

// Width is the number of bytes of every encoded value if that is the same for
// all values, else 0. It is 0, too, for types without any encoded byte.
func Width[T any](c Codec[T]) int {
	if s := c.Schema(); s != nil {
		return s.Width()
	}
	return 0
}

// least is the smallest number of bytes that a value can take. No value is longer
// than the bound.
func least(s *format.Schema) int { return int(min(s.MinWidth(), math.MaxInt32)) }

// CheckKey refuses the codec of a key whose encoding is not known to be
// canonical (R1): equal keys must have equal bytes. name names the key in the
// error. Codecs from [ForKey] always pass.
func CheckKey(name string, s *format.Schema) error {
	if s == nil {
		return unsupported(name, "the key's codec has no schema")
	}
	switch s.Type {
	case format.TypeStruct:
		for _, f := range s.Fields {
			if err := CheckKey(name+"."+f.Name, f.Schema); err != nil {
				return err
			}
		}
		return nil
	case format.TypeArray:
		for _, e := range s.Elems {
			if err := CheckKey(name+"[]", e); err != nil {
				return err
			}
		}
		return nil
	case format.TypeString, format.TypeBytes:
		return nil
	case format.TypeSlice:
		return unsupported(name, "a slice other than []byte in a key is not supported")
	case format.TypeMap:
		return unsupported(name, "a map in a key is not supported")
	case format.TypeOptional:
		return unsupported(name, "a pointer in a key is not supported")
	case format.TypeJSON:
		return unsupported(name, "JSON in a key is not supported (one value has many spellings)")
	case format.TypeProtobuf:
		return unsupported(name, "protobuf in a key is not supported (its encoding is not canonical)")
	case format.TypeRaw:
		return unsupported(name, "raw bytes of a codec unknown to us in a key are not supported")
	}
	if s.Type.Width() == 0 {
		return unsupported(name, "the schema has an unknown type")
	}
	return nil
}

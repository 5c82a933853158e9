package codec

import (
	"math"

	"github.com/tidemark-io/tidemark/format"
)

// Width is the number of bytes of every encoded value if that is the same for
// all values, else 0. It is 0, too, for types without any encoded byte.
func Width[T any](c Codec[T]) int {
	if s := c.Schema(); s != nil {
		return fixedWidth(s)
	}
	return 0
}

// scalarWidth is the width of a type without parts, 0 if it varies.
func scalarWidth(t format.Type) int {
	switch t {
	case format.TypeBool, format.TypeInt8, format.TypeUint8:
		return 1
	case format.TypeInt16, format.TypeUint16:
		return 2
	case format.TypeInt32, format.TypeUint32, format.TypeFloat32:
		return 4
	case format.TypeInt64, format.TypeUint64, format.TypeFloat64, format.TypeTime, format.TypeDuration:
		return 8
	}
	return 0
}

// fixedWidth is Width for a schema.
func fixedWidth(s *format.Schema) int {
	if n, fixed := bounds(s); fixed {
		return n
	}
	return 0
}

// least is the smallest number of bytes that a value can take.
func least(s *format.Schema) int {
	n, _ := bounds(s)
	return n
}

// bounds computes the least width, and whether it is the only one. It
// saturates far below overflow: no value of that width exists.
func bounds(s *format.Schema) (n int, fixed bool) {
	switch s.Type {
	case format.TypeStruct:
		fixed = true
		for _, f := range s.Fields {
			w, same := bounds(f.Schema)
			n, fixed = saturate(uint64(n)+uint64(w)), fixed && same
		}
		return n, fixed
	case format.TypeArray:
		if len(s.Elems) != 1 {
			return 0, false
		}
		w, same := bounds(s.Elems[0])
		return saturate(uint64(s.Len) * uint64(w)), same || s.Len == 0
	}
	if w := scalarWidth(s.Type); w > 0 {
		return w, true
	}
	return 1, false // everything else starts with a length, a count or a flag
}

func saturate(n uint64) int { return int(min(n, math.MaxInt32)) }

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
	if scalarWidth(s.Type) == 0 {
		return unsupported(name, "the schema has an unknown type")
	}
	return nil
}

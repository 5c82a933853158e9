package reader

import (
	"fmt"

	"github.com/tidemark-io/tidemark/format"
)

// validate requires that bytes are one whole value of a schema.
func validate(what string, s *format.Schema, value []byte) error {
	if s == nil {
		return nil
	}
	if rest, ok := skip(s, value); ok && len(rest) == 0 {
		return nil
	}
	if err := s.Validate(value); err != nil {
		return fmt.Errorf("the %s does not decode as %v: %w", what, s, err)
	}
	return nil
}

// skip takes one value off the front, without allocation, for the schemas that
// most states have. ok is false if the bytes are no such value or if the schema
// is of another kind; then format.Schema.Validate decides. The schema has been
// checked, so its nesting is bounded.
func skip(s *format.Schema, data []byte) (rest []byte, ok bool) {
	switch s.Type {
	case format.TypeInt8, format.TypeUint8:
		return cut(data, 1)
	case format.TypeInt16, format.TypeUint16:
		return cut(data, 2)
	case format.TypeInt32, format.TypeUint32, format.TypeFloat32:
		return cut(data, 4)
	case format.TypeInt64, format.TypeUint64, format.TypeFloat64, format.TypeTime, format.TypeDuration:
		return cut(data, 8)
	case format.TypeBool:
		if len(data) == 0 || data[0] > 1 {
			return nil, false
		}
		return data[1:], true
	case format.TypeString, format.TypeBytes:
		// A length of one byte, or of two in the shortest form.
		switch {
		case len(data) > 0 && data[0] < 0x80:
			return cut(data[1:], int(data[0]))
		case len(data) > 1 && data[1] < 0x80 && data[1] > 0:
			return cut(data[2:], int(data[0]&0x7f)|int(data[1])<<7)
		}
		return nil, false
	case format.TypeStruct:
		for i := range s.Fields {
			if data, ok = skip(s.Fields[i].Schema, data); !ok {
				return nil, false
			}
		}
		return data, true
	}
	return nil, false
}

// cut drops n bytes.
func cut(data []byte, n int) ([]byte, bool) {
	if n > len(data) {
		return nil, false
	}
	return data[n:], true
}

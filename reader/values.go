package reader

import (
	"encoding/binary"
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
	if width := numberWidth(s.Type); width > 0 {
		return cut(data, width)
	}
	switch s.Type {
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
	case format.TypeArray:
		return skipMany(s.Elems[0], uint64(s.Len), data)
	case format.TypeSlice:
		n, size := binary.Uvarint(data)
		if size <= 0 || size > 1 && data[size-1] == 0 || n > uint64(len(data)-size) {
			return nil, false
		}
		return skipMany(s.Elems[0], n, data[size:])
	case format.TypeOptional:
		switch {
		case len(data) == 0 || data[0] > 1:
			return nil, false
		case data[0] == 0:
			return data[1:], true
		}
		return skip(s.Elems[0], data[1:])
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

// skipMany takes n values of one schema off the front, numbers all at once.
func skipMany(s *format.Schema, n uint64, data []byte) (rest []byte, ok bool) {
	if width := numberWidth(s.Type); width > 0 {
		if n > uint64(len(data)/width) {
			return nil, false
		}
		return data[int(n)*width:], true
	}
	for range n {
		before := len(data)
		if data, ok = skip(s, data); !ok || len(data) == before {
			return nil, false // values without bytes are left to Validate
		}
	}
	return data, true
}

// numberWidth is the width of a type whose bytes may have any value, else 0.
func numberWidth(t format.Type) int {
	if t == format.TypeBool {
		return 0
	}
	return t.Width()
}

// cut drops n bytes.
func cut(data []byte, n int) ([]byte, bool) {
	if n > len(data) {
		return nil, false
	}
	return data[n:], true
}

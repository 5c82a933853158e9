package format

import (
	"math"
	"math/bits"
)

// elemsOf is how many element schemas a type has.
func (t Type) elemsOf() int {
	switch t {
	case TypeArray, TypeSlice, TypeOptional:
		return 1
	case TypeMap:
		return 2
	}
	return 0
}

// Check reports whether the schema keeps the rules of SPEC.md: known types, at
// most [MaxNesting] levels, fields with different names, and a byte at least for
// each field, each element of an array or a slice and each key of a map. (Only
// a whole value or a value in a map may be empty.) What is opaque ends only where
// the value does, so nothing contains it. The error is of the class [ErrInvalid].
func (s *Schema) Check() error {
	w := schemaWalk{}
	w.push(s)
	for {
		n, deeper := w.next()
		if n == nil {
			break
		}
		if deeper {
			return invalid("schema nests deeper than %d", MaxNesting)
		}
		if err := n.schema.checkNode(); err != nil {
			return err
		}
		if n.schema.Type == TypeOpaque && n.depth > 1 {
			return invalid("%v within another type", n.schema.Type)
		}
		if n.field != nil {
			if err := checkFilled("field name", n.field.Name, MaxText); err != nil {
				return err
			}
		}
	}
	// Only now is the nesting known to be bounded.
	return s.checkElems()
}

// checkNode checks one schema without its content.
func (s *Schema) checkNode() error {
	if s == nil {
		return invalid("no schema")
	}
	if s.Type < TypeBool || s.Type > TypeOpaque {
		return invalid("unknown type %d", s.Type)
	}
	if len(s.Elems) != s.Type.elemsOf() {
		return invalid("%d elements of type %d", len(s.Elems), s.Type)
	}
	if s.Type != TypeStruct && len(s.Fields) > 0 || len(s.Fields) > MaxFields {
		return invalid("%d fields of type %d", len(s.Fields), s.Type)
	}
	if s.Type != TypeArray && s.Len != 0 {
		return invalid("length %d of type %d", s.Len, s.Type)
	}
	if named := s.Type == TypeStruct || s.Type == TypeProtobuf || s.Type == TypeOpaque; !named && s.Name != "" {
		return invalid("name %q of type %d", s.Name, s.Type)
	}
	if s.Type == TypeOpaque && s.Name == "" {
		return invalid("%v without a name", s.Type)
	}
	if err := checkText("type name", s.Name, MaxText); err != nil {
		return err
	}
	seen := make(map[string]bool, len(s.Fields))
	for i := range s.Fields {
		if seen[s.Fields[i].Name] {
			return invalid("two fields %q", s.Fields[i].Name)
		}
		seen[s.Fields[i].Name] = true
	}
	return nil
}

// checkElems requires that parts take at least a byte each, so that the bytes
// of a value bound the number of steps of a walk over it.
func (s *Schema) checkElems() error {
	w := schemaWalk{}
	w.push(s)
	for n, _ := w.next(); n != nil; n, _ = w.next() {
		t := n.schema
		if (t.Type == TypeSlice || t.Type == TypeMap || t.Type == TypeArray) && t.Elems[0].MinWidth() == 0 {
			return invalid("%v of elements without bytes", t)
		}
		for i := range t.Fields {
			if t.Fields[i].Schema.MinWidth() == 0 {
				return invalid("field %q without bytes", t.Fields[i].Name)
			}
		}
	}
	return nil
}

// Width is the number of bytes that every value of the type takes, 0 if that
// differs from value to value, or is a matter of the type's parts.
func (t Type) Width() int {
	switch t {
	case TypeBool, TypeInt8, TypeUint8:
		return 1
	case TypeInt16, TypeUint16:
		return 2
	case TypeInt32, TypeUint32, TypeFloat32:
		return 4
	case TypeInt64, TypeUint64, TypeFloat64, TypeTime, TypeDuration:
		return 8
	}
	return 0
}

// Width is the number of bytes that every value of the schema takes, 0 if that
// differs from value to value (or nothing is encoded at all).
func (s *Schema) Width() int {
	least, fixed := s.width()
	if !fixed || least > math.MaxInt32 {
		return 0
	}
	return int(least)
}

// MinWidth is the least number of bytes that a value takes; it saturates.
func (s *Schema) MinWidth() uint64 {
	least, _ := s.width()
	return least
}

// width is the least number of bytes of a value and whether all values have it.
// The product of nested arrays may exceed 64 bits; it saturates and then counts
// as no usable width.
// Schemas that were not checked get here from codecs of users' own.
func (s *Schema) width() (least uint64, fixed bool) {
	switch s.Type {
	case TypeStruct:
		fixed = true
		for i := range s.Fields {
			n, same := s.Fields[i].Schema.width()
			least, fixed = addSaturating(least, n), fixed && same
		}
		return least, fixed
	case TypeArray:
		if len(s.Elems) != 1 {
			return 0, false
		}
		n, same := s.Elems[0].width()
		high, low := bits.Mul64(n, uint64(s.Len))
		if high != 0 {
			low = math.MaxUint64
		}
		return low, same || s.Len == 0
	}
	if n := s.Type.Width(); n > 0 {
		return uint64(n), true
	}
	if s.Type == TypeOpaque {
		return 0, false
	}
	return 1, false
}

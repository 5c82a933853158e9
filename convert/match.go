package convert

import (
	"fmt"

	"github.com/tidemark-io/tidemark/flink/serde"
	"github.com/tidemark-io/tidemark/format"
)

// match says how values of a schema and values of a Java type correspond.
type match struct {
	schema *format.Schema
	typ    *serde.Type // the shape of the values
	reads  *serde.Type // the type that reads them from bytes; typ unless it has another shape
	args   []*match
	// places is where the type has the fields of the schema, by field.
	places []int
	key    bool // the value is, or is part of, a key: it has one encoding only
}

// kindsOf are the kinds that values of a simple schema may have in Java.
var kindsOf = func() map[format.Type][]serde.Kind {
	integers := []serde.Kind{serde.KindLong, serde.KindInt, serde.KindShort, serde.KindByte, serde.KindChar}
	text := []serde.Kind{serde.KindString, serde.KindStringData, serde.KindEnum}
	bytes := []serde.Kind{serde.KindBytes}
	m := map[format.Type][]serde.Kind{
		format.TypeBool: {serde.KindBoolean}, format.TypeFloat32: {serde.KindFloat}, format.TypeFloat64: {serde.KindDouble, serde.KindFloat},
		format.TypeString: text, format.TypeJSON: text, format.TypeBytes: bytes, format.TypeRaw: bytes, format.TypeProtobuf: bytes,
		format.TypeTime: {serde.KindInstant, serde.KindDate, serde.KindSQLTimestamp, serde.KindTimestampData}, format.TypeDuration: {serde.KindLong},
	}
	for t := format.TypeInt8; t <= format.TypeUint64; t++ {
		m[t] = integers
	}
	return m
}()

// newMatch pairs a schema with a Java type. Its depth is bounded by the schema's.
func newMatch(s *format.Schema, t *serde.Type, key bool) (*match, error) {
	if t.Kind == serde.KindTTLAware { // its values are those of the type inside
		t = t.Args[0]
	}
	shape, err := t.Shape()
	if err != nil {
		return nil, err
	}
	if shape.Kind == serde.KindNullable && s.Type != format.TypeOptional { // nulls are refused when they come
		shape = shape.Args[0]
	}
	m := &match{schema: s, typ: shape, reads: t, key: key}
	t = shape
	mismatch := fmt.Errorf("%v does not fit Java's %s", s, t)
	for _, kind := range kindsOf[s.Type] {
		if kind == t.Kind {
			return m, nil
		}
	}
	switch s.Type {
	case format.TypeOptional:
		inner := t
		if t.Kind == serde.KindNullable || t.Kind == serde.KindOption {
			inner = t.Args[0]
		}
		return m, m.with(s.Elems[0], inner)
	case format.TypeArray, format.TypeSlice:
		return m, m.sequence(mismatch)
	case format.TypeMap:
		if t.Kind != serde.KindMap {
			return nil, mismatch
		}
		if err := m.with(s.Elems[0], t.Args[0]); err != nil {
			return nil, err
		}
		m.args[0].setKey()
		return m, m.with(s.Elems[1], t.Args[1])
	case format.TypeStruct:
		return m, m.structure(mismatch)
	}
	return nil, mismatch
}

// setKey marks a match and its parts as those of a key.
func (m *match) setKey() {
	m.key = true
	for _, a := range m.args {
		a.setKey()
	}
}

// with adds the match of a part.
func (m *match) with(s *format.Schema, t *serde.Type) error {
	a, err := newMatch(s, t, m.key)
	m.args = append(m.args, a)
	return err
}

// sequence matches arrays and slices: with byte[], with arrays of primitives, and
// with what has elements.
func (m *match) sequence(mismatch error) error {
	s, t := m.schema, m.typ
	if t.Kind == serde.KindBytes && s.Elems[0].Type == format.TypeUint8 {
		return nil
	}
	if elem, ok := elements[t.Kind]; ok {
		for kind, simple := range simpleSchemas {
			if simple == elem && kind != serde.KindStringData && kind != serde.KindEnum {
				return m.with(s.Elems[0], serde.Of(kind))
			}
		}
	}
	switch t.Kind {
	case serde.KindList, serde.KindSet, serde.KindArray, serde.KindTraversable, serde.KindLinkedList:
		return m.with(s.Elems[0], t.Args[0])
	}
	return mismatch
}

// structure matches the fields of structs: with those of a POJO by their names,
// with others by their places.
func (m *match) structure(mismatch error) error {
	var names []string
	var types []*serde.Type
	switch t := m.typ; t.Kind {
	case serde.KindPojo:
		for _, f := range t.Fields {
			names, types = append(names, f.Name), append(types, f.Type)
		}
	case serde.KindTuple, serde.KindRow, serde.KindCaseClass:
		types = t.Args
	case serde.KindTTL:
		types = []*serde.Type{serde.Of(serde.KindLong), t.Args[1]}
	case serde.KindTimeWindow:
		types = []*serde.Type{serde.Of(serde.KindLong), serde.Of(serde.KindLong)}
	default:
		return mismatch
	}
	if len(types) != len(m.schema.Fields) {
		return fmt.Errorf("%w: %d fields and %d", mismatch, len(m.schema.Fields), len(types))
	}
	for i, f := range m.schema.Fields {
		at := i
		if names != nil {
			for at = range names {
				if names[at] == f.Name {
					break
				}
			}
			if names[at] != f.Name {
				return fmt.Errorf("%w: it has no field %s", mismatch, f.Name)
			}
		}
		if types[at] == nil {
			return fmt.Errorf("%w: the field %s has no serialiser", mismatch, f.Name)
		}
		if err := m.with(f.Schema, types[at]); err != nil {
			return err
		}
		m.places = append(m.places, at)
	}
	return nil
}

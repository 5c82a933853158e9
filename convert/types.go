package convert

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/tidemark-io/tidemark/flink/serde"
	"github.com/tidemark-io/tidemark/format"
)

// simpleTypes are the Java types of schemas without parts. A number without sign
// takes the next larger type, so that every value keeps its meaning; the largest
// takes Long, and values that do not fit are refused.
var simpleTypes = map[format.Type]serde.Kind{
	format.TypeBool: serde.KindBoolean, format.TypeInt8: serde.KindByte, format.TypeInt16: serde.KindShort, format.TypeInt32: serde.KindInt,
	format.TypeInt64: serde.KindLong, format.TypeUint8: serde.KindShort, format.TypeUint16: serde.KindInt, format.TypeUint32: serde.KindLong,
	format.TypeUint64: serde.KindLong, format.TypeFloat32: serde.KindFloat, format.TypeFloat64: serde.KindDouble, format.TypeString: serde.KindString,
	format.TypeBytes: serde.KindBytes, format.TypeTime: serde.KindInstant, format.TypeDuration: serde.KindLong, format.TypeJSON: serde.KindString,
	format.TypeProtobuf: serde.KindBytes, format.TypeRaw: serde.KindBytes,
}

// Choices for structs; anything else is the name of a class.
const (
	asRow   = "row"
	asTuple = "tuple"
)

// typer chooses Java types for schemas.
type typer struct {
	structs map[string]string
	used    map[string]bool
}

// choice is what a struct becomes: what is said for its path, else what the struct
// around it is if that is a row or a tuple, else what is said for all others.
func (t *typer) choice(path, around string) string {
	if c, ok := t.structs[path]; ok {
		t.used[path] = true
		return c
	}
	if around == asRow || around == asTuple {
		return around
	}
	t.used["*"] = true
	return cmp.Or(t.structs["*"], asRow)
}

// of is the Java type for a schema. The depth of schemas is bounded by the format.
func (t *typer) of(s *format.Schema, path, around string) (*serde.Type, error) {
	if kind, ok := simpleTypes[s.Type]; ok {
		return serde.Of(kind), nil
	}
	switch s.Type {
	case format.TypeOptional:
		return t.of(s.Elems[0], path, around) // rows, POJOs and maps have nulls by themselves
	case format.TypeArray, format.TypeSlice:
		if s.Elems[0].Type == format.TypeUint8 {
			return serde.Of(serde.KindBytes), nil
		}
		elem, err := t.of(s.Elems[0], path+"[]", around)
		if err != nil {
			return nil, err
		}
		return serde.ListOf(elem)
	case format.TypeMap:
		key, err := t.of(s.Elems[0], path+"{key}", around)
		if err != nil {
			return nil, err
		}
		value, err := t.of(s.Elems[1], path+"{}", around)
		if err != nil {
			return nil, err
		}
		return serde.MapOf(key, value)
	case format.TypeStruct:
		return t.ofStruct(s, path, around)
	}
	return nil, fmt.Errorf("%v has no counterpart in Java", s)
}

func (t *typer) ofStruct(s *format.Schema, path, around string) (*serde.Type, error) {
	choice := t.choice(path, around)
	types := make([]*serde.Type, len(s.Fields))
	fields := make([]serde.Field, len(s.Fields))
	for i, f := range s.Fields {
		var err error
		if types[i], err = t.of(f.Schema, path+"."+f.Name, choice); err != nil {
			return nil, err
		}
		fields[i] = serde.Field{Name: f.Name, Type: types[i]}
	}
	switch choice {
	case asRow:
		return serde.RowOf(true, types...)
	case asTuple:
		return serde.TupleOf(types...)
	}
	return serde.PojoOf(choice, fields...)
}

// simpleSchemas are the schemas of Java types without parts.
var simpleSchemas = map[serde.Kind]format.Type{
	serde.KindString: format.TypeString, serde.KindLong: format.TypeInt64, serde.KindInt: format.TypeInt32, serde.KindShort: format.TypeInt16,
	serde.KindByte: format.TypeInt8, serde.KindBoolean: format.TypeBool, serde.KindChar: format.TypeUint16, serde.KindDouble: format.TypeFloat64,
	serde.KindFloat: format.TypeFloat32, serde.KindBytes: format.TypeBytes, serde.KindInstant: format.TypeTime, serde.KindDate: format.TypeTime,
	serde.KindSQLTimestamp: format.TypeTime, serde.KindTimestampData: format.TypeTime, serde.KindStringData: format.TypeString, serde.KindEnum: format.TypeString,
}

// elements are the schemas of the elements of Java's arrays.
var elements = map[serde.Kind]format.Type{
	serde.KindBooleanArray: format.TypeBool, serde.KindCharArray: format.TypeUint16, serde.KindShortArray: format.TypeInt16, serde.KindIntArray: format.TypeInt32,
	serde.KindLongArray: format.TypeInt64, serde.KindFloatArray: format.TypeFloat32, serde.KindDoubleArray: format.TypeFloat64, serde.KindStringArray: format.TypeString,
}

// schemaOf is the schema for a Java type. Tuples and rows have fields f0, f1 and so
// on, as in Java. With nullable, fields of rows and POJOs are optional.
func schemaOf(t *serde.Type, nullable bool) (*format.Schema, error) {
	t, err := t.Shape()
	if err != nil {
		return nil, err
	}
	if simple, ok := simpleSchemas[t.Kind]; ok {
		return &format.Schema{Type: simple}, nil
	}
	if elem, ok := elements[t.Kind]; ok {
		return &format.Schema{Type: format.TypeSlice, Elems: []*format.Schema{{Type: elem}}}, nil
	}
	switch t.Kind {
	case serde.KindTTLAware:
		return schemaOf(t.Args[0], nullable)
	case serde.KindTTL:
		value, err := schemaOf(t.Args[1], nullable)
		return &format.Schema{Type: format.TypeStruct, Name: "Ttl", Fields: []format.Field{
			{Name: "lastAccess", Schema: &format.Schema{Type: format.TypeInt64}}, {Name: "value", Schema: value}}}, err
	case serde.KindTimeWindow:
		return windowSchema(), nil
	case serde.KindNullable, serde.KindOption:
		return withElems(format.TypeOptional, nullable, t.Args[0])
	case serde.KindList, serde.KindSet, serde.KindArray, serde.KindTraversable, serde.KindLinkedList:
		return withElems(format.TypeSlice, nullable, t.Args[0])
	case serde.KindMap:
		return withElems(format.TypeMap, nullable, t.Args...)
	case serde.KindTuple, serde.KindRow, serde.KindCaseClass:
		s := &format.Schema{Type: format.TypeStruct, Name: shortClass(t.Name)}
		for i, a := range t.Args {
			of := schemaOf // in tuples no field is null
			if t.Kind == serde.KindRow {
				of = fieldOf
			}
			f, err := of(a, nullable)
			if err != nil {
				return nil, err
			}
			s.Fields = append(s.Fields, format.Field{Name: "f" + strconv.Itoa(i), Schema: f})
		}
		return s, nil
	case serde.KindPojo:
		s := &format.Schema{Type: format.TypeStruct, Name: shortClass(t.Name)}
		for _, field := range t.Fields {
			if field.Type == nil {
				return nil, fmt.Errorf("the field %s of %s has no serialiser", field.Name, t)
			}
			f, err := fieldOf(field.Type, nullable)
			if err != nil {
				return nil, err
			}
			s.Fields = append(s.Fields, format.Field{Name: field.Name, Schema: f})
		}
		return s, nil
	}
	return nil, fmt.Errorf("values of %s cannot be converted", t)
}

// fieldOf is the schema of a field.
func fieldOf(t *serde.Type, nullable bool) (*format.Schema, error) {
	s, err := schemaOf(t, nullable)
	if err == nil && nullable && s.Type != format.TypeOptional {
		s = &format.Schema{Type: format.TypeOptional, Elems: []*format.Schema{s}}
	}
	return s, err
}

func withElems(of format.Type, nullable bool, types ...*serde.Type) (*format.Schema, error) {
	s := &format.Schema{Type: of}
	for _, t := range types {
		elem, err := schemaOf(t, nullable)
		if err != nil {
			return nil, err
		}
		s.Elems = append(s.Elems, elem)
	}
	return s, nil
}

// windowSchema is the schema of windows.
func windowSchema() *format.Schema {
	return &format.Schema{Type: format.TypeStruct, Name: "window", Fields: []format.Field{
		{Name: "start", Schema: &format.Schema{Type: format.TypeInt64}}, {Name: "end", Schema: &format.Schema{Type: format.TypeInt64}}}}
}

// shortClass is the name of a Java class without package and outer class.
func shortClass(name string) string { return name[strings.LastIndexAny(name, ".$")+1:] }

// checkKey reports whether values of a schema can be keys (R1).
func checkKey(s *format.Schema) error {
	switch s.Type {
	case format.TypeStruct:
		for _, f := range s.Fields {
			if err := checkKey(f.Schema); err != nil {
				return err
			}
		}
		return nil
	case format.TypeArray:
		return checkKey(s.Elems[0])
	case format.TypeSlice, format.TypeMap, format.TypeOptional, format.TypeJSON, format.TypeProtobuf, format.TypeRaw:
		return fmt.Errorf("%v cannot be a key", s)
	}
	return nil
}

package serde

import "github.com/tidemark-io/tidemark/flink/wire"

// maxShape bounds the nodes of a shape: a schema of Avro names its records, so few
// of them can be parts of each other in many ways.
const maxShape = 1 << 12

// Shape is a type of tuples, rows, POJOs, lists, maps and simple kinds whose decoded
// values look as those of t do: of a row of the table runtime a row of its fields'
// SQL types, or a POJO where they have names; of Avro's records POJOs, of its unions
// of null and one type that type, nullable; of sorted maps maps. It says what values are and does not
// read them. A type of another kind is its own shape. What has no shape (decimals,
// dates, other unions) is an error of the class wire.ErrUnsupported that names it.
func (t *Type) Shape() (*Type, error) {
	s := shaper{left: maxShape}
	switch t.Kind {
	case KindRowData:
		args, err := s.sqlAll(t.Logical, 0)
		return &Type{Kind: KindRow, Class: t.Class, Name: t.Name, Args: args}, err
	case KindArrayData:
		return s.sql(Logical{Root: "ARRAY", Args: t.Logical}, 0)
	case KindMapData:
		return s.sql(Logical{Root: "MAP", Args: t.Logical}, 0)
	case KindAvro:
		return s.avro(t.avro, 0)
	case KindSortedMap:
		return &Type{Kind: KindMap, Args: t.Args}, nil
	case KindExternal:
		if len(t.Args) == 1 && t.Args[0] != nil && t.Args[0].Kind != KindExternal {
			return t.Args[0].Shape()
		}
	}
	return t, nil
}

// shaper makes the shape of one type.
type shaper struct{ left int }

// enter counts a node.
func (s *shaper) enter(depth int) error {
	if s.left--; s.left < 0 {
		return wire.OverLimit(maxShape+1, maxShape)
	}
	if depth > maxDepth {
		return wire.OverLimit(uint64(depth), maxDepth)
	}
	return nil
}

// sqlKinds are the kinds of the decoded values of SQL types without parts, those
// that have one among the kinds (sql_values.go).
var sqlKinds = map[string]Kind{
	"BOOLEAN": KindBoolean, "TINYINT": KindByte, "SMALLINT": KindShort, "INTEGER": KindInt, "BIGINT": KindLong, "FLOAT": KindFloat, "DOUBLE": KindDouble,
	"CHAR": KindString, "VARCHAR": KindString, "BINARY": KindBytes, "VARBINARY": KindBytes, "TIMESTAMP": KindTimestampData, "TIMESTAMP_LTZ": KindTimestampData,
	"INTERVAL_YEAR_MONTH": KindInt, "INTERVAL_DAY_TIME": KindLong,
}

func (s *shaper) sql(l Logical, depth int) (*Type, error) {
	if err := s.enter(depth); err != nil {
		return nil, err
	}
	if kind, ok := sqlKinds[l.Root]; ok {
		return &Type{Kind: kind}, nil
	}
	kind, args, want := Kind(0), l.Args, 0
	switch l.Root {
	case "ARRAY":
		kind, want = KindList, 1
	case "MAP":
		kind, want = KindMap, 2
	case "MULTISET":
		kind, args, want = KindMap, append(append([]Logical{}, args...), Logical{Root: "INTEGER"}), 2
	case "ROW", "STRUCTURED":
		kind, want = KindPojo, len(l.Names)
	}
	if kind == 0 || len(args) != want {
		return nil, wire.Unsupported("values of the SQL type %.200s", l.String())
	}
	types, err := s.sqlAll(args, depth+1)
	if err != nil || kind != KindPojo {
		return &Type{Kind: kind, Args: types}, err
	}
	row := &Type{Kind: KindPojo}
	for i, name := range l.Names {
		row.Fields = append(row.Fields, Field{Name: name, Type: types[i]})
	}
	return row, nil
}

func (s *shaper) sqlAll(list []Logical, depth int) ([]*Type, error) {
	types := make([]*Type, 0, len(list))
	for _, l := range list {
		t, err := s.sql(l, depth+1)
		if err != nil {
			return nil, err
		}
		types = append(types, t)
	}
	return types, nil
}

// avroKinds are the kinds of the decoded values of Avro's types without parts.
var avroKinds = map[string]Kind{
	"boolean": KindBoolean, "int": KindInt, "long": KindLong, "float": KindFloat, "double": KindDouble, "bytes": KindBytes, "fixed": KindBytes, "string": KindString,
}

func (s *shaper) avro(a *avroSchema, depth int) (*Type, error) {
	if a == nil {
		return nil, wire.Unsupported("values of Avro without a schema")
	}
	if err := s.enter(depth); err != nil {
		return nil, err
	}
	if kind, ok := avroKinds[a.kind]; ok {
		return &Type{Kind: kind}, nil
	}
	switch a.kind {
	case "enum":
		return &Type{Kind: KindEnum, Name: a.name, Names: a.fields}, nil
	case "array":
		elem, err := s.avro(a.items, depth+1)
		return &Type{Kind: KindList, Args: []*Type{elem}}, err
	case "map":
		value, err := s.avro(a.items, depth+1)
		return &Type{Kind: KindMap, Args: []*Type{{Kind: KindString}, value}}, err
	case "record":
		record := &Type{Kind: KindPojo, Name: a.name}
		for i, part := range a.parts {
			t, err := s.avro(part, depth+1)
			if err != nil {
				return nil, err
			}
			record.Fields = append(record.Fields, Field{Name: a.fields[i], Type: t})
		}
		return record, nil
	case "union":
		return s.union(a, depth)
	}
	return nil, wire.Unsupported("values of Avro's type %.200s", a.kind)
}

// union takes null and one other type, in either order, or one type alone.
func (s *shaper) union(a *avroSchema, depth int) (*Type, error) {
	var one *avroSchema
	null := false
	for _, part := range a.parts {
		switch {
		case part.kind == "null":
			null = true
		case one != nil:
			return nil, wire.Unsupported("a union of Avro's types %.100s and %.100s", one.kind, part.kind)
		default:
			one = part
		}
	}
	if one == nil {
		return nil, wire.Unsupported("a union of Avro without a type beside null")
	}
	t, err := s.avro(one, depth+1)
	if err != nil || !null {
		return t, err
	}
	return &Type{Kind: KindNullable, Args: []*Type{t}}, nil
}

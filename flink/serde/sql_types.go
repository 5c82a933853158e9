package serde

import (
	"strings"

	"github.com/tidemark-io/tidemark/flink/javaser"
	"github.com/tidemark-io/tidemark/flink/wire"
)

// Logical is an SQL type, as far as it says how binary rows hold its values.
type Logical struct {
	// Root is the type's root in Flink's spelling: BIGINT, VARCHAR, ROW.
	Root string
	// Precision and Scale are those of decimals and timestamps.
	Precision, Scale int32
	// Names are a row's fields, Args the nested types.
	Names []string
	Args  []Logical
}

// String is the type in SQL, without lengths.
func (l Logical) String() string {
	switch {
	case l.Root == "DECIMAL":
		return "DECIMAL(" + itoa(l.Precision) + ", " + itoa(l.Scale) + ")"
	case strings.HasPrefix(l.Root, "TIMESTAMP"):
		return l.Root + "(" + itoa(l.Precision) + ")"
	case len(l.Args) == 0:
		return l.Root
	}
	parts := make([]string, len(l.Args))
	for i, a := range l.Args {
		parts[i] = a.String()
		if i < len(l.Names) {
			parts[i] = l.Names[i] + " " + parts[i]
		}
	}
	return l.Root + "<" + strings.Join(parts, ", ") + ">"
}

// object reads a serialised Java object of a snapshot.
func (p *parser) object(what string) javaser.Value {
	v, err := javaser.Read(p.r, nil)
	if err != nil {
		p.r.Fail(what, err)
		return nil
	}
	return v
}

// logical reads a serialised logical type.
func (p *parser) logical() Logical {
	at := p.r.Offset()
	v := p.object("logical type")
	if p.r.Err() != nil {
		return Logical{}
	}
	l, err := logicalOf(v, 0)
	if err != nil {
		p.r.FailAt(at, "logical type", err)
	}
	return l
}

// roots are the classes of logical types without parts.
var roots = map[string]string{
	"BooleanType": "BOOLEAN", "TinyIntType": "TINYINT", "SmallIntType": "SMALLINT", "IntType": "INTEGER", "BigIntType": "BIGINT",
	"FloatType": "FLOAT", "DoubleType": "DOUBLE", "CharType": "CHAR", "VarCharType": "VARCHAR", "BinaryType": "BINARY",
	"VarBinaryType": "VARBINARY", "DateType": "DATE", "TimeType": "TIME", "YearMonthIntervalType": "INTERVAL_YEAR_MONTH",
	"DayTimeIntervalType": "INTERVAL_DAY_TIME", "NullType": "NULL", "RawType": "RAW", "TypeInformationRawType": "RAW",
	"DecimalType": "DECIMAL", "TimestampType": "TIMESTAMP", "LocalZonedTimestampType": "TIMESTAMP_LTZ", "ZonedTimestampType": "TIMESTAMP_TZ",
	"LegacyTypeInformationType": "LEGACY", "SymbolType": "SYMBOL",
}

// logicalOf makes a logical type of the object that Java wrote for it.
func logicalOf(v javaser.Value, depth int) (Logical, error) {
	o, ok := v.(*javaser.Object)
	if !ok {
		return Logical{}, wire.Malformed("a logical type is a %T", v)
	}
	if depth > maxDepth {
		return Logical{}, wire.OverLimit(uint64(depth), maxDepth)
	}
	name := short(o.Class.Name)
	if root, ok := roots[name]; ok {
		l := Logical{Root: root}
		l.Precision, _ = number32(o, "precision")
		l.Scale, _ = number32(o, "scale")
		return l, nil
	}
	switch name {
	case "ArrayType":
		return withParts("ARRAY", o, depth, "elementType")
	case "MultisetType":
		return withParts("MULTISET", o, depth, "elementType")
	case "MapType":
		return withParts("MAP", o, depth, "keyType", "valueType")
	case "DistinctType":
		source, _ := o.Field("sourceType")
		return logicalOf(source, depth+1)
	case "RowType":
		return fieldsOf("ROW", o, "fields", depth)
	case "StructuredType":
		return fieldsOf("STRUCTURED", o, "attributes", depth)
	}
	return Logical{}, wire.Unsupported("the logical type %.200s", o.Class.Name)
}

func number32(o *javaser.Object, field string) (int32, bool) {
	v, _ := o.Field(field)
	n, ok := v.(int32)
	return n, ok
}

func withParts(root string, o *javaser.Object, depth int, fields ...string) (Logical, error) {
	l := Logical{Root: root}
	for _, f := range fields {
		v, _ := o.Field(f)
		part, err := logicalOf(v, depth+1)
		if err != nil {
			return Logical{}, err
		}
		l.Args = append(l.Args, part)
	}
	return l, nil
}

// fieldsOf reads a type whose parts are in a list of objects with name and type.
func fieldsOf(root string, o *javaser.Object, field string, depth int) (Logical, error) {
	v, _ := o.Field(field)
	items, ok := listItems(v, 0)
	if !ok {
		return Logical{}, wire.Unsupported("the fields of %s are in a %T", o.Class.Name, v)
	}
	l := Logical{Root: root}
	for _, item := range items {
		f, ok := item.(*javaser.Object)
		if !ok {
			return Logical{}, wire.Malformed("a field of %s is a %T", o.Class.Name, item)
		}
		name, _ := f.Text("name")
		kind, _ := f.Field("type")
		part, err := logicalOf(kind, depth+1)
		if err != nil {
			return Logical{}, err
		}
		l.Names, l.Args = append(l.Names, name), append(l.Args, part)
	}
	return l, nil
}

// listItems are the elements of one of Java's lists.
func listItems(v javaser.Value, depth int) ([]javaser.Value, bool) {
	o, ok := v.(*javaser.Object)
	if !ok || depth > 4 {
		return nil, false
	}
	for _, wrapped := range []string{"list", "c", "a", "element"} {
		inner, found := o.Field(wrapped)
		if !found {
			continue
		}
		if a, ok := inner.(*javaser.Array); ok {
			return a.Values, true
		}
		if wrapped == "element" { // a list of one
			return []javaser.Value{inner}, true
		}
		if items, ok := listItems(inner, depth+1); ok {
			return items, true
		}
	}
	var items []javaser.Value
	found := false
	for _, p := range o.Parts {
		for _, a := range p.Annotations {
			found = true
			if _, isBlock := a.(javaser.Block); !isBlock {
				items = append(items, a)
			}
		}
	}
	return items, found || strings.HasSuffix(o.Class.Name, "EmptyList")
}

// sqlBody reads the bodies of the table runtime's snapshots.
func (p *parser) sqlBody(t *Type, c class) bool {
	switch c.body {
	case bodyRowData:
		for range p.r.Count(4, "fields of a row") {
			t.Logical = append(t.Logical, p.logical())
			if p.r.Err() != nil {
				return true
			}
		}
		t.Args = p.nested(len(t.Logical))
	case bodyArity:
		t.Size = p.r.I32("number of fields")
		if t.Size < 0 || t.Size > 1<<16 {
			p.r.Fail("number of fields", wire.Malformed("%d", t.Size))
		}
	case bodyDecimal:
		t.Size, t.Scale = p.r.I32("precision"), p.r.I32("scale")
	case bodyPrecision:
		t.Size = p.r.I32("precision")
		return t.Version == 1 || t.Version == 2
	case bodyArrayData:
		t.Logical = []Logical{p.logical()}
		p.object("element serialiser")
	case bodyMapData:
		t.Logical = []Logical{p.logical(), p.logical()}
		p.object("key serialiser")
		p.object("value serialiser")
	case bodySortedMap:
		p.object("comparator")
		t.Args = p.nested(2)
	default:
		return false
	}
	return t.Version == simpleVersion
}

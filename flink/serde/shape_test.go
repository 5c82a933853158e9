package serde

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tidemark-io/tidemark/flink/wire"
)

// outline is a type with the names of its fields.
func outline(t *Type) string {
	var parts []string
	for _, a := range t.Args {
		parts = append(parts, outline(a))
	}
	for _, f := range t.Fields {
		parts = append(parts, f.Name+" "+outline(f.Type))
	}
	if len(parts) == 0 {
		return t.Kind.String()
	}
	return t.Kind.String() + "(" + strings.Join(parts, ", ") + ")"
}

// Rows of the table runtime and records of Avro have shapes; what has none is named,
// and schemas that contain themselves, or each other in very many ways, end.
func TestShape(t *testing.T) {
	avro := func(text string) *Type {
		s, err := parseAvro(text)
		if err != nil {
			t.Fatal(err)
		}
		return &Type{Kind: KindAvro, avro: s}
	}
	row := func(l ...Logical) *Type { return &Type{Kind: KindRowData, Logical: l} }
	// Each record has the one before twice: 2^20 parts.
	wide := "\"long\""
	for i := range 20 {
		before := fmt.Sprint("r", i-1)
		if i == 0 {
			before = "int"
		}
		wide = fmt.Sprintf(`{"type":"record","name":"r%d","fields":[{"name":"x","type":%s},{"name":"y","type":"%s"}]}`, i, wide, before)
	}
	for _, c := range []struct {
		typ        *Type
		want, fail string
	}{
		{typ: Of(KindLong), want: "Long"},
		{typ: row(Logical{Root: "BIGINT"}, Logical{Root: "CHAR"}, Logical{Root: "TIMESTAMP_LTZ"}), want: "Row(Long, String, TimestampData)"},
		{typ: row(Logical{Root: "ROW", Names: []string{"a", "b"}, Args: []Logical{{Root: "BOOLEAN"}, {Root: "VARBINARY"}}}), want: "Row(POJO(a Boolean, b byte[]))"},
		{typ: row(Logical{Root: "MULTISET", Args: []Logical{{Root: "DOUBLE"}}}), want: "Row(Map(Double, Integer))"},
		{typ: &Type{Kind: KindMapData, Logical: []Logical{{Root: "TINYINT"}, {Root: "ARRAY", Args: []Logical{{Root: "SMALLINT"}}}}}, want: "Map(Byte, List(Short))"},
		{typ: &Type{Kind: KindArrayData, Logical: []Logical{{Root: "FLOAT"}}}, want: "List(Float)"},
		{typ: &Type{Kind: KindExternal, Args: []*Type{row(Logical{Root: "INTEGER"})}}, want: "Row(Integer)"},
		{typ: row(Logical{Root: "DECIMAL", Precision: 10, Scale: 2}), fail: "DECIMAL(10, 2)"},
		{typ: row(Logical{Root: "ARRAY", Args: []Logical{{Root: "RAW"}}}), fail: "RAW"},
		{typ: row(Logical{Root: "ROW", Args: []Logical{{Root: "BIGINT"}}}), fail: "ROW<BIGINT>"}, // no names
		{typ: avro(`{"type":"record","name":"r","namespace":"a.b","fields":[{"name":"x","type":["null","string"]},{"name":"y","type":{"type":"map","values":"double"}},` +
			`{"name":"z","type":{"type":"enum","name":"e","symbols":["A"]}},{"name":"f","type":{"type":"fixed","name":"g","size":4}},{"name":"l","type":{"type":"array","items":"int"}}]}`),
			want: "POJO(x Nullable(String), y Map(String, Double), z Enum, f byte[], l List(Integer))"},
		{typ: avro(`["null","int","long"]`), fail: "int and long"},
		{typ: avro(`["null"]`), fail: "without a type"},
		{typ: &Type{Kind: KindAvro}, fail: "without a schema"},
		{typ: avro(`{"type":"record","name":"n","fields":[{"name":"next","type":["null","n"]}]}`), fail: "limit"},
		{typ: avro(wide), fail: "limit"},
	} {
		got, err := c.typ.Shape()
		switch {
		case c.fail == "" && err == nil && outline(got) == c.want:
		case c.fail != "" && err != nil && strings.Contains(err.Error(), c.fail) && (errors.Is(err, wire.ErrUnsupported) || errors.Is(err, wire.ErrLimit)):
		default:
			t.Errorf("%v: %v, %v; want %s%s", c.typ, got, err, c.want, c.fail)
		}
	}
}

package format

import (
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"
)

// Short hands for schemas in tables.
func of(t Type) *Schema          { return &Schema{Type: t} }
func sliceOf(e *Schema) *Schema  { return &Schema{Type: TypeSlice, Elems: []*Schema{e}} }
func optional(e *Schema) *Schema { return &Schema{Type: TypeOptional, Elems: []*Schema{e}} }
func mapOf(k, v *Schema) *Schema { return &Schema{Type: TypeMap, Elems: []*Schema{k, v}} }
func array(n uint32, e *Schema) *Schema {
	return &Schema{Type: TypeArray, Len: n, Elems: []*Schema{e}}
}
func structOf(fields ...Field) *Schema { return &Schema{Type: TypeStruct, Fields: fields} }

// nested is a schema of the given number of levels.
func nested(levels int) *Schema {
	s := of(TypeInt8)
	for range levels - 1 {
		s = sliceOf(s)
	}
	return s
}

var count64 = structOf(Field{"origin", of(TypeString)}, Field{"count", of(TypeInt64)})

func TestSchemas(t *testing.T) {
	tests := []struct {
		schema *Schema
		text   string
		width  int
	}{
		{of(TypeBool), "bool", 1}, {of(TypeInt16), "int16", 2}, {of(TypeFloat32), "float32", 4},
		{of(TypeTime), "time", 8}, {of(TypeDuration), "duration", 8}, {of(TypeString), "string", 0},
		{of(TypeRaw), "raw", 0}, {of(TypeJSON), "json", 0},
		{count64, "struct{origin string; count int64}", 0},
		{structOf(Field{"a", of(TypeInt8)}, Field{"b", of(TypeUint64)}), "struct{a int8; b uint64}", 9},
		{structOf(), "struct{}", 0},
		{array(16, of(TypeUint8)), "[16]uint8", 16},
		{array(3, structOf(Field{"x", of(TypeFloat64)})), "[3]struct{x float64}", 24},
		{array(math.MaxUint32, array(math.MaxUint32, of(TypeInt64))), "[4294967295][4294967295]int64", 0},
		{sliceOf(optional(of(TypeTime))), "[]?time", 0},
		{mapOf(of(TypeString), sliceOf(of(TypeFloat64))), "map[string][]float64", 0},
		{mapOf(of(TypeInt8), structOf()), "map[int8]struct{}", 0},
		{&Schema{Type: TypeProtobuf, Name: "tidemark.Flight"}, "protobuf(tidemark.Flight)", 0},
		{&Schema{Type: TypeOpaque, Name: "jobs.Flight"}, "opaque(jobs.Flight)", 0},
		{nested(MaxNesting), strings.Repeat("[]", MaxNesting-1) + "int8", 0},
	}
	for _, test := range tests {
		enc, err := AppendSchema(nil, test.schema)
		must(t, err)
		got, err := DecodeSchema(enc, nil)
		must(t, err)
		if !got.Equal(test.schema) || got.Fingerprint() != test.schema.Fingerprint() || got.Fingerprint() == 0 {
			t.Errorf("%v was read as %v", test.schema, got)
		}
		if got.String() != test.text {
			t.Errorf("schema %v, expected %s", got, test.text)
		}
		if got.Width() != test.width {
			t.Errorf("%v has width %d, expected %d", got, got.Width(), test.width)
		}
		for n := range enc {
			if _, err := DecodeSchema(enc[:n], nil); !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrLimit) {
				t.Errorf("%v cut to %d bytes: %v", test.schema, n, err)
			}
		}
	}
}

func TestSchemaEqual(t *testing.T) {
	named := &Schema{Type: TypeStruct, Name: "Count", Fields: count64.Fields}
	if !named.Equal(count64) || named.Fingerprint() != count64.Fingerprint() {
		t.Error("the name of a struct counts as a difference")
	}
	different := []*Schema{count64, of(TypeInt64), sliceOf(of(TypeInt64)), array(2, of(TypeInt64)), array(3, of(TypeInt64)),
		structOf(count64.Fields[1], count64.Fields[0]), {Type: TypeProtobuf, Name: "a"}, {Type: TypeProtobuf, Name: "b"},
		{Type: TypeOpaque, Name: "a"}, {Type: TypeOpaque, Name: "b"}, nil}
	for i, a := range different {
		for j, b := range different {
			if a.Equal(b) != (i == j) {
				t.Errorf("Equal(%v, %v) = %v", a, b, i != j)
			}
		}
	}
}

func TestSchemaRules(t *testing.T) {
	opaque := &Schema{Type: TypeOpaque, Name: "jobs.Flight"}
	cycle := sliceOf(nil)
	cycle.Elems[0] = cycle
	tests := map[string]*Schema{
		"nothing": nil, "unknown type": of(25), "opaque without a name": of(TypeOpaque),
		"optional of opaque": optional(opaque), "field of opaque": structOf(Field{"a", opaque}), "map to opaque": mapOf(of(TypeInt8), opaque), "type 0": of(0), "slice of nothing": of(TypeSlice),
		"slice of a hole": {Type: TypeSlice, Elems: []*Schema{nil}}, "a cycle": cycle,
		"map with one element": {Type: TypeMap, Elems: []*Schema{of(TypeInt8)}},
		"int with fields":      {Type: TypeInt8, Fields: count64.Fields}, "int with a length": {Type: TypeInt8, Len: 1},
		"int with a name": {Type: TypeInt8, Name: "x"}, "17 levels": nested(MaxNesting + 1),
		"slice of nothings": sliceOf(structOf()), "array of nothings": array(5, array(0, of(TypeInt8))),
		"map of nothings": mapOf(structOf(), of(TypeInt8)), "field of nothing": structOf(Field{"a", structOf()}),
		"field without a name": structOf(Field{"", of(TypeInt8)}), "escape code": structOf(Field{"\x1b", of(TypeInt8)}),
		"two fields of one name": structOf(Field{"a", of(TypeInt8)}, Field{"a", of(TypeInt8)}),
		"5,000 fields":           structOf(make([]Field, 5000)...),
	}
	for name, s := range tests {
		if _, err := AppendSchema(nil, s); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v, expected ErrInvalid", name, err)
		}
		_ = s.String() // does not hang or panic
		if s.Fingerprint() != 0 || s != nil && s.Equal(count64) {
			t.Errorf("%s: fingerprint %x", name, s.Fingerprint())
		}
		if err := s.Validate(nil); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: Validate says %v", name, err)
		}
	}
}

// text encodes a string value.
func text(s string) []byte { return append(binary.AppendUvarint(nil, uint64(len(s))), s...) }

// i64 encodes integers of 64 bits.
func i64(v ...int64) (b []byte) {
	for _, x := range v {
		b = binary.LittleEndian.AppendUint64(b, uint64(x))
	}
	return b
}

func join(parts ...[]byte) (b []byte) {
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

func f64(v float64) []byte { return i64(int64(math.Float64bits(v))) }

func TestAppendJSON(t *testing.T) {
	tests := []struct {
		schema *Schema
		value  []byte
		want   string
	}{
		{of(TypeBool), []byte{1}, `true`},
		{of(TypeInt8), []byte{0xff}, `-1`},
		{of(TypeInt16), []byte{0, 0x80}, `-32768`},
		{of(TypeInt32), []byte{0xfe, 0xff, 0xff, 0xff}, `-2`},
		{of(TypeUint16), []byte{0xff, 0xff}, `65535`},
		{of(TypeInt64), i64(math.MinInt64), `"-9223372036854775808"`},
		{of(TypeUint64), i64(-1), `"18446744073709551615"`},
		{of(TypeFloat64), f64(1.5), `1.5`},
		{of(TypeFloat64), f64(1e300), `1e+300`},
		{of(TypeFloat64), f64(math.NaN()), `"NaN"`},
		{of(TypeFloat64), f64(math.Inf(-1)), `"-Infinity"`},
		{of(TypeFloat32), []byte{0xcd, 0xcc, 0xcc, 0x3d}, `0.1`},
		{of(TypeTime), i64(1_500_000_000), `"1970-01-01T00:00:01.5Z"`},
		{of(TypeTime), i64(math.MinInt64), `"1677-09-21T00:12:43.145224192Z"`},
		{of(TypeTime), i64(math.MaxInt64), `"2262-04-11T23:47:16.854775807Z"`},
		{of(TypeDuration), i64(-5), `"-5"`},
		{of(TypeString), text("a\"b\\\x1b[31m\n\x7f\u009b\u202e\xffé😀"), `"a\"b\\\u001b[31m\u000a\u007f\u009b\u202e` + "\ufffdé😀" + `"`},
		{of(TypeString), text("\U000e0001"), `"\udb40\udc01"`},
		{of(TypeBytes), text("\x00\xff"), `"AP8="`},
		{of(TypeRaw), text(""), `""`},
		{of(TypeJSON), text("{ \"a\" : [1, 2.50] ,\n\"b\":\"\u202e\"}"), `{"a":[1,2.50],"b":"\u202e"}`},
		{of(TypeJSON), text("{not json}"), `"{not json}"`},
		{count64, join(text("ATL"), i64(5)), `{"origin":"ATL","count":"5"}`},
		{structOf(), nil, `{}`},
		{sliceOf(of(TypeInt8)), []byte{0}, `[]`},
		{sliceOf(of(TypeInt8)), []byte{2, 1, 2}, `[1,2]`},
		{array(2, of(TypeBool)), []byte{0, 1}, `[false,true]`},
		{array(0, of(TypeBool)), nil, `[]`},
		{optional(of(TypeInt8)), []byte{0}, `null`},
		{optional(optional(of(TypeInt8))), []byte{1, 1, 7}, `7`},
		{mapOf(of(TypeString), of(TypeInt8)), join([]byte{2}, text("a"), []byte{1}, text("b"), []byte{2}), `{"a":1,"b":2}`},
		{mapOf(of(TypeInt8), structOf()), []byte{2, 1, 2}, `[[1,{}],[2,{}]]`},
		{mapOf(of(TypeInt8), sliceOf(of(TypeInt8))), []byte{2, 1, 1, 9, 2, 0}, `[[1,[9]],[2,[]]]`},
		{mapOf(array(2, of(TypeInt8)), mapOf(of(TypeString), of(TypeBool))), join([]byte{1, 3, 4, 1}, text("k"), []byte{1}), `[[[3,4],{"k":true}]]`},
		{sliceOf(count64), join([]byte{2}, text("x"), i64(1), text("y"), i64(2)), `[{"origin":"x","count":"1"},{"origin":"y","count":"2"}]`},
	}
	for _, test := range tests {
		got, err := AppendJSON([]byte("> "), test.schema, test.value, nil)
		if err != nil || string(got) != "> "+test.want {
			t.Errorf("%v % x: %s, %v; expected %s", test.schema, test.value, got, err, test.want)
		}
		must(t, test.schema.Validate(test.value))
		// Whatever is missing or left over is found.
		if err := test.schema.Validate(append(test.value[:len(test.value):len(test.value)], 0)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%v with a byte too many: %v", test.schema, err)
		}
		for n := range test.value {
			if _, err := AppendJSON(nil, test.schema, test.value[:n], nil); !errors.Is(err, ErrMalformed) {
				t.Errorf("%v cut to %d bytes: %v", test.schema, n, err)
			}
		}
	}
}

func TestValueRules(t *testing.T) {
	for name, test := range map[string]struct {
		schema *Schema
		value  []byte
	}{
		"bool 2":              {of(TypeBool), []byte{2}},
		"presence 2":          {optional(of(TypeBool)), []byte{2, 1}},
		"keys out of order":   {mapOf(of(TypeInt8), of(TypeInt8)), []byte{2, 5, 0, 4, 0}},
		"one key twice":       {mapOf(of(TypeInt8), of(TypeInt8)), []byte{2, 5, 0, 5, 0}},
		"long varint":         {of(TypeString), []byte{0x80, 0}},
		"count over the end":  {sliceOf(of(TypeInt8)), []byte{200, 1, 1, 2, 3}},
		"a map of 2^63":       {mapOf(of(TypeInt8), of(TypeInt8)), binary.AppendUvarint(nil, 1<<63)},
		"a count without end": {sliceOf(of(TypeInt8)), []byte{0x80}},
	} {
		if err := test.schema.Validate(test.value); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

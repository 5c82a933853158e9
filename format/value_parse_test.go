package format

import (
	"errors"
	"fmt"
	"math"
	"testing"
)

func TestParseText(t *testing.T) {
	one := func(t Type) *Schema { return &Schema{Type: t} }
	pair := &Schema{Type: TypeStruct, Fields: []Field{{"origin", one(TypeString)}, {"n", one(TypeInt16)}}}
	tests := []struct {
		schema *Schema
		text   string
		want   string // in hexadecimal
	}{
		{one(TypeString), `JFK`, "034a464b"},
		{one(TypeString), `"JFK"`, "034a464b"},
		{one(TypeString), `12`, "023132"},
		{one(TypeString), `true`, "0474727565"},
		{one(TypeString), ``, "00"},
		{one(TypeBool), `true`, "01"},
		{one(TypeInt8), `-2`, "fe"},
		{one(TypeUint16), `258`, "0201"},
		{one(TypeInt64), `"-1"`, "ffffffffffffffff"},
		{one(TypeUint64), `18446744073709551615`, "ffffffffffffffff"},
		{one(TypeFloat64), `-0`, "0000000000000000"},
		{one(TypeFloat64), `NaN`, fmt.Sprintf("%02x0000000000f87f", math.Float64bits(math.NaN())&0xff)},
		{one(TypeFloat32), `"Infinity"`, "0000807f"},
		{one(TypeBytes), `0xff00`, "02ff00"},
		{one(TypeBytes), `"/wA="`, "02ff00"},
		{one(TypeTime), `1970-01-01T00:00:00.000000001Z`, "0100000000000000"},
		{one(TypeDuration), `1us`, "e803000000000000"},
		{one(TypeDuration), `"1000"`, "e803000000000000"},
		{pair, `{"n":1,"origin":"a"}`, "01610100"},
		{&Schema{Type: TypeSlice, Elems: []*Schema{one(TypeUint8)}}, `[1,2]`, "020102"},
		{&Schema{Type: TypeArray, Len: 2, Elems: []*Schema{one(TypeUint8)}}, `[1,2]`, "0102"},
		{&Schema{Type: TypeOptional, Elems: []*Schema{one(TypeUint8)}}, `null`, "00"},
		{&Schema{Type: TypeOptional, Elems: []*Schema{one(TypeUint8)}}, `7`, "0107"},
	}
	for _, tt := range tests {
		got, err := ParseText([]byte("x"), tt.schema, tt.text)
		if err != nil || fmt.Sprintf("%x", got[1:]) != tt.want {
			t.Errorf("%v %s: %x, %v; want %s", tt.schema, tt.text, got, err, tt.want)
			continue
		}
		text, err := AppendJSON(nil, tt.schema, got[1:], nil)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := ParseText(nil, tt.schema, string(text)); err != nil || string(again) != string(got[1:]) {
			t.Errorf("%v: %s, as it is printed, is %x, %v", tt.schema, text, again, err)
		}
	}
}

func TestParseTextRefusals(t *testing.T) {
	one := func(t Type) *Schema { return &Schema{Type: t} }
	pair := &Schema{Type: TypeStruct, Fields: []Field{{"a", one(TypeInt8)}}}
	for _, tt := range []struct {
		schema *Schema
		text   string
	}{
		{one(TypeBool), "1"}, {one(TypeInt8), "128"}, {one(TypeUint8), "-1"}, {one(TypeInt32), "1.5"}, {one(TypeInt32), "x"},
		{one(TypeFloat64), "x"}, {one(TypeBytes), "0x1"}, {one(TypeBytes), "!"}, {one(TypeTime), "yesterday"}, {one(TypeRaw), "x"},
		{pair, `{}`}, {pair, `{"b":1}`}, {pair, `{"a":1,"b":1}`}, {pair, `{"a":300}`}, {pair, `7`}, {pair, `x`},
		{&Schema{Type: TypeArray, Len: 2, Elems: []*Schema{one(TypeUint8)}}, `[1]`},
		{&Schema{Type: TypeSlice, Elems: []*Schema{one(TypeUint8)}}, `{}`},
		{&Schema{Type: TypeMap, Elems: []*Schema{one(TypeString), one(TypeUint8)}}, `{}`},
		{&Schema{}, "x"},
	} {
		if got, err := ParseText([]byte("x"), tt.schema, tt.text); !errors.Is(err, ErrInvalid) || string(got) != "x" {
			t.Errorf("%v %s: %x, %v", tt.schema, tt.text, got, err)
		}
	}
}

func FuzzParseText(f *testing.F) {
	f.Add(byte(TypeString), "a")
	f.Add(byte(TypeInt64), `"5"`)
	f.Add(byte(TypeFloat32), "1e3")
	f.Fuzz(func(t *testing.T, typ byte, text string) {
		s := &Schema{Type: TypeSlice, Elems: []*Schema{{Type: Type(typ)}}}
		for _, s := range []*Schema{s, {Type: Type(typ)}} {
			enc, err := ParseText(nil, s, text)
			if err != nil {
				continue
			}
			if err := s.Validate(enc); err != nil {
				t.Fatalf("%v %q gives %x: %v", s, text, enc, err)
			}
		}
	})
}

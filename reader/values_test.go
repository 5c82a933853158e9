package reader

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/tidemark-io/tidemark/format"
)

// TestSkipAgreesWithValidate: the quick check accepts nothing that the thorough
// one refuses.
func TestSkipAgreesWithValidate(t *testing.T) {
	schemas := []*format.Schema{}
	for _, typ := range []format.Type{format.TypeBool, format.TypeInt8, format.TypeUint16, format.TypeInt32, format.TypeFloat32, format.TypeUint64,
		format.TypeTime, format.TypeDuration, format.TypeString, format.TypeBytes, format.TypeRaw, format.TypeJSON} {
		schemas = append(schemas, &format.Schema{Type: typ})
	}
	schemas = append(schemas, &format.Schema{Type: format.TypeStruct, Fields: []format.Field{
		{Name: "a", Schema: schemas[8]}, {Name: "b", Schema: schemas[1]}, {Name: "c", Schema: schemas[0]}}},
		&format.Schema{Type: format.TypeSlice, Elems: []*format.Schema{schemas[1]}},
		&format.Schema{Type: format.TypeSlice, Elems: []*format.Schema{schemas[8]}},
		&format.Schema{Type: format.TypeArray, Len: 3, Elems: []*format.Schema{schemas[2]}},
		&format.Schema{Type: format.TypeArray, Len: 2, Elems: []*format.Schema{schemas[0]}},
		&format.Schema{Type: format.TypeOptional, Elems: []*format.Schema{schemas[8]}})
	agreed := 0
	check := func(fatalf func(string, ...any), s *format.Schema, value []byte) {
		rest, ok := skip(s, value)
		quick := ok && len(rest) == 0
		thorough := s.Validate(value) == nil
		if quick && !thorough {
			fatalf("%v: %x is accepted", s, value)
		}
		if quick {
			agreed++
		}
		if (validate("value", s, value) == nil) != thorough {
			fatalf("%v: %x is judged differently", s, value)
		}
	}
	for _, s := range schemas { // zeros are a value of every type, of some length
		for n := range 16 {
			check(t.Fatalf, s, make([]byte, n))
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		s := rapid.SampledFrom(schemas).Draw(rt, "schema")
		value := rapid.SliceOfN(rapid.OneOf(rapid.Byte(), rapid.ByteRange(0, 3)), 0, 12).Draw(rt, "value")
		if rapid.Bool().Draw(rt, "long") {
			value = append([]byte{0x80 | byte(len(value)), 1}, append(make([]byte, 128), value...)...)
		}
		check(rt.Fatalf, s, value)
	})
	if agreed == 0 {
		t.Error("the quick check accepted nothing")
	}
}

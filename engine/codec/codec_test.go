package codec

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/tidemark-io/tidemark/format"
)

type (
	place string
	point struct{ X, Y int32 }
	inner struct {
		Tags  []string
		Where *point
		Both  [2]place
	}
	// everything has each kind of field at least once, with and without
	// padding between fields.
	everything struct {
		Flag   bool
		I8     int8
		I16    int16
		I32    int32
		I64    int64
		I      int
		U8     uint8
		U16    uint16
		U32    uint32
		U64    uint64
		U      uint
		F32    float32
		F64    float64
		S      string
		B      []byte
		At     time.Time
		For    time.Duration
		Hash   [16]byte
		Words  [3]uint64
		Flags  [2]bool
		Named  place
		Points []point
		Inners []inner
		Counts map[string]int64
		ByPt   map[point]inner
		Maybe  *string
		Twice  **int64
		Empty  struct{}
		Left   chan int `tidemark:"-"`
	}
	canonicalKey struct {
		Flag bool
		F32  float32
		F64  float64
		Name string
		ID   []byte
		At   time.Time
		Grid [2]float64
		In   point
	}
)

func genTime() *rapid.Generator[time.Time] {
	return rapid.Custom(func(t *rapid.T) time.Time { return nanosToTime(rapid.Int64().Draw(t, "ns")) })
}

func genInner() *rapid.Generator[inner] {
	return rapid.Custom(func(t *rapid.T) inner {
		in := inner{Tags: rapid.SliceOfN(rapid.String(), 0, 4).Draw(t, "tags")}
		if rapid.Bool().Draw(t, "where") {
			in.Where = &point{rapid.Int32().Draw(t, "x"), rapid.Int32().Draw(t, "y")}
		}
		in.Both[1] = place(rapid.String().Draw(t, "place"))
		return in
	})
}

func genEverything() *rapid.Generator[everything] {
	return rapid.Custom(func(t *rapid.T) everything {
		e := everything{
			Flag: rapid.Bool().Draw(t, "flag"), I8: rapid.Int8().Draw(t, "i8"),
			I16: rapid.Int16().Draw(t, "i16"), I32: rapid.Int32().Draw(t, "i32"),
			I64: rapid.Int64().Draw(t, "i64"), I: rapid.Int().Draw(t, "i"),
			U8: rapid.Uint8().Draw(t, "u8"), U16: rapid.Uint16().Draw(t, "u16"),
			U32: rapid.Uint32().Draw(t, "u32"), U64: rapid.Uint64().Draw(t, "u64"),
			U: rapid.Uint().Draw(t, "u"), F32: rapid.Float32().Draw(t, "f32"),
			F64: rapid.Float64().Draw(t, "f64"), S: rapid.String().Draw(t, "s"),
			B: rapid.SliceOf(rapid.Byte()).Draw(t, "b"), At: genTime().Draw(t, "at"),
			For:    time.Duration(rapid.Int64().Draw(t, "for")),
			Named:  place(rapid.String().Draw(t, "named")),
			Flags:  [2]bool{rapid.Bool().Draw(t, "f0"), rapid.Bool().Draw(t, "f1")},
			Words:  [3]uint64{rapid.Uint64().Draw(t, "w0"), 1, rapid.Uint64().Draw(t, "w2")},
			Inners: rapid.SliceOfN(genInner(), 0, 3).Draw(t, "inners"),
			Counts: rapid.MapOfN(rapid.String(), rapid.Int64(), 0, 5).Draw(t, "counts"),
			ByPt:   map[point]inner{},
		}
		copy(e.Hash[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "hash"))
		for range rapid.IntRange(0, 3).Draw(t, "points") {
			p := point{rapid.Int32().Draw(t, "x"), rapid.Int32().Draw(t, "y")}
			e.Points = append(e.Points, p)
			e.ByPt[p] = genInner().Draw(t, "inner")
		}
		if rapid.Bool().Draw(t, "maybe") {
			s := rapid.String().Draw(t, "s")
			e.Maybe = &s
			n := int64(len(s))
			np := &n
			e.Twice = &np
		}
		return e
	})
}

// compareOptions: nil and empty are one value for a codec, and so are NaNs.
var compareOptions = []cmp.Option{cmpopts.EquateEmpty(), cmpopts.EquateNaNs()}

func TestRoundTripEverything(t *testing.T) {
	c := must(Of[everything]())
	// The plan of big-endian machines must give the same bytes.
	plain, _, err := compile(reflect.TypeFor[everything](), asValue, false)
	if err != nil {
		t.Fatal(err)
	}
	other := &programCodec[everything]{program: plain, schema: c.Schema()}
	runs, size := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		v := genEverything().Draw(t, "value")
		prefix := []byte("prefix")
		b := c.Append(prefix, v)[len(prefix):]
		if b2 := other.Append(nil, v); !bytes.Equal(b, b2) {
			t.Fatalf("field by field: % x\nmerged: % x", b2, b)
		}
		for _, c := range []Codec[everything]{c, other} {
			src := append(bytes.Clone(b), "tail"...)
			got, n, err := c.Decode(src)
			if err != nil || n != len(b) {
				t.Fatalf("Decode took %d of %d bytes: %v", n, len(b), err)
			}
			clear(src) // values must not refer to src
			if d := cmp.Diff(v, got, compareOptions...); d != "" {
				t.Fatal(d)
			}
			if b3 := c.Append(nil, got); !bytes.Equal(b, b3) {
				t.Fatal("the decoded value encodes differently")
			}
		}
		runs, size = runs+1, size+len(b)
	})
	fmt.Printf("RESULT codec-roundtrip values=%d bytes=%d\n", runs, size)
}

func TestRoundTripKey(t *testing.T) {
	c := must(ForKey[canonicalKey]())
	if err := CheckKey("K", c.Schema()); err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		k := canonicalKey{
			Flag: rapid.Bool().Draw(t, "flag"), F32: rapid.Float32().Draw(t, "f32"),
			F64:  rapid.SampledFrom([]float64{0, math.Copysign(0, -1), math.NaN(), math.Float64frombits(0xfff8000000000123), 1.5, math.Inf(-1)}).Draw(t, "f64"),
			Name: rapid.String().Draw(t, "name"), ID: rapid.SliceOf(rapid.Byte()).Draw(t, "id"),
			At: genTime().Draw(t, "at"),
		}
		b := c.Append(nil, k)
		got, n, err := c.Decode(b)
		if err != nil || n != len(b) {
			t.Fatalf("Decode took %d of %d bytes: %v", n, len(b), err)
		}
		if d := cmp.Diff(k, got, compareOptions...); d != "" {
			t.Fatal(d)
		}
		if b2 := c.Append(nil, got); !bytes.Equal(b, b2) {
			t.Fatalf("not canonical: % x, % x", b, b2)
		}
	})
}

// TestFlat goes through the lengths that flat codecs treat in ways of their own.
func TestFlat(t *testing.T) {
	flatRoundTrip(t, [7]byte{1, 2, 3, 4, 5, 6, 7})
	flatRoundTrip(t, [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16})
	flatRoundTrip(t, [4]int32{1, -2, 3, -4})
	flatRoundTrip(t, [5]int32{1, -2, 3, -4, 5})
	flatRoundTrip(t, [3]uint64{1, 1 << 60, 3})
	flatRoundTrip(t, [4]float64{1, -2, 3, math.Inf(1)})
	flatRoundTrip(t, [5]uint64{1, 2, 3, 4, 5})
	flatRoundTrip(t, [9]uint64{1, 2, 3, 4, 5, 6, 7, 8, 9})
	flatRoundTrip(t, event{1, -2, 3})
	flatRoundTrip(t, point{1, -2})
}

func flatRoundTrip[T comparable](t *testing.T, v T) {
	t.Helper()
	plain, _, err := compile(reflect.TypeFor[T](), asValue, false)
	if err != nil {
		t.Fatal(err)
	}
	c := must(Of[T]())
	b := c.Append(nil, v)
	if want := (&programCodec[T]{program: plain}).Append(nil, v); !bytes.Equal(b, want) {
		t.Errorf("%T: % x, field by field % x", v, b, want)
	}
	got, n, err := c.Decode(append(bytes.Clone(b), 0xff))
	if err != nil || n != len(b) || got != v {
		t.Errorf("%v: %v (%d bytes, %v)", v, got, n, err)
	}
	if _, _, err := c.Decode(b[:len(b)-1]); !errors.Is(err, ErrShort) {
		t.Errorf("%T cut: %v", v, err)
	}
}

func TestKeyFloatsAreCanonical(t *testing.T) {
	zero, nan := must(ForKey[float64]()), must(ForKey[float32]())
	if a, b := zero.Append(nil, 0), zero.Append(nil, math.Copysign(0, -1)); !bytes.Equal(a, b) {
		t.Errorf("+0 is % x, -0 is % x", a, b)
	}
	quiet, other := float32(math.NaN()), math.Float32frombits(0xffc12345)
	if a, b := nan.Append(nil, quiet), nan.Append(nil, other); !bytes.Equal(a, b) {
		t.Errorf("NaNs are % x and % x", a, b)
	}
	if bits := math.Float32bits(float32(math.NaN())); bits != nan32 {
		t.Errorf("the canonical float32 NaN is %#x, Go's is %#x", nan32, bits)
	}
	if bits := math.Float64bits(math.NaN()); bits != nan64 {
		t.Errorf("the canonical float64 NaN is %#x, Go's is %#x", uint64(nan64), bits)
	}
	if _, _, err := zero.Decode([]byte{0, 0, 0, 0, 0, 0, 0, 0x80}); !errors.Is(err, ErrInvalid) {
		t.Errorf("-0 in a key: %v", err)
	}
	// Values keep every bit.
	if b := must(Of[float64]()).Append(nil, math.Copysign(0, -1)); b[7] != 0x80 {
		t.Errorf("-0 as a value is % x", b)
	}
}

func TestTimes(t *testing.T) {
	c := must(Of[time.Time]())
	for _, tc := range []struct{ in, want time.Time }{
		{time.Time{}, time.Time{}},
		{time.Unix(0, 0), time.Unix(0, 0).UTC()},
		{time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC), firstTime.UTC()},
		{time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC), lastTime.UTC()},
		{time.Date(2001, 1, 1, 0, 47, 0, 5, time.FixedZone("", 3600)), time.Date(2000, 12, 31, 23, 47, 0, 5, time.UTC)},
	} {
		got, n, err := c.Decode(c.Append(nil, tc.in))
		if err != nil || n != 8 || got != tc.want {
			t.Errorf("%v: %v (%d bytes, %v), want %v", tc.in, got, n, err, tc.want)
		}
	}
}

func TestWidth(t *testing.T) {
	check := func(name string, got, want int) {
		t.Helper()
		if got != want {
			t.Errorf("width of %s is %d, want %d", name, got, want)
		}
	}
	check("int64", Width(must(Of[int64]())), 8)
	check("int", Width(must(Of[int]())), 8)
	check("event", Width(must(Of[event]())), 24)
	check("[3]point", Width(must(Of[[3]point]())), 24)
	check("[0]string", Width(must(Of[[0]string]())), 0)
	check("bool+time", Width(must(Of[struct {
		A bool
		B time.Time
	}]())), 9)
	check("string", Width(must(Of[string]())), 0)
	check("inner", Width(must(Of[inner]())), 0)
	check("struct{}", Width(must(Of[struct{}]())), 0)
	check("JSON", Width(must(JSON[int]())), 0)
	check("Raw", Width(Raw()), 0)
	check("no schema", Width(Func[int](nil, nil, nil)), 0)
}

func TestNoAllocation(t *testing.T) {
	buf := make([]byte, 0, 256)
	e, f := must(Of[event]()), must(Of[flight]())
	type deep struct {
		A flight
		B [2]bool
		C []int32
		P *point
	}
	d := must(Of[deep]())
	v := deep{C: []int32{1, 2}, P: &point{}}
	enc := e.Append(nil, event{1, 2, 3})
	for name, fn := range map[string]func(){
		"append event":  func() { buf = e.Append(buf[:0], event{1, 2, 3}) },
		"append flight": func() { buf = f.Append(buf[:0], flight{Origin: "DTW"}) },
		"append deep":   func() { buf = d.Append(buf[:0], v) },
		"decode event":  func() { _, _, _ = e.Decode(enc) },
	} {
		if n := testing.AllocsPerRun(100, fn); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestSchemaOfEverything(t *testing.T) {
	s := must(Of[everything]()).Schema()
	if s.Type != format.TypeStruct || s.Name != "everything" {
		t.Fatalf("schema %+v", s)
	}
	typ := reflect.TypeFor[everything]()
	if len(s.Fields) != typ.NumField()-1 {
		t.Fatalf("%d fields, want all but the skipped one", len(s.Fields))
	}
	byName := map[string]*format.Schema{}
	for _, f := range s.Fields {
		byName[f.Name] = f.Schema
	}
	want := map[string]*format.Schema{
		"I":     {Type: format.TypeInt64},
		"U":     {Type: format.TypeUint64},
		"For":   {Type: format.TypeDuration},
		"Hash":  {Type: format.TypeArray, Len: 16, Elems: []*format.Schema{{Type: format.TypeUint8}}},
		"Maybe": {Type: format.TypeOptional, Elems: []*format.Schema{{Type: format.TypeString}}},
		"Counts": {Type: format.TypeMap, Elems: []*format.Schema{
			{Type: format.TypeString}, {Type: format.TypeInt64},
		}},
		"Points": {Type: format.TypeSlice, Elems: []*format.Schema{{
			Type: format.TypeStruct, Name: "point", Fields: []format.Field{
				{Name: "X", Schema: &format.Schema{Type: format.TypeInt32}},
				{Name: "Y", Schema: &format.Schema{Type: format.TypeInt32}},
			},
		}}},
	}
	for name, w := range want {
		if d := cmp.Diff(w, byName[name]); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

package serde

import (
	"bytes"
	"errors"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/tidemark-io/tidemark/flink/wire"
)

// seeds are snapshots and values of many kinds, made here.
func seeds(t testing.TB) (snapshots [][]byte, values [][]byte) {
	t.Helper()
	add := func(typ *Type, err error, v any) {
		if err != nil {
			t.Fatal(err)
		}
		b, err := typ.Append(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		snapshots, values = append(snapshots, typ.AppendSnapshot(nil)), append(values, b)
	}
	str, long := Of(KindString), Of(KindLong)
	add(str, nil, "a\x00é€😀")
	add(Of(KindTimeWindow), nil, &Struct{Values: []any{int64(1), int64(2)}})
	typ, err := TupleOf(str, long, Of(KindDouble))
	add(typ, err, &Struct{Values: []any{"x", int64(-1), 0.5}})
	typ, err = MapOf(str, typ)
	add(typ, err, Map{{"k", nil}})
	typ, err = ListOf(Of(KindBytes))
	add(typ, err, []any{[]byte{1}, []byte{}})
	typ, err = RowOf(true, str, long)
	add(typ, err, &Struct{Values: []any{nil, int64(3)}, RowKind: 3})
	typ, err = PojoOf("a.B", Field{Name: "n", Type: Of(KindInt)}, Field{Name: "m", Type: str})
	add(typ, err, &Struct{Values: []any{"s", nil}})
	typ, err = TimerOf(str, Of(KindVoidNamespace))
	add(typ, err, &Struct{Values: []any{int64(-5), "k", nil}})
	return snapshots, values
}

// memory runs do and returns the bytes it allocated.
func memory(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// A length that is not true costs nothing.
func TestBombs(t *testing.T) {
	list := must(t)(ListOf(Of(KindLong)))
	nested := must(t)(MapOf(Of(KindString), list))
	huge := wire.AppendI32(nil, math.MaxInt32)
	values := map[string]struct {
		typ  *Type
		data []byte
	}{
		"list":   {list, huge},
		"map":    {nested, huge},
		"bytes":  {Of(KindBytes), huge},
		"array":  {Of(KindLongArray), huge},
		"string": {Of(KindString), []byte{0xFF, 0xFF, 0xFF, 0xFF, 0x0F}},
		"number": {Of(KindBigInteger), huge},
		"row":    {must(t)(RowOf(false, Of(KindInt))), nil},
	}
	for name, c := range values {
		var err error
		if n := memory(func() { _, err = c.typ.Decode(c.data) }); n > 1<<20 {
			t.Errorf("%s: %d bytes of memory for %d", name, n, len(c.data))
		}
		var e *wire.Error
		if !errors.As(err, &e) {
			t.Errorf("%s: %v", name, err)
		}
		r := wire.NewStream(name, 0, bytes.NewReader(c.data), -1)
		if n := memory(func() { c.typ.Skip(r) }); n > 1<<20 || r.Err() == nil {
			t.Errorf("%s from a stream: %d bytes, %v", name, n, r.Err())
		}
	}
	// Elements without bytes, and snapshots without end.
	empty := &Type{Kind: KindList, Args: []*Type{{Kind: KindCaseClass}}}
	if _, err := empty.Decode(huge[:4]); !errors.Is(err, wire.ErrMalformed) && !errors.Is(err, wire.ErrLimit) {
		t.Errorf("elements without bytes: %v", err)
	}
	deep := wire.AppendI32(nil, proxyVersion)
	for range 100 {
		head, _ := must(t)(ListOf(Of(KindLong))).encode(nil)
		deep = append(deep, head[:len(head)-len(Of(KindLong).raw)]...)
	}
	if _, err := ReadSnapshot(wire.NewBytes("deep", 0, deep)); !errors.Is(err, wire.ErrLimit) {
		t.Errorf("a deep snapshot: %v", err)
	}
	// A schema that refers to itself.
	avro, err := parseAvro(`{"type":"record","name":"R","fields":[{"name":"next","type":"R"}]}`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (&Type{Kind: KindAvro, avro: avro}).Decode(nil); !errors.Is(err, wire.ErrLimit) {
		t.Errorf("a record inside itself: %v", err)
	}
	if _, err := parseAvro(strings.Repeat("[", 1000) + strings.Repeat("]", 1000)); !errors.Is(err, wire.ErrLimit) {
		t.Errorf("a deep schema: %v", err)
	}
	t.Logf("RESULT TestBombs values=%d", len(values))
}

// No snapshot makes the parser panic, and what it accepts it keeps byte for byte.
func FuzzSnapshot(f *testing.F) {
	snapshots, values := seeds(f)
	for i := range snapshots {
		f.Add(snapshots[i], values[i])
	}
	f.Fuzz(func(t *testing.T, snapshot, value []byte) {
		r := wire.NewBytes("snapshot", 0, snapshot)
		typ, err := ReadSnapshot(r)
		if err != nil {
			var e *wire.Error
			if !errors.As(err, &e) || e.Offset < 0 || e.Offset > int64(len(snapshot)) {
				t.Fatalf("%v", err)
			}
			return
		}
		if r.End("snapshot") == nil && !bytes.Equal(typ.AppendSnapshot(nil), snapshot) {
			t.Errorf("snapshot %x became %x", snapshot, typ.AppendSnapshot(nil))
		}
		_, _ = typ.String(), typ.FixedLength()
		checkValue(t, typ, value)
	})
}

// checkValue holds the ways of reading a value against each other.
func checkValue(t *testing.T, typ *Type, value []byte) {
	v, err := typ.Decode(value)
	if checked := typ.Check(wire.NewBytes("value", 0, value)); (err == nil) != (checked == nil) && !errors.Is(err, wire.ErrLimit) {
		t.Errorf("Decode says %v, Check %v", err, checked)
	}
	if err != nil {
		var e *wire.Error
		if !errors.As(err, &e) {
			t.Fatalf("%v", err)
		}
		return
	}
	if len(value) < 1<<16 {
		typ.AppendValueJSON(nil, v)
	}
	_, _ = typ.HashKey(value)
	if again, err := typ.Append(nil, v); err == nil {
		if v2, err := typ.Decode(again); err != nil {
			t.Errorf("%x became %x, which is no value: %v, %v", value, again, err, v2)
		}
	}
}

// FuzzValue reads any bytes as values of the seeds' types.
func FuzzValue(f *testing.F) {
	snapshots, values := seeds(f)
	var types []*Type
	for i, s := range snapshots {
		typ, err := ReadSnapshot(wire.NewBytes("seed", 0, s))
		if err != nil {
			f.Fatal(err)
		}
		types = append(types, typ)
		f.Add(uint8(i), values[i])
	}
	types = append(types, rowData)
	f.Add(uint8(len(types)-1), []byte{0, 0, 0, 16, 0, 1, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, which uint8, value []byte) {
		checkValue(t, types[int(which)%len(types)], value)
	})
}

// rowData is a row with every way in which a field can lie in it.
var rowData = &Type{Kind: KindRowData, Logical: []Logical{
	{Root: "BIGINT"}, {Root: "VARCHAR"}, {Root: "DECIMAL", Precision: 30, Scale: 2}, {Root: "TIMESTAMP", Precision: 6}, {Root: "DATE"}, {Root: "TIME"},
	{Root: "ARRAY", Args: []Logical{{Root: "INTEGER"}}}, {Root: "MAP", Args: []Logical{{Root: "VARCHAR"}, {Root: "ARRAY", Args: []Logical{{Root: "BOOLEAN"}}}}},
	{Root: "MULTISET", Args: []Logical{{Root: "DOUBLE"}}}, {Root: "ROW", Args: []Logical{{Root: "BIGINT"}}}, {Root: "VARBINARY"}, {Root: "RAW"},
}}

package codec

import (
	"bytes"
	"fmt"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/tidemark-io/tidemark/format"
)

type (
	oldPart struct {
		A int8
		B string
		C []byte
	}
	oldWhole struct {
		N    int16
		U    uint8
		Gone map[string][]string
		List []oldPart
		Two  [2]oldPart
		Opt  *oldPart
		Map  map[string]oldPart
		T    time.Time
	}
	newPart struct {
		C []byte
		D string `tidemark:"old=B"`
		A int64
		E *int64
	}
	newWhole struct {
		T    time.Time
		Map  map[string]newPart
		Opt  *newPart
		Two  [2]newPart
		List []newPart
		U    int16
		N    int32
		Born time.Time
		Wide [3]uint16
	}
)

// migrated is what a value of the old type is under the new one.
func migrated[A, B any](t *testing.T, v A) B {
	t.Helper()
	was, is := MustOf[A](), MustOf[B]()
	m, differences := Migrate(was.Schema(), is.Schema())
	if m == nil {
		t.Fatalf("no migration: %v", differences)
	}
	data, err := m.Append([]byte("before"), was.Append(nil, v))
	if err != nil || !bytes.HasPrefix(data, []byte("before")) {
		t.Fatal(data, err)
	}
	got, n, err := is.Decode(data[6:])
	if err != nil || n != len(data)-6 {
		t.Fatalf("%d of %d bytes: %v", n, len(data)-6, err)
	}
	return got
}

func TestMigrate(t *testing.T) {
	now := time.Unix(5, 6).UTC()
	old := oldWhole{N: math.MinInt16, U: 255, Gone: map[string][]string{"x": {"y", ""}}, T: now,
		List: []oldPart{{-1, "b", nil}, {2, "", []byte("c")}}, Two: [2]oldPart{{A: 3}, {A: -128, B: "z"}},
		Opt: &oldPart{A: 7}, Map: map[string]oldPart{"k": {B: "v"}, "l": {A: -9}}}
	want := newWhole{N: math.MinInt16, U: 255, T: now, List: []newPart{{nil, "b", -1, nil}, {[]byte("c"), "", 2, nil}},
		Two: [2]newPart{{A: 3}, {A: -128, D: "z"}}, Opt: &newPart{A: 7}, Map: map[string]newPart{"k": {D: "v"}, "l": {A: -9}}}
	if got := migrated[oldWhole, newWhole](t, old); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := migrated[oldWhole, newWhole](t, oldWhole{}); !reflect.DeepEqual(got, newWhole{}) {
		t.Errorf("of the zero value: %+v", got)
	}
	if got := migrated[uint32, int64](t, math.MaxUint32); got != math.MaxUint32 {
		t.Error(got)
	}
	if m, differences := Migrate(MustOf[oldWhole]().Schema(), MustOf[oldWhole]().Schema()); m != nil || differences != nil {
		t.Error("equal schemas have a migration")
	}
}

// What is no migration is refused, all of it at once.
func TestMigrateRefuses(t *testing.T) {
	type was struct {
		A int64
		B string
		C map[int8]int8
		D []int32
		E [2]int8
		F struct{ G int16 }
		H uint8
		J float32
	}
	type is struct {
		A int32
		B []byte
		C map[int16]int8
		D []string
		E [3]int8
		F struct{ G uint16 }
		H int8
		J float64
	}
	m, differences := Migrate(MustOf[was]().Schema(), MustOf[is]().Schema())
	want := []string{"A was int64 and is int32", "B was string and is bytes", "C[key] was int8 and is int16", "D[] was int32 and is string",
		"E was [2]int8 and is [3]int8", "F.G was int16 and is uint16", "H was uint8 and is int8", "J was float32 and is float64"}
	if got := fmt.Sprint(differences); m != nil || got != fmt.Sprint(want) {
		t.Errorf("%v, differences %v", m, got)
	}
	if _, d := Migrate(MustOf[int64]().Schema(), MustOf[string]().Schema()); fmt.Sprint(d) != "[it was int64 and is string]" {
		t.Error(d)
	}
	if _, d := Migrate(nil, MustOf[string]().Schema()); len(d) != 1 {
		t.Error(d)
	}
	raw := &format.Schema{Type: format.TypeStruct, Fields: []format.Field{{Name: "R", Schema: &format.Schema{Type: format.TypeRaw}}}}
	if _, d := Migrate(MustOf[struct{ A int8 }]().Schema(), raw); fmt.Sprint(d) != "[R is new, and a raw has no zero value]" {
		t.Error(d)
	}
}

// A migration of any bytes ends without a panic; what it accepts of them that the
// old codec reads, the new one reads too, and gets the same for what both have.
func FuzzMigrate(f *testing.F) {
	was, is := MustOf[oldWhole](), MustOf[newWhole]()
	m, _ := Migrate(was.Schema(), is.Schema())
	f.Add(was.Append(nil, oldWhole{}))
	f.Add(was.Append(nil, oldWhole{List: make([]oldPart, 3), Opt: &oldPart{}, Map: map[string]oldPart{"k": {}}}))
	f.Add([]byte{0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, data []byte) {
		out, err := m.Append(nil, data)
		old, n, derr := was.Decode(data)
		if derr != nil || n != len(data) {
			return
		}
		if err != nil {
			t.Fatalf("the old codec reads it, the migration says %v", err)
		}
		got, n, err := is.Decode(out)
		if err != nil || n != len(out) {
			t.Fatalf("%d of %d bytes: %v", n, len(out), err)
		}
		if got.N != int32(old.N) || got.U != int16(old.U) || len(got.List) != len(old.List) || len(got.Map) != len(old.Map) || !got.T.Equal(old.T) {
			t.Errorf("%+v became %+v", old, got)
		}
	})
}

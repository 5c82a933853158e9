package codec

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-io/tidemark/format"
)

type (
	node   struct{ Next *node }
	bad    struct{ Tags []chan int }
	hidden struct{ sum int } //lint:ignore U1000 the codec looks at it
	named  struct {
		A int `tidemark:"x"`
		B int `tidemark:"x"`
	}
	unnamed struct {
		A int `tidemark:""`
	}
	partial struct {
		A int
		B int `tidemark:"-"`
	}
)

func refuse[T any](t *testing.T, f func() (Codec[T], error), want string) {
	t.Helper()
	_, err := f()
	if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want an unsupported type and %q", err, want)
	}
}

func TestUnsupportedTypes(t *testing.T) {
	refuse(t, Of[bad], "bad.Tags[]: chan int is not supported")
	refuse(t, Of[any], "interface {} is not supported")
	refuse(t, Of[func()], "func() is not supported")
	refuse(t, Of[complex128], "complex128 is not supported")
	refuse(t, Of[uintptr], "uintptr is not supported")
	refuse(t, Of[node], "node.Next: the recursive type codec.node is not supported")
	refuse(t, Of[hidden], "hidden.sum: the field is unexported")
	refuse(t, Of[named], "named.B: a second field is named x")
	refuse(t, Of[unnamed], "unnamed.A: a field name must have")
	refuse(t, Of[[]struct{}], "without any encoded byte")
	refuse(t, Of[map[struct{}]int], "no encoded byte")
	refuse(t, Of[map[float64]int], "[key]: float64 as the key of a map")
	refuse(t, Of[map[time.Time]int], "[key]: time.Time as the key of a map")
	refuse(t, Of[map[*int]int], "[key]: the pointer *int in a key")
	refuse(t, Of[map[partial]int], "[key].B: a skipped field in the key of a map")
	refuse(t, Of[[][][][][][][][][][][][][][][][][]int], "nested more than 16 deep")
	if strconv.IntSize == 64 {
		_, _, err := compile(reflect.ArrayOf(1<<28, reflect.TypeFor[[2]int64]()), asValue, true)
		if err == nil || !strings.Contains(err.Error(), "is encoded as more than 2 GiB") {
			t.Error(err)
		}
	}
}

func TestUnsupportedKeys(t *testing.T) {
	refuse(t, ForKey[map[string]int], "map[string]int in a key is not supported")
	refuse(t, ForKey[any], "interface {} is not supported")
	refuse(t, ForKey[*int], "the pointer *int in a key is not supported")
	refuse(t, ForKey[[]int], "[]int in a key is not supported ([]byte is)")
	refuse(t, ForKey[inner], "inner.Tags: []string in a key is not supported")
}

func TestCheckKey(t *testing.T) {
	for typ, want := range map[format.Type]string{
		format.TypeMap: "a map", format.TypeSlice: "a slice", format.TypeOptional: "a pointer",
		format.TypeJSON: "JSON", format.TypeProtobuf: "protobuf", format.TypeRaw: "raw bytes", 99: "unknown type",
	} {
		s := &format.Schema{Type: format.TypeStruct, Fields: []format.Field{{
			Name: "A", Schema: &format.Schema{Type: format.TypeArray, Len: 2, Elems: []*format.Schema{{Type: typ}}},
		}}}
		if err := CheckKey("K", s); err == nil || !strings.Contains(err.Error(), "K.A[]: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("type %d: %v", typ, err)
		}
	}
	if err := CheckKey("K", nil); err == nil {
		t.Error("a key without schema passed")
	}
}

func TestDecodeRefusals(t *testing.T) {
	huge := bytes.Repeat([]byte{0xff}, 8) // begins a varint of 2^56 and more
	for _, tc := range []struct {
		name  string
		err   error
		class error
		want  string
	}{
		{"length beyond the end", decodeErr[string](append(huge, 0x01, 'a')), ErrShort, "string at byte 0: length 144115188075855871, 1 bytes left"},
		{"length beyond any int", decodeErr[string](append(huge, 0xff, 0x01, 'a')), ErrShort, "string at byte 0: length 18446744073709551615, 1 bytes left"},
		{"one element too many", decodeErr[[]int64](append([]byte{3}, make([]byte, 16)...)), ErrShort, "elements of at least 8 bytes each, 16 bytes left"},
		{"count beyond the end", decodeErr[[]int64](append(huge, 0x01, 1, 2, 3)), ErrShort, "elements of at least 8 bytes each, 3 bytes left"},
		{"count of a map", decodeErr[map[string]int64]([]byte{9, 0}), ErrShort, "9 elements of at least 9 bytes each"},
		{"varint too long", decodeErr[string](append(huge, 0xff, 0xff, 0x01)), ErrInvalid, "varint exceeds 64 bits"},
		{"varint not shortest", decodeErr[string]([]byte{0x80, 0x00}), ErrInvalid, "not the shortest form"},
		{"bool 2", decodeErr[bool]([]byte{2}), ErrInvalid, "0x02 where 0 or 1"},
		{"optional 2", decodeErr[inner]([]byte{0, 2, 0, 0}), ErrInvalid, "inner.Where at byte 1"},
		{"map descends", decodeErr[map[string]bool]([]byte{2, 1, 'b', 0, 1, 'a', 1}), ErrInvalid, "key 0161 does not follow 0162"},
		{"map repeats", decodeErr[map[string]bool]([]byte{2, 1, 'b', 0, 1, 'b', 1}), ErrInvalid, "does not follow"},
		{"struct cut", decodeErr[event](make([]byte, 23)), ErrShort, "24 bytes wanted, 23 left"},
		{"empty", decodeErr[everything](nil), ErrShort, "everything.Flag at byte 0"},
	} {
		var de *DecodeError
		if !errors.Is(tc.err, tc.class) || !errors.As(tc.err, &de) || !strings.Contains(tc.err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.name, tc.err, tc.want)
		}
	}
}

func decodeErr[T any](src []byte) error {
	_, n, err := must(Of[T]()).Decode(src)
	if err != nil && n != 0 {
		panic("an error and a length")
	}
	return err
}

// TestEveryPrefix cuts an encoding at each place: always ErrShort, never a
// value or a panic.
func TestEveryPrefix(t *testing.T) {
	c := must(Of[everything]())
	s, n := "maybe", int64(3)
	np := &n
	b := c.Append(nil, everything{
		S: strings.Repeat("long", 50), B: []byte{1, 2}, Maybe: &s, Twice: &np, Points: []point{{1, 2}, {3, 4}},
		Counts: map[string]int64{"a": 1, "bb": 2}, ByPt: map[point]inner{{1, 2}: {Tags: []string{"x"}, Where: &point{}}},
	})
	for i := range b {
		if _, _, err := c.Decode(b[:i]); !errors.Is(err, ErrShort) {
			t.Fatalf("cut at %d of %d: %v", i, len(b), err)
		}
	}
	t.Logf("RESULT codec-prefixes cuts=%d refused=%d", len(b), len(b))
}

func TestJSON(t *testing.T) {
	c := must(JSON[map[string]float64]())
	for _, n := range []int{0, 1, 5, 12, 13, 100, 3000} { // 12 and 13 straddle a length of two bytes
		v := map[string]float64{}
		for i := range n {
			v[strings.Repeat("k", 3)+string(rune('0'+i))] = float64(i)
		}
		b := c.Append([]byte("x"), v)
		got, k, err := c.Decode(b[1:])
		if err != nil || k != len(b)-1 || len(got) != n {
			t.Fatalf("%d entries: %d entries, %d of %d bytes, %v", n, len(got), k, len(b)-1, err)
		}
	}
	if _, err := JSON[chan int](); !errors.Is(err, ErrUnsupported) {
		t.Errorf("JSON of a channel: %v", err)
	}
	if _, _, err := c.Decode([]byte{2, '{', '['}); !errors.Is(err, ErrInvalid) {
		t.Errorf("bad JSON: %v", err)
	}
	defer func() {
		if _, ok := recover().(*EncodeError); !ok {
			t.Error("a NaN did not panic with an *EncodeError")
		}
	}()
	c.Append(nil, map[string]float64{"nan": math.NaN()})
}

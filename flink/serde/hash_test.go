package serde

import (
	"errors"
	"math"
	"math/big"
	"testing"

	"github.com/tidemark-io/tidemark/flink/wire"
)

// Values of MathUtils.murmurHash that Flink computed.
func TestMurmur(t *testing.T) {
	for code, want := range map[int32]int32{0: 593689054, 1: 68075478, 42: 1134849565, -1: 1982413648, 97: 1455541201, 99162322: 1715862179, math.MinInt32: 1718298732} {
		if got := murmur(code); got != want {
			t.Errorf("murmur(%d) = %d, want %d", code, got, want)
		}
	}
	if g := KeyGroup(99162322, 128); g != 1715862179%128 {
		t.Error(g)
	}
}

func must(t *testing.T) func(*Type, error) *Type {
	return func(typ *Type, err error) *Type {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return typ
	}
}

// Hash codes as the Java Platform's documentation defines them, worked out by hand.
func TestHashCodes(t *testing.T) {
	tuple := must(t)(TupleOf(Of(KindString), Of(KindLong)))
	row := must(t)(RowOf(true, Of(KindInt), Of(KindString)))
	big70 := new(big.Int).Lsh(big1, 70)
	cases := []struct {
		name string
		typ  *Type
		v    any
		want int32
	}{
		{"Long", Of(KindLong), int64(1)<<32 | 5, 1 ^ 5},
		{"negative Long", Of(KindLong), int64(-1), 0},
		{"Integer", Of(KindInt), int64(-7), -7},
		{"Short", Of(KindShort), int64(-300), -300},
		{"Byte", Of(KindByte), int64(-1), -1},
		{"Character", Of(KindChar), int64('a'), 97},
		{"true", Of(KindBoolean), true, 1231},
		{"false", Of(KindBoolean), false, 1237},
		{"String", Of(KindString), "hello", 99162322},
		{"String of another plane", Of(KindString), "😀", 31*0xD83D + 0xDE00},
		{"Double", Of(KindDouble), 1.0, 1072693248},
		{"negative zero", Of(KindDouble), math.Copysign(0, -1), math.MinInt32},
		{"NaN", Of(KindDouble), math.Float64frombits(0x7ff8000000000001), 2146959360},
		{"Float", Of(KindFloat), float32(1), 1065353216},
		{"Tuple2", tuple, &Struct{Values: []any{"hello", int64(5)}, RowKind: -1}, hash31(99162322, 5)},
		{"Row", row, &Struct{Values: []any{int64(3), nil}, RowKind: 0}, hash31(hash31(1, 31+3), 0)},
		{"Row of kind +U", row, &Struct{Values: []any{int64(3), nil}, RowKind: 2}, 2*31 + hash31(hash31(1, 31+3), 0)},
		{"BigInteger", Of(KindBigInteger), big.NewInt(-5), -5},
		{"long BigInteger", Of(KindBigInteger), big70, 64 * 31 * 31},
		{"BigDecimal", Of(KindBigDecimal), &Decimal{big.NewInt(-12345), 2}, -12345*31 + 2},
		{"LocalDate", Of(KindLocalDate), Civil{Year: 2024, Month: 2, Day: 29, HasDate: true}, (2024 & -2048) ^ (2024<<11 + 2<<6 + 29)},
		{"Instant", Of(KindInstant), Instant{10, 3}, 10 + 51*3},
	}
	for _, c := range cases {
		key, err := c.typ.Append(nil, c.v)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got, err := c.typ.HashKey(key); err != nil || got != c.want {
			t.Errorf("%s: %d, %v, want %d", c.name, got, err, c.want)
		}
	}
}

func hash31(h, code int32) int32 { return 31*h + code }

// What has no hash code that can be computed is refused by its name.
func TestNoHashCode(t *testing.T) {
	pojo := must(t)(PojoOf("a.b.User", Field{Name: "id", Type: Of(KindLong)}))
	for name, typ := range map[string]*Type{
		"User":       must(t)(TupleOf(Of(KindLong), pojo)),
		"byte[]":     must(t)(TupleOf(Of(KindBytes))),
		"List<Long>": must(t)(ListOf(Of(KindLong))),
	} {
		_, err := typ.HashKey(nil)
		var e *HashError
		if !errors.As(err, &e) || e.Type != name || !errors.Is(err, wire.ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

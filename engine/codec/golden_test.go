package codec

import (
	"bytes"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// line renders one value: type, bytes in hex.
func line[T any](b *bytes.Buffer, name string, c Codec[T], v T) {
	fmt.Fprintf(b, "%-28s width %-2d  % x\n", name, Width(c), c.Append(nil, v))
}

// TestGolden pins the encodings: they are on disk.
func TestGolden(t *testing.T) {
	var b bytes.Buffer
	b.WriteString("# One value a line: what it is, fixed width of its type (0: varies), its bytes.\n")
	line(&b, "bool true", must(Of[bool]()), true)
	line(&b, "int8 -2", must(Of[int8]()), -2)
	line(&b, "int16 -2", must(Of[int16]()), -2)
	line(&b, "int32 -2", must(Of[int32]()), -2)
	line(&b, "int64 -2", must(Of[int64]()), -2)
	line(&b, "int -2", must(Of[int]()), -2)
	line(&b, "uint8 0x12", must(Of[uint8]()), 0x12)
	line(&b, "uint16 0x1234", must(Of[uint16]()), 0x1234)
	line(&b, "uint32 0x12345678", must(Of[uint32]()), 0x12345678)
	line(&b, "uint64 0x0123456789abcdef", must(Of[uint64]()), 0x0123456789abcdef)
	line(&b, "uint 7", must(Of[uint]()), 7)
	line(&b, "float32 1.5", must(Of[float32]()), 1.5)
	line(&b, "float64 -0", must(Of[float64]()), math.Copysign(0, -1))
	line(&b, "key float64 -0", must(ForKey[float64]()), math.Copysign(0, -1))
	line(&b, "key float64 NaN", must(ForKey[float64]()), math.NaN())
	line(&b, "key float32 NaN", must(ForKey[float32]()), float32(math.NaN()))
	line(&b, "string héllo", must(Of[string]()), "héllo")
	line(&b, "string of 200 bytes (head)", Func(func(d []byte, s string) []byte {
		return must(Of[string]()).Append(d, s)[:4]
	}, nil, &stringSchema), string(bytes.Repeat([]byte("a"), 200)))
	line(&b, "[]byte 1 2 3", must(Of[[]byte]()), []byte{1, 2, 3})
	line(&b, "time 2001-01-01T00:47Z", must(Of[time.Time]()), time.Date(2001, 1, 1, 0, 47, 0, 0, time.UTC))
	line(&b, "time zero", must(Of[time.Time]()), time.Time{})
	line(&b, "duration 1s", must(Of[time.Duration]()), time.Second)
	line(&b, "[2]uint16 1 2", must(Of[[2]uint16]()), [2]uint16{1, 2})
	line(&b, "[]uint16 1 2", must(Of[[]uint16]()), []uint16{1, 2})
	line(&b, "[]string a bc", must(Of[[]string]()), []string{"a", "bc"})
	line(&b, "map b:1 a:2", must(Of[map[string]uint8]()), map[string]uint8{"b": 1, "a": 2})
	line(&b, "pointer nil", must(Of[*uint16]()), nil)
	line(&b, "pointer 7", must(Of[*uint16]()), new(uint16(7)))
	line(&b, "flight", must(Of[flight]()), flight{1, -5, 407, "LAS", "OAK"})
	line(&b, "JSON {\"X\":1,\"Y\":2}", must(JSON[point]()), point{1, 2})
	line(&b, "raw 0xff", Raw(), []byte{0xff})

	name := filepath.Join("testdata", "encodings.txt")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b.Bytes(), want) {
		t.Errorf("%s differs; got\n%s", name, b.Bytes())
	}
}

// FuzzDecode feeds arbitrary bytes: no panic, and whatever is accepted is
// canonical, that is, encodes to the very bytes that were read.
func FuzzDecode(f *testing.F) {
	s := "maybe"
	f.Add(must(Of[everything]()).Append(nil, everything{Maybe: &s, Counts: map[string]int64{"a": 1}}))
	f.Add(must(ForKey[canonicalKey]()).Append(nil, canonicalKey{Name: "k", F64: math.NaN()}))
	f.Add(must(Of[flight]()).Append(nil, flight{Origin: "DTW"}))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Add([]byte{2, 1, 'b', 0, 1, 'a', 1})
	f.Fuzz(func(t *testing.T, src []byte) {
		canonical(t, must(Of[everything]()), src)
		canonical(t, must(ForKey[canonicalKey]()), src)
		canonical(t, must(Of[flight]()), src)
		canonical(t, must(Of[event]()), src)
		canonical(t, must(Of[map[string][]*inner]()), src)
		canonical(t, Raw(), src)
		if _, n, err := must(JSON[inner]()).Decode(src); err == nil && n > len(src) {
			t.Fatalf("took %d of %d bytes", n, len(src))
		}
	})
}

func canonical[T any](t *testing.T, c Codec[T], src []byte) {
	v, n, err := c.Decode(src)
	if err != nil {
		return
	}
	if n > len(src) {
		t.Fatalf("%T took %d of %d bytes", v, n, len(src))
	}
	if again := c.Append(nil, v); !bytes.Equal(again, src[:n]) {
		t.Fatalf("%T: read % x\nwrote % x", v, src[:n], again)
	}
}

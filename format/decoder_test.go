package format

import (
	"encoding/binary"
	"errors"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// TestVarint reads the shortest form of a number only.
func TestVarint(t *testing.T) {
	for _, v := range []uint64{0, 1, 127, 128, 16383, 16384, math.MaxUint32, 1 << 63, math.MaxUint64} {
		enc := binary.AppendUvarint(nil, v)
		if got, n := uvarint(append(enc, 0xff)); got != v || n != len(enc) || n != varintLen(v) {
			t.Errorf("%d was read as %d from %d bytes, expected %d", v, got, n, len(enc))
		}
		for n := range enc {
			if _, got := uvarint(enc[:n]); got != 0 {
				t.Errorf("%d cut to %d bytes: %d", v, n, got)
			}
		}
		if len(enc) < maxVarint {
			long := append(enc[:len(enc)-1:len(enc)-1], enc[len(enc)-1]|0x80, 0)
			if _, n := uvarint(long); n >= 0 {
				t.Errorf("% x was read as a varint of %d bytes", long, n)
			}
		}
	}
	for _, bad := range [][]byte{
		{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 2},
		{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1},
	} {
		if v, n := uvarint(bad); n >= 0 {
			t.Errorf("% x was read as %d", bad, v)
		}
	}
}

func TestVarintProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.Uint64().Draw(t, "v")
		if got, n := uvarint(binary.AppendUvarint(nil, v)); got != v || n != varintLen(v) {
			t.Fatalf("%d was read as %d", v, got)
		}
		if s := int64(v); unzigzag(zigzag(s)) != s {
			t.Fatalf("zigzag of %d", s)
		}
		data := rapid.SliceOfN(rapid.Byte(), 0, 12).Draw(t, "data")
		if got, n := uvarint(data); n > 0 && string(binary.AppendUvarint(nil, got)) != string(data[:n]) {
			t.Fatalf("% x was read as %d", data[:n], got)
		}
	})
}

// TestDecoderSticks reads on after a failure: nothing more comes, and the first
// cause stays.
func TestDecoderSticks(t *testing.T) {
	d := decoder{data: []byte{1, 2, 3}}
	if d.byte("a") != 1 || d.left() != 2 {
		t.Fatal("first byte")
	}
	if d.u32("number") != 0 {
		t.Error("a number beyond the end")
	}
	first := d.err
	if d.byte("b") != 0 || d.u16("c") != 0 || d.u64("d") != 0 || d.uvarint("e") != 0 || d.take(1, "f") != nil ||
		d.bytes(9, "g") != nil || d.left() != 0 {
		t.Error("something was read after a failure")
	}
	if err := d.end("unit"); err != first || !errors.Is(err, ErrMalformed) {
		t.Errorf("%v, the first failure was %v", err, first)
	}
	for _, n := range []uint64{3, 1 << 31, 1 << 32, 1 << 63, math.MaxUint64} {
		d := decoder{data: []byte{1, 2}}
		if d.take(n, "many"); d.err == nil {
			t.Errorf("took %d of 2 bytes", n)
		}
	}
}

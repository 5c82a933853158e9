package wire

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// javaStrings pairs strings with what Java writes for them. The lone surrogates
// are spelled as the bytes this package keeps them in.
var javaStrings = []struct {
	name, text string
	utf, str   []byte
}{
	{"empty", "", []byte{0, 0}, []byte{1}},
	{"ascii", "hi", []byte{0, 2, 'h', 'i'}, []byte{3, 'h', 'i'}},
	{"nul", "\x00", []byte{0, 2, 0xC0, 0x80}, []byte{2, 0}},
	{"two bytes", "é", []byte{0, 2, 0xC3, 0xA9}, []byte{2, 0xE9, 0x01}},
	{"three bytes", "€", []byte{0, 3, 0xE2, 0x82, 0xAC}, []byte{2, 0xAC, 0x41}},
	{"other plane", "😀", []byte{0, 6, 0xED, 0xA0, 0xBD, 0xED, 0xB8, 0x80}, []byte{3, 0xBD, 0xB0, 0x03, 0x80, 0xBC, 0x03}},
	{"lone high", "\xED\xA0\xBDx", []byte{0, 4, 0xED, 0xA0, 0xBD, 'x'}, []byte{3, 0xBD, 0xB0, 0x03, 'x'}},
	{"lone low", "\xED\xB8\x80", []byte{0, 3, 0xED, 0xB8, 0x80}, []byte{2, 0x80, 0xBC, 0x03}},
}

func TestStrings(t *testing.T) {
	for _, c := range javaStrings {
		t.Run(c.name, func(t *testing.T) {
			r := NewBytes("x", 0, c.utf)
			if got := r.UTF("text"); got != c.text || r.End("text") != nil {
				t.Errorf("UTF: %q, %v", got, r.Err())
			}
			r = NewBytes("x", 0, c.str)
			if got, null := r.Str("text"); got != c.text || null || r.End("text") != nil {
				t.Errorf("Str: %q, null %v, %v", got, null, r.Err())
			}
			if got, err := AppendUTF(nil, c.text); err != nil || !bytes.Equal(got, c.utf) {
				t.Errorf("AppendUTF: %x, %v", got, err)
			}
			if got := AppendStr(nil, c.text); !bytes.Equal(got, c.str) {
				t.Errorf("AppendStr: %x", got)
			}
		})
	}
	if _, null := NewBytes("x", 0, []byte{0}).Str("text"); !null {
		t.Error("0 is Java's null")
	}
	if _, err := AppendUTF(nil, strings.Repeat("a", 65536)); !errors.Is(err, ErrLimit) {
		t.Errorf("65,536 bytes: %v", err)
	}
}

func TestNotAsWritten(t *testing.T) {
	cases := []struct {
		name string
		data []byte
		read func(*Reader)
		want error
		at   int64
	}{
		{"plain nul", []byte{0, 1, 0}, func(r *Reader) { r.UTF("a") }, ErrMalformed, 0},
		{"overlong", []byte{0, 2, 0xC1, 0x81}, func(r *Reader) { r.UTF("a") }, ErrMalformed, 0},
		{"four bytes", []byte{0, 4, 0xF0, 0x9F, 0x98, 0x80}, func(r *Reader) { r.UTF("a") }, ErrMalformed, 0},
		{"boolean 2", []byte{0, 2}, func(r *Reader) { r.U8("a"); r.Bool("b") }, ErrMalformed, 1},
		{"short", []byte{0, 2, 'x'}, func(r *Reader) { r.UTF("a") }, ErrTruncated, 2},
		{"negative", []byte{255, 255, 255, 255}, func(r *Reader) { r.Bytes32("a") }, ErrMalformed, 0},
		{"bomb", []byte{0x7F, 255, 255, 255, 1}, func(r *Reader) { r.Bytes32("a") }, ErrLimit, 4},
		{"many", []byte{0, 1, 0, 0, 1}, func(r *Reader) { r.Count(1, "a") }, ErrMalformed, 0},
		{"long string", []byte{0xFF, 0xFF, 0xFF, 0x7F, 1}, func(r *Reader) { r.Str("a") }, ErrMalformed, 4},
		{"long char", []byte{2, 0xFF, 0xFF, 0x04}, func(r *Reader) { r.Str("a") }, ErrMalformed, 1},
		{"padded number", []byte{0x81, 0}, func(r *Reader) { r.VarUint(32, "a") }, ErrMalformed, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			for _, r := range []*Reader{NewBytes("file", 100, c.data), NewStream("file", 100, iotest.OneByteReader(bytes.NewReader(c.data)), int64(len(c.data)))} {
				c.read(r)
				var e *Error
				if err := r.Err(); !errors.As(err, &e) || !errors.Is(err, c.want) || e.Offset != 100+c.at || e.Object != "file" {
					t.Errorf("%v, want %v at %d", err, c.want, 100+c.at)
				}
			}
		})
	}
}

// A stream of unknown length that claims gigabytes costs no more than it has.
func TestStreamHoldsWhatArrived(t *testing.T) {
	r := NewStream("x", 0, bytes.NewReader([]byte{0x0F, 0, 0, 0, 1, 2}), -1)
	r.Bytes32("blob")
	if !errors.Is(r.Err(), ErrTruncated) {
		t.Error(r.Err())
	}
	if cap(r.buf) > 4*step {
		t.Errorf("%d bytes for 6", cap(r.buf))
	}
}

func TestStreamOfAnySteps(t *testing.T) {
	var data []byte
	for i := range 50_000 {
		data = AppendI32(data, int32(i))
	}
	for name, src := range map[string]io.Reader{"whole": bytes.NewReader(data), "half": iotest.HalfReader(bytes.NewReader(data)), "with end": iotest.DataErrReader(bytes.NewReader(data))} {
		for _, size := range []int64{-1, int64(len(data))} {
			if size < 0 {
				src = io.MultiReader(bytes.NewReader(data))
			}
			r := NewStream(name, 0, src, size)
			for i := range 25_000 {
				r.Mark()
				a, b := r.I32("a"), r.I32("b")
				if a != int32(2*i) || b != int32(2*i+1) || !bytes.Equal(r.Marked(), data[8*i:8*i+8]) {
					t.Fatalf("%s, %d: %d, %d, %x, %v", name, i, a, b, r.Marked(), r.Err())
				}
				r.Unmark()
			}
			if err := r.End("numbers"); err != nil || r.Offset() != int64(len(data)) {
				t.Error(name, err, r.Offset())
			}
			src = bytes.NewReader(data)
		}
	}
	r := NewStream("rest", 0, bytes.NewReader(data), int64(len(data)))
	r.Skip(100_000, "half")
	if got := r.Rest("rest"); !bytes.Equal(got, data[100_000:]) {
		t.Errorf("%d bytes of rest, %v", len(got), r.Err())
	}
	fails := errors.New("disk gone")
	r = NewStream("x", 0, iotest.ErrReader(fails), 10)
	if r.I64("a"); !errors.Is(r.Err(), fails) {
		t.Error(r.Err())
	}
}

func FuzzStrings(f *testing.F) {
	for _, c := range javaStrings {
		f.Add(c.utf, c.str)
	}
	f.Fuzz(func(t *testing.T, utf, str []byte) {
		r := NewBytes("x", 0, utf)
		if s := r.UTF("a"); r.End("a") == nil {
			if again, err := AppendUTF(nil, s); err != nil || !bytes.Equal(again, utf) {
				t.Errorf("%x became %x, %v", utf, again, err)
			}
		}
		r = NewBytes("x", 0, str)
		if s, null := r.Str("a"); r.End("a") == nil && !null {
			if again := AppendStr(nil, s); !bytes.Equal(again, str) {
				t.Errorf("%x became %x", str, again)
			}
		}
	})
}

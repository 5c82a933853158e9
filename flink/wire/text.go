package wire

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

func number(n uint64) string { return strconv.FormatUint(n, 10) }

// UTF reads what Java's writeUTF writes: two bytes of length, then modified
// UTF-8, in which U+0000 takes two bytes and other planes two surrogates of three
// bytes each.
func (r *Reader) UTF(what string) string {
	at := r.Offset()
	b := r.Take(uint64(r.U16("length of "+what)), what)
	s, ok := modified(b)
	if !ok {
		r.FailAt(at, what, Malformed("%.60q is not modified UTF-8", b))
		return ""
	}
	return s
}

// modified decodes modified UTF-8. Only what writeUTF writes is accepted, so that
// writing the string again gives the same bytes.
func modified(b []byte) (string, bool) {
	plain := true
	for _, c := range b {
		if c == 0 {
			return "", false
		}
		plain = plain && c < utf8.RuneSelf
	}
	if plain {
		return string(b), true
	}
	out := make([]byte, 0, len(b))
	var pair joiner
	for len(b) > 0 {
		unit, n := modifiedUnit(b)
		if n == 0 {
			return "", false
		}
		out, b = pair.add(out, unit), b[n:]
	}
	return string(pair.end(out)), true
}

// modifiedUnit decodes one UTF-16 unit, n is 0 if there is none.
func modifiedUnit(b []byte) (unit uint16, n int) {
	cont := func(i int) (uint16, bool) {
		if i >= len(b) || b[i]&0xC0 != 0x80 {
			return 0, false
		}
		return uint16(b[i] & 0x3F), true
	}
	switch c := b[0]; {
	case c != 0 && c < 0x80:
		return uint16(c), 1
	case c&0xE0 == 0xC0:
		x, ok := cont(1)
		unit = uint16(c&0x1F)<<6 | x
		if !ok || unit != 0 && unit < 0x80 {
			return 0, 0
		}
		return unit, 2
	case c&0xF0 == 0xE0:
		x, ok1 := cont(1)
		y, ok2 := cont(2)
		unit = uint16(c&0x0F)<<12 | x<<6 | y
		if !ok1 || !ok2 || unit < 0x800 {
			return 0, 0
		}
		return unit, 3
	}
	return 0, 0
}

// joiner turns UTF-16 units into UTF-8, lone surrogates into three bytes.
type joiner struct{ high uint16 }

func (j *joiner) add(dst []byte, unit uint16) []byte {
	if j.high != 0 {
		high := j.high
		j.high = 0
		if r := utf16.DecodeRune(rune(high), rune(unit)); r != utf8.RuneError {
			return utf8.AppendRune(dst, r)
		}
		dst = three(dst, high)
	}
	switch {
	case unit >= 0xD800 && unit < 0xDC00:
		j.high = unit
		return dst
	case unit >= 0xDC00 && unit < 0xE000:
		return three(dst, unit)
	}
	return utf8.AppendRune(dst, rune(unit))
}

func (j *joiner) end(dst []byte) []byte {
	if j.high != 0 {
		dst = three(dst, j.high)
		j.high = 0
	}
	return dst
}

// three writes a unit of at least U+0800 as three bytes.
func three(dst []byte, u uint16) []byte {
	return append(dst, 0xE0|byte(u>>12), 0x80|byte(u>>6)&0xBF, 0x80|byte(u)&0xBF)
}

// Units yields the UTF-16 units of a string in the form this package returns. A
// byte that belongs to no character counts as U+FFFD.
func Units(s string) func(yield func(uint16) bool) {
	return func(yield func(uint16) bool) {
		for i := 0; i < len(s); {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				if u, ok := Surrogate(s[i:]); ok {
					r, n = rune(u), 3
				}
			}
			i += n
			if r < 0x10000 {
				if !yield(uint16(r)) {
					return
				}
				continue
			}
			hi, lo := utf16.EncodeRune(r)
			if !yield(uint16(hi)) || !yield(uint16(lo)) {
				return
			}
		}
	}
}

// Surrogate decodes the three bytes of a lone surrogate at the front of s.
func Surrogate(s string) (uint16, bool) {
	if len(s) < 3 || s[0] != 0xED || s[1]&0xE0 != 0xA0 || s[2]&0xC0 != 0x80 {
		return 0, false
	}
	return 0xD000 | uint16(s[1]&0x3F)<<6 | uint16(s[2]&0x3F), true
}

// VarUint reads a number of 7 bits a byte, the low ones first, of at most bits
// bits; the high bit says that another byte follows.
func (r *Reader) VarUint(bits int, what string) uint64 {
	at := r.Offset()
	var v uint64
	for shift := 0; shift < bits; shift += 7 {
		b := r.U8(what)
		if left := bits - shift; left < 7 && b>>left != 0 {
			break
		}
		v |= uint64(b&0x7F) << shift
		if b < 0x80 {
			if b == 0 && shift > 0 && r.err == nil {
				r.FailAt(at, what, Malformed("a number in more bytes than it needs"))
			}
			return v
		}
	}
	r.FailAt(at, what, Malformed("a number of more than %d bits", bits))
	return 0
}

// Str reads what StringValue.writeString writes: the number of UTF-16 units plus
// one, then the units, all of them variable-length numbers. 0 is Java's null.
func (r *Reader) Str(what string) (s string, null bool) {
	n := r.VarUint(32, "length of "+what)
	if n == 0 {
		return "", true
	}
	return r.StrUnits(n-1, what), false
}

// StrUnits reads n UTF-16 units, each a variable-length number.
func (r *Reader) StrUnits(n uint64, what string) string {
	if left := r.Left(); left >= 0 && n > uint64(left) || n > r.limit {
		r.Fail(what, Malformed("a string of %d characters, but %d bytes are left", n, left))
		return ""
	}
	var pair joiner
	out := make([]byte, 0, min(n, step))
	for range n {
		out = pair.add(out, uint16(r.VarUint(16, what)))
		if r.err != nil {
			return ""
		}
	}
	return string(pair.end(out))
}

// SkipUnits passes over n UTF-16 units as StrUnits reads them.
func (r *Reader) SkipUnits(n uint64, what string) {
	if left := r.Left(); left >= 0 && n > uint64(left) {
		r.Fail(what, Malformed("a string of %d characters, but %d bytes are left", n, left))
	}
	for i := uint64(0); i < n && r.err == nil; i++ {
		r.VarUint(16, what)
	}
}

// Modified decodes modified UTF-8 whose length is known from elsewhere. ok is
// false for anything but what Java writes.
func Modified(b []byte) (s string, ok bool) { return modified(b) }

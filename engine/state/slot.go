package state

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// Variable as a width says that the encodings differ in length.
const Variable = -1

const (
	// wordSize is the size of the word at the head of each slot.
	wordSize = 8
	// shortSize is the size of a field for variable bytes; its last byte is
	// the length, so 15 bytes fit.
	shortSize = 16
	shortMax  = shortSize - 1
	// farMark as length byte of a short field says that the bytes lie in the
	// arena: offset (8 bytes), length (4 bytes), three zero bytes.
	farMark = 255
	// inlineKey and inlineValue are the largest fixed widths kept in the slot.
	// Beyond, moving slots would cost more than following an offset.
	inlineKey   = 32
	inlineValue = 128
	// maxField is the largest length of one key, namespace or value.
	maxField = 1<<31 - 1
	// pageTarget bounds the bytes of a page, the unit of pre-images.
	pageTarget = 4096
)

// spread is an odd constant (2⁶⁴ divided by the golden ratio) and unspread its
// inverse modulo 2⁶⁴: the word of a namespaced entry is x·spread, where x has
// the hash in its upper half, and the hash is got back by the inverse.
const (
	spread   = 0x9e3779b97f4a7c15
	unspread = 0xf1de83e19937733d
)

// field is the place of a key, namespace or value in a slot.
type field struct {
	off   int // from the start of the slot
	size  int // bytes in the slot, a multiple of 8; 0 for width 0
	width int // encoded width, or Variable
	short bool
}

// layout is the shape of the slots of one table; it never changes.
type layout struct {
	key, ns, val field
	stride       int
	pageShift    uint   // log2 of the slots per page
	mul          uint64 // number of groups, or 1 with namespaces; see home
	namespaced   bool
	arena        bool // some field may lie in the arena
	pair         bool // key and value of eight bytes each, no namespace
	suffix       int  // trailing bytes of the namespace that are ordered last
}

func makeLayout(o Options) layout {
	l := layout{mul: uint64(o.Groups), namespaced: o.NamespaceWidth != 0}
	if l.namespaced {
		l.mul = 1
	}
	off := wordSize
	place := func(width, inline int) field {
		f := field{off: off, width: width}
		switch {
		case width < 0 || width > inline:
			f.size, f.short = shortSize, true
			l.arena = true
		default:
			f.size = (width + 7) &^ 7
		}
		off += f.size
		return f
	}
	l.key = place(o.KeyWidth, inlineKey)
	l.ns = place(o.NamespaceWidth, inlineKey)
	l.val = place(o.ValueWidth, inlineValue)
	l.stride = off
	l.pair = o.KeyWidth == 8 && o.NamespaceWidth == 0 && o.ValueWidth == 8
	l.pageShift = uint(max(bits.Len(uint(pageTarget/l.stride)), 1) - 1)
	return l
}

// fits reports whether data has a length that the field takes.
func (f *field) fits(data []byte) bool {
	if f.width >= 0 {
		return len(data) == f.width
	}
	return uint64(len(data)) <= maxField
}

// word is the head word of an entry: never 0 (the mark of an empty slot), and
// ascending with the home slot of the entry.
func (l *layout) word(sum uint64, ns []byte) uint64 {
	if !l.namespaced {
		return sum | 1
	}
	return (sum&^0xffffffff | uint64(uint32(sum)^hashNamespace(ns)) | 1) * spread
}

// hash is the hash of the key of an entry with the given word.
func (l *layout) hash(word uint64) uint32 {
	if l.namespaced {
		word *= unspread
	}
	return uint32(word >> 32)
}

// hashNamespace mixes the bytes of a namespace to 32 bits.
func hashNamespace(ns []byte) uint32 {
	x := uint64(len(ns)) * spread
	for len(ns) >= 8 {
		hi, lo := bits.Mul64(x^binary.LittleEndian.Uint64(ns), spread)
		x, ns = hi^lo, ns[8:]
	}
	if len(ns) > 0 {
		hi, lo := bits.Mul64(x^tailWord(ns), spread)
		x = hi ^ lo
	}
	hi, lo := bits.Mul64(x^unspread, spread)
	return uint32((hi ^ lo) >> 32)
}

// tailWord is up to eight bytes as a little-endian word padded with zeros.
func tailWord(b []byte) uint64 {
	switch n := len(b); {
	case n >= 8:
		return binary.LittleEndian.Uint64(b)
	case n >= 4:
		lo := uint64(binary.LittleEndian.Uint32(b))
		hi := uint64(binary.LittleEndian.Uint32(b[n-4:]))
		return lo | hi<<(8*uint(n-4))
	case n == 0:
		return 0
	default:
		// The middle and last bytes coincide for lengths below 3.
		return uint64(b[0]) | uint64(b[n>>1])<<(8*uint(n>>1)) | uint64(b[n-1])<<(8*uint(n-1))
	}
}

// wordAt is the head word of the slot that starts at off.
func wordAt(slab []byte, off int) uint64 {
	return binary.LittleEndian.Uint64(slab[off : off+wordSize : off+wordSize])
}

func putWord(slab []byte, off int, w uint64) {
	binary.LittleEndian.PutUint64(slab[off:off+wordSize:off+wordSize], w)
}

// bytes is the content of a field of the slot, in the slot or in the arena. The
// result refers to either.
func (f *field) bytes(slot, arena []byte) []byte {
	if !f.short {
		end := f.off + f.width
		return slot[f.off:end:end]
	}
	b := slot[f.off : f.off+shortSize : f.off+shortSize]
	if n := int(b[shortMax]); n <= shortMax {
		return b[:n:n]
	}
	from, n := far(b)
	return arena[from : from+n : from+n]
}

// far is the place in the arena that a short field with farMark names.
func far(b []byte) (off, n int) {
	return int(binary.LittleEndian.Uint64(b)), int(binary.LittleEndian.Uint32(b[8:]))
}

// equal reports whether the field of the slot holds data.
func (f *field) equal(slot, arena, data []byte) bool {
	if !f.short {
		if len(data) != f.width {
			return false
		}
		b := slot[f.off : f.off+f.size : f.off+f.size]
		switch len(b) {
		case 0:
			return true
		case 8:
			return binary.LittleEndian.Uint64(b) == tailWord(data)
		case 16:
			return binary.LittleEndian.Uint64(b) == binary.LittleEndian.Uint64(data) &&
				binary.LittleEndian.Uint64(b[8:]) == tailWord(data[8:])
		}
		return bytes.Equal(b[:f.width], data)
	}
	b := slot[f.off : f.off+shortSize : f.off+shortSize]
	if len(data) > shortMax {
		if b[shortMax] != farMark {
			return false
		}
		from, n := far(b)
		return n == len(data) && bytes.Equal(arena[from:from+n], data)
	}
	lo, hi := tailWord(data), uint64(len(data))<<56
	if len(data) > 8 {
		hi |= tailWord(data[8:])
	}
	return binary.LittleEndian.Uint64(b) == lo && binary.LittleEndian.Uint64(b[8:]) == hi
}

// putInline writes data into a field that needs no arena: a fixed one, or a
// short one for at most 15 bytes. The rest of the field becomes zero, which
// equal relies on.
func (f *field) putInline(slot, data []byte) {
	b := slot[f.off : f.off+f.size : f.off+f.size]
	if f.size == 8 && !f.short {
		binary.LittleEndian.PutUint64(b, tailWord(data))
		return
	}
	clear(b[copy(b, data):])
	if f.short {
		b[shortMax] = byte(len(data))
	}
}

// putFar makes a short field name bytes of the arena.
func (f *field) putFar(slot []byte, off, n int) {
	b := slot[f.off : f.off+shortSize : f.off+shortSize]
	binary.LittleEndian.PutUint64(b, uint64(off))
	binary.LittleEndian.PutUint64(b[8:], uint64(n)|farMark<<56)
}

// isFar reports whether the bytes of the field lie in the arena.
func (f *field) isFar(slot []byte) bool {
	return f.short && slot[f.off+shortMax] == farMark
}

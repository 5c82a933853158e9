package codec

import (
	"bytes"
	"reflect"
	"slices"
	"unsafe"
)

// mapEntry locates an encoded entry in the scratch bytes of appendMap.
type mapEntry struct{ from, mid, to int }

// appendMap encodes a map whose runtime pointer is m: entries ascending by
// encoded key, so that equal maps have equal bytes.
func (o *op) appendMap(dst []byte, m unsafe.Pointer) []byte {
	if m == nil {
		return append(dst, 0)
	}
	// A map variable is one pointer; a copy of it on the heap gives reflect
	// something to look at that is not the caller's memory.
	box := new(unsafe.Pointer)
	*box = m
	v := reflect.NewAt(o.typ, unsafe.Pointer(box)).Elem()
	key, elem := reflect.New(o.typ.Key()), reflect.New(o.typ.Elem())
	entries := make([]mapEntry, 0, v.Len())
	var scratch []byte
	for it := v.MapRange(); it.Next(); {
		key.Elem().SetIterKey(it)
		elem.Elem().SetIterValue(it)
		e := mapEntry{from: len(scratch)}
		scratch = o.key.append(scratch, key.UnsafePointer())
		e.mid = len(scratch)
		scratch = o.elem.append(scratch, elem.UnsafePointer())
		e.to = len(scratch)
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b mapEntry) int {
		return bytes.Compare(scratch[a.from:a.mid], scratch[b.from:b.mid])
	})
	dst = appendLength(dst, len(entries))
	for _, e := range entries {
		dst = append(dst, scratch[e.from:e.to]...)
	}
	return dst
}

// decodeMap is the reverse; it refuses keys that do not ascend, and so
// duplicates.
func (o *op) decodeMap(src []byte, pos int, at unsafe.Pointer) (int, error) {
	n, pos, err := o.count(src, pos, o.key.min+o.elem.min)
	if err != nil || n == 0 {
		return pos, err
	}
	// A map costs more memory per entry than its bytes do; beyond this it
	// grows as entries really arrive.
	const hint = 1024
	m := reflect.MakeMapWithSize(o.typ, min(n, hint))
	var previous []byte
	for i := range n {
		key, elem := reflect.New(o.typ.Key()), reflect.New(o.typ.Elem())
		mid, err := o.key.decode(src, pos, key.UnsafePointer())
		if err != nil {
			return 0, err
		}
		if i > 0 && bytes.Compare(previous, src[pos:mid]) >= 0 {
			return 0, invalid(o.path, pos, "key %x does not follow %x", clip(src[pos:mid]), clip(previous))
		}
		previous = src[pos:mid]
		if pos, err = o.elem.decode(src, mid, elem.UnsafePointer()); err != nil {
			return 0, err
		}
		m.SetMapIndex(key.Elem(), elem.Elem())
	}
	*(*unsafe.Pointer)(at) = m.UnsafePointer()
	return pos, nil
}

// clip bounds what an error message repeats of the input.
func clip(b []byte) []byte { return b[:min(len(b), 32)] }

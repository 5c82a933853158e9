package codec

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/tidemark-io/tidemark/format"
)

// Migration rewrites values that were encoded under an older schema. It is
// immutable and may be used by several goroutines.
type Migration struct{ root rewrite }

// Difference is a part of a type that cannot be migrated.
type Difference struct {
	Path string // of the part, "" for the value itself: "price", "stops[].code"
	Was  *format.Schema
	Is   *format.Schema
}

// String says what it was and is.
func (d Difference) String() string {
	if d.Was == nil && d.Path != "" {
		return fmt.Sprintf("%s is new, and a %v has no zero value", d.Path, d.Is)
	}
	if d.Path == "" {
		return fmt.Sprintf("it was %v and is %v", d.Was, d.Is)
	}
	return fmt.Sprintf("%s was %v and is %v", d.Path, d.Was, d.Is)
}

// Migrate compiles the way from one schema of a value to another. Fields of
// structs may have been added (they get the zero value), removed and moved, and
// renamed where [format.Schema]'s Renamed says so; integers may have become wider, if
// every value of the old type is one of the new; both at any depth but in keys of
// maps, whose order is that of their bytes. Everything else is a difference, of
// which all are returned. Equal schemas, and those with differences, have no
// migration.
func Migrate(was, is *format.Schema) (*Migration, []Difference) {
	if was.Equal(is) {
		return nil, nil
	}
	if was == nil || is == nil || was.Check() != nil || is.Check() != nil {
		return nil, []Difference{{Was: was, Is: is}}
	}
	var c migrator
	root := c.rewrite("", was, is)
	if len(c.differences) > 0 {
		return nil, c.differences
	}
	return &Migration{root}, nil
}

// Append appends the value of src, which must be one whole value under the old
// schema, under the new one. Errors are of type [*DecodeError]; dst then is as it
// was.
func (m *Migration) Append(dst, src []byte) ([]byte, error) {
	out, n, err := m.root.append(dst, src, 0)
	if err == nil && n != len(src) {
		err = invalid("value", n, "%d bytes behind the value", len(src)-n)
	}
	if err != nil {
		return dst, err
	}
	return out, nil
}

// rewrite rewrites one part of a value.
type rewrite struct {
	was    *format.Schema
	path   string
	same   bool     // copied as it is
	widen  int      // bytes of the wider integer, 0 if it is none
	fields []part   // of a struct, in the new order
	elem   *rewrite // of an array, slice, optional, or of the values of a map
}

// part is a field of the new struct.
type part struct {
	from    int // field of the old struct, -1 for a new one
	rewrite rewrite
	zero    []byte
}

// migrator collects what does not fit.
type migrator struct{ differences []Difference }

func (c *migrator) rewrite(path string, was, is *format.Schema) rewrite {
	n := rewrite{was: was, path: path}
	switch {
	case was.Equal(is):
		n.same = true
	case was.Type == format.TypeStruct && is.Type == format.TypeStruct:
		for _, f := range is.Fields {
			n.fields = append(n.fields, c.field(path, was, f, is.Renamed[f.Name]))
		}
	case widens(was.Type, is.Type):
		n.widen = is.Type.Width()
	case was.Type != is.Type || was.Len != is.Len || len(was.Elems) == 0:
		c.differ(path, was, is)
	case was.Type == format.TypeMap && !was.Elems[0].Equal(is.Elems[0]):
		c.differ(path+"[key]", was.Elems[0], is.Elems[0])
	case was.Type == format.TypeOptional:
		n.elem = c.child(path, was.Elems[0], is.Elems[0])
	default: // array, slice, map
		last := len(was.Elems) - 1
		n.elem = c.child(path+"[]", was.Elems[last], is.Elems[last])
	}
	return n
}

func (c *migrator) child(path string, was, is *format.Schema) *rewrite {
	n := c.rewrite(path, was, is)
	return &n
}

func (c *migrator) differ(path string, was, is *format.Schema) {
	c.differences = append(c.differences, Difference{strings.TrimPrefix(path, "."), was, is})
}

// field finds what a field of the new struct is made of.
func (c *migrator) field(path string, was *format.Schema, f format.Field, old string) part {
	path = strings.TrimPrefix(path+"."+f.Name, ".")
	from := indexField(was, f.Name)
	if from < 0 && old != "" {
		from = indexField(was, old)
	}
	if from >= 0 {
		return part{from: from, rewrite: c.rewrite(path, was.Fields[from].Schema, f.Schema)}
	}
	zero, ok := appendZero(nil, f.Schema)
	if !ok {
		c.differ(path, nil, f.Schema)
	}
	return part{from: -1, zero: zero}
}

func indexField(s *format.Schema, name string) int {
	for i := range s.Fields {
		if s.Fields[i].Name == name {
			return i
		}
	}
	return -1
}

// widens reports whether every value of an integer type is one of another.
func widens(was, is format.Type) bool {
	signed := func(t format.Type) bool { return t >= format.TypeInt8 && t <= format.TypeInt64 }
	unsigned := func(t format.Type) bool { return t >= format.TypeUint8 && t <= format.TypeUint64 }
	wider := is.Width() > was.Width()
	return wider && (signed(was) && signed(is) || unsigned(was) && (signed(is) || unsigned(is)))
}

// appendZero appends the encoding of Go's zero value. There is none of what only
// codecs of the user's know.
func appendZero(dst []byte, s *format.Schema) ([]byte, bool) {
	switch s.Type {
	case format.TypeJSON, format.TypeProtobuf, format.TypeRaw:
		return dst, false
	case format.TypeTime:
		var zero int64 = zeroTime
		return binary.LittleEndian.AppendUint64(dst, uint64(zero)), true
	case format.TypeStruct:
		ok := true
		for i := 0; ok && i < len(s.Fields); i++ {
			dst, ok = appendZero(dst, s.Fields[i].Schema)
		}
		return dst, ok
	case format.TypeArray:
		if least(s) > maxZero {
			return dst, false
		}
		ok := true
		for i := uint32(0); ok && i < s.Len; i++ {
			dst, ok = appendZero(dst, s.Elems[0])
		}
		return dst, ok
	}
	return append(dst, make([]byte, max(s.Type.Width(), 1))...), true
}

// maxZero bounds the bytes of an array that a migration adds.
const maxZero = 1 << 20

// append rewrites the part that begins at pos and returns where it ends.
func (n *rewrite) append(dst, src []byte, pos int) ([]byte, int, error) {
	switch {
	case n.same:
		end, err := skip(n.was, n.path, src, pos)
		if err != nil {
			return dst, 0, err
		}
		return append(dst, src[pos:end]...), end, nil
	case n.was.Type == format.TypeStruct:
		return n.appendStruct(dst, src, pos)
	case n.widen > 0:
		return n.appendWider(dst, src, pos)
	}
	count, next, err := elements(n.was, n.path, src, pos)
	if err != nil {
		return dst, 0, err
	}
	dst = append(dst, src[pos:next]...) // the count, or the byte that says whether it is there
	for range count {
		if n.was.Type == format.TypeMap {
			end, err := skip(n.was.Elems[0], n.path, src, next)
			if err != nil {
				return dst, 0, err
			}
			dst, next = append(dst, src[next:end]...), end
		}
		if dst, next, err = n.elem.append(dst, src, next); err != nil {
			return dst, 0, err
		}
	}
	return dst, next, nil
}

// appendStruct finds where the old fields begin and takes them in the new order.
func (n *rewrite) appendStruct(dst, src []byte, pos int) ([]byte, int, error) {
	var few [32]int
	at := few[:0]
	for i := range n.was.Fields {
		at = append(at, pos)
		var err error
		if pos, err = skip(n.was.Fields[i].Schema, n.path, src, pos); err != nil {
			return dst, 0, err
		}
	}
	for i := range n.fields {
		p := &n.fields[i]
		if p.from < 0 {
			dst = append(dst, p.zero...)
			continue
		}
		var err error
		if dst, _, err = p.rewrite.append(dst, src, at[p.from]); err != nil {
			return dst, 0, err
		}
	}
	return dst, pos, nil
}

// appendWider copies an integer and extends its sign, if it has one.
func (n *rewrite) appendWider(dst, src []byte, pos int) ([]byte, int, error) {
	w := n.was.Type.Width()
	if len(src)-pos < w {
		return dst, 0, short(n.path, pos, w, len(src)-pos)
	}
	fill := byte(0)
	if n.was.Type <= format.TypeInt64 && src[pos+w-1]&0x80 != 0 {
		fill = 0xff
	}
	dst = append(dst, src[pos:pos+w]...)
	for range n.widen - w {
		dst = append(dst, fill)
	}
	return dst, pos + w, nil
}

// skip returns where the value that begins at pos ends. The depth of the calls is
// that of the schema, which was checked.
func skip(s *format.Schema, path string, src []byte, pos int) (int, error) {
	if w := s.Width(); w > 0 {
		if len(src)-pos < w {
			return 0, short(path, pos, w, len(src)-pos)
		}
		return pos + w, nil
	}
	switch s.Type {
	case format.TypeStruct:
		var err error
		for i := 0; err == nil && i < len(s.Fields); i++ {
			pos, err = skip(s.Fields[i].Schema, path, src, pos)
		}
		return pos, err
	case format.TypeArray, format.TypeSlice, format.TypeMap, format.TypeOptional:
		count, pos, err := elements(s, path, src, pos)
		for range count {
			for i := 0; err == nil && i < len(s.Elems); i++ {
				pos, err = skip(s.Elems[i], path, src, pos)
			}
			if err != nil {
				return 0, err
			}
		}
		return pos, err
	}
	n, next, err := uvarint(path, src, pos)
	if err != nil {
		return 0, err
	}
	if left := len(src) - next; n > uint64(left) {
		return 0, &DecodeError{Path: path, Offset: pos, Class: ErrShort, Detail: lengthDetail(n, left)}
	}
	return next + int(n), nil
}

// elements reads how many elements follow: the length of an array, the count of a
// slice or a map, the byte of an optional. Each takes at least a byte, apart from
// an optional's, so the bytes at hand bound the number.
func elements(s *format.Schema, path string, src []byte, pos int) (count, next int, err error) {
	switch s.Type {
	case format.TypeArray:
		if left := len(src) - pos; uint64(s.Len) > uint64(left) {
			return 0, 0, &DecodeError{Path: path, Offset: pos, Class: ErrShort, Detail: countDetail(uint64(s.Len), 1, left)}
		}
		return int(s.Len), pos, nil
	case format.TypeOptional:
		present, err := marker(path, src, pos)
		return int(boolByte(present)), pos + 1, err
	}
	n, next, err := uvarint(path, src, pos)
	if err != nil {
		return 0, 0, err
	}
	if left := len(src) - next; n > uint64(left) {
		return 0, 0, &DecodeError{Path: path, Offset: pos, Class: ErrShort, Detail: countDetail(n, 1, left)}
	}
	return int(n), next, nil
}

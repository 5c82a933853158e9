package format

import (
	"encoding/binary"
	"slices"
	"sync"
)

// valueStep is one thing that a walk over a value meets.
type valueStep uint8

const (
	stepScalar valueStep = iota // raw holds the bytes of a value without content
	stepOpen                    // a struct, array, slice or map of count entries begins
	stepClose                   // and ends
	stepAbsent                  // an optional without a value
)

// valueFrame is a value whose content is being walked.
type valueFrame struct {
	schema *Schema
	left   uint64 // entries still to come; of a map keys and values count apart
	total  uint64
	prev   []byte // encoded key before, of a map
	keyAt  int    // where the key under way began
}

// valueWalk walks an encoded value by its schema. It uses no recursion: its
// depth is that of the schema.
type valueWalk struct {
	dec   decoder
	stack []valueFrame

	step   valueStep
	schema *Schema // of the step
	raw    []byte  // of a scalar, without a length in front
	count  uint64  // of stepOpen: entries
	// parent is the schema of the value that the step belongs to, nil for
	// the outermost; index is its place in it: of a map even for keys.
	parent *Schema
	index  uint64
	begun  bool
	root   *Schema

	// checked are schemas that have passed Check, newest first: the same few
	// come again for every entry of a state. That they are held here keeps
	// their addresses from being used for others.
	checked [4]*Schema
}

// valueWalks keeps walks that are not under way, so that a walk over one of
// millions of values allocates nothing.
var valueWalks = sync.Pool{New: func() any { return &valueWalk{stack: make([]valueFrame, 0, MaxNesting)} }}

// beginWalk starts a walk, which end must give back. An error says that the
// schema does not keep the rules.
func beginWalk(s *Schema, value []byte) (*valueWalk, error) {
	w := valueWalks.Get().(*valueWalk)
	if s == nil || !slices.Contains(w.checked[:], s) {
		if err := s.Check(); err != nil {
			valueWalks.Put(w)
			return nil, err
		}
		copy(w.checked[1:], w.checked[:])
		w.checked[0] = s
	}
	w.dec, w.root, w.begun, w.stack = decoder{data: value}, s, false, w.stack[:0]
	return w, nil
}

// end gives the walk back.
func (w *valueWalk) end() {
	w.dec, w.raw = decoder{}, nil // the value is the caller's
	valueWalks.Put(w)
}

// next makes the next step. It returns false at the end and at the first error,
// which is dec.err.
func (w *valueWalk) next() bool {
	if w.dec.err != nil {
		return false
	}
	if len(w.stack) == 0 {
		if w.begun {
			return false
		}
		w.begun = true
		w.parent, w.index = nil, 0
		w.value(w.root)
		return w.dec.err == nil
	}
	top := &w.stack[len(w.stack)-1]
	if top.schema.Type == TypeMap && !w.mapOrder(top) {
		return false
	}
	if top.left == 0 {
		w.step, w.schema, w.count = stepClose, top.schema, top.total
		w.stack = w.stack[:len(w.stack)-1]
		w.parent, w.index = nil, 0
		if n := len(w.stack); n > 0 {
			w.parent = w.stack[n-1].schema
			w.index = w.stack[n-1].total - w.stack[n-1].left - 1
		}
		return true
	}
	w.parent, w.index = top.schema, top.total-top.left
	top.left--
	w.value(top.child(w.index))
	return w.dec.err == nil
}

// mapOrder requires that the keys of a map ascend, when one has been read.
func (w *valueWalk) mapOrder(f *valueFrame) bool {
	done := f.total - f.left
	if done%2 == 0 {
		f.keyAt = w.dec.pos
		return true
	}
	key := w.dec.data[f.keyAt:w.dec.pos]
	if done > 1 && string(key) <= string(f.prev) {
		w.dec.fail(malformed("keys of a map do not ascend"))
		return false
	}
	f.prev = key
	return true
}

// child is the schema of an entry.
func (f *valueFrame) child(index uint64) *Schema {
	switch f.schema.Type {
	case TypeStruct:
		return f.schema.Fields[index].Schema
	case TypeMap:
		return f.schema.Elems[index%2]
	}
	return f.schema.Elems[0]
}

// value reads the beginning of a value: all of a scalar, the count of others.
func (w *valueWalk) value(s *Schema) {
	d := &w.dec
	for s.Type == TypeOptional {
		switch d.byte("presence") {
		case 0:
			w.step, w.schema, w.raw = stepAbsent, s, nil
			return
		case 1:
			s = s.Elems[0]
		default:
			d.fail(malformed("presence is neither 0 nor 1"))
			return
		}
	}
	w.schema = s
	switch s.Type {
	case TypeStruct:
		w.open(uint64(len(s.Fields)))
	case TypeArray:
		w.open(uint64(s.Len))
	case TypeSlice, TypeMap:
		n := d.uvarint("count")
		if n > uint64(d.left()) {
			d.fail(malformed("%d elements in %d bytes", n, d.left()))
		}
		if s.Type == TypeMap {
			n *= 2
		}
		w.open(n)
	case TypeString, TypeBytes, TypeJSON, TypeProtobuf, TypeRaw:
		w.step = stepScalar
		w.raw = d.take(d.uvarint("length of a value"), "value")
	case TypeOpaque:
		w.step = stepScalar
		w.raw = d.take(uint64(d.left()), "value")
	default:
		w.step = stepScalar
		w.raw = d.take(uint64(s.Type.Width()), "value")
		if s.Type == TypeBool && len(w.raw) == 1 && w.raw[0] > 1 {
			d.fail(malformed("bool is %d", w.raw[0]))
		}
	}
}

// open begins a value with entries.
func (w *valueWalk) open(entries uint64) {
	w.step, w.count, w.raw = stepOpen, entries, nil
	w.stack = append(w.stack, valueFrame{schema: w.schema, left: entries, total: entries, keyAt: w.dec.pos})
}

// number is the integer or the bits of a scalar of fixed width, sign-extended
// for signed types.
func number(t Type, raw []byte) uint64 {
	var b [8]byte
	copy(b[:], raw)
	u := binary.LittleEndian.Uint64(b[:])
	switch t {
	case TypeInt8:
		return uint64(int64(int8(u)))
	case TypeInt16:
		return uint64(int64(int16(u)))
	case TypeInt32:
		return uint64(int64(int32(u)))
	}
	return u
}

// Validate reports whether value is one whole value of the schema, nothing
// missing and nothing left. The error is of the class [ErrMalformed], or
// [ErrInvalid] if the schema is.
func (s *Schema) Validate(value []byte) error {
	w, err := beginWalk(s, value)
	if err != nil {
		return err
	}
	defer w.end()
	for w.next() {
	}
	return w.dec.end("value")
}

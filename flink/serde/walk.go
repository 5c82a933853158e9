package serde

import (
	"strconv"

	"github.com/tidemark-io/tidemark/flink/wire"
)

// maxNodes bounds how many parts one decoded value may have. Values are passed
// over, not decoded, without that bound.
const maxNodes = 4 << 20

func itoa(n int32) string { return strconv.Itoa(int(n)) }

// Skip passes over one value at r's position. A value of the user's own encoding
// is a failure, as nothing says where it ends.
func (t *Type) Skip(r *wire.Reader) { (&walker{r: r, skip: true}).value(t) }

// Next decodes one value at r's position; on a failure, which r keeps, it returns
// nil. Byte slices in the value are copies.
func (t *Type) Next(r *wire.Reader) any {
	v := (&walker{r: r}).value(t)
	if r.Err() != nil {
		return nil
	}
	return v
}

// Rest decodes the value that reaches to r's end, so that one of the user's own
// encoding is opaque, and requires that nothing is left. On a failure, which r
// keeps, it returns nil.
func (t *Type) Rest(r *wire.Reader) (any, error) {
	v := (&walker{r: r, framed: true}).value(t)
	if err := r.End("value of " + t.Kind.String()); err != nil {
		return nil, err
	}
	return v, nil
}

// Check passes over the value that reaches to r's end, as Rest would decode it.
func (t *Type) Check(r *wire.Reader) error {
	(&walker{r: r, framed: true, skip: true}).value(t)
	return r.End("value of " + t.Kind.String())
}

// Decode decodes a value that is exactly data. The error is a *wire.Error whose
// offset counts from the beginning of data.
func (t *Type) Decode(data []byte) (any, error) {
	return t.Rest(wire.NewBytes("value", 0, data))
}

// walker goes through one value, decoding it or passing over it.
type walker struct {
	r *wire.Reader
	// skip: nothing is made of the value.
	skip bool
	// framed: the value reaches to the reader's end.
	framed bool
	// swallowed: an opaque part took all that was left.
	swallowed bool
	depth     int
	nodes     int
}

// ok reports whether there is anything to go on with.
func (w *walker) ok() bool { return w.r.Err() == nil && !w.swallowed }

// value reads one value of the type.
func (w *walker) value(t *Type) any {
	if !w.ok() {
		return nil
	}
	if t == nil {
		w.r.Fail("value", wire.Unsupported("the snapshot lacks the serialiser of this field"))
		return nil
	}
	if w.nodes++; !w.skip && w.nodes > maxNodes {
		w.r.Fail("value", wire.OverLimit(uint64(w.nodes), maxNodes))
		return nil
	}
	if w.depth++; w.depth > 4*maxDepth {
		w.r.Fail("value", wire.OverLimit(uint64(w.depth), 4*maxDepth))
		return nil
	}
	defer func() { w.depth-- }()
	if v, ok := w.scalar(t); ok {
		return v
	}
	if v, ok := w.array(t); ok {
		return v
	}
	if v, ok := w.time(t); ok {
		return v
	}
	if v, ok := w.container(t); ok {
		return v
	}
	return w.special(t)
}

// scalar reads values without parts.
func (w *walker) scalar(t *Type) (any, bool) {
	switch t.Kind {
	case KindString:
		return w.str(), true
	case KindStringValue:
		return w.units(w.r.VarUint(32, "length of a string")), true
	case KindLong:
		return w.boxed(w.r.I64("long")), true
	case KindInt:
		return w.boxed(int64(w.r.I32("int"))), true
	case KindShort:
		return w.boxed(int64(w.r.I16("short"))), true
	case KindByte:
		return w.boxed(int64(w.r.I8("byte"))), true
	case KindChar:
		return w.boxed(int64(w.r.U16("char"))), true
	case KindBoolean:
		return w.r.Bool("boolean"), true
	case KindDouble:
		return w.boxedFloat(w.r.F64("double")), true
	case KindFloat:
		return w.r.F32("float"), true
	case KindBigInteger:
		return w.bigInteger(), true
	case KindBigDecimal:
		return w.bigDecimal(), true
	case KindVoid, KindVoidNamespace, KindGlobalWindow, KindNull:
		w.constant(0, t)
		return nil, true
	case KindTuple0:
		w.constant(42, t)
		return nil, true
	case KindEnum:
		return w.enum(t), true
	case KindScalaEnum:
		return w.scalaEnum(t), true
	}
	return nil, false
}

func (w *walker) boxed(v int64) any {
	if w.skip {
		return nil
	}
	return v
}

func (w *walker) boxedFloat(v float64) any {
	if w.skip {
		return nil
	}
	return v
}

// constant reads the byte that stands for a value of which there is only one.
func (w *walker) constant(want byte, t *Type) {
	at := w.r.Offset()
	if b := w.r.U8(t.Kind.String()); b != want && w.r.Err() == nil {
		w.r.FailAt(at, t.Kind.String(), wire.Malformed("byte %d, expected %d", b, want))
	}
}

// str reads a nullable string.
func (w *walker) str() any {
	n := w.r.VarUint(32, "length of a string")
	if n == 0 {
		return nil
	}
	return w.units(n - 1)
}

func (w *walker) units(n uint64) any {
	if w.skip {
		w.r.SkipUnits(n, "string")
		return nil
	}
	return w.r.StrUnits(n, "string")
}

func (w *walker) enum(t *Type) any {
	at := w.r.Offset()
	n := w.r.I32("enum constant")
	if w.r.Err() == nil && (n < 0 || int(n) >= len(t.Names)) {
		w.r.FailAt(at, "enum constant", wire.Malformed("number %d of %d constants of %s", n, len(t.Names), t.Name))
		return nil
	}
	if w.skip || w.r.Err() != nil {
		return nil
	}
	return t.Names[n]
}

func (w *walker) scalaEnum(t *Type) any {
	at := w.r.Offset()
	n := w.r.I32("enumeration constant")
	for i, have := range t.numbers {
		if have == n {
			return t.Names[i]
		}
	}
	if w.r.Err() == nil {
		w.r.FailAt(at, "enumeration constant", wire.Malformed("%s has no number %d", t.Name, n))
	}
	return nil
}

// array reads arrays of primitives and of strings.
func (w *walker) array(t *Type) (any, bool) {
	var width uint64
	switch t.Kind {
	case KindBytes:
		return w.bytes(), true
	case KindBooleanArray:
		width = 1
	case KindCharArray, KindShortArray:
		width = 2
	case KindIntArray, KindFloatArray:
		width = 4
	case KindLongArray, KindDoubleArray:
		width = 8
	case KindStringArray:
		return w.list(w.r.Count(1, "strings"), func() any { return w.str() }), true
	default:
		return nil, false
	}
	n := w.r.Count(width, "elements")
	if w.skip {
		w.r.Skip(uint64(n)*width, t.Kind.String())
		return nil, true
	}
	return w.list(n, func() any { return w.element(t.Kind) }), true
}

// element reads one element of an array of primitives.
func (w *walker) element(array Kind) any {
	switch array {
	case KindBooleanArray:
		return w.r.Bool("boolean")
	case KindCharArray:
		return int64(w.r.U16("char"))
	case KindShortArray:
		return int64(w.r.I16("short"))
	case KindIntArray:
		return int64(w.r.I32("int"))
	case KindLongArray:
		return w.r.I64("long")
	case KindFloatArray:
		return w.r.F32("float")
	}
	return w.r.F64("double")
}

// bytes reads a length and as many bytes.
func (w *walker) bytes() any {
	at := w.r.Offset()
	n := w.r.I32("length of bytes")
	switch {
	case n < 0:
		w.r.FailAt(at, "length of bytes", wire.Malformed("%d is negative", n))
	case w.skip:
		w.r.Skip(uint64(n), "bytes")
	default:
		return append([]byte{}, w.r.Take(uint64(n), "bytes")...)
	}
	return nil
}

// list reads n elements. Elements that take no bytes are not believed in great
// numbers.
func (w *walker) list(n int, element func() any) any {
	var items []any
	if !w.skip {
		items = make([]any, 0, min(n, 1024))
	}
	from := w.r.Offset()
	for i := 0; i < n && w.ok(); i++ {
		v := element()
		if !w.skip {
			if w.nodes++; w.nodes > maxNodes {
				w.r.Fail("list", wire.OverLimit(uint64(n), maxNodes))
			}
			items = append(items, v)
		}
		if i == 1<<16 && w.r.Offset() == from {
			w.r.Fail("list", wire.Malformed("%d elements without bytes", n))
		}
	}
	if w.skip {
		return nil
	}
	return items
}

// opaque takes all that is left, if that is the value's.
func (w *walker) opaque(class string) any {
	if !w.framed {
		w.r.Fail("value", &OpaqueError{class})
		return nil
	}
	w.swallowed = true
	if w.skip {
		for !w.r.AtEnd() {
			if left := w.r.Left(); left > 0 {
				w.r.Skip(uint64(left), "value")
			} else {
				w.r.U8("value")
			}
		}
		return nil
	}
	return &Opaque{Class: class, Bytes: append([]byte{}, w.r.Rest("value of "+class)...)}
}

// OpaqueError says that a value has the user's own encoding and stands where
// nothing says how long it is. It is of the class wire.ErrUnsupported.
type OpaqueError struct {
	Class string // of the values
}

// Error is the message.
func (e *OpaqueError) Error() string {
	return "unsupported: values of " + e.Class + " have an encoding of their own and no length here"
}

// Unwrap returns wire.ErrUnsupported.
func (e *OpaqueError) Unwrap() error { return wire.ErrUnsupported }

package serde

import (
	"math"

	"github.com/tidemark-io/tidemark/flink/wire"
)

// container appends values that have others inside. It returns false for kinds
// that cannot be written.
func (e *encoder) container(t *Type, v any) bool {
	switch t.Kind {
	case KindTuple, KindCaseClass:
		e.fields(t, v, len(t.Args))
	case KindList:
		e.list(t, v, func(item any) { e.value(t.Args[0], item) })
	case KindSet:
		e.list(t, v, func(item any) { e.nullable(t.Args[0], item, true) })
	case KindArray, KindTraversable:
		e.list(t, v, func(item any) { e.nullable(t.Args[0], item, false) })
	case KindStringArray:
		e.list(t, v, func(item any) { e.str(t, item) })
	case KindMap:
		e.mapping(t, v)
	case KindOption:
		e.nullable(t.Args[0], v, false)
	case KindNullable:
		e.nullable(t.Args[0], v, true)
		if v == nil {
			e.out = append(e.out, make([]byte, t.Size)...)
		}
	case KindTTLAware, KindExternal:
		e.value(t.Args[0], v)
	case KindTTL:
		e.stamped(t, v, 0)
	case KindTimer:
		e.stamped(t, v, -1<<63)
	case KindRow:
		e.row(t, v)
	case KindPojo:
		e.pojo(t, v)
	default:
		return false
	}
	return true
}

// structure returns the value's fields if there are n of them.
func (e *encoder) structure(t *Type, v any, n int) *Struct {
	s, ok := v.(*Struct)
	if !ok || s == nil || len(s.Values) != n {
		e.fail(t, v)
		return nil
	}
	return s
}

func (e *encoder) fields(t *Type, v any, n int) {
	if s := e.structure(t, v, n); s != nil {
		for i, a := range t.Args {
			e.value(a, s.Values[i])
		}
	}
}

// count appends a number of items.
func (e *encoder) count(n int) {
	if int64(n) > math.MaxInt32 {
		e.err = wire.OverLimit(uint64(n), math.MaxInt32)
		return
	}
	e.out = wire.AppendI32(e.out, int32(n))
}

func (e *encoder) list(t *Type, v any, item func(any)) {
	items, ok := v.([]any)
	if !ok {
		e.fail(t, v)
		return
	}
	e.count(len(items))
	for _, i := range items {
		item(i)
	}
}

// nullable appends a byte that says whether a value follows, in the sense of null.
func (e *encoder) nullable(t *Type, v any, null bool) {
	e.out = wire.AppendBool(e.out, (v == nil) == null)
	if v != nil {
		e.value(t, v)
	}
}

func (e *encoder) mapping(t *Type, v any) {
	m, ok := v.(Map)
	if !ok {
		e.fail(t, v)
		return
	}
	e.count(len(m))
	for _, p := range m {
		e.value(t.Args[0], p.Key)
		e.nullable(t.Args[1], p.Value, true)
	}
}

// stamped appends a number and the nested values behind it: of a timer key and
// namespace, of a value with a time to live the value. flip inverts bits.
func (e *encoder) stamped(t *Type, v any, flip int64) {
	args := t.Args
	if t.Kind == KindTTL {
		args = args[1:]
	}
	s := e.structure(t, v, len(args)+1)
	if s == nil {
		return
	}
	at, ok := s.Values[0].(int64)
	if !ok {
		e.fail(t, s.Values[0])
	}
	e.out = wire.AppendI64(e.out, at^flip)
	for i, a := range args {
		e.value(a, s.Values[i+1])
	}
}

// row appends the mask, with the kind's two bits if rows have one, and the fields
// that are not null.
func (e *encoder) row(t *Type, v any) {
	s := e.structure(t, v, len(t.Args))
	if s == nil {
		return
	}
	first := 0
	if t.Flag {
		first = 2
	}
	mask := make([]byte, (first+len(t.Args)+7)/8)
	set := func(i int, on bool) {
		if on {
			mask[i/8] |= 0x80 >> (i % 8)
		}
	}
	if kind := max(s.RowKind, 0); t.Flag {
		set(0, kind&1 != 0)
		set(1, kind&2 != 0)
	}
	for i, field := range s.Values {
		set(first+i, field == nil)
	}
	e.out = append(e.out, mask...)
	for i, field := range s.Values {
		if field != nil {
			e.value(t.Args[i], field)
		}
	}
}

// pojo appends null, the class's own fields, or the value of a subclass, which the
// value's type tells.
func (e *encoder) pojo(t *Type, v any) {
	s, ok := v.(*Struct)
	switch {
	case v == nil:
		e.out = append(e.out, pojoNull)
		return
	case !ok:
		e.fail(t, v)
		return
	case s.Type != nil && s.Type != t:
		e.subclass(t, s)
		return
	}
	if len(s.Values) != len(t.Fields) {
		e.fail(t, v)
		return
	}
	e.out = append(e.out, pojoSame)
	for i := range t.Fields {
		e.nullable(t.Fields[i].Type, s.Values[i], true)
	}
}

func (e *encoder) subclass(t *Type, s *Struct) {
	for i := range t.Registered {
		if t.Registered[i].Type == s.Type && i <= math.MaxUint8 {
			e.out = append(e.out, pojoRegistered, byte(i))
			e.value(s.Type, s)
			return
		}
	}
	for i := range t.Other {
		if t.Other[i].Type == s.Type {
			out, err := wire.AppendUTF(append(e.out, pojoOther), t.Other[i].Name)
			if e.out = out; err != nil {
				e.err = err
			}
			e.value(s.Type, s)
			return
		}
	}
	e.fail(t, s)
}

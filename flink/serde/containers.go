package serde

import (
	"github.com/tidemark-io/tidemark/flink/wire"
)

// container reads values that have others inside.
func (w *walker) container(t *Type) (any, bool) {
	switch t.Kind {
	case KindTuple, KindCaseClass:
		return w.tuple(t), true
	case KindList:
		return w.list(w.r.Count(0, "elements"), func() any { return w.value(t.Args[0]) }), true
	case KindSet:
		return w.list(w.r.Count(1, "elements"), func() any { return w.nullable(t.Args[0], true) }), true
	case KindArray, KindTraversable:
		return w.list(w.r.Count(1, "elements"), func() any { return w.nullable(t.Args[0], false) }), true
	case KindMap, KindSortedMap:
		return w.mapping(t), true
	case KindLinkedList:
		return w.linkedList(t), true
	case KindEither:
		if w.r.Bool("whether it is the left one") {
			return w.structure(t, leftName, w.value(t.Args[0])), true
		}
		return w.structure(t, rightName, w.value(t.Args[1])), true
	case KindTry:
		if w.r.Bool("whether it succeeded") {
			return w.structure(t, successName, w.value(t.Args[0])), true
		}
		return w.structure(t, failureName, w.value(t.Args[1])), true
	case KindOption:
		return w.nullable(t.Args[0], false), true
	case KindNullable:
		return w.padded(t), true
	case KindExternal, KindTTLAware:
		return w.value(t.Args[0]), true
	case KindTTL:
		return w.structure(t, ttlNames, w.boxed(w.r.I64("last access")), w.value(t.Args[1])), true
	case KindPojo:
		return w.pojo(t), true
	case KindRow:
		return w.row(t), true
	}
	return nil, false
}

// Names of fields that the values themselves do not have.
var (
	leftName    = []string{"left"}
	rightName   = []string{"right"}
	successName = []string{"success"}
	failureName = []string{"failure"}
	ttlNames    = []string{"lastAccess", "value"}
)

func (w *walker) tuple(t *Type) any {
	var values []any
	if !w.skip {
		values = make([]any, 0, len(t.Args))
	}
	for _, a := range t.Args {
		if v := w.value(a); !w.skip {
			values = append(values, v)
		}
		if !w.ok() {
			break
		}
	}
	return w.structure(t, nil, values...)
}

// nullable reads one byte that says whether a value follows. Flink's serialisers
// do not agree on its sense: null says which.
func (w *walker) nullable(t *Type, null bool) any {
	if w.r.Bool("whether a value is null") == null {
		return nil
	}
	return w.value(t)
}

// padded reads a value or as many zero bytes as the snapshot says.
func (w *walker) padded(t *Type) any {
	if !w.r.Bool("whether a value is null") {
		return w.value(t.Args[0])
	}
	w.r.Skip(uint64(t.Size), "padding of a null")
	return nil
}

func (w *walker) mapping(t *Type) any {
	var pairs Map
	w.list(w.r.Count(1, "entries"), func() any {
		key := w.value(t.Args[0])
		if !w.ok() {
			return nil
		}
		value := w.nullable(t.Args[1], true)
		if !w.skip {
			pairs = append(pairs, Pair{key, value})
		}
		return nil
	})
	if w.skip {
		return nil
	}
	if pairs == nil {
		pairs = Map{}
	}
	return pairs
}

// mask reads n bits, the first one highest, of which the last byte's low ones are
// unused.
func (w *walker) mask(n int, what string) []byte {
	return append([]byte{}, w.r.Take(uint64(n+7)/8, what)...)
}

func bit(mask []byte, i int) bool { return mask[i/8]&(0x80>>(i%8)) != 0 }

// linkedList reads a list whose nulls are a mask in front.
func (w *walker) linkedList(t *Type) any {
	n := w.r.Count(0, "elements")
	var nulls []byte
	if t.Flag {
		nulls = w.mask(n, "null mask")
	}
	i := -1
	return w.list(n, func() any {
		if i++; nulls != nil && bit(nulls, i) {
			return nil
		}
		return w.value(t.Args[0])
	})
}

// row reads a mask and the fields that are not null. If rows have a kind, its two
// bits come first, the lower one before the other.
func (w *walker) row(t *Type) any {
	bits := len(t.Args)
	first := 0
	if t.Flag {
		bits, first = bits+2, 2
	}
	mask := w.mask(bits, "mask of a row")
	if !w.ok() {
		return nil
	}
	kind := int8(-1)
	if t.Flag {
		kind = 0
		if bit(mask, 0) {
			kind = 1
		}
		if bit(mask, 1) {
			kind += 2
		}
	}
	values := make([]any, 0, len(t.Args))
	for i, a := range t.Args {
		var v any
		if !bit(mask, first+i) {
			v = w.value(a)
		}
		values = append(values, v)
		if !w.ok() {
			break
		}
	}
	if w.skip {
		return nil
	}
	return &Struct{Type: t, Values: values, RowKind: kind}
}

// Flags of a POJO's value. They are on disk.
const (
	pojoNull       byte = 1
	pojoSame       byte = 2
	pojoOther      byte = 4
	pojoRegistered byte = 8
)

// pojo reads a flag, then the fields in the order of the snapshot, or the value of
// a subclass.
func (w *walker) pojo(t *Type) any {
	at := w.r.Offset()
	switch flags := w.r.U8("flags of a POJO"); flags {
	case pojoNull:
		return nil
	case pojoSame:
		return w.pojoFields(t)
	case pojoOther:
		at = w.r.Offset()
		class := w.r.UTF("class of a POJO")
		for _, f := range t.Other {
			if f.Name == class {
				return w.value(f.Type)
			}
		}
		w.r.FailAt(at, "class of a POJO", wire.Unsupported("the snapshot of %s has no subclass %.200q", t.Name, class))
	case pojoRegistered:
		at = w.r.Offset()
		tag := w.r.U8("number of a subclass")
		if int(tag) < len(t.Registered) {
			return w.value(t.Registered[tag].Type)
		}
		w.r.FailAt(at, "number of a subclass", wire.Malformed("%d of %d subclasses of %s", tag, len(t.Registered), t.Name))
	default:
		w.r.FailAt(at, "flags of a POJO", wire.Malformed("%d", flags))
	}
	return nil
}

func (w *walker) pojoFields(t *Type) any {
	s := &Struct{Type: t, RowKind: -1}
	for i := range t.Fields {
		if !w.ok() {
			break
		}
		v := w.nullable(t.Fields[i].Type, true)
		if !w.skip {
			s.Names = append(s.Names, t.Fields[i].Name)
			s.Values = append(s.Values, v)
		}
	}
	if w.skip {
		return nil
	}
	return s
}
